//! What browsers are told about other origins' pages: who may read what the session API answers.

use serde_json::json;

use crate::support::{Answer, EMAIL, Home, PASSWORD, Server};

const LISTED: &str = "https://app.example.com";

fn server() -> Server {
    let mut home = Home::with_user();
    home.set("REGRANT_SERVER__ALLOWED_ORIGINS", "[\"https://app.example.com\",\"https://www.example.com\"]");
    home.serve()
}

/// The headers of CORS, without the beginning that they share.
fn told(answer: &Answer) -> Vec<(&str, &str)> {
    let named = answer.headers.iter();
    let mut told: Vec<_> =
        named.filter_map(|(name, value)| Some((name.strip_prefix("access-control-")?, value.as_str()))).collect();
    told.sort_unstable();
    told
}

fn varies(answer: &Answer) -> bool {
    answer.headers.iter().any(|(name, value)| name == "vary" && value.eq_ignore_ascii_case("origin"))
}

const REPLY: &[(&str, &str)] =
    &[("allow-credentials", "true"), ("allow-origin", LISTED), ("expose-headers", "retry-after")];

const PREFLIGHT: &[(&str, &str)] = &[
    ("allow-credentials", "true"),
    ("allow-headers", "content-type, authorization"),
    ("allow-methods", "GET, POST, DELETE"),
    ("allow-origin", LISTED),
    ("expose-headers", "retry-after"),
    ("max-age", "7200"),
];

#[test]
fn a_preflight_is_granted_to_listed_origins_for_the_session_api_only() {
    let server = server();
    let client = server.client();
    for (path, is_for_pages) in [
        ("/session", true),
        ("/session/refresh", true),
        ("/sessions", true),
        ("/sessions?except=current", true),
        ("/sessions/ses_0190a2b4c6d87e8f9a0b1c2d3e4f5061", true),
        ("/password", true),
        ("/auth/verify", false),
        ("/.well-known/jwks.json", false),
        ("/health/live", false),
        ("/openapi.json", false),
        ("/nothing", false),
    ] {
        for (origin, is_listed) in [
            (LISTED, true),
            ("https://app.example.com:8443", false),
            ("http://app.example.com", false),
            ("https://APP.example.com", false),
            ("https://app.example.com.evil.example", false),
            ("https://evil.example", false),
            ("null", false),
            ("*", false),
        ] {
            let asked = client.call("OPTIONS", path).header("Origin", origin);
            let asked = asked.header("Access-Control-Request-Method", "POST");
            let answer = asked.header("Access-Control-Request-Headers", "content-type").send();
            if is_for_pages && is_listed {
                let answer = answer.expect(204);
                assert_eq!(told(&answer), PREFLIGHT, "{path}");
                assert!(varies(&answer) && answer.body.is_empty(), "{path}");
            } else {
                assert!(matches!(answer.status, 404 | 405), "{path} to {origin}: {answer:?}");
                assert_eq!(told(&answer), [], "{path} to {origin}");
                assert_eq!(varies(&answer), is_for_pages, "{path} to {origin}");
            }
        }
    }
    // Not a preflight: a method like any other that is not known.
    let answer = client.call("OPTIONS", "/session").header("Origin", LISTED).send().expect(405);
    assert_eq!(told(&answer), REPLY);
}

#[test]
fn a_listed_page_signs_in_renews_reads_errors_and_signs_out() {
    let server = server();
    let client = server.client();
    let by_page = |call: crate::support::Call| {
        let answer = call.header("Origin", LISTED).header("Sec-Fetch-Site", "same-site").send();
        assert_eq!(told(&answer), REPLY, "{answer:?}");
        assert!(varies(&answer), "{answer:?}");
        answer
    };
    let sign_in = |password: &str| client.post("/session").json(&json!({"identifier": EMAIL, "password": password}));
    let token = by_page(sign_in(PASSWORD)).expect(200).cookie();
    by_page(sign_in("not this one")).refused(401, "invalid_credentials", None);
    by_page(client.post("/session/refresh")).refused(401, "not_signed_in", None);
    by_page(client.post("/session/step-up")).refused(404, "not_found", None);
    let renewed = by_page(client.post("/session/refresh").cookie(&token)).expect(200);
    let bearer = renewed.text("/access_token");
    by_page(client.get("/sessions").bearer(&bearer)).expect(200);
    by_page(client.get("/session").cookie(&renewed.cookie())).expect(200);
    by_page(client.delete("/session").cookie(&renewed.cookie())).expect(204);
}

#[test]
fn an_origin_that_is_not_listed_is_refused_and_told_nothing() {
    let server = server();
    let client = server.client();
    let (signed_in, token) = client.sign_in();
    assert_eq!(told(&signed_in), [], "no browser, nothing to tell");
    let evil = client.get("/session").cookie(&token).header("Origin", "https://evil.example").send();
    assert_eq!(told(&evil), []);
    assert!(varies(&evil), "a cache keeps it apart from what a listed origin gets");
    evil.refused(403, "cross_origin", None);
    // With a token in hand it is answered, and its page cannot read the answer.
    let bearer = client.get("/session").bearer(&signed_in.text("/access_token"));
    assert_eq!(told(&bearer.header("Origin", "https://evil.example").send().expect(200)), []);
}

#[test]
fn what_is_public_is_so_for_all_and_without_credentials() {
    let server = server();
    let client = server.client();
    for path in ["/.well-known/jwks.json", "/openapi.json"] {
        for origin in [LISTED, "https://evil.example"] {
            let answer = client.get(path).header("Origin", origin).send().expect(200);
            assert_eq!(told(&answer), [("allow-origin", "*")], "{path}");
            assert!(answer.header("cache-control").unwrap().starts_with("public, max-age="), "{path}");
        }
    }
    let verified = client.get("/auth/verify").cookie(&client.sign_in().1).header("Origin", LISTED).send().expect(200);
    assert_eq!(told(&verified), [], "it is for proxies");
}

#[test]
fn without_listed_origins_nothing_varies() {
    let server = Home::with_user().serve();
    let (answer, _) = server.client().sign_in();
    assert_eq!(told(&answer), []);
    assert!(!varies(&answer));
}
