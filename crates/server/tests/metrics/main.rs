//! What can be seen of a running server: its metrics, its audit stream, the numbers of its requests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

#[allow(dead_code, unused_imports, reason = "it is shared with tests/e2e, and each uses what it needs")]
#[path = "../e2e/support/mod.rs"]
mod support;

mod page;
mod spans;
mod stream;
