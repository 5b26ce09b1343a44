//! Calls that bring the cookie must come from our own pages: every endpoint, every kind of caller.

use serde_json::json;

use crate::support::{Client, EMAIL, Home, PASSWORD, Server};

/// Who, the headers, whether they pass.
type Caller = (&'static str, &'static [(&'static str, &'static str)], bool);

/// What a browser says about where a call comes from, and whether it passes. `{own}` is the server's own origin.
const CALLERS: &[Caller] = &[
    ("no browser", &[], true),
    ("our own page", &[("Sec-Fetch-Site", "same-origin"), ("Origin", "{own}")], true),
    ("our own page, reading", &[("Sec-Fetch-Site", "same-origin")], true),
    ("our own page, old browser", &[("Origin", "{own}")], true),
    ("a typed address", &[("Sec-Fetch-Site", "none")], true),
    ("a listed page", &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://app.example.com")], true),
    ("a listed page, old browser", &[("Origin", "https://app.example.com")], true),
    ("another site", &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example.com")], false),
    ("another site, no origin", &[("Sec-Fetch-Site", "cross-site")], false),
    ("a sister site", &[("Sec-Fetch-Site", "same-site"), ("Origin", "https://b.example.com")], false),
    ("another site, old browser", &[("Origin", "https://evil.example.com")], false),
    ("a sandboxed frame", &[("Origin", "null")], false),
    ("a listed page over http", &[("Origin", "http://app.example.com")], false),
    ("a listed page's other port", &[("Origin", "https://app.example.com:8443")], false),
    ("a contradiction", &[("Sec-Fetch-Site", "same-origin"), ("Origin", "https://evil.example.com")], false),
    ("nonsense", &[("Sec-Fetch-Site", "trust me")], false),
];

/// Every call that takes the cookie, with what it says when it is let through.
const CALLS: &[(&str, &str, &str, u16)] = &[
    ("POST", "/session/refresh", "{\"rotate\":false}", 200),
    ("GET", "/session", "", 200),
    ("GET", "/sessions", "", 200),
    ("DELETE", "/sessions?except=current", "", 204),
    ("DELETE", "/sessions/ses_0190a2b4c6d87e8f9a0b1c2d3e4f5061", "", 404),
    ("POST", "/password", "{\"current_password\":\"not this one\",\"new_password\":\"a longer one than that\"}", 403),
];

fn send(client: &Client, server: &Server, caller: &[(&str, &str)], call: (&str, &str, &str), cookie: &str) -> u16 {
    let (method, path, body) = call;
    let mut request = client.call(method, path).cookie(cookie);
    for (name, value) in caller {
        request = request.header(name, &value.replace("{own}", &server.issuer));
    }
    if !body.is_empty() {
        request = request.body("application/json", body);
    }
    let answer = request.send();
    if answer.status == 403 && answer.problem()["code"] == "cross_origin" {
        assert_eq!(answer.set_cookie(), None);
        return 0;
    }
    answer.status
}

fn server() -> Server {
    let mut home = Home::with_user();
    home.set("REGRANT_SERVER__ALLOWED_ORIGINS", "[\"https://app.example.com\"]");
    home.set("REGRANT_LIMITS__PER_ACCOUNT_AND_ADDRESS", "1000");
    home.serve()
}

#[test]
fn every_call_with_the_cookie_is_refused_to_other_sites() {
    let server = server();
    let client = server.client();
    let (_, token) = client.sign_in();
    for (who, caller, passes) in CALLERS {
        for (method, path, body, status) in CALLS {
            let wanted = if *passes { *status } else { 0 };
            let found = send(&client, &server, caller, (method, path, body), &token);
            assert_eq!(found, wanted, "{method} {path} by {who} (0 is cross_origin)");
        }
    }
}

#[test]
fn signing_in_renewing_and_signing_out_are_refused_to_other_sites() {
    let server = server();
    let client = server.client();
    let sign_in = json!({"identifier": EMAIL, "password": PASSWORD}).to_string();
    for (who, caller, passes) in CALLERS {
        let (_, token) = client.sign_in();
        let wanted = |status| if *passes { status } else { 0 };
        // Signing somebody in to the attacker's account is an attack too.
        let found = send(&client, &server, caller, ("POST", "/session", &sign_in), "");
        assert_eq!(found, wanted(200), "sign-in by {who}");
        assert_eq!(send(&client, &server, caller, ("POST", "/session/refresh", ""), &token), wanted(200), "by {who}");
        let newest = if *passes { client.renew(&token) } else { token };
        assert_eq!(send(&client, &server, caller, ("DELETE", "/session", ""), &newest), wanted(204), "by {who}");
        if !passes {
            client.renew(&newest);
        }
    }
}

#[test]
fn a_link_from_elsewhere_to_a_page_behind_the_proxy_works() {
    let server = server();
    let client = server.client();
    let (_, token) = client.sign_in();
    let verified = client.get("/auth/verify").cookie(&token).header("Sec-Fetch-Site", "cross-site").send().expect(200);
    assert!(verified.body.is_empty(), "nothing in it that another site could want");
}

#[test]
fn no_other_site_is_given_leave_to_read() {
    let server = server();
    let client = server.client();
    let (_, token) = client.sign_in();
    let answer = client.get("/session").cookie(&token).send().expect(200);
    for name in ["access-control-allow-origin", "access-control-allow-credentials"] {
        assert_eq!(answer.header(name), None);
    }
    let preflight = client.call("OPTIONS", "/session").header("Origin", "https://evil.example.com").send().expect(405);
    assert_eq!(preflight.header("access-control-allow-origin"), None);
    // A form can be sent across origins without being asked: it is never read.
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""] {
        let body = json!({"identifier": EMAIL, "password": PASSWORD}).to_string();
        client.post("/session").body(kind, body).send().refused(415, "unsupported_media_type", None);
    }
}
