//! The open loop: requests are due at times that are known beforehand, whatever the server does.
//!
//! A reply's latency counts from when its request was due. So a server that stalls is charged for all who would have come
//! meanwhile, and not only for the one who happened to wait (coordinated omission).

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::clock;

/// The pacer looks so often whether something is due: finer than the millisecond of the runtime's timer.
const GRAIN: Duration = Duration::from_micros(100);

/// Request `n` is due n/rate seconds after the start.
pub(crate) struct Schedule {
    start: Instant,
    end: Instant,
    rate: u32,
    next: u64,
}

impl Schedule {
    pub(crate) fn new(start: Instant, end: Instant, rate: u32) -> Self {
        Self { start, end, rate, next: 0 }
    }

    fn due(&self, n: u64) -> Instant {
        let rate = u64::from(self.rate);
        // In two parts, so that a long run neither overflows nor drifts.
        self.start + Duration::from_secs(n / rate) + Duration::from_nanos(n % rate * 1_000_000_000 / rate)
    }

    /// The next request that is due at `now` and was not given yet, with when it was due.
    fn take(&mut self, now: Instant) -> Option<(u64, Instant)> {
        let (n, due) = (self.next, self.due(self.next));
        (due <= now && due < self.end).then(|| {
            self.next += 1;
            (n, due)
        })
    }

    fn is_over(&self) -> bool {
        self.due(self.next) >= self.end
    }

    /// Hands each request to its connection when it is due, until the schedule ends. Blocks its thread.
    pub(crate) fn run(mut self, connections: &[UnboundedSender<Instant>]) {
        while !self.is_over() {
            let now = clock::now();
            while let Some((n, due)) = self.take(now) {
                let index = usize::try_from(n).unwrap_or_default() % connections.len().max(1);
                if let Some(connection) = connections.get(index) {
                    // A connection that gave up has said so in its tally.
                    let _ = connection.send(due);
                }
            }
            clock::pause(GRAIN.max(self.due(self.next).saturating_duration_since(clock::now())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: u32, length: Duration) -> (Instant, Schedule) {
        let start = clock::now();
        (start, Schedule::new(start, start + length, rate))
    }

    #[test]
    fn a_second_has_as_many_requests_as_the_rate_says_evenly_spread() {
        let (start, mut schedule) = schedule(3, Duration::from_secs(1));
        let dues: Vec<_> = std::iter::from_fn(|| schedule.take(start + Duration::from_secs(5)))
            .map(|(n, due)| (n, due - start))
            .collect();
        assert_eq!(
            dues,
            [(0, Duration::ZERO), (1, Duration::from_nanos(333_333_333)), (2, Duration::from_nanos(666_666_666))]
        );
        assert!(schedule.is_over());
    }

    #[test]
    fn what_became_due_during_a_stall_keeps_its_own_time() {
        let (start, mut schedule) = schedule(1000, Duration::from_secs(60));
        assert_eq!(schedule.take(start), Some((0, start)));
        assert_eq!(schedule.take(start), None);
        // Nobody looked for two seconds.
        let late = start + Duration::from_secs(2);
        let dues: Vec<_> = std::iter::from_fn(|| schedule.take(late)).map(|(_, due)| due).collect();
        assert_eq!(dues.len(), 2000);
        assert_eq!(dues.first().copied(), Some(start + Duration::from_millis(1)));
        assert_eq!(dues.last().copied(), Some(late));
    }

    #[test]
    fn a_day_at_a_high_rate_does_not_drift() {
        let (start, schedule) = schedule(33_333, Duration::from_secs(200_000));
        assert_eq!(schedule.due(33_333 * 86_400), start + Duration::from_secs(86_400));
    }

    #[test]
    fn every_connection_gets_its_turn() {
        let (_, schedule) = schedule(1000, Duration::from_millis(20));
        let (senders, mut receivers): (Vec<_>, Vec<_>) =
            (0..3).map(|_| tokio::sync::mpsc::unbounded_channel::<Instant>()).unzip();
        schedule.run(&senders);
        drop(senders);
        let counts: Vec<_> =
            receivers.iter_mut().map(|receiver| std::iter::from_fn(|| receiver.try_recv().ok()).count()).collect();
        assert_eq!(counts, [7, 7, 6]);
    }
}
