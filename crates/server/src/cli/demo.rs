//! .
use std::process::ExitCode;
pub(super) async fn run(_once: bool, _json: bool) -> ExitCode {
    ExitCode::FAILURE
}
