//! Where a downloader may connect.
//!
//! Addresses of sources come from an index, which is trusted for being there and for nothing else. Without a rule it could have
//! everybody who asks it knock at doors inside their own networks, which it cannot reach itself. So an address counts only
//! where it is public, or where the index is at home too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::limits::{ALLOWED_NETS_MAX, SOURCE_PORT_MIN};

/// What the addresses of a network have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Reached from everywhere.
    Public,
    /// This machine.
    Loopback,
    /// 10.0.0.0/8
    Private10,
    /// 172.16.0.0/12
    Private172,
    /// 192.168.0.0/16
    Private192,
    /// fc00::/7
    UniqueLocal,
    /// 169.254.0.0/16, fe80::/10
    LinkLocal,
    /// 100.64.0.0/10: behind a carrier's translator.
    Shared,
    /// 198.18.0.0/15: measuring devices.
    Benchmark,
    /// IPv6 addresses that carry an IPv4 address for somebody who translates: NAT64, 6to4, Teredo.
    Translated,
    /// No source can be there: unspecified, multicast, reserved, and where clouds keep the secrets of a machine.
    Never,
}

impl Zone {
    const ALL: [Self; 11] = [
        Self::Public,
        Self::Loopback,
        Self::Private10,
        Self::Private172,
        Self::Private192,
        Self::UniqueLocal,
        Self::LinkLocal,
        Self::Shared,
        Self::Benchmark,
        Self::Translated,
        Self::Never,
    ];

    /// The zone of an address; a v4-mapped one is judged as what it carries.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }

    /// Whether an index in this zone may name sources in the other one.
    fn may_name(self, source: Self) -> bool {
        match (self, source) {
            (_, Self::Never) => false,
            (_, Self::Public) => true,
            // An index on this machine is ours.
            (Self::Loopback, _) => true,
            // One local network with both families.
            (Self::Private10 | Self::Private172 | Self::Private192, Self::UniqueLocal) => true,
            (Self::UniqueLocal, Self::Private10 | Self::Private172 | Self::Private192) => true,
            (index, source) => index == source,
        }
    }
}

/// A set of zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Zones(u16);

impl Zones {
    fn with(self, zone: Zone) -> Self {
        Self(self.0 | 1 << zone as u16)
    }

    fn may_name(self, source: Zone) -> bool {
        Zone::ALL.iter().any(|zone| self.0 & 1 << *zone as u16 != 0 && zone.may_name(source))
    }
}

fn of_v4(address: Ipv4Addr) -> Zone {
    match address.octets() {
        [169, 254, 169, 254] => Zone::Never,
        [127, ..] => Zone::Loopback,
        [10, ..] => Zone::Private10,
        [172, 16..=31, ..] => Zone::Private172,
        [192, 168, ..] => Zone::Private192,
        [169, 254, ..] => Zone::LinkLocal,
        [100, 64..=127, ..] => Zone::Shared,
        [198, 18..=19, ..] => Zone::Benchmark,
        [0 | 224..=255, ..] | [192, 0, 0, _] => Zone::Never,
        _ => Zone::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Zone {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Zone::Loopback,
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] => Zone::Never,
        [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..] => Zone::Translated,
        [0xfc00..=0xfdff, ..] => Zone::UniqueLocal,
        [0xfe80..=0xfebf, ..] => Zone::LinkLocal,
        [0x2000..=0x3fff, ..] => Zone::Public,
        // Among them `::`, addresses that are compatible with IPv4 and no longer used, and multicast.
        _ => Zone::Never,
    }
}

/// A network that is allowed by its user, whatever its zone: `ADDRESS/BITS`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    bits: u8,
}

impl Net {
    /// Whether an address is in it.
    #[must_use]
    pub fn holds(&self, other: IpAddr) -> bool {
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(other)) => {
                same_bits(u128::from(net.to_bits()), u128::from(other.to_bits()), 32, self.bits)
            }
            (IpAddr::V6(net), IpAddr::V6(other)) => same_bits(net.to_bits(), other.to_bits(), 128, self.bits),
            _ => false,
        }
    }
}

/// Whether the first `bits` of two numbers of so many bits are the same.
fn same_bits(one: u128, other: u128, width: u8, bits: u8) -> bool {
    let rest = u32::from(width.saturating_sub(bits));
    // All bits are the rest of a network that holds every address.
    (one ^ other).checked_shr(rest).unwrap_or(0) == 0
}

/// No network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is ADDRESS or ADDRESS/BITS, such as 192.168.0.0/16 or fd00::/8")]
pub struct NotANet;

impl FromStr for Net {
    type Err = NotANet;

    fn from_str(text: &str) -> Result<Self, NotANet> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(net, bits)| (net, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NotANet)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| NotANet))?;
        if bits <= most { Ok(Self { address, bits }) } else { Err(NotANet) }
    }
}

/// The rule of one download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Where the indexes are that named the sources, as bits; `None` where they were named by the user.
    indexes: Option<Zones>,
    allowed: [Option<Net>; ALLOWED_NETS_MAX],
}

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfReach {
    /// No source listens there, and much else does.
    #[error("its port {0} is below {SOURCE_PORT_MIN}, where other services are; --allow-net allows it")]
    Port(u16),
    /// The index is not there itself.
    #[error("it is in {0}, and the index is not; --allow-net allows it")]
    Elsewhere(Zone),
    /// Nobody is a source there.
    #[error("no source can have this address")]
    Never,
}

impl Reach {
    /// Everything: for addresses that a user has typed.
    pub const ANYWHERE: Self = Self { indexes: None, allowed: [None; ALLOWED_NETS_MAX] };

    /// For sources that this index named, and these networks besides, of which the first [`ALLOWED_NETS_MAX`] count.
    #[must_use]
    pub fn of_index(index: IpAddr, allowed: &[Net]) -> Self {
        Self::of_indexes(&[index], allowed)
    }

    /// The same for sources that one of these indexes named.
    #[must_use]
    pub fn of_indexes(indexes: &[IpAddr], allowed: &[Net]) -> Self {
        let zones = indexes.iter().fold(Zones(0), |zones, index| zones.with(Zone::of(*index)));
        let mut reach = Self { indexes: Some(zones), ..Self::ANYWHERE };
        for (place, net) in reach.allowed.iter_mut().zip(allowed) {
            *place = Some(*net);
        }
        reach
    }

    /// Whether this address may be connected to.
    ///
    /// # Errors
    /// [`OutOfReach`]: why not.
    pub fn judge(&self, address: SocketAddr) -> Result<(), OutOfReach> {
        let Some(indexes) = self.indexes else { return Ok(()) };
        if self.allowed.iter().flatten().any(|net| net.holds(address.ip())) {
            return Ok(());
        }
        match Zone::of(address.ip()) {
            Zone::Never => Err(OutOfReach::Never),
            zone if !indexes.may_name(zone) => Err(OutOfReach::Elsewhere(zone)),
            _ if address.port() < SOURCE_PORT_MIN => Err(OutOfReach::Port(address.port())),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public network",
            Self::Loopback => "this machine",
            Self::Private10 => "the private network 10.0.0.0/8",
            Self::Private172 => "the private network 172.16.0.0/12",
            Self::Private192 => "the private network 192.168.0.0/16",
            Self::UniqueLocal => "a local network",
            Self::LinkLocal => "the network of one link",
            Self::Shared => "the network of a carrier",
            Self::Benchmark => "a network of measuring devices",
            Self::Translated => "a network behind a translator",
            Self::Never => "no network of sources",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(index: &str, source: &str) -> Result<(), OutOfReach> {
        Reach::of_index(index.parse().unwrap(), &[]).judge(source.parse().unwrap())
    }

    /// Each line: a zone's letter, then an address of it.
    #[test]
    fn an_index_names_sources_where_it_is_itself_or_in_public() {
        // Rows: where the index is; columns: the sources below, in their order.
        let sources = [
            "9.9.9.9:6000",
            "127.0.0.1:6000",
            "10.1.1.1:6000",
            "172.20.1.1:6000",
            "192.168.1.1:6000",
            "169.254.1.1:6000",
            "100.64.0.1:6000",
            "[fd00::1]:6000",
            "[fe80::1]:6000",
            "[64:ff9b::7f00:1]:6000",
            "169.254.169.254:6000",
        ];
        let table = [
            ("8.8.8.8", "y.........."),
            ("127.0.0.1", "yyyyyyyyyy."),
            ("::1", "yyyyyyyyyy."),
            ("10.0.0.1", "y.y....y..."),
            ("172.16.0.1", "y..y...y..."),
            ("192.168.0.1", "y...y..y..."),
            ("::ffff:192.168.0.1", "y...y..y..."),
            ("fd00::1", "y.yyy..y..."),
            ("169.254.3.3", "y....y..y.."),
            ("100.64.0.9", "y.....y...."),
        ];
        for (index, row) in table {
            for (source, expected) in sources.iter().zip(row.bytes()) {
                assert_eq!(judged(index, source).is_ok(), expected == b'y', "{source} by {index}");
            }
        }
    }

    #[test]
    fn what_one_of_several_indexes_may_name_is_within_reach() {
        let indexes = ["8.8.8.8", "10.0.0.1"].map(|index| index.parse().unwrap());
        let reach = Reach::of_indexes(&indexes, &[]);
        let judged = |source: &str| reach.judge(source.parse().unwrap()).is_ok();
        assert!(judged("10.1.1.1:6000") && judged("9.9.9.9:6000") && judged("[fd00::1]:6000"));
        assert!(!judged("192.168.1.1:6000") && !judged("127.0.0.1:6000"));
        assert!(Zone::ALL.iter().enumerate().all(|(at, zone)| at == *zone as usize));
    }

    #[test]
    fn addresses_that_no_source_can_have_are_out_of_reach_of_everybody() {
        for never in ["0.0.0.0", "224.0.0.1", "192.0.0.8", "[::]", "[ff02::1]", "[fd00:ec2::254]"] {
            let source = format!("{never}:6000");
            assert_eq!(judged("127.0.0.1", &source), Err(OutOfReach::Never), "{never}");
        }
        assert_eq!(judged("198.18.0.1", "198.19.0.1:6000"), Ok(()));
        assert_eq!(judged("8.8.8.8", "198.19.0.1:6000"), Err(OutOfReach::Elsewhere(Zone::Benchmark)));
        let told: std::collections::BTreeSet<String> = Zone::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), Zone::ALL.len(), "{told:?}");
    }

    #[test]
    fn low_ports_are_other_services() {
        assert_eq!(judged("127.0.0.1", "127.0.0.1:22"), Err(OutOfReach::Port(22)));
        assert_eq!(judged("8.8.8.8", "9.9.9.9:1023"), Err(OutOfReach::Port(1023)));
        assert_eq!(judged("8.8.8.8", "9.9.9.9:1024"), Ok(()));
    }

    #[test]
    fn what_its_user_allows_is_within_reach() {
        let nets = ["127.0.0.0/8", "fd00::/8", "192.168.7.7"].map(|net| net.parse().unwrap());
        let reach = Reach::of_index("8.8.8.8".parse().unwrap(), &nets);
        let yes = ["127.9.9.9:22", "[::ffff:127.0.0.1]:6000", "[fdab::1]:80", "192.168.7.7:443"];
        let no = ["192.168.7.8:6000", "[fc00::1]:6000", "10.0.0.1:6000"];
        assert!(yes.iter().all(|source| reach.judge(source.parse().unwrap()).is_ok()));
        assert!(no.iter().all(|source| reach.judge(source.parse().unwrap()).is_err()));
        assert!(Reach::ANYWHERE.judge("127.0.0.1:1".parse().unwrap()).is_ok());
        let everything = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap());
        assert!(
            Reach::of_index("8.8.8.8".parse().unwrap(), &everything)
                .judge("0.0.0.0:1".parse().unwrap())
                .is_ok()
        );
        for bad in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "::/129", "1.2.3.4/-1", "x/8"] {
            assert_eq!(bad.parse::<Net>(), Err(NotANet), "{bad}");
        }
    }
}
