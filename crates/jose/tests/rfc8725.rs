//! RFC 8725 and its update: one test for each line of advice, named after it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

use std::sync::LazyLock;

use regrant_jose::jwe::{self, ContentEncryption, KeyManagement};
use regrant_jose::jwt::{self, Rules};
use regrant_jose::{Algorithm, Error, Jwk, Jwks, KeyKind, MAX_JWKS_BYTES, Signer, SigningKey, jws};
use serde_json::{Map, Value, json};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());
static KEYS: LazyLock<Jwks> = LazyLock::new(|| Jwks::from_keys(vec![KEY.public()]));

fn signed(typ: Option<&str>, payload: &Value) -> String {
    let header = members(&typ.map_or(json!({}), |typ| json!({ "typ": typ })));
    Signer::with_header(&KEY, &header).unwrap().sign(payload.to_string().as_bytes()).unwrap()
}

fn members(object: &Value) -> Map<String, Value> {
    object.as_object().unwrap().clone()
}

fn verify(token: &str, accept: &[Algorithm]) -> Result<jws::Verified, Error> {
    jws::verify(token, &KEYS, accept)
}

fn parsed(jwk: &Value) -> Result<Jwk, Error> {
    Jwk::parse(jwk.to_string().as_bytes())
}

fn private(key: &Jwk) -> Value {
    serde_json::from_str(&key.to_private_json()).unwrap()
}

/// base64url of a header of one's own, in front of the rest of a token.
fn with_header(token: &str, header: &Value) -> String {
    // A signer of its own encodes it: what it signs is thrown away.
    let mut header = members(header);
    let alg = header.remove("alg").unwrap();
    let text = Signer::with_header(&KEY, &header).unwrap().sign(b"").unwrap();
    let text = text.split('.').next().unwrap();
    let decoded = jws::danger_unverified(&format!("{text}..")).unwrap().header_json;
    let decoded = String::from_utf8(decoded).unwrap().replace("\"ES256\"", &alg.to_string());
    let shell = Signer::with_header(&KEY, &Map::new()).unwrap().sign(decoded.as_bytes()).unwrap();
    let encoded = shell.split('.').nth(1).unwrap();
    format!("{encoded}.{}", token.split_once('.').unwrap().1)
}

/// §3.1.
#[test]
fn the_callers_list_of_algorithms_decides() {
    let token = signed(None, &json!({}));
    assert!(verify(&token, &[Algorithm::Es256]).is_ok());
    assert_eq!(verify(&token, &[]).unwrap_err(), Error::AlgorithmRefused);
    // Also for a header that was accepted before.
    assert_eq!(verify(&token, &[Algorithm::Rs256, Algorithm::Ed25519]).unwrap_err(), Error::AlgorithmRefused);
}

/// §3.1: the classic: an RSA key taken for an HMAC secret, and every other confusion.
#[test]
fn the_algorithm_fits_the_key_and_a_key_has_one_algorithm() {
    let all: Vec<SigningKey> =
        [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Ps256, Algorithm::Hs256, Algorithm::MlDsa44]
            .into_iter()
            .map(|algorithm| SigningKey::generate(algorithm).unwrap())
            .collect();
    let keys = Jwks::from_keys(all.iter().map(SigningKey::public).collect());
    for key in &all {
        let token = Signer::new(key, "JWT").sign(b"{}").unwrap();
        assert!(jws::verify(&token, &keys, Algorithm::ALL).is_ok());
        for other in Algorithm::ALL.iter().filter(|other| **other != key.algorithm()) {
            let confused = with_header(&token, &json!({ "alg": other.as_str(), "kid": key.kid() }));
            assert_eq!(jws::verify(&confused, &keys, Algorithm::ALL).unwrap_err(), Error::KeyUnusable, "{other}");
        }
    }
    let mut rsa = private(all[2].jwk());
    rsa["alg"] = json!("HS256");
    assert_eq!(parsed(&rsa).unwrap_err(), Error::JwkUnsupported);
}

/// §3.2.
#[test]
fn none_is_no_algorithm() {
    let token = signed(None, &json!({}));
    for none in ["none", "None", "NONE", "nOnE"] {
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        let stripped = with_header(&format!("{unsigned}."), &json!({ "alg": none }));
        assert_eq!(verify(&stripped, Algorithm::ALL).unwrap_err(), Error::AlgorithmNone);
        assert_eq!(
            verify(&with_header(&token, &json!({ "alg": none })), Algorithm::ALL).unwrap_err(),
            Error::AlgorithmNone
        );
        assert_eq!(Algorithm::from_name(none), None);
    }
}

/// §3.2.
#[test]
fn rsa1_5_is_no_algorithm() {
    assert_eq!(KeyManagement::from_name("RSA1_5"), None);
    let key = Jwk::generate(KeyKind::Rsa(2048)).unwrap();
    let token = encrypted(&key, KeyManagement::RsaOaep256);
    let token = with_header(&token, &json!({ "alg": "RSA1_5", "enc": "A128GCM" }));
    assert_eq!(decrypt(&token, key.clone()).unwrap_err(), Error::AlgorithmInsecure);
    assert_eq!(key.with_alg("RSA1_5").unwrap_err(), Error::JwkUnsupported);
}

/// §3.3.
#[test]
fn every_nested_operation_is_validated() {
    let key = Jwk::generate(KeyKind::Secret(32)).unwrap();
    let encrypter = jwe::Encrypter::new(&key, KeyManagement::A256Kw, ContentEncryption::A128Gcm).unwrap();
    let open = |token: &str| {
        let keys = Jwks::from_keys(vec![key.clone()]);
        let nested = jwe::decrypt_nested(token, &keys, &[KeyManagement::A256Kw], &[ContentEncryption::A128Gcm])?;
        verify(&nested.token, &[Algorithm::Es256])
    };
    let inner = signed(None, &json!({}));
    assert!(open(&encrypter.encrypt_nested(&inner).unwrap()).is_ok());
    let stranger = Signer::new(&SigningKey::generate(Algorithm::Es256).unwrap(), "JWT").sign(b"{}").unwrap();
    assert_eq!(open(&encrypter.encrypt_nested(&stranger).unwrap()).unwrap_err(), Error::KeyUnknown);
    assert_eq!(open(&encrypter.encrypt(inner.as_bytes()).unwrap()).unwrap_err(), Error::ContentTypeWrong);
    let mut broken = encrypter.encrypt_nested(&inner).unwrap();
    broken.truncate(broken.len() - 1);
    assert!(open(&broken).is_err());

    // A signed token around a token: what it holds is not taken for claims.
    let around = Signer::with_header(&KEY, &members(&json!({ "cty": "jwt" }))).unwrap();
    for payload in [inner.as_bytes(), b"{}"] {
        let verified = verify(&around.sign(payload).unwrap(), &[Algorithm::Es256]).unwrap();
        assert_eq!(jwt::check(&verified, &Rules::ANY, NOW).unwrap_err(), Error::NestedToken);
    }
}

#[test]
fn signed_and_encrypted_tokens_are_told_apart() {
    let key = Jwk::generate(KeyKind::Secret(32)).unwrap();
    let both = Jwks::from_keys(vec![key.clone(), KEY.public()]);
    let token = encrypted(&key, KeyManagement::A256Kw);
    assert_eq!(jws::verify(&token, &both, Algorithm::ALL).unwrap_err(), Error::TokenEncrypted);
    assert_eq!(decrypt(&signed(None, &json!({})), key).unwrap_err(), Error::TokenNotEncrypted);
}

/// §3.4.
#[test]
fn points_are_on_their_curve() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
        let good = Jwk::generate(kind).unwrap();
        let (mut off, mut swapped) = (private(&good), private(&good));
        off.as_object_mut().unwrap().remove("d");
        off["y"] = off["x"].clone();
        assert_eq!(parsed(&off).unwrap_err(), Error::PointInvalid, "{kind:?}");
        // A private number of another key.
        swapped["d"] = private(&Jwk::generate(kind).unwrap())["d"].clone();
        assert_eq!(parsed(&swapped).unwrap_err(), Error::PrivateKeyInvalid, "{kind:?}");
        let zero = "A".repeat(off["x"].as_str().unwrap().len());
        (off["x"], off["y"]) = (json!(zero), json!(zero));
        assert_eq!(parsed(&off).unwrap_err(), Error::PointInvalid, "{kind:?}");
    }
    // Points of low order, which give everybody the same secret.
    for x in ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let point = json!({ "kty": "OKP", "crv": "X25519", "x": x });
        assert_eq!(parsed(&point).unwrap_err(), Error::PointInvalid);
    }
}

/// §3.5.
#[test]
fn passwords_are_no_hmac_keys() {
    for (alg, least) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let secret = |bytes| private(&Jwk::generate(KeyKind::Secret(bytes)).unwrap())["k"].clone();
        let short = json!({ "kty": "oct", "alg": alg, "k": secret(least - 1) });
        assert_eq!(parsed(&short).unwrap_err(), Error::KeyTooWeak, "{alg}");
        let algorithm = Algorithm::from_name(alg).unwrap();
        let unlabelled = parsed(&json!({ "kty": "oct", "k": secret(least - 1) })).unwrap();
        assert!(!unlabelled.verifies(algorithm) && !unlabelled.signs(algorithm), "{alg}");
        assert!(parsed(&json!({ "kty": "oct", "alg": alg, "k": secret(least) })).unwrap().verifies(algorithm), "{alg}");
    }
    // "secret", "password"
    for k in ["", "c2VjcmV0", "cGFzc3dvcmQ"] {
        assert_eq!(parsed(&json!({ "kty": "oct", "k": k })).unwrap_err(), Error::KeyTooWeak);
    }
}

/// §3.6.
#[test]
fn nothing_is_decompressed() {
    let key = Jwk::generate(KeyKind::Secret(32)).unwrap();
    let token = encrypted(&key, KeyManagement::A256Kw);
    let token = with_header(&token, &json!({ "alg": "A256KW", "enc": "A128GCM", "zip": "DEF" }));
    assert_eq!(decrypt(&token, key).unwrap_err(), Error::CompressionRefused);
}

/// §3.7.
#[test]
fn json_is_utf_8_and_has_one_meaning() {
    let sign = |payload: &[u8]| Signer::new(&KEY, "JWT").sign(payload).unwrap();
    let latin_1 = b"{\"sub\":\"\xe9\"}".as_slice();
    let utf_16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for payload in
        [latin_1, &utf_16, b"\xef\xbb\xbf{}", b"{\"sub\":\"a\",\"sub\":\"b\"}", b"{\"sub\":\"\xed\xa0\x80\"}"]
    {
        let verified = verify(&sign(payload), &[Algorithm::Es256]).unwrap();
        assert_eq!(jwt::check(&verified, &Rules::ANY, NOW).unwrap_err(), Error::ClaimsInvalid, "{payload:?}");
    }
}

/// §3.8.
#[test]
fn a_key_belongs_to_an_issuer() {
    let claims = json!({
        "iss": "https://evil.example", "aud": AUDIENCE, "sub": "u", "client_id": "c", "iat": NOW, "exp": NOW + 1, "jti": "1"
    });
    let verified = verify(&signed(Some("at+jwt"), &claims), &[Algorithm::Es256]).unwrap();
    let rules = Rules::ACCESS_TOKEN.issuer(ISSUER).audience(AUDIENCE);
    assert_eq!(jwt::check(&verified, &rules, NOW).unwrap_err(), Error::IssuerWrong);
    // Who does not say which issuer the keys are of gets nothing.
    let undecided = Rules::ACCESS_TOKEN.audience(AUDIENCE);
    assert_eq!(jwt::check(&verified, &undecided, NOW).unwrap_err(), Error::RulesIncomplete);
    // A key of another issuer, by the same name.
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap().public().with_kid(KEY.kid());
    let token = Signer::new(&KEY, "JWT").sign(b"{}").unwrap();
    let foreign = jws::verify(&token, &Jwks::from_keys(vec![stranger]), &[Algorithm::Es256]);
    assert_eq!(foreign.unwrap_err(), Error::SignatureInvalid);
}

/// §3.9.
#[test]
fn the_audience_is_there_and_checked() {
    let rules = Rules { required: &[], ..Rules::ACCESS_TOKEN }.issuer(ISSUER).audience(AUDIENCE);
    for (aud, outcome) in [
        (json!(AUDIENCE), Ok(())),
        (json!(["x", AUDIENCE]), Ok(())),
        (json!("https://api.example.evil"), Err(Error::AudienceWrong)),
        (json!([]), Err(Error::AudienceWrong)),
        (json!([[AUDIENCE]]), Err(Error::ClaimInvalid("aud"))),
        (json!({ AUDIENCE: true }), Err(Error::ClaimInvalid("aud"))),
        (Value::Null, Err(Error::ClaimInvalid("aud"))),
    ] {
        let token = signed(Some("at+jwt"), &json!({ "iss": ISSUER, "aud": aud, "exp": NOW + 1 }));
        let verified = verify(&token, &[Algorithm::Es256]).unwrap();
        assert_eq!(jwt::check(&verified, &rules, NOW).map(drop), outcome, "{aud}");
    }
    let token = signed(Some("at+jwt"), &json!({ "iss": ISSUER, "exp": NOW + 1 }));
    let verified = verify(&token, &[Algorithm::Es256]).unwrap();
    assert_eq!(jwt::check(&verified, &rules, NOW).unwrap_err(), Error::ClaimMissing("aud"));
}

/// §3.10: a `kid` is compared with names and used for nothing else: no path, no query.
#[test]
fn a_kid_is_only_compared() {
    for kid in ["../../etc/passwd", "' OR 1=1 --", "", "\u{0}", "https://evil.example/jwks.json", &"x".repeat(4000)] {
        let signer = Signer::with_header(&KEY, &members(&json!({ "kid": kid }))).unwrap();
        assert_eq!(verify(&signer.sign(b"{}").unwrap(), &[Algorithm::Es256]).unwrap_err(), Error::KeyUnknown);
    }
}

/// §3.10: addresses and keys in a token are the sender's word. This crate opens no connection at all.
#[test]
fn addresses_and_keys_in_a_token_are_not_followed() {
    let attacker = SigningKey::generate(Algorithm::Es256).unwrap();
    let embedded: Value = serde_json::from_str(&attacker.public().to_json()).unwrap();
    for lure in [
        json!({ "jwk": embedded }),
        json!({ "jwk": embedded, "kid": attacker.kid() }),
        json!({ "jku": "http://169.254.169.254/latest/meta-data" }),
        json!({ "x5u": "http://127.0.0.1/key", "x5c": ["AA"] }),
    ] {
        let token = Signer::with_header(&attacker, &members(&lure)).unwrap().sign(b"{}").unwrap();
        let error = verify(&token, &[Algorithm::Es256]).unwrap_err();
        assert!(matches!(error, Error::SignatureInvalid | Error::KeyUnknown), "{lure}: {error}");
    }
    // Where the key is asked for by name, it comes out, to be compared: and it is never a private or shared one.
    let proof = Signer::with_header(&attacker, &members(&json!({ "jwk": embedded, "typ": "dpop+jwt" }))).unwrap();
    let (_, key) = jws::verify_embedded(&proof.sign(b"{}").unwrap(), &[Algorithm::Es256]).unwrap();
    assert_eq!(key.thumbprint(), attacker.jwk().thumbprint());
    let whole = json!({ "jwk": private(attacker.jwk()) });
    let token = Signer::with_header(&attacker, &members(&whole)).unwrap().sign(b"{}").unwrap();
    assert_eq!(jws::verify_embedded(&token, &[Algorithm::Es256]).unwrap_err(), Error::KeyUnusable);
    let shared = SigningKey::generate(Algorithm::Hs256).unwrap();
    let token = Signer::with_header(&shared, &members(&json!({ "jwk": private(shared.jwk()) }))).unwrap();
    let refused = jws::verify_embedded(&token.sign(b"{}").unwrap(), Algorithm::ALL).unwrap_err();
    assert_eq!(refused, Error::AlgorithmRefused);
    assert_eq!(jws::verify_embedded(&signed(None, &json!({})), Algorithm::ALL).unwrap_err(), Error::KeyUnusable);
}

/// §3.11.
#[test]
fn types_are_explicit() {
    let every = ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt"];
    for (rules, typ) in [
        (Rules::ACCESS_TOKEN, "at+jwt"),
        (Rules::LOGOUT_TOKEN, "logout+jwt"),
        (Rules::SECURITY_EVENT, "secevent+jwt"),
        (Rules::DPOP_PROOF, "dpop+jwt"),
    ] {
        let rules = rules.issuer(ISSUER).audience(AUDIENCE);
        for other in every.into_iter().map(Some).chain([None, Some("JWT"), Some("")]) {
            let verified = verify(&signed(other, &json!({})), &[Algorithm::Es256]).unwrap();
            let outcome = jwt::check(&verified, &rules, NOW).unwrap_err();
            assert_eq!(outcome == Error::TypeWrong, other != Some(typ), "{typ} {other:?}: {outcome}");
        }
    }
}

/// A good token of each kind, all from one issuer for one audience: the hardest case.
fn one_of_each() -> Vec<(&'static str, Rules<'static>, Option<&'static str>, Value)> {
    let logout = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let base = json!({ "iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 60, "jti": "1" });
    let with = |more: Value| {
        let mut all = members(&base);
        all.extend(members(&more));
        Value::Object(all)
    };
    let assertion = with(json!({ "sub": ISSUER }));
    vec![
        ("access token", Rules::ACCESS_TOKEN, Some("at+jwt"), with(json!({ "sub": "u", "client_id": "c" }))),
        ("ID token", Rules::ID_TOKEN, Some("JWT"), with(json!({ "sub": "u", "nonce": "n" }))),
        ("ID token", Rules::ID_TOKEN, None, with(json!({ "sub": "u" }))),
        ("logout token", Rules::LOGOUT_TOKEN, Some("logout+jwt"), with(json!({ "sub": "u", "events": logout }))),
        ("logout token", Rules::LOGOUT_TOKEN, Some("logout+jwt"), with(json!({ "sid": "s", "events": logout }))),
        ("proof", Rules::DPOP_PROOF, Some("dpop+jwt"), with(json!({ "htm": "GET", "htu": "https://api.example/" }))),
        ("event", Rules::SECURITY_EVENT, Some("secevent+jwt"), with(json!({ "sub": "u", "events": logout }))),
        ("assertion", Rules::CLIENT_ASSERTION, Some("client-authentication+jwt"), assertion.clone()),
        ("assertion", Rules::CLIENT_ASSERTION, Some("JWT"), assertion.clone()),
        ("assertion", Rules::CLIENT_ASSERTION, None, assertion),
    ]
}

/// §3.12.
#[test]
fn one_kind_of_token_never_passes_for_another() {
    for (kind, _, typ, payload) in one_of_each() {
        let verified = verify(&signed(typ, &payload), &[Algorithm::Es256]).unwrap();
        for (other, rules, ..) in one_of_each() {
            let outcome = jwt::check(&verified, &rules.issuer(ISSUER).audience(AUDIENCE), NOW);
            assert_eq!(outcome.is_ok(), kind == other, "{kind} ({typ:?}) as {other}: {outcome:?}");
        }
    }
    // Without a type to go by: an old logout token, a proof, and a token without `exp` are no ID tokens.
    for (kind, rules, typ, payload) in one_of_each() {
        if typ.is_some_and(|typ| typ != "JWT" && typ != "at+jwt" && typ != "client-authentication+jwt") {
            let verified = verify(&signed(None, &payload), &[Algorithm::Es256]).unwrap();
            for rules in [rules, Rules::ID_TOKEN, Rules::CLIENT_ASSERTION] {
                assert!(jwt::check(&verified, &rules.issuer(ISSUER).audience(AUDIENCE), NOW).is_err(), "{kind}");
            }
        }
    }
}

/// The update, §3.13: who makes the token says how much work a password costs, so that is bounded.
#[test]
fn the_work_of_a_password_is_bounded() {
    let key =
        parsed(&json!({ "kty": "oct", "alg": "PBES2-HS256+A128KW", "k": "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ" }))
            .unwrap();
    let keys = Jwks::from_keys(vec![key]);
    let token = "e30.AAAA.AAAA.AAAA.AAAA";
    for p2c in [json!(10_000_000), json!(u64::MAX), json!(1)] {
        let header = json!({ "alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2s": "AAAAAAAAAAAAAAAA", "p2c": p2c });
        let token = with_header(token, &header);
        // Not accepted at all unless asked for …
        let error = jwe::decrypt(&token, &keys, KeyManagement::ALL, ContentEncryption::ALL).unwrap_err();
        assert_eq!(error, Error::AlgorithmRefused);
        // … and then within bounds.
        let error = jwe::decrypt(&token, &keys, KeyManagement::PASSWORD_BASED, ContentEncryption::ALL).unwrap_err();
        assert_eq!(error, Error::PasswordWorkRefused);
    }
}

/// The update: everything has a largest size, and it is looked at first.
#[test]
fn sizes_are_capped_before_parsing() {
    let long = format!("{}.e30.AA", "!".repeat(jws::MAX_TOKEN_BYTES));
    assert_eq!(verify(&long, Algorithm::ALL).unwrap_err(), Error::TokenTooLong);
    let long = format!("{}....", "!".repeat(jwe::MAX_TOKEN_BYTES));
    assert_eq!(jwe::danger_unopened(&long).unwrap_err(), Error::TokenTooLong);
    let long = "!".repeat(MAX_JWKS_BYTES + 1);
    assert_eq!(Jwks::parse(long.as_bytes()).unwrap_err(), Error::JwksTooLarge);
    assert_eq!(Jwks::parse_set_or_key(long.as_bytes()).unwrap_err(), Error::JwksTooLarge);
    assert_eq!(Jwk::parse(long.as_bytes()).unwrap_err(), Error::JwksTooLarge);
    assert_eq!(Signer::new(&KEY, "JWT").sign(&vec![0; jws::MAX_TOKEN_BYTES]).unwrap_err(), Error::TokenTooLong);
}

fn encrypted(key: &Jwk, alg: KeyManagement) -> String {
    jwe::Encrypter::new(key, alg, ContentEncryption::A128Gcm).unwrap().encrypt(b"{}").unwrap()
}

fn decrypt(token: &str, key: Jwk) -> Result<jwe::Decrypted, Error> {
    jwe::decrypt(token, &Jwks::from_keys(vec![key]), KeyManagement::ALL, ContentEncryption::ALL)
}
