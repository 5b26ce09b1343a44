//! Chance that can be repeated: SplitMix64 (Steele, Lea, Flood 2014), and the few distributions that the models draw from.

/// A seeded generator. Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// `stream` tells models apart that share a seed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut chance = Self(seed ^ stream.wrapping_mul(0xD134_2543_DE82_EF95));
        // Neighbouring seeds differ in few bits; one draw spreads them.
        Self(chance.bits())
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// At least 0, less than 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// From 0, less than `n`.
    pub(super) fn below(&mut self, n: u8) -> u8 {
        (self.unit() * f64::from(n)) as u8
    }

    /// Every length between the two is as likely.
    pub(super) fn between(&mut self, least: Span, most: Span) -> Span {
        Span(least.0 + (self.unit() * (most.0 - least.0) as f64) as i64)
    }

    /// Every order of magnitude between the two is as likely: how long people stay away.
    pub(super) fn magnitude(&mut self, least: Span, most: Span) -> Span {
        let (least, most) = ((least.0.max(1) as f64).ln(), (most.0.max(1) as f64).ln());
        Span((least + self.unit() * (most - least)).exp() as i64)
    }

    /// Without memory, `mean` on average: how long people stay.
    pub(super) fn about(&mut self, mean: Span) -> Span {
        Span((-(1.0 - self.unit()).ln() * mean.0 as f64) as i64)
    }
}

/// A length of simulated time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Span(pub(super) i64);

impl Span {
    pub(super) const fn millis(n: i64) -> Self {
        Self(n)
    }

    pub(super) const fn seconds(n: i64) -> Self {
        Self(n * 1000)
    }

    pub(super) const fn minutes(n: i64) -> Self {
        Self::seconds(n * 60)
    }

    pub(super) const fn hours(n: i64) -> Self {
        Self::minutes(n * 60)
    }
}
