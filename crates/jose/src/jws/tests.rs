#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{Algorithm, Error, Jwk, Jwks, SigningKey, base64url};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());
static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(&KEY, "at+jwt"));
static KEYS: LazyLock<Jwks> = LazyLock::new(|| Jwks::from_keys(vec![KEY.public()]));

const ES256: &[Algorithm] = &[Algorithm::Es256];

/// RFC 7515, Appendix A.3.
const A3_KEY: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
const A3_TOKEN: &str = concat!(
    "eyJhbGciOiJFUzI1NiJ9.",
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
);

#[test]
fn rfc_7515_a3() {
    let keys = Jwks::from_keys(vec![Jwk::parse(A3_KEY.as_bytes()).unwrap()]);
    let verified = verify(A3_TOKEN, &keys, ES256).unwrap();
    assert_eq!(verified.payload, b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
    assert_eq!(verified.algorithm, Algorithm::Es256);
    assert_eq!(verified.header.typ, None);
    assert_eq!(verified.kid(), None);
}

/// RFC 7515, Appendix A.2.
#[test]
fn rfc_7515_a2() {
    let key = r#"{"kty":"RSA","alg":"RS256","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
    let token = concat!(
        "eyJhbGciOiJSUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dn",
        "ZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC",
        "-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let keys = Jwks::from_keys(vec![Jwk::parse(key.as_bytes()).unwrap()]);
    let verified = verify(token, &keys, &[Algorithm::Rs256]).unwrap();
    assert_eq!(verified.payload, b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
    assert_eq!(verify(token, &keys, ES256).unwrap_err(), Error::AlgorithmRefused);
    let (input, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", base64url::encode(&[1; 256]));
    assert_eq!(verify(&forged, &keys, &[Algorithm::Rs256]).unwrap_err(), Error::SignatureInvalid);
}

/// RFC 8037, Appendix A.4, whose header still says `EdDSA`: the signature holds, the old name is not believed.
#[test]
fn rfc_8037_a4() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let jwk = Jwk::parse(key.as_bytes()).unwrap();
    assert_eq!(jwk.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let bytes = base64url::decode(signature).unwrap();
    assert_eq!(jwk.verify_signature(Algorithm::EdDsa, input.as_bytes(), &bytes), Ok(()));
    assert_eq!(jwk.verify_signature(Algorithm::EdDsa, b"something else", &bytes), Err(Error::SignatureInvalid));
    let keys = Jwks::from_keys(vec![jwk]);
    let token = format!("{input}.{signature}");
    assert_eq!(verify(&token, &keys, Algorithm::ALL).unwrap_err(), Error::AlgorithmRefused);
    assert!(verify(&token, &keys, &[Algorithm::EdDsa]).is_ok());
}

/// RFC 8725 §3.1: a key serves its own algorithm, whatever a token says and a caller accepts.
#[test]
fn every_algorithm_signs_and_is_verified_by_its_own_key_alone() {
    let keys: Vec<SigningKey> =
        Algorithm::ALL.iter().map(|algorithm| SigningKey::generate(*algorithm).unwrap()).collect();
    let set = Jwks::from_keys(keys.iter().map(SigningKey::public).collect());
    assert_eq!(set.keys().len(), keys.len());
    for key in &keys {
        let algorithm = key.algorithm();
        let token = Signer::new(key, "at+jwt").sign(b"{}").unwrap();
        assert_eq!(token.capacity(), token.len(), "one allocation, of the right size");
        let verified = verify(&token, &set, Algorithm::ALL).unwrap();
        assert_eq!((verified.algorithm, verified.kid()), (algorithm, Some(key.kid())));
        assert_eq!(verified.header.alg, algorithm.as_str());
        let Some(pkcs8) = key.to_pkcs8() else {
            assert!(algorithm.is_symmetric());
            continue;
        };
        let again = SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap();
        assert_eq!(again.kid(), key.kid());
        assert!(verify(&Signer::new(&again, "JWT").sign(b"x").unwrap(), &set, &[algorithm]).is_ok());
        for other in keys.iter().filter(|other| other.algorithm() != algorithm) {
            assert_eq!(verify(&token, &set, &[other.algorithm()]).unwrap_err(), Error::AlgorithmRefused);
            let same_type = key.jwk().only_algorithm().is_some() && both_rsa(algorithm, other.algorithm());
            assert_eq!(SigningKey::from_pkcs8(other.algorithm(), &pkcs8).is_ok(), same_type);
            // The same key's name, another algorithm's header.
            let (_, rest) = token.split_once('.').unwrap();
            let header = format!(r#"{{"alg":"{}","kid":"{}"}}"#, other.algorithm(), key.kid());
            let confused = format!("{}.{rest}", base64url::encode(header.as_bytes()));
            assert_eq!(verify(&confused, &set, Algorithm::ALL).unwrap_err(), Error::KeyUnusable);
        }
    }
}

fn both_rsa(one: Algorithm, other: Algorithm) -> bool {
    [one, other].iter().all(|algorithm| algorithm.as_str().starts_with(['R', 'P']))
}

#[test]
fn a_token_says_what_it_is() {
    let token = SIGNER.sign(b"{}").unwrap();
    assert_eq!(token.capacity(), token.len(), "one allocation, of the right size");
    let verified = verify(&token, &KEYS, ES256).unwrap();
    assert_eq!(verified.header.alg, "ES256");
    assert_eq!(verified.header.typ.as_deref(), Some("at+jwt"));
    assert_eq!(verified.header.kid.as_deref(), Some(KEY.kid()));
    assert_eq!(verified.kid(), Some(KEY.kid()));
    assert_eq!(KEY.kid(), KEY.public().thumbprint());
}

#[test]
fn a_saved_key_is_the_same_key() {
    let again = SigningKey::from_pkcs8(Algorithm::Es256, &KEY.to_pkcs8().unwrap()).unwrap();
    assert_eq!(again.kid(), KEY.kid());
    let token = Signer::new(&again, "JWT").sign(b"x").unwrap();
    assert!(verify(&token, &KEYS, ES256).is_ok());
    let error = SigningKey::from_pkcs8(Algorithm::Es256, b"nonsense").unwrap_err();
    assert_eq!(error, Error::PrivateKeyInvalid);
}

#[test]
fn debug_shows_no_private_part() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&*KEY);
    shared(&*SIGNER);
    let shown = format!("{:?} {:?}", *KEY, *SIGNER);
    assert!(shown.contains(KEY.kid()));
    assert!(shown.len() < 300, "{shown}");
}

/// Signs any header, to get at what is behind the signature.
fn signed(header: &str) -> String {
    let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(b"{}"));
    let signature = KEY.pair().sign(input.as_bytes(), |_, signature| signature.to_vec()).unwrap();
    format!("{input}.{}", base64url::encode(signature.as_ref()))
}

#[test]
fn bad_tokens_are_refused_each_with_its_code() {
    let kid = KEY.kid();
    let good = signed(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = input.split_once('.').unwrap();
    assert!(verify(&good, &KEYS, ES256).is_ok());
    assert!(verify(&signed(r#"{"alg":"ES256"}"#), &KEYS, ES256).is_ok());
    // Embedded keys and addresses of keys are never looked at.
    let embedded = format!(r#"{{"alg":"ES256","jwk":{A3_KEY},"jku":"https://evil.example","x5u":"x","x5c":["AA"]}}"#);
    assert!(verify(&signed(&embedded), &KEYS, ES256).is_ok());

    let zero = base64url::encode(&[0; 64]);
    let swapped = {
        let bytes = base64url::decode(signature).unwrap();
        base64url::encode(&[&bytes[32..], &bytes[..32]].concat())
    };
    let mut table: Vec<(String, &str)> = vec![
        (String::new(), "token_empty"),
        ("a".repeat(MAX_TOKEN_BYTES + 1), "token_too_long"),
        (format!(r#"{{"payload":"","signature":"{signature}"}}"#), "json_serialization"),
        ("a.b.c.d.e".into(), "token_encrypted"),
        ("a".into(), "token_malformed"),
        (input.into(), "token_malformed"),
        (format!("{good}."), "token_malformed"),
        ("..".into(), "header_invalid"),
        (format!("{header}..{signature}"), "signature_invalid"),
        (format!("{input}."), "signature_invalid"),
        (format!("{input}.{zero}"), "signature_invalid"),
        (format!("{input}.{swapped}"), "signature_invalid"),
        (format!("{input}.{}", &signature[..84]), "signature_invalid"),
        (format!("{input}.AA{signature}"), "signature_invalid"),
        (format!("{good}="), "base64_invalid"),
        (format!("{good}\n"), "base64_invalid"),
        (format!(" {good}"), "base64_invalid"),
        (good.replace('.', "=."), "base64_invalid"),
        (format!("+/{good}"), "base64_invalid"),
        (format!("é{good}"), "base64_invalid"),
    ];
    for (header, code) in [
        ("", "header_invalid"),
        ("[]", "header_invalid"),
        ("null", "header_invalid"),
        ("{}", "header_invalid"),
        (r#"{"alg":"ES256"}x"#, "header_invalid"),
        (r#"{"alg":["ES256"]}"#, "header_invalid"),
        (r#"{"alg":null}"#, "header_invalid"),
        (r#"{"alg":"none","alg":"ES256"}"#, "header_invalid"),
        (r#"{"alg":"none","\u0061lg":"ES256"}"#, "header_invalid"),
        (r#"{"alg":"ES256","x":{"y":1,"y":2}}"#, "header_invalid"),
        (r#"{"alg":"ES256","kid":1}"#, "header_invalid"),
        (r#"{"alg":"ES256","typ":1}"#, "header_invalid"),
        (r#"{"alg":"ES256","crit":["exp"]}"#, "critical_unsupported"),
        (r#"{"alg":"ES256","crit":[]}"#, "critical_unsupported"),
        (r#"{"alg":"ES256","crit":null}"#, "critical_unsupported"),
        (r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#, "b64_unsupported"),
        (r#"{"alg":"ES256","b64":true}"#, "b64_unsupported"),
        (r#"{"alg":"none"}"#, "algorithm_none"),
        (r#"{"alg":"NoNe"}"#, "algorithm_none"),
        (r#"{"alg":"HS256"}"#, "algorithm_refused"),
        (r#"{"alg":"HS1"}"#, "algorithm_unknown"),
        (r#"{"alg":"es256"}"#, "algorithm_unknown"),
        (r#"{"alg":""}"#, "algorithm_unknown"),
        (r#"{"alg":"ES256","kid":"other"}"#, "key_unknown"),
        (r#"{"alg":"ES256","kid":""}"#, "key_unknown"),
    ] {
        table.push((signed(header), code));
    }
    let not_utf8 = format!("{}.e30.{zero}", base64url::encode(b"{\"alg\":\"ES256\",\"x\":\"\xff\"}"));
    table.push((not_utf8, "header_invalid"));
    table.push((signed(&format!("\u{feff}{}", r#"{"alg":"ES256"}"#)), "header_invalid"));
    let deep = format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    table.push((signed(&deep), "header_invalid"));

    for (token, code) in table {
        let error = verify(&token, &KEYS, ES256).unwrap_err();
        assert_eq!(error.code(), code, "{token:.200}");
        assert!(!error.sentence().is_empty());
    }
    assert_eq!(verify(&good, &KEYS, &[]).unwrap_err(), Error::AlgorithmRefused);
    assert_eq!(verify(&good, &Jwks::default(), ES256).unwrap_err(), Error::KeyUnknown);
    assert_eq!(verify(&signed(r#"{"alg":"ES256"}"#), &Jwks::default(), ES256).unwrap_err(), Error::KeyUnusable);
}

#[test]
fn a_kid_chooses_and_without_one_a_few_keys_are_tried() {
    let others = |count: usize| (0..count).map(|_| SigningKey::generate(Algorithm::Es256).unwrap().public());
    let without_kid = signed(r#"{"alg":"ES256"}"#);
    let with_kid = SIGNER.sign(b"{}").unwrap();

    let eighth = Jwks::from_keys(others(MAX_KEYS_TRIED - 1).chain([KEY.public()]).collect());
    assert!(verify(&without_kid, &eighth, ES256).is_ok());
    let ninth = Jwks::from_keys(others(MAX_KEYS_TRIED).chain([KEY.public()]).collect());
    assert_eq!(verify(&without_kid, &ninth, ES256).unwrap_err(), Error::KeyAmbiguous);
    assert!(verify(&with_kid, &ninth, ES256).is_ok());

    // A key with the token's kid that does not match is the answer, even if another key would.
    let impostor = others(1).next().unwrap().to_json();
    let impostor_kid = Jwk::parse(impostor.as_bytes()).unwrap().kid().unwrap().to_owned();
    let impostor = Jwk::parse(impostor.replace(&impostor_kid, KEY.kid()).as_bytes()).unwrap();
    let renamed = Jwk::parse(KEY.public().to_json().replace(KEY.kid(), "else").as_bytes()).unwrap();
    let keys = Jwks::from_keys(vec![impostor.clone(), renamed]);
    assert_eq!(verify(&with_kid, &keys, ES256).unwrap_err(), Error::SignatureInvalid);
    // Two keys of one kid: the name says nothing. The same key twice is no such riddle.
    let keys = Jwks::from_keys(vec![impostor, KEY.public()]);
    assert_eq!(verify(&with_kid, &keys, ES256).unwrap_err(), Error::KeyAmbiguous);
    assert!(verify(&with_kid, &Jwks::from_keys(vec![KEY.public(), KEY.public()]), ES256).is_ok());

    let encryption = KEY.public().to_json().replace(r#""use":"sig""#, r#""use":"enc""#);
    let keys = Jwks::from_keys(vec![Jwk::parse(encryption.as_bytes()).unwrap()]);
    assert_eq!(verify(&with_kid, &keys, ES256).unwrap_err(), Error::KeyUnusable);
}

#[test]
fn nothing_is_signed_that_could_not_be_verified() {
    assert_eq!(SIGNER.sign(&vec![0; MAX_TOKEN_BYTES]).unwrap_err(), Error::TokenTooLong);
}

#[test]
fn inspecting_verifies_nothing() {
    let token = signed(r#"{"alg":"none","crit":["x"]}"#);
    let unverified = danger_unverified(&token).unwrap();
    assert_eq!(unverified.header.alg, "none");
    assert_eq!(unverified.header_json, br#"{"alg":"none","crit":["x"]}"#);
    assert_eq!(unverified.payload, b"{}");
    assert_eq!(danger_unverified("a.b.c.d.e").unwrap_err(), Error::TokenEncrypted);
}

/// The second token with the same header takes a shorter way. It must come to the same end.
#[test]
fn a_known_header_changes_no_outcome() {
    let good = SIGNER.sign(b"{}").unwrap();
    let (header, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let table = [
        good.clone(),
        header.to_owned(),
        format!("{header}."),
        format!("{header}.."),
        format!("{header}...."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{payload}.{signature}"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}A.{payload}.{signature}"),
        format!("{header}.{payload}{}.{signature}", "A".repeat(MAX_TOKEN_BYTES)),
        format!("{{{good}"),
    ];
    let known = Jwks::from_keys(vec![KEY.public()]);
    assert!(verify(&good, &known, ES256).is_ok());
    for token in &table {
        let new = Jwks::from_keys(vec![KEY.public()]);
        let outcome = |keys: &Jwks, accept| verify(token, keys, accept).map(|verified| verified.payload);
        assert_eq!(outcome(&known, ES256), outcome(&new, ES256), "{token:.300}");
        assert!(outcome(&known, &[Algorithm::Es384]).is_err());
    }
    // Headers beyond what is remembered are read each time.
    for n in 0..40 {
        let token = signed(&format!(r#"{{"alg":"ES256","n":{n}}}"#));
        for _ in 0..2 {
            assert_eq!(verify(&token, &known, ES256).unwrap().header.members.get("n"), Some(&n.into()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn signed_is_verified(payload in proptest::collection::vec(any::<u8>(), 0..11_000)) {
        let token = SIGNER.sign(&payload).unwrap();
        prop_assert_eq!(verify(&token, &KEYS, ES256).unwrap().payload, payload);
    }

    #[test]
    fn one_changed_character_is_noticed(
        payload in proptest::collection::vec(any::<u8>(), 0..60),
        index in any::<prop::sample::Index>(),
        other in prop::char::range('!', '~'),
    ) {
        let token = SIGNER.sign(&payload).unwrap();
        let at = index.index(token.len());
        prop_assume!(token.as_bytes()[at] != other as u8);
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        prop_assert!(verify(&changed, &KEYS, ES256).is_err());
    }

    #[test]
    fn garbage_never_panics(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = verify(&text, &KEYS, ES256);
        let _ = danger_unverified(&text);
        let _ = Jwks::parse(&bytes);
        let _ = Jwk::parse(text.as_bytes());
        let _ = SigningKey::from_pkcs8(Algorithm::Es256, &bytes);
        let dressed = format!("{}.{}.{}", base64url::encode(&bytes), base64url::encode(text.as_bytes()), base64url::encode(&bytes));
        prop_assert!(verify(&dressed, &KEYS, ES256).is_err());
    }
}

/// Every character of one token, by every character of the alphabet.
#[test]
fn every_single_change_is_noticed() {
    let token = SIGNER.sign(br#"{"sub":"usr_1"}"#).unwrap();
    for at in 0..token.len() {
        for other in ['A', 'B', 'g', 'w', '_', '.', '='] {
            if token.as_bytes()[at] != other as u8 {
                let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                assert!(verify(&changed, &KEYS, ES256).is_err(), "at {at}: {other}");
            }
        }
    }
}
