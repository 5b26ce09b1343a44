//! What an access token says (RFC 9068 §2.2), and which ones are believed.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use regrant_jose::jwe;
use serde_json::{Value, json};

use super::*;
use crate::{
    context::{AddressDigest, Context, Network, Networks, Prefix, UserAgentFamily},
    id::{ClientId, Epoch, Generation, GrantRef},
    keyring::tests::standing,
    reason::Life,
    refresh::{GrantKind, Holding, Pace, Suspicion},
    resource::SigningAlg,
    time::{AbsoluteDeadline, IdleDeadline},
    token::{Endpoint, GrantId, KeyId, Salt},
};

const ISSUER: &str = "https://id.example";
const NOW: Time = Time::from_millis(1_700_000_000_999);
const NOW_SECONDS: i64 = 1_700_000_000;
const LIFETIME: Seconds = Seconds::minutes(15);
const USER: UserId = UserId::from_bytes([1; 16]);
const SESSION: SessionId = SessionId::from_bytes([2; 16]);

struct Always(u8);

impl Random for Always {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap()
}

fn mint_of(issuer: &str, key: &SigningKey) -> Mint {
    let key = SigningKey::from_pkcs8(Algorithm::Es256, &key.to_pkcs8().unwrap()).unwrap();
    Mint::new(issuer, LIFETIME, &[standing(KeyState::Active, key)]).unwrap()
}

fn mint() -> Mint {
    mint_of(ISSUER, &key())
}

/// A grant whose tokens are for the issuer itself.
fn grant() -> Grant {
    let address = std::net::IpAddr::from([192, 0, 2, 1]);
    let network = Network::of(address);
    Grant {
        id: GrantId([3; 16]),
        public_id: GrantRef::from_bytes([4; 16]),
        salt: Salt([5; 16]),
        key: KeyId(1),
        endpoint: Endpoint::Session,
        client: ClientId::session_api(),
        user: USER,
        session: Some(SESSION),
        epoch: Epoch(1),
        holding: Holding::Bearer,
        kind: GrantKind::Cookie,
        generation: Generation(1),
        fence: None,
        newest_used: false,
        scope: "openid regrant:admin".into(),
        audience: ISSUER.into(),
        issued_at: NOW,
        rotated_at: NOW,
        last_event: NOW,
        idle: IdleDeadline(NOW.plus(Seconds::DAY)),
        absolute: AbsoluteDeadline::NEVER,
        context: Context {
            user_agent: UserAgentFamily::parse("curl/8"),
            network,
            address: AddressDigest([6; 8]),
            prefix: Prefix::of(address),
        },
        networks: Networks::starting_with(network),
        suspicion: Suspicion::default(),
        pace: Pace::default(),
        life: Life::Alive,
    }
}

fn facts(roles: &[&str]) -> Facts {
    Facts {
        auth_time: Time::from_millis(1_600_000_000_500),
        amr: ["pwd".to_owned(), "otp".to_owned()].into(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        identifier: Some("ada@example.org".to_owned()),
        attributes: None,
    }
}

fn token(mint: &Mint, grant: &Grant) -> String {
    made(mint, grant, &facts(&["admin"]), 7).0
}

fn made(mint: &Mint, grant: &Grant, facts: &Facts, byte: u8) -> AccessToken {
    let scope = scope_now(&grant.scope, &facts.roles);
    let target = Target { audience: vec![&grant.audience], scope, form: Form::default() };
    mint.access_token(grant, facts, plain(&target), NOW, &Always(byte)).unwrap()
}

fn plain<'w>(target: &'w Target<'_>) -> Wish<'w> {
    Wish { target, told: None, lifetime: LIFETIME, key: None }
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn an_access_token_has_the_claims_of_rfc_9068() {
    let mint = mint();
    let grant = Grant { audience: "https://api.example".into(), ..grant() };
    let token = token(&mint, &grant);
    let header = part(&token, 0);
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(header["alg"], "ES256");
    let jwks: Value = serde_json::from_str(&mint.jwks()).unwrap();
    assert_eq!(header["kid"], jwks["keys"][0]["kid"]);
    assert_eq!(
        part(&token, 1),
        json!({
            "iss": ISSUER,
            "sub": USER.to_string(),
            "aud": "https://api.example",
            "client_id": "regrant",
            "iat": NOW_SECONDS,
            "exp": NOW_SECONDS + 900,
            "jti": URL_SAFE_NO_PAD.encode([7; 16]),
            "sid": SESSION.to_string(),
            "auth_time": 1_600_000_000,
            "amr": ["pwd", "otp"],
            "scope": "openid regrant:admin",
            "roles": ["admin"],
        })
    );
}

#[test]
fn what_there_is_nothing_to_say_of_is_left_out() {
    let offline = Grant { session: None, scope: String::new().into(), ..grant() };
    let nothing = Facts { amr: [].into(), ..facts(&[]) };
    let token = made(&mint(), &offline, &nothing, 7).0;
    let claims = part(&token, 1);
    for absent in ["sid", "amr", "roles"] {
        assert_eq!(claims.get(absent), None, "{absent}");
    }
}

#[test]
fn mapped_claims_stand_behind_our_own_and_the_token_is_still_ours() {
    let mapping = [("name".to_owned(), "name".to_owned()), ("mail".to_owned(), "@email".to_owned())].into();
    let mint = mint().telling(ClaimMapping::new(&mapping).unwrap());
    let facts = Facts { attributes: Some(r#"{"name":{"given":"Ada"},"sub":"x"}"#.into()), ..facts(&[]) };
    let token = made(&mint, &grant(), &facts, 7).0;
    let claims = part(&token, 1);
    assert_eq!((&claims["name"], &claims["mail"]), (&json!({"given": "Ada"}), &json!("ada@example.org")));
    assert_eq!(claims["sub"], USER.to_string());
    assert!(mint.check(&token, NOW).is_some());
    assert_eq!(mint.session_named_by(&token), Some(SESSION));
}

/// RFC 9449 §6.1, §7.2.
#[test]
fn a_bound_token_says_its_key_and_is_no_bearer_token() {
    let (mint, key) = (mint(), KeyThumbprint([9; 32]));
    let target = Target { audience: vec![ISSUER], scope: "openid".to_owned(), form: Form::default() };
    let wish = Wish { key: Some(key), ..plain(&target) };
    let user = mint.access_token(&grant(), &facts(&[]), wish, NOW, &Always(7)).unwrap().0;
    let service = mint.service_token(&ClientId::from("job"), wish, NOW, &Always(7)).unwrap().0;
    for token in [&user, &service] {
        assert_eq!(part(token, 1)["cnf"], json!({"jkt": URL_SAFE_NO_PAD.encode([9; 32])}));
        assert_eq!(mint.check_own(token, NOW).unwrap().key, Some(key));
        assert!(mint.check(token, NOW).is_none());
    }
    assert_eq!(mint.check_own(&token(&mint, &grant()), NOW).unwrap().key, None);
}

#[test]
fn two_tokens_have_two_names() {
    let mint = mint();
    let [one, two] = [1, 2].map(|byte| {
        let token = made(&mint, &grant(), &facts(&[]), byte);
        part(&token.0, 1)["jti"].clone()
    });
    assert_ne!(one, two);
}

#[test]
fn the_admin_scope_is_gone_with_the_role() {
    let cases: [(&str, &[&str], &str); 6] = [
        ("openid regrant:admin", &["admin"], "openid regrant:admin"),
        ("openid regrant:admin", &[], "openid"),
        ("openid regrant:admin", &["administrator", "Admin"], "openid"),
        ("regrant:admin", &[], ""),
        ("openid regrant:admins", &[], "openid regrant:admins"),
        ("openid", &["admin"], "openid"),
    ];
    for (granted, roles, expected) in cases {
        let grant = Grant { scope: granted.into(), ..grant() };
        let token = made(&mint(), &grant, &facts(roles), 7);
        assert_eq!(part(&token.0, 1)["scope"], expected, "{granted} with {roles:?}");
    }
}

#[test]
fn our_own_token_is_believed() {
    let mint = mint();
    let bearer = Bearer {
        user: USER,
        session: Some(SESSION),
        scope: "openid regrant:admin".to_owned(),
        client: ClientId::session_api(),
    };
    assert_eq!(mint.check(&token(&mint, &grant()), NOW), Some(bearer));
    let offline = Grant { session: None, ..grant() };
    assert_eq!(mint.check(&token(&mint, &offline), NOW).unwrap().session, None);
}

#[test]
fn a_token_for_another_audience_is_not_for_us() {
    let mint = mint();
    for audience in ["https://api.example", "https://id.example/", "", "https://id.exampl"] {
        let grant = Grant { audience: audience.into(), ..grant() };
        assert_eq!(mint.check(&token(&mint, &grant), NOW), None, "{audience}");
    }
}

#[test]
fn a_token_of_another_issuer_or_key_is_not_ours() {
    let key = key();
    let ours = mint_of(ISSUER, &key);
    let other_issuer = mint_of("https://other.example", &key);
    assert_eq!(ours.check(&token(&other_issuer, &grant()), NOW), None);
    let other_key = mint();
    assert_eq!(ours.check(&token(&other_key, &grant()), NOW), None);
}

#[test]
fn a_token_expires_after_its_lifetime() {
    let mint = mint();
    let token = token(&mint, &grant());
    let end = Time::from_millis((NOW_SECONDS + 900) * 1000);
    let leeway = Seconds(jwt::Rules::ACCESS_TOKEN.leeway_seconds);
    assert!(mint.check(&token, end.minus(Seconds(1))).is_some());
    assert_eq!(mint.check(&token, end.plus(leeway)), None);
    assert_eq!(mint.check(&token, end.plus(Seconds::days(1000))), None);
    // RFC 7519 §4.1.4: "on or after" that time it must not be accepted, but for the leeway of a few seconds.
    assert!(leeway <= Seconds::MINUTE);
    assert_eq!(mint.session_named_by(&token), Some(SESSION), "expired or not");
}

#[test]
fn other_kinds_of_tokens_are_no_access_tokens() {
    let key = key();
    let ours = mint_of(ISSUER, &key);
    let payload = serde_json::to_vec(&part(&token(&ours, &grant()), 1)).unwrap();
    for typ in ["JWT", "jwt", "dpop+jwt", "logout+jwt", "id+jwt"] {
        let signed = Signer::new(&key, typ).sign(&payload).unwrap();
        assert_eq!(ours.check(&signed, NOW), None, "{typ}");
    }
    let signed = Signer::new(&key, "at+jwt").sign(&payload).unwrap();
    assert!(ours.check(&signed, NOW).is_some(), "the same claims as an access token");
}

#[test]
fn any_changed_character_breaks_a_token() {
    let mint = mint();
    let token = token(&mint, &grant());
    for place in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(mint.check(&changed, NOW), None, "{place}");
        assert_eq!(mint.session_named_by(&changed), None, "{place}");
    }
}

#[test]
fn claims_of_a_wrong_form_are_refused_though_signed() {
    let key = key();
    let ours = mint_of(ISSUER, &key);
    let claims = part(&token(&ours, &grant()), 1);
    for (name, value) in [
        ("sub", json!("ada")),
        ("sub", json!(SESSION.to_string())),
        ("sid", json!("ses_")),
        ("sid", json!(USER.to_string())),
        ("exp", json!("soon")),
    ] {
        let mut wrong = claims.clone();
        wrong[name] = value.clone();
        let payload = serde_json::to_vec(&wrong).unwrap();
        let signed = Signer::new(&key, "at+jwt").sign(&payload).unwrap();
        assert_eq!(ours.check(&signed, NOW), None, "{name}: {value}");
    }
}

#[test]
fn only_the_active_key_signs_and_every_key_is_published() {
    let [published, active, retiring] = [(); 3].map(|()| key());
    let old = mint_of(ISSUER, &retiring);
    let kids = [&published, &active, &retiring].map(|key| json!(key.kid()));
    let keys = [
        standing(KeyState::Published, published),
        standing(KeyState::Active, active),
        standing(KeyState::Retiring, retiring),
    ];
    let mint = Mint::new(ISSUER, LIFETIME, &keys).unwrap();
    assert_eq!(part(&token(&mint, &grant()), 0)["kid"], kids[1]);
    let jwks: Value = serde_json::from_str(&mint.jwks()).unwrap();
    let listed: Vec<Value> = jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
    assert_eq!(listed, kids);
    assert!(jwks["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()));
    assert!(mint.check(&token(&old, &grant()), NOW).is_some(), "a retiring key still verifies");
}

#[test]
fn without_an_active_key_there_is_no_mint() {
    assert!(Mint::new(ISSUER, LIFETIME, &[]).is_none());
    assert!(Mint::new(ISSUER, LIFETIME, &[standing(KeyState::Retiring, key())]).is_none());
}

#[test]
fn keys_are_replaced_while_others_use_them() {
    let [old, new] = [(); 2].map(|()| key());
    let (old_kid, new_kid) = (json!(old.kid()), json!(new.kid()));
    let mint = mint_of(ISSUER, &old);
    let before = token(&mint, &grant());
    let both = [standing(KeyState::Active, new), standing(KeyState::Retiring, old)];
    assert!(!mint.holds(&[both[0].0.clone(), both[1].0.clone()]));
    assert!(mint.replace(&both));
    assert!(mint.holds(&[both[1].0.clone(), both[0].0.clone()]));
    let after = token(&mint, &grant());
    assert_eq!((&part(&before, 0)["kid"], &part(&after, 0)["kid"]), (&old_kid, &new_kid));
    assert!(mint.check(&before, NOW).is_some() && mint.check(&after, NOW).is_some());
    let [new_only, _] = both;
    assert!(mint.replace(&[new_only]));
    assert!(mint.check(&before, NOW).is_none(), "a key that is gone verifies nothing");
    assert!(mint.session_named_by(&before).is_none());
    assert!(!mint.replace(&[]), "a mint without a key is none");
    assert!(mint.check(&after, NOW).is_some());
}

#[test]
fn an_active_key_of_another_algorithm_signs_no_session_token() {
    let ed25519 = SigningKey::generate(Algorithm::Ed25519).unwrap();
    assert!(Mint::new(ISSUER, LIFETIME, &[standing(KeyState::Active, ed25519)]).is_none());
    let ed25519 = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let mint =
        Mint::new(ISSUER, LIFETIME, &[standing(KeyState::Active, ed25519), standing(KeyState::Active, key())]).unwrap();
    assert_eq!(part(&token(&mint, &grant()), 0)["alg"], "ES256");
}

#[test]
fn a_resource_has_its_tokens_in_its_own_form() {
    let keys = [Algorithm::Es256, Algorithm::Rs256]
        .map(|algorithm| standing(KeyState::Active, SigningKey::generate(algorithm).unwrap()));
    let mint = Mint::new(ISSUER, LIFETIME, &keys).unwrap();
    let (grant, facts) = (grant(), facts(&[]));
    let sign = |form: Form, audience: &[&'static str]| {
        let target = Target { audience: audience.to_vec(), scope: "a".to_owned(), form };
        mint.access_token(&grant, &facts, plain(&target), NOW, &Always(7))
    };
    let rs256 = Form { signing: SigningAlg::Rs256, encrypter: None };
    let token = sign(rs256.clone(), &["https://a.example", "https://b.example"]).unwrap().0;
    assert_eq!((&part(&token, 0)["alg"], &part(&token, 0)["typ"]), (&json!("RS256"), &json!("at+jwt")));
    assert_eq!(part(&token, 1)["aud"], json!(["https://a.example", "https://b.example"]));
    assert_eq!(mint.check_own(&token, NOW).unwrap().audience, ["https://a.example", "https://b.example"]);
    // The key of ID tokens made it, and it is none.
    assert_eq!(mint.id_token_claims(&token), None);
    assert!(mint.id_token_claims(&mint.sign_id_token(&json!({"iss": ISSUER})).unwrap().0).is_some());
    assert_eq!(sign(Form { signing: SigningAlg::Ed25519, encrypter: None }, &[ISSUER]), None, "there is no such key");

    let key = regrant_jose::Jwk::generate(regrant_jose::KeyKind::P256).unwrap();
    let (alg, enc) = (jwe::KeyManagement::EcdhEs, jwe::ContentEncryption::A256Gcm);
    let encrypter = Some(jwe::Encrypter::new(&key, alg, enc).unwrap());
    let token = sign(Form { encrypter, ..rs256 }, &["https://a.example"]).unwrap().0;
    assert_eq!(mint.check_own(&token, NOW), None);
    let keys = Jwks::from_keys(vec![key]);
    let nested = jwe::decrypt_nested(&token, &keys, &[alg], &[enc]).unwrap();
    assert_eq!(nested.header.members["cty"], "JWT");
    assert_eq!(part(&nested.token, 1)["aud"], "https://a.example");
    assert!(mint.check_own(&nested.token, NOW).is_some());
}

#[test]
fn what_a_client_tells_of_its_users_comes_before_what_all_tell() {
    let mapping = |entries: &[(&str, &str)]| {
        let entries = entries.iter().map(|(claim, from)| ((*claim).to_owned(), (*from).to_owned())).collect();
        ClaimMapping::new(&entries).unwrap()
    };
    let mint = mint().telling(mapping(&[("name", "name"), ("mail", "@email")]));
    let facts = Facts { attributes: Some(r#"{"name":"Ada","nick":"A"}"#.into()), ..facts(&[]) };
    let grant = grant();
    let target = Target { audience: vec![ISSUER], scope: "a".to_owned(), form: Form::default() };
    let told = mapping(&[("name", "nick")]);
    let wish = Wish { told: Some(&told), ..plain(&target) };
    let token = mint.access_token(&grant, &facts, wish, NOW, &Always(7)).unwrap().0;
    assert_eq!((&part(&token, 1)["name"], &part(&token, 1)["mail"]), (&json!("A"), &json!("ada@example.org")));
}

#[test]
fn debug_output_holds_no_token_and_no_key() {
    let mint = mint();
    let token = made(&mint, &grant(), &facts(&[]), 7);
    assert_eq!(format!("{token:?}"), "AccessToken(secret)");
    assert!(format!("{mint:?}").starts_with("Mint(https://id.example, key "));
}
