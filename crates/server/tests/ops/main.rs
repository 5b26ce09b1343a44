//! What an operator does beside serving: configuration, claims in tokens, backup and restore, prompts, completions. The binary
//! as its users meet it, with what the end-to-end tests share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

mod backup;
mod backup_postgres;
mod claims;
mod clients;
mod completions;
mod config;
mod lifetimes;
mod resources;
#[path = "../e2e/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the end-to-end tests, which use all of it")]
mod support;
mod terminal;

/// The claims of an access token.
#[track_caller]
fn claims_of(home: &support::Home, access_token: &str) -> serde_json::Value {
    home.regrant_reading(&["--json", "jwt", "inspect"], access_token).ok().json()["payload"].clone()
}
