//! What the fuzz targets call, one function each; `crates/jose/tests/corpora.rs` calls the same with all that was ever found.
//!
//! Each takes any bytes and must come back: with an error, or with something that holds together.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use regrant_jose::jwe::{self, ContentEncryption, KeyManagement};
use regrant_jose::jwt::{self, Rules};
use regrant_jose::{Algorithm, Jwk, Jwks, Signer, SigningKey, jws};

/// One key of every kind. They were made for this and are used for nothing else.
pub static KEYS: LazyLock<Jwks> = LazyLock::new(|| Jwks::parse(include_bytes!("keys.json")).expect("a key set"));

/// Every kind of token, and who signs it.
static KINDS: LazyLock<Vec<(Rules<'static>, Signer)>> = LazyLock::new(|| {
    let secret = KEYS.keys().iter().find(|key| key.signs(Algorithm::Hs256)).expect("a secret");
    let key = SigningKey::from_jwk(secret, Algorithm::Hs256).expect("a key");
    let kinds = [
        Rules::ANY,
        Rules::ACCESS_TOKEN,
        Rules::ID_TOKEN,
        Rules::LOGOUT_TOKEN,
        Rules::DPOP_PROOF,
        Rules::SECURITY_EVENT,
        Rules::CLIENT_ASSERTION,
    ];
    let decided = |rules: Rules<'static>| rules.issuer("https://issuer.example").audience("api");
    kinds
        .iter()
        .flat_map(|rules| {
            let signer = Signer::new(&key, rules.typ.first().unwrap_or(&"JWT"));
            [(*rules, signer.clone()), (decided(*rules), signer)]
        })
        .collect()
});

/// A signed token: as it is, and as three parts that are encoded here, so that what is behind base64url is reached, too.
pub fn jws(data: &[u8]) {
    for token in tokens(data, 3) {
        let verified = jws::verify(&token, &KEYS, Algorithm::ALL);
        let unverified = jws::danger_unverified(&token);
        let detached = jws::verify_detached(&token, data, &KEYS, Algorithm::ALL);
        if let Ok(verified) = verified {
            let unverified = unverified.expect("what is verified can be read");
            assert_eq!(unverified.payload, verified.payload);
            assert_eq!(verified.header.alg, verified.algorithm.as_str());
            assert!(detached.is_err(), "a token with its payload is none without");
        }
    }
}

/// An encrypted token: as it is, and as five parts that are encoded here. And the bytes as a payload, there and back.
pub fn jwe(data: &[u8]) {
    for token in tokens(data, 5) {
        let decrypted = jwe::decrypt(&token, &KEYS, KeyManagement::ALL, ContentEncryption::ALL);
        let nested = jwe::decrypt_nested(&token, &KEYS, KeyManagement::ALL, ContentEncryption::ALL);
        let unopened = jwe::danger_unopened(&token);
        match decrypted {
            Ok(decrypted) => {
                assert_eq!(unopened.expect("what is opened can be looked at").header, decrypted.header);
                assert_eq!(decrypted.header.alg, decrypted.alg.as_str());
            }
            Err(error) => assert_eq!(nested.err(), Some(error)),
        }
    }
    for enc in ContentEncryption::ALL {
        for key in KEYS.keys() {
            let Ok(encrypter) = jwe::Encrypter::new(key, KeyManagement::Dir, *enc) else { continue };
            let Ok(token) = encrypter.encrypt(data) else { continue };
            let decrypted = jwe::decrypt(&token, &KEYS, &[KeyManagement::Dir], &[*enc]).expect("our own token");
            assert_eq!(decrypted.payload.as_slice(), data);
        }
    }
}

/// A key, and a set of keys. What is read can be written and read again, and is the same.
pub fn jwk(data: &[u8]) {
    if let Ok(key) = Jwk::parse(data) {
        let again = Jwk::parse(key.to_private_json().as_bytes()).expect("our own key");
        assert_eq!(again.thumbprint(), key.thumbprint());
        assert_eq!(again.to_json(), key.to_json());
        assert_eq!(again.is_secret(), key.is_secret());
        if let Some(public) = key.to_public() {
            let again = Jwk::parse(public.to_json().as_bytes()).expect("our own public key");
            assert_eq!(again.thumbprint(), key.thumbprint());
            assert!(!again.is_secret());
        }
    }
    if let Ok(set) = Jwks::parse(data) {
        assert!(set.keys().len() + set.unusable() <= regrant_jose::MAX_JWKS_KEYS);
        for key in set.keys() {
            assert!(!format!("{key:?}").contains("\"d\":"));
        }
    }
}

/// Claims, well signed.
pub fn jwt(data: &[u8]) {
    for (rules, signer) in &*KINDS {
        let Ok(token) = signer.sign(data) else { return };
        let verified = jws::verify(&token, &KEYS, &[Algorithm::Hs256]).expect("our own token");
        assert_eq!(verified.payload, data);
        for now in [i64::MIN, 0, 1_800_000_000, i64::MAX] {
            if jwt::check(&verified, rules, now).is_ok() {
                let claims: serde_json::Value = serde_json::from_slice(data).expect("claims are JSON");
                assert!(claims.is_object());
            }
        }
    }
}

/// The data as a token; and its lines, encoded, as a token's parts. Lines that are missing are empty.
fn tokens(data: &[u8], parts: usize) -> impl Iterator<Item = String> {
    let as_it_is = std::str::from_utf8(data).ok().map(str::to_owned);
    let mut lines = data.splitn(parts, |byte| *byte == b'\n');
    let encoded: Vec<String> = (0..parts).map(|_| URL_SAFE_NO_PAD.encode(lines.next().unwrap_or_default())).collect();
    as_it_is.into_iter().chain([encoded.join(".")])
}
