//! The pages by themselves.

use crate::{
    browser::{html, location},
    support::{Answer, EMAIL, Home, PASSWORD},
    world::World,
};

#[test]
fn pages_carry_what_keeps_them_safe() {
    let world = World::new();
    let mut browser = world.browser();
    for path in ["/login", "/device", "/logout", "/oauth2/authorize", "/consent?request=x", "/oauth2/logout", "/error"]
    {
        let page = browser.get(path);
        assert!(matches!(page.status, 200 | 400), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'; ") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        // Nothing runs but a few lines that the policy names by their hash, and those only where a password is typed.
        assert_eq!(policy.contains("script-src 'sha256-"), path == "/login", "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
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
    assert_eq!(next.header("location"), Some("/account"));
    assert_eq!(location(&browser.get("/login")), "/account");
    let shown = html(&browser.get("/account").expect(200));
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

#[track_caller]
fn speaks(page: &Answer, language: &str, sentence: &str) {
    let shown = html(page);
    assert!(shown.contains(&format!("<html lang=\"{language}\">")) && shown.contains(sentence), "{shown}");
    assert_eq!(page.header("content-language"), Some(language));
    assert_eq!(page.header("vary"), Some("accept-language"));
}

/// OpenID Connect Core §3.1.2.1: what the application asks for comes before what the browser does.
#[test]
fn every_page_is_in_the_language_that_is_wanted() {
    let world = World::new();
    let mut browser = world.browser();
    let german = [("Accept-Language", "de-AT, en;q=0.5")];
    speaks(&browser.get_with("/login", &german), "de", "<h1>Anmelden</h1>");
    speaks(&browser.get_with("/login", &[("Accept-Language", "fr")]), "en", "<h1>Sign in</h1>");
    speaks(&browser.get_with("/error", &german), "de", "Hier ist nichts schiefgegangen");
    speaks(&browser.get_with("/logout", &german), "de", "Sie sind abgemeldet");
    speaks(&browser.get_with("/oauth2/logout?ui_locales=de", &[]), "de", "Sie sind abgemeldet");
    // Errors too, by whatever way.
    speaks(&browser.get_with("/oauth2/authorize", &german), "de", "client_id fehlt oder ist falsch");
    speaks(&browser.get_with("/oauth2/authorize?ui_locales=fr+de", &[]), "de", "client_id fehlt oder ist falsch");
    speaks(&browser.get_with("/consent?request=x", &german), "de", "Das hat zu lange gedauert");

    // The request that waits remembers what was asked for; the browser speaks English.
    let english = [("Accept-Language", "en")];
    let login = location(&browser.get_with(&world.request("shop", &[("ui_locales", "de")]), &english));
    let page = browser.get_with(&login, &english);
    speaks(&page, "de", "weiter zu The Shop");
    let request = crate::browser::hidden(&page, "request");
    let wrong = browser.post("/login", &[("request", &request), ("identifier", EMAIL), ("password", "not that one")]);
    speaks(&wrong, "de", "Name oder Passwort stimmen nicht.");
    let next = browser.post("/login", &[("request", &request), ("identifier", EMAIL), ("password", PASSWORD)]);
    let consent = location(&browser.get_with(&location(&next), &english));
    speaks(&browser.get_with(&consent, &english), "de", "The Shop Zugriff erlauben?");
    speaks(&browser.get_with("/account", &german), "de", "<h1>Ihr Konto</h1>");
    speaks(&browser.get_with("/account?ui_locales=de", &english), "de", "<h1>Ihr Konto</h1>");
    speaks(&browser.get_with("/account", &english), "en", "<h1>Your account</h1>");
    let discovery = browser.get("/.well-known/openid-configuration").json();
    assert_eq!(discovery["ui_locales_supported"], serde_json::json!(["en", "de"]));
}

/// Nobody is stuck on an error, and its number is in the log.
#[test]
fn an_error_tells_the_way_out_and_its_number() {
    let world = World::new();
    let mut browser = world.browser();
    let page = browser.get("/oauth2/authorize?client_id=nobody").expect(400);
    let number = page.header("x-request-id").unwrap().to_owned();
    assert!(html(&page).contains(&number) && html(&page).contains("href=\"/account\""), "{}", html(&page));
    crate::support::eventually("the log knows it", || world.server.log().contains(&number).then_some(()));
    let shown = html(&browser.get("/error?error=made+up&error_description=%3Cb%3E").expect(200));
    assert!(shown.contains("Nothing went wrong here") && !shown.contains("made up"), "{shown}");
}

#[test]
fn the_operators_brand_is_on_every_page() {
    let mut home = Home::with_user();
    let logo = home.path("logo.svg");
    std::fs::write(&logo, "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    home.set("REGRANT_SERVER__BRAND_NAME", "Analytical <Engines>");
    home.set("REGRANT_SERVER__BRAND_LOGO", logo.to_str().unwrap());
    home.set("REGRANT_SERVER__BRAND_ACCENT", "#ffdd00");
    let server = home.serve();
    for path in ["/login", "/error", "/logout", "/oauth2/authorize"] {
        let page = server.client().get(path).send();
        assert!(html(&page).contains("<span>Analytical &lt;Engines&gt;</span>"), "{}", html(&page));
        assert!(page.header("content-security-policy").unwrap().contains("img-src 'self';"));
    }
    let drawn = server.client().get("/assets/logo").send().expect(200);
    assert_eq!(drawn.header("content-type"), Some("image/svg+xml"));
    assert!(drawn.header("content-security-policy").unwrap().ends_with("sandbox"));
    assert_eq!(drawn.header("x-content-type-options"), Some("nosniff"));
    // Yellow cannot be read on white, and can be on black.
    let style = html(&server.client().get("/assets/style.css").send().expect(200));
    assert!(style.contains("dark) { :root { --accent: #ffdd00; } }"), "{style}");
    assert!(!style.contains("\n:root { --accent: #ffdd00; }"), "{style}");

    let mut home = Home::new();
    home.set("REGRANT_SERVER__BRAND_ACCENT", "yellow");
    home.regrant(&["config", "check"]).complains(2, &["server.brand_accent", "#0b57a4"]);
    home.serve_in_vain(&[]).complains(2, &["server.brand_accent"]);
    assert_eq!(Home::with_user().serve().client().get("/assets/logo").send().status, 404);
}
