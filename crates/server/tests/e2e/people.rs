//! Users, roles and the limits on guessing.

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Answer, Client, EMAIL, FIREFOX, Home, PASSWORD};

fn attempt(client: &Client, who: &str, password: &str) -> Answer {
    client.post("/session").json(&json!({"identifier": who, "password": password})).send()
}

fn roles(access_token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(access_token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap().get("roles").cloned().unwrap_or_else(|| json!([]))
}

#[test]
fn a_disabled_user_is_out_at_once_and_in_again_by_signing_in() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (signed_in, token) = client.sign_in();
    let said = server.regrant(&["--json", "user", "disable", EMAIL]).ok().json();
    assert_eq!(said, json!({"changed": true, "sessions_ended": 1}));
    client.refresh(&token).over("ended");
    client.get("/session").bearer(&signed_in.text("/access_token")).send().refused(401, "invalid_token", None);
    let refused = attempt(&client, EMAIL, PASSWORD).refused(401, "invalid_credentials", None);
    assert_eq!(refused.body, attempt(&client, EMAIL, "not the right one").body, "who is disabled is not told");
    let said = server.regrant(&["--json", "user", "disable", EMAIL]).ok().json();
    assert_eq!(said["changed"], false);
    server.regrant(&["user", "enable", EMAIL]).ok();
    client.refresh(&token).over("ended");
    client.sign_in();
    let explained = server.regrant(&["--json", "explain", &signed_in.text("/session/id")]).ok().json();
    assert_eq!(explained["reason"], "user_disabled");
}

#[test]
fn a_deleted_user_is_gone_and_can_be_added_anew_as_somebody_else() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (signed_in, token) = client.sign_in();
    server.regrant(&["user", "delete", EMAIL]).ok();
    let over = client.refresh(&token).expect(401);
    assert!(matches!(over.problem()["reason"].as_str(), Some("ended" | "unknown")), "{over:?}");
    attempt(&client, EMAIL, PASSWORD).refused(401, "invalid_credentials", None);
    server.regrant(&["user", "show", EMAIL]).complains(1, &["no user"]);
    let again = server.add_user(EMAIL, &[]);
    assert_ne!(again["id"], signed_in.json()["session"]["user_id"]);
    client.refresh(&token).expect(401);
    client.sign_in();
}

#[test]
fn a_password_set_by_the_operator_ends_every_session() {
    let server = Home::with_user().serve();
    let client = server.client();
    let ((_, cookie), (_, body)) = (client.sign_in(), client.sign_in_by_body());
    let new = "the analytical engine, 1837";
    let said = server.regrant_reading(&["--json", "user", "set-password", EMAIL, "--password-stdin"], new).ok().json();
    assert_eq!(said["sessions_ended"], 2);
    client.refresh(&cookie).over("ended");
    client.refresh_by_body(&body).over("ended");
    attempt(&client, EMAIL, PASSWORD).expect(401);
    attempt(&client, EMAIL, new).expect(200);
}

/// Each role is told in every access token: without a limit a token could grow too long to be made.
#[test]
fn a_user_has_at_most_fifty_roles() {
    let server = Home::with_user().serve();
    let names: Vec<String> = (0..51).map(|n| format!("role-{n}")).collect();
    for name in &names {
        server.regrant(&["role", "add", name]).ok();
    }
    let many: Vec<&str> = names.iter().flat_map(|name| ["--role", name.as_str()]).collect();
    let add = [&["user", "add", "many@example.com"], many.as_slice()].concat();
    server.regrant(&add).complains(2, &["at most 50 roles"]);
    for name in &names[..50] {
        server.regrant(&["role", "grant", name, EMAIL]).ok();
    }
    server.regrant(&["role", "grant", &names[50], EMAIL]).complains(1, &["at most 50 roles"]);
    server.regrant(&["role", "grant", &names[0], EMAIL]).ok();
    let (signed_in, _) = server.client().sign_in();
    assert_eq!(roles(&signed_in.text("/access_token")).as_array().unwrap().len(), 50);
}

#[test]
fn a_role_is_in_the_next_access_token() {
    let server = Home::with_user().serve();
    server.regrant(&["role", "add", "editor"]).ok();
    let client = server.client();
    let (signed_in, token) = client.sign_in();
    assert_eq!(roles(&signed_in.text("/access_token")), json!([]));
    server.regrant(&["role", "grant", "editor", EMAIL]).ok();
    let renewed = client.refresh(&token).expect(200);
    assert_eq!(roles(&renewed.text("/access_token")), json!(["editor"]));
    server.regrant(&["role", "revoke", "editor", EMAIL]).ok();
    let renewed = client.refresh(&renewed.cookie()).expect(200);
    assert_eq!(roles(&renewed.text("/access_token")), json!([]));
    server.regrant(&["role", "grant", "editor", EMAIL]).ok();
    server.regrant(&["role", "remove", "editor"]).ok();
    let renewed = client.refresh(&renewed.cookie()).expect(200);
    assert_eq!(roles(&renewed.text("/access_token")), json!([]));
}

#[test]
fn ten_failures_from_one_address_close_it_for_that_account_and_for_nobody_else() {
    let server = Home::with_user().serve();
    server.add_user("grace@example.com", &[]);
    let client = server.client();
    for _ in 0..10 {
        attempt(&client, EMAIL, "not the right one").refused(401, "invalid_credentials", None);
    }
    let limited = attempt(&client, EMAIL, "not the right one").refused(429, "too_many_requests", None);
    let seconds: u32 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((800..=900).contains(&seconds), "{seconds}");
    // Or the limit would tell which password is right.
    attempt(&client, EMAIL, PASSWORD).refused(429, "too_many_requests", None);
    attempt(&client, " ADA@example.com ", PASSWORD).refused(429, "too_many_requests", None);
    let elsewhere = server.client_from([127, 66, 6, 6], FIREFOX);
    attempt(&elsewhere, EMAIL, PASSWORD).expect(200);
    attempt(&client, "grace@example.com", PASSWORD).expect(200);
}

#[test]
fn who_exists_is_not_told_by_words_limits_or_time() {
    let mut home = Home::new();
    // Dear enough that a check that is left out would be seen.
    home.set("REGRANT_PASSWORDS__MEMORY_KIB", "32768");
    home.set("REGRANT_PASSWORDS__PASSES", "3");
    home.add_user(EMAIL, &[]);
    let server = home.serve();
    server.regrant(&["user", "add", "nopassword@example.com"]).ok();
    let client = server.client();
    let series = |who: &str| -> Vec<(u16, Vec<u8>, std::time::Duration)> {
        (0..11)
            .map(|_| {
                let begun = begin();
                let answer = attempt(&client, who, "not the right one");
                (answer.status, answer.body, begun.1(begun.0))
            })
            .collect()
    };
    let known = series(EMAIL);
    for who in ["unknown@example.com", "nopassword@example.com"] {
        let unknown = series(who);
        for (known, unknown) in known.iter().zip(&unknown).take(10) {
            assert_eq!((known.0, &known.1), (unknown.0, &unknown.1), "{who}");
        }
        assert_eq!((known[10].0, unknown[10].0), (429, 429), "unknown users are counted alike");
        // The shortest is what the work takes; the rest is the machine's other business.
        let least =
            |series: &[(u16, Vec<u8>, std::time::Duration)]| series.iter().take(10).map(|one| one.2).min().unwrap();
        let (known, unknown) = (least(&known), least(&unknown));
        assert!(unknown * 3 > known && known * 3 > unknown, "{who}: {known:?} and {unknown:?}");
    }
}

#[allow(clippy::disallowed_methods, reason = "measures how long an answer takes, as an attacker does")]
fn begin() -> (Instant, fn(Instant) -> std::time::Duration) {
    (Instant::now(), |begun| begun.elapsed())
}

#[test]
fn right_passwords_never_count() {
    let server = Home::with_user().serve();
    let client = server.client();
    for _ in 0..25 {
        attempt(&client, EMAIL, PASSWORD).expect(200);
    }
    // A right one forgives the wrong ones before it.
    for _ in 0..3 {
        for _ in 0..9 {
            attempt(&client, EMAIL, "not the right one").expect(401);
        }
        attempt(&client, EMAIL, PASSWORD).expect(200);
    }
}

#[test]
fn guessing_the_current_password_is_limited_and_the_session_goes_on() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, token) = client.sign_in();
    let change = |current: &str| {
        let body = json!({"current_password": current, "new_password": "the analytical engine, 1837"});
        client.post("/password").cookie(&token).json(&body).send()
    };
    for _ in 0..10 {
        change("not the right one").refused(403, "invalid_credentials", None);
    }
    change("not the right one").refused(429, "too_many_requests", None);
    change(PASSWORD).refused(429, "too_many_requests", None);
    client.renew(&token);
}

#[test]
fn too_many_sign_ins_at_once_are_told_to_come_back() {
    let mut home = Home::with_user();
    home.set("REGRANT_PASSWORDS__CONCURRENCY", "1");
    home.set("REGRANT_PASSWORDS__QUEUE", "1");
    home.set("REGRANT_PASSWORDS__MEMORY_KIB", "65536");
    home.set("REGRANT_LIMITS__PER_ACCOUNT_AND_ADDRESS", "1000");
    let server = home.serve();
    let (_, token) = server.client().sign_in();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..12).map(|_| scope.spawn(|| attempt(&server.client(), EMAIL, "not the right one"))).collect();
        // Renewing needs no hash and does not wait for one.
        server.client().renew(&token);
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    assert!((1..12).contains(&busy), "{busy} of 12");
    for answer in answers {
        match answer.status {
            503 => answer.refused(503, "busy", None),
            _ => answer.refused(401, "invalid_credentials", None),
        };
    }
    server.client().sign_in();
}
