//! Signing in by cookie and by body: the replies' exact shape, the headers, the cookies, and the access token as an outsider
//! reads it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use serde_json::{Value, json};

use crate::support::{Answer, EMAIL, Home, PASSWORD, Server, assert_members, seconds_between};

const DAY: i64 = 24 * 60 * 60;

#[track_caller]
fn assert_protected(answer: &Answer) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name} of {answer:?}");
    }
    assert_eq!(answer.header("server"), None, "what runs here is nobody's business");
}

#[track_caller]
fn assert_tokens(document: &Value, more: &[&str]) {
    let mut members = vec!["access_token", "token_type", "expires_in", "refresh_in", "session"];
    members.extend(more);
    assert_members(document, &members);
    assert_members(&document["session"], &["id", "user_id", "idle_expires_at", "absolute_expires_at"]);
    assert_eq!(document["token_type"], "Bearer");
    assert_eq!(document["expires_in"], 900);
    let refresh_in = document["refresh_in"].as_u64().expect("an integer");
    assert!((480..=720).contains(&refresh_in), "12 minutes less or more 20 %, and within the lifetime: {refresh_in}");
    assert!(document["session"]["id"].as_str().unwrap().starts_with("ses_"));
    assert!(document["session"]["user_id"].as_str().unwrap().starts_with("usr_"));
}

/// Seconds from the issue of the access token to the session's two deadlines.
fn lifetimes(document: &Value) -> (i64, i64) {
    let issued = claims(document["access_token"].as_str().unwrap())["iat"].as_i64().unwrap();
    let issued = json!(jiff::Timestamp::from_second(issued).unwrap().to_string());
    let session = &document["session"];
    (seconds_between(&issued, &session["idle_expires_at"]), seconds_between(&issued, &session["absolute_expires_at"]))
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn near(found: i64, wanted: i64) -> bool {
    (found - wanted).abs() <= 2
}

#[test]
fn a_sign_in_by_cookie_replies_with_an_access_token_and_keeps_the_refresh_token_in_the_cookie() {
    let server = Home::with_user().serve();
    let (answer, token) = server.client().sign_in();
    assert_protected(&answer);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_tokens(&answer.json(), &[]);
    assert!(!String::from_utf8_lossy(&answer.body).contains(&token), "script must not see it");
    let (idle, absolute) = lifetimes(&answer.json());
    assert!(near(idle, 7 * DAY) && near(absolute, 30 * DAY), "{idle} {absolute}");

    let line = answer.set_cookie().unwrap();
    let (pair, attributes) = line.split_once("; ").unwrap();
    assert!(pair.starts_with("regrant-dev=rg1_"), "{line}");
    assert_eq!(pair.len(), "regrant-dev=rg1_".len() + 60);
    let mut attributes: Vec<&str> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=Strict"]);
    assert!(line.len() < 512);

    let renewed = server.client().refresh(&token).expect(200);
    assert_protected(&renewed);
    assert_tokens(&renewed.json(), &[]);
    assert_ne!(renewed.cookie(), token);
    assert_eq!(renewed.text("/session/id"), answer.text("/session/id"));
    assert_ne!(renewed.text("/access_token"), answer.text("/access_token"));
}

#[test]
fn a_sign_in_by_body_never_sets_a_cookie() {
    let server = Home::with_user().serve();
    let (answer, token) = server.client().sign_in_by_body();
    assert_protected(&answer);
    assert_tokens(&answer.json(), &["refresh_token"]);
    assert_eq!(answer.set_cookie(), None);
    assert!(token.starts_with("rg1_") && token.len() == 64, "{} characters", token.len());
    let (idle, absolute) = lifetimes(&answer.json());
    assert!(near(idle, 90 * DAY) && near(absolute, 365 * DAY), "{idle} {absolute}");

    let renewed = server.client().refresh_by_body(&token).expect(200);
    assert_tokens(&renewed.json(), &["refresh_token"]);
    assert_eq!(renewed.set_cookie(), None);
    assert_ne!(renewed.text("/refresh_token"), token);
    assert_eq!(renewed.text("/session/id"), answer.text("/session/id"));
}

#[test]
fn a_https_issuer_gives_the_prefixed_secure_cookie() {
    let server = Home::with_user().serve_with(&["--issuer", "https://id.example.com"]);
    assert_eq!(server.issuer, "https://id.example.com");
    let client = server.client().with_cookie("__Host-Http-regrant");
    let (answer, token) = client.sign_in();
    let line = answer.set_cookie().unwrap();
    let (pair, attributes) = line.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-Http-regrant=rg1_"), "{line}");
    let mut attributes: Vec<&str> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=Strict", "Secure"]);
    assert!(line.len() < 512);
    assert_eq!(claims(&answer.text("/access_token"))["iss"], "https://id.example.com");

    // Behind a proxy the Host is whatever the world calls us.
    client.post("/session/refresh").host("id.example.com").cookie(&token).send().expect(200);
    // The development cookie means nothing here.
    server.client().refresh(&token).refused(401, "not_signed_in", None);
}

#[test]
fn a_transient_cookie_goes_with_the_browser_and_stays_transient() {
    let server = Home::with_user().serve();
    let asked = json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "cookie", "persist": false});
    let answer = server.client().post("/session").json(&asked).send().expect(200);
    let renewed = server.client().refresh(&answer.cookie()).expect(200);
    for answer in [&answer, &renewed] {
        let line = answer.set_cookie().unwrap();
        assert!(!line.contains("Max-Age") && !line.contains("Expires"), "{line}");
        assert!(line.contains("; HttpOnly") && line.contains("; SameSite=Strict"), "{line}");
    }
    // "persist" is about the cookie.
    let asked = json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body", "persist": true});
    server.client().post("/session").json(&asked).send().refused(400, "invalid_request", None);
}

#[test]
fn a_cookie_never_travels_in_the_clear_beyond_this_machine() {
    let server = Home::with_user().serve();
    let port = server.address.port();
    for host in ["id.example.com", "10.1.2.3:8080", "localhost.example.com", "[2001:db8::1]:80"] {
        let asked = json!({"identifier": EMAIL, "password": PASSWORD});
        let refused = server.client().post("/session").host(host).json(&asked).send();
        let refused = refused.refused(400, "insecure_origin", None);
        assert_eq!(refused.set_cookie(), None);
        assert!(refused.text("/detail").contains("https"), "it says what to do: {}", refused.text("/detail"));
        // Tokens in the body are the application's own to protect.
        let asked = json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body"});
        server.client().post("/session").host(host).json(&asked).send().expect(200);
    }
    for host in [format!("localhost:{port}"), format!("app.localhost:{port}"), format!("[::1]:{port}")] {
        let asked = json!({"identifier": EMAIL, "password": PASSWORD});
        server.client().post("/session").host(&host).json(&asked).send().expect(200);
    }
}

#[test]
fn a_request_with_two_refresh_tokens_is_refused_and_uses_neither() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (cookie, body) = (client.sign_in().1, client.sign_in_by_body().1);
    let both = client.post("/session/refresh").cookie(&cookie).json(&json!({"refresh_token": body})).send();
    both.refused(400, "invalid_request", None);
    assert_ne!(client.renew(&cookie), cookie);
    client.refresh_by_body(&body).expect(200);
    client.post("/session/refresh").send().refused(401, "not_signed_in", None);
}

#[test]
fn the_access_token_is_what_an_outsider_with_the_published_keys_expects() {
    let server = Home::with_user().serve();
    let user = server.add_user("grace@example.com", &["--claim", "name=Grace"]);
    let asked = json!({"identifier": "grace@example.com", "password": PASSWORD, "delivery": "body"});
    let answer = server.client().post("/session").json(&asked).send().expect(200);
    let token = answer.text("/access_token");

    let header = verified_by_another_library(&server, &token);
    assert_eq!(header["typ"], "at+jwt", "RFC 9068 §2.1");
    assert_eq!(header["alg"], "ES256");
    let claims = claims(&token);
    // RFC 9068 §2.2: iss, exp, aud, sub, client_id, iat, jti are required.
    assert_eq!(claims["iss"], server.issuer);
    assert_eq!(claims["aud"], server.issuer);
    assert_eq!(claims["sub"], user["id"], "never the e-mail address");
    assert_eq!(claims["sub"], answer.json()["session"]["user_id"]);
    assert_eq!(claims["sid"], answer.json()["session"]["id"]);
    assert_eq!(claims["client_id"], "regrant");
    assert_eq!(claims["scope"], "openid");
    assert_eq!(claims["amr"], json!(["pwd"]));
    let time = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("{name} is an integer"));
    assert_eq!(time("exp") - time("iat"), 900);
    assert!(near(time("auth_time"), time("iat")));
    assert!(claims["jti"].as_str().unwrap().len() >= 16);
    assert!(!claims.to_string().contains("grace@"), "{claims}");

    let again = server.client().refresh_by_body(&answer.text("/refresh_token")).expect(200);
    verified_by_another_library(&server, &again.text("/access_token"));
    let later = self::claims(&again.text("/access_token"));
    assert_ne!(later["jti"], claims["jti"]);
    assert_eq!((&later["sid"], &later["auth_time"]), (&claims["sid"], &claims["auth_time"]));
}

/// Verifies the signature with nothing of ours but the published keys; gives the token's header.
fn verified_by_another_library(server: &Server, token: &str) -> Value {
    let published = server.client().get("/.well-known/jwks.json").send().expect(200);
    assert_eq!(published.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(published.header("access-control-allow-origin"), Some("*"));
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts: {}", parts.len()) };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let header_json: Value = serde_json::from_slice(&decoded(header)).unwrap();
    let keys = published.json();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header_json["kid"]).expect("the key");
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (&json!("EC"), &json!("P-256"), &json!("ES256"), &json!("sig"))
    );
    assert!(key.get("d").is_none(), "a private key is published");
    let point: Vec<u8> = [vec![4], decoded(key["x"].as_str().unwrap()), decoded(key["y"].as_str().unwrap())].concat();
    let key = VerifyingKey::from_sec1_bytes(&point).expect("a point of the curve");
    let signature = Signature::from_slice(&decoded(signature)).expect("a signature of 64 bytes");
    key.verify(format!("{header}.{payload}").as_bytes(), &signature).expect("the signature holds");
    key.verify(format!("{header}.{payload}x").as_bytes(), &signature).expect_err("and only for these bytes");
    header_json
}

/// RFC 9110 §15.5.2.
#[test]
fn every_401_names_a_scheme() {
    let server = Home::with_user().serve();
    let client = server.client();
    let challenge = |answer: Answer| answer.expect(401).header("www-authenticate").map(str::to_owned);
    let wrong = json!({"identifier": EMAIL, "password": "not the one", "delivery": "body"});
    assert_eq!(challenge(client.post("/session").json(&wrong).send()).as_deref(), Some("Bearer"));
    assert_eq!(challenge(client.get("/session").send()).as_deref(), Some("Bearer"));
    assert_eq!(challenge(client.refresh_by_body("rg1_x")).as_deref(), Some("Bearer"));
    let bad_token = client.get("/session").header("authorization", "Bearer x").send();
    assert_eq!(challenge(bad_token).as_deref(), Some("Bearer error=\"invalid_token\""));
}

#[test]
fn an_audience_and_a_scope_can_be_asked_for_as_far_as_the_operator_allows() {
    let mut home = Home::with_user();
    home.set("REGRANT_TOKENS__AUDIENCE", "https://api.example.com");
    home.set("REGRANT_TOKENS__AUDIENCES", "[\"https://other.example.com\"]");
    let server = home.serve();
    server.add_user("root@example.com", &["--admin"]);
    let sign_in = |who: &str, more: Value| {
        let mut asked = json!({"identifier": who, "password": PASSWORD, "delivery": "body"});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.client().post("/session").json(&asked).send()
    };
    let granted = |answer: &Answer| {
        let claims = claims(&answer.text("/access_token"));
        (claims["aud"].as_str().unwrap().to_owned(), claims["scope"].as_str().unwrap().to_owned())
    };
    let own = |audience: &str, scope: &str| (audience.to_owned(), scope.to_owned());

    let plain = sign_in(EMAIL, json!({})).expect(200);
    assert_eq!(granted(&plain), own("https://api.example.com", "openid"));
    let other = sign_in(EMAIL, json!({"audience": "https://other.example.com", "scope": "openid"})).expect(200);
    assert_eq!(granted(&other), own("https://other.example.com", "openid"));
    let renewed = server.client().refresh_by_body(&other.text("/refresh_token")).expect(200);
    assert_eq!(granted(&renewed), own("https://other.example.com", "openid"), "a refresh keeps what was granted");
    sign_in(EMAIL, json!({"audience": "https://evil.example.com"})).refused(400, "invalid_target", None);
    sign_in(EMAIL, json!({"scope": "openid regrant:admin"})).refused(400, "invalid_scope", None);
    sign_in(EMAIL, json!({"scope": "everything"})).refused(400, "invalid_scope", None);
    // A token repeats nothing, or a sign-in could ask for one that is too long to be made.
    let repeated = sign_in(EMAIL, json!({"scope": "openid ".repeat(2000).trim()})).expect(200);
    assert_eq!(granted(&repeated).1, "openid");

    let admin = sign_in("root@example.com", json!({"scope": "openid regrant:admin"})).expect(200);
    assert_eq!(granted(&admin).1, "openid regrant:admin");
    assert_eq!(claims(&admin.text("/access_token"))["roles"], json!(["admin"]));
    // The scope goes with the role.
    server.regrant(&["role", "revoke", "admin", "root@example.com"]).ok();
    let renewed = server.client().refresh_by_body(&admin.text("/refresh_token")).expect(200);
    assert_eq!(granted(&renewed).1, "openid");
    assert!(claims(&renewed.text("/access_token")).get("roles").is_none());

    // A token for another audience is no key to this server's own API.
    let here = server.client().get("/sessions").bearer(&other.text("/access_token")).send();
    let here = here.refused(401, "invalid_token", None);
    assert!(here.header("www-authenticate").unwrap().contains("invalid_token"), "RFC 6750 §3");
}

#[test]
fn the_configured_lifetimes_are_those_of_the_replies() {
    let mut home = Home::with_user();
    home.set("REGRANT_TOKENS__ACCESS_LIFETIME", "5m");
    home.set("REGRANT_SESSION__BROWSER_IDLE", "2 hours");
    home.set("REGRANT_SESSION__BROWSER_ABSOLUTE", "1h");
    home.set("REGRANT_SESSION__SAME_SITE", "lax");
    let server = home.serve();
    let (answer, _) = server.client().sign_in();
    let document = answer.json();
    assert_eq!(document["expires_in"], 300);
    let refresh_in = document["refresh_in"].as_u64().unwrap();
    assert!((160..=240).contains(&refresh_in), "{refresh_in}");
    let (idle, absolute) = lifetimes(&document);
    assert!(
        near(absolute, 3600) && near(idle, 3600),
        "the idle deadline never passes the absolute one: {idle} {absolute}"
    );
    let line = answer.set_cookie().unwrap();
    assert!(line.contains("; SameSite=Lax") && line.contains("; Max-Age=3600"), "{line}");
}

#[test]
fn who_am_i_tells_the_session_and_the_user() {
    let server = Home::new().serve();
    server.regrant(&["role", "add", "editor"]).ok();
    server.add_user(EMAIL, &["--role", "editor", "--claim", "name=Ada", "--claim", "level=3"]);
    let asked = json!({"identifier": EMAIL, "password": PASSWORD, "device": "Ada's laptop"});
    let signed_in = server.client().post("/session").json(&asked).send().expect(200);
    let by_cookie = server.client().get("/session").cookie(&signed_in.cookie()).send().expect(200);
    let by_bearer = server.client().get("/session").bearer(&signed_in.text("/access_token")).send().expect(200);
    for answer in [by_cookie, by_bearer] {
        assert_protected(&answer);
        assert_eq!(answer.set_cookie(), None, "a read renews nothing");
        let document = answer.json();
        assert_members(&document, &["session", "user"]);
        assert_members(&document["user"], &["id", "identifiers", "roles", "claims"]);
        assert_eq!(document["user"]["identifiers"], json!([EMAIL]));
        assert_eq!(document["user"]["roles"], json!(["editor"]));
        assert_eq!(document["user"]["claims"], json!({"name": "Ada", "level": 3}));
        assert_eq!(document["session"]["id"], signed_in.json()["session"]["id"]);
        assert_eq!(document["session"]["device"], "Ada's laptop");
        assert_eq!(document["session"]["current"], true);
    }
    server.client().get("/session").send().refused(401, "not_signed_in", None);
}
