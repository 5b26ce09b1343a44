//! `regrant move`: a store goes to PostgreSQL and back, whoever is signed in stays so, and whatever stops it is mended by running it
//! again.

use std::process::Stdio;

use serde_json::json;

use crate::support::{EMAIL, FIREFOX, Home, PASSWORD, cluster::Cluster, eventually};

/// The same people on a database, with the same keys.
fn on_database(home: &Home, url: &str) -> Home {
    let away = home.clone().on(url);
    std::fs::copy(home.data().join("keys.toml"), away.keys()).unwrap();
    away
}

fn path(home: &Home) -> String {
    home.data().display().to_string()
}

#[test]
fn whoever_is_signed_in_stays_so_on_postgresql_and_back() {
    let home = Home::new();
    home.add_user(EMAIL, &["--role", "admin"]);
    home.add_user("bea@example.com", &[]);
    let url = Cluster::shared().database();
    let there = |arguments: &[&str]| home.bare(&[&["move", "--from", &path(&home), "--to", &url], arguments].concat());
    let mut server = home.serve();
    let client = server.client();
    // One who never came back, one whose reply was lost, one who was robbed, one who left, and somebody else.
    let (_, fresh) = client.sign_in();
    let (signed, lost) = client.sign_in();
    let session = signed.json()["session"]["id"].as_str().unwrap().to_owned();
    let successor = server.client_from([127, 8, 0, 9], FIREFOX).renew(&lost);
    let (_, stolen) = client.sign_in();
    let robbed = client.renew(&client.renew(&stolen));
    let (_, left) = client.sign_in();
    client.delete("/session").cookie(&left).send().expect(204);
    let bea = json!({"identifier": "bea@example.com", "password": PASSWORD, "delivery": "body"});
    let bea =
        client.post("/session").json(&bea).send().expect(200).json()["refresh_token"].as_str().unwrap().to_owned();
    let keys = client.get("/.well-known/jwks.json").send().json();
    let explained = home.regrant(&["--json", "explain", &session]).ok().json();

    there(&[]).complains(1, &["is in use by another regrant process", "stop it"]);
    assert!(server.stop().success());
    let moved = there(&["--json"]).ok().json();
    let tables = moved["tables"].as_array().unwrap();
    let rows = |table: &str| tables.iter().find(|one| one["table"] == table).unwrap()["rows"].as_u64().unwrap();
    assert_eq!((rows("users"), rows("grants"), rows("sessions"), rows("roles")), (2, 5, 5, 1), "{moved}");
    assert!(tables.iter().all(|one| one["digest"].as_str().unwrap().len() == 64));
    assert_eq!(there(&["--json"]).ok().json()["already"], true);

    // Nothing of it is left to be used here.
    home.serve_in_vain(&[]).complains(1, &["was moved to postgres://", "--take-back"]);
    home.regrant(&["user", "list"]).complains(1, &["was moved to postgres://"]);

    let away = on_database(&home, &url);
    let mut server = away.serve();
    let client = server.client();
    assert_eq!(client.get("/.well-known/jwks.json").send().json(), keys);
    assert_eq!(away.regrant(&["--json", "explain", &session]).ok().json(), explained);
    let fresh = client.renew(&fresh);
    assert_eq!(client.refresh(&lost).expect(200).cookie(), successor, "the lost reply comes again");
    let successor = client.renew(&successor);
    assert_eq!(client.refresh(&stolen).json()["reason"], "reused");
    assert_eq!(client.refresh(&robbed).status, 401);
    assert_eq!(client.refresh(&left).status, 401);
    let bea = client.refresh_by_body(&bea).expect(200).json()["refresh_token"].as_str().unwrap().to_owned();
    client.sign_in();

    // Back, with all of that. The place that it left is known, and no other store.
    let back = |arguments: &[&str]| home.bare(&[&["move", "--from", &url, "--to", &path(&home)], arguments].concat());
    back(&[]).complains(1, &["is in use", "connections of \"regrant\""]);
    assert!(server.stop().success());
    there(&["--take-back"]).complains(1, &["was opened since the move", "regrant move --from postgres://"]);
    let said = back(&[]).ok();
    assert!(said.out.contains("grants") && said.out.contains("regrant serve --data"), "{}", said.out);
    away.serve_in_vain(&[]).complains(1, &["was moved to /"]);
    let server = home.serve();
    let client = server.client();
    client.renew(&fresh);
    client.renew(&successor);
    client.refresh_by_body(&bea).expect(200);
    assert_eq!(client.refresh(&robbed).status, 401);
}

/// Whether a database has no tables, or no users in them.
fn is_empty(url: &str) -> bool {
    let ask = |sql| Cluster::shared().sql(url.rsplit('/').next().unwrap(), sql).trim().to_owned();
    ask("SELECT to_regclass('users') IS NULL") == "t" || ask("SELECT count(*) FROM users") == "0"
}

/// Killed again and again, each time a little later: in the end it is done, and everybody's token works.
#[test]
fn a_killed_move_goes_on() {
    let home = Home::with_user();
    let mut server = home.serve();
    let client = server.client();
    let tokens: Vec<String> = (0..40).map(|_| client.sign_in().1).map(|token| client.renew(&token)).collect();
    assert!(server.stop().success());
    let url = Cluster::shared().database();
    let away = on_database(&home, &url);
    let from = format!("sqlite://{}", path(&home));
    let mut begun = 0;
    for patience in std::iter::successors(Some(0), |patience| Some(patience + 1 + patience / 4)) {
        let mut command = home.bare_command(&["move", "--from", &from, "--to", &url]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut asked = 0;
        eventually("the moment to kill it", || {
            asked += 1;
            (asked > patience || child.try_wait().unwrap().is_some()).then_some(())
        });
        // SIGKILL; where it has ended already that is no matter.
        let _ = child.kill();
        let ended = child.wait().unwrap();
        if ended.success() {
            break;
        }
        // Whatever the last one was killed in, the next one goes on.
        let again = || home.bare(&["move", "--from", &from, "--to", &url]);
        assert_eq!(ended.code(), None, "it gave up by itself, and does so again: {:?}", again());
        let here = home.regrant(&["user", "list"]);
        // An empty place is asked by nobody: `regrant` would make it its own.
        if !is_empty(&url) {
            assert_ne!(here.code, Some(0), "both can be served: {here:?}");
            assert_ne!(away.regrant(&["user", "list"]).code, Some(0), "half of it can be served: {here:?}");
        }
        begun += u32::from(here.err.contains("is being moved to postgres://"));
    }
    assert!(begun > 0, "it was never stopped in the middle");
    home.bare(&["move", "--from", &from, "--to", &url]).ok();
    let server = away.serve();
    for token in &tokens {
        server.client().refresh(token).expect(200);
    }
    drop(server);
    home.serve_in_vain(&[]).complains(1, &["was moved to"]);
}

#[test]
fn a_move_is_taken_back_while_nobody_has_used_the_copy() {
    let home = Home::with_user();
    let mut server = home.serve();
    let (_, token) = server.client().sign_in();
    assert!(server.stop().success());
    let url = Cluster::shared().database();
    let away = on_database(&home, &url);
    let there = |arguments: &[&str]| home.bare(&[&["move", "--from", &path(&home), "--to", &url], arguments].concat());
    there(&["--take-back"]).complains(1, &["nothing to take back"]);
    there(&[]).ok();
    assert_eq!(there(&["--take-back", "--json"]).ok().json()["was_finished"], true);
    away.serve_in_vain(&[]).complains(1, &["unfinished copy"]);
    let mut server = home.serve();
    let token = server.client().renew(&token);
    assert!(server.stop().success());
    there(&["--take-back"]).complains(1, &["nothing to take back"]);
    // What is left there is only a copy of this: it may go there once more.
    there(&[]).ok();
    away.serve().client().renew(&token);
    there(&["--take-back"]).complains(1, &["was opened since"]);
}

#[test]
fn what_cannot_be_moved_is_said_and_left_alone() {
    let home = Home::with_user();
    let other = home.with_data("other");
    other.add_user(EMAIL, &[]);
    let (here, full) = (path(&home), path(&other));
    let database = Cluster::shared().database();
    let moves = |from: &str, to: &str| home.bare(&["move", "--from", from, "--to", to]);
    moves(&here, &full).complains(1, &["there is a store in", "rows", "empty"]);
    moves(&here, &here).complains(2, &["the same store"]);
    moves(&home.path("nowhere").display().to_string(), &database).complains(2, &["there is no store in"]);
    moves(&database, &home.path("new").display().to_string()).complains(2, &["there is no store in it"]);
    assert!(!home.path("new").exists(), "a mistyped source leaves nothing behind");
    let with_password = database.replace("postgres@", "postgres:hunter2@");
    let said = moves(&here, &with_password).complains(2, &["a password is a secret", "PGPASSFILE"]);
    assert!(!said.err.contains("hunter2"));
    for (url, why) in [
        ("mysql://db/regrant", "no store of that kind"),
        ("sqlite://", "there is nothing"),
        ("", "there is nothing"),
        ("file://data", "three strokes"),
        ("sqlite:///a%20b", "without sqlite://"),
        ("postgres://", "names no host"),
        ("postgres://u@192.0.2.1/x?sslmode=disable", "verify-full"),
    ] {
        moves(&here, url).complains(2, &["--to", why]);
        moves(url, &database).complains(2, &["--from", why]);
    }
    let file = home.data().join("regrant.db").display().to_string();
    moves(&file, &database).complains(2, &["that is a file"]);
    home.regrant(&["move", "--from", &here, "--to", &database]).complains(2, &["not by --data or --database"]);
    home.bare(&["move", "--from", &here]).complains(2, &["--to"]);
    // Another Regrant's tables and users, of another version.
    let away = on_database(&home, &database);
    away.regrant(&["migrate", "up"]).ok();
    let name = database.rsplit('/').next().unwrap();
    let user = "INSERT INTO users (shard, id, epoch, claims, created_at) VALUES (1, '00000000-0000-0000-0000-000000000001', 0, '{}', 0)";
    Cluster::shared().sql(name, user);
    Cluster::shared().sql(name, "UPDATE meta SET value = '1' WHERE name = 'schema.version'");
    moves(&here, &database).complains(2, &["its schema is 1", "regrant migrate up"]);
    home.regrant(&["user", "list"]).ok();
}
