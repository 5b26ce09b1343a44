//! The one module that reads the clock and waits.

#![allow(clippy::disallowed_methods, reason = "a load generator measures time")]

use std::time::{Duration, Instant};

/// Now, on the monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits until `then`, to the millisecond that the runtime's timer has.
pub(crate) async fn until(then: Instant) {
    tokio::time::sleep_until(then.into()).await;
}

/// Blocks this thread.
pub(crate) fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Blocks this thread until `then`.
pub(crate) fn pause_until(then: Instant) {
    pause(then.saturating_duration_since(now()));
}
