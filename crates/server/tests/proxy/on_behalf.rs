//! A server client that speaks for its user's browser, from wherever it is.

use serde_json::json;

use crate::support::{Call, Client, EMAIL, FIREFOX, Home, PASSWORD, Server};

const ADDRESS: (&str, &str) = ("Regrant-Forwarded-For", "203.0.113.9");
const AGENT: (&str, &str) =
    ("Regrant-Forwarded-User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0");

/// A server with the client `web`, and the client's Authorization header.
fn with_client() -> (Server, String) {
    let home = Home::with_user();
    let add = [
        "--json",
        "client",
        "add",
        "--id",
        "web",
        "--type",
        "confidential",
        "--redirect-uri",
        "https://app.example/cb",
    ];
    let added = home.regrant(&add).ok().json();
    let secret = added["client_secret"].as_str().expect("a secret").to_owned();
    (home.serve(), basic("web", &secret))
}

fn basic(id: &str, secret: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn with(call: Call, headers: &[(&str, &str)]) -> Call {
    headers.iter().fold(call, |call, (name, value)| call.header(name, value))
}

/// A backend, with a library's user agent, from an address of its own.
fn backend(server: &Server) -> Client {
    server.client_from([127, 5, 0, 1], "libfetch/1")
}

fn asked() -> serde_json::Value {
    json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body"})
}

#[test]
fn an_authenticated_client_says_whose_browser_it_speaks_for() {
    let (server, right) = with_client();
    let backend = backend(&server);
    let seen = |headers: &[(&str, &str)]| {
        let tokens = with(backend.post("/session").json(&asked()), headers).send().expect(200);
        let shown = with(backend.get("/session").bearer(&tokens.text("/access_token")), &[]).send().expect(200);
        (shown.text("/session/network"), shown.text("/session/user_agent"))
    };
    let of_browser = ("203.0.113.0/24".to_owned(), "Firefox on Linux".to_owned());
    assert_eq!(seen(&[("Authorization", &right), ADDRESS, AGENT]), of_browser);
    // Each by itself; and nothing of what proxies write.
    let (network, agent) = seen(&[("Authorization", &right), AGENT, ("X-Forwarded-For", "198.51.100.1")]);
    assert_eq!((network.as_str(), agent), ("127.5.0.0/24", of_browser.1.clone()));
    assert_eq!(seen(&[("Authorization", &right), ADDRESS]).0, of_browser.0);
    // Without credentials they are what anybody writes.
    assert_eq!(seen(&[ADDRESS, AGENT]).0, "127.5.0.0/24");
    // Without them, the credentials may be a proxy's.
    assert_eq!(seen(&[("Authorization", &basic("ada", "htpasswd"))]).0, "127.5.0.0/24");
}

/// Renewals, reads and sign-outs have the browser's context too: a lost reply is given again where it belongs, and a thief's is not.
#[test]
fn each_call_has_the_browsers_context() {
    let (server, right) = with_client();
    let backend = backend(&server);
    let headers = [("Authorization", right.as_str()), ADDRESS, AGENT];
    let token = with(backend.post("/session").json(&asked()), &headers).send().expect(200).text("/refresh_token");
    let refresh = |headers: &[(&str, &str)], token: &str| {
        with(backend.post("/session/refresh").json(&json!({"refresh_token": token})), headers).send()
    };
    let next = refresh(&headers, &token).expect(200).text("/refresh_token");
    assert_eq!(refresh(&headers, &token).expect(200).text("/refresh_token"), next);
    // The same backend for another browser.
    let elsewhere = [
        ("Authorization", right.as_str()),
        ("Regrant-Forwarded-For", "198.51.100.7"),
        ("Regrant-Forwarded-User-Agent", "curl/8"),
    ];
    refresh(&elsewhere, &token).expect(200);
    let told = server.regrant_reading(&["--json", "explain", "-"], &next).ok().json();
    let replays: Vec<_> =
        told["timeline"].as_array().unwrap().iter().filter_map(|event| event["data"]["replay"].as_str()).collect();
    assert_eq!(replays, ["burst", "foreign"], "{told}");
    let cookie = server.client_from([127, 5, 0, 1], FIREFOX).sign_in().1;
    for call in
        [backend.get("/session"), backend.get("/sessions"), backend.get("/auth/verify"), backend.delete("/session")]
    {
        let status = with(call.cookie(&cookie), &headers).send().status;
        assert!(matches!(status, 200 | 204), "{status}");
    }
}

#[test]
fn wrong_credentials_are_refused_and_say_nothing_more() {
    let (server, right) = with_client();
    let backend = backend(&server);
    let wrong = [
        basic("web", "rgs_wrong"),
        basic("nobody", "rgs_wrong"),
        basic("regrant", ""),
        "Basic !!!".to_owned(),
        "Basic d2Vi".to_owned(),
    ];
    let calls = || {
        let refresh = json!({"refresh_token": "rg1_x"});
        let calls = [
            backend.post("/session").json(&asked()),
            backend.post("/session/refresh").json(&refresh),
            backend.get("/session"),
            backend.delete("/session"),
            backend.get("/auth/verify"),
        ];
        calls.into_iter()
    };
    for credentials in &wrong {
        for call in calls() {
            let answer =
                with(call, &[("Authorization", credentials), ADDRESS]).send().refused(401, "invalid_client", None);
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"regrant\""));
        }
    }
    for (name, value) in [
        ("Regrant-Forwarded-For", "203.0.113.9, 1.2.3.4"),
        ("Regrant-Forwarded-For", "unknown"),
        ("Regrant-Forwarded-For", ""),
    ] {
        let call = with(backend.post("/session").json(&asked()), &[("Authorization", &right), (name, value)]);
        call.send().refused(400, "invalid_request", None);
    }
    let twice = with(backend.post("/session").json(&asked()), &[("Authorization", &right), ADDRESS, ADDRESS]);
    twice.send().refused(400, "invalid_request", None);
}
