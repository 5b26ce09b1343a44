//! Signing out, by an application and by oneself.

use crate::{
    browser::{form, hidden, html, location},
    world::{World, refused},
};

const BYE: &str = "https://shop.example/bye";

/// RP-Initiated Logout §2: an ID token that has expired says as well whose session it was.
#[test]
fn an_expired_id_token_is_a_good_hint() {
    let world = World::with(|home| home.set("REGRANT_TOKENS__ACCESS_LIFETIME", "1s"));
    let mut browser = world.browser();
    let tokens = world.shop_tokens(&mut browser, &[]);
    crate::support::eventually("the ID token expires", || {
        (world.shop().userinfo(tokens["access_token"].as_str().unwrap()).status == 401).then_some(())
    });
    let fields = [("id_token_hint", tokens["id_token"].as_str().unwrap()), ("post_logout_redirect_uri", BYE)];
    assert_eq!(location(&browser.get(&request(&fields))), BYE);
    refused(&world.shop().refresh(tokens["refresh_token"].as_str().unwrap()), 400, "invalid_grant");
}

fn request(fields: &[(&str, &str)]) -> String {
    format!("/oauth2/logout?{}", form(fields))
}

#[test]
fn an_application_that_knows_the_session_ends_it_at_once() {
    let world = World::new();
    let mut browser = world.browser();
    let tokens = world.shop_tokens(&mut browser, &[]);
    let own = world.public("own").redeem(&world.code(&mut browser, "own", &[])).expect(200).json();
    let hint = tokens["id_token"].as_str().unwrap();
    let fields = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE), ("state", "s 1")];
    // A POST, as a GET.
    let posted =
        world.server.client().post("/oauth2/logout").body("application/x-www-form-urlencoded", form(&fields)).send();
    assert_eq!(location(&browser.get(&location(&posted))), format!("{BYE}?state=s%201"));
    assert_eq!(browser.cookie, None);
    // Everybody's tokens of that sign-in are over.
    refused(&world.shop().refresh(tokens["refresh_token"].as_str().unwrap()), 400, "invalid_grant");
    refused(&world.public("own").refresh(own["refresh_token"].as_str().unwrap()), 400, "invalid_grant");
    refused(&world.shop().userinfo(tokens["access_token"].as_str().unwrap()), 401, "invalid_token");
    // Never a dead end: once more leads to the same place.
    assert_eq!(location(&browser.get(&request(&fields))), format!("{BYE}?state=s%201"));
    assert!(html(&browser.get("/oauth2/logout").expect(200)).contains("You are signed out"));
}

#[test]
fn without_proof_the_person_is_asked() {
    let world = World::new();
    let mut browser = world.browser();
    let tokens = world.shop_tokens(&mut browser, &[]);
    let to = location(&browser.get(&request(&[("client_id", "shop"), ("post_logout_redirect_uri", BYE)])));
    let page = browser.get(&to).expect(200);
    assert!(html(&page).contains("Do you want to sign out?"), "{}", html(&page));
    world.shop().userinfo(tokens["access_token"].as_str().unwrap()).expect(200);
    let done = browser.post("/logout", &[("request", &hidden(&page, "request"))]);
    assert_eq!(location(&done), BYE);
    refused(&world.shop().userinfo(tokens["access_token"].as_str().unwrap()), 401, "invalid_token");
    // Another's hint is none for this session: the next one is asked as well.
    world.shop_tokens(&mut browser, &[]);
    let to = location(&browser.get(&request(&[("id_token_hint", tokens["id_token"].as_str().unwrap())])));
    assert!(to.starts_with("/logout?request="), "{to}");
    assert!(html(&browser.post("/logout", &[])).contains("You are signed out"));
}

#[test]
fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let world = World::new();
    let mut browser = world.browser();
    let tokens = world.shop_tokens(&mut browser, &[]);
    let hint = tokens["id_token"].as_str().unwrap();
    for fields in [
        &[("post_logout_redirect_uri", BYE)][..],
        &[("post_logout_redirect_uri", BYE), ("client_id", "nobody")],
        &[("post_logout_redirect_uri", BYE), ("client_id", "own")],
        &[("post_logout_redirect_uri", BYE), ("id_token_hint", "a.b.c")],
        &[("post_logout_redirect_uri", "https://evil.example/"), ("id_token_hint", hint)],
        &[("post_logout_redirect_uri", "https://shop.example/bye/"), ("client_id", "shop")],
    ] {
        let answer = browser.get(&request(fields));
        assert_eq!((answer.status, answer.header("location")), (400, None));
        assert!(html(&answer).contains("post_logout_redirect_uri"), "{}", html(&answer));
    }
    let other = browser.get(&request(&[("id_token_hint", hint), ("client_id", "own")]));
    assert!(other.status == 400 && html(&other).contains("client_id"));
    world.shop().userinfo(tokens["access_token"].as_str().unwrap()).expect(200);
}
