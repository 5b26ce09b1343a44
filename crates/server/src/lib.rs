//! `regrant`: one binary that signs people in, renews their tokens and finds thieves out.
//!
//! The command line is `cli/`; `main.rs` only calls it. A running server is `serve.rs`: data directory (`home.rs`),
//! engine, control socket (`control/`), HTTP (`http/`), sweeps and
//! the keys' upkeep (`jobs.rs`, `keeper.rs`).

mod backup;
mod cli;
mod config;
mod control;
mod home;
mod http;
mod jobs;
mod keeper;
pub mod keys;
mod outbound;
mod pages;
mod serve;
pub mod system;
mod telemetry;
mod text;
mod timeline;

pub use cli::run;
