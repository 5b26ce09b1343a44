//! Lifetimes, which are the configuration's and act at the next refresh.

use serde_json::Value;

use crate::support::{Answer, Home, seconds_between};

fn max_age(answer: &Answer) -> i64 {
    let line = answer.set_cookie().expect("a cookie");
    let age = line.split("; ").find_map(|attribute| attribute.strip_prefix("Max-Age=")).expect("a Max-Age");
    age.parse().expect("seconds")
}

#[test]
fn each_kind_of_client_has_lifetimes_of_its_own() {
    let mut home = Home::with_user();
    home.set("REGRANT_SESSION__BROWSER_IDLE", "2h");
    home.set("REGRANT_SESSION__NATIVE_IDLE", "3h");
    home.set("REGRANT_SESSION__OFFLINE_IDLE", "4h");
    let server = home.serve();
    let (browser, _) = server.client().sign_in();
    assert_eq!(max_age(&browser), 2 * 60 * 60);
    let (native, _) = server.client().sign_in_by_body();
    let session: Value = native.json()["session"].clone();
    let until = |name: &str| seconds_between(&session["idle_expires_at"], &session[name]);
    assert_eq!(until("absolute_expires_at"), 365 * 24 * 60 * 60 - 3 * 60 * 60);
}

#[test]
fn a_changed_lifetime_acts_at_the_next_refresh() {
    let mut home = Home::with_user();
    let mut server = home.serve();
    let issuer = server.issuer.clone();
    let (answer, token) = server.client().sign_in();
    assert_eq!(max_age(&answer), 7 * 24 * 60 * 60);
    let absolute = answer.text("/session/absolute_expires_at");
    server.stop();

    home.set("REGRANT_SESSION__BROWSER_IDLE", "1h");
    let mut server = home.serve_with(&["--issuer", &issuer]);
    let answer = server.client().refresh(&token).expect(200);
    assert_eq!(max_age(&answer), 60 * 60, "a shorter idle lifetime");
    assert_eq!(answer.text("/session/absolute_expires_at"), absolute, "and nothing else");
    server.stop();

    home.set("REGRANT_SESSION__BROWSER_IDLE", "8d");
    home.set("REGRANT_SESSION__BROWSER_ABSOLUTE", "40d");
    let mut server = home.serve_with(&["--issuer", &issuer]);
    let answer = server.client().refresh(&answer.cookie()).expect(200);
    assert_eq!(max_age(&answer), 8 * 24 * 60 * 60, "a longer idle lifetime");
    assert_eq!(answer.text("/session/absolute_expires_at"), absolute, "a longer absolute one never acts");
    server.stop();

    home.set("REGRANT_SESSION__BROWSER_ABSOLUTE", "2d");
    let mut server = home.serve_with(&["--issuer", &issuer]);
    let answer = server.client().refresh(&answer.cookie()).expect(200);
    let sooner = answer.json()["session"]["absolute_expires_at"].clone();
    assert_eq!(seconds_between(&sooner, &Value::from(absolute)), 28 * 24 * 60 * 60, "a shorter absolute one does");
    server.stop();

    home.set("REGRANT_SESSION__BROWSER_IDLE", "1s");
    home.set("REGRANT_SESSION__BROWSER_ABSOLUTE", "1s");
    let server = home.serve_with(&["--issuer", &issuer]);
    crate::support::eventually("a second has passed since the sign-in", || {
        let answer = server.client().refresh(&answer.cookie());
        (answer.status == 401).then(|| answer.over("expired"))
    });
}
