//! The examples of RFC 7515, 7520 §3–4, 7638, 8037 and of ML-DSA's JWKs, through the public interface.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

use std::path::Path;

use regrant_jose::{Algorithm, Error, Jwk, Jwks, Signer, SigningKey, jws};
use serde_json::{Map, Value};

fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn jwk(text: &str) -> Jwk {
    Jwk::parse(text.as_bytes()).unwrap()
}

fn keys(text: &str) -> Jwks {
    Jwks::from_keys(vec![jwk(text)])
}

const JOE: &[u8] = b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

#[test]
fn rfc_7515_a1_hs256() {
    let keys = keys(
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
    );
    let token = concat!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let verified = jws::verify(token, &keys, &[Algorithm::Hs256]).unwrap();
    assert_eq!((verified.payload.as_slice(), verified.header.typ.as_deref()), (JOE, Some("JWT")));
    for other in [Algorithm::Hs384, Algorithm::Hs512] {
        assert_eq!(jws::verify(token, &keys, &[other]).unwrap_err(), Error::AlgorithmRefused);
    }
}

#[test]
fn rfc_7515_a4_es512() {
    let key = r#"{"kty":"EC","crv":"P-521",
        "x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
        "d":"AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C"}"#;
    let token = concat!(
        "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.",
        "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCP",
        "EX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
    );
    assert_eq!(jws::verify(token, &keys(key), &[Algorithm::Es512]).unwrap().payload, b"Payload");
    let again = SigningKey::from_jwk(&jwk(key), Algorithm::Es512).unwrap();
    let signed = Signer::new(&again, "JWT").sign(b"Payload").unwrap();
    let public = Jwks::from_keys(vec![again.public()]);
    assert_eq!(jws::verify(&signed, &public, &[Algorithm::Es512]).unwrap().payload, b"Payload");
}

#[test]
fn rfc_7520_section_3_keys_are_read_and_written_again() {
    for name in [
        "3_1.ec_public_key",
        "3_2.ec_private_key",
        "3_3.rsa_public_key",
        "3_4.rsa_private_key",
        "3_5.symmetric_key_mac_computation",
        "3_6.symmetric_key_encryption",
    ] {
        let mut vector = vector(&format!("rfc7520/jwk/{name}.json"));
        let key = jwk(&vector.to_string());
        assert_eq!(serde_json::from_str::<Value>(&key.to_private_json()).unwrap(), vector, "{name}");
        let secrets = ["d", "p", "q", "dp", "dq", "qi", "k"];
        assert_eq!(key.is_secret(), secrets.iter().any(|secret| vector.get(secret).is_some()), "{name}");
        let (public, shown) = (key.to_json(), format!("{key:?}"));
        let members = vector.as_object_mut().unwrap();
        members.retain(|member, value| {
            let secret = secrets.contains(&member.as_str());
            assert!(!secret || !shown.contains(value.as_str().unwrap()), "{name} {member}");
            !secret
        });
        assert_eq!(serde_json::from_str::<Value>(&public).unwrap(), vector, "{name}");
        assert_eq!(key.to_public().is_none(), key.is_symmetric(), "{name}");
    }
}

#[test]
fn rfc_7520_section_4_compact_tokens() {
    for (name, algorithm) in [
        ("4_1.rsa_v15_signature", Algorithm::Rs256),
        ("4_2.rsa-pss_signature", Algorithm::Ps384),
        ("4_3.ecdsa_signature", Algorithm::Es512),
        ("4_4.hmac-sha2_integrity_protection", Algorithm::Hs256),
    ] {
        let vector = vector(&format!("rfc7520/jws/{name}.json"));
        let key = jwk(&vector["input"]["key"].to_string());
        let keys = Jwks::from_keys(vec![key.clone()]);
        let (token, payload) =
            (vector["output"]["compact"].as_str().unwrap(), vector["input"]["payload"].as_str().unwrap());
        let verified = jws::verify(token, &keys, &[algorithm]).unwrap();
        assert_eq!(verified.payload, payload.as_bytes(), "{name}");
        assert_eq!(verified.kid(), vector["input"]["key"]["kid"].as_str());
        for other in Algorithm::ALL.iter().filter(|other| **other != algorithm) {
            assert_eq!(jws::verify(token, &keys, &[*other]).unwrap_err(), Error::AlgorithmRefused, "{name} {other}");
        }

        // With the private half, and the same bytes where the algorithm is deterministic.
        let members: Map<String, Value> =
            [("kid".to_owned(), vector["input"]["key"]["kid"].clone())].into_iter().collect();
        let signer = Signer::with_header(&SigningKey::from_jwk(&key, algorithm).unwrap(), &members).unwrap();
        let signed = signer.sign(payload.as_bytes()).unwrap();
        assert!(jws::verify(&signed, &keys, &[algorithm]).is_ok(), "{name}");
        if vector["reproducible"] == true {
            assert_eq!(signed, token, "{name}");
        }
    }
}

#[test]
fn rfc_7520_section_4_5_detached() {
    let vector = vector("rfc7520/jws/4_5.signature_with_detached_content.json");
    let key = jwk(&vector["input"]["key"].to_string());
    let keys = Jwks::from_keys(vec![key.clone()]);
    let (token, payload) =
        (vector["output"]["compact"].as_str().unwrap(), vector["input"]["payload"].as_str().unwrap());
    let hs256 = &[Algorithm::Hs256];
    assert_eq!(jws::verify_detached(token, payload.as_bytes(), &keys, hs256).unwrap().payload, payload.as_bytes());
    assert_eq!(jws::verify_detached(token, b"else", &keys, hs256).unwrap_err(), Error::SignatureInvalid);
    assert_eq!(jws::verify(token, &keys, hs256).unwrap_err(), Error::SignatureInvalid);
    let attached =
        vector["signing"]["sig-input"].as_str().unwrap().to_owned() + "." + vector["signing"]["sig"].as_str().unwrap();
    assert!(jws::verify(&attached, &keys, hs256).is_ok());
    let both = jws::verify_detached(&attached, payload.as_bytes(), &keys, hs256);
    assert_eq!(both.unwrap_err(), Error::TokenMalformed);

    let members: Map<String, Value> = [("kid".to_owned(), vector["input"]["key"]["kid"].clone())].into_iter().collect();
    let signer = Signer::with_header(&SigningKey::from_jwk(&key, Algorithm::Hs256).unwrap(), &members).unwrap();
    assert_eq!(signer.sign_detached(payload.as_bytes()).unwrap(), token);
}

/// §4.6 to §4.8 exist in the JSON serialisation only.
#[test]
fn rfc_7520_json_serialisations_are_refused_by_name() {
    let mut refused = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rfc7520/jws")).unwrap() {
        let vector: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let key = &vector["input"]["key"];
        let keys = if key.is_object() { keys(&key.to_string()) } else { Jwks::default() };
        for form in ["json", "json_flat"] {
            if vector["output"][form].is_object() {
                let token = vector["output"][form].to_string();
                assert_eq!(jws::verify(&token, &keys, Algorithm::ALL).unwrap_err(), Error::JsonSerialization);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 15);
}

/// Appendix A.1 to A.5. The header says `EdDSA`: good for who accepts that name, and for nobody else.
#[test]
fn rfc_8037_appendix_a() {
    let vector = vector("rfc7520/curve25519/jws.json");
    let key = jwk(&vector["input"]["key"].to_string());
    assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(key.only_algorithm(), Some(Algorithm::Ed25519));
    let keys = Jwks::from_keys(vec![key.to_public().unwrap()]);
    let token = vector["output"]["compact"].as_str().unwrap();
    assert_eq!(jws::verify(token, &keys, &[Algorithm::EdDsa]).unwrap().payload, b"Example of Ed25519 signing");
    assert_eq!(jws::verify(token, &keys, &[Algorithm::Ed25519]).unwrap_err(), Error::AlgorithmRefused);
    assert_eq!(jws::verify(token, &keys, Algorithm::ALL).unwrap_err(), Error::AlgorithmRefused);

    let signer = SigningKey::from_jwk(&key, Algorithm::EdDsa).unwrap();
    let signed = Signer::with_header(&signer, &Map::new()).unwrap().sign(b"Example of Ed25519 signing").unwrap();
    assert_eq!(signed, token);
}

/// The key and the token of the working group's examples for ML-DSA-44 (`T4xl…` names the key by its thumbprint, so the public
/// part that comes from the seed is theirs, too).
#[test]
fn rfc_9964_ml_dsa_44() {
    let token =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rfc9964/ML-DSA-44.jws"));
    let token = token.unwrap();
    let header = jws::danger_unverified(token.trim()).unwrap().header;
    // A seed of zeros. PKCS#8 around it as RFC 9881 §6 writes it.
    let pkcs8 =
        [
            &[
                0x30, 0x34, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03,
                0x11,
            ][..],
            &[0x04, 0x22, 0x80, 0x20],
            &[0; 32],
        ]
        .concat();
    let key = SigningKey::from_pkcs8(Algorithm::MlDsa44, &pkcs8).unwrap();
    assert_eq!(Some(key.kid()), header.kid.as_deref());
    assert_eq!(key.jwk().thumbprint(), "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o");
    let private: Value = serde_json::from_str(&key.jwk().to_private_json()).unwrap();
    assert_eq!(private["kty"], "AKP");
    assert_eq!(private["priv"], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert!(
        private["pub"]
            .as_str()
            .unwrap()
            .starts_with("unH59k4RuutY-pxvu24U5h8YZD2rSVtHU5qRZsoBmBMcRPgmu9VuNOVdteXi1zNI")
    );
    assert_eq!(key.to_pkcs8().unwrap().as_slice(), pkcs8);

    let keys = Jwks::from_keys(vec![key.public()]);
    let verified = jws::verify(token.trim(), &keys, &[Algorithm::MlDsa44]).unwrap();
    assert!(verified.payload.starts_with("It’s a dangerous business, Frodo".as_bytes()));
}

/// A few of Wycheproof's JOSE vectors (Apache-2.0), for the spellings of base64url and of the header.
#[test]
fn wycheproof_spellings() {
    let zeros = "A".repeat(43);
    let keys = keys(&format!(r#"{{"kty":"oct","kid":"hs256-key","use":"sig","alg":"HS256","k":"{zeros}"}}"#));
    let header = "eyJraWQiOiJoczI1Ni1rZXkiLCJhbGciOiJIUzI1NiJ9";
    for (good, rest) in [
        (true, "VGVzdA.c1LROH7eNQwUT8KMVEO52VC3WZ9e_AnDWbZ7aMmowV8"),
        (true, "VDIxMzI1NjY4.AAAAtBuQqoI9HuBeAsgjL4nx8sCGYJa5-G2OrureLO4"),
        (true, "VDgxMjM0MTM.____ETVRY0lRV9XgQeYX6ixdGT0NLHYb-wZem_ifJ5k"),
        (false, "VGVzdA.    c1LROH7eNQwUT8KMVEO52VC3WZ9e_AnDWbZ7aMmowV8"),
        (false, "VGVzdA.?c1LROH7eNQwUT8KMVEO52VC3WZ9e_AnDWbZ7aMmowV8"),
        (false, "VGVzdA.c1LROH7eNQwUT8KMVEO52VC3WZ9e_AnDWbZ7aMmowV8?"),
        (false, "VDIxMzI1NjY4.?AAAtBuQqoI9HuBeAsgjL4nx8sCGYJa5-G2OrureLO4"),
        (false, "    VGVzdA.AbPJgmXfihyNBUYpbdPK8qRpPjNuTE-Z_wYQyrU2lMQ"),
        (false, "####VGVzdA.Ixs2CdBkk8qjqe2-hq2dobqVvv9iDcDS6gPNgoXJyFY"),
        (false, "AB.8sL_ycV8G_D-K_2A3I0EW3NoPMeQzv13cAzuHlQ5TAE"),
        (false, "AB.9phoKDvkBMAqTgeVIYeqAi6-lvC0pbKg9ER--3T97w0"),
    ] {
        let verified = jws::verify(&format!("{header}.{rest}"), &keys, &[Algorithm::Hs256]);
        assert_eq!(verified.is_ok(), good, "{rest}");
    }
    for spaced in [
        "eyAia2lkIiA6ICJoczI1Ni1rZXkiLCAiYWxnIiA6ICJIUzI1NiIgfQ.VGVzdA.3nl1C7dKVGLfNyALp4ZKkmNFBJlFP8M9VGzCyil9S1c",
        "eyJraWQiOiJoczI1Ni1rZXkiLAoJImFsZyI6IkhTMjU2In0.VGVzdA.Yxn8cTl7IHpFIoEPOFrWmjm-GQlr_RMqHNJOp1ZuweY",
    ] {
        assert!(jws::verify(spaced, &keys, &[Algorithm::Hs256]).is_ok(), "{spaced}");
    }
}

/// A key of the broken generator (CVE-2017-15361); Wycheproof's.
#[test]
fn keys_that_anyone_can_factor_are_refused() {
    let n = "AanFpofbj7KjD4Lf-N2hVMKR7yewSyXhhbirIMTGpfYEhZ_lnt5UoK98DnKIgArXGTu3MaW_HhFw16HGaTDUHqPrId7fe4r11CqRw09yBFuW79V8sYIwHdzCaWflUI6auImYbVfoN9_nD5n8N8SY9DwXw7mwZM9wREPXoDPgOoIWl6q_MPsp7n0zs3Z5ZaiQWOOzl1S9OhwAfSiiOwz6efnXEaxuTEtPd7BjSx7NaFka8Dx9U7YqXy2RFj1O9PjyaDGuRh7YXsX3iMUSP_wSyHQg_c_qHRtKUsNSGCT7OZg0hzm2KphtjnayKJvC64vAbROBR4Ubg6Bxg9IQVZ-QYyE";
    let text = format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#);
    assert_eq!(Jwk::parse(text.as_bytes()).unwrap_err(), Error::KeyTooWeak);
}
