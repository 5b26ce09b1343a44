//! Which families real programs have, and where addresses are cut.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn family(header: &str) -> String {
    UserAgentFamily::parse(header).as_str().to_owned()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// As sent by the programs themselves.
const REAL: [(&str, &str); 34] = [
    ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on macOS"),
    ("Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox on Android"),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile/15E148 Safari/605.1.15",
        "Firefox on iOS",
    ),
    ("Mozilla/5.0 (X11; FreeBSD amd64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on BSD"),
    ("Mozilla/5.0 (X11; OpenBSD amd64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on BSD"),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
        "Chrome on Windows",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
        "Chrome on macOS",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
        "Chrome on Linux",
    ),
    (
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
        "Chrome on ChromeOS",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
        "Chrome on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0.7204.119 Mobile/15E148 Safari/604.1",
        "Chrome on iOS",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/138.0.0.0 Safari/537.36",
        "Chrome on Linux",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Ubuntu Chromium/80.0.3987.163 Chrome/80.0.3987.163 Safari/537.36",
        "Chrome on Linux",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
        "Edge on Windows",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
        "Edge on macOS",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.7204.63 Mobile Safari/537.36 EdgA/138.0.3351.61",
        "Edge on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 EdgiOS/138.3351.65 Mobile/15E148 Safari/605.1.15",
        "Edge on iOS",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 OPR/120.0.0.0",
        "Opera on Windows",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
        "Samsung Internet on Android",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Vivaldi/7.4.3684.55",
        "Vivaldi on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 YaBrowser/25.6.0 Safari/537.36",
        "Yandex on Windows",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
        "Safari on macOS",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
        "Safari on iOS",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1",
        "Safari on iOS",
    ),
    ("curl/8.14.1", "curl"),
    ("Wget/1.25.0", "Wget"),
    ("python-requests/2.32.4", "python-requests"),
    ("Go-http-client/2.0", "Go-http-client"),
    ("okhttp/4.12.0", "okhttp"),
    ("MyShop/3.2 (iPhone; iOS 18.5; Scale/3.00)", "MyShop on iOS"),
    ("Dart/3.8 (dart:io)", "Dart"),
];

#[test]
fn real_programs_have_their_families() {
    for (header, expected) in REAL {
        assert_eq!(family(header), expected, "{header}");
    }
}

#[test]
fn an_upgrade_changes_no_family() {
    for (header, expected) in REAL {
        for digit in ['0', '3', '9'] {
            let upgraded: String = header.chars().map(|c| if c.is_ascii_digit() { digit } else { c }).collect();
            // But for a digit that is part of a name: "Win64", "x86_64" and "Mozilla/5.0" name nothing that is looked at.
            assert_eq!(family(&upgraded), expected, "{upgraded}");
        }
    }
}

#[test]
fn odd_headers_have_a_short_printable_family_too() {
    let cases = [
        ("", "unknown"),
        (" ", "unknown"),
        ("/1.0", "unknown"),
        ("(X11)", "unknown"),
        ("\0\x01\x1b[31m", "31m"),
        ("日本語/1.0", "unknown"),
        ("<script>alert(1)</script>", "scriptalert"),
        ("\"quoted\"", "quoted"),
        ("a\r\nSet-Cookie: b", "aSet-Cookie"),
    ];
    for (header, expected) in cases {
        assert_eq!(family(header), expected, "{header:?}");
    }
    assert_eq!(family(&"a".repeat(10_240)), "a".repeat(32));
    assert_eq!(family(&"é".repeat(5_120)), "unknown");
    assert_eq!(family(&format!("{}Firefox/1", " ".repeat(10_000))), "Firefox");
}

#[test]
fn a_stored_family_comes_back_as_it_was() {
    let family = UserAgentFamily::parse(REAL[0].0);
    assert_eq!(UserAgentFamily::from_stored(family.as_str().to_owned()), family);
    assert_eq!(family.to_string(), family.as_str());
}

#[test]
fn an_address_lies_in_its_first_16_or_32_bits() {
    let cases = [
        ("192.0.2.1", Network::V4([192, 0])),
        ("192.0.255.255", Network::V4([192, 0])),
        ("192.1.2.1", Network::V4([192, 1])),
        ("::ffff:192.0.2.1", Network::V4([192, 0])),
        ("2001:db8:1::1", Network::V6([0x20, 0x01, 0x0d, 0xb8])),
        ("2001:db8:ffff::1", Network::V6([0x20, 0x01, 0x0d, 0xb8])),
        ("2001:db9::1", Network::V6([0x20, 0x01, 0x0d, 0xb9])),
        ("::1", Network::V6([0; 4])),
    ];
    for (address, network) in cases {
        assert_eq!(Network::of(ip(address)), network, "{address}");
    }
}

#[test]
fn the_timeline_shows_24_or_48_bits() {
    let cases = [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::1", "::/48"),
    ];
    for (address, shown) in cases {
        let prefix = Prefix::of(ip(address));
        assert_eq!(prefix.to_string(), shown);
        assert_eq!(shown.parse::<Prefix>(), Ok(prefix));
    }
    assert!("".parse::<Prefix>().is_err());
    assert!("example".parse::<Prefix>().is_err());
}

#[test]
fn contexts_are_alike_by_family_and_network_whatever_the_address() {
    let context = |address: &str, agent: &str, digest: u8| Context {
        user_agent: UserAgentFamily::parse(agent),
        network: Network::of(ip(address)),
        address: AddressDigest([digest; 8]),
        prefix: Prefix::of(ip(address)),
    };
    let one = context("192.0.2.1", "curl/8", 1);
    assert!(one.is_like(&context("192.0.77.1", "curl/7", 2)));
    assert!(!one.is_like(&context("192.1.2.1", "curl/8", 1)));
    assert!(!one.is_like(&context("192.0.2.1", "wget/8", 1)));
}

fn nth(n: u8) -> Network {
    Network::V4([10, n])
}

#[test]
fn the_last_four_networks_are_remembered_newest_first() {
    let mut networks = Networks::starting_with(nth(0));
    for n in 1..5 {
        assert!(networks.contains(nth(0)), "the first is there until four others came");
        networks.note(nth(n));
    }
    assert!(!networks.contains(nth(0)));
    assert_eq!(networks, Networks([nth(4), nth(3), nth(2), nth(1)].map(Some)));
}

#[test]
fn a_network_that_comes_again_takes_no_second_place() {
    let mut networks = Networks::starting_with(nth(0));
    for n in [1, 2, 3, 0, 3, 3] {
        networks.note(nth(n));
    }
    assert_eq!(networks, Networks([nth(3), nth(0), nth(2), nth(1)].map(Some)));
    networks.note(nth(4));
    assert!(!networks.contains(nth(1)), "the one longest unused goes");
}

#[test]
fn bytes_that_are_no_networks_are_refused() {
    let five_networks = [4, 1, 1, 0, 0].repeat(5);
    let wrong: [&[u8]; 6] = [&[4], &[4, 1, 1, 0], &[5, 1, 1, 0, 0], &[4, 1, 1, 0, 1], &[4, 1, 1, 1, 0], &five_networks];
    for bytes in wrong {
        assert_eq!(Networks::from_bytes(bytes), None, "{bytes:?}");
    }
    assert_eq!(Networks::from_bytes(&[]), Some(Networks::default()));
}

fn any_network() -> impl Strategy<Value = Network> {
    prop_oneof![any::<[u8; 2]>().prop_map(Network::V4), any::<[u8; 4]>().prop_map(Network::V6)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn networks_come_back_from_their_bytes(noted in prop::collection::vec(any_network(), 0..9)) {
        let mut networks = Networks::default();
        for network in &noted {
            networks.note(*network);
            prop_assert!(networks.contains(*network));
        }
        prop_assert_eq!(Networks::from_bytes(&networks.to_bytes()), Some(networks));
    }

    #[test]
    fn a_prefix_comes_back_from_its_text_and_keeps_no_host(address: IpAddr) {
        let prefix = Prefix::of(address);
        prop_assert_eq!(prefix.to_string().parse::<Prefix>(), Ok(prefix));
        prop_assert_eq!(Network::of(prefix.0), Network::of(address));
    }

    #[test]
    fn any_header_has_a_short_printable_family(header in any::<String>()) {
        let family = family(&header);
        prop_assert!(!family.is_empty() && family.len() <= 32 + " on ChromeOS".len());
        prop_assert!(family.chars().all(|c| c.is_ascii_graphic() || c == ' '));
    }
}
