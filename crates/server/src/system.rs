//! The machine's clock and randomness: the one place that reads them.

use std::cell::RefCell;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use regrant_engine::{
    ports::{Clock, Random},
    time::Time,
};
use zeroize::Zeroizing;

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
    /// A panic, and no error: no caller could do anything with one but stop, and one that went on with bytes that are not random
    /// would give secrets away. It unwinds: the request or the job that asked ends without an answer, nothing of it is stored, and
    /// a start ends. (AWS-LC itself ends the process when the system gives it nothing, so this is a second bolt.)
    #[allow(clippy::panic, reason = "without randomness nothing here is safe: stopping is the only answer")]
    fn fill(&self, bytes: &mut [u8]) {
        let fill = |bytes: &mut [u8]| {
            if self.0.fill(bytes).is_err() {
                panic!("the system gives no randomness");
            }
        };
        STOCK.with_borrow_mut(|stock| stock.take(bytes, fill));
    }
}

/// Random bytes in stock. To ask the generator costs the same for a few as for many, and a request asks several times.
struct Stock {
    bytes: Zeroizing<[u8; 256]>,
    /// How many of them are left, at the end.
    left: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = RefCell::new(Stock { bytes: Zeroizing::new([0; 256]), left: 0 });
}

impl Stock {
    /// Fills `out` with bytes that nobody has had, and of which none stays behind.
    fn take(&mut self, out: &mut [u8], fill: impl Fn(&mut [u8])) {
        if out.len() > self.bytes.len() {
            return fill(out);
        }
        if self.left < out.len() {
            fill(self.bytes.as_mut_slice());
            self.left = self.bytes.len();
        }
        let unused = self.bytes.len() - self.left;
        for (to, from) in out.iter_mut().zip(self.bytes.iter_mut().skip(unused)) {
            *to = std::mem::take(from);
        }
        self.left -= out.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is asked for, in whatever portions: all of it random, nothing given twice, and nothing left behind.
    #[test]
    fn random_bytes_are_given_once() {
        let source = SystemSource::new();
        let mut seen = std::collections::HashSet::new();
        for length in (8..400).chain([256, 255, 257, 1, 256]) {
            let mut bytes = vec![0; length];
            source.fill(&mut bytes);
            for eight in bytes.chunks_exact(8) {
                assert!(eight.iter().any(|byte| *byte != 0));
                assert!(seen.insert(eight.to_vec()), "given twice");
            }
        }
        STOCK.with_borrow(|stock| {
            let given = stock.bytes.len() - stock.left;
            assert!(stock.bytes.iter().take(given).all(|byte| *byte == 0));
        });
    }
}
