//! Garbage of every kind to every endpoint: never a 5xx, always a problem document, and no secret in the log.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use serde_json::{Value, json};

use crate::support::{Answer, Call, EMAIL, Home, PASSWORD, Server, eventually, raw};

/// Every path with the methods that it knows.
const ENDPOINTS: &[(&str, &[&str])] = &[
    ("/session", &["POST", "GET", "DELETE"]),
    ("/session/refresh", &["POST"]),
    ("/sessions", &["GET", "DELETE"]),
    ("/sessions/ses_0190a2b4c6d87e8f9a0b1c2d3e4f5061", &["DELETE"]),
    ("/password", &["POST"]),
    ("/auth/verify", &["GET"]),
    ("/.well-known/jwks.json", &["GET"]),
    ("/health/live", &["GET"]),
    ("/health/ready", &["GET"]),
];

/// The paths that read a body.
const WITH_BODY: &[&str] = &["/session", "/session/refresh", "/password"];

/// A 4xx that says what is wrong.
#[track_caller]
fn assert_refused_well(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    let problem = answer.problem();
    assert!(!problem.to_string().contains("panicked"), "{what}: {problem}");
    assert_eq!(answer.set_cookie(), None, "{what}");
}

fn quiet() -> Server {
    let mut home = Home::with_user();
    home.set("REGRANT_LOG__LEVEL", "trace");
    home.set("REGRANT_LIMITS__PER_ACCOUNT_AND_ADDRESS", "100000");
    home.set("REGRANT_LIMITS__PER_ACCOUNT", "100000");
    home.set("REGRANT_LIMITS__PER_NETWORK", "100000");
    home.serve()
}

#[test]
fn bodies_of_every_kind_are_refused_with_a_sentence() {
    let server = quiet();
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let deep = format!("{{\"identifier\":{}}}", nested(5000));
    let bodies: Vec<(&str, Vec<u8>, Option<u16>)> = vec![
        ("not JSON", b"identifier=ada".to_vec(), Some(400)),
        ("half", b"{\"identifier\": \"ada".to_vec(), Some(400)),
        ("an array", b"[]".to_vec(), Some(400)),
        ("a string", b"\"ada\"".to_vec(), Some(400)),
        ("null", b"null".to_vec(), Some(400)),
        ("a number", b"1e999".to_vec(), Some(400)),
        ("two documents", b"{}{}".to_vec(), Some(400)),
        ("deep nesting", nested(8000).into_bytes(), Some(400)),
        ("deep nesting inside", deep.into_bytes(), Some(400)),
        ("17 KiB", format!("{{\"identifier\":\"{}\"}}", "a".repeat(17 * 1024)).into_bytes(), Some(413)),
        ("17 KiB of nothing", vec![b' '; 17 * 1024], Some(413)),
        ("a wrong type", b"{\"identifier\": 1, \"refresh_token\": 1, \"current_password\": 1}".to_vec(), Some(400)),
        ("an unknown key", b"{\"identifer\": \"ada\"}".to_vec(), Some(400)),
        ("a duplicate key", b"{\"identifier\":\"a\",\"identifier\":\"b\",\"refresh_token\":\"a\",\"refresh_token\":\"b\",\"current_password\":\"a\",\"current_password\":\"b\"}".to_vec(), Some(400)),
        ("invalid UTF-8", b"{\"identifier\":\"\xff\xfe\"}".to_vec(), Some(400)),
        ("a lone surrogate", b"{\"identifier\":\"\\ud800\"}".to_vec(), Some(400)),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec(), Some(400)),
        ("NUL", b"\0\0\0\0".to_vec(), Some(400)),
        ("random bytes", (0..=255).collect(), Some(400)),
    ];
    for path in WITH_BODY {
        for (what, body, status) in &bodies {
            let answer = server.client().post(path).body("application/json", body.clone()).send();
            assert_refused_well(&answer, &format!("{what} to {path}"));
            assert_eq!(Some(answer.status), *status, "{what} to {path}");
        }
        let answer = server.client().post(path).body("application/json", "").send();
        assert_refused_well(&answer, &format!("an empty body to {path}"));
    }
}

#[test]
fn what_is_said_at_a_sign_in_is_checked() {
    let server = quiet();
    let base = json!({"identifier": EMAIL, "password": PASSWORD});
    let with = |name: &str, value: Value| {
        let mut asked = base.clone();
        asked[name] = value;
        server.client().post("/session").json(&asked).send()
    };
    for (name, value, status) in [
        ("identifier", json!("\0"), 401),
        ("identifier", json!(""), 401),
        ("identifier", json!("a".repeat(10_000)), 401),
        ("identifier", json!("ada@example.com\u{202e}"), 401),
        ("identifier", json!(null), 400),
        ("password", json!(""), 401),
        ("password", json!("\0"), 401),
        ("password", json!("x".repeat(12_000)), 401),
        ("password", json!({"$ne": null}), 400),
        ("delivery", json!("pigeon"), 400),
        ("delivery", json!(null), 400),
        ("persist", json!("yes"), 400),
        ("device", json!(""), 400),
        ("device", json!("a\u{1b}[31mb"), 400),
        ("device", json!("d".repeat(101)), 400),
        ("audience", json!(""), 400),
        ("audience", json!("a".repeat(513)), 400),
        ("audience", json!("a\nb"), 400),
        ("scope", json!(""), 400),
        ("scope", json!("openid\nadmin"), 400),
        ("scope", json!("s".repeat(10_000)), 400),
        ("admin", json!(true), 400),
    ] {
        let answer = with(name, value.clone());
        assert_refused_well(&answer, &format!("{name}: {value}"));
        assert_eq!(answer.status, status, "{name}: {value}: {answer:?}");
        let told = answer.problem().to_string();
        assert!(!told.contains("difference engine") && !told.contains("xxxxxxxx"), "{told}");
    }
    // What only looks odd works.
    with("identifier", json!("  ADA@Example.com ")).expect(200);
    with("device", json!("Ada’s 💻 in Zürich")).expect(200);
}

#[test]
fn refresh_tokens_of_every_kind_are_unknown_wherever_they_are_shown() {
    let server = quiet();
    let client = server.client();
    let tokens = [
        "x",
        "rg1_",
        "rg1_!",
        "rg1_AAAA",
        "null",
        "undefined",
        "rg1_é",
        "%00",
        "'; DROP TABLE grants; --",
        "../../keys.toml",
        "eyJhbGciOiJub25lIn0.e30.",
        "rg1_AQ==",
    ];
    let long = format!("rg1_{}", "A".repeat(7000));
    for token in tokens.into_iter().chain([long.as_str()]) {
        client.post("/session/refresh").json(&json!({"refresh_token": token})).send().over("unknown");
        client.post("/session/refresh").json(&json!({"refresh_token": token, "rotate": false})).send().over("unknown");
        let change =
            json!({"current_password": PASSWORD, "new_password": "something much longer", "refresh_token": token});
        client.post("/password").json(&change).send().over("unknown");
        if token.is_ascii() && !token.contains(';') {
            for (method, path) in
                [("POST", "/session/refresh"), ("GET", "/session"), ("GET", "/sessions"), ("GET", "/auth/verify")]
            {
                client.call(method, path).cookie(token).send().over("unknown");
            }
            // Signing out of nothing is done at once, and the browser is rid of it.
            let gone = client.delete("/session").cookie(token).send().expect(204);
            assert!(gone.set_cookie().unwrap().contains("Max-Age=0"));
        }
        for path in ["/session", "/sessions", "/auth/verify"] {
            let answer = client.get(path).header("Authorization", &format!("Bearer {token}")).send();
            assert_refused_well(&answer, token);
            assert_eq!(answer.status, 401, "{token}");
        }
    }
    // An empty token is none.
    client.post("/session/refresh").cookie("").send().refused(401, "not_signed_in", None);
}

#[test]
fn access_tokens_of_every_kind_are_refused() {
    let server = quiet();
    let client = server.client();
    let (answer, _) = client.sign_in();
    let good = answer.text("/access_token");
    let parts: Vec<&str> = good.split('.').collect();
    let none = format!("eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJub25lIn0.{}.", parts[1]);
    for token in [
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}x", parts[0], parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{good}"),
        none,
        "A".repeat(12_000),
    ] {
        let answer = client.get("/session").header("Authorization", &format!("Bearer {token}")).send();
        answer.refused(401, "invalid_token", None);
        let answer = client.delete("/session").header("Authorization", &format!("Bearer {token}")).send();
        answer.refused(401, "invalid_token", None);
    }
    // What is no bearer token is somebody else's: a proxy may ask for one of its own.
    for header in ["Basic YWRhOmFkYQ==", "Bearer", "bearer", "", "DPoP x", "Bearer \u{e9}"] {
        client.get("/session").header("Authorization", header).send().refused(401, "not_signed_in", None);
    }
    client.get("/session").header("Authorization", &format!("bearer {good}")).send().expect(200);
}

#[test]
fn methods_and_paths_that_are_not_there_are_said_so() {
    let server = quiet();
    let client = server.client();
    for (path, known) in ENDPOINTS {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            if known.contains(&method) {
                continue;
            }
            let answer = client.call(method, path).send().refused(405, "method_not_allowed", None);
            let allow = answer.header("allow").unwrap_or_else(|| panic!("no Allow: {method} {path}"));
            assert!(known.iter().all(|method| allow.contains(method)), "{path}: {allow}");
        }
    }
    for path in [
        "/",
        "/nothing",
        "/session/",
        "/sessions/a/b",
        "/Session",
        "/session/refresh/x",
        "//session",
        "/admin",
        "/%00",
        "/%ff%fe",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/../keys.toml",
        "/session%2Frefresh",
        "/%",
        "/%zz",
        "/;x=1",
        "/oauth2/register",
        "/.well-known/webfinger",
        "/metrics",
    ] {
        let answer = client.get(path).send();
        assert_refused_well(&answer, path);
        assert_eq!(answer.status, 404, "{path}");
    }
    let (_, token) = client.sign_in();
    for id in [
        "ses_",
        "x",
        "%00",
        "%ff",
        "ses_0190a2b4c6d87e8f9a0b1c2d3e4f5061x",
        "%2e%2e",
        "usr_0190a2b4c6d87e8f9a0b1c2d3e4f5061",
    ] {
        let answer = client.delete(&format!("/sessions/{id}")).cookie(&token).send();
        assert_refused_well(&answer, id);
    }
    for query in ["", "?except=", "?except=all", "?except=current&x", "?%ff"] {
        let answer = client.delete(&format!("/sessions{query}")).cookie(&token).send();
        answer.refused(400, "invalid_request", None);
    }
    assert_eq!(client.get("/sessions").cookie(&token).send().expect(200).json().as_array().unwrap().len(), 1);
}

#[test]
fn headers_of_every_kind_are_survived() {
    let server = quiet();
    let client = server.client();
    let (_, token) = client.sign_in();
    let get = || client.get("/session");
    let odd: Vec<(&str, Call)> = vec![
        ("a large header", get().header("X-Large", &"x".repeat(12_000))),
        ("many headers", (0..90).fold(get(), |call, index| call.header(&format!("X-{index}"), "y"))),
        ("a strange cookie", get().header("Cookie", ";;;=;a;b==;regrant-dev;\t= ;")),
        ("two cookies of the name", get().header("Cookie", "regrant-dev=x; regrant-dev=y")),
        ("a strange type", client.post("/session").body("application/json; charset=\"\u{e9}", "{}")),
        ("no browser that exists", get().header("User-Agent", "\u{1f600}\u{202e}")),
        ("an empty Host", get().host("")),
        ("a strange Host", get().host("\u{e9}@:::")),
        ("a strange origin", get().cookie(&token).header("Origin", "\u{e9}")),
        ("a strange fetch site", get().cookie(&token).header("Sec-Fetch-Site", "\u{e9}")),
        ("addresses from nobody we trust", get().header("X-Forwarded-For", "::::").header("Forwarded", "for=\"")),
        ("an expectation", client.post("/session").header("Expect", "200-ok").body("application/json", "{}")),
    ];
    for (what, call) in odd {
        let answer = call.send();
        assert_refused_well(&answer, what);
    }
    for size in [20 * 1024, 200 * 1024, 2 * 1024 * 1024] {
        // Too large to be parsed: answered without our word, or not at all, but never with a 5xx.
        if let Ok(answer) = get().header("X-Huge", &"x".repeat(size)).try_send() {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
    }
    client.renew(&token);
}

#[test]
fn garbage_on_the_wire_ends_its_own_connection_only() {
    let mut server = quiet();
    let client = server.client();
    let (_, token) = client.sign_in();
    let everything: Vec<u8> = (0..=255).collect();
    for bytes in [
        &b"\r\n\r\n\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /session HTTP/1.1\r\n\r\n",
        b"GET /session HTTP/1.0\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /session HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
        b"GET /session HTTP/1.1\r\nHost: x\r\nX: \xff\xfe\r\nCookie: regrant-dev=\xff\r\n\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"identifier\":",
        &everything,
        &everything.repeat(400),
    ] {
        let mut stream = raw(&client);
        // The server may close before it has read everything.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).unwrap_or("4 no answer");
        assert!(status.starts_with('4'), "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    assert!(server.is_running());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    client.renew(&token);
}

#[test]
fn connections_that_stay_half_open_keep_nobody_waiting() {
    let server = quiet();
    let client = server.client();
    let (_, token) = client.sign_in();
    let half: Vec<_> = (0..50)
        .map(|index| {
            let mut stream = raw(&client);
            let begun: &[u8] = match index % 3 {
                0 => b"",
                1 => b"GET /session HTTP/1.1\r\nHost: ",
                _ => b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
            };
            stream.write_all(begun).unwrap();
            stream
        })
        .collect();
    let next = client.renew(&token);
    client.get("/session").cookie(&next).send().expect(200);
    client.sign_in();
    drop(half);
}

#[test]
fn a_connection_is_kept_for_many_requests_and_errors_do_not_end_it() {
    let server = quiet();
    let client = server.client();
    let (_, mut token) = client.sign_in();
    let mut wire = client.connect().unwrap();
    for _ in 0..20 {
        wire.exchange(&client.get("/nothing")).unwrap().expect(404);
        wire.exchange(&client.post("/session").body("application/json", "nonsense")).unwrap().expect(400);
        token = wire.exchange(&client.post("/session/refresh").cookie(&token)).unwrap().expect(200).cookie();
    }
}

#[test]
fn the_log_never_holds_a_secret_however_much_it_tells() {
    let server = quiet();
    let client = server.client();
    let mut secrets: Vec<String> =
        vec![PASSWORD.to_owned(), "a wrong passphrase".to_owned(), "the analytical engine, 1837".to_owned()];
    let (answer, cookie) = client.sign_in();
    secrets.push(answer.text("/access_token"));
    let (answer, by_body) = client.sign_in_by_body();
    secrets.extend([answer.text("/access_token"), cookie.clone(), by_body.clone()]);
    let wrong = json!({"identifier": EMAIL, "password": "a wrong passphrase"});
    client.post("/session").json(&wrong).send().refused(401, "invalid_credentials", None);
    client.post("/session").json(&json!({"identifier": EMAIL, "passwort": PASSWORD})).send().expect(400);
    client.post("/session").json(&json!({"identifier": EMAIL, "password": [PASSWORD]})).send().expect(400);
    client.post("/session").body("application/json", format!("{{\"password\": \"{PASSWORD}")).send().expect(400);
    client.get(&format!("/session?token={by_body}")).send().expect(401);
    let next = client.renew(&cookie);
    let last = client.renew(&next);
    client.get("/session").cookie(&last).send().expect(200);
    client.get("/session").bearer(&secrets[3]).send().expect(200);
    let change = json!({"current_password": PASSWORD, "new_password": "the analytical engine, 1837"});
    let changed = client.post("/password").cookie(&last).json(&change).send().expect(200);
    secrets.extend([changed.cookie(), changed.text("/access_token")]);
    client.refresh(&cookie).over("reused");
    server.regrant_reading(&["explain", "-"], &next).ok();
    server.regrant_reading(&["user", "set-password", EMAIL, "--password-stdin"], PASSWORD).ok();
    server.regrant_reading(&["user", "set-password", EMAIL, "--password-stdin"], "short").ended_with(1);
    secrets.extend([next, last]);
    let keys = std::fs::read_to_string(server.keys()).unwrap();
    secrets.extend(keys.split('"').filter(|part| part.len() == 43).map(str::to_owned));

    client.get("/health/live").header("X-Last", "1").send().expect(200);
    let log =
        eventually("the last request is logged", || Some(server.log()).filter(|log| log.contains("/health/live")));
    assert!(log.contains("/session/refresh"), "the log tells a lot: {log}");
    for secret in &secrets {
        let (middle, length) = (secret.len() / 2, secret.len().min(24));
        for part in [&secret[..length], &secret[middle..(middle + length).min(secret.len())]] {
            assert!(!log.contains(part), "the log has a part of {secret}");
        }
        assert!(!log.contains(secret.as_str()));
    }
    // Neither as text nor as a list of bytes.
    let bytes = PASSWORD.bytes().take(6).map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    assert!(!log.contains(&bytes));
    // Whom it concerns is not in there either: the log is not the timeline.
    assert!(!log.contains("$argon2id$"), "a hash is in the log");
}
