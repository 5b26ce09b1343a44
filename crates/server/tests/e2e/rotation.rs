//! THE ROTATION as a client meets it: renew, peek, lose a reply, be robbed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{CHROME, FIREFOX, Home, Server, assert_members};

fn listed(server: &Server) -> Vec<String> {
    let sessions = server.regrant(&["--json", "session", "list"]).ok().json();
    sessions.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

fn explained(server: &Server, what: &str) -> Value {
    if what.starts_with("rg1_") {
        server.regrant_reading(&["--json", "explain", "-"], what).ok().json()
    } else {
        server.regrant(&["--json", "explain", what]).ok().json()
    }
}

#[test]
fn each_refresh_makes_a_successor() {
    let server = Home::with_user().serve();
    let client = server.client();
    let mut tokens = vec![client.sign_in().1];
    for _ in 0..10 {
        tokens.push(client.renew(tokens.last().unwrap()));
    }
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 11, "all different");
    let explained = explained(&server, &tokens[10]);
    assert_eq!(
        (&explained["subject"]["generation"], &explained["subject"]["standing"]),
        (&json!(11), &json!("newest"))
    );
}

#[test]
fn a_peek_gives_an_access_token_and_changes_nothing() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, first) = client.sign_in();
    for _ in 0..3 {
        let peek = client.peek(&first).expect(200);
        assert_eq!(peek.set_cookie(), None);
        assert_members(&peek.json(), &["access_token", "token_type", "expires_in", "refresh_in", "session"]);
        assert_members(&peek.json()["session"], &["id", "user_id", "absolute_expires_at"]);
    }
    let second = client.renew(&first);
    // A peek of the predecessor is judged like any use of it, and carries no successor either.
    let late = client.peek(&first).expect(200);
    assert_eq!(late.set_cookie(), None);
    assert!(!String::from_utf8_lossy(&late.body).contains("rg1_"));
    client.renew(&second);

    let (_, by_body) = client.sign_in_by_body();
    let peek = json!({"refresh_token": by_body, "rotate": false});
    let peek = client.post("/session/refresh").json(&peek).send().expect(200);
    assert!(peek.json().get("refresh_token").is_none());
    client.refresh_by_body(&by_body).expect(200);
}

#[test]
fn a_peek_of_an_old_token_ends_the_family_too() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, first) = client.sign_in();
    let second = client.renew(&first);
    let third = client.renew(&second);
    client.peek(&first).over("reused");
    client.refresh(&third).over("reused");
}

#[test]
fn forty_refreshes_at_once_get_one_successor() {
    let server = Home::with_user().serve();
    let (_, token) = server.client().sign_in();
    let successors: BTreeSet<String> = std::thread::scope(|scope| {
        let tabs: Vec<_> = (0..40)
            .map(|_| {
                let client = server.client();
                let token = &token;
                scope.spawn(move || client.renew(token))
            })
            .collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });
    assert_eq!(successors.len(), 1);
    assert!(!successors.contains(&token));
    // Nobody is signed out by it, neither now nor at the next round.
    let next = server.client().renew(successors.first().unwrap());
    server.client().renew(&next);
}

#[test]
fn a_lost_reply_is_retried_and_gets_the_same_successor() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, first) = client.sign_in();
    let lost = client.refresh(&first).expect(200);
    let retried = client.refresh(&first).expect(200);
    assert_eq!(retried.cookie(), lost.cookie());
    assert_ne!(retried.text("/access_token"), lost.text("/access_token"), "the access token is a fresh one");
    assert!(retried.json()["session"].get("idle_expires_at").is_none(), "no deadline tells when the rotation was");
    // The retry's cookie does not tell either: whole lifetimes only, whichever reply it was.
    client.renew(&retried.cookie());
}

#[test]
fn an_old_token_ends_the_session_and_everything_says_why() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (signed_in, first) = client.sign_in();
    let session = signed_in.text("/session/id");
    let (_, elsewhere) = server.client_from([127, 0, 0, 1], CHROME).sign_in();
    let mut tokens = vec![first.clone()];
    for _ in 0..3 {
        tokens.push(client.renew(tokens.last().unwrap()));
    }
    assert!(listed(&server).contains(&session));

    let refused = client.refresh(&first).over("reused");
    assert_eq!(refused.set_cookie(), None, "only a sign-out clears the cookie");
    for token in &tokens {
        client.refresh(token).over("reused");
        client.peek(token).over("reused");
        client.get("/session").cookie(token).send().over("reused");
        client.get("/auth/verify").cookie(token).send().over("reused");
    }
    client.get("/session").bearer(&signed_in.text("/access_token")).send().refused(401, "invalid_token", None);

    // The user's other device goes on, and its list is without the session.
    let elsewhere = server.client_from([127, 0, 0, 1], CHROME).renew(&elsewhere);
    let devices = client.get("/sessions").cookie(&elsewhere).send();
    let devices = devices.expect(200).json();
    assert_eq!(devices.as_array().unwrap().len(), 1, "{devices}");
    assert_ne!(devices[0]["id"], json!(session));
    assert!(!listed(&server).contains(&session));
    let ended = server.regrant(&["--json", "session", "list", "--ended"]).ok().json();
    let ended = ended.as_array().unwrap().iter().find(|known| known["id"] == json!(session)).expect("it").clone();
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("ended"), &json!("reused")));

    for what in [session.as_str(), tokens[0].as_str(), tokens[3].as_str(), &signed_in.text("/access_token")] {
        let explained = if what.contains('.') {
            server.regrant_reading(&["--json", "explain", "-"], what).ok().json()
        } else {
            explained(&server, what)
        };
        assert_eq!((&explained["state"], &explained["reason"]), (&json!("ended"), &json!("reused")), "{what}");
        assert_eq!(explained["session"]["id"], json!(session));
        let timeline = explained["timeline"].as_array().unwrap();
        assert!(
            timeline.iter().any(|event| event["data"]["presented"] == 1 && event["data"]["newest"] == 4),
            "{timeline:?}"
        );
    }
    let text = server.regrant(&["explain", &session]).ok().out;
    assert!(text.contains("ENDED") && text.contains("(reused)") && text.contains("two parties held it"), "{text}");
    assert!(text.contains("127.0.0.0") && text.contains("Firefox"), "the contexts are told: {text}");
}

#[test]
fn a_thief_elsewhere_is_found_after_one_access_token() {
    let server = Home::with_user().serve();
    let (ada, thief) = (server.client_from([127, 0, 0, 1], FIREFOX), server.client_from([127, 66, 6, 6], CHROME));
    let (signed_in, stolen) = ada.sign_in();
    let taken = thief.renew(&stolen);
    let noticed = ada.renew(&stolen);
    assert_eq!(noticed, taken, "nothing forks");
    let next = ada.renew(&noticed);
    thief.refresh(&taken).over("reused");
    ada.refresh(&next).over("reused");
    thief.refresh(&next).over("reused");
    let explained = explained(&server, &signed_in.text("/session/id"));
    let networks: BTreeSet<&str> = explained["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["context"]["network"].as_str())
        .collect();
    assert!(networks.iter().any(|network| network.starts_with("127.66.6.0")), "{networks:?}");
    assert!(networks.iter().any(|network| network.starts_with("127.0.0.0")), "{networks:?}");
}

#[test]
fn a_strict_server_forgives_no_replay_from_elsewhere() {
    let mut home = Home::with_user();
    home.set("REGRANT_SESSION__REPLAY", "strict");
    let server = home.serve();
    let (_, stolen) = server.client().sign_in();
    let taken = server.client_from([127, 66, 6, 6], CHROME).renew(&stolen);
    server.client().refresh(&stolen).over("reused");
    server.client_from([127, 66, 6, 6], CHROME).refresh(&taken).over("reused");
}

#[test]
fn the_sixty_first_rotation_in_a_minute_waits_and_nothing_ends() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, mut token) = client.sign_in();
    for _ in 0..60 {
        token = client.renew(&token);
    }
    let limited = client.refresh(&token).refused(429, "too_many_requests", None);
    let seconds: u32 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(limited.set_cookie(), None);
    client.peek(&token).expect(200);
    client.get("/session").cookie(&token).send().expect(200);
    assert_eq!(listed(&server).len(), 1);
}

#[test]
fn tokens_that_were_never_issued_are_unknown_and_cost_the_real_one_nothing() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, token) = client.sign_in();
    let mut forged: Vec<String> = Vec::new();
    // The first two characters after the prefix are the key's number, for which see below.
    for place in [6, 8, 30, 40, 50, 60, 63] {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(bytes).unwrap());
    }
    forged.extend(["rg1_".to_owned(), "rg1".to_owned(), format!("{token}A"), token[..63].to_owned()]);
    forged.extend([token.to_uppercase(), "rg2_".to_owned() + &token[4..], format!("rg1_{}", "A".repeat(60))]);
    for text in &forged {
        assert_ne!(*text, token);
        client.refresh(text).over("unknown");
        client.refresh_by_body(text).over("unknown");
        client.get("/session").cookie(text).send().over("unknown");
        client.get("/auth/verify").cookie(text).send().over("unknown");
    }
    client.renew(&token);
}

#[test]
fn a_token_of_another_server_is_unknown_here() {
    let (here, there) = (Home::with_user().serve(), Home::with_user().serve());
    let (_, token) = there.client().sign_in();
    here.client().refresh(&token).over("unknown");
    let said = here.regrant_reading(&["explain", "-"], &token).ended_with(1);
    assert!(said.err.contains("neither an id"), "{}", said.err);
}

#[test]
fn a_key_newer_than_this_server_knows_is_unavailable_and_never_unknown() {
    let server = Home::with_user().serve();
    let client = server.client();
    let (_, token) = client.sign_in();
    // Another node has a key that has not come here yet: its tokens must not be told to be over.
    for newer in [format!("rg1_{}", "_".repeat(60)), format!("rg1_B{}", &token[5..])] {
        client.refresh(&newer).refused(503, "busy", None);
        client.get("/auth/verify").cookie(&newer).send().refused(503, "busy", None);
    }
    client.renew(&token);
}
