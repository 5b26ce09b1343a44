//! Which addresses are public: where anybody may connect to, and so we may for anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether anybody on the internet can mean this address, and nobody can mean a machine of ours by it. What the IANA has set apart
/// (RFC 6890 and its registries) is not public, whatever for.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_apart = match (a, b, c) {
        // "This network" (RFC 791 §3.2): on many systems the unspecified address is the machine itself.
        (0, ..) => true,
        // Private (RFC 1918).
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => true,
        // Shared by a carrier's customers (RFC 6598).
        (100, 64..=127, _) => true,
        // Loopback (RFC 1122 §3.2.1.3).
        (127, ..) => true,
        // Link-local (RFC 3927): where clouds tell a machine its secrets.
        (169, 254, _) => true,
        // IETF protocols (RFC 6890), relays of 6to4 (RFC 7526).
        (192, 0, 0) | (192, 88, 99) => true,
        // Documentation (RFC 5737), benchmarks (RFC 2544).
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) | (198, 18..=19, _) => true,
        // Multicast, reserved, broadcast (RFC 5771, RFC 1112 §4, RFC 919).
        (224.., ..) => true,
        _ => false,
    };
    !is_apart
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // A translator's prefix (RFC 6052 §2.1): the IPv4 address is in the end of it, and is where one gets.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // IETF protocols (RFC 2928), with Teredo, which has an IPv4 address in it.
        [0x2001, 0..=0x1ff, ..] => false,
        // Documentation (RFC 3849, RFC 9637).
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // 6to4 (RFC 3056): an IPv4 address in disguise.
        [0x2002, ..] => false,
        // Global unicast (RFC 4291 §2.4). All else is not: ::, ::1, IPv4-mapped and -compatible, unique local (fc00::/7),
        // link-local (fe80::/10), multicast (ff00::/8), and what has no use yet.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}
