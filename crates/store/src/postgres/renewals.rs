//! A grant's last renewals, packed into its row: newest first, so that a refresh puts one in front and the database cuts off what
//! is behind the last. They are no rows of their own: a refresh must leave nothing that grows.
//!
//! Each is a kind, 6 bytes of time and 4 of generation. The newest happened where the row's context says; an older one where the
//! one after it did, unless that one says that it came from elsewhere ([`MOVED`]).

use regrant_engine::{
    context::{Prefix, UserAgentFamily},
    event::Renewal,
    id::Generation,
    time::Time,
};

/// How many bytes are kept: a day of renewals at one place, where access tokens live a quarter of an hour.
pub(super) const MOST: usize = 1100;

/// From the same place as the one before.
const STAYED: u8 = 0;
/// From another place; that of the one before follows.
const MOVED: u8 = 1;

/// One from the same place as the last rotation.
pub(super) fn entry(at: Time, issued: Generation) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(11);
    head(&mut bytes, STAYED, at, issued);
    bytes
}

fn head(bytes: &mut Vec<u8>, kind: u8, at: Time, issued: Generation) {
    bytes.push(kind);
    let [_, _, time @ ..] = at.millis().to_be_bytes();
    bytes.extend(time);
    bytes.extend(issued.0.to_be_bytes());
}

/// Puts one in front of those that a row has, whose context was this until now.
pub(super) fn put(kept: &[u8], renewed: &Renewal, user_agent: &UserAgentFamily, prefix: Prefix) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(kept.len() + 64);
    one(&mut bytes, renewed, user_agent, prefix);
    bytes.extend(kept);
    bytes.truncate(MOST);
    bytes
}

/// Appends one, with the place of the one before if that was another.
fn one(bytes: &mut Vec<u8>, renewed: &Renewal, user_agent: &UserAgentFamily, prefix: Prefix) {
    if renewed.user_agent == *user_agent && renewed.prefix == prefix {
        head(bytes, STAYED, renewed.at, renewed.issued);
        return;
    }
    head(bytes, MOVED, renewed.at, renewed.issued);
    for text in [user_agent.as_str(), &prefix.to_string()] {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        bytes.push(length);
        bytes.extend(text.as_bytes().get(..usize::from(length)).unwrap_or_default());
    }
}

/// All of these, oldest first, of a grant that rotated last where the newest of them was.
pub(crate) fn packed(renewals: &[Renewal]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 * renewals.len());
    for (index, renewal) in renewals.iter().enumerate().rev() {
        let before = index.checked_sub(1).and_then(|index| renewals.get(index)).unwrap_or(renewal);
        one(&mut bytes, renewal, &before.user_agent, before.prefix);
    }
    bytes
}

/// All of them, oldest first. What was cut off in the middle is left out.
pub(crate) fn all(mut bytes: &[u8], user_agent: &UserAgentFamily, prefix: Prefix) -> Vec<Renewal> {
    let (mut user_agent, mut prefix) = (user_agent.clone(), prefix);
    let mut renewals = Vec::new();
    while let Some((kind, at, issued, rest)) = split(bytes) {
        renewals.push(Renewal { at, issued, user_agent: user_agent.clone(), prefix });
        bytes = rest;
        if kind == MOVED {
            let Some((place, rest)) = text(bytes).and_then(|(agent, rest)| {
                let (prefix, rest) = text(rest)?;
                Some(((UserAgentFamily::from_stored(agent), prefix.parse().ok()?), rest))
            }) else {
                break;
            };
            (user_agent, prefix) = place;
            bytes = rest;
        }
    }
    renewals.reverse();
    renewals
}

/// The bytes of the newest `count`: the others are forgotten.
pub(super) fn newest(bytes: &[u8], count: usize) -> &[u8] {
    let mut rest = bytes;
    for _ in 0..count {
        let Some((kind, _, _, behind)) = split(rest) else { break };
        rest = behind;
        if kind == MOVED {
            let Some((_, behind)) = text(rest).and_then(|(_, rest)| text(rest)) else { break };
            rest = behind;
        }
    }
    bytes.get(..bytes.len() - rest.len()).unwrap_or_default()
}

fn split(bytes: &[u8]) -> Option<(u8, Time, Generation, &[u8])> {
    let ([kind, a, b, c, d, e, f, g, h, i, j], rest) = bytes.split_first_chunk::<11>()?;
    let at = Time::from_millis(i64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]));
    Some((*kind, at, Generation(u32::from_be_bytes([*g, *h, *i, *j])), rest))
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((String::from_utf8_lossy(text).into_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_are_read_as_they_were_written_until_they_are_cut_off() {
        let (firefox, curl) = (UserAgentFamily::parse("curl/8"), UserAgentFamily::from_stored("Fire fox".to_owned()));
        let places = [
            (firefox.clone(), Prefix::of([192, 0, 2, 7].into())),
            (curl.clone(), Prefix::of([198, 51, 100, 9].into())),
        ];
        let mut kept = Vec::new();
        let mut before = (firefox, Prefix::of([192, 0, 2, 7].into()));
        let mut written = Vec::new();
        for issued in 2..200u32 {
            let (user_agent, prefix) = places[usize::from(issued % 7 == 0)].clone();
            let renewal = Renewal {
                at: Time::from_millis(1_800_000_000_000 + i64::from(issued)),
                issued: Generation(issued),
                user_agent: user_agent.clone(),
                prefix,
            };
            kept = put(&kept, &renewal, &before.0, before.1);
            before = (user_agent, prefix);
            written.push(renewal);
            let read = all(&kept, &before.0, before.1);
            assert!(kept.len() <= MOST);
            assert!(read.len() >= written.len().min(50));
            assert_eq!(read, written[written.len() - read.len()..]);
            let few = newest(&kept, 10);
            assert_eq!(all(few, &before.0, before.1), read[read.len().saturating_sub(10)..]);
        }
    }

    #[test]
    fn anything_at_all_is_read_without_harm() {
        for length in 0..64 {
            for byte in [0u8, 1, 2, 0xff] {
                let bytes = vec![byte; length];
                let read = all(&bytes, &UserAgentFamily::parse(""), Prefix::of([0, 0, 0, 0].into()));
                assert!(read.len() <= length);
                assert!(newest(&bytes, 3).len() <= length);
            }
        }
    }
}
