//! Signing keys.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use regrant_jose::{Algorithm, Jwks, jws};
use serde_json::Value;

use super::{in_state, keys, support::*};

/// A verifier as they are everywhere: keeps the keys for as long as it is told, and asks again only then.
struct Verifier {
    client: Client,
    jwks: Jwks,
    until: Instant,
}

impl Verifier {
    fn new(client: Client) -> Self {
        Self { jwks: Jwks::default(), until: now(), client }
    }

    fn keys(&mut self) -> &Jwks {
        if now() >= self.until {
            // As old as the question, not as the answer.
            let asked = now();
            let answer = self.client.get("/.well-known/jwks.json").send().expect(200);
            let max_age =
                answer.header("cache-control").expect("Cache-Control").split("max-age=").nth(1).expect("max-age");
            self.until = asked + Duration::from_secs(max_age.parse().expect("seconds"));
            self.jwks = Jwks::parse(&answer.body).expect("a JWKS");
        }
        &self.jwks
    }
}

#[allow(clippy::disallowed_methods, reason = "a verifier measures how old its keys are")]
fn now() -> Instant {
    Instant::now()
}

fn kid_of(token: &str) -> String {
    jws::danger_unverified(token).expect("a token").header.kid.expect("a kid")
}

fn access_token(answer: &Answer) -> String {
    answer.json()["access_token"].as_str().expect("an access token").to_owned()
}

/// The kids that are published now.
fn published(client: &Client) -> Vec<String> {
    let answer = client.get("/.well-known/jwks.json").send().expect(200);
    let document: Value = answer.json();
    document["keys"].as_array().expect("keys").iter().map(|key| key["kid"].as_str().expect("kid").to_owned()).collect()
}

#[test]
fn verification_never_fails_through_rotations() {
    let mut home = Home::with_user();
    home.set("REGRANT_KEYS__JWKS_MAX_AGE", "1");
    home.set("REGRANT_KEYS__ROTATE_EVERY", "4");
    home.set("REGRANT_KEYS__ED25519", "true");
    home.set("REGRANT_TOKENS__ACCESS_LIFETIME", "3");
    let server = home.serve();
    let (_, refresh) = server.client().sign_in();
    let signers = Mutex::new(BTreeSet::new());
    let (verified, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut verifier = Verifier::new(server.client());
                let mut kept: Vec<(String, Instant)> = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let asked = now();
                    let token = access_token(&server.client().peek(&refresh).expect(200));
                    signers.lock().unwrap().insert(kid_of(&token));
                    kept.push((token, asked + Duration::from_secs(2)));
                    // Every token that lives, by the keys that are kept now.
                    kept.retain(|(_, expires)| *expires > now());
                    for (token, _) in kept.iter().rev().step_by(7) {
                        if let Err(error) = jws::verify(token, verifier.keys(), &[Algorithm::Es256]) {
                            stop.store(true, Ordering::Relaxed);
                            panic!("{error}: a token of {} with {:?}", kid_of(token), verifier.jwks.to_json());
                        }
                        verified.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let rotated = || signers.lock().unwrap().len() >= 4 || stop.load(Ordering::Relaxed);
        eventually("three rotations by themselves", || rotated().then_some(()));
        stop.store(true, Ordering::Relaxed);
    });
    assert!(verified.load(Ordering::Relaxed) > 1000);
    let all = keys(&server, "signing");
    let algorithms: BTreeSet<&str> =
        all.iter().filter(|key| key["state"] == "active").map(|key| key["algorithm"].as_str().unwrap()).collect();
    assert_eq!(algorithms, BTreeSet::from(["ES256", "RS256", "Ed25519"]));
    assert_eq!(in_state(&all, "active").len(), 3, "one of each");
}

#[test]
fn keys_are_replaced_by_themselves_after_ninety_days() {
    let mut home = Home::with_user();
    let clock = MovedClock::of(&mut home);
    let server = home.serve();
    let first = in_state(&keys(&server, "signing"), "active");
    assert_eq!(first.len(), 2, "ES256 and RS256 from the beginning");
    clock.set(90 * 24 * 60 * 60 - 9 * 60);
    let waiting = eventually("their successors are published", || {
        let waiting = in_state(&keys(&server, "signing"), "published");
        (waiting.len() == 2).then_some(waiting)
    });
    assert_eq!(in_state(&keys(&server, "signing"), "active"), first);
    assert!(waiting.iter().all(|kid| published(&server.client()).contains(kid)), "known before they sign");
    clock.set(90 * 24 * 60 * 60 + 2 * 60);
    eventually("they sign", || (in_state(&keys(&server, "signing"), "active") == waiting).then_some(()));
    assert_eq!(in_state(&keys(&server, "signing"), "retiring"), first);
    clock.set(90 * 24 * 60 * 60 + 30 * 60);
    eventually("the first ones are gone", || (keys(&server, "signing").len() == 2).then_some(()));
}

#[test]
fn a_new_key_signs_after_twice_the_max_age_or_now() {
    let server = Home::with_user().serve();
    let client = server.client();
    let answer = client.get("/.well-known/jwks.json").send().expect(200);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let (signed_in, refresh) = client.sign_in();
    let old = kid_of(&access_token(&signed_in));

    let rotated = server.regrant(&["--json", "key", "rotate"]).ok().json();
    assert_eq!(rotated["keys"].as_array().unwrap().len(), 2, "{rotated}");
    let waiting = in_state(&keys(&server, "signing"), "published");
    assert!(waiting.iter().all(|kid| published(&client).contains(kid)));
    assert_eq!(kid_of(&access_token(&client.peek(&refresh).expect(200))), old, "it does not sign yet");
    server.regrant(&["key", "rotate"]).complains(1, &["published already", "--now"]);

    server.regrant(&["key", "rotate", "--now"]).ok();
    let token = access_token(&client.peek(&refresh).expect(200));
    assert!(waiting.contains(&kid_of(&token)), "the one that waited signs");
    assert_ne!(kid_of(&token), old);
    assert!(published(&client).contains(&old), "what the old one signed is good to its end");
    server.client().get("/session").bearer(&access_token(&signed_in)).send().expect(200);
    server.client().get("/session").bearer(&token).send().expect(200);
    server.regrant(&["key", "retire", &old]).complains(1, &["gone by itself", "--compromised"]);
    server.regrant(&["key", "retire", &kid_of(&token)]).complains(1, &["signs tokens now"]);
    server.regrant(&["key", "retire", "nonsense"]).complains(1, &["key list"]);
    // Without --now, and nothing waits any more.
    server.regrant(&["key", "rotate"]).ok();
    let withdrawn = in_state(&keys(&server, "signing"), "published");
    server.regrant(&["key", "retire", &withdrawn[0]]).ok();
    assert!(!published(&client).contains(&withdrawn[0]));
}

#[test]
fn what_a_compromised_key_signed_is_refused_at_once_and_nobody_is_signed_out() {
    let mut server = Home::with_user().serve();
    let client = server.client();
    let (signed_in, refresh) = client.sign_in();
    let token = access_token(&signed_in);
    let kid = kid_of(&token);
    client.get("/session").bearer(&token).send().expect(200);
    let said = server.regrant(&["key", "retire", &kid, "--compromised"]).ok();
    assert!(said.out.contains("nobody is signed out") && said.out.contains("at most 5 minutes"), "{}", said.out);
    client.get("/session").bearer(&token).send().expect(401);
    assert!(!published(&client).contains(&kid));
    let renewed = client.refresh(&refresh).expect(200);
    let next = access_token(&renewed);
    assert_ne!(kid_of(&next), kid);
    client.get("/session").bearer(&next).send().expect(200);
    // For good, and also on a store that nobody serves.
    server.stop();
    assert!(keys(&server, "signing").iter().all(|key| key["id"] != kid.as_str()));
    let other = kid_of(&next);
    server.regrant(&["key", "retire", &other, "--compromised"]).ok();
    let server = server.serve();
    server.client().get("/session").bearer(&next).send().expect(401);
    server.client().refresh(&renewed.cookie()).expect(200);
}
