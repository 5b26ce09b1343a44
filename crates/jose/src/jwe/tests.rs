//! The rules of encrypted tokens. What the RFCs' examples say stands in `crates/jose/tests`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod wycheproof;

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jwk::KeyKind;
use crate::{Error, Jwk, Jwks, base64url};

use ContentEncryption as Enc;
use KeyManagement as Alg;

/// RSA keys take long to make; one is enough.
static RSA: LazyLock<Jwk> = LazyLock::new(|| Jwk::generate(KeyKind::Rsa(2048)).unwrap());

/// Every pair of algorithms, each with every type of key that it takes.
static PAIRS: LazyLock<Vec<(Alg, Enc, Jwk)>> = LazyLock::new(|| {
    let agreement =
        [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::X25519].map(|kind| Jwk::generate(kind).unwrap());
    let mut pairs = Vec::new();
    for alg in Alg::ALL {
        for enc in Enc::ALL {
            let keys = match alg {
                Alg::RsaOaep | Alg::RsaOaep256 => vec![RSA.clone()],
                Alg::EcdhEs | Alg::EcdhEsA128Kw | Alg::EcdhEsA256Kw => agreement.to_vec(),
                Alg::A128Kw | Alg::A128GcmKw => vec![Jwk::generate(KeyKind::Secret(16)).unwrap()],
                Alg::A256Kw | Alg::A256GcmKw => vec![Jwk::generate(KeyKind::Secret(32)).unwrap()],
                _ => vec![Jwk::generate(KeyKind::Secret(enc.key_len())).unwrap()],
            };
            pairs.extend(keys.into_iter().map(|key| (*alg, *enc, key)));
        }
    }
    pairs
});

fn set(key: &Jwk) -> Jwks {
    Jwks::from_keys(vec![key.clone()])
}

fn open(token: &str, key: &Jwk) -> Result<Vec<u8>, Error> {
    decrypt(token, &set(key), Alg::ALL, Enc::ALL).map(|decrypted| decrypted.payload.to_vec())
}

/// The token with `change` made to one decoded part.
fn changed(token: &str, part: usize, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut bytes = base64url::decode(&parts[part]).unwrap();
    change(&mut bytes);
    parts[part] = base64url::encode(&bytes);
    parts.join(".")
}

/// The token with other header members.
fn with_header(token: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    changed(token, 0, |bytes| {
        let mut header: Value = serde_json::from_slice(bytes).unwrap();
        change(header.as_object_mut().unwrap());
        *bytes = header.to_string().into_bytes();
    })
}

fn secret_key(bytes: usize) -> Jwk {
    Jwk::generate(KeyKind::Secret(bytes)).unwrap()
}

#[test]
fn every_pair_goes_there_and_back() {
    assert_eq!(PAIRS.len(), 5 * (2 + 3 * 4 + 4 + 1));
    for (alg, enc, key) in &*PAIRS {
        let encrypter = Encrypter::new(key, *alg, *enc).unwrap().typ("JWT");
        for payload in [&b""[..], b"{}", &[255; 33]] {
            let token = encrypter.encrypt(payload).unwrap();
            let decrypted = decrypt(&token, &set(key), &[*alg], &[*enc]).unwrap();
            assert_eq!(decrypted.payload.as_slice(), payload, "{alg} {enc}");
            assert_eq!((decrypted.alg, decrypted.enc), (*alg, *enc));
            assert_eq!((decrypted.header.alg.as_str(), decrypted.header.enc.as_str()), (alg.as_str(), enc.as_str()));
            assert_eq!(decrypted.header.typ.as_deref(), Some("JWT"));
            // A new key, a new vector each time.
            assert_ne!(token, encrypter.encrypt(payload).unwrap());
        }
    }
}

/// RFC 7516 §11.5: nobody learns what was wrong. Whatever bit changes in whatever part, the answer is the same.
#[test]
fn every_change_of_what_is_encrypted_fails_in_the_same_way() {
    for (alg, enc, key) in &*PAIRS {
        let token = Encrypter::new(key, *alg, *enc).unwrap().encrypt(b"a secret of some length").unwrap();
        for part in 1..5 {
            let length = base64url::decode(token.split('.').nth(part).unwrap()).unwrap().len();
            // RSA is slow; there, a few places stand for all.
            let step = if length > 200 { 51 } else { 1 };
            for at in (0..length).step_by(step) {
                let bad = changed(&token, part, |bytes| bytes[at] ^= 1 << (at % 8));
                assert_eq!(open(&bad, key), Err(Error::DecryptionFailed), "{alg} {enc} part {part} byte {at}");
            }
            for bad in [
                changed(&token, part, Vec::clear),
                changed(&token, part, |bytes| bytes.push(0)),
                changed(&token, part, |bytes| _ = bytes.pop()),
            ] {
                // An empty part stays what it is.
                if bad != token {
                    assert_eq!(open(&bad, key), Err(Error::DecryptionFailed), "{alg} {enc} part {part}");
                }
            }
        }
        // What is only authenticated.
        let bad = with_header(&token, |header| _ = header.insert("typ".to_owned(), json!("JWT")));
        assert_eq!(open(&bad, key), Err(Error::DecryptionFailed), "{alg} {enc}");
    }
}

/// A key of the same kind, a wrong one: no other answer than for a changed token.
#[test]
fn another_key_fails_in_the_same_way() {
    for (alg, enc, key) in &*PAIRS {
        let token = Encrypter::new(key, *alg, *enc).unwrap().encrypt(b"secret").unwrap();
        for (other_alg, other_enc, other) in &*PAIRS {
            let same_kind = (alg, enc) == (other_alg, other_enc) && other.thumbprint() != key.thumbprint();
            if same_kind {
                assert_eq!(open(&token, other), Err(Error::DecryptionFailed), "{alg} {enc}");
            }
        }
    }
    let (key, other) = (secret_key(32), secret_key(32));
    for alg in [Alg::A256Kw, Alg::A256GcmKw, Alg::Dir] {
        let token = Encrypter::new(&key, alg, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
        assert_eq!(open(&token, &other), Err(Error::DecryptionFailed));
    }
    let rsa = Jwk::generate(KeyKind::Rsa(2048)).unwrap();
    let token = Encrypter::new(&RSA, Alg::RsaOaep256, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
    assert_eq!(open(&token, &rsa), Err(Error::DecryptionFailed));
}

/// RFC 7518 §5: a wrapped key of another length is no key, even though unwrapping it works.
#[test]
fn a_content_key_of_another_length_fails_in_the_same_way() {
    let key = secret_key(16);
    let token = Encrypter::new(&key, Alg::A128Kw, Enc::A128CbcHs256).unwrap().encrypt(b"secret").unwrap();
    let kek = |length| {
        let crate::jwk::Material::Oct(oct) = key.material() else { panic!("a secret") };
        aes_kw::wrap(&oct.k, &vec![7; length]).unwrap()
    };
    for length in [16, 24, 40, 64] {
        let bad = changed(&token, 1, |bytes| *bytes = kek(length));
        assert_eq!(open(&bad, &key), Err(Error::DecryptionFailed), "{length}");
    }
    let public = key::PublicHalf::of(&RSA, Alg::RsaOaep, Enc::A256Gcm).unwrap();
    let key::PublicHalf::Rsa(public) = public else { panic!("RSA") };
    let token = Encrypter::new(&RSA, Alg::RsaOaep, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
    for length in [0, 16, 31, 33, 64] {
        let encrypted = rsa_oaep::encrypt(&public, Alg::RsaOaep, &vec![7; length]).unwrap();
        let bad = changed(&token, 1, |bytes| *bytes = encrypted);
        assert_eq!(open(&bad, &RSA), Err(Error::DecryptionFailed), "{length}");
    }
}

/// RFC 7516 §11.5: what cannot be decrypted gives a random key, of the right length and another one each time.
#[test]
fn a_random_key_takes_the_place_of_one_that_cannot_be_decrypted() {
    let secret = secret_key(32);
    for (alg, key, encrypted) in [
        (Alg::RsaOaep, &*RSA, vec![1; 256]),
        (Alg::RsaOaep256, &*RSA, vec![1; 255]),
        (Alg::RsaOaep256, &*RSA, vec![]),
        (Alg::A256Kw, &secret, vec![1; 72]),
        (Alg::Dir, &secret, vec![1]),
    ] {
        let enc = if alg == Alg::Dir { Enc::A256Gcm } else { Enc::A256CbcHs512 };
        let parameters = recipient::Parameters::parse(alg, &serde_json::Map::new()).unwrap();
        let private = key::PrivateHalf::of(key, alg, enc).unwrap();
        let receive = || recipient::receive(alg, enc, &parameters, &private, &encrypted).unwrap();
        let (one, another) = (receive(), receive());
        assert_eq!(one.as_bytes().len(), enc.key_len(), "{alg}");
        assert_ne!(one.as_bytes(), another.as_bytes(), "{alg}");
    }
}

/// RFC 7516 §5.2 step 10.
#[test]
fn dir_and_direct_agreement_want_an_empty_encrypted_key() {
    let (shared, point) = (secret_key(32), Jwk::generate(KeyKind::P256).unwrap());
    for (alg, key) in [(Alg::Dir, shared), (Alg::EcdhEs, point)] {
        let token = Encrypter::new(&key, alg, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
        assert!(token.contains(".."));
        let bad = changed(&token, 1, |bytes| bytes.extend([0; 40]));
        assert_eq!(open(&bad, &key), Err(Error::DecryptionFailed));
    }
}

/// RFC 8725 §3.1: the caller says what it accepts, and an empty list accepts nothing.
#[test]
fn only_the_accepted_algorithms_are_decrypted() {
    let key = secret_key(32);
    let token = Encrypter::new(&key, Alg::A256Kw, Enc::A128Gcm).unwrap().encrypt(b"secret").unwrap();
    let decrypt = |alg: &[Alg], enc: &[Enc]| decrypt(&token, &set(&key), alg, enc).map(|_| ());
    assert_eq!(decrypt(&[Alg::A256Kw], &[Enc::A128Gcm]), Ok(()));
    assert_eq!(decrypt(&[Alg::A256GcmKw, Alg::Dir], Enc::ALL), Err(Error::AlgorithmRefused));
    assert_eq!(decrypt(&[], Enc::ALL), Err(Error::AlgorithmRefused));
    assert_eq!(decrypt(Alg::ALL, &[Enc::A256Gcm]), Err(Error::EncryptionRefused));
    assert_eq!(decrypt(Alg::ALL, &[]), Err(Error::EncryptionRefused));
}

/// RFC 8725 §3.2, §3.6: RSA1_5, compression, the wraps with AES-192, `A192GCM`, and names in other letters.
#[test]
fn what_is_not_offered_is_refused_by_name() {
    let key = secret_key(32);
    let token = Encrypter::new(&key, Alg::A256Kw, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
    let with =
        |name: &'static str, value: Value| with_header(&token, |header| _ = header.insert(name.to_owned(), value));
    for (bad, error) in [
        (with("alg", json!("RSA1_5")), Error::AlgorithmInsecure),
        (with("alg", json!("A192KW")), Error::AlgorithmUnknown),
        (with("alg", json!("A192GCMKW")), Error::AlgorithmUnknown),
        (with("alg", json!("ECDH-ES+A192KW")), Error::AlgorithmUnknown),
        (with("alg", json!("PBES2-HS384+A192KW")), Error::AlgorithmUnknown),
        (with("alg", json!("a256kw")), Error::AlgorithmUnknown),
        (with("alg", json!("none")), Error::AlgorithmUnknown),
        (with("alg", json!("HS256")), Error::AlgorithmUnknown),
        (with("alg", json!(7)), Error::HeaderInvalid),
        (with("alg", json!("PBES2-HS256+A128KW")), Error::AlgorithmRefused),
        (with("alg", json!("PBES2-HS512+A256KW")), Error::AlgorithmRefused),
        (with("enc", json!("A192GCM")), Error::EncryptionUnknown),
        (with("enc", json!("a256gcm")), Error::EncryptionUnknown),
        (with("enc", json!("A256KW")), Error::EncryptionUnknown),
        (with("enc", json!([])), Error::HeaderInvalid),
        (with("zip", json!("DEF")), Error::CompressionRefused),
        (with("zip", json!(null)), Error::CompressionRefused),
        (with("crit", json!([])), Error::CriticalUnsupported),
        (with("crit", json!(["exp"])), Error::CriticalUnsupported),
        (with("crit", json!("alg")), Error::CriticalUnsupported),
        (with("kid", json!(1)), Error::HeaderInvalid),
        // The only key has no name, and so may be the one that is meant: but the header is not the one that was authenticated.
        (with("kid", json!("another")), Error::DecryptionFailed),
        (with_header(&token, |header| _ = header.remove("enc")), Error::HeaderInvalid),
        (with_header(&token, |header| _ = header.remove("alg")), Error::HeaderInvalid),
    ] {
        assert_eq!(open(&bad, &key), Err(error), "{bad}");
    }
}

#[test]
fn what_is_no_compact_jwe_is_refused_by_its_shape() {
    let key = secret_key(32);
    let token = Encrypter::new(&key, Alg::Dir, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
    let (header, rest) = token.split_once('.').unwrap();
    for (bad, error) in [
        (String::new(), Error::TokenEmpty),
        ("a".repeat(MAX_TOKEN_BYTES + 1), Error::TokenTooLong),
        (r#"{"protected":"","ciphertext":""}"#.to_owned(), Error::JsonSerialization),
        ("a.b.c".to_owned(), Error::TokenNotEncrypted),
        ("a.b".to_owned(), Error::TokenMalformed),
        (format!("{token}."), Error::TokenMalformed),
        (format!("{token}="), Error::Base64Invalid),
        (format!("{header}=.{rest}"), Error::Base64Invalid),
        (format!("{header}\n.{rest}"), Error::Base64Invalid),
        (format!(" {token}"), Error::Base64Invalid),
        (format!(".{rest}"), Error::HeaderInvalid),
        (format!("{}.{rest}", base64url::encode(b"[]")), Error::HeaderInvalid),
        (
            format!("{}.{rest}", base64url::encode(br#"{"alg":"dir","enc":"A256GCM","enc":"A256GCM"}"#)),
            Error::HeaderInvalid,
        ),
        (
            format!("{}.{rest}", base64url::encode(b"{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"x\":\"\xff\"}")),
            Error::HeaderInvalid,
        ),
    ] {
        assert_eq!(open(&bad, &key), Err(error), "{bad}");
    }
    // RFC 8725 §3.8: a signed token is no encrypted one, and the other way round.
    assert_eq!(crate::jws::verify(&token, &set(&key), &[crate::Algorithm::Hs256]).unwrap_err(), Error::TokenEncrypted);
}

/// RFC 7517 §4.2 to §4.4, RFC 8725 §3.1: what the key says about itself.
#[test]
fn a_key_serves_what_it_says_alone() {
    let secret = serde_json::from_str::<Value>(&secret_key(32).to_private_json()).unwrap();
    let key = |change: Value| {
        let mut members = secret.clone();
        members.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Jwk::parse(members.to_string().as_bytes()).unwrap()
    };
    let plain = key(json!({}));
    let token = |alg, enc| Encrypter::new(&plain, alg, enc).unwrap().encrypt(b"secret").unwrap();
    let (wrapped, direct) = (token(Alg::A256Kw, Enc::A128Gcm), token(Alg::Dir, Enc::A256Gcm));
    for (change, opens_wrapped, opens_direct) in [
        (json!({}), true, true),
        (json!({ "alg": "A256KW" }), true, false),
        (json!({ "alg": "A256GCMKW" }), false, false),
        (json!({ "alg": "dir" }), false, true),
        (json!({ "alg": "A256GCM" }), false, true),
        (json!({ "alg": "A128CBC-HS256" }), false, false),
        (json!({ "alg": "HS256" }), false, false),
        (json!({ "use": "enc" }), true, true),
        (json!({ "use": "sig" }), false, false),
        (json!({ "key_ops": ["decrypt"] }), true, true),
        (json!({ "key_ops": ["wrapKey", "unwrapKey"] }), true, true),
        (json!({ "key_ops": ["encrypt", "wrapKey"] }), false, false),
        (json!({ "key_ops": ["sign", "verify"] }), false, false),
        (json!({ "key_ops": ["deriveKey"] }), false, false),
        (json!({ "key_ops": [] }), false, false),
        (json!({ "use": "sig", "key_ops": ["decrypt"] }), false, false),
    ] {
        let key = key(change.clone());
        let expected = |opens| if opens { Ok(b"secret".to_vec()) } else { Err(Error::KeyUnusable) };
        assert_eq!(open(&wrapped, &key), expected(opens_wrapped), "{change}");
        assert_eq!(open(&direct, &key), expected(opens_direct), "{change}");
    }
    let encrypts = |change, alg, enc| Encrypter::new(&key(change), alg, enc).map(|_| ());
    assert_eq!(encrypts(json!({ "key_ops": ["encrypt"] }), Alg::Dir, Enc::A256Gcm), Ok(()));
    assert_eq!(encrypts(json!({ "key_ops": ["decrypt"] }), Alg::Dir, Enc::A256Gcm), Err(Error::KeyUnusable));
    assert_eq!(encrypts(json!({ "alg": "A256GCM" }), Alg::Dir, Enc::A128CbcHs256), Err(Error::KeyUnusable));
    assert_eq!(encrypts(json!({}), Alg::Dir, Enc::A128CbcHs256), Ok(()));
    assert_eq!(encrypts(json!({}), Alg::Dir, Enc::A256CbcHs512), Err(Error::KeyUnusable));
    assert_eq!(encrypts(json!({}), Alg::A128Kw, Enc::A128Gcm), Err(Error::KeyUnusable));
    assert_eq!(encrypts(json!({}), Alg::RsaOaep, Enc::A128Gcm), Err(Error::KeyUnusable));
}

#[test]
fn a_public_key_encrypts_and_does_not_decrypt() {
    for private in [RSA.clone(), Jwk::generate(KeyKind::P384).unwrap(), Jwk::generate(KeyKind::X25519).unwrap()] {
        let public = private.to_public().unwrap();
        let alg = if private.thumbprint() == RSA.thumbprint() { Alg::RsaOaep256 } else { Alg::EcdhEsA256Kw };
        let token = Encrypter::new(&public, alg, Enc::A192CbcHs384).unwrap().encrypt(b"secret").unwrap();
        assert_eq!(open(&token, &public), Err(Error::KeyUnusable));
        assert_eq!(open(&token, &private), Ok(b"secret".to_vec()));
    }
    let signing = Jwk::generate(KeyKind::Ed25519).unwrap();
    assert_eq!(Encrypter::new(&signing, Alg::EcdhEs, Enc::A128Gcm).unwrap_err(), Error::KeyUnusable);
}

#[test]
fn the_key_that_is_named_is_the_key_that_decrypts() {
    let named = secret_key(32).with_kid("a");
    let others: Vec<Jwk> = (0..20).map(|n| secret_key(32).with_kid(&format!("other-{n}"))).collect();
    let token = Encrypter::new(&named, Alg::Dir, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
    let with = |last: Jwk| Jwks::from_keys(others.iter().cloned().chain([last]).collect());
    let decrypted = decrypt(&token, &with(named.clone()), Alg::ALL, Enc::ALL).unwrap();
    assert_eq!(decrypted.kid.as_deref(), Some("a"));
    let error = |keys: &Jwks| decrypt(&token, keys, Alg::ALL, Enc::ALL).unwrap_err();
    assert_eq!(error(&with(named.clone().with_kid("b"))), Error::KeyUnknown);
    assert_eq!(error(&with(secret_key(32).with_kid("a"))), Error::DecryptionFailed);
    assert_eq!(error(&with(secret_key(16).with_kid("a"))), Error::KeyUnusable);
    assert_eq!(error(&Jwks::from_keys(vec![])), Error::KeyUnknown);

    // Without a name, the few that fit are tried.
    let nameless =
        Jwk::parse(json!({ "kty": "oct", "k": base64url::encode(&[5; 32]) }).to_string().as_bytes()).unwrap();
    let token = Encrypter::new(&nameless, Alg::Dir, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
    let keys = |before: usize| Jwks::from_keys(others.iter().take(before).cloned().chain([nameless.clone()]).collect());
    assert!(decrypt(&token, &keys(7), Alg::ALL, Enc::ALL).is_ok());
    assert_eq!(decrypt(&token, &keys(8), Alg::ALL, Enc::ALL).unwrap_err(), Error::KeyAmbiguous);
}

/// RFC 7519 §11.2: sign, then encrypt; verify what was decrypted.
#[test]
fn a_signed_token_travels_inside() {
    let signing = crate::SigningKey::generate(crate::Algorithm::Es256).unwrap();
    let signed = crate::Signer::new(&signing, "JWT").sign(br#"{"sub":"me"}"#).unwrap();
    let key = secret_key(32);
    let encrypter = Encrypter::new(&key, Alg::A256GcmKw, Enc::A256CbcHs512).unwrap();
    let token = encrypter.encrypt_nested(&signed).unwrap();
    let nested = decrypt_nested(&token, &set(&key), Alg::ALL, Enc::ALL).unwrap();
    assert_eq!(nested.header.cty.as_deref(), Some("JWT"));
    let signers = Jwks::from_keys(vec![signing.public()]);
    assert!(crate::jws::verify(&nested.token, &signers, &[crate::Algorithm::Es256]).is_ok());

    assert_eq!(encrypter.encrypt_nested(&token).unwrap_err(), Error::ContentTypeWrong);
    assert_eq!(encrypter.encrypt_nested("{}").unwrap_err(), Error::ContentTypeWrong);
    let nested = |token: &str| decrypt_nested(token, &set(&key), Alg::ALL, Enc::ALL).map(|_| ());
    assert_eq!(nested(&encrypter.encrypt(signed.as_bytes()).unwrap()), Err(Error::ContentTypeWrong));
    assert_eq!(nested(&encrypter.clone().cty("jwk+json").encrypt(b"{}").unwrap()), Err(Error::ContentTypeWrong));
    assert_eq!(nested(&encrypter.clone().cty("JWT").encrypt(b"\xff").unwrap()), Err(Error::ContentTypeWrong));
    for cty in ["jwt", "application/jwt", "Application/JWT"] {
        assert_eq!(nested(&encrypter.clone().cty(cty).encrypt(signed.as_bytes()).unwrap()), Ok(()));
    }
}

/// RFC 7518 §4.8, RFC 8725 (update): passwords only for who asks for them, and only for a bounded price.
#[test]
fn passwords_are_for_callers_who_name_them() {
    let key = Jwk::parse(
        json!({ "kty": "oct", "k": base64url::encode(b"entrap_o-peter_long-credit_tun") }).to_string().as_bytes(),
    );
    let key = key.unwrap();
    for alg in Alg::PASSWORD_BASED {
        let token = Encrypter::new(&key, *alg, Enc::A128CbcHs256).unwrap().encrypt(b"secret").unwrap();
        assert_eq!(open(&token, &key), Err(Error::AlgorithmRefused));
        let decrypt = |token: &str| decrypt(token, &set(&key), Alg::PASSWORD_BASED, Enc::ALL).map(|_| ());
        assert_eq!(decrypt(&token), Ok(()));
        let with =
            |name: &'static str, value: Value| with_header(&token, |header| _ = header.insert(name.to_owned(), value));
        for (bad, error) in [
            (with("p2c", json!(999)), Error::PasswordWorkRefused),
            (with("p2c", json!(0)), Error::PasswordWorkRefused),
            (with("p2c", json!(1_200_001)), Error::PasswordWorkRefused),
            (with("p2c", json!(u64::MAX)), Error::PasswordWorkRefused),
            (with("p2c", json!(-1)), Error::HeaderInvalid),
            (with("p2c", json!(1000.5)), Error::HeaderInvalid),
            (with("p2c", json!("1000")), Error::HeaderInvalid),
            (with("p2s", json!(base64url::encode(&[1; 7]))), Error::PasswordWorkRefused),
            (with("p2s", json!(base64url::encode(&[1; 257]))), Error::PasswordWorkRefused),
            (with("p2s", json!("=")), Error::HeaderInvalid),
            (with_header(&token, |header| _ = header.remove("p2s")), Error::HeaderInvalid),
            (with("p2c", json!(1000)), Error::DecryptionFailed),
        ] {
            assert_eq!(decrypt(&bad), Err(error));
        }
    }
}

/// RFC 7517, Appendix C.3 to C.4: the password's key, and what it wraps.
#[test]
fn rfc_7517_appendix_c() {
    let header = json!({ "p2s": "2WCTcJZ1Rvd_CJuJripQ1w", "p2c": 4096 });
    let stretching = pbes2::Stretching::parse(header.as_object().unwrap()).unwrap();
    let kek = stretching.stretch(b"Thus from my lips, by yours, my sin is purged.", Alg::Pbes2Hs256A128Kw).unwrap();
    assert_eq!(kek.as_slice(), [110, 171, 169, 92, 129, 92, 109, 117, 233, 242, 116, 233, 170, 14, 24, 75]);
    let wrapped = base64url::decode("TrqXOwuNUfDV9VPTNbyGvEJ9JMjefAVn-TR1uIxR9p6hsRQh9Tk7BA").unwrap();
    let cek = aes_kw::unwrap(&kek, &wrapped, 32).unwrap();
    assert_eq!(base64url::encode(&cek), "bxsZNEIdFE5csDjwQdBScKGDJDfK7LmsgReZwsMw_bY");
}

#[test]
fn lengths_that_a_header_gives_for_gcm_wrapping_are_exact() {
    let key = secret_key(16);
    let token = Encrypter::new(&key, Alg::A128GcmKw, Enc::A128Gcm).unwrap().encrypt(b"secret").unwrap();
    for (name, right) in [("iv", 12), ("tag", 16)] {
        for length in [0, 4, right - 1, right + 1, 64] {
            let value = json!(base64url::encode(&vec![1; length]));
            let bad = with_header(&token, |header| _ = header.insert(name.to_owned(), value));
            assert_eq!(open(&bad, &key), Err(Error::HeaderInvalid), "{name} {length}");
        }
        let bad =
            with_header(&token, |header| _ = header.insert(name.to_owned(), json!(base64url::encode(&vec![1; right]))));
        assert_eq!(open(&bad, &key), Err(Error::DecryptionFailed));
        let bad = with_header(&token, |header| _ = header.remove(name));
        assert_eq!(open(&bad, &key), Err(Error::HeaderInvalid));
    }
}

#[test]
fn nothing_secret_is_shown() {
    let key = secret_key(32).with_kid("k");
    let encrypter = Encrypter::new(&key, Alg::Dir, Enc::A256Gcm).unwrap();
    let token = encrypter.clone().cty("JWT").encrypt(b"a.very.secret").unwrap();
    let decrypted = decrypt(&token, &set(&key), Alg::ALL, Enc::ALL).unwrap();
    let nested = decrypt_nested(&token, &set(&key), Alg::ALL, Enc::ALL).unwrap();
    let shown = format!("{encrypter:?} {decrypted:?} {nested:?}");
    let secret = serde_json::from_str::<Value>(&key.to_private_json()).unwrap()["k"].as_str().unwrap().to_owned();
    assert!(shown.contains("A256Gcm") && shown.contains("\"k\""), "{shown}");
    assert!(!shown.contains("secret") && !shown.contains(&secret), "{shown}");
    let bytes = format!("{:?}", b"a.very.secret");
    assert!(!shown.contains(&bytes[1..bytes.len() - 1]), "{shown}");
}

#[test]
fn a_header_can_be_looked_at_without_a_key() {
    let key = secret_key(32).with_kid("k");
    let token = Encrypter::new(&key, Alg::Dir, Enc::A256Gcm).unwrap().encrypt(b"secret").unwrap();
    let unopened = danger_unopened(&token).unwrap();
    assert_eq!(unopened.header.kid.as_deref(), Some("k"));
    assert_eq!(unopened.ciphertext_len, 6);
    assert_eq!(danger_unopened("a.b.c").unwrap_err(), Error::TokenNotEncrypted);
    assert_eq!(danger_unopened(&format!("{token}=")).unwrap_err(), Error::Base64Invalid);
}

#[test]
fn a_token_that_nobody_would_read_is_not_made() {
    let encrypter = Encrypter::new(&secret_key(32), Alg::Dir, Enc::A256Gcm).unwrap();
    assert!(encrypter.encrypt(&vec![0; MAX_TOKEN_BYTES / 4 * 3 - 200]).is_ok());
    assert_eq!(encrypter.encrypt(&vec![0; MAX_TOKEN_BYTES / 4 * 3]).unwrap_err(), Error::TokenTooLong);
    assert_eq!(encrypter.encrypt(&vec![0; MAX_TOKEN_BYTES * 2]).unwrap_err(), Error::TokenTooLong);
}

proptest! {
    #[test]
    fn any_payload_comes_back(pair in 0..75_usize, payload in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (alg, enc, key) = &PAIRS[pair % PAIRS.len()];
        let token = Encrypter::new(key, *alg, *enc).unwrap().encrypt(&payload).unwrap();
        prop_assert_eq!(open(&token, key), Ok(payload));
    }

    #[test]
    fn any_changed_character_fails(pair in 0..75_usize, at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        let (alg, enc, key) = &PAIRS[pair % PAIRS.len()];
        let token = Encrypter::new(key, *alg, *enc).unwrap().encrypt(b"any payload").unwrap();
        let at = at.index(token.len());
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        prop_assert!(open(&changed, key).is_err());
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "[A-Za-z0-9_=-]{0,40}(\\.[A-Za-z0-9_=-]{0,40}){0,6}|.{0,80}") {
        let (_, _, key) = &PAIRS[0];
        prop_assert!(open(&text, key).is_err());
        prop_assert!(danger_unopened(&text).is_err());
    }

    #[test]
    fn any_header_is_refused_without_a_panic(
        alg in prop::sample::select(vec!["dir", "ECDH-ES", "ECDH-ES+A256KW", "A256KW", "A256GCMKW", "RSA-OAEP"]),
        name in prop::sample::select(vec!["epk", "apu", "apv", "iv", "tag", "p2s", "p2c", "kid", "cty", "typ", "x"]),
        value in prop::sample::select(vec![json!(null), json!(1), json!("AAAA"), json!([1]), json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"})]),
        parts in "(\\.[A-Za-z0-9_-]{0,44}){4}",
    ) {
        let header = json!({ "alg": alg, "enc": "A256GCM", name: value });
        let token = base64url::encode(header.to_string().as_bytes()) + &parts;
        for key in [&secret_key(32), &*RSA, &Jwk::generate(KeyKind::P256).unwrap()] {
            prop_assert!(open(&token, key).is_err());
        }
    }
}
