//! One sign-in for every service: the OAuth and OpenID Connect endpoints and the pages, by real HTTP, as applications and people
//! meet them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

mod account;
mod admin;
mod authorize;
mod backchannel;
mod browser;
mod device;
mod discovery;
mod dpop;
mod jwks_uri;
mod lifetimes;
mod logout;
mod nodes;
mod pages;
mod postgres;
mod resources;
#[allow(dead_code, unused_imports, reason = "it is shared with tests/e2e, and each uses what it needs")]
#[path = "../e2e/support/mod.rs"]
mod support;
mod token;
mod weekly_job;
mod world;
