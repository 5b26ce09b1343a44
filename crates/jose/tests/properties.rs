//! What holds for every key, payload and text.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

use std::sync::LazyLock;

use proptest::prelude::*;
use regrant_jose::jwt::{self, Rules};
use regrant_jose::{Algorithm, Jwk, Jwks, KeyKind, Signer, SigningKey, jws};
use serde_json::{Map, Number, Value};

/// One key for each algorithm, and the set of them all.
static KEYS: LazyLock<(Vec<SigningKey>, Jwks)> = LazyLock::new(|| {
    let old = [Algorithm::EdDsa];
    let keys: Vec<_> =
        Algorithm::ALL.iter().chain(&old).map(|algorithm| SigningKey::generate(*algorithm).unwrap()).collect();
    let set = Jwks::from_keys(keys.iter().map(SigningKey::public).collect());
    (keys, set)
});

/// Keys of every type, as JSON with all their members.
static DOCUMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let kinds = [
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::P521,
        KeyKind::Ed25519,
        KeyKind::X25519,
        KeyKind::Rsa(2048),
        KeyKind::Secret(32),
        KeyKind::MlDsa44,
    ];
    kinds.into_iter().map(|kind| Jwk::generate(kind).unwrap().with_kid("name").to_private_json().to_string()).collect()
});

fn key() -> impl Strategy<Value = &'static SigningKey> {
    (0..KEYS.0.len()).prop_map(|index| &KEYS.0[index])
}

/// Any JSON that survives printing: numbers are whole, or fractions that JSON writes exactly.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::Number(Number::from_f64(f64::from(n) / 8.0).unwrap())),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_signed_is_verified(key in key(), payload in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        let signer = Signer::new(key, "JWT");
        let token = signer.sign(&payload).unwrap();
        prop_assert_eq!(token.capacity(), token.len());
        let accept = [key.algorithm()];
        prop_assert_eq!(&jws::verify(&token, &KEYS.1, &accept).unwrap().payload, &payload);
        let detached = signer.sign_detached(&payload).unwrap();
        prop_assert_eq!(&jws::verify_detached(&detached, &payload, &KEYS.1, &accept).unwrap().payload, &payload);
        // Twice: the second time its header is known.
        prop_assert_eq!(&jws::verify(&token, &KEYS.1, &accept).unwrap().payload, &payload);
    }

    #[test]
    fn one_changed_octet_is_noticed(
        key in key(),
        payload in proptest::collection::vec(any::<u8>(), 0..60),
        at in any::<prop::sample::Index>(),
        other in prop::char::range(' ', '~'),
    ) {
        let token = Signer::new(key, "JWT").sign(&payload).unwrap();
        let at = at.index(token.len());
        prop_assume!(token.as_bytes()[at] != other as u8);
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        prop_assert!(jws::verify(&changed, &KEYS.1, Algorithm::ALL).is_err());
        let shorter = format!("{}{}", &token[..at], &token[at + 1..]);
        prop_assert!(jws::verify(&shorter, &KEYS.1, Algorithm::ALL).is_err());
        let longer = format!("{}{other}{}", &token[..at], &token[at..]);
        prop_assert!(jws::verify(&longer, &KEYS.1, Algorithm::ALL).is_err());
    }

    #[test]
    fn claims_come_back_as_they_were(claims in proptest::collection::btree_map("[a-z]{5,9}", json(), 0..8)) {
        let claims: Map<String, Value> = claims.into_iter().collect();
        let (keys, set) = &*KEYS;
        let token = Signer::new(&keys[0], "JWT").sign(Value::Object(claims.clone()).to_string().as_bytes()).unwrap();
        let verified = jws::verify(&token, set, &[Algorithm::Es256]).unwrap();
        prop_assert_eq!(jwt::check(&verified, &Rules::ANY, 0).unwrap().into_members(), claims);
    }

    #[test]
    fn any_json_in_any_registered_claim_is_read_or_refused(
        name in prop::sample::select(vec!["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "events", "nonce"]),
        value in json(),
        now in any::<i64>(),
    ) {
        let (keys, set) = &*KEYS;
        let claims: Map<String, Value> = [(name.to_owned(), value)].into_iter().collect();
        let token = Signer::new(&keys[0], "at+jwt").sign(Value::Object(claims).to_string().as_bytes()).unwrap();
        let verified = jws::verify(&token, set, &[Algorithm::Es256]).unwrap();
        for rules in [Rules::ANY, Rules::ACCESS_TOKEN, Rules::ID_TOKEN, Rules::LOGOUT_TOKEN, Rules::CLIENT_ASSERTION] {
            let _ = jwt::check(&verified, &Rules { typ: &[], required: &[], ..rules }.issuer("i").audience("a"), now);
        }
    }

    #[test]
    fn garbage_never_panics(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = jws::verify(&text, &KEYS.1, Algorithm::ALL);
        let _ = jws::verify_detached(&text, &bytes, &KEYS.1, Algorithm::ALL);
        let _ = jws::verify_embedded(&text, Algorithm::ALL);
        let _ = jws::danger_unverified(&text);
        let _ = Jwk::parse(&bytes);
        let _ = Jwks::parse_set_or_key(text.as_bytes());
        for algorithm in Algorithm::ALL {
            let _ = SigningKey::from_pkcs8(*algorithm, &bytes);
        }
    }

    /// A key that lost, gained or changed a few octets is refused, or it is a key that prints and reads the same.
    #[test]
    fn damaged_keys_are_refused_or_sound(
        document in 0..8_usize,
        at in any::<prop::sample::Index>(),
        length in 0..3_usize,
        with in "[ -~]{0,3}",
    ) {
        let document = &DOCUMENTS[document];
        let at = at.index(document.len());
        let end = (at + length).min(document.len());
        let damaged = format!("{}{with}{}", &document[..at], &document[end..]);
        if let Ok(jwk) = Jwk::parse(damaged.as_bytes()) {
            let printed = jwk.to_private_json();
            let again = Jwk::parse(printed.as_bytes()).unwrap();
            prop_assert_eq!(again.to_private_json(), printed);
            prop_assert_eq!(again.thumbprint(), jwk.thumbprint());
        }
    }
}

#[test]
fn keys_print_and_read_the_same() {
    for document in &*DOCUMENTS {
        let jwk = Jwk::parse(document.as_bytes()).unwrap();
        assert_eq!(jwk.to_private_json().as_str(), document);
        let Some(public) = jwk.to_public() else {
            assert!(jwk.is_symmetric() && !jwk.to_json().contains("\"k\""));
            continue;
        };
        assert!(!public.is_secret() && jwk.is_secret());
        assert_eq!((public.to_json(), public.thumbprint()), (jwk.to_json(), jwk.thumbprint()));
        assert_eq!(public.to_private_json().as_str(), jwk.to_json());
        for member in ["\"d\"", "\"p\"", "\"q\"", "\"priv\"", "\"k\""] {
            assert!(!format!("{jwk:?}").contains(member), "{member}");
        }
    }
}
