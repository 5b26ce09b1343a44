#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod wycheproof;

use super::*;
use crate::json;

/// The key of RFC 7515, Appendix A.3.1.
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

fn with(more: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{more}}}"#)
}

fn rsa(n: &[u8], e: &[u8], more: &str) -> String {
    format!(r#"{{"kty":"RSA","n":"{}","e":"{}"{more}}}"#, base64url::encode(n), base64url::encode(e))
}

/// RFC 7638 §3.1.
#[test]
fn the_thumbprint_of_an_rsa_key_is_the_rfcs() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let jwk = Jwk::parse(format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#).as_bytes()).unwrap();
    assert_eq!(jwk.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // RS256, PS256, …: the type alone does not say.
    assert_eq!(jwk.only_algorithm(), None);
    assert!(jwk.verifies(Algorithm::Rs256));
    assert!(!jwk.verifies(Algorithm::Es256) && !jwk.verifies(Algorithm::Ed25519));
}

/// RFC 8725 §3.4. The library takes the point when the key is read and decodes it at each signature.
#[test]
fn an_ed25519_key_that_is_no_point_verifies_nothing() {
    // RFC 8032 §5.1.3: y is not below the prime.
    let text = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, base64url::encode(&[0xff; 32]));
    let jwk = Jwk::parse(text.as_bytes()).unwrap();
    for signature in [[0; 64], [1; 64], [0xff; 64]] {
        assert_eq!(jwk.verify_signature(Algorithm::Ed25519, b"x", &signature), Err(Error::SignatureInvalid));
    }
}

#[test]
fn thumbprint_is_the_one_computed_elsewhere() {
    // python3: base64.urlsafe_b64encode(hashlib.sha256(b'{"crv":"P-256","kty":"EC","x":…,"y":…}').digest())
    let jwk = Jwk::parse(with(r#","kid":"a","use":"sig""#).as_bytes()).unwrap();
    assert_eq!(jwk.thumbprint(), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
}

#[test]
fn a_private_member_is_dropped() {
    let jwk = Jwk::parse(with(&format!(r#","d":"{D}""#)).as_bytes()).unwrap();
    assert!(!format!("{jwk:?}").contains(D));
    assert!(!jwk.to_json().contains(D));
}

#[test]
fn printing_and_parsing_agree() {
    let text = with(r#","kid":"k","alg":"ES256","use":"sig","key_ops":["verify"]"#);
    let jwk = Jwk::parse(text.as_bytes()).unwrap();
    let again = Jwk::parse(jwk.to_json().as_bytes()).unwrap();
    assert_eq!(jwk.to_json(), again.to_json());
    assert_eq!(json::object(text.as_bytes()), json::object(jwk.to_json().as_bytes()));
}

#[test]
fn use_key_ops_and_alg_are_honoured() {
    for (more, verifies) in [
        ("", true),
        (r#","use":"sig""#, true),
        (r#","use":"enc""#, false),
        (r#","key_ops":["verify"]"#, true),
        (r#","key_ops":["sign","verify"]"#, true),
        (r#","key_ops":["sign"]"#, false),
        (r#","key_ops":[]"#, false),
        (r#","alg":"ES256""#, true),
        (r#","use":"enc","key_ops":["verify"]"#, false),
    ] {
        let jwk = Jwk::parse(with(more).as_bytes()).unwrap();
        assert_eq!(jwk.verifies(Algorithm::Es256), verifies, "{more}");
        assert_eq!(jwk.only_algorithm(), Some(Algorithm::Es256), "{more}");
    }
}

#[test]
fn bad_keys_are_refused_each_with_its_error() {
    let off_curve = format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{X}"}}"#);
    let zero = "A".repeat(43);
    let cases: Vec<(String, Error)> = vec![
        (String::new(), Error::JwkInvalid),
        ("[]".into(), Error::JwkInvalid),
        ("{}".into(), Error::JwkInvalid),
        (r#"{"kty":1}"#.into(), Error::JwkInvalid),
        (r#"{"kty":"EC"}"#.into(), Error::JwkInvalid),
        (r#"{"kty":"RSA","n":"AQ","e":"AQAB"}"#.into(), Error::KeyTooWeak),
        (r#"{"kty":"RSA","n":"AQ"}"#.into(), Error::JwkInvalid),
        (rsa(&[0xff; 255], &[1, 0, 1], ""), Error::KeyTooWeak),
        (rsa(&[0x7f; 256], &[1, 0, 1], ""), Error::KeyTooWeak),
        (rsa(&[0xff; 1025], &[1, 0, 1], ""), Error::JwkUnsupported),
        (rsa(&[0xff; 256], &[1], ""), Error::KeyTooWeak),
        (rsa(&[0xff; 256], &[3], ""), Error::KeyTooWeak),
        (rsa(&[0xff; 256], &[1, 0, 0], ""), Error::KeyTooWeak),
        (rsa(&[0xff; 256], &[1; 6], ""), Error::KeyTooWeak),
        // A second spelling of the same number (RFC 7518 §2).
        (rsa(&[&[0][..], &[0xff; 256]].concat(), &[1, 0, 1], ""), Error::JwkInvalid),
        (rsa(&[0xff; 256], &[0, 1, 0, 1], ""), Error::JwkInvalid),
        (rsa(&[0xff; 256], &[1, 0, 1], r#","alg":"ES256""#), Error::JwkUnsupported),
        (rsa(&[0xff; 256], &[1, 0, 1], r#","alg":"RSA1_5""#), Error::JwkUnsupported),
        (with(r#","alg":"RS256""#), Error::JwkUnsupported),
        (r#"{"kty":"OKP","crv":"Ed448","x":"AA"}"#.into(), Error::JwkUnsupported),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.into(), Error::JwkInvalid),
        (r#"{"kty":"OKP","crv":"Ed25519"}"#.into(), Error::JwkInvalid),
        (r#"{"kty":"oct","k":"AQ"}"#.into(), Error::KeyTooWeak),
        (r#"{"kty":"ec","crv":"P-256"}"#.into(), Error::JwkUnsupported),
        (r#"{"kty":"EC","crv":"P-521"}"#.into(), Error::JwkInvalid),
        (r#"{"kty":"EC","crv":"secp256k1"}"#.into(), Error::JwkUnsupported),
        (with(r#","alg":"ES384""#), Error::JwkUnsupported),
        (with(r#","alg":"RSA-OAEP""#), Error::JwkUnsupported),
        (with(r#","alg":7"#), Error::JwkInvalid),
        (with(r#","kid":7"#), Error::JwkInvalid),
        (with(r#","use":[]"#), Error::JwkInvalid),
        (with(r#","key_ops":"verify""#), Error::JwkInvalid),
        (with(r#","key_ops":["verify","verify"]"#), Error::JwkInvalid),
        (with(r#","x":"AQ""#), Error::JwkInvalid),
        (with(r#","kid":"a","\u006bid":"b""#), Error::JwkInvalid),
        (off_curve, Error::PointInvalid),
        (format!(r#"{{"kty":"EC","crv":"P-256","x":"{zero}","y":"{zero}"}}"#), Error::PointInvalid),
        // A coordinate with padding, one too short, one too long, and a tail that is not canonical.
        (with("").replace(Y, &format!("{Y}=")), Error::JwkInvalid),
        (with("").replace(X, "AQ"), Error::JwkInvalid),
        (with("").replace(X, &format!("AAAA{X}")), Error::JwkInvalid),
        (with("").replace(X, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEV"), Error::JwkInvalid),
        (with(&format!(r#","pad":"{}""#, "x".repeat(crate::MAX_JWKS_BYTES))), Error::JwksTooLarge),
    ];
    for (text, error) in cases {
        assert_eq!(Jwk::parse(text.as_bytes()).unwrap_err(), error, "{text:.200}");
    }
}
