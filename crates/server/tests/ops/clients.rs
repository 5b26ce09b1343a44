//! `regrant client`, and `[clients]` of the configuration.

use serde_json::{Value, json};

use crate::support::{Home, assert_members};

const WEB: [&str; 9] =
    ["--json", "client", "add", "--id", "web", "--type", "confidential", "--redirect-uri", "https://app.example/cb"];

#[test]
fn a_client_is_added_shown_listed_and_removed() {
    let home = Home::new();
    let added = home.regrant(&WEB).ok().json();
    let secret = added["client_secret"].as_str().expect("a secret");
    assert!(secret.starts_with("rgs_") && secret.len() == 47, "256 bits: {secret}");
    assert_eq!(added["client_secret_expires_at"], 0);
    assert_eq!(added["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(added["response_types"], json!(["code"]));
    assert_eq!(added["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(added["application_type"], "web");
    assert_eq!(added["require_pkce"], true);
    assert_eq!(added["redirect_uris"], json!(["https://app.example/cb"]));
    home.regrant(&WEB).complains(1, &["already"]);
    let native = [
        "client",
        "add",
        "--id",
        "cli",
        "--type",
        "public",
        "--kind",
        "native",
        "--name",
        "The tool",
        "--redirect-uri",
        "http://127.0.0.1/cb",
        "--redirect-uri",
        "com.example.tool:/cb",
        "--scope",
        "openid offline_access",
        "--access-lifetime",
        "5m",
        "--idle",
        "30d",
    ];
    assert_eq!(home.regrant(&native).ok().out, "added cli\n");

    // From here on through a running server, which knows no secret any more.
    let server = home.serve();
    let shown = home.regrant(&["--json", "client", "show", "web"]).ok().json();
    assert!(shown.get("client_secret").is_none() && !shown.to_string().contains(secret));
    assert_members(&shown["secrets"][0], &["created_at", "expires_at", "last_used_at"]);
    let listed = home.regrant(&["--json", "client", "list"]).ok().json();
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|client| client["client_id"].clone()).collect();
    assert_eq!(ids, ["cli", "web"]);
    assert_eq!((&listed[0]["access_token_lifetime"], &listed[0]["idle_lifetime"]), (&json!(300), &json!(2_592_000)));
    assert_eq!(
        (&listed[0]["scope"], &listed[0]["application_type"]),
        (&json!("openid offline_access"), &json!("native"))
    );
    let rotated = home.regrant(&["--json", "client", "rotate-secret", "web", "--keep", "1h"]).ok().json();
    assert_ne!(rotated["client_secret"], secret);
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2);
    assert_eq!(rotated["secrets"][0]["expires_at"], Value::Null);
    home.regrant(&["client", "rotate-secret", "cli"]).complains(1, &["no secret"]);
    let removed = home.regrant(&["--json", "client", "remove", "web"]).ok().json();
    assert_eq!(removed, json!({"removed": true, "grants_ended": 0}));
    home.regrant(&["client", "remove", "web"]).complains(1, &["no client web"]);
    home.regrant(&["client", "show", "web"]).complains(1, &["client list"]);
    drop(server);
    assert!(!String::from_utf8_lossy(&std::fs::read(home.data().join("regrant.db")).unwrap()).contains(secret));
}

#[test]
fn what_cannot_be_a_client_is_said() {
    let home = Home::new();
    let add = |more: &[&str]| home.regrant(&[&["client", "add"], more].concat());
    let uri = ["--redirect-uri", "https://app.example/cb"];
    add(&["--id", "web", "--type", "confidential"]).complains(2, &["--redirect-uri"]);
    add(&["--id", "web", "--type", "secret"]).complains(2, &["public, confidential, service"]);
    add(&[&["--id", "regrant", "--type", "public"][..], &uri].concat()).complains(2, &["cannot be a client's id"]);
    add(&["--id", "web", "--type", "public", "--redirect-uri", "http://app.example/"]).complains(2, &["loopback"]);
    add(&["--id", "web", "--type", "public", "--redirect-uri", "https://a.example/#x"]).complains(2, &["fragment"]);
    add(&[&["--id", "web", "--type", "public", "--pkce", "optional"][..], &uri].concat()).complains(2, &["PKCE"]);
    add(&[&["--id", "web", "--type", "public", "--access-lifetime", "2d"][..], &uri].concat()).complains(2, &["a day"]);
}

const CONFIGURED: &str = r#"
[clients.web]
type = "confidential"
name = "The shop"
redirect_uris = ["https://shop.example/cb"]
secrets = ["env:SHOP_SECRET", "file:old-secret"]
access_lifetime = "5m"
first_party = true

[clients.tool]
type = "public"
kind = "native"
redirect_uris = ["http://127.0.0.1/cb"]
"#;

#[test]
fn the_configurations_clients_are_kept_in_step_at_each_start() {
    let mut home = Home::new();
    let file = home.path("regrant.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write(CONFIGURED);
    std::fs::write(home.path("old-secret"), "the secret of before, 32 bytes or more\n").unwrap();
    home.serve_in_vain(&[]).complains(2, &["clients.web.secrets", "SHOP_SECRET"]);
    home.regrant(&["config", "check"]).complains(2, &["SHOP_SECRET"]);
    home.set("SHOP_SECRET", "short");
    home.serve_in_vain(&[]).complains(2, &["32 bytes"]);
    home.set("SHOP_SECRET", "the secret of now, 32 bytes or more");
    let checked = home.regrant(&["--json", "config", "check"]).ok().json();
    let named = |key: &str| {
        let mut all = checked["settings"].as_array().unwrap().iter();
        all.find(|setting| setting["section"] == "clients.web" && setting["key"] == key).cloned().unwrap()
    };
    assert_eq!((&named("type")["value"], &named("type")["source"]), (&json!("confidential"), &json!("file")));
    assert_eq!(named("kind")["source"], "default");
    assert!(!checked.to_string().contains("the secret of"));

    let mut server = home.serve();
    let listed = home.regrant(&["--json", "client", "list"]).ok().json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!((&listed[1]["client_name"], &listed[1]["managed_by"]), (&json!("The shop"), &json!("configuration")));
    assert_eq!(listed[1]["secrets"].as_array().unwrap().len(), 2);
    home.regrant(&["client", "remove", "web"]).complains(1, &["configuration"]);
    home.regrant(&["client", "rotate-secret", "web"]).complains(1, &["configuration"]);
    home.regrant(&["client", "add", "--id", "own", "--type", "service"]).ok();
    server.stop();

    let issuer = server.issuer.clone();
    write(&CONFIGURED.replace("The shop", "The store"));
    let mut server = home.serve_with(&["--issuer", &issuer]);
    assert_eq!(home.regrant(&["--json", "client", "show", "web"]).ok().json()["client_name"], "The store");
    server.stop();
    write("");
    let mut server = home.serve_with(&["--issuer", &issuer]);
    let left = home.regrant(&["--json", "client", "list"]).ok().json();
    assert_eq!(left.as_array().unwrap().iter().map(|client| &client["client_id"]).collect::<Vec<_>>(), ["own"]);
    server.stop();
    write("[clients.own]\ntype = \"public\"\nredirect_uris = [\"https://app.example/\"]\n");
    home.serve_in_vain(&["--issuer", &issuer]).complains(2, &["clients.own", "command line"]);
}

#[test]
fn what_cannot_be_in_the_configuration_is_said() {
    let home = Home::new();
    for (text, words) in [
        ("[clients.web]\nkind = \"native\"\n", &["clients.web.type"][..]),
        ("[clients.web]\ntype = \"public\"\nredirects = []\n", &["redirects"]),
        ("[clients.web]\ntype = \"public\"\n", &["clients.web", "--redirect-uri"]),
        ("[clients.web]\ntype = \"service\"\n", &["clients.web.secrets"]),
        (
            "[clients.web]\ntype = \"service\"\nsecrets = [\"rgs_in_clear_and_long_enough_to_be_one\"]\n",
            &["does not stand here"],
        ),
        (
            "[clients.web]\ntype = \"public\"\nredirect_uris = [\"https://a.example/\"]\nsecrets = [\"env:X\"]\n",
            &["has none"],
        ),
        ("[clients.regrant]\ntype = \"service\"\nsecrets = [\"env:X\"]\n", &["clients.regrant"]),
    ] {
        std::fs::write(home.path("regrant.toml"), text).unwrap();
        let said = home.serve_in_vain(&[]).complains(2, words);
        assert!(!said.err.contains("in_clear"), "{}", said.err);
    }
}
