//! RFC 7520 §5 and §6, and the X25519 example that goes with RFC 8037: from `tests/vectors/rfc7520`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

use std::path::Path;

use regrant_jose::jwe::{self, ContentEncryption, KeyManagement};
use regrant_jose::{Algorithm, Error, Jwk, Jwks, jws};
use serde_json::{Value, json};

fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rfc7520").join(name);
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

/// The set of one key, which everyone who decrypts has.
fn keys(jwk: &Value) -> Jwks {
    Jwks::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap()
}

fn decrypt(token: &str, keys: &Jwks) -> Result<Vec<u8>, Error> {
    jwe::decrypt(token, keys, KeyManagement::ALL, ContentEncryption::ALL).map(|decrypted| decrypted.payload.to_vec())
}

#[test]
fn what_is_offered_is_decrypted() {
    for name in [
        "jwe/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json",
        "jwe/5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm.json",
        "jwe/5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2.json",
        "jwe/5_6.direct_encryption_using_aes-gcm.json",
        "jwe/5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2.json",
        "jwe/5_8.key_wrap_using_aes-keywrap_with_aes-gcm.json",
        "curve25519/ecdh-es.json",
    ] {
        let vector = vector(name);
        let (keys, token) = (keys(&vector["input"]["key"]), vector["output"]["compact"].as_str().unwrap());
        let plaintext = vector["input"]["plaintext"].as_str().unwrap();
        assert_eq!(decrypt(token, &keys).as_deref(), Ok(plaintext.as_bytes()), "{name}");
        // The same key encrypts, and reads what it encrypted.
        let header = jwe::danger_unopened(token).unwrap().header;
        let alg = KeyManagement::from_name(&header.alg).unwrap();
        let enc = ContentEncryption::from_name(&header.enc).unwrap();
        let again = jwe::Encrypter::new(&keys.keys()[0], alg, enc).unwrap().encrypt(plaintext.as_bytes()).unwrap();
        assert_eq!(decrypt(&again, &keys).as_deref(), Ok(plaintext.as_bytes()), "{name}");
        // The JSON serialisations of the same are refused.
        for json in ["json", "json_flat"] {
            let token = vector["output"][json].to_string();
            assert_eq!(decrypt(&token, &keys), Err(Error::JsonSerialization), "{name}");
        }
    }
}

#[test]
fn what_is_not_offered_is_refused() {
    for (name, error) in [
        ("jwe/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json", Error::AlgorithmInsecure),
        ("jwe/5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2.json", Error::AlgorithmRefused),
        ("jwe/5_9.compressed_content.json", Error::CompressionRefused),
    ] {
        let vector = vector(name);
        let token = vector["output"]["compact"].as_str().unwrap();
        assert_eq!(decrypt(token, &keys(&vector["input"]["key"])), Err(error), "{name}");
    }
    // Several recipients, shared headers, further authenticated data: the JSON serialisation alone has them.
    for name in [
        "jwe/5_10.including_additional_authentication_data.json",
        "jwe/5_11.protecting_specific_header_fields.json",
        "jwe/5_12.protecting_content_only.json",
        "jwe/5_13.encrypting_to_multiple_recipients.json",
    ] {
        let vector = vector(name);
        let token = vector["output"]["json"].to_string();
        assert_eq!(decrypt(&token, &keys(&vector["input"]["key"])), Err(Error::JsonSerialization), "{name}");
    }
}

/// §5.3, for a caller who accepts passwords.
#[test]
fn a_password_is_accepted_from_who_asks_for_one() {
    let vector = vector("jwe/5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2.json");
    let password = vector["input"]["pwd"].as_str().unwrap();
    let key = json!({ "kty": "oct", "k": base64url(password.as_bytes()) });
    let token = vector["output"]["compact"].as_str().unwrap();
    let accept = [KeyManagement::Pbes2Hs512A256Kw];
    let decrypted = jwe::decrypt(token, &keys(&key), &accept, &[ContentEncryption::A128CbcHs256]).unwrap();
    assert_eq!(decrypted.payload.as_slice(), vector["input"]["plaintext"].as_str().unwrap().as_bytes());
}

/// §6: signed by one key, encrypted to another.
#[test]
fn a_nested_token_is_decrypted_and_then_verified() {
    let vector = vector("6.nesting_signatures_and_encryption.json");
    let (signer, recipient) = (&vector["sign"]["input"]["key"], &vector["encrypt"]["input"]["key"]);
    let token = vector["encrypt"]["output"]["compact"].as_str().unwrap();
    let nested = jwe::decrypt_nested(token, &keys(recipient), KeyManagement::ALL, ContentEncryption::ALL).unwrap();
    assert_eq!(nested.token.as_str(), vector["sign"]["output"]["compact"].as_str().unwrap());
    let verified = jws::verify(&nested.token, &keys(signer), &[Algorithm::Ps256]).unwrap();
    assert_eq!(verified.payload, vector["sign"]["input"]["payload"].as_str().unwrap().as_bytes());
    // One is not taken for the other.
    assert_eq!(jws::verify(token, &keys(signer), &[Algorithm::Ps256]).unwrap_err(), Error::TokenEncrypted);
    assert_eq!(decrypt(&nested.token, &keys(recipient)), Err(Error::TokenNotEncrypted));
}

/// The key of §5.2 says `alg` `RSA-OAEP`: for that alone.
#[test]
fn a_key_decrypts_by_its_own_algorithm_alone() {
    let vector = vector("jwe/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json");
    let mut key = vector["input"]["key"].clone();
    key["alg"] = json!("RSA-OAEP-256");
    let token = vector["output"]["compact"].as_str().unwrap();
    assert_eq!(decrypt(token, &keys(&key)), Err(Error::KeyUnusable));
    key["alg"] = json!("RSA1_5");
    assert!(Jwk::parse(key.to_string().as_bytes()).is_err());
    key["alg"] = json!("RSA-OAEP");
    key["use"] = json!("sig");
    assert_eq!(decrypt(token, &keys(&key)), Err(Error::KeyUnusable));
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
