//! Passwords that are asked for on a terminal: a real one, played by `terminal.py`.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{EMAIL, Home, PASSWORD};

/// Runs `regrant` on a terminal and types the answers to its questions.
#[track_caller]
fn play(home: &Home, arguments: &[&str], steps: &[(&str, &str)]) -> Value {
    let inner = home.command(arguments);
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ops/terminal.py"));
    command.arg(json!(steps).to_string()).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(inner.get_current_dir().expect("a directory"));
    let said = command.output().expect("python3: `cargo xtask test --only prerequisites` installs it");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let played: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    assert_eq!(played["echoes"], true, "the terminal is as it was: {played}");
    for (_, typed) in steps {
        let typed = typed.trim_end();
        assert!(typed.len() < 4 || !played["shown"].as_str().unwrap().contains(typed), "it was shown: {played}");
    }
    played
}

fn has_password(home: &Home, email: &str) -> bool {
    home.regrant(&["--json", "user", "show", email]).ok().json()["has_password"] == true
}

#[test]
fn a_user_is_added_with_the_password_that_was_typed() {
    let home = Home::new();
    let typed = format!("{PASSWORD}\n");
    let played = play(&home, &["user", "add", EMAIL], &[("Password (empty for none): ", &typed)]);
    assert_eq!(played["code"], 0, "{played}");
    home.serve().client().sign_in();
    let played = play(&home, &["user", "add", "bob@example.com"], &[("Password (empty for none): ", "\n")]);
    assert_eq!(played["code"], 0, "{played}");
    assert!(!has_password(&home, "bob@example.com"));
    let played = play(&home, &["user", "add", "eve@example.com", "--password-stdin"], &[("Password: ", &typed)]);
    assert_eq!(played["code"], 0, "{played}");
    assert!(has_password(&home, "eve@example.com"));
}

#[test]
fn a_password_is_set_when_it_was_typed_twice() {
    let home = Home::new();
    home.regrant(&["user", "add", EMAIL]).ok();
    let ask = ["user", "set-password", EMAIL];
    let (first, again) = ("New password: ", "The same again: ");
    let typed = format!("{PASSWORD}\n");
    let played = play(&home, &ask, &[(first, &typed), (again, "something else\n")]);
    assert_eq!(played["code"], 1, "{played}");
    assert!(played["shown"].as_str().unwrap().contains("not the same"), "{played}");
    let played = play(&home, &ask, &[(first, "\n"), (again, "\n")]);
    assert_eq!(played["code"], 2, "{played}");
    let played = play(&home, &ask, &[(first, &typed), (again, "\u{3}")]);
    assert_eq!(played["code"], 1, "{played}");
    assert!(played["shown"].as_str().unwrap().contains("interrupted"), "{played}");
    assert!(!has_password(&home, EMAIL));
    let played = play(&home, &ask, &[(first, &typed), (again, &typed)]);
    assert_eq!(played["code"], 0, "{played}");
    home.serve().client().sign_in();
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let home = Home::new();
    let said = home.regrant(&["user", "add", EMAIL]).ok();
    assert!(!said.err.contains("assword:") && said.out.contains("without a password"), "{said:?}");
    home.regrant(&["user", "set-password", EMAIL]).complains(2, &["no password"]);
    home.regrant_reading(&["user", "set-password", EMAIL], PASSWORD).ok();
    home.serve().client().sign_in();
}
