//! The binary as its users meet it: a real process on a directory of its own, real HTTP, real signals, a real clock that is
//! moved from outside. One test binary, so that it is linked once; one module a subject; `support/` holds what they share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

mod clock;
mod command_line;
mod cors;
mod database_tls;
mod descriptors;
mod document;
mod durability;
mod failover;
mod faults;
mod garbage;
mod moving;
mod nodes;
mod origins;
mod people;
mod postgres;
mod rotation;
mod session_api;
mod sessions;
mod support;
mod upgrade;
