//! The pages by themselves.

use crate::{
    browser::html,
    support::{EMAIL, Home, PASSWORD},
    world::World,
};

#[test]
fn pages_carry_what_keeps_them_safe() {
    let world = World::new();
    let mut browser = world.browser();
    for path in ["/login", "/device", "/logout", "/oauth2/authorize", "/consent?request=x", "/oauth2/logout"] {
        let page = browser.get(path);
        assert!(matches!(page.status, 200 | 400), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'; ") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("script-src"), "{policy}");
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("access-control-allow-origin"), None);
    }
    let style = browser.get("/assets/style.css").expect(200);
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
}

#[test]
fn whoever_just_comes_signs_in_and_is_told_so() {
    let world = World::new();
    let mut browser = world.browser();
    assert!(html(&browser.get("/login").expect(200)).contains("<h1>Sign in</h1>"));
    let next = browser.post("/login", &[("identifier", EMAIL), ("password", PASSWORD)]);
    assert_eq!(next.header("location"), Some("/login"));
    let shown = html(&browser.get("/login").expect(200));
    assert!(shown.contains("You are signed in") && shown.contains(EMAIL), "{shown}");
    // The reference refreshes nothing, and is no session cookie.
    let cookie = browser.cookie.clone().unwrap();
    world.server.client().refresh(&cookie).over("unknown");
    // The session is one of the user's devices.
    let listed = world.server.regrant(&["--json", "session", "list"]).ok().json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[test]
fn too_many_failures_are_limited_here_too() {
    let mut home = Home::with_user();
    home.set("REGRANT_LIMITS__PER_ACCOUNT_AND_ADDRESS", "2");
    let server = home.serve();
    let mut browser = crate::browser::Browser::new(server.client(), &server.issuer);
    for _ in 0..2 {
        assert_eq!(browser.post("/login", &[("identifier", EMAIL), ("password", "not that one")]).status, 403);
    }
    let limited = browser.post("/login", &[("identifier", EMAIL), ("password", PASSWORD)]);
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").is_some() && limited.set_cookie().is_none());
}

/// On https the cookie has the prefix that makes browsers insist on Secure, HttpOnly, Path=/ and no Domain.
#[test]
fn a_https_issuer_gives_the_prefixed_secure_cookie() {
    let home = Home::with_user();
    let server = home.serve_with(&["--issuer", "https://id.example.com"]);
    let body = crate::browser::form(&[("identifier", EMAIL), ("password", PASSWORD)]);
    let call = server.client().post("/login").host("id.example.com").header("Origin", "https://id.example.com");
    let answer = call.body("application/x-www-form-urlencoded", body).send().expect(303);
    let line = answer.set_cookie().unwrap();
    assert!(
        line.starts_with("__Host-Http-regrant-sso=")
            && line.contains("; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age="),
        "{line}"
    );
}
