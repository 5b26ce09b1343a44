//! The admin API: who may, every verb, pages that shift nothing, and changes that only apply to what was seen.

use serde_json::{Value, json};

use crate::{
    browser::parameter,
    support::{Answer, Client, EMAIL, PASSWORD, assert_members},
    world::{World, refused},
};

const SCOPE: &str = "openid regrant:admin";

/// Somebody who administers with a token.
struct Administrator {
    client: Client,
    token: String,
}

impl Administrator {
    fn send(&self, method: &str, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Answer {
        let mut call = self.client.call(method, path).bearer(&self.token);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        if let Some(body) = body {
            call = call.json(&body);
        }
        call.send()
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, &[])
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(body), &[])
    }

    fn put(&self, path: &str) -> Answer {
        self.send("PUT", path, None, &[])
    }

    fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None, &[])
    }

    #[track_caller]
    fn items(&self, path: &str) -> Vec<Value> {
        let page = self.get(path).expect(200).json();
        assert_members(&page, &["items", "next"]);
        page["items"].as_array().unwrap().clone()
    }

    /// Adds a user; the id.
    #[track_caller]
    fn user(&self, identifier: &str) -> String {
        text(&self.post("/admin/users", json!({"identifier": identifier})).expect(201).json(), "id")
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

/// A world whose Ada is an administrator, and she.
fn world() -> (World, Administrator) {
    let world = World::new();
    world.server.regrant(&["role", "add", "admin"]).ok();
    world.server.regrant(&["role", "grant", "admin", EMAIL]).ok();
    let administrator = by_session(&world);
    (world, administrator)
}

/// By the session API.
fn by_session(world: &World) -> Administrator {
    let client = world.server.client();
    let asked = json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body", "scope": SCOPE});
    let token = client.post("/session").json(&asked).send().expect(200).text("/access_token");
    Administrator { client, token }
}

fn ids(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|item| text(item, name)).collect()
}

#[test]
fn only_administrators_may_and_only_as_long_as_they_are() {
    let (world, admin) = world();
    admin.get("/admin/users").expect(200);
    let client = world.server.client();
    let with = |token: &str| client.get("/admin/users").bearer(token).send();
    let none = client.get("/admin/users").send().refused(401, "not_signed_in", None);
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    with("made-up").refused(401, "invalid_token", None);
    // A cookie is nothing here, not even an administrator's.
    let asked = json!({"identifier": EMAIL, "password": PASSWORD, "scope": SCOPE});
    let cookie = client.post("/session").json(&asked).send().expect(200).cookie();
    client.get("/admin/users").cookie(&cookie).send().refused(401, "not_signed_in", None);
    // No other page may read it.
    let crossed = client.get("/admin/users").bearer(&admin.token).header("Origin", "https://app.example").send();
    assert_eq!(crossed.expect(200).header("access-control-allow-origin"), None);

    // The scope is needed, and the audience is ours.
    let plain = client.sign_in_by_body().0.text("/access_token");
    let refused = with(&plain).refused(403, "insufficient_scope", None);
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"regrant:admin\"")
    );
    let asked = json!({
        "identifier": EMAIL, "password": PASSWORD, "delivery": "body", "scope": SCOPE, "audience": "https://api.example",
    });
    let elsewhere = client.post("/session").json(&asked).send().expect(200).text("/access_token");
    with(&elsewhere).refused(401, "invalid_token", None);

    // By an application, if its own scope has it: as long as its grant lives.
    let mut browser = world.browser();
    let landed = browser.walk(&world.request("own", &[("scope", SCOPE)]));
    let tokens = world.public("own").redeem(&parameter(&landed, "code").unwrap()).expect(200).json();
    assert_eq!(tokens["scope"], SCOPE);
    with(&text(&tokens, "access_token")).expect(200);
    world.public("own").post("/oauth2/revoke", &[("token", &text(&tokens, "refresh_token"))]).expect(200);
    with(&text(&tokens, "access_token")).refused(401, "invalid_token", None);

    // The role goes, and the power at once; no new token has the scope. It comes back, and so does the power.
    world.server.regrant(&["role", "revoke", "admin", EMAIL]).ok();
    with(&admin.token).refused(403, "insufficient_scope", None);
    let landed = browser.walk(&world.request("own", &[("scope", SCOPE)]));
    let tokens = world.public("own").redeem(&parameter(&landed, "code").unwrap()).expect(200).json();
    assert_eq!(tokens["scope"], "openid");
    let asked = json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body", "scope": SCOPE});
    client.post("/session").json(&asked).send().refused(400, "invalid_scope", None);
    world.server.regrant(&["role", "grant", "admin", EMAIL]).ok();
    with(&admin.token).expect(200);
    // The session ends, and nothing of it works.
    let session = text(&world.verified(&admin.token, &world.server.issuer), "sid");
    world.server.regrant(&["session", "revoke", &session]).ok();
    with(&admin.token).refused(401, "invalid_token", None);
}

#[test]
fn a_service_may_if_its_scopes_say_so_and_it_asks() {
    let (world, admin) = world();
    let secret_of = |id: &str, scope: &str| {
        let asked = json!({"client_id": id, "client_type": "service", "scope": scope});
        text(&admin.post("/admin/clients", asked).expect(201).json(), "client_secret")
    };
    let token = |id: &str, secret: &str, scope: &str| {
        let mut fields = vec![("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        if !scope.is_empty() {
            fields.push(("scope", scope));
        }
        let call = world.server.client().post("/oauth2/token");
        call.body("application/x-www-form-urlencoded", crate::browser::form(&fields)).send()
    };
    let (keeper, other) = (secret_of("keeper", "stock:read regrant:admin"), secret_of("other", "stock:read"));
    refused(&token("other", &other, "regrant:admin"), 400, "invalid_scope");
    let silent = token("keeper", &keeper, "").expect(200).json();
    assert_eq!(silent["scope"], "stock:read", "power is asked for");
    let granted = token("keeper", &keeper, "regrant:admin").expect(200).text("/access_token");
    let service = Administrator { client: world.server.client(), token: granted };
    let id = service.user("made@example.com");
    let created = &service.items(&format!("/admin/events?user={id}"))[0];
    assert_eq!((&created["kind"], &created["actor"]), (&json!("user.created"), &json!("service")));
    let silent = Administrator { client: world.server.client(), token: text(&silent, "access_token") };
    silent.get("/admin/users").refused(403, "insufficient_scope", None);
    admin.delete("/admin/clients/keeper").expect(204);
    crate::support::eventually("the client is gone", || (service.get("/admin/users").status == 401).then_some(()));
}

#[test]
fn users_and_roles_are_looked_after_in_the_administrators_name() {
    let (world, admin) = world();
    let me = text(&world.verified(&admin.token, &world.server.issuer), "sub");
    let added = admin.post(
        "/admin/users",
        json!({"identifier": "Bob@example.com", "password": PASSWORD, "claims": {"name": "Bob"}, "roles": []}),
    );
    let bob = added.expect(201);
    let id = text(&bob.json(), "id");
    let place = format!("/admin/users/{id}");
    assert_eq!(bob.header("location"), Some(place.as_str()));
    assert_members(
        &bob.json(),
        &["id", "email", "username", "claims", "roles", "disabled", "has_password", "created_at"],
    );
    assert_eq!(admin.get(&place).expect(200).json(), bob.json());
    assert_eq!(admin.items("/admin/users?identifier=bob%40example.com"), [bob.json()]);
    assert_eq!(admin.items("/admin/users?identifier=nobody"), Vec::<Value>::new());
    admin.post("/admin/users", json!({"identifier": "bob@example.com"})).refused(409, "declined", None);
    admin.post("/admin/users", json!({"identifier": "a b"})).refused(400, "invalid_request", None);
    admin.post("/admin/users", json!({"identifier": "carl", "odd": 1})).refused(400, "invalid_request", None);
    admin.post("/admin/users", json!({"identifier": "carl", "password": "short"})).refused(409, "declined", None);
    admin.post("/admin/users", json!({"identifier": "carl", "roles": ["none"]})).refused(409, "declined", None);

    let role = admin.post("/admin/roles", json!({"name": "editor"})).expect(201);
    assert_eq!(
        (role.header("location"), role.json()),
        (Some("/admin/roles/editor"), json!({"name": "editor", "users": 0}))
    );
    admin.post("/admin/roles", json!({"name": "editor"})).refused(409, "declined", None);
    admin.post("/admin/roles", json!({"name": "an editor"})).refused(400, "invalid_request", None);
    admin.put(&format!("{place}/roles/editor")).expect(204);
    admin.put(&format!("{place}/roles/editor")).expect(204);
    admin.put(&format!("{place}/roles/none")).refused(404, "not_found", None);
    assert_eq!(admin.get(&place).expect(200).json()["roles"], json!(["editor"]));
    assert_eq!(ids(&admin.items("/admin/roles"), "name"), ["admin", "editor"]);
    assert_eq!(admin.get("/admin/roles/editor").expect(200).json()["users"], 1);
    admin.delete(&format!("{place}/roles/editor")).expect(204);
    admin.delete("/admin/roles/editor").expect(204);
    admin.delete("/admin/roles/editor").refused(404, "not_found", None);

    let as_bob = || {
        let asked = json!({"identifier": "bob@example.com", "password": PASSWORD, "delivery": "body"});
        world.server.client().post("/session").json(&asked).send()
    };
    let token = as_bob().expect(200).text("/refresh_token");
    let change = |disabled: bool| admin.send("PATCH", &place, Some(json!({"disabled": disabled})), &[]);
    assert_eq!(change(true).expect(200).json()["disabled"], true);
    world.server.client().refresh_by_body(&token).over("ended");
    as_bob().refused(401, "invalid_credentials", None);
    assert_eq!(change(false).expect(200).json()["disabled"], false);
    as_bob().expect(200);
    let password =
        |password: &str| admin.send("PUT", &format!("{place}/password"), Some(json!({"password": password})), &[]);
    password("short").refused(409, "declined", None);
    password("another good pass phrase").expect(204);
    as_bob().refused(401, "invalid_credentials", None);

    // Everything is in the timeline, in the administrator's name; and by the command line in the operator's.
    let told = admin.items(&format!("/admin/events?user={id}&limit=200"));
    let by_me: Vec<String> =
        told.iter().filter(|event| event["actor"] == me).map(|event| text(event, "kind")).collect();
    assert_eq!(
        by_me,
        [
            "user.password_changed",
            "session.ended",
            "user.enabled",
            "user.disabled",
            "session.ended",
            "role.revoked",
            "role.granted",
            "user.created",
        ]
    );
    let explained = admin.get(&format!("/admin/explain/{id}")).expect(200).json();
    assert_eq!((&explained["subject"]["kind"], &explained["identifier"]), (&json!("user"), &json!("Bob@example.com")));
    admin.delete(&place).expect(204);
    admin.get(&place).refused(404, "not_found", None);
    admin.delete(&place).refused(404, "not_found", None);
    for odd in ["bob%40example.com", "usr_1", "%ff", "ses_0190000000007000800000000000000a"] {
        admin.get(&format!("/admin/users/{odd}")).refused(404, "not_found", None);
        admin.get(&format!("/admin/explain/{odd}")).refused(404, "not_found", None);
    }
    // A token in an address would be in every log.
    admin.get(&format!("/admin/explain/{}", admin.token)).refused(404, "not_found", None);
}

#[test]
fn resources_come_change_and_go() {
    let (_world, admin) = world();
    let orders = json!({"id": "https://orders.example", "scopes": [{"name": "orders:read", "roles": ["editor"]}]});
    let added = admin.post("/admin/resources", orders.clone()).expect(201);
    let place = "/admin/resources/https%3A%2F%2Forders.example";
    assert_eq!(added.header("location"), Some(place));
    admin.post("/admin/resources", orders.clone()).refused(409, "declined", None);
    admin.post("/admin/resources", json!({"id": "orders"})).refused(400, "invalid_request", None);
    let same = json!({"client_id": "https://orders.example", "client_type": "service"});
    admin.post("/admin/clients", same).refused(409, "declined", None);
    let seen = admin.get(place).expect(200);
    assert_eq!(seen.json()["scopes"], orders["scopes"]);
    let tag = seen.header("etag").unwrap().to_owned();
    let next = json!({"name": "Orders", "signing_alg": "RS256"});
    let replaced = admin.send("PUT", place, Some(next.clone()), &[("if-match", tag.as_str())]).expect(200).json();
    assert_eq!((&replaced["name"], &replaced["signing_alg"]), (&json!("Orders"), &json!("RS256")));
    admin.send("PUT", place, Some(next.clone()), &[("if-match", tag.as_str())]).refused(
        412,
        "precondition_failed",
        None,
    );
    admin.send("PUT", "/admin/resources/urn%3Ax", Some(next.clone()), &[]).refused(404, "not_found", None);
    assert_eq!(ids(&admin.items("/admin/resources"), "id"), ["https://orders.example"]);
    admin.delete(place).expect(204);
    admin.delete(place).refused(404, "not_found", None);
}

#[test]
fn clients_are_looked_after_in_the_standards_words() {
    let (_world, admin) = world();
    let asked = json!({
        "client_id": "https://app.example/1",
        "client_type": "confidential",
        "client_name": "An Application",
        "redirect_uris": ["https://app.example/cb"],
        "grant_types": ["authorization_code"],
        "scope": "openid profile",
        "token_endpoint_auth_method": "client_secret_post",
        "require_pkce": false,
        "first_party": true,
        "access_token_lifetime": 60,
    });
    let added = admin.post("/admin/clients", asked.clone()).expect(201);
    let place = "/admin/clients/https%3A%2F%2Fapp.example%2F1";
    assert_eq!(added.header("location"), Some(place));
    let client = added.json();
    for (name, value) in asked.as_object().unwrap() {
        assert_eq!(client[name], *value, "{name}");
    }
    let secret = text(&client, "client_secret");
    assert_eq!(client["response_types"], json!(["code"]));
    let shown = admin.get(place).expect(200).json();
    assert!(shown.get("client_secret").is_none() && !shown.to_string().contains(&secret), "{shown}");
    admin.post("/admin/clients", asked).refused(409, "declined", None);
    for wrong in [
        json!({"client_id": "x", "client_type": "odd"}),
        json!({"client_id": "x", "client_type": "public"}),
        json!({"client_id": "regrant", "client_type": "service"}),
        json!({"client_id": "x", "client_type": "service", "redirect_uris": ["https://a.example/"]}),
        json!({"client_type": "service"}),
    ] {
        admin.post("/admin/clients", wrong).refused(400, "invalid_request", None);
    }
    let rotated = admin.post(&format!("{place}/rotate-secret"), json!({"keep": 5})).expect(200).json();
    assert_ne!(text(&rotated, "client_secret"), secret);
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2);
    admin.send("POST", "/admin/clients/own/rotate-secret", None, &[]).refused(409, "declined", None);
    assert_eq!(
        ids(&admin.items("/admin/clients"), "client_id"),
        ["https://app.example/1", "job", "own", "shop", "tool"]
    );
    admin.delete(place).expect(204);
    admin.get(place).refused(404, "not_found", None);
    admin.get("/admin/clients/nobody").refused(404, "not_found", None);
}

#[test]
fn sessions_grants_and_consents_are_seen_and_ended() {
    let (world, admin) = world();
    let me = text(&world.verified(&admin.token, &world.server.issuer), "sub");
    let mut browser = world.browser();
    let online = world.shop_tokens(&mut browser, &[]);
    let offline = world.shop_tokens(&mut browser, &[("scope", "openid offline_access"), ("prompt", "consent")]);
    let grants = admin.items(&format!("/admin/grants?user={me}"));
    assert_members(
        &grants[0],
        &[
            "id",
            "user_id",
            "client_id",
            "session_id",
            "kind",
            "scope",
            "audience",
            "generation",
            "issued_at",
            "last_used_at",
            "idle_expires_at",
            "absolute_expires_at",
        ],
    );
    assert_eq!(ids(&grants, "kind"), ["browser", "offline"]);
    assert_eq!((&grants[1]["session_id"], &grants[1]["absolute_expires_at"]), (&Value::Null, &Value::Null));
    assert_eq!(admin.items(&format!("/admin/grants?user={me}&client=shop")).len(), 2);
    assert_eq!(admin.items(&format!("/admin/grants?user={me}&client=own")).len(), 0);
    let consents = admin.items(&format!("/admin/consents?user={me}"));
    assert_eq!(ids(&consents, "client_id"), ["shop"]);
    for path in [
        "/admin/sessions?user=",
        "/admin/grants",
        "/admin/grants?user=ada",
        "/admin/consents",
        "/admin/events",
        "/admin/events?user=x",
    ] {
        admin.get(path).refused(400, "invalid_request", None);
    }

    let sid = text(&world.verified(&text(&online, "id_token"), "shop"), "sid");
    let place = format!("/admin/sessions/{sid}");
    let shown = admin.get(&place).expect(200).json();
    assert_eq!((&shown["state"], &shown["user_id"]), (&json!("alive"), &json!(me)));
    let listed = admin.items(&format!("/admin/sessions?user={me}"));
    assert!(ids(&listed, "id").contains(&sid), "{listed:?}");
    admin.delete(&place).expect(204);
    admin.delete(&place).refused(409, "declined", None);
    refused(&world.shop().refresh(&text(&online, "refresh_token")), 400, "invalid_grant");
    let offline = world.shop().refresh(&text(&offline, "refresh_token")).expect(200).json();
    assert!(!ids(&admin.items("/admin/sessions"), "id").contains(&sid));
    assert!(ids(&admin.items("/admin/sessions?ended=true"), "id").contains(&sid));
    let ended = admin.get(&format!("/admin/explain/{sid}")).expect(200).json();
    let last = ended["timeline"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["kind"], &last["actor"]), (&json!("session.ended"), &json!(me)));
    assert_eq!(ended["reason"], "revoked_by_admin");

    let path = format!("/admin/consents?user={me}&client=");
    admin.delete(&format!("{path}shop")).expect(204);
    admin.delete(&format!("{path}shop")).expect(204);
    admin.delete(&format!("{path}nobody")).refused(404, "not_found", None);
    admin.delete(&path).refused(400, "invalid_request", None);
    refused(&world.shop().refresh(&text(&offline, "refresh_token")), 400, "invalid_grant");
    assert!(admin.items(&format!("/admin/grants?user={me}")).is_empty());

    let bob = admin.post("/admin/users", json!({"identifier": "bob", "password": PASSWORD})).expect(201).text("/id");
    for _ in 0..3 {
        let asked = json!({"identifier": "bob", "password": PASSWORD, "delivery": "body"});
        world.server.client().post("/session").json(&asked).send().expect(200);
    }
    let all = format!("/admin/sessions?user={bob}");
    assert_eq!(admin.items(&all).len(), 3);
    assert_eq!(admin.delete(&all).expect(200).json(), json!({"revoked": 3}));
    assert!(admin.items(&all).is_empty());
    admin.delete("/admin/sessions").refused(400, "invalid_request", None);
    assert_eq!(admin.get(&place).expect(200).json()["logouts"], json!([]));
}

#[test]
fn keys_are_rotated_and_taken_away() {
    let (world, admin) = world();
    let me = text(&world.verified(&admin.token, &world.server.issuer), "sub");
    let keys = admin.items("/admin/keys");
    assert!(keys.iter().any(|key| key["kind"] == "refresh") && keys.iter().any(|key| key["algorithm"] == "ES256"));
    let made = admin.post("/admin/keys/rotate", json!({"kind": "signing"})).expect(200).json();
    let waiting = text(&made["keys"][0], "id");
    admin.post("/admin/keys/rotate", json!({"kind": "signing"})).refused(409, "declined", None);
    admin.post("/admin/keys/rotate", json!({"kind": "odd"})).refused(400, "invalid_request", None);
    let retired = admin.post(&format!("/admin/keys/{waiting}/retire"), json!({"kind": "signing"})).expect(200).json();
    assert_eq!((&retired["retired"], &retired["compromised"]), (&json!(waiting), &json!(false)));
    admin.post("/admin/keys/nothing/retire", json!({"kind": "signing"})).refused(404, "not_found", None);
    let refresh = admin.post("/admin/keys/rotate", json!({"kind": "refresh"})).expect(200).json();
    assert_eq!((&refresh["id"], &refresh["state"]), (&json!("2"), &json!("active")));
    // In whose name, the audit stream and the timeline of the store say.
    let told = world.server.regrant(&["--json", "key", "list"]).ok().json();
    assert!(told.as_array().unwrap().iter().any(|key| key["id"] == "2"), "{told}");
    assert!(me.starts_with("usr_"));
}

/// Whoever is added or removed between two pages shifts nobody: each that was there all the time is seen once.
#[test]
fn pages_shift_nothing() {
    let (_world, admin) = world();
    let mut expected: Vec<String> = (0..7).map(|n| admin.user(&format!("user{n}@example.com"))).collect();
    let (mut seen, mut next) = (Vec::new(), "/admin/users?limit=2".to_owned());
    let mut pages = 0;
    loop {
        let answer = admin.get(&next).expect(200);
        let page = answer.json();
        seen.extend(ids(page["items"].as_array().unwrap(), "id"));
        pages += 1;
        let Some(following) = page["next"].as_str() else {
            assert_eq!(answer.header("link"), None);
            break;
        };
        assert_eq!(answer.header("link"), Some(format!("<{following}>; rel=\"next\"").as_str()));
        assert!(following.starts_with("/admin/users?limit=2&after="), "{following}");
        next = following.to_owned();
        if pages == 2 {
            // Behind where we are, and before.
            admin.delete(&format!("/admin/users/{}", seen[1])).expect(204);
            expected.push(admin.user("late@example.com"));
        }
    }
    // Ada is the first.
    assert_eq!(&seen[1..], expected, "{seen:?}");
    assert_eq!(pages, 5);
    for n in 0..3 {
        admin.post("/admin/roles", json!({"name": format!("role{n}")})).expect(201);
    }
    let first = admin.get("/admin/roles?limit=2").expect(200).json();
    admin.post("/admin/roles", json!({"name": "aaa"})).expect(201);
    let second = admin.items(first["next"].as_str().unwrap());
    assert_eq!(ids(&second, "name"), ["role1", "role2"]);
    let me = &seen[0];
    let mut events = Vec::new();
    let mut next = Some(format!("/admin/events?user={me}&limit=1"));
    while let Some(path) = next {
        let page = admin.get(&path).expect(200).json();
        events.extend(ids(page["items"].as_array().unwrap(), "id"));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(events, ids(&admin.items(&format!("/admin/events?user={me}")), "id"));
    assert!(events.len() >= 3 && events.is_sorted_by(|newer, older| newer > older), "{events:?}");
    for path in ["limit=0", "limit=201", "limit=x", "after=%25", "after=eA", "limit=1&limit=1"] {
        admin.get(&format!("/admin/users?{path}")).refused(400, "invalid_request", None);
    }
}

#[test]
fn a_change_is_of_what_was_seen_or_is_not_made() {
    let (_world, admin) = world();
    let id = admin.user("bob@example.com");
    let place = format!("/admin/users/{id}");
    let seen = admin.get(&place).expect(200);
    let tag = seen.header("etag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let again = admin.send("GET", &place, None, &[("If-None-Match", &tag)]).expect(304);
    assert!(again.body.is_empty() && again.header("etag") == Some(&tag));

    let patch = |disabled: bool, tag: &str| {
        admin.send("PATCH", &place, Some(json!({"disabled": disabled})), &[("If-Match", tag)])
    };
    let changed = patch(true, &tag).expect(200);
    let newer = changed.header("etag").unwrap().to_owned();
    assert_ne!(tag, newer);
    assert_eq!(admin.get(&place).expect(200).header("etag"), Some(newer.as_str()));
    admin.send("GET", &place, None, &[("If-None-Match", &tag)]).expect(200);
    // Somebody else was quicker: nothing is done, whatever it is.
    patch(false, &tag).refused(412, "precondition_failed", None);
    let old = [("If-Match", tag.as_str())];
    admin.send("PUT", &format!("{place}/roles/admin"), None, &old).refused(412, "precondition_failed", None);
    let password = Some(json!({"password": "a pass phrase of mine"}));
    admin.send("PUT", &format!("{place}/password"), password, &old).refused(412, "precondition_failed", None);
    admin.send("DELETE", &place, None, &old).refused(412, "precondition_failed", None);
    let now = admin.get(&place).expect(200).json();
    assert_eq!((&now["disabled"], &now["roles"], &now["has_password"]), (&json!(true), &json!([]), &json!(false)));
    for (path, tag) in
        [("/admin/roles/admin", "\"x\""), ("/admin/clients/shop", "\"x\""), ("/admin/clients/shop", &tag)]
    {
        admin.send("DELETE", path, None, &[("If-Match", tag)]).refused(412, "precondition_failed", None);
    }
    // Of many who saw the same, one is first.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..6).map(|_| scope.spawn(|| patch(false, &newer).status)).collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let count = |status| statuses.iter().filter(|known| **known == status).count();
    assert_eq!((count(200), count(412)), (1, 5), "{statuses:?}");
    admin.send("DELETE", &place, None, &[("If-Match", "*")]).expect(204);
}
