//! Seconds since the epoch, whole or not, of any size that JSON can write (RFC 7519 §2).

use serde_json::Number;

/// A point in time between two whole seconds (or on one). Comparisons with whole seconds are exact and cannot overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumericDate {
    floor: i128,
    ceil: i128,
}

impl NumericDate {
    /// The date that a JSON number says; `None` if the number is not finite.
    #[must_use]
    pub fn from_number(number: &Number) -> Option<NumericDate> {
        if let Some(whole) = number.as_i128() {
            return Some(NumericDate { floor: whole, ceil: whole });
        }
        let seconds = number.as_f64().filter(|seconds| seconds.is_finite())?;
        // Casts from f64 saturate, so 1e300 becomes a very late date and not an early one.
        Some(NumericDate { floor: seconds.floor() as i128, ceil: seconds.ceil() as i128 })
    }

    /// The last whole second at or before this date, held within `i64`.
    #[must_use]
    pub fn seconds(self) -> i64 {
        i64::try_from(self.floor).unwrap_or(if self.floor < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether this date is at or before the whole second `second`.
    pub(super) fn reached_by(self, second: i128) -> bool {
        self.ceil <= second
    }

    /// Whether this date is before the whole second `second`.
    pub(super) fn before(self, second: i128) -> bool {
        self.floor < second
    }
}
