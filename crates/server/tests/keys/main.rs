//! Keys as an operator and everybody else meet them: rotations that nobody notices, keys that go, and files that are wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

mod refresh;
mod signing;
#[allow(dead_code, unused_imports, reason = "it is shared with tests/e2e, and each uses what it needs")]
#[path = "../e2e/support/mod.rs"]
mod support;

use serde_json::Value;
use support::Home;

/// The keys of one kind, as `regrant key list` shows them.
fn keys(home: &Home, kind: &str) -> Vec<Value> {
    home.regrant(&["--json", "key", "list", "--kind", kind]).ok().json().as_array().expect("a list").clone()
}

/// The ids of the keys in this state.
fn in_state(keys: &[Value], state: &str) -> Vec<String> {
    keys.iter().filter(|key| key["state"] == state).map(|key| key["id"].as_str().expect("an id").to_owned()).collect()
}
