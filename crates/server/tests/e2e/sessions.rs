//! My devices: list them, end one, end the others, sign out, change the password; and `/auth/verify` for a proxy.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{CHROME, EMAIL, Home, PASSWORD, Server, assert_members};

const NEW: &str = "the analytical engine, 1837";

fn reason(server: &Server, session: &str) -> Value {
    server.regrant(&["--json", "explain", session]).ok().json()["reason"].clone()
}

#[test]
fn a_sign_out_ends_the_session_and_clears_the_cookie() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (signed_in, first) = client.sign_in();
    let second = client.renew(&first);
    let gone = client.delete("/session").cookie(&second).send().expect(204);
    assert!(gone.body.is_empty());
    let line = gone.set_cookie().unwrap();
    let (pair, attributes) = line.split_once("; ").unwrap();
    let mut attributes: Vec<&str> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!((pair, &attributes[..]), ("regrant-dev=", &["HttpOnly", "Max-Age=0", "Path=/", "SameSite=Strict"][..]));
    for token in [&first, &second] {
        client.refresh(token).over("signed_out");
        client.get("/auth/verify").cookie(token).send().over("signed_out");
    }
    client.get("/session").bearer(&signed_in.text("/access_token")).send().refused(401, "invalid_token", None);
    assert_eq!(reason(&server, &signed_in.text("/session/id")), "signed_out");
    // Again: it is so already, and the cookie goes.
    assert!(client.delete("/session").cookie(&second).send().expect(204).set_cookie().is_some());
    client.delete("/session").send().refused(401, "not_signed_in", None);
}

#[test]
fn a_sign_out_by_bearer_ends_the_session_and_touches_no_cookie() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (signed_in, token) = client.sign_in_by_body();
    let access = signed_in.text("/access_token");
    assert_eq!(client.delete("/session").bearer(&access).send().expect(204).set_cookie(), None);
    client.refresh_by_body(&token).over("signed_out");
    client.get("/sessions").bearer(&access).send().refused(401, "invalid_token", None);
}

#[test]
fn my_devices_are_listed_with_this_one_marked_and_without_secrets() {
    let server = Home::with_user().serve();
    server.add_user("grace@example.com", &[]);
    let client = server.client();
    let (laptop, cookie) = client.sign_in();
    let asked = json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body", "device": "Ada's phone"});
    let phone = server.client_from([127, 66, 6, 6], CHROME).post("/session").json(&asked).send().expect(200);
    let grace = json!({"identifier": "grace@example.com", "password": PASSWORD});
    client.post("/session").json(&grace).send().expect(200);

    let list = client.get("/sessions").cookie(&cookie).send().expect(200).json();
    let devices = list.as_array().unwrap();
    assert_eq!(devices.len(), 2, "hers alone: {list}");
    for device in devices {
        assert_members(
            device,
            &[
                "id",
                "current",
                "user_id",
                "device",
                "user_agent",
                "network",
                "created_at",
                "last_used_at",
                "idle_expires_at",
                "absolute_expires_at",
            ],
        );
        assert_eq!(device["current"], json!(device["id"] == laptop.json()["session"]["id"]));
        assert!(device["last_used_at"].as_str().unwrap().contains(":00:00.000Z"), "times of use are told by the hour");
    }
    let found = devices.iter().find(|device| device["id"] == phone.json()["session"]["id"]).unwrap();
    assert_eq!(found["device"], "Ada's phone");
    assert!(found["network"].as_str().unwrap().starts_with("127.66.6.0"), "no whole address: {found}");
    assert!(found["user_agent"].as_str().unwrap().contains("Chrome"), "{found}");
    assert!(!list.to_string().contains("rg1_") && !list.to_string().contains("grt_"), "{list}");

    let by_bearer = client.get("/sessions").bearer(&phone.text("/access_token")).send().expect(200).json();
    let current: Vec<&Value> =
        by_bearer.as_array().unwrap().iter().filter(|device| device["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["id"], phone.json()["session"]["id"]);
}

#[test]
fn one_session_and_all_others_can_be_ended_and_nobody_elses() {
    let server = Home::with_user().serve();
    server.add_user("grace@example.com", &[]);
    let client = server.client();
    let sessions: Vec<(String, String)> =
        (0..4).map(|_| client.sign_in()).map(|(answer, token)| (answer.text("/session/id"), token)).collect();
    let grace = json!({"identifier": "grace@example.com", "password": PASSWORD});
    let grace = client.post("/session").json(&grace).send().expect(200);
    let mine = &sessions[0].1;

    let end = |id: &str| client.delete(&format!("/sessions/{id}")).cookie(mine).send();
    end(&sessions[1].0).expect(204);
    client.refresh(&sessions[1].1).over("ended");
    assert_eq!(reason(&server, &sessions[1].0), "revoked_by_user");
    end(&sessions[1].0).refused(404, "not_found", None);
    // Somebody else's session and one that never was are told alike.
    let hers = end(&grace.text("/session/id")).refused(404, "not_found", None);
    assert_eq!(hers.body, end("ses_0190a2b4c6d87e8f9a0b1c2d3e4f5061").refused(404, "not_found", None).body);
    client.renew(&grace.cookie());

    client.delete("/sessions").cookie(mine).send().refused(400, "invalid_request", None);
    client.delete("/sessions?except=current").cookie(mine).send().expect(204);
    for (_, token) in &sessions[2..] {
        client.refresh(token).over("ended");
    }
    let mine = client.renew(mine);
    // The current one can be ended by its id, too.
    client.delete(&format!("/sessions/{}", sessions[0].0)).cookie(&mine).send().expect(204);
    client.refresh(&mine).over("ended");
}

#[test]
fn a_sign_in_with_the_old_cookie_takes_the_old_sessions_place() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (old, token) = client.sign_in();
    let asked = json!({"identifier": EMAIL, "password": PASSWORD});
    let new = client.post("/session").cookie(&token).json(&asked).send().expect(200);
    assert_ne!(new.text("/session/id"), old.text("/session/id"));
    client.refresh(&token).over("ended");
    assert_eq!(reason(&server, &old.text("/session/id")), "replaced");
    // A wrong password replaces nothing.
    let wrong = json!({"identifier": EMAIL, "password": "not the right one"});
    client.post("/session").cookie(&new.cookie()).json(&wrong).send().expect(401);
    client.renew(&new.cookie());
    // Nor does a cookie that is no token of ours get in the way.
    client.post("/session").cookie("nonsense").json(&asked).send().expect(200);
}

#[test]
fn a_user_has_no_more_sessions_than_the_limit() {
    let mut home = Home::with_user();
    home.set("REGRANT_SESSION__PER_USER", "3");
    let server = home.serve();
    let client = server.client();
    let (_, used) = client.sign_in();
    let used = client.renew(&used);
    let (never, unused) = client.sign_in();
    client.sign_in();
    client.sign_in();
    client.refresh(&unused).over("ended");
    assert_eq!(reason(&server, &never.text("/session/id")), "session_limit", "the never-refreshed ones go first");
    let used = client.renew(&used);
    let list = client.get("/sessions").cookie(&used).send().expect(200).json();
    assert_eq!(list.as_array().unwrap().len(), 3);
}

#[test]
fn a_password_change_ends_everything_else_and_this_session_goes_on() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, elsewhere) = client.sign_in_by_body();
    let (signed_in, old) = client.sign_in();
    let change = |token: &str, current: &str, new: &str| {
        client.post("/password").cookie(token).json(&json!({"current_password": current, "new_password": new})).send()
    };
    change(&old, "not the right one", NEW).refused(403, "invalid_credentials", None);
    for weak in ["short", "password1234", EMAIL, "aaaaaaaaaaaaaaaa", ""] {
        let refused = change(&old, PASSWORD, weak).refused(400, "weak_password", None);
        assert!(weak.is_empty() || !refused.text("/detail").contains(weak), "it quotes the password");
    }
    client.refresh_by_body(&elsewhere).expect(200);

    let changed = change(&old, PASSWORD, NEW).expect(200);
    assert_eq!(changed.text("/session/id"), signed_in.text("/session/id"));
    let new = changed.cookie();
    // The old token is one of before the change: no theft, but not the stronger session either.
    client.refresh(&old).over("superseded");
    let next = client.renew(&new);
    client.refresh_by_body(&elsewhere).expect(401);
    assert_eq!(client.get("/sessions").cookie(&next).send().expect(200).json().as_array().unwrap().len(), 1);
    client.post("/session").json(&json!({"identifier": EMAIL, "password": PASSWORD})).send().expect(401);
    client.post("/session").json(&json!({"identifier": EMAIL, "password": NEW})).send().expect(200);
    // An access token alone is not enough.
    let body = json!({"current_password": NEW, "new_password": PASSWORD});
    client.post("/password").bearer(&changed.text("/access_token")).json(&body).send().refused(
        401,
        "not_signed_in",
        None,
    );
}

#[test]
fn a_password_change_by_body_replies_in_the_body() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, token) = client.sign_in_by_body();
    let body = json!({"current_password": PASSWORD, "new_password": NEW, "refresh_token": token});
    let changed = client.post("/password").json(&body).send().expect(200);
    assert_eq!(changed.set_cookie(), None);
    client.refresh_by_body(&changed.text("/refresh_token")).expect(200);
}

#[test]
fn verify_tells_a_proxy_who_it_is() {
    let server = Home::new().serve();
    for role in ["editor", "author"] {
        server.regrant(&["role", "add", role]).ok();
    }
    let user = server.add_user(EMAIL, &["--role", "editor", "--role", "author"]);
    server.add_user("grace", &[]);
    let client = server.client();
    let (signed_in, token) = client.sign_in();
    let by_cookie = client.get("/auth/verify").cookie(&token).send().expect(200);
    let by_bearer = client.get("/auth/verify").bearer(&signed_in.text("/access_token")).send().expect(200);
    for verified in [by_cookie, by_bearer] {
        assert!(verified.body.is_empty());
        assert_eq!(verified.header("remote-user"), user["id"].as_str());
        assert_eq!(verified.header("remote-email"), Some(EMAIL));
        let groups: BTreeSet<&str> = verified.header("remote-groups").unwrap().split(',').collect();
        assert_eq!(groups, BTreeSet::from(["author", "editor"]));
        assert_eq!(verified.header("remote-session"), Some(signed_in.text("/session/id").as_str()));
        assert_eq!(verified.header("cache-control"), Some("no-store"));
        assert_eq!(verified.set_cookie(), None, "it is too early to renew");
    }
    let grace = client.post("/session").json(&json!({"identifier": "grace", "password": PASSWORD})).send().expect(200);
    let verified = client.get("/auth/verify").cookie(&grace.cookie()).send().expect(200);
    assert_eq!(verified.header("remote-email"), None, "a username is no address");
    client.get("/auth/verify").send().refused(401, "not_signed_in", None);
    client.delete("/session").cookie(&token).send().expect(204);
    client.get("/auth/verify").cookie(&token).send().over("signed_out");
    client.get("/auth/verify").bearer(&signed_in.text("/access_token")).send().refused(401, "invalid_token", None);
}
