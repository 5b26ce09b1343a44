//! Latencies, each kept to within 1 %: 128 steps for every doubling, in a few thousand counters.

use std::time::Duration;

/// Steps for each doubling, as a power of two.
const PRECISION: u32 = 7;
const STEPS: usize = 1 << PRECISION;
/// Longer ones are counted as this long: 2³⁷ ns are more than two minutes.
const LONGEST: u64 = (1 << 37) - 1;
const BUCKETS: usize = (38 - PRECISION as usize) * STEPS;

/// Counts durations by their length.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u32>,
    total: u64,
    longest: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, longest: 0 }
    }

    /// Counts one.
    pub(crate) fn record(&mut self, length: Duration) {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        self.longest = self.longest.max(nanos);
        self.total += 1;
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts what `other` has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (to, from) in self.counts.iter_mut().zip(&other.counts) {
            *to = to.saturating_add(*from);
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The longest, exactly.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// The length that `share` (0 to 1) of all do not exceed; the upper end of its step, so never too good.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let rank = ((share * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return Duration::from_nanos(upper_end(index).min(self.longest));
            }
        }
        self.longest()
    }
}

/// Lengths below 2^(PRECISION+1) have a bucket each; above, each doubling is cut into [`STEPS`].
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min(LONGEST);
    let doublings = (64 - nanos.leading_zeros()).saturating_sub(PRECISION + 1);
    (nanos >> doublings) as usize + doublings as usize * STEPS
}

fn upper_end(index: usize) -> u64 {
    let doublings = (index / STEPS).saturating_sub(1);
    let step = index - doublings * STEPS;
    ((step as u64 + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_lies_in_a_bucket_whose_upper_end_is_within_one_percent() {
        let lengths = (0..37).flat_map(|bit| [1u64 << bit, (1 << bit) + 1, (2 << bit) - 1, (3 << bit) / 2]);
        for nanos in lengths.filter(|nanos| *nanos <= LONGEST) {
            let index = bucket(nanos);
            assert!(index < BUCKETS, "{nanos} in {index}");
            let end = upper_end(index);
            assert!(end >= nanos && end - nanos <= nanos / 100, "{nanos} in {index}, which ends at {end}");
        }
    }

    #[test]
    fn buckets_follow_one_another_without_gaps() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(upper_end(index)), index);
            assert_eq!(bucket(upper_end(index) + 1), index + 1);
        }
    }

    #[test]
    fn percentiles_of_a_known_row_are_right() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|micros| histogram.record(Duration::from_micros(micros)));
        for (share, micros) in [(0.5, 500), (0.9, 900), (0.99, 990), (0.999, 999)] {
            let (found, right) = (histogram.percentile(share), Duration::from_micros(micros));
            assert!(found >= right && found <= right + right / 100, "{share}: {found:?}");
        }
        assert_eq!(
            (histogram.percentile(1.0), histogram.longest()),
            (Duration::from_millis(1), Duration::from_millis(1))
        );
    }

    #[test]
    fn one_slow_reply_in_a_hundred_is_the_last_percent_and_the_maximum() {
        let mut histogram = Histogram::new();
        (0..99).for_each(|_| histogram.record(Duration::from_millis(1)));
        let mut other = Histogram::new();
        other.record(Duration::from_secs(9));
        histogram.add(&other);
        assert_eq!(histogram.total(), 100);
        assert!(histogram.percentile(0.99) < Duration::from_millis(2));
        assert_eq!(histogram.percentile(0.991), Duration::from_secs(9));
    }

    #[test]
    fn nothing_counted_and_too_long_are_no_panics() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(0.99), Duration::ZERO);
        histogram.record(Duration::from_secs(3600));
        assert_eq!(histogram.longest(), Duration::from_secs(3600));
        assert!(histogram.percentile(0.5) > Duration::from_secs(120));
    }
}
