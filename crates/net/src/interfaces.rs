//! At which addresses others reach this machine.

use if_addrs::Interface;
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
    fn the_order_of_this_machine_is_stable() {
        let addresses = reachable_addresses();
        assert_eq!(addresses, reachable_addresses());
        assert!(addresses.iter().all(|address| is_reachable(*address)));
    }
}
