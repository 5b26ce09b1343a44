//! The machine's clock and randomness: the one place that reads them.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use regrant_engine::{
    ports::{Clock, Random},
    time::Time,
};

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the time of day")]
    fn now(&self) -> Time {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Time::from_millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }
}

/// How long something takes, for the metrics and the log: no rule depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "measures a duration for people; nothing is decided by it")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Since the start.
    #[allow(clippy::disallowed_methods, reason = "measures a duration for people; nothing is decided by it")]
    pub(crate) fn elapsed(self) -> std::time::Duration {
        self.0.elapsed()
    }
}

/// The library's generator, seeded by the system.
#[derive(Debug)]
pub struct SystemSource(SystemRandom);

impl Default for SystemSource {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemSource {
    #[allow(clippy::disallowed_methods, reason = "the one place that makes randomness")]
    /// The generator, seeded by the system.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Random for SystemSource {
    #[allow(clippy::panic, reason = "without randomness nothing here is safe: stopping is the only answer")]
    fn fill(&self, bytes: &mut [u8]) {
        if self.0.fill(bytes).is_err() {
            panic!("the system gives no randomness");
        }
    }
}
