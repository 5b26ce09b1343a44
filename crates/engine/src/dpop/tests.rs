//! Which proofs are good, for which request.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use regrant_jose::{Signer, SigningKey};
use serde_json::{Map, json};

use super::*;

const NOW: Time = Time::from_millis(1_700_000_000_999);
const SECONDS: i64 = 1_700_000_000;
const HERE: &str = "https://id.example/oauth2/token";

fn digests() -> Digests {
    Digests::new(b"a secret of a test").unwrap()
}

fn asked() -> Asked<'static> {
    Asked { method: "POST", uri: HERE, access_token: None, nonce: Requirement::Optional }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap()
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn public(key: &SigningKey) -> Value {
    serde_json::from_str(&key.public().to_json()).unwrap()
}

fn claims() -> Map<String, Value> {
    members(&json!({"jti": "a-1", "htm": "POST", "htu": HERE, "iat": SECONDS}))
}

/// Signed by `key`, with this header and these claims.
fn signed(key: &SigningKey, header: &Value, claims: &Map<String, Value>) -> String {
    let signer = Signer::with_header(key, &members(header)).unwrap();
    signer.sign(&serde_json::to_vec(claims).unwrap()).unwrap()
}

fn proof_of(key: &SigningKey, claims: &Map<String, Value>) -> String {
    signed(key, &json!({"typ": "dpop+jwt", "jwk": public(key)}), claims)
}

/// One with another claim; `null` takes it away.
fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    match value {
        Value::Null => claims.remove(name),
        value => claims.insert(name.to_owned(), value),
    };
    proof_of(&key(), &claims)
}

fn fault(proof: &str) -> Option<Fault> {
    check(proof, &asked(), &digests(), NOW).err()
}

/// What is wrong, by a word of its sentence.
#[track_caller]
fn wrong(proof: &str, word: &str) {
    match fault(proof) {
        Some(Fault::Invalid(sentence)) => assert!(sentence.contains(word), "{word}: {sentence}"),
        other => panic!("{word}: {other:?}"),
    }
}

#[test]
fn a_proof_proves_the_key_that_signed_it_by_every_algorithm_that_is_named() {
    for algorithm in ALGORITHMS {
        let key = SigningKey::generate(*algorithm).unwrap();
        let proof = check(&proof_of(&key, &claims()), &asked(), &digests(), NOW).unwrap();
        assert_eq!(proof.key.to_string(), key.public().thumbprint(), "{algorithm}");
        assert_eq!(proof.until, Time::from_millis((SECONDS + 271) * 1000));
    }
}

#[test]
fn a_proof_that_is_none_is_refused() {
    let (key, other) = (key(), key());
    let header = |more: Value| {
        let mut header = members(&json!({"typ": "dpop+jwt", "jwk": public(&key)}));
        header.extend(members(&more));
        Value::Object(header)
    };
    let good = proof_of(&key, &claims());
    wrong("", "no signed JWT");
    wrong("a.b.c", "no signed JWT");
    wrong(&good.replace('.', ","), "no signed JWT");
    wrong(&format!("{good},{good}"), "no signed JWT");
    wrong(&"x".repeat(LONGEST + 1), "too long");
    // Of another kind, or of none.
    for typ in ["JWT", "at+jwt", "dpop"] {
        wrong(&signed(&key, &header(json!({"typ": typ})), &claims()), "typ");
    }
    wrong(&signed(&key, &json!({"jwk": public(&key)}), &claims()), "typ");
    // Signed by nobody, by a secret, by a way that is not named, or by somebody else.
    let unsigned = |alg: &str| {
        let header = json!({"typ": "dpop+jwt", "alg": alg, "jwk": public(&key)});
        let rest = good.split_once('.').unwrap().1;
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    for alg in ["none", "HS256", "RS512", "ML-DSA-44", "XY1"] {
        wrong(&unsigned(alg), "alg");
    }
    wrong(&unsigned("ES384"), "jwk");
    wrong(&signed(&other, &header(json!({})), &claims()), "signature");
    let cut = good.rsplit_once('.').unwrap().0;
    wrong(&format!("{cut}."), "signature");
    // Without its key, with a key that is none, or with the private half of it.
    wrong(&signed(&key, &json!({"typ": "dpop+jwt"}), &claims()), "jwk");
    for jwk in [json!("x"), json!({}), json!({"kty": "EC"}), json!({"kty": "oct", "k": "AAAA"})] {
        wrong(&signed(&key, &header(json!({"jwk": jwk})), &claims()), "jwk");
    }
    let private: Value = serde_json::from_str(&key.jwk().to_private_json()).unwrap();
    wrong(&signed(&key, &header(json!({"jwk": private})), &claims()), "public key");
    let mut odd = public(&key);
    odd["dp"] = json!("AAAA");
    wrong(&signed(&key, &header(json!({"jwk": odd})), &claims()), "public key");
    // What would change the meaning of the signature.
    wrong(
        &good.replace(
            good.split('.').next().unwrap(),
            &URL_SAFE_NO_PAD
                .encode(json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": public(&key), "crit": ["exp"]}).to_string()),
        ),
        "no signed JWT",
    );
}

#[test]
fn a_proof_is_of_one_request_and_of_these_minutes() {
    for name in ["jti", "htm", "htu", "iat"] {
        wrong(&with(name, Value::Null), "needs");
    }
    for jti in [json!(""), json!(1)] {
        assert!(matches!(fault(&with("jti", jti)), Some(Fault::Invalid(_))));
    }
    for method in ["GET", "post", "POST ", ""] {
        wrong(&with("htm", json!(method)), "htm");
    }
    for iat in [-400, -271, 31, 3600] {
        wrong(&with("iat", json!(SECONDS + iat)), "iat");
    }
    for iat in [-270, -10, 0, 10, 30] {
        assert_eq!(fault(&with("iat", json!(SECONDS + iat))), None, "{iat}");
    }
    assert!(matches!(fault(&with("iat", json!("now"))), Some(Fault::Invalid(_))));
    wrong(&with("exp", json!(SECONDS - 100)), "iat");
    assert_eq!(fault(&with("htu", json!("HTTPS://ID.example:443/x/../oauth2/%74oken?a=b#c"))), None);
    for uri in [
        "http://id.example/oauth2/token",
        "https://id.example:8443/oauth2/token",
        "https://id.example.evil/oauth2/token",
        "https://id.example@evil/oauth2/token",
        "https://user@id.example/oauth2/token",
        "https://id.example/oauth2/token/",
        "https://id.example/oauth2/Token",
        "https://id.example/oauth2%2Ftoken",
        "https://id.example/oauth2/token%",
        "https://id.example",
        "//id.example/oauth2/token",
        "/oauth2/token",
        "https:///oauth2/token",
        "https://id.example/oauth2/ token",
    ] {
        wrong(&with("htu", json!(uri)), "htu");
    }
    wrong(&with("htu", json!([HERE])), "htu");
}

#[test]
fn addresses_are_compared_in_one_spelling() {
    for (one, other) in [
        ("https://a.example", "https://a.example/"),
        ("https://a.example:/", "https://A.EXAMPLE:443"),
        ("http://127.0.0.1:80/x", "http://127.0.0.1/x"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("https://a.example/%7ea/%c3%a9", "https://a.example/~a/%C3%A9"),
        ("https://a.example/a/./b/../c/..", "https://a.example/a/"),
        ("https://a.example/../..", "https://a.example/"),
    ] {
        assert_eq!(normalised(one), normalised(other), "{one}");
        assert!(normalised(one).is_some(), "{one}");
    }
    for (one, other) in [
        ("https://a.example//b", "https://a.example/b"),
        ("https://a.example/a%2fb", "https://a.example/a/b"),
        ("http://a.example:443/", "http://a.example/"),
        ("http://[::1]:8080/", "http://[::1]/"),
    ] {
        assert_ne!(normalised(one), normalised(other), "{one}");
    }
}

#[test]
fn with_an_access_token_a_proof_is_for_that_one() {
    let asked = Asked { method: "GET", access_token: Some("a.b.c"), ..asked() };
    let key = key();
    let mut claims = claims();
    claims.insert("htm".to_owned(), json!("GET"));
    let mut fault = |ath: Option<&str>| {
        claims.remove("ath");
        claims.extend(ath.map(|ath| ("ath".to_owned(), json!(ath))));
        check(&proof_of(&key, &claims), &asked, &digests(), NOW).err()
    };
    let of = |token: &str| URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()));
    assert_eq!(fault(Some(&of("a.b.c"))), None);
    for ath in [None, Some(""), Some("a.b.c"), Some(&*of("a.b.d")), Some(&*format!("{}=", of("a.b.c")))] {
        assert!(matches!(fault(ath), Some(Fault::Invalid(sentence)) if sentence.contains("ath")), "{ath:?}");
    }
}

#[test]
fn a_nonce_is_ours_and_good_for_minutes_on_every_node() {
    let required = Asked { nonce: Requirement::Required, ..asked() };
    let at = |minutes: u32| NOW.plus(Seconds::minutes(minutes));
    let fresh = nonce(&digests(), NOW);
    assert_eq!(fresh.len(), 27);
    // RFC 9449 §8.1: characters that need no quoting.
    assert!(fresh.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    let key = key();
    let proof = |nonce: &str, now: Time| {
        let mut claims = claims();
        claims.extend([("nonce".to_owned(), json!(nonce)), ("iat".to_owned(), json!(now.seconds()))]);
        proof_of(&key, &claims)
    };
    for asked in [asked(), required] {
        for minutes in 0..5 {
            // Another node has the same key file, and no more.
            let got = check(&proof(&fresh, at(minutes)), &asked, &digests(), at(minutes));
            assert!(got.is_ok(), "{minutes}: {got:?}");
        }
        assert_eq!(check(&proof(&fresh, at(5)), &asked, &digests(), at(5)), Err(Fault::Nonce));
        let before = NOW.minus(Seconds::minutes(2));
        assert_eq!(check(&proof(&fresh, before), &asked, &digests(), before), Err(Fault::Nonce));
        let stranger = nonce(&Digests::new(b"another key file").unwrap(), NOW);
        for wrong in ["", "x", &fresh[1..], &stranger] {
            assert_eq!(check(&proof(wrong, NOW), &asked, &digests(), NOW), Err(Fault::Nonce), "{wrong}");
        }
    }
    assert_eq!(check(&with("nonce", Value::Null), &required, &digests(), NOW), Err(Fault::Nonce));
    assert!(matches!(fault(&with("nonce", json!(1))), Some(Fault::Invalid(_))));
    // What is wrong anyhow is told first: a nonce would not help.
    let wrong = check(&with("htm", json!("GET")), &required, &digests(), NOW);
    assert!(matches!(wrong, Err(Fault::Invalid(_))), "{wrong:?}");
    // A clock that is wrong does no harm with one (RFC 9449 §4.3, 11); its name is remembered for as long as the nonce is good.
    for iat in [0, SECONDS * 2] {
        let mut claims = claims();
        claims.extend([("nonce".to_owned(), json!(fresh)), ("iat".to_owned(), json!(iat))]);
        for asked in [asked(), required] {
            let proof = check(&proof_of(&key, &claims), &asked, &digests(), at(4)).unwrap();
            assert!(proof.until >= at(5));
        }
        assert_eq!(check(&with("iat", json!(iat)), &required, &digests(), NOW), Err(Fault::Nonce));
    }
}

#[test]
fn a_proof_is_named_by_its_key_its_address_and_its_jti() {
    let (key, other) = (key(), key());
    let name = |key: &SigningKey, jti: &str, uri: &str| {
        let mut claims = claims();
        claims.extend([("jti".to_owned(), json!(jti)), ("htu".to_owned(), json!(uri))]);
        let asked = Asked { uri, ..asked() };
        check(&proof_of(key, &claims), &asked, &digests(), NOW).unwrap().name
    };
    let first = name(&key, "a", HERE);
    assert_eq!(first, name(&key, "a", HERE), "whatever else it says");
    for another in
        [name(&key, "b", HERE), name(&key, "a", "https://id.example/oauth2/userinfo"), name(&other, "a", HERE)]
    {
        assert_ne!(first, another);
    }
}

/// RFC 9449 §5: public clients' grants are bound; who authenticates may change its key.
#[test]
fn the_grants_of_public_clients_are_bound() {
    use crate::client::{ClientType, Draft, ManagedBy, prepare};
    let client = |client_type| {
        let uris = vec!["https://app.example/cb".to_owned()];
        prepare(Draft { redirect_uris: uris, ..Draft::new("app", client_type) }, ManagedBy::Operator, NOW).unwrap()
    };
    let (public, shop) = (client(ClientType::Public), client(ClientType::Confidential));
    let proof = Proof { key: KeyThumbprint([7; 32]), name: [0; 32], until: NOW };
    assert_eq!(holding(&public, None), Holding::Bearer);
    assert_eq!(holding(&public, Some(&proof)), Holding::Bound { key: proof.key, from: Generation::FIRST });
    assert_eq!([holding(&shop, None), holding(&shop, Some(&proof))], [Holding::ClientBound; 2]);
}
