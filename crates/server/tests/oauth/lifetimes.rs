//! Lifetimes of each kind of client and of each client; a change acts at the next refresh.

use serde_json::Value;

use crate::{
    support::seconds_between,
    world::{World, refused},
};

/// The deadlines of an application's grant, as its refresh token is explained: idle from its last renewal, absolute from its
/// issue, in seconds.
fn deadlines(world: &World, tokens: &Value) -> (i64, i64) {
    let token = tokens["refresh_token"].as_str().unwrap();
    let explained = world.server.regrant_reading(&["--json", "explain", "-"], token).ok().json();
    let grant = &explained["grant"];
    (
        seconds_between(&grant["last_used_at"], &grant["idle_expires_at"]),
        seconds_between(&grant["issued_at"], &grant["absolute_expires_at"]),
    )
}

const DAY: i64 = 24 * 60 * 60;

#[test]
fn each_kind_of_client_and_each_client_has_lifetimes_of_its_own() {
    let world = World::with(|home| {
        home.set("REGRANT_SESSION__NATIVE_IDLE", "20d");
        home.set("REGRANT_SESSION__OFFLINE_IDLE", "50d");
        home.set("REGRANT_SESSION__OFFLINE_ABSOLUTE", "200d");
    });
    let add = |more: &[&str]| {
        drop(world.server.regrant(&[&["client", "add", "--type", "public", "--first-party"], more].concat()).ok())
    };
    add(&[
        "--id",
        "brief",
        "--redirect-uri",
        "https://own.example/cb",
        "--access-lifetime",
        "2m",
        "--idle",
        "1h",
        "--absolute",
        "2h",
    ]);
    let mut browser = world.browser();
    // Browser: the server's seven days, never longer than the session's thirty.
    let own = world.public("own").redeem(&world.code(&mut browser, "own", &[])).expect(200).json();
    let (idle, absolute) = deadlines(&world, &own);
    assert_eq!(idle, 7 * DAY);
    assert!((29 * DAY..=30 * DAY).contains(&absolute), "{absolute}");
    // Native: its own idle lifetime, and the session's end.
    let tool = world.public("tool").redeem(&world.code(&mut browser, "tool", &[])).expect(200).json();
    let (idle, absolute) = deadlines(&world, &tool);
    assert_eq!(idle, 20 * DAY);
    assert!(absolute <= 30 * DAY);
    // Offline: not the session's.
    let offline = world.shop_tokens(&mut browser, &[("scope", "openid offline_access")]);
    assert_eq!(deadlines(&world, &offline), (50 * DAY, 200 * DAY));
    let claims = world.verified(offline["access_token"].as_str().unwrap(), &world.server.issuer);
    assert_eq!(claims.get("sid"), None);
    // This client's own.
    let landed = browser.walk(&world.request("own", &[("client_id", "brief")]));
    let code = crate::browser::parameter(&landed, "code").unwrap();
    let fields =
        [("client_id", "brief"), ("redirect_uri", "https://own.example/cb"), ("code_verifier", crate::world::VERIFIER)];
    let body =
        crate::browser::form(&[&[("grant_type", "authorization_code"), ("code", code.as_str())], &fields[..]].concat());
    let client = world.server.client();
    let tokens = client.post("/oauth2/token").body("application/x-www-form-urlencoded", body).send().expect(200).json();
    assert_eq!(tokens["expires_in"], 120);
    assert_eq!(deadlines(&world, &tokens), (3600, 7200));
    let claims = world.verified(tokens["access_token"].as_str().unwrap(), &world.server.issuer);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
}

const SHOP: &str =
    "[clients.web]\ntype = \"public\"\nfirst_party = true\nredirect_uris = [\"https://own.example/cb\"]\n";

#[test]
fn a_clients_changed_lifetime_acts_at_its_next_refresh() {
    let mut world = World::new();
    let file = world.server.path("regrant.toml");
    let issuer = world.server.issuer.clone();
    let home = (*world.server).clone();
    let restart = |world: &mut World, text: &str| {
        world.server.stop();
        std::fs::write(&file, text).unwrap();
        world.server = home.serve_with(&["--issuer", &issuer]);
    };
    restart(&mut world, SHOP);
    let mut browser = world.browser();
    let landed = browser.walk(&world.request("own", &[("client_id", "web")]));
    let code = crate::browser::parameter(&landed, "code").unwrap();
    let post = |world: &World, fields: &[(&str, &str)]| {
        let body = crate::browser::form(&[&[("client_id", "web")], fields].concat());
        world
            .server
            .client_from([127, 3, 0, 1], crate::support::FIREFOX)
            .post("/oauth2/token")
            .body("application/x-www-form-urlencoded", body)
            .send()
    };
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "https://own.example/cb"),
        ("code_verifier", crate::world::VERIFIER),
    ];
    let first = post(&world, &fields).expect(200).json();
    assert_eq!((deadlines(&world, &first).0, &first["expires_in"]), (7 * DAY, &Value::from(900)));
    let refresh = |world: &World, tokens: &Value| {
        post(world, &[("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())])
    };
    restart(&mut world, &format!("{SHOP}idle = \"1h\"\naccess_lifetime = \"1m\"\nabsolute = \"2d\"\n"));
    let second = refresh(&world, &first).expect(200).json();
    assert_eq!((deadlines(&world, &second), &second["expires_in"]), ((3600, 2 * DAY), &Value::from(60)));
    restart(&mut world, &format!("{SHOP}absolute = \"1s\"\nidle = \"1s\"\n"));
    crate::support::eventually("a second has passed", || {
        let over = refresh(&world, &second);
        (over.status == 400).then(|| refused(&over, 400, "invalid_grant"))
    });
    // The session is another matter.
    let mut browser = {
        let kept = browser.cookie;
        let mut same = world.browser();
        same.cookie = kept;
        same
    };
    assert!(crate::browser::location(&browser.get(&world.request("own", &[]))).contains("code="));
    let listed = world.server.regrant(&["--json", "session", "list"]).ok().json();
    let session = &listed[0];
    assert_eq!(seconds_between(&session["created_at"], &session["absolute_expires_at"]), 30 * DAY);
}
