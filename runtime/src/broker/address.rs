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
    Ipv4Addr::new(169, 254, 170, 23),  // AWS, pod credentials
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // AWS, pod credentials
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),   // Scaleway
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // OpenStack
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
    // Every cloud picks its own link-local addresses for credentials, and new ones come up.
    block.map(|&(_, _, what)| Special { what, metadata: address.is_link_local() })
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    if METADATA_V6.contains(&address) {
        return Some(METADATA);
    }
    // An embedded address first: "loopback" tells more than "IPv4-mapped".
    special_inside(address).or_else(|| {
        let what = BLOCKS_V6.iter().find(|block| within(address, block)).map(|&(_, _, what)| what);
        let isatap = || is_isatap(address).then_some("an ISATAP address (RFC 5214)");
        let unassigned =
            || (!within(address, &GLOBAL_UNICAST)).then_some("a reserved address (RFC 4291)");
        what.or_else(isatap).or_else(unassigned).map(|what| Special { what, metadata: false })
    })
}

/// Judges the embedded addresses. Metadata counts wherever it stands, so that no other special
/// address beside it makes it look harmless.
fn special_inside(address: Ipv6Addr) -> Option<Special> {
    let inside: Vec<_> = embedded(address).into_iter().filter_map(special_v4).collect();
    let other_readings = local_nat64(address).into_iter().filter_map(special_v4);
    let metadata = inside.iter().copied().chain(other_readings).find(|special| special.metadata);
    metadata.or_else(|| inside.first().copied())
}

fn within(address: Ipv6Addr, &(network, prefix, _): &Block<Ipv6Addr>) -> bool {
    network.to_bits() >> (128 - prefix) == address.to_bits() >> (128 - prefix)
}

/// The IPv4 addresses inside a transition address. Teredo has two: the server and the client.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let at = |shift: u32| {
        let low = (address.to_bits() >> shift) & u128::from(u32::MAX);
        Ipv4Addr::from_bits(u32::try_from(low).expect("it is masked to 32 bits"))
    };
    let mut inside = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => vec![],
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => vec![at(0)],
        [0x64, 0xff9b, 0 | 1, ..] => vec![at(0)],
        [0x2002, ..] => vec![at(80)],
        [0x2001, 0, ..] => vec![at(64), Ipv4Addr::from_bits(!at(0).to_bits())],
        _ => vec![],
    };
    // Under any prefix, also that of another transition.
    inside.extend(is_isatap(address).then(|| at(0)));
    inside
}

/// An interface's name that is an IPv4 address (RFC 5214), whatever network it is on.
fn is_isatap(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, ..])
}

/// What a local NAT64 address holds under the shorter prefixes that a network may choose, which put
/// the IPv4 address around the ninth octet (RFC 6052, 2.2).
fn local_nat64(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [0, 0x64, 0xff, 0x9b, 0, 1, rest @ ..] = address.octets() else { return vec![] };
    let [six, seven, _, nine, ten, eleven, twelve, ..] = rest;
    [[six, seven, nine, ten], [seven, nine, ten, eleven], [nine, ten, eleven, twelve]]
        .map(Ipv4Addr::from)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(address: &str) -> Option<&'static str> {
        special(address.parse().expect(address)).map(|special| special.what)
    }

    /// IANA's registries and what they leave out.
    const SPECIAL_PURPOSE: &str = include_str!("testdata/special-purpose.txt");

    fn blocks() -> Vec<(IpAddr, u32, &'static str)> {
        let lines =
            SPECIAL_PURPOSE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = |line: &'static str| {
            let (block, _) = line.split_once(" | ").expect(line);
            let (network, prefix) = block.trim().split_once('/').expect(line);
            (network.parse().expect(line), prefix.parse().expect(line), line)
        };
        lines.map(read).collect()
    }

    /// An address as the number that it is, at the top of 128 bits.
    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    fn address(bits: u128, like: IpAddr) -> IpAddr {
        match like {
            IpAddr::V4(_) => Ipv4Addr::from_bits((bits >> 96) as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
        }
    }

    /// The last address before a block, its first, its last, and the first one after it.
    fn edges(network: IpAddr, prefix: u32) -> Vec<IpAddr> {
        let first = bits(network);
        let last = first | u128::MAX.checked_shr(prefix).unwrap_or(0);
        let step = if network.is_ipv4() { 1 << 96 } else { 1 };
        let numbers = [first.checked_sub(step), Some(first), Some(last), last.checked_add(step)];
        numbers.into_iter().flatten().map(|bits| address(bits, network)).collect()
    }

    /// Whether the table holds an address: a neighbour of one block may lie in another.
    fn is_listed(given: IpAddr) -> bool {
        blocks().into_iter().any(|(network, prefix, _)| {
            let differing = bits(network) ^ bits(given);
            network.is_ipv4() == given.is_ipv4() && differing.leading_zeros() >= prefix
        })
    }

    #[test]
    fn every_block_of_the_registries_is_special_up_to_its_edges() {
        let blocks = blocks();
        assert!(blocks.len() >= 60, "{} blocks", blocks.len());
        for (network, prefix, line) in blocks {
            assert!(is_listed(network), "{line}");
            for edge in edges(network, prefix) {
                assert_eq!(special(edge).is_some(), is_listed(edge), "{edge} at {line}");
            }
        }
    }

    /// Every way to write an IPv4 address into an IPv6 address.
    fn embeddings(inner: Ipv4Addr) -> Vec<Ipv6Addr> {
        let bits = u128::from(inner.to_bits());
        let [a, b, c, d] = inner.octets().map(u128::from);
        let from = |head: &str, bits: u128| {
            let head: Ipv6Addr = head.parse().expect(head);
            Ipv6Addr::from_bits(head.to_bits() | bits)
        };
        vec![
            from("::", bits),
            from("::ffff:0:0", bits),
            from("::ffff:0:0:0", bits),
            from("64:ff9b::", bits),
            from("64:ff9b:1::", bits),
            from("64:ff9b:1:ffff::", bits),
            // RFC 6052, 2.2: prefixes of 48, 56 and 64 bits go round the bits 64 to 71.
            from("64:ff9b:1::", a << 72 | b << 64 | c << 48 | d << 40),
            from("64:ff9b:1:100::", a << 64 | b << 48 | c << 40 | d << 32),
            from("64:ff9b:1:1::", a << 48 | b << 40 | c << 32 | d << 24),
            from("2002::", bits << 80),
            from("2002::5efe:808:808", bits << 80),
            from("2001::", bits << 64 | 0xf7f7_f7f7),
            from("2001:0:808:808::", bits ^ 0xffff_ffff),
            from("2001:0:7f00:1::", bits ^ 0xffff_ffff),
            from("2a00:1450::5efe:0:0", bits),
            from("2a00:1450::200:5efe:0:0", bits),
            from("fe80::5efe:0:0", bits),
        ]
    }

    #[test]
    fn no_embedding_hides_an_address() {
        for (network, prefix, line) in blocks() {
            for edge in edges(network, prefix) {
                let IpAddr::V4(edge) = edge else { continue };
                for outside in embeddings(edge) {
                    assert!(special(outside.into()).is_some(), "{edge} in {outside} at {line}");
                }
            }
        }
    }

    #[test]
    fn no_embedding_hides_cloud_metadata() {
        for &inner in METADATA_V4 {
            for outside in embeddings(inner) {
                let metadata = special(outside.into()).is_some_and(|special| special.metadata);
                assert!(metadata, "{inner} in {outside}");
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
            "169.254.170.23",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd00:42::42",
            "fd20:ce::254",
            "fe80::a9fe:a9fe",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ] {
            let address: IpAddr = address.parse().expect(address);
            assert_eq!(special(address), Some(METADATA), "{address}");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However it is put into an address of the other family.
        #[test]
        fn a_special_address_is_special_wherever_it_is_embedded(bits: u32, below in 0u32..1 << 24) {
            let blocks = BLOCKS_V4.iter().map(|(network, ..)| network.to_bits() | below & 0xff);
            for v4 in blocks.chain([bits]).map(Ipv4Addr::from_bits) {
                let Some(known) = special(v4.into()) else { continue };
                let [a, b, c, d] = v4.octets();
                let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                for v6 in [
                    v4.to_ipv6_mapped(),
                    v4.to_ipv6_compatible(),
                    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                    Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                    Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
                    Ipv6Addr::new(0x2a00, 1, 2, 3, 0, 0x5efe, high, low),
                ] {
                    let found = special(v6.into());
                    prop_assert!(found.is_some(), "{} in {}", v4, v6);
                    prop_assert!(!known.metadata || found.is_some_and(|it| it.metadata), "{}", v6);
                }
            }
        }

        #[test]
        fn what_the_standard_library_calls_special_is(bits: u128) {
            let v6 = Ipv6Addr::from_bits(bits);
            let is_known = v6.is_loopback() || v6.is_multicast() || v6.is_unique_local();
            prop_assert!(!is_known || special(v6.into()).is_some(), "{}", v6);
            let v4 = Ipv4Addr::from_bits(bits as u32);
            let is_known = v4.is_loopback() || v4.is_private() || v4.is_link_local();
            let is_known = is_known || v4.is_multicast() || v4.is_broadcast() || v4.is_documentation();
            prop_assert!(!is_known || special(v4.into()).is_some(), "{}", v4);
        }
    }
}
