#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::SigningKey;

#[test]
fn unusable_keys_are_skipped_and_the_set_stays_good() {
    let good = SigningKey::generate(Algorithm::Es256).unwrap().public();
    let text = format!(
        r#"{{"other":1,"keys":[{{"kty":"RSA","kid":"r"}},1,null,"x",{{"kty":"EC","kty":"EC"}},{{"kty":"oct","k":"AQ"}},{}]}}"#,
        good.to_json()
    );
    let jwks = Jwks::parse(text.as_bytes()).unwrap();
    assert_eq!(jwks.keys().len(), 1);
    assert_eq!(jwks.unusable(), 6);
    assert!(jwks.candidates(good.kid(), Algorithm::Es256).is_ok());
    assert_eq!(jwks.candidates(Some("r"), Algorithm::Es256).err(), Some(Error::KeyUnusable));
    assert_eq!(jwks.candidates(Some("?"), Algorithm::Es256).err(), Some(Error::KeyUnknown));
}

#[test]
fn printing_and_parsing_agree() {
    let keys = (0..3).map(|_| SigningKey::generate(Algorithm::Es256).unwrap().public()).collect();
    let jwks = Jwks::from_keys(keys);
    let again = Jwks::parse(jwks.to_json().as_bytes()).unwrap();
    assert_eq!(jwks.to_json(), again.to_json());
    assert_eq!(Jwks::default().to_json(), r#"{"keys":[]}"#);
}

#[test]
fn what_is_no_set_is_refused() {
    let hundred_and_one = format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(MAX_JWKS_KEYS));
    let hundred = format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(MAX_JWKS_KEYS - 1));
    let large = format!(r#"{{"keys":[]}}{}"#, " ".repeat(MAX_JWKS_BYTES));
    for (text, error) in [
        ("", Error::JwksInvalid),
        ("[]", Error::JwksInvalid),
        ("{}", Error::JwksInvalid),
        (r#"{"keys":{}}"#, Error::JwksInvalid),
        (r#"{"keys":[],"keys":[]}"#, Error::JwksInvalid),
        (r#"{"keys":[]} x"#, Error::JwksInvalid),
        ("\u{feff}{\"keys\":[]}", Error::JwksInvalid),
        (&hundred_and_one, Error::JwksTooManyKeys),
        (&large, Error::JwksTooLarge),
    ] {
        assert_eq!(Jwks::parse(text.as_bytes()).unwrap_err(), error, "{text:.100}");
    }
    assert_eq!(Jwks::parse(hundred.as_bytes()).unwrap().unusable(), 100);
    assert_eq!(Jwks::parse(b"{\"keys\":[\"\xff\"]}").unwrap_err(), Error::JwksInvalid);
}
