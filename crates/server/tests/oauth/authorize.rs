//! The authorization endpoint: who is redirected where, with what, and who never is.

use crate::{
    browser::{hidden, html, location, parameter},
    support::{Answer, EMAIL, PASSWORD},
    world::{CALLBACK, World},
};

/// A page of our own that names the parameter, and no redirect.
#[track_caller]
fn told_on_a_page(answer: &Answer, parameter: &str) {
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("location"), None);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(html(answer).contains(parameter), "{}", html(answer));
}

#[test]
fn whoever_is_not_sure_of_the_address_sends_nobody_there() {
    let world = World::new();
    let mut browser = world.browser();
    for (change, parameter) in [
        (("client_id", "nobody"), "client_id"),
        (("client_id", ""), "client_id"),
        (("client_id", "job"), "client_id"),
        (("redirect_uri", ""), "redirect_uri"),
        (("redirect_uri", "https://shop.example/cb"), "redirect_uri"),
        (("redirect_uri", "https://shop.example/cb?a=1&b=2"), "redirect_uri"),
        (("redirect_uri", "https://shop.example/cb?a=1#x"), "redirect_uri"),
        (("redirect_uri", "https://shop.example.evil.example/cb?a=1"), "redirect_uri"),
        (("redirect_uri", "https://evil.example/"), "redirect_uri"),
        (("redirect_uri", "//evil.example"), "redirect_uri"),
    ] {
        told_on_a_page(&browser.get(&world.request("shop", &[change])), parameter);
        // With a wrong request besides, too.
        told_on_a_page(&browser.get(&world.request("shop", &[change, ("response_type", "token")])), parameter);
    }
    let twice = world.request("shop", &[]) + "&redirect_uri=https%3A%2F%2Fevil.example%2F";
    told_on_a_page(&browser.get(&twice), "redirect_uri");
    told_on_a_page(&browser.get("/oauth2/authorize?resume=made.up"), "begin anew");
    let long = world.request("shop", &[("state", &"x".repeat(7000))]);
    told_on_a_page(&browser.get(&long), "too long");
}

#[test]
fn what_is_wrong_with_a_request_is_told_to_its_application() {
    let world = World::new();
    let mut browser = world.browser();
    // RFC 9700 §4.11.2: not before somebody has signed in; only prompt=none asks for just that.
    let wrong = world.request("shop", &[("scope", "stock:read")]);
    assert!(location(&browser.get(&wrong)).starts_with("/login?request="));
    let silent = location(&browser.get(&world.request("shop", &[("scope", "stock:read"), ("prompt", "none")])));
    assert_eq!(parameter(&silent, "error").as_deref(), Some("invalid_scope"));
    let nobody = location(&browser.get(&world.request("shop", &[("prompt", "none")])));
    assert_eq!(parameter(&nobody, "error").as_deref(), Some("login_required"));
    assert_eq!(parameter(&browser.walk(&wrong), "error").as_deref(), Some("invalid_scope"));
    for (change, error) in [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", "code id_token"), "unsupported_response_type"),
        (("response_mode", "fragment"), "invalid_request"),
        (("scope", "stock:read"), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("prompt", "dance"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("id_token_hint", "a.b.c"), "invalid_request"),
        (("resource", "not a uri"), "invalid_target"),
        (("request", "x"), "request_not_supported"),
        (("request_uri", "https://a.example/"), "request_uri_not_supported"),
        (("registration", "{}"), "registration_not_supported"),
        (("prompt", "none"), "consent_required"),
    ] {
        let to = location(&browser.get(&world.request("shop", &[change])));
        assert!(to.starts_with(&format!("{CALLBACK}&error=")), "{to}");
        assert_eq!(parameter(&to, "error").as_deref(), Some(error), "{change:?}");
        assert_eq!(parameter(&to, "state").as_deref(), Some("st&te"));
        assert_eq!(parameter(&to, "iss").as_deref(), Some(world.server.issuer.as_str()));
        assert_eq!(parameter(&to, "code"), None);
    }
}

#[test]
fn somebody_signs_in_consents_once_and_is_sent_back() {
    let world = World::new();
    let mut browser = world.browser();
    let login = location(&browser.get(&world.request("shop", &[("login_hint", "<ada>@example.com")])));
    let page = browser.get(&login).expect(200);
    let shown = html(&page);
    assert!(shown.contains("to go on to The Shop") && shown.contains("value=\"&lt;ada&gt;@example.com\""), "{shown}");
    assert!(shown.contains("https://shop.example/privacy"));
    let request = hidden(&page, "request");
    let wrong = browser.post("/login", &[("request", &request), ("identifier", EMAIL), ("password", "not that one")]);
    assert_eq!((wrong.status, wrong.set_cookie()), (403, None));
    assert!(html(&wrong).contains("id=\"problem\"") && !html(&wrong).contains("not that one"));
    let next = browser
        .post("/login", &[("request", &hidden(&wrong, "request")), ("identifier", EMAIL), ("password", PASSWORD)]);
    let first = browser.cookie.clone().expect("a sign-in");
    let consent = location(&browser.get(&location(&next)));
    let page = browser.get(&consent).expect(200);
    assert!(
        html(&page).contains("see your e-mail address") && html(&page).contains("Allow The Shop?"),
        "{}",
        html(&page)
    );
    let allowed = browser.post("/consent", &[("request", &hidden(&page, "request")), ("decision", "allow")]);
    let to = location(&browser.get(&location(&allowed)));
    assert!(to.starts_with(&format!("{CALLBACK}&code=")), "{to}");
    assert_eq!(parameter(&to, "state").as_deref(), Some("st&te"));
    assert_eq!(parameter(&to, "iss").as_deref(), Some(world.server.issuer.as_str()));

    // Nobody is asked again: not for this application, nor for another one that is the operator's own.
    assert!(location(&browser.get(&world.request("shop", &[("prompt", "none")]))).contains("&code="));
    assert!(location(&browser.get(&world.request("own", &[]))).starts_with("https://own.example/cb?code="));
    assert_eq!(browser.cookie.as_ref(), Some(&first));
    // For more they are.
    let more = [("scope", "openid phone"), ("prompt", "none")];
    assert_eq!(
        parameter(&location(&browser.get(&world.request("shop", &more))), "error").as_deref(),
        Some("consent_required")
    );
    // Who took it back is asked again, and what was granted is over.
    let code = world.code(&mut browser, "shop", &[("prompt", "none")]);
    let tokens = world.shop().redeem(&code).expect(200).json();
    let revoke = ["--json", "client", "revoke", "shop", "--user", EMAIL];
    assert_eq!(world.server.regrant(&revoke).ok().json()["revoked"], true);
    assert_eq!(world.server.regrant(&revoke).ok().json()["revoked"], false);
    world.shop().refresh(tokens["refresh_token"].as_str().unwrap()).expect(400);
    assert!(location(&browser.get(&world.request("shop", &[]))).starts_with("/consent?request="));
    world.code(&mut browser, "shop", &[]);
    // Who wants to be asked is.
    let asked = location(&browser.get(&world.request("shop", &[("prompt", "consent")])));
    let page = browser.get(&asked).expect(200);
    let denied = browser.post("/consent", &[("request", &hidden(&page, "request")), ("decision", "deny")]);
    assert_eq!(parameter(&location(&denied), "error").as_deref(), Some("access_denied"));
}

#[test]
fn a_new_proof_is_asked_for_when_the_application_wants_one() {
    let world = World::new();
    let mut browser = world.browser();
    let tokens = world.shop_tokens(&mut browser, &[]);
    let id_token = tokens["id_token"].as_str().unwrap();
    let (first, session) = (browser.cookie.clone(), world.verified(id_token, "shop")["sid"].clone());
    for change in [("prompt", "login"), ("max_age", "0"), ("prompt", "select_account")] {
        let to = location(&browser.get(&world.request("shop", &[change])));
        // (A moment later max_age=0 has passed; within the same millisecond it has not.)
        if change.0 == "max_age" && !to.starts_with("/login") {
            continue;
        }
        assert!(to.starts_with("/login?request="), "{to}");
        let request = hidden(&browser.get(&to).expect(200), "request");
        let next = browser.post("/login", &[("request", &request), ("identifier", EMAIL), ("password", PASSWORD)]);
        // Once is enough, the session is the same, and the old reference is worth nothing.
        let landed = location(&browser.get(&location(&next)));
        let code = parameter(&landed, "code").unwrap_or_else(|| panic!("{landed}"));
        let again = world.shop().redeem(&code).expect(200).json();
        let claims = world.verified(again["id_token"].as_str().unwrap(), "shop");
        assert_eq!(claims["sid"], session);
    }
    assert_ne!(browser.cookie, first);
    let mut old = world.browser();
    old.cookie = first;
    assert!(location(&old.get(&world.request("shop", &[]))).starts_with("/login?"));
    // An application that was not signed out by that.
    world.shop().refresh(tokens["refresh_token"].as_str().unwrap()).expect(200);
    assert!(
        location(&browser.get(&world.request("shop", &[("max_age", "1000"), ("id_token_hint", id_token)])))
            .contains("&code=")
    );
}

/// What was done for one request counts for no other.
#[test]
fn a_sign_in_for_one_request_is_none_for_another() {
    let world = World::new();
    let mut browser = world.browser();
    world.shop_tokens(&mut browser, &[]);
    let sealed = |to: &str| parameter(to, "request").unwrap();
    let one = sealed(&location(&browser.get(&world.request("shop", &[("prompt", "login")]))));
    // A seal of a page is a seal of a request: without a sign-in it leads back to the page.
    assert!(location(&browser.get(&format!("/oauth2/authorize?resume={one}"))).starts_with("/login?request="));
    let mut broken = one.clone();
    broken.replace_range(0..1, if one.starts_with('e') { "f" } else { "e" });
    assert_eq!(browser.get(&format!("/login?request={broken}")).status, 400);
    assert_eq!(browser.get(&format!("/logout?request={one}")).status, 400);
}

#[test]
fn a_post_becomes_a_get_and_an_answer_may_be_a_form() {
    let world = World::new();
    let mut browser = world.browser();
    world.shop_tokens(&mut browser, &[]);
    let request = world.request("shop", &[("response_mode", "form_post")]);
    let query = request.split_once('?').unwrap().1.to_owned();
    let client = world.server.client();
    let posted = client
        .post("/oauth2/authorize")
        .header("Origin", "https://shop.example")
        .body("application/x-www-form-urlencoded", query)
        .send();
    let page = browser.get(&location(&posted)).expect(200);
    assert!(html(&page).contains("action=\"https://shop.example/cb?a=1\""), "{}", html(&page));
    assert_eq!(hidden(&page, "state"), "st&te");
    assert_eq!(hidden(&page, "iss"), world.server.issuer);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    world.shop().redeem(&hidden(&page, "code")).expect(200);
    let error = browser.get(&world.request("shop", &[("response_mode", "form_post"), ("scope", "x")])).expect(200);
    assert_eq!(hidden(&error, "error"), "invalid_scope");
}

/// RFC 8252 §7.3, §8.3.
#[test]
fn a_native_application_listens_where_it_can() {
    let world = World::new();
    let mut browser = world.browser();
    let landed = browser.walk(&world.request("tool", &[]));
    assert!(landed.starts_with("http://127.0.0.1:49152/cb?code="), "{landed}");
    world.public("tool").redeem(&parameter(&landed, "code").unwrap()).expect(200);
    for uri in ["http://127.0.0.1:1/other", "http://localhost:1/cb", "http://127.0.0.2:1/cb", "https://127.0.0.1:1/cb"]
    {
        told_on_a_page(&browser.get(&world.request("tool", &[("redirect_uri", uri)])), "redirect_uri");
    }
}

#[test]
fn forms_from_other_sites_do_nothing() {
    let world = World::new();
    let mut browser = world.browser();
    let login = location(&browser.get(&world.request("shop", &[])));
    let request = hidden(&browser.get(&login).expect(200), "request");
    let fields = [("request", request.as_str()), ("identifier", EMAIL), ("password", PASSWORD)];
    for origin in ["https://evil.example", "null"] {
        let forged = browser.post_from(origin, "/login", &fields);
        assert_eq!((forged.status, forged.set_cookie()), (403, None));
    }
    browser.post("/login", &fields);
    let consent = location(&browser.get(&world.request("shop", &[])));
    let request = hidden(&browser.get(&consent).expect(200), "request");
    assert_eq!(
        browser.post_from("https://evil.example", "/consent", &[("request", &request), ("decision", "allow")]).status,
        403
    );
    assert_eq!(browser.post_from("https://evil.example", "/logout", &[]).status, 403);
    // And a stranger's browser has no part in it.
    let elsewhere = browser.stranger().post("/consent", &[("request", &request), ("decision", "allow")]);
    assert!(location(&elsewhere).starts_with("/oauth2/authorize?resume="));
    assert!(location(&browser.get(&world.request("shop", &[]))).starts_with("/consent?"));
}
