//! At which addresses others reach this machine, and which of them are neighbours.

use if_addrs::{IfAddr, Interface};
use std::net::IpAddr;

/// This machine's addresses without loopback and link-local ones: IPv4 first, then in the system's order of interfaces.
///
/// Empty where there is no network or where the system does not tell.
#[must_use]
pub fn reachable_addresses() -> Vec<IpAddr> {
    // An index or a peer works without knowing its addresses: it only cannot show them.
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    in_order(interfaces.iter().filter(|interface| interface.is_oper_up()).map(numbered).collect())
}

/// Whether an address is loopback, or lies in a subnet that this machine has an address in, where the system tells.
#[must_use]
pub fn is_own_network(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let interfaces = || if_addrs::get_if_addrs().unwrap_or_default();
    address.is_loopback() || interfaces().iter().any(|interface| is_in_subnet(&interface.addr, address))
}

fn is_in_subnet(own: &IfAddr, address: IpAddr) -> bool {
    match (own, address) {
        // Without a prefix it is a point-to-point link, and everybody would be in.
        (IfAddr::V4(own), IpAddr::V4(address)) => {
            let mask = u32::from(own.netmask);
            mask != 0 && (u32::from(own.ip) ^ u32::from(address)) & mask == 0
        }
        (IfAddr::V6(own), IpAddr::V6(address)) => {
            let mask = u128::from(own.netmask);
            mask != 0 && (u128::from(own.ip) ^ u128::from(address)) & mask == 0
        }
        _ => false,
    }
}

/// This machine's own name, as far as it has one that is text.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!name.is_empty()).then_some(name)
}

fn numbered(interface: &Interface) -> (u32, IpAddr) {
    (interface.index.unwrap_or(u32::MAX), interface.ip())
}

fn in_order(mut numbered: Vec<(u32, IpAddr)>) -> Vec<IpAddr> {
    numbered.retain(|(_, address)| is_reachable(*address));
    numbered.sort_by_key(|(index, address)| (address.is_ipv6(), *index, *address));
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(numbered.len());
    for (_, address) in numbered {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn is_reachable(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{Ifv4Addr, Ifv6Addr};

    #[test]
    fn ipv4_comes_first_and_loopback_never() {
        let found = ["2 2001:db8::7", "1 127.0.0.1", "1 ::1", "3 10.0.0.3", "2 192.0.2.9", "2 fe80::1"];
        let found = found.iter().chain(&["2 169.254.1.1", "4 10.0.0.3"]).map(|line| {
            let (index, address) = line.split_once(' ').unwrap();
            (index.parse().unwrap(), address.parse().unwrap())
        });
        let shown: Vec<String> = in_order(found.collect()).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["192.0.2.9", "10.0.0.3", "2001:db8::7"]);
    }

    #[test]
    fn neighbours_share_a_prefix() {
        let v4 = |ip: &str, prefix: u32| {
            let netmask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0).into();
            let ip = ip.parse().unwrap();
            IfAddr::V4(Ifv4Addr { ip, netmask, prefixlen: prefix as u8, broadcast: None })
        };
        let netmask = (u128::MAX << 64).into();
        let ip = "2001:db8:0:7::1".parse().unwrap();
        let v6 = IfAddr::V6(Ifv6Addr { ip, netmask, prefixlen: 64, broadcast: None });
        for (own, other, is_neighbour) in [
            (&v4("10.1.2.3", 24), "10.1.2.250", true),
            (&v4("10.1.2.3", 24), "10.1.3.3", false),
            (&v4("10.1.2.3", 32), "10.1.2.3", true),
            (&v4("10.1.2.3", 0), "8.8.8.8", false),
            (&v6, "2001:db8:0:7::99", true),
            (&v6, "2001:db8:0:8::1", false),
            (&v6, "10.1.2.3", false),
        ] {
            assert_eq!(is_in_subnet(own, other.parse().unwrap()), is_neighbour, "{other}");
        }
        assert!(is_own_network("127.9.9.9".parse().unwrap()));
        assert!(is_own_network("::ffff:127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn the_order_of_this_machine_is_stable() {
        let addresses = reachable_addresses();
        assert_eq!(addresses, reachable_addresses());
        assert!(addresses.iter().all(|address| is_reachable(*address)));
    }
}
