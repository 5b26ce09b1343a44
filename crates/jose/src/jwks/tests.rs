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
    assert_eq!(jwks.candidates(Some("?"), Algorithm::Es256).err(), Some(Error::KeyUnusable));
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

/// RFC 7515 §4.1.4: a token's `kid` means the key of that name; where there is none, a key without a name may be it.
#[test]
fn a_key_without_a_name_may_be_the_one_that_is_named() {
    let [a, b, nameless] = [0; 3].map(|_| SigningKey::generate(Algorithm::Es256).unwrap().public());
    let (a, b) = (a.with_kid("a"), b.with_kid("b"));
    let mut members = nameless.to_members();
    members.remove("kid");
    let nameless = Jwk::parse(Value::Object(members).to_string().as_bytes()).unwrap();
    let chosen = |keys: &[&Jwk], kid: &str| -> Result<Vec<String>, Error> {
        let jwks = Jwks::from_keys(keys.iter().map(|key| (*key).clone()).collect());
        Ok(jwks.candidates(Some(kid), Algorithm::Es256)?.map(Jwk::thumbprint).collect())
    };
    assert_eq!(chosen(&[&nameless, &a, &b], "a"), Ok(vec![a.thumbprint()]));
    assert_eq!(chosen(&[&nameless, &a, &b], "c"), Ok(vec![nameless.thumbprint()]));
    assert_eq!(chosen(&[&a, &b], "c"), Err(Error::KeyUnknown));
}
