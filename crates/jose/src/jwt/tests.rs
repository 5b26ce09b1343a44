#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Algorithm, Error, Jwks, Signer, SigningKey, Verified, jws};

const NOW: i64 = 1_800_000_000;
const RULES: Rules<'static> = Rules::ACCESS_TOKEN.issuer("https://id.example").audience("https://api.example");

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());

fn token(typ: &str, payload: &str) -> Verified {
    let token = Signer::new(&KEY, typ).sign(payload.as_bytes()).unwrap();
    jws::verify(&token, &Jwks::from_keys(vec![KEY.public()]), &[Algorithm::Es256]).unwrap()
}

fn access_claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "https://api.example", "sub": "usr_1", "client_id": "regrant",
        "iat": NOW - 60, "exp": NOW + 60, "jti": "1", "scope": "openid"
    })
}

/// An access token with these claims changed; `null` takes one away.
fn access(change: Value) -> Verified {
    let mut claims = access_claims();
    let members = claims.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    token("at+jwt", &claims.to_string())
}

#[test]
fn a_good_access_token_passes() {
    let claims = check(&access(json!({})), &RULES, NOW).unwrap();
    assert_eq!(claims.issuer(), Some("https://id.example"));
    assert_eq!(claims.subject(), Some("usr_1"));
    assert_eq!(claims.client_id(), Some("regrant"));
    assert_eq!(claims.scope(), Some("openid"));
    assert_eq!(claims.id(), Some("1"));
    assert_eq!(claims.audience().collect::<Vec<_>>(), ["https://api.example"]);
    assert_eq!(claims.expires_at().unwrap().seconds(), NOW + 60);
    assert_eq!(claims.issued_at().unwrap().seconds(), NOW - 60);
    assert_eq!(claims.not_before(), None);
    assert_eq!(Value::Object(claims.into_members()), access_claims());

    let many = json!({ "aud": ["https://other.example", "https://api.example"] });
    assert_eq!(check(&access(many), &RULES, NOW).unwrap().audience().count(), 2);
}

#[test]
fn typ_is_a_media_type() {
    let payload = access_claims().to_string();
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert!(check(&token(typ, &payload), &RULES, NOW).is_ok(), "{typ}");
    }
    for typ in ["JWT", "", "at+jwt ", "text/at+jwt", "application/", "application/application/at+jwt", "logout+jwt"] {
        assert_eq!(check(&token(typ, &payload), &RULES, NOW).unwrap_err(), Error::TypeWrong, "{typ}");
    }
}

#[test]
fn each_bad_claim_has_its_error() {
    for (change, error) in [
        (json!({ "iss": null }), Error::ClaimMissing("iss")),
        (json!({ "exp": null }), Error::ClaimMissing("exp")),
        (json!({ "aud": null }), Error::ClaimMissing("aud")),
        (json!({ "sub": null }), Error::ClaimMissing("sub")),
        (json!({ "client_id": null }), Error::ClaimMissing("client_id")),
        (json!({ "iat": null }), Error::ClaimMissing("iat")),
        (json!({ "jti": null }), Error::ClaimMissing("jti")),
        (json!({ "iss": ["https://id.example"] }), Error::ClaimInvalid("iss")),
        (json!({ "sub": 7 }), Error::ClaimInvalid("sub")),
        (json!({ "jti": 7 }), Error::ClaimInvalid("jti")),
        (json!({ "aud": 7 }), Error::ClaimInvalid("aud")),
        (json!({ "aud": ["https://api.example", 7] }), Error::ClaimInvalid("aud")),
        (json!({ "aud": { "https://api.example": 1 } }), Error::ClaimInvalid("aud")),
        (json!({ "exp": (NOW + 60).to_string() }), Error::ClaimInvalid("exp")),
        (json!({ "exp": true }), Error::ClaimInvalid("exp")),
        (json!({ "nbf": [] }), Error::ClaimInvalid("nbf")),
        (json!({ "iat": {} }), Error::ClaimInvalid("iat")),
        (json!({ "iss": "https://id.example/" }), Error::IssuerWrong),
        (json!({ "iss": "https://ID.example" }), Error::IssuerWrong),
        (json!({ "aud": "https://api.example/" }), Error::AudienceWrong),
        (json!({ "aud": [] }), Error::AudienceWrong),
        (json!({ "exp": NOW }), Error::Expired),
        (json!({ "exp": NOW as f64 - 0.5 }), Error::Expired),
        (json!({ "exp": -1 }), Error::Expired),
        (json!({ "exp": i64::MIN }), Error::Expired),
        (json!({ "exp": -1e300 }), Error::Expired),
        (json!({ "nbf": NOW + 1 }), Error::NotYetValid),
        (json!({ "nbf": NOW as f64 + 0.5 }), Error::NotYetValid),
        (json!({ "nbf": u64::MAX }), Error::NotYetValid),
        (json!({ "nbf": 1e300 }), Error::NotYetValid),
    ] {
        assert_eq!(check(&access(change.clone()), &RULES, NOW).unwrap_err(), error, "{change}");
    }
    for change in [
        json!({ "exp": NOW + 1 }),
        json!({ "exp": NOW as f64 + 0.5 }),
        json!({ "exp": u64::MAX }),
        json!({ "exp": 1e300 }),
        json!({ "nbf": NOW }),
        json!({ "nbf": NOW as f64 - 0.5 }),
        json!({ "nbf": i64::MIN }),
        json!({ "iat": NOW + 500 }),
    ] {
        assert!(check(&access(change.clone()), &RULES, NOW).is_ok(), "{change}");
    }
}

#[test]
fn payloads_that_are_no_claims() {
    for payload in ["", "[]", "null", "1", "{", "{} {}", r#"{"exp":1,"exp":2}"#, r#"{"exp":1e999}"#, r#"{"exp":NaN}"#] {
        assert_eq!(check(&token("JWT", payload), &Rules::ANY, NOW).unwrap_err(), Error::ClaimsInvalid, "{payload}");
    }
    assert!(check(&token("JWT", "{}"), &Rules::ANY, NOW).unwrap().members().is_empty());
    assert_eq!(check(&token("JWT", r#"{"exp":1}"#), &Rules::ANY, NOW).unwrap_err(), Error::Expired);
}

#[test]
fn leeway_moves_both_ends() {
    let rules = RULES.leeway(30);
    assert!(check(&access(json!({ "exp": NOW - 29 })), &rules, NOW).is_ok());
    assert_eq!(check(&access(json!({ "exp": NOW - 30 })), &rules, NOW).unwrap_err(), Error::Expired);
    assert!(check(&access(json!({ "nbf": NOW + 30 })), &rules, NOW).is_ok());
    assert_eq!(check(&access(json!({ "nbf": NOW + 31 })), &rules, NOW).unwrap_err(), Error::NotYetValid);
}

#[test]
fn max_age_looks_at_iat() {
    let rules = Rules { max_age_seconds: Some(60), required: &[], ..RULES };
    assert!(check(&access(json!({ "iat": NOW - 60 })), &rules, NOW).is_ok());
    assert!(check(&access(json!({ "iat": NOW })), &rules, NOW).is_ok());
    for (change, error) in [
        (json!({ "iat": NOW - 61 }), Error::TooOld),
        (json!({ "iat": NOW as f64 - 60.5 }), Error::TooOld),
        (json!({ "iat": NOW + 1 }), Error::IssuedInFuture),
        (json!({ "iat": null }), Error::ClaimMissing("iat")),
    ] {
        assert_eq!(check(&access(change.clone()), &rules, NOW).unwrap_err(), error, "{change}");
    }
}

#[test]
fn undecided_rules_refuse_everything() {
    let good = access(json!({}));
    for rules in [Rules::ACCESS_TOKEN, Rules::ACCESS_TOKEN.issuer("x"), Rules::ACCESS_TOKEN.audience("x")] {
        assert_eq!(check(&good, &rules, NOW).unwrap_err(), Error::RulesIncomplete);
    }
    assert!(check(&good, &Rules::ACCESS_TOKEN.issuer("https://id.example").any_audience(), NOW).is_ok());
}

#[test]
fn a_template_writes_shared_claims_before_the_others() {
    let map = |value: Value| value.as_object().unwrap().clone();
    let signer = Signer::new(&KEY, "JWT");
    let keys = Jwks::from_keys(vec![KEY.public()]);
    for (shared, own, all) in [
        (json!({ "aud": "a", "iss": "i" }), json!({ "sub": "s" }), r#"{"aud":"a","iss":"i","sub":"s"}"#),
        (json!({ "iss": "i" }), json!({}), r#"{"iss":"i"}"#),
        (json!({}), json!({ "sub": "s" }), r#"{"sub":"s"}"#),
        (json!({}), json!({}), "{}"),
    ] {
        let token = Template::new(&signer, &map(shared)).sign(&own).unwrap();
        assert_eq!(jws::verify(&token, &keys, &[Algorithm::Es256]).unwrap().payload, all.as_bytes());
    }
    for no_object in [json!([]), json!("x"), json!(null), json!(1)] {
        let template = Template::new(&signer, &map(json!({ "iss": "i" })));
        assert_eq!(template.sign(&no_object).unwrap_err(), Error::ClaimsInvalid);
    }
    let twice = Template::new(&signer, &map(json!({ "iss": "i" }))).sign(&json!({ "iss": "j" })).unwrap();
    let verified = jws::verify(&twice, &keys, &[Algorithm::Es256]).unwrap();
    assert_eq!(check(&verified, &Rules::ANY, NOW).unwrap_err(), Error::ClaimsInvalid);
}

fn judged(rules: Rules<'static>, claims: Value) -> Result<Claims, Error> {
    check(&token(rules.typ[0], &claims.to_string()), &rules.issuer("i").audience("a"), NOW)
}

#[test]
fn an_id_token_names_its_authorized_party() {
    let claims = |more: Value| {
        let mut all = json!({ "iss": "i", "sub": "s", "aud": "a", "exp": NOW + 1, "iat": NOW });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let judge = |more: Value| judged(Rules::ID_TOKEN, claims(more)).map(drop);
    assert_eq!(judge(json!({})), Ok(()));
    assert_eq!(judge(json!({ "azp": "a" })), Ok(()));
    assert_eq!(judge(json!({ "azp": "b" })), Err(Error::AudienceWrong));
    assert_eq!(judge(json!({ "azp": 1 })), Err(Error::AudienceWrong));
    assert_eq!(judge(json!({ "aud": ["a", "b"] })), Err(Error::ClaimMissing("azp")));
    assert_eq!(judge(json!({ "aud": ["a", "b"], "azp": "a" })), Ok(()));
    assert_eq!(judge(json!({ "sub": "i" })), Err(Error::SubjectWrong));
    assert_eq!(judge(json!({ "events": {} })), Err(Error::ClaimForbidden("events")));
}

#[test]
fn a_client_assertion_is_short_and_for_one_server() {
    let claims = |more: Value| {
        let mut all = json!({ "iss": "i", "sub": "i", "aud": "a", "exp": NOW + 60, "jti": "1" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let judge = |more: Value| judged(Rules::CLIENT_ASSERTION, claims(more)).map(drop);
    assert_eq!(judge(json!({})), Ok(()));
    assert_eq!(judge(json!({ "aud": ["a"] })), Ok(()));
    assert_eq!(judge(json!({ "aud": ["a", "b"] })), Err(Error::AudienceWrong));
    assert_eq!(judge(json!({ "sub": "j" })), Err(Error::SubjectWrong));
    assert_eq!(judge(json!({ "exp": NOW + 3600 })), Ok(()));
    assert_eq!(judge(json!({ "exp": NOW + 3601 })), Err(Error::ExpiresTooLate));
    assert_eq!(judge(json!({ "exp": 1e300 })), Err(Error::ExpiresTooLate));
    assert_eq!(judge(json!({ "exp": NOW })), Err(Error::Expired));
}

#[test]
fn events_are_objects() {
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let judge = |events: Value, more: &str| {
        let mut all =
            json!({ "iss": "i", "sub": "s", "aud": "a", "exp": NOW + 1, "iat": NOW, "jti": "1", "events": events });
        all.as_object_mut().unwrap().remove(more);
        judged(Rules::LOGOUT_TOKEN, all).map(drop)
    };
    assert_eq!(judge(json!({ event: {} }), ""), Ok(()));
    assert_eq!(judge(json!({ event: {}, "other": { "x": 1 } }), ""), Ok(()));
    assert_eq!(judge(json!({ event: {} }), "sub"), Err(Error::ClaimMissing("sub")));
    for bad in [json!({}), json!([]), json!([event]), json!(event), json!({ event: true }), json!({ "other": {} })] {
        assert_eq!(judge(bad.clone(), ""), Err(Error::ClaimInvalid("events")), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_clock_and_no_date_overflows(now in any::<i64>(), exp in any::<f64>(), nbf in any::<i64>(), leeway in any::<u32>()) {
        prop_assume!(exp.is_finite());
        let token = Verified {
            payload: json!({ "exp": exp, "nbf": nbf, "iat": nbf }).to_string().into_bytes(),
            ..token("JWT", "{}")
        };
        let rules = Rules { leeway_seconds: leeway, max_age_seconds: Some(leeway), ..Rules::ANY };
        let _ = check(&token, &rules, now);
        let _ = check(&token, &rules, i64::MIN);
        let _ = check(&token, &rules, i64::MAX);
    }
}
