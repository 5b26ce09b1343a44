//! Devices without a keyboard (RFC 8628), as the device and its user meet them.

use serde_json::{Value, json};

use crate::{
    browser::{Browser, hidden, html, location},
    support::{Answer, EMAIL, PASSWORD, assert_members},
    world::{World, refused},
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A world with a television, and the operator's own clock beside it.
fn world() -> World {
    let world = World::new();
    let add = |more: &[&str]| world.server.regrant(&[&["client", "add", "--json"], more].concat()).ok().json();
    let tv = add(&[
        "--id",
        "tv",
        "--type",
        "public",
        "--kind",
        "native",
        "--name",
        "The <TV>",
        "--grant",
        GRANT,
        "--grant",
        "refresh_token",
        "--scope",
        "openid",
        "--scope",
        "profile",
        "--scope",
        "offline_access",
        "--policy-uri",
        "https://tv.example/privacy",
    ]);
    assert_eq!(
        (&tv["grant_types"], &tv["redirect_uris"], &tv["response_types"]),
        (&json!(["refresh_token", GRANT]), &json!([]), &json!([]))
    );
    add(&["--id", "clock", "--type", "public", "--grant", GRANT, "--first-party"]);
    world
}

fn begin(world: &World, id: &'static str, scope: &str) -> Value {
    world.public(id).post("/oauth2/device_authorization", &[("scope", scope)]).expect(200).json()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn ask(world: &World, id: &'static str, begun: &Value) -> Answer {
    world.public(id).post("/oauth2/token", &[("grant_type", GRANT), ("device_code", text(begun, "device_code"))])
}

/// Types a code, and signs in if that is asked for: what comes then.
fn enter(browser: &mut Browser, code: &str) -> Answer {
    let mut next = location(&browser.post("/device", &[("user_code", code)]));
    if next.starts_with("/login?") {
        let page = browser.get(&next).expect(200);
        assert!(!html(&page).contains("The &lt;TV"), "nobody is told whose device it is before they signed in");
        let request = hidden(&page, "request");
        let signed_in = browser.post("/login", &[("request", &request), ("identifier", EMAIL), ("password", PASSWORD)]);
        next = location(&signed_in);
        let looked_up = browser.get(&next);
        if looked_up.status != 303 {
            return looked_up;
        }
        next = location(&looked_up);
    }
    browser.get(&next)
}

fn say(browser: &mut Browser, page: &Answer, decision: &str) -> Answer {
    let request = hidden(page, "request");
    let next = location(&browser.post("/device", &[("request", &request), ("decision", decision)]));
    browser.get(&next).expect(200)
}

#[test]
fn a_device_gets_tokens_once_its_user_allowed_it() {
    let world = world();
    let begun =
        world.public("tv").post("/oauth2/device_authorization", &[("scope", "openid profile unknown")]).expect(200);
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    let begun = begun.json();
    assert_members(
        &begun,
        &["device_code", "user_code", "verification_uri", "verification_uri_complete", "expires_in", "interval"],
    );
    let code = text(&begun, "user_code");
    let uri = format!("{}/device", world.server.issuer);
    assert_eq!(
        (text(&begun, "verification_uri"), &begun["expires_in"], &begun["interval"]),
        (&*uri, &json!(600), &json!(5))
    );
    assert_eq!(text(&begun, "verification_uri_complete"), format!("{uri}?user_code={code}"));
    let letters: Vec<&str> = code.split('-').collect();
    assert!(letters.len() == 2 && letters.iter().all(|half| half.len() == 4), "{code}");
    assert!(!code.contains(['A', 'E', 'I', 'O', 'U', 'Y']), "{code}");
    refused(&ask(&world, "tv", &begun), 400, "authorization_pending");
    refused(&ask(&world, "tv", &begun), 400, "slow_down");

    // The link fills the form in, and does nothing else.
    let mut browser = world.browser();
    let page = browser.get(text(&begun, "verification_uri_complete")).expect(200);
    assert!(html(&page).contains(&format!("value=\"{code}\"")), "{}", html(&page));
    let page = enter(&mut browser, &code.to_lowercase().replace('-', " ")).expect(200);
    let shown = html(&page);
    for part in [
        "Connect The &lt;TV&gt;?",
        code,
        "only if you started this on your own device",
        "see your name",
        EMAIL,
        "https://tv.example/privacy",
        "id=\"allow\"",
        "id=\"deny\"",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let done = say(&mut browser, &page, "allow");
    assert!(html(&done).contains("Your device is connected"), "{}", html(&done));

    let tokens = ask(&world, "tv", &begun).expect(200).json();
    assert_members(&tokens, &["access_token", "token_type", "expires_in", "refresh_token", "id_token", "scope"]);
    assert_eq!(tokens["scope"], "openid profile");
    let id = world.verified(text(&tokens, "id_token"), "tv");
    let access = world.verified(text(&tokens, "access_token"), &world.server.issuer);
    assert_eq!((&access["client_id"], &access["sub"], &access["sid"]), (&json!("tv"), &id["sub"], &id["sid"]));
    assert!(id.get("nonce").is_none() && id["auth_time"].is_i64());
    let told = world.public("tv").userinfo(text(&tokens, "access_token")).expect(200).json();
    assert_eq!(told, json!({"sub": id["sub"], "name": "Ada Lovelace"}));
    let renewed = world.public("tv").refresh(text(&tokens, "refresh_token")).expect(200).json();
    // Somebody has a copy of the code: what it gave ends, as with any code.
    refused(&ask(&world, "tv", &begun), 400, "invalid_grant");
    refused(&world.public("tv").refresh(text(&renewed, "refresh_token")), 400, "invalid_grant");

    let told = world.server.regrant(&["explain", text(&id, "sid")]).ok();
    assert!(told.out.contains("a device was allowed for tv"), "{}", told.out);
    world.server.regrant(&["client", "revoke", "tv", "--user", EMAIL]).ok();
}

#[test]
fn offline_access_outlives_the_sign_in_and_no_is_no() {
    let world = world();
    let mut browser = world.browser();
    let begun = begin(&world, "tv", "openid offline_access");
    let page = enter(&mut browser, text(&begun, "user_code")).expect(200);
    assert!(html(&page).contains("90 days"), "{}", html(&page));
    say(&mut browser, &page, "allow");
    let offline = ask(&world, "tv", &begun).expect(200).json();
    let access = world.verified(text(&offline, "access_token"), &world.server.issuer);
    assert!(access.get("sid").is_none(), "{access}");
    // Asked again, whatever was allowed before; and for the operator's own, too.
    for (id, name) in [("tv", "The &lt;TV&gt;"), ("clock", "clock")] {
        let begun = begin(&world, id, "openid");
        let page = enter(&mut browser, text(&begun, "user_code")).expect(200);
        assert!(html(&page).contains(&format!("Connect {name}?")), "{}", html(&page));
        let done = say(&mut browser, &page, "deny");
        assert!(html(&done).contains("not connected"), "{}", html(&done));
        refused(&ask(&world, id, &begun), 400, "access_denied");
        // What was answered is answered: going back changes nothing.
        let request = hidden(&page, "request");
        let late = browser.post("/device", &[("request", &request), ("decision", "allow")]).expect(400);
        assert!(html(&late).contains("No device waits with this code"));
        refused(&ask(&world, id, &begun), 400, "access_denied");
    }
    // Without the refresh grant there is no refresh token; without a name it has the name of its id.
    let begun = begin(&world, "clock", "openid");
    let page = enter(&mut browser, text(&begun, "user_code")).expect(200);
    say(&mut browser, &page, "allow");
    let tokens = ask(&world, "clock", &begun).expect(200).json();
    assert!(tokens.get("refresh_token").is_none(), "{tokens}");
    // Signed out, the one grant goes on.
    let session = text(&world.verified(text(&tokens, "access_token"), &world.server.issuer), "sid").to_owned();
    world.server.regrant(&["session", "revoke", &session]).ok();
    world.public("tv").refresh(text(&offline, "refresh_token")).expect(200);
}

#[test]
fn who_may_ask_and_for_what() {
    let world = world();
    let path = "/oauth2/device_authorization";
    refused(&world.shop().post(path, &[]), 400, "unauthorized_client");
    refused(&world.public("nobody").post(path, &[]), 401, "invalid_client");
    refused(&world.public("tv").post(path, &[("client_secret", "x")]), 401, "invalid_client");
    refused(&world.public("tv").post(path, &[("scope", "email")]), 400, "invalid_scope");
    refused(&world.public("tv").post(path, &[("resource", "no uri")]), 400, "invalid_target");
    assert_eq!(world.server.client().get(path).send().status, 405);
    let begun = world.public("tv").post(path, &[("resource", "https://api.example")]).expect(200).json();
    let mut browser = world.browser();
    let page = enter(&mut browser, text(&begun, "user_code")).expect(200);
    say(&mut browser, &page, "allow");
    // Only to the client that asked.
    refused(&ask(&world, "clock", &begun), 400, "invalid_grant");
    refused(&world.public("tv").post("/oauth2/token", &[("grant_type", GRANT)]), 400, "invalid_request");
    refused(
        &world.public("tv").post("/oauth2/token", &[("grant_type", GRANT), ("device_code", "made-up")]),
        400,
        "invalid_grant",
    );
    refused(
        &world.shop().post("/oauth2/token", &[("grant_type", GRANT), ("device_code", "made-up")]),
        400,
        "unauthorized_client",
    );
    let tokens = ask(&world, "tv", &begun).expect(200).json();
    assert_eq!(world.verified(text(&tokens, "access_token"), "https://api.example")["client_id"], "tv");
    // The code grant is another one.
    let asked = browser.get("/oauth2/authorize?client_id=tv&response_type=code&redirect_uri=https://tv.example/");
    assert_eq!(asked.status, 400);
    // One that authenticates.
    let add = ["client", "add", "--json", "--id", "box", "--type", "confidential", "--grant", GRANT];
    let secret = text(&world.server.regrant(&add).ok().json(), "client_secret").to_owned();
    refused(&world.public("box").post(path, &[]), 401, "invalid_client");
    world.public("box").post(path, &[("client_secret", &secret)]).expect(200);
    let service = ["client", "add", "--id", "svc", "--type", "service", "--grant", GRANT];
    assert!(world.server.regrant(&service).err.contains("cannot have the grant"));
}

/// RFC 8628 §5.1: nobody tries codes; and nobody learns anything of them without signing in.
#[test]
fn codes_are_not_tried() {
    let world = world();
    let begun = begin(&world, "tv", "openid");
    let mut browser = world.browser();
    // A stranger is sent to sign in, whether there is such a code or not.
    for code in [text(&begun, "user_code"), "ZZZZ-ZZZZ"] {
        assert!(location(&browser.post("/device", &[("user_code", code)])).starts_with("/login?request="), "{code}");
    }
    // What can be none is told at once, and counts for nothing; what was typed stays.
    for _ in 0..6 {
        let page = browser.post("/device", &[("user_code", "BCDF-GH\"1")]).expect(400);
        assert!(html(&page).contains("no whole code") && html(&page).contains("value=\"BCDF-GH&quot;1\""));
    }
    let page = enter(&mut browser, "ZZZZ-ZZZZ").expect(400);
    assert!(html(&page).contains("No device waits"), "{}", html(&page));
    for _ in 0..4 {
        browser.post("/device", &[("user_code", "zzzz zzzz")]).expect(400);
    }
    let limited = browser.post("/device", &[("user_code", text(&begun, "user_code"))]).expect(429);
    assert!(limited.header("retry-after").is_some() && html(&limited).contains("went wrong too often"));
    assert!(!html(&limited).contains("The &lt;TV"));
}

/// Nothing is allowed in somebody's name by another site, by another person's page, or by a link.
#[test]
fn only_who_found_the_code_on_our_own_page_answers() {
    let world = world();
    let begun = begin(&world, "tv", "openid");
    let mut browser = world.browser();
    let page = enter(&mut browser, text(&begun, "user_code")).expect(200);
    let request = hidden(&page, "request");
    let evil = browser.post_from("https://evil.example", "/device", &[("request", &request), ("decision", "allow")]);
    assert_eq!(evil.status, 403);
    // Somebody else with the same page: they have to find it themselves; without a sign-in it begins with that.
    let mut stranger = browser.stranger();
    let answer = stranger.post("/device", &[("request", &request), ("decision", "allow")]);
    let next = location(&answer);
    assert!(next.starts_with("/device?request="), "{next}");
    assert!(location(&stranger.get(&next)).starts_with("/login?request="));
    for broken in ["", "x", "x.y", &request[..request.len() - 2]] {
        let answer = browser.post("/device", &[("request", broken), ("decision", "allow")]);
        assert_eq!(answer.status, 400, "{broken}");
        assert_eq!(browser.get(&format!("/device?request={broken}")).status, if broken.is_empty() { 200 } else { 400 });
    }
    refused(&ask(&world, "tv", &begun), 400, "authorization_pending");
    // A stranger's link shows no more than the form, and is no attempt, to whoever is signed in.
    let link = location(&stranger.post("/device", &[("user_code", text(&begun, "user_code"))]));
    let link = link.replace("/login?", "/device?");
    for _ in 0..6 {
        let page = browser.get(&link).expect(200);
        assert!(html(&page).contains("name=\"user_code\"") && !html(&page).contains("id=\"allow\""));
    }
    enter(&mut browser, text(&begun, "user_code")).expect(200);
    // What waits at /login for a device is nothing at the authorization endpoint, nor the other way round.
    assert_eq!(browser.get(&format!("/oauth2/authorize?resume={request}")).status, 400);
    let waiting = location(&stranger.get(&world.request("shop", &[])));
    let waiting = waiting.split_once("request=").unwrap().1;
    assert_eq!(browser.get(&format!("/device?request={waiting}")).status, 400);
}
