//! Any number of nodes on one database: what one learns the others know soon, whose clock is off does not serve, and who was frozen
//! and comes back undoes nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Client, EMAIL, Home, MovedClock, Server, eventually};

const ISSUER: [&str; 2] = ["--issuer", "https://id.example.com"];
const API: &str = "https://api.example.com";

fn two() -> (Home, Server, Server) {
    let home = Home::new().on_a_database();
    home.add_user(EMAIL, &["--role", "admin"]);
    let (one, other) = (home.serve_with(&ISSUER), home.serve_with(&ISSUER));
    (home, one, other)
}

/// What one node or a command did is known everywhere within two seconds.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "measures how long it takes")]
fn soon<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    let found = eventually(what, probe);
    assert!(begun.elapsed() <= Duration::from_secs(2), "{what}: after {:?}", begun.elapsed());
    found
}

/// A service asks for a token of its own.
fn service(client: &Client, secret: &str, more: &str) -> Answer {
    let body = format!("grant_type=client_credentials&client_id=job&client_secret={secret}{more}");
    client.post("/oauth2/token").body("application/x-www-form-urlencoded", body).send()
}

fn keys(client: &Client) -> Value {
    client.get("/.well-known/jwks.json").send().expect(200).json()
}

#[test]
fn what_one_node_learns_all_know_within_two_seconds() {
    let (home, one, other) = two();
    let (here, there) = (one.client(), other.client());
    let add = ["--json", "client", "add", "--id", "job", "--type", "service", "--scope", "stock:read"];
    let add = [&add[..], &["--auth-method", "client_secret_post"]].concat();
    let secret_of =
        |arguments: &[&str]| home.regrant(arguments).ok().json()["client_secret"].as_str().unwrap().to_owned();
    let secret = secret_of(&add);

    // A client's policy: both nodes have asked for it a moment ago.
    for node in [&here, &there] {
        service(node, &secret, "").expect(200);
    }
    let next = secret_of(&["--json", "client", "rotate-secret", "job", "--keep", "0"]);
    for node in [&here, &there] {
        soon("the secret before is refused", || (service(node, &secret, "").status == 401).then_some(()));
        service(node, &next, "").expect(200);
    }
    // Resources.
    let resource = format!("&resource={API}&scope=stock:read");
    // While there was never one, anything may be named.
    home.regrant(&["resource", "add", "--id", "https://first.example.com", "--scope", "stock:read"]).ok();
    for node in [&here, &there] {
        soon("there are resources", || (service(node, &next, &resource).status == 400).then_some(()));
    }
    home.regrant(&["resource", "add", "--id", API, "--scope", "stock:read"]).ok();
    for node in [&here, &there] {
        soon("the resource is known", || (service(node, &next, &resource).status == 200).then_some(()));
    }
    // Keys.
    let before = keys(&here)["keys"].as_array().unwrap().len();
    home.regrant(&["key", "rotate", "--now"]).ok();
    for node in [&here, &there] {
        soon("the keys are published", || (keys(node)["keys"].as_array().unwrap().len() > before).then_some(()));
    }
    // Ends are in the rows: at once.
    let (_, first) = here.sign_in_by_body();
    let (_, second) = there.sign_in_by_body();
    home.regrant(&["user", "disable", EMAIL]).ok();
    assert_eq!(there.refresh_by_body(&first).status, 401);
    assert_eq!(here.refresh_by_body(&second).status, 401);
    home.regrant(&["user", "enable", EMAIL]).ok();
    // So are counts.
    let guess = |node: &Client| node.post("/session").json(&json!({"identifier": EMAIL, "password": "a guess"})).send();
    for round in 0..10 {
        guess(if round % 2 == 0 { &here } else { &there }).expect(401);
    }
    for node in [&here, &there] {
        guess(node).expect(429);
    }
}

#[test]
fn who_was_frozen_while_the_keys_changed_does_not_put_them_back() {
    let (home, one, other) = two();
    let (here, there) = (one.client(), other.client());
    let (_, token) = here.sign_in_by_body();
    let published = |node: &Client| keys(node)["keys"].as_array().unwrap().len();
    let before = published(&here);
    one.signal("STOP");
    let (_, beside) = there.sign_in_by_body();
    home.regrant(&["key", "rotate", "--now"]).ok();
    home.regrant(&["key", "rotate", "--now"]).ok();
    soon("the other node publishes them", || (published(&there) > before).then_some(()));
    let listed = home.regrant(&["--json", "key", "list"]).ok().json();
    one.signal("CONT");
    soon("so does the one that was frozen", || {
        (published(&here) > before && keys(&here) == keys(&there)).then_some(())
    });
    here.refresh_by_body(&beside).expect(200);
    there.refresh_by_body(&token).expect(200);
    assert_eq!(home.regrant(&["--json", "key", "list"]).ok().json(), listed);
}

#[test]
fn a_node_whose_clock_is_off_is_not_ready_until_it_is_right_again() {
    let mut home = Home::new().on_a_database();
    home.add_user(EMAIL, &[]);
    let clock = MovedClock::of(&mut home);
    let server = home.serve();
    let client = server.client();
    let (_, mut token) = client.sign_in();
    let ready = || client.get("/health/ready").send();
    ready().expect(200);
    for (seconds, told) in [(8, "ahead of the database's"), (-8, "behind the database's")] {
        clock.set(seconds);
        let refused = ready().expect(503);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        assert!(server.log().contains(told), "{}", server.log());
        // Nobody is told by the probe what only the operator needs; and who comes all the same is served.
        assert!(!String::from_utf8_lossy(&refused.body).contains("clock"));
        client.get("/health/live").send().expect(200);
        token = client.renew(&token);
    }
    // A little is nothing.
    clock.set(3);
    ready().expect(200);
    clock.set(0);
    ready().expect(200);
    client.renew(&token);
}
