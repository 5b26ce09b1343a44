//! How long something takes, for the metrics: no rule depends on it.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    #[allow(
        clippy::disallowed_methods,
        reason = "measures a duration for people, and how old a reading of the clock is"
    )]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start.
    #[allow(
        clippy::disallowed_methods,
        reason = "measures a duration for people, and how old a reading of the clock is"
    )]
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
