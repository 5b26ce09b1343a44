//! `/account`: what somebody sees of their devices, applications and past, and what they end.

use serde_json::json;

use crate::{
    browser::{Browser, hidden, html, location, parameter},
    support::{Answer, CHROME, EMAIL, FIREFOX, PASSWORD},
    world::{World, refused},
};

const NEW: &str = "a goat eats almost all";

/// Somebody signed in at the provider, and nowhere else.
fn signed_in(world: &World) -> Browser {
    let mut browser = world.browser();
    let next = browser.post("/login", &[("identifier", EMAIL), ("password", PASSWORD)]);
    assert_eq!(location(&next), "/account");
    browser
}

#[track_caller]
fn account(browser: &mut Browser) -> String {
    html(&browser.get("/account").expect(200))
}

/// The id of the session that an answer of the session API tells of.
fn session(answer: &Answer) -> String {
    answer.text("/session/id")
}

fn parts<'h>(html: &'h str, part: &str) -> Vec<&'h str> {
    html.split(part).skip(1).collect()
}

#[test]
fn whoever_is_not_signed_in_signs_in_and_comes_back() {
    let world = World::new();
    let mut browser = world.browser();
    assert_eq!(location(&browser.get("/account")), "/login");
    assert_eq!(location(&browser.get("/account?view=password")), "/login");
    assert_eq!(location(&browser.post("/account", &[("action", "end-others")])), "/login");
    let mut browser = signed_in(&world);
    let page = browser.get("/account").expect(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let shown = html(&page);
    assert!(shown.contains(&format!("You are signed in as {EMAIL}.")), "{shown}");
    assert!(shown.contains("No application has access to your account."), "{shown}");
    assert!(shown.contains("You signed in"), "{shown}");
}

#[test]
fn my_devices_are_listed_and_ending_one_asks_once() {
    let world = World::new();
    let mut browser = signed_in(&world);
    let telephone = world.server.client_from([127, 9, 9, 9], CHROME);
    let (answer, token) = telephone.sign_in();
    let other = session(&answer);
    let shown = account(&mut browser);
    assert_eq!(
        (parts(&shown, "This device").len(), shown.matches("Chrome on Windows").count() > 0),
        (1, true),
        "{shown}"
    );
    assert!(shown.contains("from 127.9.9.0/24") && shown.contains("within the last hour"), "{shown}");
    // The current one is told by its badge and leads to the sign-out.
    let current = parts(&shown, "<li>").into_iter().find(|row| row.contains("This device")).unwrap();
    assert!(current.contains("Firefox on Linux") && current.contains("href=\"/logout\""), "{current}");

    let ask = format!("/account?view=end&session={other}");
    assert!(shown.contains(&format!("href=\"{}\"", ask.replace('&', "&amp;"))), "{shown}");
    let question = browser.get(&ask).expect(200);
    assert!(html(&question).contains("Sign out Chrome on Windows?"), "{}", html(&question));
    let token = telephone.renew(&token);
    let fields = [("action", hidden(&question, "action")), ("session", hidden(&question, "session"))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = location(&browser.post("/account", &fields));
    assert_eq!(done, "/account?done=ended");
    telephone.refresh(&token).over("ended");
    let shown = html(&browser.get_with(&done, &[("Sec-Fetch-Site", "same-origin")]).expect(200));
    assert!(shown.contains("That device is signed out."), "{shown}");
    assert!(shown.contains("A device was signed out: you ended it from another device"), "{shown}");
    assert!(!shown.contains(&ask.replace('&', "&amp;")), "{shown}");
    // Another site's link does not have us say so.
    assert!(!html(&browser.get(&done)).contains("That device is signed out."));
    // Once more, and what never was: it is over.
    assert_eq!(location(&browser.post("/account", &fields)), "/account?done=gone");
    assert_eq!(location(&browser.get(&ask)), "/account?done=gone");
    for id in ["", "x", "ses_0190000000007000800000000000000f"] {
        assert_eq!(location(&browser.post("/account", &[("action", "end"), ("session", id)])), "/account?done=gone");
    }
    browser.get("/account").expect(200);
}

#[test]
fn all_others_end_and_this_one_stays() {
    let world = World::new();
    let mut browser = signed_in(&world);
    assert!(!account(&mut browser).contains("Sign out all other devices"), "there are none");
    let others = [FIREFOX, CHROME].map(|agent| world.server.client_from([127, 9, 9, 9], agent));
    let tokens = others.each_ref().map(|other| other.sign_in().1);
    assert!(account(&mut browser).contains("href=\"/account?view=end-others\""));
    let question = html(&browser.get("/account?view=end-others").expect(200));
    assert!(question.contains("Sign out all other devices?"), "{question}");
    assert_eq!(location(&browser.post("/account", &[("action", "end-others")])), "/account?done=ended-others");
    for (other, token) in others.iter().zip(&tokens) {
        other.refresh(token).over("ended");
    }
    let shown = account(&mut browser);
    assert!(!shown.contains("view=end&amp;") && shown.contains("This device"), "{shown}");
}

#[test]
fn nobody_sees_or_ends_what_is_somebody_elses() {
    let world = World::new();
    world.server.regrant_reading(&["user", "add", "bob@example.com", "--password-stdin"], "the password of bob").ok();
    let mut browser = signed_in(&world);
    let bob = world.server.client_from([127, 8, 8, 8], CHROME);
    let asked = json!({"identifier": "bob@example.com", "password": "the password of bob"});
    let answer = bob.post("/session").json(&asked).send().expect(200);
    let (his, token) = (session(&answer), answer.cookie());
    assert_eq!(location(&browser.get(&format!("/account?view=end&session={his}"))), "/account?done=gone");
    assert_eq!(location(&browser.get(&format!("/account?view=history&session={his}"))), "/account?done=gone");
    let ended = browser.post("/account", &[("action", "end"), ("session", &his)]);
    assert_eq!(location(&ended), "/account?done=gone");
    browser.post("/account", &[("action", "end-others")]);
    bob.renew(&token);
    assert!(!account(&mut browser).contains("127.8.8."));
}

#[test]
fn an_application_loses_its_access_and_asks_again() {
    let world = World::new();
    let mut browser = world.browser();
    let tokens = world.shop_tokens(&mut browser, &[("scope", "openid email offline_access")]);
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    world.shop().userinfo(access).expect(200);
    let shown = account(&mut browser);
    for part in [
        "<strong>The Shop</strong>",
        "see your e-mail address",
        "also while you are not there",
        "The Shop signed you in",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(shown.contains("href=\"/account?view=withdraw&amp;client=shop\""), "{shown}");
    let question = browser.get("/account?view=withdraw&client=shop").expect(200);
    assert!(html(&question).contains("Take away the access of The Shop?"), "{}", html(&question));
    world.shop().userinfo(access).expect(200);
    let fields = [("action", "withdraw"), ("client", "shop")];
    assert_eq!(location(&browser.post("/account", &fields)), "/account?done=withdrawn");
    refused(&world.shop().refresh(refresh), 400, "invalid_grant");
    refused(&world.shop().userinfo(access), 401, "invalid_token");
    let shown = account(&mut browser);
    assert!(shown.contains("No application has access") && shown.contains("The Shop lost its access"), "{shown}");
    assert_eq!(location(&browser.post("/account", &fields)), "/account?done=gone");
    assert_eq!(location(&browser.get("/account?view=withdraw&client=shop")), "/account?done=gone");
    // The sign-in goes on; the question is asked anew.
    let silent = location(&browser.get(&world.request("shop", &[("prompt", "none")])));
    assert_eq!(parameter(&silent, "error").as_deref(), Some("consent_required"));
    // An application that needs no consent is listed as long as it has tokens.
    let code = world.code(&mut browser, "own", &[]);
    world.public("own").redeem(&code).expect(200);
    assert!(account(&mut browser).contains("<strong>own</strong>"));
    assert_eq!(
        location(&browser.post("/account", &[("action", "withdraw"), ("client", "own")])),
        "/account?done=withdrawn"
    );
    assert!(!account(&mut browser).contains("<strong>own</strong>"));
}

#[test]
fn a_new_password_ends_everything_but_this_sign_in() {
    let world = World::new();
    let mut browser = world.browser();
    let tokens = world.shop_tokens(&mut browser, &[("scope", "openid offline_access")]);
    let telephone = world.server.client_from([127, 9, 9, 9], CHROME);
    let (_, token) = telephone.sign_in();
    let mut copy = browser.stranger();
    copy.cookie.clone_from(&browser.cookie);

    let form = html(&browser.get("/account?view=password").expect(200));
    for part in ["autocomplete=\"current-password\"", "autocomplete=\"new-password\"", "At least 12 characters."] {
        assert!(form.contains(part), "{part} in {form}");
    }
    let change = |browser: &mut Browser, current: &str, new: &str| {
        browser.post("/account", &[("action", "password"), ("current", current), ("new", new)])
    };
    let wrong = change(&mut browser, "not that one", NEW).expect(403);
    assert!(html(&wrong).contains("That is not your current password."), "{}", html(&wrong));
    assert!(!html(&wrong).contains(NEW) && !html(&wrong).contains("not that one"));
    for (new, why) in [("short", "Use at least 12 characters."), (EMAIL, "the name that you sign in with")] {
        let weak = change(&mut browser, PASSWORD, new).expect(400);
        assert!(html(&weak).contains(why), "{}", html(&weak));
        let field = parts(&html(&weak), "name=\"new\"")[0].to_owned();
        assert!(field.split('>').next().unwrap().contains("aria-describedby=\"new-hint problem\""), "{field}");
    }
    telephone.peek(&token).expect(200);

    let done = change(&mut browser, PASSWORD, NEW);
    assert_eq!(location(&done), "/account?done=password");
    assert_ne!(browser.cookie, copy.cookie, "a new reference");
    let shown = account(&mut browser);
    assert!(shown.contains("The password was changed"), "{shown}");
    let ended = parts(&shown, "<li>").into_iter().find(|row| row.contains("A device was signed out")).unwrap();
    assert!(ended.contains("the password was changed") && ended.contains("Chrome on Windows"), "{ended}");
    assert!(!shown.contains("view=end&amp;"), "{shown}");
    assert_eq!(location(&copy.get("/account")), "/login", "a copy of the old one is worth nothing");
    telephone.refresh(&token).over("ended");
    refused(&world.shop().refresh(tokens["refresh_token"].as_str().unwrap()), 400, "invalid_grant");
    let mut other = world.browser();
    assert_eq!(other.post("/login", &[("identifier", EMAIL), ("password", PASSWORD)]).status, 403);
    assert_eq!(location(&other.post("/login", &[("identifier", EMAIL), ("password", NEW)])), "/account");
    // This sign-in is good for applications as before.
    assert!(browser.walk(&world.request("shop", &[])).contains("code="));
}

#[test]
fn guessing_the_current_password_is_limited() {
    let world = World::with(|home| home.set("REGRANT_LIMITS__PER_ACCOUNT_AND_ADDRESS", "2"));
    let mut browser = signed_in(&world);
    let fields = |current| [("action", "password"), ("current", current), ("new", NEW)];
    for _ in 0..2 {
        assert_eq!(browser.post("/account", &fields("not that one")).status, 403);
    }
    let limited = browser.post("/account", &fields(PASSWORD));
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").is_some(), "{:?}", limited.headers);
    assert!(html(&limited).contains("That went wrong too often."));
    browser.get("/account").expect(200);
}

#[test]
fn no_other_site_ends_or_changes_anything() {
    let world = World::new();
    let mut browser = world.browser();
    let tokens = world.shop_tokens(&mut browser, &[]);
    let telephone = world.server.client_from([127, 9, 9, 9], CHROME);
    let (answer, token) = telephone.sign_in();
    let other = session(&answer);
    let cookie = browser.cookie.clone();
    for fields in [
        &[("action", "end"), ("session", other.as_str())][..],
        &[("action", "end-others")],
        &[("action", "withdraw"), ("client", "shop")],
        &[("action", "password"), ("current", PASSWORD), ("new", NEW)],
    ] {
        for origin in ["https://evil.example", "null", "http://localhost:1"] {
            let refused = browser.post_from(origin, "/account", fields);
            assert_eq!(refused.status, 403, "{origin} {fields:?}");
            assert!(html(&refused).contains("came from another site"));
        }
    }
    assert_eq!(browser.cookie, cookie);
    telephone.renew(&token);
    world.shop().userinfo(tokens["access_token"].as_str().unwrap()).expect(200);
    assert_eq!(browser.post("/account", &[("action", "dance")]).status, 400);
    assert_eq!(browser.post("/account", &[]).status, 400);
}

/// To the second, whoever reads along would learn whether the holder of a token that they copied is ahead of them.
#[test]
fn a_history_tells_no_renewal_before_its_hour_is_over() {
    let mut clock = None;
    let world = World::with(|home| clock = Some(crate::support::MovedClock::of(home)));
    let clock = clock.unwrap();
    let mut browser = signed_in(&world);
    let telephone = world.server.client_from([127, 9, 9, 9], CHROME);
    let (answer, token) = telephone.sign_in();
    let path = format!("/account?view=history&session={}", session(&answer));
    assert!(account(&mut browser).contains(&path.replace('&', "&amp;")));
    clock.set(2 * 3600);
    telephone.renew(&token);
    let shown = html(&browser.get(&path).expect(200));
    assert!(shown.contains("History of Chrome on Windows") && shown.contains("role=\"img\""), "{shown}");
    assert!(shown.contains("Refresh token 1 was issued.") && !shown.contains("so token 2 took its place"), "{shown}");
    clock.set(3 * 3600 + 60);
    let shown = html(&browser.get(&path).expect(200));
    let row = parts(&shown, "<li").into_iter().find(|row| row.contains("so token 2 took its place")).expect("told now");
    assert!(row.contains(":00:00.000Z\">") && row.contains(":00\u{2013}"), "{row}");
    // Ended sessions can be looked at, too.
    let id = session(&answer);
    browser.post("/account", &[("action", "end"), ("session", &id)]);
    let shown = html(&browser.get(&path).expect(200));
    assert!(shown.contains("The session ended: the user ended it from another device."), "{shown}");
}
