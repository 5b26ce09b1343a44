//! `regrant`: one binary that signs people in, renews their tokens and finds thieves out.
//!
//! This file parses the command line and hands over to `cli/`. A running server is `serve.rs`: data directory (`home.rs`),
//! engine, control socket (`control/`), HTTP (`http/`), sweeps (`jobs.rs`).

mod cli;
mod config;
mod control;
mod home;
mod http;
mod jobs;
mod keys;
mod serve;
mod system;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
