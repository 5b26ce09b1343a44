//! `regrant resource` and `role`, and `[resources]` of the configuration.

use serde_json::{Value, json};

use crate::support::{Home, assert_members};

const ORDERS: &str = "https://api.example/orders";

#[test]
fn a_resource_is_added_shown_listed_and_removed() {
    let home = Home::new();
    let add = [
        "resource",
        "add",
        "--id",
        ORDERS,
        "--name",
        "Orders",
        "--scope",
        "orders:write=change your orders",
        "--scope",
        "orders:read",
        "--role",
        "orders:write=clerk",
        "--client",
        "orders-api",
    ];
    let said = home.regrant(&add).ok().out;
    assert!(said.starts_with("added https://api.example/orders\nthere is no role clerk yet"), "{said}");
    home.regrant(&add).complains(1, &["already", "--replace"]);
    assert!(home.regrant(&[&add[..], &["--replace"]].concat()).ok().out.starts_with("replaced "));
    home.regrant(&["role", "add", "clerk", "--description", "looks after orders"]).ok();

    // From here on through a running server.
    let server = home.serve();
    let shown = home.regrant(&["--json", "resource", "show", ORDERS]).ok().json();
    assert_members(&shown, &["id", "name", "scopes", "signing_alg", "client", "managed_by", "created_at"]);
    assert_eq!(
        shown["scopes"],
        json!([
            {"name": "orders:read", "roles": []},
            {"name": "orders:write", "description": "change your orders", "roles": ["clerk"]},
        ])
    );
    let said = home.regrant(&["resource", "show", ORDERS]).ok().out;
    assert!(said.contains("scope       orders:write (clerk): change your orders"), "{said}");
    let roles = home.regrant(&["--json", "role", "list"]).ok().json();
    assert_eq!(
        roles,
        json!([{"name": "clerk", "description": "looks after orders", "users": 0, "scopes": ["orders:write"]}])
    );
    let listed = home.regrant(&["resource", "list"]).ok().out;
    assert!(listed.contains(ORDERS) && listed.contains("orders:read, orders:write"), "{listed}");
    assert_eq!(home.regrant(&["--json", "resource", "remove", ORDERS]).ok().json(), json!({"removed": ORDERS}));
    home.regrant(&["resource", "remove", ORDERS]).complains(1, &["no resource"]);
    home.regrant(&["resource", "show", ORDERS]).complains(1, &["resource list"]);
    drop(server);
}

#[test]
fn what_cannot_be_a_resource_is_said() {
    let home = Home::new();
    let add = |more: &[&str]| home.regrant(&[&["resource", "add", "--id"], more].concat());
    add(&["orders"]).complains(2, &["absolute URI", "RFC 8707"]);
    add(&["https://api.example/#x"]).complains(2, &["fragment"]);
    add(&[ORDERS, "--scope", "openid"]).complains(2, &["openid", "another name"]);
    add(&[ORDERS, "--scope", "a", "--role", "b=clerk"]).complains(2, &["--scope b"]);
    add(&[ORDERS, "--signing-alg", "HS256"]).complains(2, &["ES256, RS256"]);
    add(&[ORDERS, "--signing-alg", "EdDSA"]).complains(2, &["ed25519 = true"]);
    std::fs::write(home.path("key"), "{\"kty\":\"oct\",\"k\":\"AAAA\"}").unwrap();
    add(&[ORDERS, "--encryption-key", "key"]).complains(2, &["public JWK"]);
    home.regrant(&["role", "add", "x", "--description", "\u{7}"]).complains(2, &["description"]);
    // No name is both's: an access token for the one would pass for an ID token of the other.
    home.regrant(&["client", "add", "--id", "urn:job", "--type", "service"]).ok();
    add(&["urn:job", "--signing-alg", "RS256"]).complains(1, &["urn:job", "client", "another URI"]);
    add(&[ORDERS]).ok();
    let taken = home.regrant(&["client", "add", "--id", ORDERS, "--type", "service"]);
    taken.complains(1, &[ORDERS, "resource", "another id"]);
    home.regrant(&["client", "add", "--id", "a", "--type", "service", "--claim", "sub=name"]).complains(2, &["sub"]);
}

const CONFIGURED: &str = r#"
[resources.orders]
id = "https://api.example/orders"
name = "Orders"
signing_alg = "Ed25519"
[resources.orders.scopes]
"orders:read" = {}
"orders:write" = { description = "change your orders", roles = ["clerk"] }

[tokens.scopes.staff]
claims = { department = "dept" }

[keys]
ed25519 = true
"#;

#[test]
fn the_configurations_resources_are_kept_in_step_at_each_start() {
    let home = Home::new();
    let file = home.path("regrant.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write(CONFIGURED);
    let checked = home.regrant(&["--json", "config", "check"]).ok().json();
    let mut settings = checked["settings"].as_array().unwrap().iter();
    let name = settings.find(|setting| setting["section"] == "resources.orders" && setting["key"] == "name").unwrap();
    assert_eq!((&name["value"], &name["source"]), (&json!("Orders"), &json!("file")));

    let mut server = home.serve();
    let issuer = server.issuer.clone();
    let shown = home.regrant(&["--json", "resource", "show", ORDERS]).ok().json();
    assert_eq!((&shown["managed_by"], &shown["signing_alg"]), (&json!("configuration"), &json!("Ed25519")));
    home.regrant(&["resource", "remove", ORDERS]).complains(1, &["configuration"]);
    home.add_user(crate::support::EMAIL, &[]);
    let body = json!({
        "identifier": crate::support::EMAIL, "password": crate::support::PASSWORD, "delivery": "body", "audience": ORDERS,
    });
    let token = server.client().post("/session").json(&body).send().expect(200).text("/access_token");
    let jwks = format!("{issuer}/.well-known/jwks.json");
    home.regrant_reading(&["jwt", "verify", "--jwks", &jwks, "--alg", "Ed25519", "--aud", ORDERS], &token).ok();
    server.stop();

    write(&CONFIGURED.replace("ed25519 = true", ""));
    home.serve_in_vain(&["--issuer", &issuer]).complains(2, &["resources.orders", "ed25519 = true"]);
    write("");
    let mut server = home.serve_with(&["--issuer", &issuer]);
    assert_eq!(home.regrant(&["--json", "resource", "list"]).ok().json(), Value::Array(vec![]));
    home.regrant(&["resource", "add", "--id", ORDERS]).ok();
    server.stop();
    write("[resources.x]\nid = \"https://api.example/orders\"\n");
    home.serve_in_vain(&["--issuer", &issuer]).complains(2, &["resources.x", "command line"]);
    write(
        "[clients.\"https://api.example/orders\"]\ntype = \"public\"\nredirect_uris = [\"https://app.example/cb\"]\n",
    );
    home.serve_in_vain(&["--issuer", &issuer]).complains(2, &[ORDERS, "resource", "another id"]);
    home.regrant(&["client", "add", "--id", "urn:job", "--type", "service"]).ok();
    write("[resources.job]\nid = \"urn:job\"\n");
    home.serve_in_vain(&["--issuer", &issuer]).complains(2, &["resources.job", "client", "another URI"]);
    write(&format!("[resources.own]\nid = \"{issuer}\"\n"));
    home.serve_in_vain(&["--issuer", &issuer]).complains(2, &["resources.own", "issuer"]);
}

#[test]
fn what_cannot_be_in_the_configuration_is_said() {
    let home = Home::new();
    for (text, words) in [
        ("[resources.x]\n", &["resources.x.id"][..]),
        ("[resources.x]\nid = \"api\"\n", &["resources.x", "absolute"]),
        ("[resources.x]\nid = \"urn:a\"\nscope = []\n", &["scope", "scopes"]),
        ("[resources.x]\nid = \"urn:a\"\n[resources.x.scopes]\na = { role = \"b\" }\n", &["role"]),
        ("[resources.x]\nid = \"urn:a\"\n[resources.y]\nid = \"urn:a\"\n", &["resources.y.id"]),
        (
            "[resources.x]\nid = \"urn:a\"\n[clients.\"urn:a\"]\ntype = \"service\"\nsecrets = [\"env:X\"]\n",
            &["resources.x.id", "client"],
        ),
        ("[resources.x]\nid = \"urn:a\"\nencryption_key_file = \"no.jwk\"\n", &["no.jwk"]),
        ("[tokens.scopes.staff]\nclaims = { sub = \"name\" }\n", &["tokens.scopes.staff", "sub", "another name"]),
        ("[tokens.scopes.staff]\nclaims = { events = \"name\" }\n", &["events", "another name"]),
        ("[tokens.scopes.staff]\nclaim = {}\n", &["claim", "claims"]),
        (
            "[clients.x]\ntype = \"service\"\nsecrets = [\"env:X\"]\nclaims = { aud = \"name\" }\n",
            &["clients.x", "aud"],
        ),
    ] {
        std::fs::write(home.path("regrant.toml"), text).unwrap();
        home.serve_in_vain(&[]).complains(2, words);
        assert!(!home.data().exists(), "{text}: nothing was made");
    }
}
