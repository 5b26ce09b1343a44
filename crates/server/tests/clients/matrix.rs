//! The table in `docs/reference/clients.md`: who ran, in what version, and what was done and proved.
//!
//! 1. A script says `did: WORD` for each flow once its assertions are behind it; the words are in [`FLOWS`].
//! 2. The test makes the client's row of them and compares it with the page: other versions or flows than those written there fail.
//! 3. With `RENEW` in the environment the row is written instead.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Mutex};

use crate::World;

/// What a client can be seen doing: the script's word, and the column.
const FLOWS: [(&str, &str); 12] = [
    ("discovery", "discovery"),
    ("code", "code, PKCE"),
    ("id_token", "ID token"),
    ("userinfo", "userinfo"),
    ("refresh", "refresh"),
    ("client_credentials", "client credentials"),
    ("private_key_jwt", "`private_key_jwt`"),
    ("dpop", "DPoP"),
    ("introspection", "introspection"),
    ("revocation", "revocation"),
    ("logout", "logout"),
    ("backchannel_logout", "back-channel logout"),
];

/// The rows, in their order; each has a test that writes it.
const CLIENTS: [&str; 9] = [
    "npm `openid-client`",
    "npm `oauth4webapi`",
    "npm `@auth/core`",
    "npm `oidc-client-ts`, in Chromium",
    "PyPI `Authlib`",
    "PyPI `requests-oauthlib`",
    "Go `go-oidc` with `x/oauth2`",
    "crate `openidconnect`",
    "Debian `libapache2-mod-auth-openidc`",
];

/// How the page is renewed.
const RENEW: &str = "RENEW=1 cargo test -p regrant --test clients";

static WRITING: Mutex<()> = Mutex::new(());

fn page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/clients.md"))
}

/// Compares the client's row with what ran, or renews it.
#[track_caller]
pub(crate) fn ran(client: &str, version: &str, world: &World, told: &str) {
    assert!(CLIENTS.contains(&client), "{client} has no row");
    let done: BTreeSet<&str> = told.lines().filter_map(|line| line.strip_prefix("did: ")).collect();
    let unknown: Vec<_> = done.iter().filter(|word| !FLOWS.iter().any(|(known, _)| known == *word)).collect();
    assert!(unknown.is_empty(), "FLOWS has no column for {unknown:?}");
    let marks = FLOWS.map(|(word, _)| if done.contains(word) { "✓" } else { "" });
    let transport = if world.server.issuer.starts_with("https") { "TLS" } else { "http" };
    let row = format!("| {client} | {version} | {transport} | {} |", marks.join(" | "));

    let _alone = WRITING.lock();
    let written = fs::read_to_string(page()).unwrap();
    let begin = format!("| {client} |");
    let known = written.lines().find(|line| line.starts_with(&begin)).unwrap_or_default();
    if known == row {
        return;
    }
    assert!(std::env::var_os("RENEW").is_some(), "the page says\n{known}\nand this ran\n{row}\nTo renew it: {RENEW}");
    let mut rows: Vec<&str> =
        written.lines().filter(|line| line.starts_with("| ") && !line.starts_with(&begin)).collect();
    rows.push(&row);
    let of = |client: &&str| rows.iter().find(|row| row.starts_with(&format!("| {client} |"))).copied();
    let table: Vec<&str> = CLIENTS.iter().filter_map(of).collect();
    let prose: Vec<&str> = written.lines().filter(|line| !line.starts_with('|')).collect();
    let begins = prose.iter().position(|line| *line == "<!-- the table -->").expect("the place of the table") + 1;
    let (before, after) = prose.split_at(begins);
    let renewed = [before, &[head().as_str()], &table, after].concat().join("\n");
    fs::write(page(), renewed + "\n").unwrap();
}

/// The headline of the table.
fn head() -> String {
    let columns = FLOWS.map(|(_, column)| column);
    format!("| Client | Version | Over | {} |\n|---|---|---|{}", columns.join(" | "), "---|".repeat(FLOWS.len()))
}

/// What a script says of itself.
#[track_caller]
pub(crate) fn version_in(told: &str) -> String {
    told.lines().find_map(|line| line.strip_prefix("version: ")).expect("a version").to_owned()
}

#[test]
fn the_page_has_the_rows_of_those_who_run_and_no_others() {
    let _alone = WRITING.lock();
    if std::env::var_os("RENEW").is_some() {
        return;
    }
    let written = fs::read_to_string(page()).unwrap();
    assert!(written.contains(&head()), "the headline is another; to renew it: {RENEW}");
    let rows: Vec<&str> = written.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), CLIENTS.len(), "{rows:?}");
    for (row, client) in rows.iter().zip(CLIENTS) {
        assert!(row.starts_with(&format!("| {client} |")), "{row} is where {client} belongs");
    }
    assert!(written.contains(RENEW));
}
