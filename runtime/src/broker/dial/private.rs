//! Addresses that stay within a private network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether nobody on the internet sees what is sent there. Stricter than "special-purpose", which
/// also holds addresses that lead to the internet in disguise (NAT64, 6to4, anycast).
pub(super) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    let is_benchmarking = first == 198 && (18..20).contains(&second);
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        // On Linux, this host.
        || address.is_unspecified()
        || is_shared
        || is_benchmarking
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_private_only_where_the_internet_is_not() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("0.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("172.16.0.1", true),
            ("172.32.0.0", false),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("100.127.255.255", true),
            ("100.128.0.0", false),
            ("198.18.0.1", true),
            ("198.20.0.0", false),
            ("192.88.99.1", false),
            ("8.8.8.8", false),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("fec0::1", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:8.8.8.8", false),
            ("::8.8.8.8", false),
            ("64:ff9b::10.0.0.1", false),
            ("2002:a00:1::", false),
            ("2606:4700::1", false),
        ] {
            assert_eq!(is_private(address.parse().expect(address)), expected, "{address}");
        }
    }
}
