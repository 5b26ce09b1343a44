//! The refresh token: a vector made elsewhere, and every way to present one that we never issued.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

const ISSUER: &str = "https://id.example";
const GRANT: GrantId =
    GrantId([0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f]);
const SALT: Salt =
    Salt([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]);

fn master() -> Master {
    Master::new(std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn other_master() -> Master {
    Master::new([0x42; 32])
}

fn keys_of(masters: &[(u8, Master)], active: u8, issuer: &str) -> RefreshKeys {
    let masters = masters.iter().map(|(id, master)| (KeyId(*id), master.clone())).collect();
    RefreshKeys::new(&masters, KeyId(active), issuer).unwrap()
}

/// One master, number 7.
fn keys() -> RefreshKeys {
    keys_of(&[(7, master())], 7, ISSUER)
}

fn token(keys: &RefreshKeys, endpoint: Endpoint) -> String {
    keys.issue(endpoint, keys.active(), &GRANT, Generation(5), &SALT).unwrap().expose().to_owned()
}

/// Whether a server with these keys would act on `text`.
fn is_ours(keys: &RefreshKeys, endpoint: Endpoint, text: &str) -> bool {
    keys.open(endpoint, text).is_ok_and(|presented| keys.is_genuine(&presented, &SALT))
}

/// Made with Python, from RFC 5869 and this module's header alone:
///
/// ```python
/// import hmac, hashlib, base64
/// sha = lambda key, data: hmac.new(key, data, hashlib.sha256).digest()
/// master, issuer = bytes(range(32)), b"https://id.example"
/// grant, salt = bytes(range(0x10, 0x20)), bytes(range(0xa0, 0xb0))
/// for label, generation in ((b"regrant/refresh/session/v1", 1), (b"regrant/refresh/oauth/v1", 0x01020304)):
///     k = sha(sha(b"\0" * 32, master), label + issuer + b"\x01")
///     body = bytes([7]) + grant + generation.to_bytes(4, "big")
///     gate, mac = sha(k, label + b"\0" + body)[:8], sha(k, label + b"\0" + body + salt)[:16]
///     print("rg1_" + base64.urlsafe_b64encode(body + gate + mac).decode())
/// print(sha(master, b"regrant/refresh/check/v1\0\x07")[:16].hex())
/// ```
#[test]
fn the_format_is_that_of_the_vectors() {
    let keys = keys();
    let vectors = [
        (Endpoint::Session, 1, "rg1_BxAREhMUFRYXGBkaGxwdHh8AAAABg_GmCZ9BAZfPr4xN5Uj_V2KOZnPwFJ5o"),
        (Endpoint::OAuth, 0x0102_0304, "rg1_BxAREhMUFRYXGBkaGxwdHh8BAgMENw3bNRR6LTZvxXojiAJ3wCJVD_BbzEjn"),
    ];
    for (endpoint, generation, text) in vectors {
        let issued = keys.issue(endpoint, KeyId(7), &GRANT, Generation(generation), &SALT);
        assert_eq!(issued.unwrap().expose(), text);
        assert!(is_ours(&keys, endpoint, text));
    }
    let check = 0xbd8a_73b8_65a6_b90d_fe51_5a54_701a_e625_u128.to_be_bytes();
    assert_eq!(master().check_value(KeyId(7)), check);
}

#[test]
fn a_token_is_64_characters_with_a_prefix_that_scanners_find() {
    let text = token(&keys(), Endpoint::Session);
    assert_eq!((text.len(), LENGTH), (64, 64));
    assert!(text.starts_with("rg1_"));
    let url_safe = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    assert!(text.chars().all(url_safe));
}

#[test]
fn any_flipped_bit_is_refused() {
    // Both neighbours of the key's number are known, so that a flip in it can be refused by nothing but the gate.
    let masters: Vec<(u8, Master)> = (0..=255).map(|id| (id, master())).collect();
    for keys in [keys(), keys_of(&masters, 7, ISSUER)] {
        for endpoint in [Endpoint::Session, Endpoint::OAuth] {
            let text = token(&keys, endpoint);
            let bytes = URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).unwrap();
            assert_eq!(bytes.len(), 45);
            for bit in 0..45 * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let flipped = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&flipped));
                assert!(!is_ours(&keys, endpoint, &flipped), "bit {bit}");
                let in_the_mac = bit / 8 >= BODY + GATE;
                assert_eq!(keys.open(endpoint, &flipped).is_ok(), in_the_mac, "bit {bit}");
            }
        }
    }
}

#[test]
fn any_changed_character_is_refused() {
    let keys = keys();
    let text = token(&keys, Endpoint::Session);
    for place in 0..LENGTH {
        for byte in 0..=127_u8 {
            let mut changed = text.clone().into_bytes();
            changed[place] = byte;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(is_ours(&keys, Endpoint::Session, &changed), changed == text, "{place}, {byte}");
        }
    }
}

#[test]
fn text_of_any_other_form_is_unknown() {
    let keys = keys();
    let text = token(&keys, Endpoint::Session);
    let body = &text[PREFIX.len()..];
    let wrong = [
        String::new(),
        "rg1_".to_owned(),
        body.to_owned(),
        text[..63].to_owned(),
        format!("{text}A"),
        format!("{text}="),
        format!("{text}\n"),
        format!(" {text}"),
        format!(" {}", &text[..63]),
        format!("{} ", &text[..63]),
        format!("{}=", &text[..63]),
        format!("{}====", &text[..60]),
        format!("{}\0", &text[..63]),
        format!("RG1_{body}"),
        format!("rg2_{body}"),
        format!("rg1.{body}"),
        format!("{PREFIX}+{}", &body[1..]),
        format!("{PREFIX}/{}", &body[1..]),
        // 64 bytes, but not 64 characters: no cut may fall within one.
        format!("{PREFIX}{}é", &body[..58]),
        format!("rg1é{}", &body[..59]),
        "é".repeat(32),
        "\u{10FFFF}".repeat(16),
        format!("{PREFIX}{}", "ａ".repeat(20)),
        "A".repeat(1_000_000),
    ];
    for text in wrong {
        assert_eq!(keys.open(Endpoint::Session, &text), Err(Stopped::Unknown), "{:.80}", text);
    }
}

#[test]
fn a_token_is_garbage_at_the_other_endpoint() {
    let keys = keys();
    for (made_for, used_at) in [(Endpoint::Session, Endpoint::OAuth), (Endpoint::OAuth, Endpoint::Session)] {
        let text = token(&keys, made_for);
        assert_eq!(keys.open(used_at, &text), Err(Stopped::Unknown));
    }
}

#[test]
fn a_token_is_garbage_to_another_issuer_and_to_another_master() {
    let text = token(&keys(), Endpoint::Session);
    for other in [
        keys_of(&[(7, master())], 7, "https://id.example/"),
        keys_of(&[(7, master())], 7, "https://other.example"),
        keys_of(&[(7, other_master())], 7, ISSUER),
    ] {
        assert_eq!(other.open(Endpoint::Session, &text), Err(Stopped::Unknown));
    }
}

#[test]
fn the_right_gate_is_not_enough_without_the_rows_salt() {
    let keys = keys();
    let presented = keys.open(Endpoint::Session, &token(&keys, Endpoint::Session)).unwrap();
    assert!(keys.is_genuine(&presented, &SALT));
    assert!(!keys.is_genuine(&presented, &Salt([0; 16])));
    for byte in 0..16 {
        let mut salt = SALT;
        salt.0[byte] ^= 1;
        assert!(!keys.is_genuine(&presented, &salt), "byte {byte}");
    }
}

#[test]
fn a_presented_token_of_a_forgotten_master_is_not_genuine() {
    let presented = keys().open(Endpoint::Session, &token(&keys(), Endpoint::Session)).unwrap();
    let later = keys_of(&[(8, master())], 8, ISSUER);
    assert!(!later.is_genuine(&presented, &SALT));
    assert_eq!(later.issue(Endpoint::Session, KeyId(7), &GRANT, Generation(5), &SALT), None);
}

#[test]
fn a_retired_key_is_unknown_and_a_newer_one_unavailable() {
    let text = token(&keys(), Endpoint::Session);
    let retired = keys_of(&[(6, other_master()), (8, other_master())], 8, ISSUER);
    assert_eq!(retired.open(Endpoint::Session, &text), Err(Stopped::Unknown));
    let behind = keys_of(&[(5, other_master()), (6, other_master())], 6, ISSUER);
    assert_eq!(behind.open(Endpoint::Session, &text), Err(Stopped::Unavailable));
    // Distributed and not yet active: what is known counts, not what is used.
    let distributed = keys_of(&[(6, other_master()), (8, master())], 6, ISSUER);
    assert_eq!(distributed.open(Endpoint::Session, &text), Err(Stopped::Unknown));
}

#[test]
fn every_known_master_opens_and_only_the_active_one_is_for_new_tokens() {
    let before = keys();
    let text = token(&before, Endpoint::OAuth);
    let both = keys_of(&[(7, master()), (8, other_master())], 8, ISSUER);
    assert!(is_ours(&both, Endpoint::OAuth, &text));
    assert_eq!(both.active(), KeyId(8));
    let reissued = both.issue(Endpoint::OAuth, KeyId(7), &GRANT, Generation(5), &SALT);
    assert_eq!(reissued.unwrap().expose(), text, "a retry gets the same successor");
}

#[test]
fn the_active_master_must_be_there() {
    let masters = BTreeMap::from([(KeyId(7), master())]);
    assert!(RefreshKeys::new(&masters, KeyId(8), ISSUER).is_none());
    assert!(RefreshKeys::new(&BTreeMap::new(), KeyId(0), ISSUER).is_none());
}

#[test]
fn a_check_value_tells_masters_and_their_numbers_apart() {
    let check = master().check_value(KeyId(7));
    assert_eq!(check, master().check_value(KeyId(7)));
    assert_ne!(check, master().check_value(KeyId(8)));
    assert_ne!(check, other_master().check_value(KeyId(7)));
}

#[test]
fn debug_output_holds_no_secret() {
    let keys = keys();
    let text = token(&keys, Endpoint::Session);
    let presented = keys.open(Endpoint::Session, &text).unwrap();
    let issued = keys.issue(Endpoint::Session, KeyId(7), &GRANT, Generation(5), &SALT).unwrap();
    let shown = [
        format!("{:?}", GRANT),
        format!("{:?}", SALT),
        format!("{:?}", master()),
        format!("{keys:?}"),
        format!("{presented:?}"),
        format!("{issued:?}"),
        format!("{:#?}", Some(&issued)),
    ]
    .concat();
    assert!(!shown.contains(&text[PREFIX.len()..PREFIX.len() + 8]), "{shown}");
    for secret in ["16, 17", "10, 11", "0x10", "1011", "160, 161", "a0a1", "A0A1", "0, 1, 2"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_is_issued_is_recognised_and_always_the_same(
        grant: [u8; 16],
        salt: [u8; 16],
        generation: u32,
        session: bool,
    ) {
        let keys = keys();
        let endpoint = if session { Endpoint::Session } else { Endpoint::OAuth };
        let (grant, salt, generation) = (GrantId(grant), Salt(salt), Generation(generation));
        let issued = keys.issue(endpoint, KeyId(7), &grant, generation, &salt).unwrap();
        let presented = keys.open(endpoint, issued.expose()).unwrap();
        prop_assert_eq!(presented.endpoint, endpoint);
        prop_assert_eq!(presented.key, KeyId(7));
        prop_assert_eq!(presented.grant, grant);
        prop_assert_eq!(presented.generation, generation);
        prop_assert!(keys.is_genuine(&presented, &salt));
        let on_another_node = self::keys().issue(endpoint, KeyId(7), &grant, generation, &salt);
        prop_assert_eq!(on_another_node, Some(issued));
    }

    #[test]
    fn garbage_is_refused_without_a_panic(text in any::<String>(), tail in "[A-Za-z0-9_-]{60}") {
        prop_assert!(keys().open(Endpoint::Session, &text).is_err());
        let formed = format!("{PREFIX}{tail}");
        prop_assert!(keys().open(Endpoint::Session, &formed).is_err());
    }

    #[test]
    fn successors_of_one_grant_have_nothing_in_common_but_their_body(n in 0_u32..u32::MAX) {
        let keys = keys();
        let text = |generation| {
            let token = keys.issue(Endpoint::Session, KeyId(7), &GRANT, Generation(generation), &SALT).unwrap();
            URL_SAFE_NO_PAD.decode(&token.expose()[PREFIX.len()..]).unwrap()
        };
        let (one, next) = (text(n), text(n + 1));
        prop_assert_eq!(&one[..17], &next[..17]);
        prop_assert_ne!(&one[BODY..BODY + GATE], &next[BODY..BODY + GATE]);
        prop_assert_ne!(&one[BODY + GATE..], &next[BODY + GATE..]);
    }
}

#[test]
fn keys_are_replaced_while_others_use_them() {
    let masters = |ids: &[u8]| ids.iter().map(|id| (KeyId(*id), Master::new([*id; 32]))).collect::<BTreeMap<_, _>>();
    let keys = RefreshKeys::new(&masters(&[1]), KeyId(1), "https://id.example").unwrap();
    let (grant, salt) = (GrantId([3; 16]), Salt([4; 16]));
    let issue = |keys: &RefreshKeys, key: u8| {
        keys.issue(Endpoint::Session, KeyId(key), &grant, Generation(1), &salt).map(|token| token.expose().to_owned())
    };
    let old = issue(&keys, 1).unwrap();
    assert!(keys.replace(&masters(&[1, 2]), KeyId(2), KeyId(2)));
    assert_eq!((keys.active(), keys.ids()), (KeyId(2), vec![KeyId(1), KeyId(2)]));
    let new = issue(&keys, 2).unwrap();
    let opened = [&old, &new].map(|token| keys.open(Endpoint::Session, token).unwrap());
    assert!(opened.iter().all(|presented| keys.is_genuine(presented, &salt)));
    // Gone in the middle of a use: the token that was opened is no longer believed.
    keys.forget(KeyId(1));
    assert_eq!(keys.open(Endpoint::Session, &old), Err(Stopped::Unknown));
    assert!(!keys.is_genuine(&opened[0], &salt) && keys.is_genuine(&opened[1], &salt));
    assert_eq!(issue(&keys, 1), None);
    // The newest that is retired is ours and over; one that is newer than any is another node's.
    assert!(keys.replace(&masters(&[1]), KeyId(1), KeyId(2)));
    assert_eq!(keys.open(Endpoint::Session, &new), Err(Stopped::Unknown));
    assert!(keys.replace(&masters(&[1]), KeyId(1), KeyId(1)));
    assert_eq!(keys.open(Endpoint::Session, &new), Err(Stopped::Unavailable));
    assert!(!keys.replace(&masters(&[1]), KeyId(9), KeyId(9)), "an active key that is not there");
    assert_eq!(keys.active(), KeyId(1));
}
