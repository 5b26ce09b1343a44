//! Resources: whom tokens are for, what they allow there, and their form.

use regrant_jose::{Jwk, KeyKind};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, encoded, hidden, html, location, parameter},
    support::{EMAIL, Home, PASSWORD},
    world::{VERIFIER, World, refused},
};

const ORDERS: &str = "https://api.example/orders";
const STOCK: &str = "https://api.example/stock";
const BILLS: &str = "https://api.example/bills";

/// Three APIs: writing orders is for clerks; bills are encrypted, to a key that `bills.jwk` has.
fn world() -> World {
    World::with(|home| {
        let key = Jwk::generate(KeyKind::P256).unwrap();
        std::fs::write(home.path("bills.jwk"), &*key.to_private_json()).unwrap();
        std::fs::write(home.path("bills.pub"), key.to_json()).unwrap();
        home.regrant(&["role", "add", "clerk", "--description", "looks after orders"]).ok();
        add(home, ORDERS, &["--scope", "orders:read=see your orders", "--scope", "orders:write=change <your> orders"]);
        add(home, STOCK, &["--scope", "stock:write", "--role", "stock:write=nobody", "--client", "job"]);
        let key = home.path("bills.pub");
        let encrypted = ["--signing-alg", "RS256", "--encryption-key", key.to_str().unwrap()];
        add(home, BILLS, &[&["--scope", "bills"][..], &encrypted].concat());
        // Callbacks of "till" are those of any native client in these tests.
        let till = ["client", "add", "--id", "till", "--type", "public", "--kind", "native", "--redirect-uri"];
        let scope = "openid email orders:read orders:write stock:write bills offline_access";
        home.regrant(&[&till[..], &["http://127.0.0.1/cb", "--scope", scope, "--claim", "display=name"]].concat()).ok();
    })
}

fn add(home: &Home, id: &str, more: &[&str]) {
    let mut arguments = vec!["resource", "add", "--id", id];
    arguments.extend(more);
    if id == ORDERS {
        arguments.extend(["--role", "orders:write=clerk"]);
    }
    home.regrant(&arguments).ok();
}

fn text(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap_or_else(|| panic!("no {name} in {tokens}")).to_owned()
}

/// Where an authorization request of `till` for these resources leads.
#[track_caller]
fn landed(world: &World, browser: &mut Browser, scope: &str, resources: &[&str]) -> String {
    let mut request = world.request("till", &[("scope", scope)]);
    for resource in resources {
        request += &format!("&resource={}", encoded(resource));
    }
    browser.walk(&request)
}

#[track_caller]
fn code(world: &World, browser: &mut Browser, scope: &str, resources: &[&str]) -> String {
    let landed = landed(world, browser, scope, resources);
    parameter(&landed, "code").unwrap_or_else(|| panic!("no code in {landed}"))
}

#[track_caller]
fn tokens(world: &World, browser: &mut Browser, scope: &str, resources: &[&str]) -> Value {
    let code = code(world, browser, scope, resources);
    world.public("till").redeem(&code).expect(200).json()
}

const REDIRECT: [(&str, &str); 2] = [("redirect_uri", "http://127.0.0.1:49152/cb"), ("code_verifier", VERIFIER)];

#[track_caller]
fn refreshed(world: &World, token: &str, more: &[(&str, &str)]) -> Value {
    let fields = [&[("grant_type", "refresh_token"), ("refresh_token", token)], more].concat();
    world.public("till").post("/oauth2/token", &fields).expect(200).json()
}

#[test]
fn a_role_opens_a_scope_and_one_taken_away_is_gone_at_the_next_refresh() {
    let world = world();
    let mut browser = world.browser();
    let role = |verb: &str| world.server.regrant(&["role", verb, "clerk", EMAIL]).ok();
    // Nobody is a clerk yet: what is not allowed is left out, and the reply says so.
    let first = tokens(&world, &mut browser, "openid orders:read orders:write", &[ORDERS]);
    assert_eq!(first["scope"], "openid orders:read");
    assert_eq!(parameter(&landed(&world, &mut browser, "orders:write", &[ORDERS]), "error").unwrap(), "access_denied");
    // A scope that could be had later was not granted then.
    role("grant");
    assert_eq!(refreshed(&world, &text(&first, "refresh_token"), &[])["scope"], "openid orders:read");

    let clerks = tokens(&world, &mut browser, "openid orders:read orders:write", &[ORDERS]);
    assert_eq!(clerks["scope"], "openid orders:read orders:write");
    let claims = world.verified(&text(&clerks, "access_token"), ORDERS);
    assert_eq!(
        (&claims["aud"], &claims["scope"], &claims["roles"]),
        (&json!(ORDERS), &clerks["scope"], &json!(["clerk"]))
    );
    role("revoke");
    let now = refreshed(&world, &text(&clerks, "refresh_token"), &[]);
    assert_eq!(now["scope"], "openid orders:read");
    let claims = world.verified(&text(&now, "access_token"), ORDERS);
    assert_eq!((&claims["scope"], claims.get("roles")), (&json!("openid orders:read"), None));
    // Nothing ended: with the role the scope comes back.
    role("grant");
    let again = refreshed(&world, &text(&now, "refresh_token"), &[]);
    assert_eq!(again["scope"], "openid orders:read orders:write");
    world.public("till").userinfo(&text(&again, "access_token")).expect(200);
    // A role that is removed as a whole, too, and the scope is nobody's then.
    world.server.regrant(&["role", "remove", "clerk"]).ok();
    assert_eq!(refreshed(&world, &text(&again, "refresh_token"), &[])["scope"], "openid orders:read");
}

#[test]
fn a_request_names_its_resources_or_means_one_by_its_scopes() {
    let world = world();
    let mut browser = world.browser();
    for (scope, resources, error) in [
        ("openid", &["https://other.example"][..], "invalid_target"),
        ("openid", &[ORDERS, "https://other.example"], "invalid_target"),
        ("openid", &["orders"], "invalid_target"),
        ("openid", &["https://api.example/orders#x"], "invalid_target"),
        ("stock:write", &[ORDERS], "invalid_scope"),
        ("orders:read bills", &[], "invalid_scope"),
    ] {
        let request = landed(&world, &mut browser, scope, resources);
        assert_eq!(parameter(&request, "error").as_deref(), Some(error), "{scope} {resources:?}");
    }
    let meant = tokens(&world, &mut browser, "openid orders:read", &[]);
    assert_eq!(world.verified(&text(&meant, "access_token"), ORDERS)["aud"], ORDERS);
    let usual = tokens(&world, &mut browser, "openid email", &[]);
    assert_eq!(world.verified(&text(&usual, "access_token"), &world.server.issuer)["aud"], world.server.issuer);
    // For the one and not for the other.
    let narrow = tokens(&world, &mut browser, "openid orders:read bills", &[ORDERS]);
    assert_eq!(narrow["scope"], "openid orders:read");

    let document = world.server.client().get("/.well-known/openid-configuration").send().expect(200).json();
    let has = |list: &str, value: &str| document[list].as_array().unwrap().contains(&json!(value));
    assert!(has("scopes_supported", "orders:write") && has("scopes_supported", "openid"), "{document}");
    assert!(has("protected_resources", BILLS), "{document}");
}

#[test]
fn the_consent_page_says_what_a_resources_scopes_mean() {
    let world = world();
    world.server.regrant(&["role", "grant", "clerk", EMAIL]).ok();
    let mut browser = world.browser();
    let login = browser.get(&world.request("till", &[("scope", "openid orders:write"), ("resource", ORDERS)]));
    let page = browser.get(&location(&login));
    let request = hidden(&page, "request");
    let fields = [("request", request.as_str()), ("identifier", EMAIL), ("password", PASSWORD)];
    let next = location(&browser.post("/login", &fields));
    let next = location(&browser.get(&next));
    let page = html(&browser.get(&next).expect(200));
    assert!(page.contains("<li>change &lt;your&gt; orders</li>"), "{page}");
    assert!(!page.contains("orders:write"), "{page}");
}

#[test]
fn each_token_is_for_the_resource_that_it_was_asked_for_in_its_form() {
    let world = world();
    let mut browser = world.browser();
    let till = world.public("till");
    let all = "openid orders:read bills offline_access";
    let code = code(&world, &mut browser, all, &[ORDERS, BILLS]);
    let redeem = |resource: &str| till.redeem_with(&code, &[&REDIRECT[..], &[("resource", resource)]].concat());
    refused(&redeem(STOCK), 400, "invalid_target");
    // That has not burned the code.
    let tokens = redeem(BILLS).expect(200).json();
    assert_eq!(tokens["scope"], "openid bills offline_access");
    let encrypted = text(&tokens, "access_token");
    let header = world.header(&encrypted);
    assert_eq!((&header["cty"], &header["alg"]), (&json!("JWT"), &json!("ECDH-ES+A256KW")));
    let decrypt = ["jwt", "decrypt", "--jwks", "bills.jwk"];
    let signed = world.server.regrant_reading(&decrypt, &encrypted).ok().out.trim().to_owned();
    let header = world.header(&signed);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("RS256")));
    assert_eq!(world.verified(&signed, BILLS)["scope"], "openid bills offline_access");
    // Only the resource can read it; what is within is a token of ours like any other.
    refused(&till.userinfo(&encrypted), 401, "invalid_token");
    till.userinfo(&signed).expect(200);
    // It is signed by the key of ID tokens, and is none.
    let hint = world.request("till", &[("id_token_hint", &signed), ("prompt", "none")]);
    assert_eq!(parameter(&browser.walk(&hint), "error").as_deref(), Some("invalid_request"));

    // Each refresh may name another of them; what was not granted ends nothing.
    let token = text(&tokens, "refresh_token");
    let ask = |resource: &str| {
        till.post(
            "/oauth2/token",
            &[("grant_type", "refresh_token"), ("refresh_token", &token), ("resource", resource)],
        )
    };
    refused(&ask(STOCK), 400, "invalid_target");
    refused(&ask("https://other.example"), 400, "invalid_target");
    let orders = ask(ORDERS).expect(200).json();
    assert_eq!(orders["scope"], "openid orders:read offline_access");
    assert_eq!(world.verified(&text(&orders, "access_token"), ORDERS)["aud"], ORDERS);
    // None named: both have no form in common, so it is the first.
    let next = refreshed(&world, &text(&orders, "refresh_token"), &[]);
    assert_eq!(world.verified(&text(&next, "access_token"), ORDERS)["aud"], ORDERS);
    let both = [("resource", ORDERS), ("resource", BILLS), ("grant_type", "refresh_token")];
    let token = text(&next, "refresh_token");
    let fields = [&both[..], &[("refresh_token", token.as_str())]].concat();
    refused(&till.post("/oauth2/token", &fields), 400, "invalid_target");

    // One that is removed is no resource any more, within two seconds.
    world.server.regrant(&["resource", "remove", ORDERS]).ok();
    let last = refreshed(&world, &text(&next, "refresh_token"), &[]);
    assert_eq!(last["scope"], "openid bills offline_access");
    let fields = [("grant_type", "refresh_token"), ("resource", ORDERS)];
    let token = text(&last, "refresh_token");
    let fields = [&fields[..], &[("refresh_token", token.as_str())]].concat();
    refused(&till.post("/oauth2/token", &fields), 400, "invalid_target");
    // Nothing is left to get a token for; the grant can still be ended.
    world.server.regrant(&["resource", "remove", BILLS]).ok();
    refused(&till.refresh(&token), 400, "invalid_target");
    till.post("/oauth2/revoke", &[("token", &token)]).expect(200);
    refused(&till.refresh(&token), 400, "invalid_grant");
}

#[test]
fn resources_of_one_form_share_a_token() {
    let world = world();
    let mut browser = world.browser();
    let both = tokens(&world, &mut browser, "openid orders:read", &[ORDERS, STOCK]);
    let claims = world.verified(&text(&both, "access_token"), STOCK);
    assert_eq!((&claims["aud"], &claims["scope"]), (&json!([ORDERS, STOCK]), &json!("openid orders:read")));
    // Introspection: for the client that has it, and the resource's own; not for whose resource it is not.
    let token = text(&both, "access_token");
    let told = world.job().introspect(&token);
    assert_eq!((&told["active"], &told["aud"]), (&json!(true), &json!([ORDERS, STOCK])));
    assert_eq!(world.shop().introspect(&token), json!({"active": false}));
    let only = refreshed(&world, &text(&both, "refresh_token"), &[("resource", ORDERS)]);
    assert_eq!(world.job().introspect(&text(&only, "access_token")), json!({"active": false}));
}

#[test]
fn a_service_has_its_own_scopes_of_a_resource_whatever_the_roles() {
    let world = world();
    let job = world.job();
    let ask =
        |more: &[(&str, &str)]| job.post("/oauth2/token", &[&[("grant_type", "client_credentials")], more].concat());
    let tokens = ask(&[("resource", STOCK)]).expect(200).json();
    assert_eq!(tokens["scope"], "stock:write");
    let claims = world.verified(&text(&tokens, "access_token"), STOCK);
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!(STOCK), &json!("job")));
    assert_eq!(ask(&[("scope", "stock:write")]).expect(200).json()["scope"], "stock:write");
    refused(&ask(&[("resource", STOCK), ("scope", "stock:read")]), 400, "invalid_scope");
    refused(&ask(&[("resource", ORDERS)]), 400, "invalid_scope");
    refused(&ask(&[("resource", "https://other.example")]), 400, "invalid_target");
    refused(&ask(&[("scope", "orders:read")]), 400, "invalid_scope");
}

#[test]
fn a_sign_in_through_the_session_api_can_be_for_a_resource() {
    let world = world();
    let client = world.server.client();
    let sign_in = |audience: &str| {
        let body = json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body", "audience": audience});
        client.post("/session").json(&body).send()
    };
    assert_eq!(sign_in("https://other.example").status, 400);
    let signed = sign_in(BILLS).expect(200);
    let renewed = client.refresh_by_body(&signed.text("/refresh_token")).expect(200);
    for answer in [signed, renewed] {
        let decrypt = ["jwt", "decrypt", "--jwks", "bills.jwk"];
        let token = world.server.regrant_reading(&decrypt, answer.text("/access_token")).ok().out.trim().to_owned();
        assert_eq!(world.header(&token)["alg"], "RS256");
        assert_eq!(world.verified(&token, BILLS)["client_id"], "regrant");
    }
}

#[test]
fn claims_are_told_by_client_and_by_scope() {
    let world = World::with(|home| {
        home.set("REGRANT_TOKENS__CLAIMS", r#"{ display = "phone_number" }"#);
        home.set(
            "REGRANT_TOKENS__SCOPES",
            r#"{ staff = { claims = { country = "address", display = "phone_number" } } }"#,
        );
        let add = ["client", "add", "--type", "public", "--kind", "native", "--redirect-uri", "http://127.0.0.1/cb"];
        let scope = ["--scope", "openid email staff", "--first-party", "--claim"];
        home.regrant(&[&add[..], &scope, &["display=name", "--claim", "email=name", "--id", "desk"]].concat()).ok();
    });
    let mut browser = world.browser();
    let desk = world.public("desk");
    let mut tokens = |scope: &str| {
        let code = world.code(&mut browser, "desk", &[("scope", scope)]);
        desk.redeem(&code).expect(200).json()
    };
    let told = |tokens: &Value| {
        let id = world.verified(&text(tokens, "id_token"), "desk");
        let access = world.verified(&text(tokens, "access_token"), &world.server.issuer);
        let info = desk.userinfo(&text(tokens, "access_token")).expect(200).json();
        [id, access, info]
    };
    let staff = tokens("openid email staff");
    let [id, access, info] = told(&staff);
    for document in [&id, &access, &info] {
        assert_eq!((&document["display"], &document["country"]), (&json!("Ada Lovelace"), &json!({"country": "GB"})));
    }
    // What userinfo tells by a standard's scope is not replaced.
    assert_eq!((&id["email"], &info["email"]), (&json!("Ada Lovelace"), &json!(EMAIL)));
    let renewed = desk.refresh(&text(&staff, "refresh_token")).expect(200).json();
    assert_eq!(world.verified(&text(&renewed, "id_token"), "desk")["country"], json!({"country": "GB"}));
    for document in told(&tokens("openid")) {
        assert_eq!((&document["display"], document.get("country")), (&json!("Ada Lovelace"), None));
    }
    // Another client, and a session: what all access tokens tell, and nothing more.
    let shop = world.shop_tokens(&mut world.browser(), &[]);
    assert_eq!(world.verified(&text(&shop, "access_token"), &world.server.issuer)["display"], "+44");
    assert_eq!(world.verified(&text(&shop, "id_token"), "shop").get("display"), None);
    let document = world.server.client().get("/.well-known/openid-configuration").send().expect(200).json();
    assert!(document["claims_supported"].as_array().unwrap().contains(&json!("country")));
}
