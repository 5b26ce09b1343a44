//! The same on PostgreSQL; and what only that has.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::support::{EMAIL, FIREFOX, Home, cluster::Cluster, eventually, on_postgres_too};

#[test]
fn what_works_on_a_directory_works_on_a_database() {
    on_postgres_too(
        &["cors::", "document::", "garbage::", "origins::", "people::", "rotation::", "session_api::", "sessions::"],
        &[],
    );
}

#[test]
fn a_new_store_in_a_database_is_made_with_its_keys_and_is_not_served_without_them() {
    let home = Home::new().on_a_database();
    home.regrant(&["user", "list"]).complains(2, &["there is no store", "regrant serve"]);
    home.add_user(EMAIL, &[]);
    let keys = home.path("keys.toml");
    let server = home.serve();
    let (_, token) = server.client().sign_in();
    server.client().refresh(&token).expect(200);
    drop(server);
    let hidden = home.path("elsewhere.toml");
    std::fs::rename(&keys, &hidden).unwrap();
    home.serve_in_vain(&[]).complains(2, &["keys.toml is missing", "another node"]);
    assert!(!keys.exists(), "no new keys for an old store");
    // Another node's mistake: keys of its own.
    let other = Home::new().on_a_database();
    other.add_user(EMAIL, &[]);
    std::fs::copy(other.path("keys.toml"), &keys).unwrap();
    let said = home.serve_in_vain(&[]);
    assert_eq!(said.code, Some(2), "{}", said.err);
}

/// The primary dies under load and comes back: 503 with Retry-After meanwhile, nobody is signed out, and what was acknowledged is there.
#[test]
fn a_primary_that_dies_and_comes_back_signs_nobody_out() {
    let mut cluster = Cluster::start(&[]);
    let home = Home::new().on(&cluster.database());
    home.add_user(EMAIL, &[]);
    let server = home.serve();
    let holders: Vec<_> = (1..5u8).map(|n| server.client_from([127, 9, 0, n], FIREFOX)).collect();
    let mut tokens: Vec<String> = holders.iter().map(|client| client.sign_in().1).collect();
    let (go_on, unavailable) = (AtomicBool::new(true), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for (client, token) in holders.iter().zip(&mut tokens) {
            let (go_on, unavailable) = (&go_on, &unavailable);
            scope.spawn(move || {
                // As a client does it: it keeps what it has until it is given the next.
                for round in 0.. {
                    if !go_on.load(Ordering::SeqCst) {
                        break;
                    }
                    let answer = client.refresh(token);
                    match answer.status {
                        200 => *token = answer.cookie(),
                        503 => {
                            assert!(answer.header("retry-after").is_some(), "{answer:?}");
                            unavailable.fetch_add(1, Ordering::SeqCst);
                        }
                        // Sixty a minute.
                        429 if round > 10 => {}
                        other => panic!("{other}: {answer:?}"),
                    }
                }
            });
        }
        let of_server = server.client();
        cluster.crash();
        eventually("somebody is told to come back", || (unavailable.load(Ordering::SeqCst) > 4).then_some(()));
        assert_eq!(of_server.get("/health/ready").send().status, 503);
        cluster.recover();
        eventually("it serves again", || (of_server.get("/health/ready").send().status == 200).then_some(()));
        go_on.store(false, Ordering::SeqCst);
    });
    let alive = home.regrant(&["--json", "session", "list"]).ok().json();
    assert_eq!(alive.as_array().unwrap().len(), 4, "{alive}");
    for (client, token) in holders.iter().zip(&tokens) {
        let answer = client.refresh(token);
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
    }
}

/// Streaming replication, synchronous: the primary is lost for ever, the standby takes its place, and nothing that was acknowledged is
/// missing.
#[test]
fn a_promoted_standby_knows_every_rotation_that_was_acknowledged() {
    let primary = Cluster::start(&[]);
    let first = primary.database();
    let name = first.rsplit('/').next().unwrap();
    let standby = primary.standby();
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    eventually("the standby follows", || (primary.sql("postgres", sql).trim() == "1").then_some(()));
    let both = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{name}", primary.port, standby.port);
    let home = Home::new().on(&both);
    home.add_user(EMAIL, &[]);
    let checked = home.regrant(&["--json", "config", "check"]).ok().out;
    assert!(!checked.contains("standby"), "a standby is named: {checked}");
    let server = home.serve();
    let client = server.client();
    let (signed, mut token) = client.sign_in();
    let session = signed.json()["session"]["id"].as_str().unwrap().to_owned();
    for _ in 0..20 {
        token = client.refresh(&token).expect(200).cookie();
    }
    primary.crash();
    let meanwhile = client.refresh(&token);
    assert_eq!((meanwhile.status, meanwhile.header("retry-after").is_some()), (503, true));
    standby.promote();
    token = eventually("it serves from the standby", || {
        let answer = client.refresh(&token);
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        (answer.status == 200).then(|| answer.cookie())
    });
    client.refresh(&token).expect(200);
    let told = home.regrant(&["explain", &session]).ok().out;
    assert!(!told.contains("healed"), "nothing was lost: {told}");
}

/// Two nodes on one database: what one does the other knows, and none of them keeps anything.
#[test]
fn nodes_are_equal() {
    let home = Home::new().on_a_database();
    home.add_user(EMAIL, &["--role", "admin"]);
    let one = home.serve_with(&["--issuer", "https://id.example.com"]);
    let two = home.serve_with(&["--issuer", "https://id.example.com"]);
    let (here, there) = (one.client(), two.client());
    let (signed, first) = here.sign_in_by_body();
    let session = signed.json()["session"]["id"].as_str().unwrap().to_owned();
    let renew = |client: &crate::support::Client, token: &str| {
        client.post("/session/refresh").json(&serde_json::json!({"refresh_token": token})).send()
    };
    let mut token = first.clone();
    for round in 0..10 {
        let answer = renew(if round % 2 == 0 { &there } else { &here }, &token).expect(200);
        answer.json()["refresh_token"].as_str().unwrap().clone_into(&mut token);
    }
    // The one node signs with what the other one made known.
    assert_eq!(here.get("/.well-known/jwks.json").send().json(), there.get("/.well-known/jwks.json").send().json());
    home.regrant(&["key", "rotate", "--now"]).ok();
    eventually("both publish the new keys", || {
        let jwks = |client: &crate::support::Client| client.get("/.well-known/jwks.json").send().json();
        let (here, there) = (jwks(&here), jwks(&there));
        (here == there && here["keys"].as_array().unwrap().len() > 2).then_some(())
    });
    // An end is everywhere at once: it is in the row.
    home.regrant(&["session", "revoke", &session]).ok();
    for client in [&here, &there] {
        assert_eq!(renew(client, &token).status, 401);
    }
    // A thief at one node is found at the other.
    let (_, stolen) = here.sign_in_by_body();
    let second = renew(&there, &stolen).expect(200).json()["refresh_token"].as_str().unwrap().to_owned();
    let third = renew(&here, &second).expect(200).json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(renew(&there, &stolen).json()["reason"], "reused");
    assert_eq!(renew(&here, &third).status, 401);
}

#[test]
fn migrations_are_told_before_they_are_done() {
    let home = Home::new().on_a_database();
    let json = |arguments: &[&str]| home.regrant(&[&["--json", "migrate"], arguments].concat()).ok().json();
    assert_eq!(json(&["status"])["schema"], 0);
    assert!(json(&["up", "--dry-run"])["sql"][0].as_str().unwrap().contains("CREATE TABLE grants"));
    assert_eq!(json(&["status"])["schema"], 0, "nothing was done");
    assert_eq!(json(&["up"])["done"][0]["name"], "initial");
    assert_eq!(json(&["status"])["due"], serde_json::json!([]));
    assert_eq!(json(&["status"])["long"], serde_json::json!([]));
    assert_eq!(json(&["up"])["done"], serde_json::json!([]));
    // The keys come with the first who serves.
    home.add_user(EMAIL, &[]);
    home.serve().client().sign_in();
    Home::new().regrant(&["migrate", "status"]).complains(2, &["migrates itself"]);
}
