//! Special-purpose addresses: those that are not simply a host on the internet.
//!
//! Every block of IANA's two special-purpose registries, multicast, the transition ranges that
//! embed an IPv4 address, and the addresses at which clouds hand out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Special {
    /// Fits after "is": "a loopback address".
    pub what: &'static str,
    /// Whether a cloud hands out credentials there.
    pub metadata: bool,
}

/// Judges an address. None means an ordinary public one.
pub(super) fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// Names under which clouds hand out credentials.
pub(super) const METADATA_NAMES: &[&str] = &["metadata.google.internal", "metadata.goog"];

const METADATA: Special = Special { what: "a cloud metadata address", metadata: true };

const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(169, 254, 169, 254), // most clouds
    Ipv4Addr::new(169, 254, 170, 2),   // AWS, task credentials
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
];

type Block<A> = (A, u32, &'static str);

const fn v4(a: u8, b: u8, c: u8, prefix: u32, what: &'static str) -> Block<Ipv4Addr> {
    (Ipv4Addr::new(a, b, c, 0), prefix, what)
}

const BLOCKS_V4: &[Block<Ipv4Addr>] = &[
    v4(0, 0, 0, 8, "an address of this host (RFC 1122)"),
    v4(10, 0, 0, 8, "a private address (RFC 1918)"),
    v4(100, 64, 0, 10, "a shared address (RFC 6598)"),
    v4(127, 0, 0, 8, "a loopback address"),
    v4(169, 254, 0, 16, "a link-local address"),
    v4(172, 16, 0, 12, "a private address (RFC 1918)"),
    v4(192, 0, 0, 24, "an address of IETF protocols (RFC 6890)"),
    v4(192, 0, 2, 24, "a documentation address (RFC 5737)"),
    v4(192, 31, 196, 24, "an AS112 address (RFC 7535)"),
    v4(192, 52, 193, 24, "an AMT address (RFC 7450)"),
    v4(192, 88, 99, 24, "a 6to4 relay address (RFC 7526)"),
    v4(192, 168, 0, 16, "a private address (RFC 1918)"),
    v4(192, 175, 48, 24, "an AS112 address (RFC 7534)"),
    v4(198, 18, 0, 15, "a benchmarking address (RFC 2544)"),
    v4(198, 51, 100, 24, "a documentation address (RFC 5737)"),
    v4(203, 0, 113, 24, "a documentation address (RFC 5737)"),
    v4(224, 0, 0, 4, "a multicast address"),
    v4(240, 0, 0, 4, "a reserved address (RFC 1112)"),
];

const fn v6(head: [u16; 4], prefix: u32, what: &'static str) -> Block<Ipv6Addr> {
    (Ipv6Addr::new(head[0], head[1], head[2], head[3], 0, 0, 0, 0), prefix, what)
}

const BLOCKS_V6: &[Block<Ipv6Addr>] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "the unspecified address"),
    (Ipv6Addr::LOCALHOST, 128, "a loopback address"),
    (Ipv6Addr::UNSPECIFIED, 96, "an IPv4-compatible address (RFC 4291)"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "an IPv4-mapped address (RFC 4291)"),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, "an IPv4-translated address (RFC 7915)"),
    v6([0x64, 0xff9b, 0, 0], 96, "a NAT64 address (RFC 6052)"),
    v6([0x64, 0xff9b, 1, 0], 48, "a NAT64 address (RFC 8215)"),
    v6([0x100, 0, 0, 0], 64, "a discard address (RFC 6666)"),
    v6([0x100, 0, 0, 1], 64, "a dummy address (RFC 9780)"),
    v6([0x2001, 0, 0, 0], 32, "a Teredo address (RFC 4380)"),
    v6([0x2001, 0, 0, 0], 23, "an address of IETF protocols (RFC 2928)"),
    v6([0x2001, 0xdb8, 0, 0], 32, "a documentation address (RFC 3849)"),
    v6([0x2002, 0, 0, 0], 16, "a 6to4 address (RFC 3056)"),
    v6([0x2620, 0x4f, 0x8000, 0], 48, "an AS112 address (RFC 7534)"),
    v6([0x3fff, 0, 0, 0], 20, "a documentation address (RFC 9637)"),
    v6([0x5f00, 0, 0, 0], 16, "a segment-routing address (RFC 9602)"),
    v6([0xfc00, 0, 0, 0], 7, "a private address (RFC 4193)"),
    v6([0xfe80, 0, 0, 0], 10, "a link-local address"),
    v6([0xfec0, 0, 0, 0], 10, "a site-local address (RFC 3879)"),
    v6([0xff00, 0, 0, 0], 8, "a multicast address"),
];

/// All that IANA has given out for hosts on the internet.
const GLOBAL_UNICAST: Block<Ipv6Addr> = v6([0x2000, 0, 0, 0], 3, "global unicast");

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    if METADATA_V4.contains(&address) {
        return Some(METADATA);
    }
    let block = BLOCKS_V4.iter().find(|(network, prefix, _)| {
        network.to_bits() >> (32 - prefix) == address.to_bits() >> (32 - prefix)
    });
    block.map(|&(_, _, what)| Special { what, metadata: false })
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    if METADATA_V6.contains(&address) {
        return Some(METADATA);
    }
    // The embedded address first: "loopback" tells more than "IPv4-mapped".
    if let Some(special) = embedded(address).into_iter().flatten().find_map(special_v4) {
        return Some(special);
    }
    let what = BLOCKS_V6.iter().find(|block| within(address, block)).map(|&(_, _, what)| what);
    let unassigned =
        || (!within(address, &GLOBAL_UNICAST)).then_some("a reserved address (RFC 4291)");
    what.or_else(unassigned).map(|what| Special { what, metadata: false })
}

fn within(address: Ipv6Addr, &(network, prefix, _): &Block<Ipv6Addr>) -> bool {
    network.to_bits() >> (128 - prefix) == address.to_bits() >> (128 - prefix)
}

/// The IPv4 addresses inside a transition address. Teredo has two: the server and the client.
fn embedded(address: Ipv6Addr) -> Option<[Ipv4Addr; 2]> {
    let at = |shift: u32| {
        let low = (address.to_bits() >> shift) & u128::from(u32::MAX);
        Ipv4Addr::from_bits(u32::try_from(low).expect("it is masked to 32 bits"))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some([at(0); 2]),
        [0x64, 0xff9b, 0 | 1, ..] => Some([at(0); 2]),
        [0x2002, ..] => Some([at(80); 2]),
        [0x2001, 0, ..] => Some([at(64), Ipv4Addr::from_bits(!at(0).to_bits())]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(address: &str) -> Option<&'static str> {
        special(address.parse().expect(address)).map(|special| special.what)
    }

    /// The edges of a block, and the addresses next to them.
    #[test]
    fn every_block_is_special_up_to_its_edges() {
        for (below, first, last, above) in [
            ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
            ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"),
            ("192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"),
            ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
            ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("192.175.47.255", "192.175.48.0", "192.175.48.255", "192.175.49.0"),
            ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
            ("223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
            ("168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"),
            // IPv6. Outside 2000::/3 there is nothing public to be next to.
            ("", "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
            ("", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"),
            (
                "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db9::",
            ),
            (
                "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2002::",
                "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2003::",
            ),
            (
                "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
                "2620:4f:8000::",
                "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
                "2620:4f:8001::",
            ),
            (
                "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "3fff::",
                "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
                "3fff:1000::",
            ),
            (
                "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "4000::",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "",
            ),
        ] {
            for inside in [first, last] {
                assert!(what(inside).is_some(), "{inside} is special");
            }
            for outside in [below, above].into_iter().filter(|text| !text.is_empty()) {
                assert_eq!(what(outside), None, "{outside} is public");
            }
        }
    }

    #[test]
    fn an_address_is_named_for_what_it_is() {
        for (address, expected) in [
            ("127.0.0.1", "a loopback address"),
            ("10.1.2.3", "a private address (RFC 1918)"),
            ("172.31.255.255", "a private address (RFC 1918)"),
            ("192.168.0.1", "a private address (RFC 1918)"),
            ("169.254.0.1", "a link-local address"),
            ("100.64.0.1", "a shared address (RFC 6598)"),
            ("0.0.0.0", "an address of this host (RFC 1122)"),
            ("255.255.255.255", "a reserved address (RFC 1112)"),
            ("239.1.1.1", "a multicast address"),
            ("::1", "a loopback address"),
            ("::", "the unspecified address"),
            ("::2", "an address of this host (RFC 1122)"),
            ("fe80::1", "a link-local address"),
            ("fec0::1", "a site-local address (RFC 3879)"),
            ("fd12::1", "a private address (RFC 4193)"),
            ("ff02::1", "a multicast address"),
            ("100::1", "a discard address (RFC 6666)"),
            ("100:0:0:1::1", "a dummy address (RFC 9780)"),
            ("100:0:0:2::1", "a reserved address (RFC 4291)"),
            ("5f00::1", "a segment-routing address (RFC 9602)"),
            ("2001:20::1", "an address of IETF protocols (RFC 2928)"),
        ] {
            assert_eq!(what(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn an_embedded_address_is_judged_too() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", "a loopback address"),
            ("::ffff:8.8.8.8", "an IPv4-mapped address (RFC 4291)"),
            ("::10.0.0.1", "a private address (RFC 1918)"),
            ("::8.8.8.8", "an IPv4-compatible address (RFC 4291)"),
            ("::ffff:0:192.168.0.1", "a private address (RFC 1918)"),
            ("::ffff:0:8.8.8.8", "an IPv4-translated address (RFC 7915)"),
            ("64:ff9b::10.0.0.1", "a private address (RFC 1918)"),
            ("64:ff9b::8.8.8.8", "a NAT64 address (RFC 6052)"),
            ("64:ff9b:1::127.0.0.1", "a loopback address"),
            ("64:ff9b:1::8.8.8.8", "a NAT64 address (RFC 8215)"),
            ("2002:a00:1::", "a private address (RFC 1918)"),
            ("2002:808:808::", "a 6to4 address (RFC 3056)"),
            // Teredo: the server's address as it is, the client's with its bits turned.
            ("2001:0:7f00:1::", "a loopback address"),
            ("2001:0:808:808::f5ff:fffe", "a private address (RFC 1918)"),
            ("2001:0:808:808::f7f7:f7f7", "a Teredo address (RFC 4380)"),
        ] {
            assert_eq!(what(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn cloud_metadata_is_known_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ] {
            let address: IpAddr = address.parse().expect(address);
            assert_eq!(special(address), Some(METADATA), "{address}");
        }
    }
}
