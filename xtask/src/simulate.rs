//! `cargo xtask simulate`: the simulation of the rotation protocol, as a table and a plot.

use std::process::ExitCode;

/// Not built yet: says so and fails.
pub(crate) fn run(_args: Vec<String>) -> ExitCode {
    eprintln!("xtask: `simulate` is not built yet");
    ExitCode::FAILURE
}
