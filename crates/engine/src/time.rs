//! Points in time and the deadlines that could be mistaken for one another.
//!
//! Nothing here reads a clock: every rule takes `now` as a value (`docs/STYLE.md`, "Time is passed in").

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch, UTC. The form that stores keep.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(i64);

impl Time {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: the `NumericDate` of RFC 7519 §2.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time moved forward. Saturates at the end of the representable range.
    #[must_use]
    pub const fn plus(self, lifetime: Seconds) -> Self {
        Self(self.0.saturating_add(lifetime.millis()))
    }

    /// This time moved back. Saturates likewise.
    #[must_use]
    pub const fn minus(self, lifetime: Seconds) -> Self {
        Self(self.0.saturating_sub(lifetime.millis()))
    }

    /// The full hour that this time lies in.
    #[must_use]
    pub const fn hour(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(Seconds::HOUR.millis())))
    }

    /// Milliseconds from `earlier` to this time, 0 where `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> i64 {
        let elapsed = self.0.saturating_sub(earlier.0);
        if elapsed < 0 { 0 } else { elapsed }
    }

    /// Seconds from `now` until this time, rounded up, 0 where it has passed.
    #[must_use]
    pub const fn seconds_from(self, now: Self) -> i64 {
        let left = self.millis_since(now);
        left / 1000 + if left % 1000 == 0 { 0 } else { 1 }
    }
}

/// RFC 3339 in UTC with milliseconds, as every interface prints times.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let timestamp: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(timestamp.as_millisecond()))
    }
}

/// A length of time in whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u32);

impl Seconds {
    /// One minute.
    pub const MINUTE: Self = Self(60);
    /// One hour.
    pub const HOUR: Self = Self(60 * 60);
    /// One day of 24 hours.
    pub const DAY: Self = Self(24 * 60 * 60);

    /// `n` days of 24 hours.
    #[must_use]
    pub const fn days(n: u32) -> Self {
        Self(n * Self::DAY.0)
    }

    /// `n` minutes.
    #[must_use]
    pub const fn minutes(n: u32) -> Self {
        Self(n * 60)
    }

    /// The same length in milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0 as i64 * 1000
    }
}

/// When a grant ends if it is not used. Slides with each rotation, never past the [`AbsoluteDeadline`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct IdleDeadline(pub Time);

impl IdleDeadline {
    /// `lifetime` after `now`, cut at `absolute`.
    #[must_use]
    pub fn sliding(now: Time, lifetime: Seconds, absolute: AbsoluteDeadline) -> Self {
        Self(now.plus(lifetime).min(absolute.0))
    }
}

/// When a grant ends whatever happens. Set when it is issued; a change of the configuration may bring it nearer, nothing
/// moves it away. "None" (offline grants) is [`AbsoluteDeadline::NEVER`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AbsoluteDeadline(pub Time);

impl AbsoluteDeadline {
    /// No absolute deadline.
    pub const NEVER: Self = Self(Time::from_millis(i64::MAX));
}
