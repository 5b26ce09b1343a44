//! From when until when a certificate is valid (RFC 5280 §4.1): just as much of X.509 as the log needs to warn in time.

use jiff::{civil::DateTime, tz::TimeZone};
use regrant_engine::time::Time;

/// Both ends are included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Validity {
    pub(super) from: Time,
    pub(super) until: Time,
}

impl Validity {
    /// Of a certificate in DER; `None` if it cannot be found. Whether the certificate can be used is rustls's to say.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (to_be_signed, _) = element(certificate, SEQUENCE)?;
        // version [0] (left out for version 1), serialNumber, signature, issuer, validity.
        let rest = element(to_be_signed, VERSION).map_or(to_be_signed, |(_, rest)| rest);
        let (_, rest) = element(rest, INTEGER)?;
        let (_, rest) = element(rest, SEQUENCE)?;
        let (_, rest) = element(rest, SEQUENCE)?;
        let (validity, _) = element(rest, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }
}

/// The content of the first element of `der`, which must have this tag, and what stands behind it (X.690 §8.1).
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// RFC 5280 §4.1.2.5: UTCTime (two digits of the year) until 2049, GeneralizedTime from then on, both in UTC to the second.
fn time(der: &[u8]) -> Option<(Time, &[u8])> {
    let (digits, rest, is_short) = match element(der, UTC_TIME) {
        Some((digits, rest)) => (digits, rest, true),
        None => element(der, GENERALIZED_TIME).map(|(digits, rest)| (digits, rest, false))?,
    };
    let digits = std::str::from_utf8(digits).ok()?.strip_suffix('Z')?;
    let (year, others) = digits.split_at_checked(if is_short { 2 } else { 4 })?;
    let year: i16 = year.parse().ok()?;
    let year = match year {
        0..50 if is_short => 2000 + year,
        50..100 if is_short => 1900 + year,
        year => year,
    };
    if others.len() != 10 || !others.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |from: usize| others.get(from..from + 2)?.parse::<i8>().ok();
    let at = DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some((Time::from_millis(at.as_millisecond()), rest))
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
