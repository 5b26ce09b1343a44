#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// The key of RFC 7515, Appendix A.3.1.
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

fn with(more: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{more}}}"#)
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
        (r#"{"kty":"RSA","n":"AQ","e":"AQAB"}"#.into(), Error::JwkUnsupported),
        (r#"{"kty":"oct","k":"AQ"}"#.into(), Error::JwkUnsupported),
        (r#"{"kty":"ec","crv":"P-256"}"#.into(), Error::JwkUnsupported),
        (r#"{"kty":"EC","crv":"P-521"}"#.into(), Error::JwkUnsupported),
        (with(r#","alg":"ES384""#), Error::JwkUnsupported),
        (with(r#","alg":"ECDH-ES""#), Error::JwkUnsupported),
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
