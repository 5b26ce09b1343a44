//! The binary; everything is in the library beside it, so that `bench/` and tests can use its parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    regrant::run()
}
