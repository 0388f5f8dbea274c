//! Protected mode: which source addresses count as our own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is loopback, private, link-local or unique-local.
///
/// Shared address space (100.64.0.0/10) is not: behind a carrier's translator sit strangers. A v4-mapped IPv6 address is judged
/// as the IPv4 address that it carries.
#[must_use]
pub fn is_local_network(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_local_v4(v4),
        IpAddr::V6(v6) => is_local_v6(v6),
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_private() || address.is_link_local()
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[(&str, bool)] = &[
        ("127.0.0.1", true),
        ("127.255.255.254", true),
        ("10.0.0.1", true),
        ("11.0.0.1", false),
        ("172.15.255.255", false),
        ("172.16.0.1", true),
        ("172.31.255.255", true),
        ("172.32.0.0", false),
        ("192.168.1.1", true),
        ("192.169.0.1", false),
        ("169.254.0.1", true),
        ("169.253.255.255", false),
        ("100.64.0.1", false),
        ("100.127.255.255", false),
        ("8.8.8.8", false),
        ("0.0.0.0", false),
        ("255.255.255.255", false),
        ("224.0.0.1", false),
        ("::1", true),
        ("::", false),
        ("::2", false),
        ("fe80::1", true),
        ("febf::1", true),
        ("fec0::1", false),
        ("fc00::1", true),
        ("fdff::1", true),
        ("fbff::1", false),
        ("fe00::1", false),
        ("2001:db8::1", false),
        ("ff02::1", false),
        ("::ffff:127.0.0.1", true),
        ("::ffff:192.168.0.9", true),
        ("::ffff:8.8.8.8", false),
        ("::ffff:100.64.0.1", false),
        // A v4-compatible address is no v4-mapped one.
        ("::127.0.0.1", false),
    ];

    #[test]
    fn only_our_own_networks_are_local() {
        for (text, local) in TABLE {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(is_local_network(address), *local, "{text}");
        }
    }
}
