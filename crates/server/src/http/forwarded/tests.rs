//! Forged headers, and those that can be believed.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{MOST_HOPS, Outside, Proxies};

const PROXY: &str = "10.0.0.1";

fn proxies() -> Proxies {
    let trusted: Vec<_> =
        ["10.0.0.0/8", "::1", "2001:db8:aa::/48"].iter().map(|range| range.parse().unwrap()).collect();
    Proxies::new(&trusted)
}

fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    map
}

/// The client's address for a request from `peer` with these headers.
fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
    let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    proxies().past(peer.parse().unwrap(), &headers(&lines)).address.to_string()
}

const XFF: &str = "x-forwarded-for";
const FWD: &str = "forwarded";

#[test]
fn nobody_but_a_trusted_proxy_is_believed() {
    let claims: &[&[(&'static str, &str)]] = &[
        &[(XFF, "198.51.100.7")],
        &[(FWD, "for=198.51.100.7")],
        &[(XFF, "198.51.100.7"), (FWD, "for=198.51.100.7")],
        &[(XFF, "10.0.0.1")],
        &[(XFF, "127.0.0.1"), ("x-real-ip", "127.0.0.1"), ("cf-connecting-ip", "127.0.0.1")],
        &[(FWD, "for=10.0.0.1, for=10.0.0.2")],
    ];
    for claim in claims {
        for peer in ["203.0.113.9", "127.0.0.1", "11.0.0.1", "2001:db8:ab::1", "::2", "::ffff:203.0.113.9"] {
            let own = peer.parse::<IpAddr>().unwrap().to_canonical().to_string();
            assert_eq!(client(peer, claim), own, "{claim:?}");
        }
    }
    let nobody = Proxies::new(&[]);
    let origin = nobody.past(
        "127.0.0.1".parse().unwrap(),
        &headers(&[(XFF, b"1.2.3.4"), ("x-forwarded-proto", b"http"), ("x-forwarded-host", b"evil.example")]),
    );
    assert_eq!((origin.address.to_string().as_str(), origin.outside), ("127.0.0.1", Outside::default()));
}

/// The lines of one header from a trusted peer, and the client.
const X_FORWARDED_FOR: &[(&[&str], &str)] = &[
    (&[], PROXY),
    (&[""], PROXY),
    (&[" , ,"], PROXY),
    (&["203.0.113.9"], "203.0.113.9"),
    (&["  203.0.113.9\t"], "203.0.113.9"),
    (&["203.0.113.9:54321"], "203.0.113.9"),
    (&["2001:db8::9"], "2001:db8::9"),
    (&["[2001:db8::9]"], "2001:db8::9"),
    (&["[2001:db8::9]:443"], "2001:db8::9"),
    (&["::ffff:203.0.113.9"], "203.0.113.9"),
    // What stands left of the client was written by the client.
    (&["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
    (&["10.0.0.7, 203.0.113.9"], "203.0.113.9"),
    (&["198.51.100.7, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
    (&["198.51.100.7, 203.0.113.9, ::1, 2001:db8:aa::3, 10.0.0.2"], "203.0.113.9"),
    (&["2001:db8::6, 203.0.113.9, 2001:db8:aa::3"], "203.0.113.9"),
    (&["203.0.113.9, 2001:db8::6"], "2001:db8::6"),
    (&["garbage<script>, 203.0.113.9"], "203.0.113.9"),
    (&["\"quoted, 203.0.113.9"], "203.0.113.9"),
    // Several lines are one list.
    (&["198.51.100.7", "203.0.113.9"], "203.0.113.9"),
    (&["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
    (&["198.51.100.7, 203.0.113.9", "10.0.0.3, 10.0.0.2", ""], "203.0.113.9"),
    // Proxies only: the first of them is the client (a server that calls for itself).
    (&["10.0.0.2"], "10.0.0.2"),
    (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    // What cannot be read ends the walk at the hop before it.
    (&["unknown"], PROXY),
    (&["203.0.113.9, unknown"], PROXY),
    (&["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
    (&["203.0.113.9, _hidden, 10.0.0.2"], "10.0.0.2"),
    (&["203.0.113.999"], PROXY),
    (&["203.0.113.9:"], PROXY),
    (&["203.0.113.9:70000"], PROXY),
    (&["0xcb.0.113.9"], PROXY),
    (&["0313.0.113.9"], PROXY),
    (&["3405803785"], PROXY),
    (&["[203.0.113.9]"], PROXY),
    (&["2001:db8::9]"], PROXY),
    (&["fe80::1%eth0"], PROXY),
    (&["203.0.113.9 10.0.0.2"], PROXY),
    (&["203.0.113.9;10.0.0.2"], PROXY),
    (&["for=203.0.113.9"], PROXY),
];

#[test]
fn the_last_untrusted_hop_of_x_forwarded_for_is_the_client() {
    for (lines, expected) in X_FORWARDED_FOR {
        let lines: Vec<_> = lines.iter().map(|line| (XFF, *line)).collect();
        assert_eq!(client(PROXY, &lines), *expected, "{lines:?}");
    }
}

const FORWARDED: &[(&[&str], &str)] = &[
    (&[], PROXY),
    (&[""], PROXY),
    (&[", ;,"], PROXY),
    (&["for=203.0.113.9"], "203.0.113.9"),
    (&["For=\"203.0.113.9:47011\""], "203.0.113.9"),
    (&["FOR=203.0.113.9;Proto=https;by=10.0.0.1"], "203.0.113.9"),
    (&["by=10.0.0.1;for=203.0.113.9"], "203.0.113.9"),
    (&["for=\"[2001:db8:cafe::17]\""], "2001:db8:cafe::17"),
    (&["for=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
    (&["for=\"[2001:db8:cafe::17]:_port\""], "2001:db8:cafe::17"),
    (&["for=\"[::ffff:203.0.113.9]\""], "203.0.113.9"),
    (&["for=\"203\\.0.113.9\""], "203.0.113.9"),
    (&["for=\"203.0.113.9:_gazonk\""], "203.0.113.9"),
    (&["for=203.0.113.9; proto=https ; host=\"a.example:8443\""], "203.0.113.9"),
    (&["for=203.0.113.9;;proto=https;"], "203.0.113.9"),
    (&["for=203.0.113.9;secret=\"x, for=1.1.1.1\""], "203.0.113.9"),
    // Spoofed on the left.
    (&["for=198.51.100.7, for=203.0.113.9"], "203.0.113.9"),
    (&["for=10.0.0.7, for=203.0.113.9, for=10.0.0.2"], "203.0.113.9"),
    (&["for=198.51.100.7", "for=203.0.113.9", "for=\"[2001:db8:aa::3]\", for=10.0.0.2"], "203.0.113.9"),
    // A line that cannot be read hides the lines before it, not those behind it.
    (&["for=\"", "for=203.0.113.9"], "203.0.113.9"),
    (&["for=198.51.100.7", "for=\"", "for=10.0.0.2"], "10.0.0.2"),
    // Proxies only.
    (&["for=10.0.0.3, for=10.0.0.2"], "10.0.0.3"),
    // Hidden.
    (&["for=unknown"], PROXY),
    (&["for=UNKNOWN"], PROXY),
    (&["for=_SEVKISEK"], PROXY),
    (&["for=\"_gazonk:80\""], PROXY),
    (&["for=203.0.113.9, for=unknown, for=10.0.0.2"], "10.0.0.2"),
    (&["for=203.0.113.9, for=_hidden"], PROXY),
    (&["for=203.0.113.9, proto=https"], PROXY),
    // Unreadable: an attacker's open quote must not swallow what the proxy appends.
    (&["for=198.51.100.7;x=\", for=203.0.113.9"], PROXY),
    (&["for=198.51.100.7;x=\", for=\"[2001:db8::9]\""], PROXY),
    (&["for=198.51.100.7;x=\"\\, for=203.0.113.9;host=\"a\""], PROXY),
    (&["for=203.0.113.9;for=198.51.100.7"], PROXY),
    (&["for=203.0.113.9;For=203.0.113.9"], PROXY),
    (&["for"], PROXY),
    (&["for="], PROXY),
    (&["=203.0.113.9"], PROXY),
    (&["for =203.0.113.9"], PROXY),
    (&["for= 203.0.113.9"], PROXY),
    (&["for=203.0.113.9 for=198.51.100.7"], PROXY),
    (&["for=203.0.113.9:80"], PROXY),
    (&["for=[2001:db8::9]"], PROXY),
    (&["for=\"2001:db8::9\""], PROXY),
    (&["for=\"[203.0.113.9]\""], PROXY),
    (&["for=\"[2001:db8::9\""], PROXY),
    (&["for=\"[2001:db8::9]x\""], PROXY),
    (&["for=\"203.0.113.9:123456\""], PROXY),
    (&["for=\"203.0.113.9:\""], PROXY),
    (&["for=\" 203.0.113.9\""], PROXY),
    (&["for=\"203.0.113.9\"x"], PROXY),
    (&["203.0.113.9"], PROXY),
];

#[test]
fn the_last_untrusted_hop_of_forwarded_is_the_client() {
    for (lines, expected) in FORWARDED {
        let lines: Vec<_> = lines.iter().map(|line| (FWD, *line)).collect();
        assert_eq!(client(PROXY, &lines), *expected, "{lines:?}");
    }
}

#[test]
fn two_headers_that_contradict_each_other_are_not_believed() {
    for (forwarded, unofficial, expected) in [
        ("for=203.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("for=1.1.1.1, for=203.0.113.9", "2.2.2.2, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        // A proxy that sets one and passes the client's other on.
        ("for=198.51.100.7", "203.0.113.9", PROXY),
        ("for=198.51.100.7", "203.0.113.9, 10.0.0.2", PROXY),
        ("for=unknown", "203.0.113.9", PROXY),
        ("for=\"", "203.0.113.9", PROXY),
        ("for=203.0.113.9", "unknown", PROXY),
        // An empty header says nothing.
        ("", "203.0.113.9", "203.0.113.9"),
        ("for=203.0.113.9", " ,", "203.0.113.9"),
    ] {
        let lines = [(FWD, forwarded), (XFF, unofficial)];
        assert_eq!(client(PROXY, &lines), expected, "{lines:?}");
    }
}

#[test]
fn nothing_is_read_without_end() {
    // More hops than anybody has.
    let chain = vec!["10.0.0.2"; MOST_HOPS + 8].join(", ");
    assert_eq!(client(PROXY, &[(XFF, &format!("203.0.113.9, {chain}"))]), "10.0.0.2");
    let lines: Vec<_> =
        std::iter::once((XFF, "203.0.113.9")).chain(std::iter::repeat_n((XFF, "10.0.0.2"), MOST_HOPS)).collect();
    assert_eq!(client(PROXY, &lines), "10.0.0.2");
    // A long list from the client does not hide the client.
    let padding = vec!["198.51.100.7"; 1000].join(",");
    assert_eq!(client(PROXY, &[(XFF, &format!("{padding}, 203.0.113.9"))]), "203.0.113.9");
    assert_eq!(client(PROXY, &[(XFF, &format!("{}, 203.0.113.9", "x".repeat(10_000)))]), "203.0.113.9");
    assert_eq!(client(PROXY, &[(XFF, &"9".repeat(10_000))]), PROXY);
    // A `Forwarded` line is read whole or not at all.
    let padding = vec!["for=198.51.100.7"; 1000].join(",");
    assert_eq!(client(PROXY, &[(FWD, &format!("{padding}, for=203.0.113.9"))]), PROXY);
    assert_eq!(client(PROXY, &[(FWD, &padding), (FWD, "for=203.0.113.9")]), "203.0.113.9");
}

#[test]
fn bytes_that_are_no_text_end_the_walk_and_nothing_else() {
    let origin =
        |lines: &[(&'static str, &[u8])]| proxies().past(PROXY.parse().unwrap(), &headers(lines)).address.to_string();
    assert_eq!(origin(&[(XFF, b"\xff\xfe, 203.0.113.9")]), "203.0.113.9");
    assert_eq!(origin(&[(XFF, b"203.0.113.9, \xff")]), PROXY);
    assert_eq!(origin(&[(FWD, b"for=\"\xff\""), (FWD, b"for=203.0.113.9")]), "203.0.113.9");
    assert_eq!(origin(&[(FWD, b"for=\xff, for=203.0.113.9")]), PROXY);
}

#[test]
fn scheme_and_host_are_those_of_the_outermost_trusted_hop() {
    let https = |said| Outside { https: Some(said), loopback_host: None };
    type Lines = &'static [(&'static str, &'static [u8])];
    let cases: &[(Lines, Outside)] = &[
        (&[], Outside::default()),
        (&[("x-forwarded-proto", b"https")], https(true)),
        (&[("x-forwarded-proto", b"HTTPS")], https(true)),
        (&[("x-forwarded-proto", b"http")], https(false)),
        (&[("x-forwarded-proto", b"quic")], https(false)),
        // With one hop the newest entry is the proxy's own; what stands left of it may be the client's.
        (&[(XFF, b"203.0.113.9"), ("x-forwarded-proto", b"https, http")], https(false)),
        // With two hops, the outer proxy's.
        (&[(XFF, b"203.0.113.9, 10.0.0.2"), ("x-forwarded-proto", b"https, http")], https(true)),
        (&[(XFF, b"203.0.113.9, 10.0.0.2"), ("x-forwarded-proto", b"https")], https(true)),
        (&[(FWD, b"for=203.0.113.9;proto=https")], https(true)),
        (&[(FWD, b"for=203.0.113.9;proto=http")], https(false)),
        (&[(FWD, b"for=1.1.1.1;proto=http, for=203.0.113.9;proto=https")], https(true)),
        (&[(FWD, b"for=203.0.113.9;proto=https, for=10.0.0.2;proto=http")], https(true)),
        (&[(FWD, b"for=203.0.113.9, for=10.0.0.2;proto=https")], https(true)),
        // The worse counts.
        (&[(FWD, b"for=203.0.113.9;proto=https"), ("x-forwarded-proto", b"http")], https(false)),
        (
            &[("x-forwarded-proto", b"http"), ("x-forwarded-host", b"app.example")],
            Outside { https: Some(false), loopback_host: Some(false) },
        ),
        (
            &[(FWD, b"for=203.0.113.9;host=\"localhost:8080\""), ("x-forwarded-host", b"app.example")],
            Outside { https: None, loopback_host: Some(false) },
        ),
        (&[("x-forwarded-host", b"localhost:3000")], Outside { https: None, loopback_host: Some(true) }),
    ];
    for (lines, expected) in cases {
        let origin = proxies().past(PROXY.parse().unwrap(), &headers(lines));
        assert_eq!(origin.outside, *expected, "{lines:?}");
        let forged = proxies().past("203.0.113.9".parse().unwrap(), &headers(lines));
        assert_eq!(forged.outside, Outside::default(), "{lines:?}");
    }
}
