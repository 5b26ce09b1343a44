//! The one place that waits.

use std::time::{Duration, Instant};

/// Asks until `probe` has an answer; fails after a while that no healthy machine needs.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "the one helper that polls with a deadline")]
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "this did not happen in 30 seconds: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
