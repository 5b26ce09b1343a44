//! The server with something before it: a proxy, several, a rendering server, or nothing but TLS. Real processes, real nginx.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

mod forwarded;
mod nginx;
mod on_behalf;
mod rendering;
#[allow(dead_code, unused_imports, reason = "it is shared with tests/e2e, and each uses what it needs")]
#[path = "../e2e/support/mod.rs"]
mod support;
mod tls;
