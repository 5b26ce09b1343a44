//! Runs tests of this binary once more, on PostgreSQL.

use std::process::Command;

use super::ON_POSTGRES;

/// Runs the tests whose names begin like one of these on PostgreSQL, all but those that are named, and fails as they do.
#[allow(dead_code, reason = "other test binaries use this module too, and not all of it")]
pub(crate) fn on_postgres_too(modules: &[&str], but: &[&str]) {
    if std::env::var_os(ON_POSTGRES).is_some() {
        // It is this one that runs them.
        return;
    }
    let mut tests = Command::new(std::env::current_exe().expect("this binary"));
    tests.args(modules).args(but.iter().flat_map(|name| ["--skip", name])).env(ON_POSTGRES, "1");
    let ran = tests.output().expect("this binary starts");
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "on PostgreSQL:\n{out}\n{}", String::from_utf8_lossy(&ran.stderr));
    let told = out.lines().rev().find(|line| line.starts_with("test result:")).unwrap_or_default();
    println!("on PostgreSQL: {told}");
    assert!(!told.contains(" 0 passed"), "{told}");
}
