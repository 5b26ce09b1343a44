//! Refresh keys.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::{in_state, keys, support::*};

fn key_file(home: &Home) -> PathBuf {
    home.data().join("keys.toml")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a key file")
}

/// Writes a file as somebody who distributes it would: put in place whole.
fn put(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).expect("a file");
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).expect("its mode");
    fs::rename(&draft, path).expect("in its place");
}

fn rotate(home: &Home) -> String {
    let rotated = home.regrant(&["--json", "key", "rotate", "--kind", "refresh"]).ok().json();
    rotated["id"].as_str().expect("an id").to_owned()
}

/// The words of `key retire`.
fn retire<'a>(id: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--json", "key", "retire", id, "--kind", "refresh"], more].concat()
}

#[test]
fn no_refresh_fails_through_rotations_of_the_key() {
    let server = Home::with_user().serve();
    let (stop, refreshed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let all = thread::scope(|scope| {
        let holders: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let client = server.client();
                    let mut tokens: Vec<String> = (0..10).map(|_| client.sign_in().1).collect();
                    // Each fewer than 60 times a minute: more is refused, and rightly.
                    for _ in 0..40 {
                        for token in &mut tokens {
                            let answer = client.refresh(token);
                            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                            *token = answer.cookie();
                            refreshed.fetch_add(1, Ordering::Relaxed);
                        }
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                    tokens
                })
            })
            .collect();
        for more in [50, 150, 250] {
            eventually("refreshes under way", || (refreshed.load(Ordering::Relaxed) > more).then_some(()));
            rotate(&server);
        }
        eventually("refreshes after it", || (refreshed.load(Ordering::Relaxed) > 400).then_some(()));
        stop.store(true, Ordering::Relaxed);
        holders.into_iter().flat_map(|holder| holder.join().expect("no refresh failed")).collect::<Vec<_>>()
    });
    let listed = keys(&server, "refresh");
    assert_eq!(in_state(&listed, "active"), ["4"]);
    assert_eq!(in_state(&listed, "accepted"), ["1", "2", "3"]);
    // Everybody renews once more, and the old ones can go.
    let renewed: Vec<String> = all.iter().map(|token| server.client().renew(token)).collect();
    for id in ["1", "2", "3"] {
        server.regrant(&retire(id, &[])).ok();
    }
    for token in &renewed {
        server.client().refresh(token).expect(200);
    }
}

#[test]
fn a_key_goes_when_nobody_needs_it_and_never_comes_back() {
    let mut server = Home::with_user().serve();
    let client = server.client();
    let file = key_file(&server);
    let (_, first) = client.sign_in();
    let (_, second) = client.sign_in();
    let old_file = read(&file);
    server.regrant(&retire("1", &[])).complains(1, &["makes all new tokens", "rotate"]);
    server.regrant(&retire("9", &[])).complains(1, &["no refresh key 9"]);
    server.regrant(&retire("one", &[])).complains(2, &["numbers"]);
    server.regrant(&["key", "rotate", "--kind", "refresh", "--now"]).complains(2, &["--now"]);

    assert_eq!(rotate(&server), "2");
    let with_both = read(&file);
    assert!(with_both.contains("active = 2") && with_both.contains("id = 1"), "the text is for failures only");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!file.with_extension("toml.new").exists());
    server.regrant(&retire("1", &[])).complains(1, &["2 live sessions", "--compromised"]);
    let first = client.renew(&first);
    server.regrant(&retire("1", &[])).complains(1, &["1 live sessions"]);
    let second = client.renew(&second);
    assert_eq!(server.regrant(&retire("1", &[])).ok().json()["active"], "2");
    assert!(!read(&file).contains("id = 1"));
    server.regrant(&retire("1", &[])).ok();
    let (first, second) = (client.renew(&first), client.renew(&second));

    // A file from before the rotation: it lacks the key that makes everybody's tokens.
    server.stop();
    let newest = read(&file);
    put(&file, &old_file);
    server.serve_in_vain(&[]).complains(2, &["no refresh key 2", "Put back the newest key file"]);
    // Half of it came back by hand.
    put(&file, &with_both.replace("active = 2", "active = 1"));
    server.serve_in_vain(&[]).complains(2, &["retired in this store"]);
    // Another key under the same number.
    let secret = newest.lines().rev().find_map(|line| line.strip_prefix("secret = ")).unwrap();
    put(&file, &newest.replace(secret, &format!("\"{}E\"", "A".repeat(42))));
    server.serve_in_vain(&[]).complains(2, &["another one", "Put back the right key file"]);
    put(&file, &newest.replace(secret, "\"short\""));
    server.serve_in_vain(&[]).complains(2, &["damaged"]);
    fs::remove_file(&file).unwrap();
    server.serve_in_vain(&[]).complains(2, &["is missing"]);
    // With both, the retired one is not used.
    put(&file, &with_both);
    let mut server = server.serve();
    assert_eq!(in_state(&keys(&server, "refresh"), "retired"), ["1"]);
    let (first, second) = (server.client().renew(&first), server.client().renew(&second));
    assert!(server.log().contains("a refresh key that is over"));
    server.stop();
    put(&file, &newest);
    let server = server.serve();
    server.client().renew(&first);
    server.client().renew(&second);
    assert_eq!(rotate(&server), "3", "an id is not used again");
}

#[test]
fn a_compromised_key_is_refused_with_all_that_it_made() {
    let mut server = Home::with_user().serve();
    let client = server.client();
    let (_, stays) = client.sign_in();
    let (_, goes) = client.sign_in();
    rotate(&server);
    let stays = client.renew(&stays);
    let gone = server.regrant(&retire("1", &["--compromised"])).ok().json();
    assert_eq!((&gone["ended"], &gone["active"]), (&1.into(), &"2".into()));
    client.refresh(&goes).expect(401);
    let stays = client.renew(&stays);
    let listed = server.regrant(&["--json", "session", "list", "--ended"]).ok().json();
    let reasons: Vec<_> = listed.as_array().unwrap().iter().map(|session| session["reason"].clone()).collect();
    assert!(reasons.contains(&"key_compromised".into()), "{reasons:?}");

    // The one that makes all tokens: a new one takes its place first, and everybody signs in again.
    let gone = server.regrant(&retire("2", &["--compromised"])).ok().json();
    assert_eq!((&gone["ended"], &gone["active"]), (&1.into(), &"3".into()));
    client.refresh(&stays).expect(401);
    let (_, fresh) = client.sign_in();
    let fresh = client.renew(&fresh);
    assert_eq!(in_state(&keys(&server, "refresh"), "compromised"), ["1", "2"]);
    server.stop();
    let server = server.serve();
    server.client().refresh(&stays).expect(401);
    server.client().renew(&fresh);
}

#[test]
fn a_key_file_is_distributed_to_a_running_server() {
    let server = Home::with_user().serve();
    let client = server.client();
    let file = key_file(&server);
    let (_, token) = client.sign_in();
    let alone = read(&file);
    // Distributed: known, and not used.
    let secret = "A".repeat(42) + "E";
    let both = format!("{alone}\n[[refresh]]\nid = 2\nsecret = \"{secret}\"\n");
    put(&file, &both);
    eventually("it is known", || (in_state(&keys(&server, "refresh"), "accepted") == ["2"]).then_some(()));
    // A mistake changes nothing, and is said.
    put(&file, "nonsense");
    eventually("it is said", || server.log().contains("damaged").then_some(()));
    let token = client.renew(&token);
    put(&file, &alone);
    eventually("it is said", || server.log().contains("no refresh key 2").then_some(()));
    let token = client.renew(&token);
    // Activated.
    put(&file, &both.replace("active = 1", "active = 2"));
    eventually("it is used", || (in_state(&keys(&server, "refresh"), "active") == ["2"]).then_some(()));
    client.renew(&token);
    server.regrant(&retire("1", &[])).ok();
}

#[test]
fn keys_are_listed_without_a_server_and_hold_no_secret() {
    let home = Home::with_user();
    assert_eq!(rotate(&home), "2");
    let signing = keys(&home, "signing");
    assert_eq!(signing.len(), 2);
    for key in &signing {
        assert_members(key, &["kind", "id", "algorithm", "state", "since", "until"]);
    }
    let refresh = keys(&home, "refresh");
    assert_members(&refresh[0], &["kind", "id", "state", "since", "until", "grants"]);
    let text = read(&key_file(&home));
    let secrets = text.lines().filter_map(|line| line.split('"').nth(1)).filter(|secret| secret.len() == 43);
    let shown = home.regrant(&["key", "list"]).ok().out + &home.regrant(&["--json", "key", "list"]).ok().out;
    assert_eq!(secrets.clone().count(), 3);
    assert!(secrets.into_iter().all(|secret| !shown.contains(secret)));
    home.regrant(&["key", "rotate"]).ok();
}
