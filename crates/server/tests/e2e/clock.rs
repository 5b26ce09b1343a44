//! The clock moves from outside, by libfaketime: back, ahead, and far ahead and back again.

use serde_json::json;

use crate::support::{CHROME, Home, MovedClock, Server};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn moved() -> (Server, MovedClock) {
    let mut home = Home::with_user();
    let clock = MovedClock::of(&mut home);
    (home.serve(), clock)
}

#[test]
fn a_clock_that_goes_back_an_hour_ends_nothing() {
    let (mut server, clock) = moved();
    let client = server.client();
    let (_, first) = client.sign_in();
    let second = client.renew(&first);
    clock.set(-HOUR);
    let third = client.refresh(&second).expect(200);
    assert_eq!(third.json()["expires_in"], 900);
    // The retry of a lost reply and the peek work, too.
    assert_eq!(client.renew(&second), third.cookie());
    client.peek(&third.cookie()).expect(200);
    client.get("/session").bearer(&third.text("/access_token")).send().expect(200);
    client.get("/sessions").cookie(&third.cookie()).send().expect(200);
    let mut token = third.cookie();
    for _ in 0..5 {
        token = client.renew(&token);
    }
    client.sign_in();
    // A theft is found in the past as well.
    client.refresh(&first).over("reused");
    assert!(server.is_running());
}

#[test]
fn a_server_that_starts_with_an_earlier_clock_serves_what_it_had() {
    let (mut server, clock) = moved();
    let (_, token) = server.client().sign_in();
    let token = server.client().renew(&token);
    assert_eq!(server.stop().code(), Some(0));
    clock.set(-HOUR);
    let home = Home::clone(&server);
    let server = home.serve();
    server.client().renew(&token);
    server.client().sign_in();
}

#[test]
fn a_browser_session_ends_a_week_after_its_last_use_and_not_before() {
    let (server, clock) = moved();
    let client = server.client();
    let (signed_in, first) = client.sign_in();
    let session = signed_in.text("/session/id");
    let (_, idle) = server.client_from([127, 0, 0, 1], CHROME).sign_in();
    clock.set(6 * DAY);
    let used = client.renew(&first);
    clock.set(7 * DAY + MINUTE);
    server.client().refresh(&idle).over("expired");
    let used = client.renew(&used);
    clock.set(14 * DAY);
    let used = client.renew(&used);
    clock.set(21 * DAY + MINUTE);
    client.refresh(&used).over("expired");
    client.peek(&used).over("expired");
    client.get("/session").cookie(&used).send().over("expired");
    client.get("/auth/verify").cookie(&used).send().over("expired");
    let explained = server.regrant(&["--json", "explain", &session]).ok().json();
    assert_eq!((&explained["state"], &explained["reason"]), (&json!("ended"), &json!("expired_idle")));
}

#[test]
fn a_browser_session_ends_after_thirty_days_whatever_its_use() {
    let (server, clock) = moved();
    let client = server.client();
    let (signed_in, mut token) = client.sign_in();
    for day in [5, 10, 15, 20, 25, 29] {
        clock.set(day * DAY);
        token = client.renew(&token);
    }
    clock.set(30 * DAY - HOUR);
    let last = client.refresh(&token).expect(200);
    let max_age = last.set_cookie().unwrap().split("Max-Age=").nth(1).unwrap().parse::<i64>().unwrap();
    assert!((HOUR - 30..=HOUR).contains(&max_age), "the cookie ends with the session: {max_age}");
    clock.set(30 * DAY + MINUTE);
    client.refresh(&last.cookie()).over("expired");
    let explained = server.regrant(&["--json", "explain", &signed_in.text("/session/id")]).ok().json();
    assert_eq!(explained["reason"], "expired_absolute");
}

#[test]
fn an_access_token_works_for_fifteen_minutes() {
    let (server, clock) = moved();
    let (signed_in, _) = server.client().sign_in();
    let token = signed_in.text("/access_token");
    let status = || server.client().get("/session").bearer(&token).send().status;
    assert_eq!(status(), 200);
    clock.set(14 * MINUTE);
    assert_eq!(status(), 200);
    clock.set(17 * MINUTE);
    assert_eq!(status(), 401);
}

#[test]
fn a_year_ahead_and_back_without_use_destroys_nothing() {
    let (server, clock) = moved();
    let client = server.client();
    let (_, token) = client.sign_in();
    let token = client.renew(&token);
    clock.set(365 * DAY);
    // Somebody looks at it meanwhile; looking destroys nothing.
    client.refresh(&token).over("expired");
    assert_eq!(server.regrant(&["--json", "session", "list"]).ok().out.trim(), "[]");
    clock.set(0);
    client.renew(&token);
    assert_eq!(server.regrant(&["--json", "session", "list"]).ok().json().as_array().unwrap().len(), 1);
}

#[test]
fn a_start_a_year_ahead_and_one_back_today_destroys_nothing() {
    let (mut server, clock) = moved();
    let (_, token) = server.client().sign_in();
    assert_eq!(server.stop().code(), Some(0));
    let home = Home::clone(&server);
    clock.set(365 * DAY);
    // The first sweep runs at once.
    let mut server = home.serve();
    server.client().get("/health/ready").send().expect(200);
    server.client().refresh(&token).over("expired");
    assert_eq!(server.stop().code(), Some(0));
    clock.set(0);
    home.serve().client().renew(&token);
}

#[test]
fn verify_renews_once_the_access_token_would_be_over_and_passes_the_cookie_on() {
    let (server, clock) = moved();
    let client = server.client();
    let (_, first) = client.sign_in();
    let verify = |token: &str| client.get("/auth/verify").cookie(token).send().expect(200);
    for offset in [0, 14 * MINUTE] {
        clock.set(offset);
        assert_eq!(verify(&first).set_cookie(), None);
    }
    clock.set(16 * MINUTE);
    let renewed = verify(&first);
    assert!(renewed.set_cookie().unwrap().contains("; Max-Age=604800"), "{renewed:?}");
    let second = renewed.cookie();
    assert_ne!(second, first);
    assert_eq!(verify(&second).set_cookie(), None);
    // Requests that were under way with the old cookie are let through.
    assert_eq!(verify(&first).set_cookie(), None);
    // If that reply was lost, the next renewal is due later, and is the same successor.
    clock.set(32 * MINUTE);
    assert_eq!(verify(&first).cookie(), second);
    client.renew(&second);
}

#[test]
fn too_many_failures_are_forgiven_after_a_quarter_of_an_hour() {
    let (server, clock) = moved();
    let client = server.client();
    let wrong = json!({"identifier": crate::support::EMAIL, "password": "not the right one"});
    for _ in 0..10 {
        client.post("/session").json(&wrong).send().expect(401);
    }
    client.post("/session").json(&wrong).send().expect(429);
    clock.set(16 * MINUTE);
    client.sign_in();
}
