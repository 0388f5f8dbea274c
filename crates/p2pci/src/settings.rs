//! What was typed, understood: addresses and ports as values that can be used.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use net::limits::{PRESENCE_MAX, PRESENCE_MIN};
use peer::dial::Tls;
use peer::indexes::Indexes;
use peer::limit::RateLimit;
use peer::link::IndexAddr;
use proto::access::groups::Groups;
use proto::access::tokens::is_group;
use proto::limits::{INDEX_PORT, INDEXES_MAX, SEARCH_FOUND_MAX, TICKET_TIME_MAX, TICKET_TIME_MIN};
use proto::value::digest::Digest;
use proto::value::host::{Host, PeerAddr, Terms};
use proto::value::number::Port;

use crate::cli::Limits;

/// Where the index is: `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`; in TLS with `tls://` before it, and `#FINGERPRINT` behind it
/// where no authority vouches for it.
pub fn index_addr(text: &str) -> Result<IndexAddr, String> {
    let (place, tls) = split_tls(text)?;
    let (host, port) = split_port(place)?;
    let tls = tls.map(|fingerprint| Box::new(Tls { name: host.to_owned(), fingerprint, connector: None }));
    match host {
        "" => Err("the host is missing; write HOST or HOST:PORT".to_owned()),
        host => Ok(IndexAddr { host: host.to_owned(), port: port.unwrap_or(INDEX_PORT), tls, token: None }),
    }
}

/// What stands between `tls://` and `#FINGERPRINT`, and for TLS the fingerprint, if there is one.
fn split_tls(text: &str) -> Result<(&str, Option<Option<Digest>>), String> {
    let Some(rest) = text.strip_prefix("tls://") else { return Ok((text, None)) };
    let Some((place, hex)) = rest.split_once('#') else { return Ok((rest, Some(None))) };
    let fingerprint = Digest::parse(hex.as_bytes())
        .ok_or("what is behind the # is no fingerprint of 64 hexadecimal digits")?;
    Ok((place, Some(Some(fingerprint))))
}

/// The indexes: one or several, with commas between them.
pub fn indexes(text: &str) -> Result<Indexes, String> {
    let addresses: Vec<IndexAddr> = text.split(',').map(index_addr).collect::<Result<_, _>>()?;
    Indexes::new(addresses).ok_or_else(|| format!("more than {INDEXES_MAX} indexes"))
}

/// A group's name.
pub fn group(text: &str) -> Result<String, String> {
    match is_group(text) {
        true => Ok(text.to_owned()),
        false => Err("a group is 1 to 64 visible characters of ASCII without commas".to_owned()),
    }
}

/// Groups with commas between them.
pub fn groups(text: &str) -> Result<Groups, String> {
    Groups::parse(text).ok_or_else(|| {
        "groups are names of visible characters of ASCII with commas between them, at most 16".to_owned()
    })
}

/// How many results are shown: from 1 to [`SEARCH_FOUND_MAX`].
pub fn search_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=SEARCH_FOUND_MAX).contains(limit));
    limit.ok_or_else(|| format!("'{text}' is no number from 1 to {SEARCH_FOUND_MAX}"))
}

/// An index's address as it would be typed: without the port where that is the well-known one.
pub fn typed(index: &IndexAddr) -> String {
    let place = match (index.port == INDEX_PORT, index.host.contains(':')) {
        (true, false) => index.host.clone(),
        (true, true) => format!("[{}]", index.host),
        (false, _) => index.to_string(),
    };
    match index.tls.as_deref() {
        None => place,
        Some(Tls { fingerprint: None, .. }) => format!("tls://{place}"),
        Some(Tls { fingerprint: Some(fingerprint), .. }) => format!("tls://{place}#{fingerprint}"),
    }
}

/// The same for several.
pub fn all_typed(indexes: &Indexes) -> String {
    indexes.iter().map(typed).collect::<Vec<_>>().join(",")
}

/// After which time a peer counts as gone: within what the system can count.
pub fn presence(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match (PRESENCE_MIN..=PRESENCE_MAX).contains(&time) {
        true => Ok(time),
        false => Err("it must be from 5s to 12h".to_owned()),
    }
}

/// How long a ticket is good.
pub fn ticket_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match (TICKET_TIME_MIN..=TICKET_TIME_MAX).contains(&time) {
        true => Ok(time),
        false => Err("it must be from 1s to 24h".to_owned()),
    }
}

/// Where the index listens: `ADDR:PORT`, `ADDR`, `:PORT` or `PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddr {
    /// One address, or all interfaces.
    pub address: Option<IpAddr>,
    /// The port; 0 takes a free one.
    pub port: u16,
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Self { address: None, port });
        }
        let (host, port) = split_port(text)?;
        let address = match host {
            "" | "*" => None,
            host => Some(
                host.parse()
                    .map_err(|_| format!("'{host}' is no address of this machine; write ADDR:PORT"))?,
            ),
        };
        Ok(Self { address, port: port.unwrap_or(INDEX_PORT) })
    }
}

/// A peer's upload address, `HOST:PORT`; in TLS `tls://HOST:PORT#FINGERPRINT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From(pub PeerAddr);

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, tls) = split_tls(text)?;
        let tls = tls.map(|fingerprint| {
            fingerprint.ok_or("no authority vouches for a peer; write tls://HOST:PORT#FINGERPRINT, with the fingerprint that 'p2pci share --tls' shows")
        });
        let (host, port) = split_port(place)?;
        let port = port.and_then(Port::new).ok_or("the port is missing; write HOST:PORT")?;
        let host = Host::parse(host.as_bytes()).map_err(|error| format!("the host is {error}"))?;
        Ok(Self(PeerAddr::new(host, port).on(Terms { tls: tls.transpose()?, ..Terms::default() })))
    }
}

/// How long to go on serving: `DURATION` or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedTime {
    /// So long.
    For(Duration),
    /// Until Ctrl+C.
    Forever,
}

impl FromStr for SeedTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "forever" => Ok(Self::Forever),
            text => {
                let sentence = || format!("'{text}' is no time; write one such as 90s or 2h, or forever");
                humantime::parse_duration(text).map(Self::For).map_err(|_| sentence())
            }
        }
    }
}

/// An upload port, or a range of them: `N` or `A-B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last, the same for a single port.
    pub last: u16,
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| {
            Port::parse(text.as_bytes()).map_err(|_| format!("'{text}' is no port from 1 to 65535"))
        };
        let (first, last) = (port(first)?.get(), port(last)?.get());
        match first <= last {
            true => Ok(Self { first, last }),
            false => Err(format!("the range {first}-{last} is empty; write the smaller port first")),
        }
    }
}

/// Bytes a second: a number, with `K`, `M` or `G` by 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [(['k', 'K'], 1 << 10), (['m', 'M'], 1 << 20), (['g', 'G'], 1 << 30)];
        let with_unit =
            units.into_iter().find_map(|(letters, unit)| Some((text.strip_suffix(letters)?, unit)));
        let (digits, unit): (&str, u64) = with_unit.unwrap_or((text, 1));
        let rate =
            digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|rate| *rate > 0);
        rate.map(Self)
            .ok_or_else(|| format!("'{text}' is no rate; write bytes a second, such as 500K or 10M"))
    }
}

/// How fast this process may move files.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// What it sends.
    pub upload: RateLimit,
    /// What it fetches.
    pub download: RateLimit,
}

impl std::convert::From<&Limits> for Rates {
    fn from(limits: &Limits) -> Self {
        let Limits { upload_limit, download_limit, lan_exempt } = *limits;
        let limit = |rate: Option<Rate>| {
            rate.map_or_else(RateLimit::default, |rate| RateLimit::of(rate.0, lan_exempt))
        };
        Self { upload: limit(upload_limit), download: limit(download_limit) }
    }
}

/// Splits `HOST:PORT`; an IPv6 address needs brackets when a port follows it.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let number = |port: &str| port.parse().map_err(|_| format!("'{port}' is no port from 0 to 65535"));
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("a ']' is missing")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(number(port)?))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("'{rest}' after the ']' should be ':PORT'")),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(number(port)?))),
        None => Ok((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Result<(String, u16), String> {
        index_addr(text).map(|addr| (addr.host, addr.port))
    }

    #[test]
    fn the_index_is_a_host_with_or_without_port() {
        assert_eq!(index("localhost"), Ok(("localhost".into(), 7734)));
        assert_eq!(index("10.0.0.1:80"), Ok(("10.0.0.1".into(), 80)));
        assert_eq!(index("::1"), Ok(("::1".into(), 7734)));
        assert_eq!(index("[::1]:9"), Ok(("::1".into(), 9)));
        for bad in ["", ":7734", "host:x", "host:70000", "[::1", "[::1]9"] {
            assert!(index(bad).is_err(), "{bad}");
        }
        let secure = format!("tls://[::1]:9#{}", "0a".repeat(32));
        for bad in ["tls://", "tls://h#12", "tls://h#", "https://h"] {
            assert!(index(bad).is_err(), "{bad}");
        }
        for text in ["localhost", "10.0.0.1:80", "[::1]", "[::1]:9", "tls://h", &secure] {
            assert_eq!(typed(&index_addr(text).unwrap()), text);
        }
    }

    #[test]
    fn several_indexes_have_commas_between_them() {
        let several = indexes("a,[::1]:9,b:80,a").unwrap();
        assert_eq!(all_typed(&several), "a,[::1]:9,b:80");
        for bad in ["", "a,", ",a", "a,b:x", "1,2,3,4,5,6,7,8,9"] {
            assert!(indexes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listening_needs_no_more_than_a_port() {
        let listen = |text: &str| {
            text.parse().map(|addr: ListenAddr| (addr.address.map(|a| a.to_string()), addr.port))
        };
        assert_eq!(listen("0"), Ok((None, 0)));
        assert_eq!(listen(":80"), Ok((None, 80)));
        assert_eq!(listen("127.0.0.1:0"), Ok((Some("127.0.0.1".into()), 0)));
        assert_eq!(listen("127.0.0.1"), Ok((Some("127.0.0.1".into()), 7734)));
        assert_eq!(listen("[::1]:5"), Ok((Some("::1".into()), 5)));
        assert!(listen("example.org:80").is_err());
    }

    #[test]
    fn rates_have_units_by_1024() {
        let rate = |text: &str| text.parse::<Rate>().map(|rate| rate.0);
        assert_eq!(
            (rate("1"), rate("500K"), rate("10m"), rate("1G")),
            (Ok(1), Ok(512_000), Ok(10 << 20), Ok(1 << 30))
        );
        for bad in ["", "0", "K", "-1", "1.5M", "10T", "99999999999999G", "10MB"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn serving_goes_on_for_a_time_or_forever() {
        assert_eq!("forever".parse(), Ok(SeedTime::Forever));
        assert_eq!("2m".parse(), Ok(SeedTime::For(Duration::from_secs(120))));
        assert!("".parse::<SeedTime>().is_err() && "5".parse::<SeedTime>().is_err());
    }

    #[test]
    fn upload_ports_are_one_or_a_range() {
        assert_eq!("5000".parse(), Ok(Ports { first: 5000, last: 5000 }));
        assert_eq!("5000-5009".parse(), Ok(Ports { first: 5000, last: 5009 }));
        for bad in ["", "0", "65536", "9-5", "a-b", "5-"] {
            assert!(bad.parse::<Ports>().is_err(), "{bad}");
        }
    }
}
