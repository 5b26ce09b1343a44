//! `regrant config`.

use std::fs;

use serde_json::Value;

use crate::support::Home;

fn setting<'a>(checked: &'a Value, section: &str, key: &str) -> &'a Value {
    let settings = checked["settings"].as_array().expect("settings");
    let is_it = |setting: &&Value| setting["section"] == section && setting["key"] == key;
    settings.iter().find(is_it).unwrap_or_else(|| panic!("no {section}.{key} in {checked}"))
}

#[test]
fn the_committed_reference_is_what_the_code_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
    let said = Home::new().regrant(&["config", "reference"]).ok();
    assert!(
        fs::read_to_string(page).expect("the page") == said.out,
        "docs/reference/configuration.md is not what the code says; write it anew:\n    \
         cargo run -q -p regrant -- config reference > docs/reference/configuration.md"
    );
    for key in ["`listen`", "`trusted_proxies`", "`claims`", "`offline_absolute`", "`level`"] {
        assert!(said.out.contains(key), "{key}");
    }
}

#[test]
fn every_value_is_told_with_its_source() {
    let mut home = Home::new();
    let file = home.path("regrant.toml");
    fs::write(&file, "[session]\nper_user = 7\nbrowser_idle = \"3 hours\"\n[tokens.claims]\nname = \"name\"\n")
        .unwrap();
    home.set("REGRANT_SESSION__PER_USER", "8");
    let checked = home.regrant(&["--json", "config", "check"]).ok().json();
    // Relative to the directory that it was found in.
    assert_eq!(checked["file"], "regrant.toml");
    for (section, key, value, source, from) in [
        ("session", "per_user", Value::from(8), "environment", Value::from("REGRANT_SESSION__PER_USER")),
        ("session", "browser_idle", Value::from("3h"), "file", Value::from("regrant.toml")),
        ("tokens", "claims", serde_json::json!({"name": "name"}), "file", Value::from("regrant.toml")),
        ("session", "native_idle", Value::from("90d"), "default", Value::Null),
        ("server", "issuer", Value::Null, "default", Value::Null),
    ] {
        let told = setting(&checked, section, key);
        assert_eq!((&told["value"], &told["source"], &told["from"]), (&value, &Value::from(source), &from), "{told}");
    }
    let said = home.regrant(&["config", "check"]).ok();
    let line = said.out.lines().find(|line| line.starts_with("session.per_user")).expect("a line");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["session.per_user", "8", "REGRANT_SESSION__PER_USER"]);
    assert!(!home.data().exists(), "nothing is made");
}

#[test]
fn what_is_doubtful_is_said_and_is_no_error() {
    let mut home = Home::new();
    home.set("REGRANT_SERVER__LISTEN", "0.0.0.0:8080");
    home.set("REGRANT_PASSWORDS__MIN_LENGTH", "8");
    let checked = home.regrant(&["--json", "config", "check"]).ok().json();
    let doubts: Vec<&str> =
        checked["doubts"].as_array().unwrap().iter().map(|doubt| doubt["key"].as_str().unwrap()).collect();
    // The tests' own cheap hashes are the last.
    let doubtful =
        ["server.listen", "server.trusted_proxies", "server.issuer", "passwords.min_length", "passwords.memory_kib"];
    assert_eq!(doubts, doubtful);
    let said = home.regrant(&["config", "check"]).ok();
    assert!(said.out.contains("doubtful: server.trusted_proxies: no proxy is named"), "{}", said.out);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let home = Home::new();
    let file = home.path("regrant.toml");
    for (text, words) in [
        ("[tokens]\n\naccess_lifetime = \"soon\"\n", &["regrant.toml, line 3", "\"soon\"", "15m"][..]),
        ("[session]\nper_usr = 1\n", &["regrant.toml, line 2", "per_usr", "per_user"]),
        ("[session\n", &["regrant.toml, line 1", "not TOML"]),
        ("[tokens]\naccess_lifetime = \"2d\"\n", &["tokens.access_lifetime", "at most a day", "set by regrant.toml"]),
        ("[server]\nissuer = \"http://example.com\"\n", &["http://example.com", "https://"]),
        ("[server]\nlisten = \"127.0.0.1\"\n", &["127.0.0.1", "--listen ADDR:PORT"]),
        ("[server]\ntls_key = \"a\"\n", &["tls_certificate"]),
        ("[server]\ntls_key = \"no.key\"\ntls_certificate = \"no.pem\"\n", &["no.pem"]),
        ("[log]\nlevel = \"lo=ud=er\"\n", &["log.level"]),
        // To tracing a bare word is a module: a typo would silence the whole log.
        ("[log]\nlevel = \"inof\"\n", &["log.level", "\"inof\"", "info"]),
        ("[log]\nlevel = \"info,debgu\"\n", &["log.level", "\"debgu\""]),
        ("[events]\nstream = \"no/such/directory/events.jsonl\"\n", &["events.stream", "no/such/directory"]),
        ("[events]\nstream = \"/\"\n", &["events.stream", "cannot open /"]),
        ("[log]\notlp = \"http://ada:rosebud@127.0.0.1:4318\"\n", &["log.otlp", "password"]),
        ("[tokens]\naccess_lifetime = -5\n", &["regrant.toml, line 2", "15m"]),
        ("[tokens]\naccess_lifetime = true\n", &["regrant.toml, line 2", "15m"]),
    ] {
        fs::write(&file, text).unwrap();
        let said = home.regrant(&["config", "check"]).complains(2, words);
        assert_eq!(said.err.lines().count(), 1, "{}", said.err);
        assert!(!said.err.contains("rosebud"), "{}", said.err);
        assert_eq!(said.out, "");
    }
    fs::write(&file, "[session]\nper_user = 7\n").unwrap();
    for (name, value, word) in [
        ("REGRANT_SESSION__BROWSER_IDLE", "soon", "length of time"),
        ("REGRANT_SESION__PER_USER", "1", "sesion"),
        ("REGRANT_SESSION__PER_USER", "2000", "at most 1000"),
    ] {
        let mut home = home.clone();
        home.set(name, value);
        home.regrant(&["config", "check"]).complains(2, &[name, word]);
    }
}
