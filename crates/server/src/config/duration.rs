//! Lengths of time as people write them: `"15m"`, `"7 days"`, `900`.

use regrant_engine::time::Seconds;

/// Reads a length of time: a number of seconds, or numbers with units (`s m h d w`, or the English words).
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn parse(text: &str) -> Result<Seconds, String> {
    let wrong = || format!("\"{text}\" is not a length of time; write it like \"15m\", \"7 days\" or 900 (seconds)");
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 60 * 60,
            "d" | "day" | "days" => 24 * 60 * 60,
            "w" | "week" | "weeks" => 7 * 24 * 60 * 60,
            _ => return Err(wrong()),
        };
        total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = after.trim_start();
    }
    seconds(total).ok_or_else(|| format!("\"{text}\" is longer than ten years"))
}

/// At most ten years, so that no sum of times runs over.
pub(super) fn seconds(total: u64) -> Option<Seconds> {
    u32::try_from(total).ok().filter(|total| *total <= 10 * 366 * Seconds::DAY.0).map(Seconds)
}

/// As it can be read again: in the largest unit that leaves nothing over.
pub(super) fn written(time: Seconds) -> String {
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    let whole = units.into_iter().find(|(unit, _)| time.0 > 0 && time.0.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{}s", time.0), |(unit, name)| format!("{}{name}", time.0 / unit))
}

#[cfg(test)]
mod tests {
    use super::{parse, written};

    #[test]
    fn a_length_of_time_is_written_as_it_is_read() {
        for (text, short) in [("15m", "15m"), ("7 days", "7d"), ("90 minutes", "90m"), ("1h 1s", "3601s"), ("0", "0s")]
        {
            let time = parse(text).unwrap();
            assert_eq!(written(time), short);
            assert_eq!(parse(short), Ok(time));
        }
    }
}
