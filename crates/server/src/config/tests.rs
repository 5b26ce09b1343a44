//! Precedence, the environment, lengths of time, unknown keys, bounds.

use std::path::PathBuf;

use regrant_engine::{refresh::ReplayPolicy, time::Seconds};

use super::{Config, ConfigError, LogFormat, SameSite, duration, load};

/// Reads `text` as a file and lays `environment` over it.
fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("regrant.toml");
    std::fs::write(&file, text).unwrap();
    load(Some(&file), &[], variables(environment)).map(|loaded| loaded.config)
}

fn variables(environment: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
}

#[track_caller]
fn refused(text: &str, environment: &[(&str, &str)], words: &[&str]) {
    let Err(error) = read(text, environment) else { panic!("accepted: {text:?} {environment:?}") };
    let said = error.to_string();
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn an_empty_file_and_no_file_are_the_defaults() {
    let none = load(None, &[PathBuf::from("/nowhere/regrant.toml")], variables(&[])).unwrap().config;
    for config in [none, read("", &[]).unwrap()] {
        assert_eq!(config.server.listen, None);
        assert_eq!(config.tokens.access_lifetime.seconds(), Seconds::minutes(15));
        assert_eq!(config.session.browser_idle.seconds(), Seconds::days(7));
        assert_eq!(config.session.browser_absolute.seconds(), Seconds::days(30));
        assert_eq!(config.session.native_idle.seconds(), Seconds::days(90));
        assert_eq!(config.session.native_absolute.seconds(), Seconds::days(365));
        assert_eq!((config.session.per_user, config.session.replay), (100, ReplayPolicy::Balanced));
        assert_eq!(config.session.same_site, SameSite::Strict);
        assert_eq!(config.passwords.min_length, 12);
        assert_eq!((config.passwords.memory_kib, config.passwords.passes, config.passwords.lanes), (19 * 1024, 2, 1));
        assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Auto, "info"));
    }
}

#[test]
fn the_first_candidate_that_exists_is_read_and_a_named_file_instead_of_all() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, limit: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("[session]\nper_user = {limit}\n")).unwrap();
        path
    };
    let (data, current, named) = (file("data.toml", 1), file("current.toml", 2), file("named.toml", 3));
    let missing = directory.path().join("missing.toml");
    let limit = |named: Option<&PathBuf>, candidates: &[PathBuf]| {
        load(named, candidates, variables(&[])).unwrap().config.session.per_user
    };
    assert_eq!(limit(None, &[data.clone(), current.clone()]), 1);
    assert_eq!(limit(None, &[missing.clone(), current.clone()]), 2);
    assert_eq!(limit(Some(&named), &[data, current]), 3);
    let error = load(Some(&missing), &[], variables(&[])).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("missing.toml"), "{error}");
}

#[test]
fn the_environment_is_laid_over_the_file_key_by_key() {
    let text = "[session]\nper_user = 5\nbrowser_idle = \"1h\"\n[log]\nlevel = \"warn\"\n";
    let environment = [
        ("REGRANT_SESSION__PER_USER", "7"),
        ("REGRANT_SERVER__ISSUER", "https://id.example.com"),
        ("REGRANT_TOKENS__AUDIENCES", "[\"https://a.example\", \"https://b.example\"]"),
        ("REGRANT_PASSWORDS__CONCURRENCY", "3"),
        // Not ours: no section, another prefix.
        ("REGRANT_HOME", "x"),
        ("NOT_REGRANT_SESSION__PER_USER", "9"),
    ];
    let config = read(text, &environment).unwrap();
    assert_eq!(config.session.per_user, 7);
    assert_eq!(config.session.browser_idle.seconds(), Seconds(3600), "what it does not name stays the file's");
    assert_eq!(config.log.level, "warn");
    assert_eq!(config.server.issuer.as_deref(), Some("https://id.example.com"));
    assert_eq!(config.tokens.audiences.unwrap(), ["https://a.example", "https://b.example"]);
    assert_eq!(config.passwords.concurrency, Some(3));
}

#[test]
fn a_variable_is_toml_where_it_reads_as_toml_and_text_otherwise() {
    for (value, wanted) in [("15m", 900), ("\"15m\"", 900), ("900", 900), ("1 hour", 3600), (" 60 ", 60)] {
        let config = read("", &[("REGRANT_TOKENS__ACCESS_LIFETIME", value)]).unwrap();
        assert_eq!(config.tokens.access_lifetime.seconds(), Seconds(wanted), "{value}");
    }
    let config = read("", &[("REGRANT_SERVER__LISTEN", "127.0.0.1:8080")]).unwrap();
    assert_eq!(config.server.listen.as_deref(), Some("127.0.0.1:8080"));
    // A value cannot smuggle a second key in.
    refused("", &[("REGRANT_SESSION__PER_USER", "5\nreplay = \"strict\"")], &["REGRANT"]);
    refused("session = 5", &[("REGRANT_SESSION__PER_USER", "5")], &["REGRANT_SESSION__PER_USER"]);
}

#[test]
fn keys_and_sections_that_are_not_there_are_refused_by_name() {
    for (text, word) in [
        ("[sessions]\n", "sessions"),
        ("[session]\nidle = 5\n", "idle"),
        ("[server]\nport = 5\n", "port"),
        ("issuer = \"https://id.example.com\"\n", "issuer"),
    ] {
        refused(text, &[], &["regrant.toml", word]);
    }
    for (name, word) in [("REGRANT_SESSION__IDLE", "idle"), ("REGRANT_SESSIONS__PER_USER", "sessions")] {
        refused("", &[(name, "5")], &["REGRANT_", word]);
    }
}

#[test]
fn values_of_the_wrong_type_and_what_is_no_toml_are_refused() {
    for text in [
        "[session]\nper_user = \"5\"\n",
        "[session]\nper_user = -1\n",
        "[session]\nper_user = 4294967296\n",
        "[session]\nper_user = 1.5\n",
        "[session]\nsame_site = \"none\"\n",
        "[session]\nreplay = \"lenient\"\n",
        "[log]\nformat = \"xml\"\n",
        "[server]\nallowed_origins = \"https://app.example.com\"\n",
        "[server]\nlisten = 8080\n",
        "[server.listen]\naddress = 5\n",
        "[[session]]\n",
        "[session\n",
        "per_user = 1\nper_user = 2\n",
        "\u{0}",
    ] {
        refused(text, &[], &["regrant.toml"]);
    }
}

#[test]
fn bounds_are_kept() {
    for (key, least, most) in [
        ("session.per_user", 1, 1000),
        ("passwords.min_length", 8, 64),
        ("passwords.memory_kib", 8192, 256 * 1024),
        ("passwords.passes", 1, 16),
        ("passwords.lanes", 1, 8),
        ("passwords.concurrency", 1, 256),
        ("tokens.access_lifetime", 1, 24 * 60 * 60),
    ] {
        let (section, name) = key.split_once('.').unwrap();
        let with = |value: i64| read(&format!("[{section}]\n{name} = {value}\n"), &[]);
        for value in [least, most] {
            assert!(with(value).is_ok(), "{key} = {value}: {:?}", with(value).err());
        }
        for value in [least - 1, most + 1] {
            let error = with(value).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(name), "{key} = {value}: {error}");
        }
    }
    for key in ["browser_idle", "browser_absolute", "native_idle", "native_absolute"] {
        refused(&format!("[session]\n{key} = 0\n"), &[], &[key, "more than 0"]);
    }
    for key in ["sign_in_window", "per_account_and_address", "per_account", "per_network", "connections"] {
        refused(&format!("[limits]\n{key} = 0\n"), &[], &[key, "more than 0"]);
    }
}

#[test]
fn origins_are_written_as_browsers_send_them() {
    let with = |origin: &str| read(&format!("[server]\nallowed_origins = [\"{origin}\"]\n"), &[]);
    for origin in ["https://app.example.com", "http://localhost:3000", "https://app.example.com:8443"] {
        assert!(with(origin).is_ok(), "{origin}");
    }
    for origin in
        ["*", "null", "", "app.example.com", "https://app.example.com/", "https://app.example.com/x", "ftp://a.example"]
    {
        assert!(with(origin).is_err(), "{origin}");
    }
}

#[test]
fn lengths_of_time_are_read_as_people_write_them() {
    for (text, wanted) in [
        ("900", 900),
        ("0", 0),
        ("900s", 900),
        ("1 second", 1),
        ("90 sec", 90),
        ("15m", 900),
        ("15 min", 900),
        ("15 minutes", 900),
        ("1h", 3600),
        ("2 hours", 7200),
        ("7d", 7 * 86_400),
        ("7 days", 7 * 86_400),
        ("1w", 7 * 86_400),
        ("2 weeks", 14 * 86_400),
        ("1h30m", 5400),
        ("1 day 12 hours", 36 * 3600),
        ("  15m  ", 900),
        ("3660 days", 3660 * 86_400),
    ] {
        assert_eq!(duration::parse(text), Ok(Seconds(wanted)), "{text:?}");
    }
    for text in [
        "",
        " ",
        "m",
        "15x",
        "15 fortnights",
        "-15m",
        "+15m",
        "1.5h",
        "15m,",
        "15M",
        "1e3",
        "99999999999999999999",
        "3661 days",
        "9999999999999999999w",
        "15m -1s",
        "0x10",
    ] {
        let error = duration::parse(text).unwrap_err();
        assert!(error.contains(text.trim()), "{text:?}: {error}");
    }
}
