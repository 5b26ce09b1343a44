//! Names of things: ids that are shown, and the generation counter.
//!
//! Ids are `UUIDv7` (RFC 9562 §5.7), so they sort by creation, and carry a prefix that says what they name.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

use uuid::Uuid;

use crate::{common::Common, ports::Random, time::Time};

/// Text that is no id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnId {
    expected: &'static str,
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an id: expected {} followed by 32 hexadecimal digits", self.expected)
    }
}

impl std::error::Error for NotAnId {}

/// The length of every shown id: a prefix of four characters, and 32 digits.
const SHOWN: usize = 36;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What the shown form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id for something created at `now`.
            #[must_use]
            pub fn new(now: Time, random: &dyn Random) -> Self {
                Self(uuid_v7(now, random))
            }

            /// From the 16 bytes that stores keep.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes that stores keep.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// A prefix of another length does not compile.
            const DIGITS_FOLLOW: () = assert!($prefix.len() + 32 == SHOWN);

            /// The shown form, written into `buffer`: every reply and every token has some.
            fn shown<'b>(&self, buffer: &'b mut [u8; SHOWN]) -> &'b str {
                let () = Self::DIGITS_FOLLOW;
                let (prefix, digits) = buffer.split_at_mut($prefix.len());
                prefix.copy_from_slice($prefix.as_bytes());
                Uuid::from_bytes(self.0).simple().encode_lower(digits);
                // A prefix and digits are ASCII.
                str::from_utf8(buffer).unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.shown(&mut [0; SHOWN]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix($prefix)
                    .filter(|digits| digits.len() == 32)
                    .and_then(|digits| Uuid::try_parse(digits).ok())
                    .map(|uuid| Self(uuid.into_bytes()))
                    .ok_or(NotAnId { expected: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.shown(&mut [0; SHOWN]))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A person. The `sub` of every token, never the e-mail address.
    UserId, "usr_");
id!(
    /// One sign-in on one device. The `sid` of every token.
    SessionId, "ses_");
id!(
    /// The public name of a grant, for logs, events and listings. Its secret one is [`crate::token::GrantId`].
    GrantRef, "grt_");
id!(
    /// One line of the timeline.
    EventId, "evt_");

impl GrantRef {
    /// Of a session's own grant: one id less to keep, and to look up.
    #[must_use]
    pub const fn own_of(session: SessionId) -> Self {
        Self(session.0)
    }
}

impl EventId {
    /// Of the renewal at `at` that issued `issued`: the same each time that it is told, so that nobody has to keep it. It
    /// comes before all else in its millisecond.
    #[must_use]
    pub fn of_renewal(at: Time, grant: GrantRef, issued: Generation) -> Self {
        let [.., a, b, c, d] = grant.0;
        let [_, _, high, low] = issued.0.to_be_bytes();
        let millis = u64::try_from(at.millis()).unwrap_or(0);
        let tail = [0, 0, 0, 0, high, low, a, b, c, d];
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid().into_bytes())
    }
}

/// RFC 9562 §5.7: 48 bits of Unix milliseconds, then a counter (§6.2, method 1) so that what one process makes within a
/// millisecond keeps its order, then 48 random bits.
fn uuid_v7(now: Time, random: &dyn Random) -> [u8; 16] {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    // The version and the variant take 4 and 2 bits of these ten bytes: 12 bits of the counter go before the variant, 14 behind.
    let [high, low] = u16::try_from(made >> 14 & 0xfff).unwrap_or_default().to_be_bytes();
    let [after, last] = u16::try_from(made & 0x3fff).unwrap_or_default().to_be_bytes();
    let mut tail = [high, low, after, last, 0, 0, 0, 0, 0, 0];
    let (_, chance) = tail.split_at_mut(4);
    random.fill(chance);
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid().into_bytes()
}

/// Which token of a grant is meant; the newest one issued is the grant's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation(pub u32);

impl Generation {
    /// Of the first token of every grant.
    pub const FIRST: Self = Self(1);

    /// Past this one a grant ends (`generation_exhausted`) rather than count further: the margin keeps every sum of the
    /// decision table below 2³².
    pub const LAST: Self = Self(u32::MAX - 8);

    /// The next generation, `None` near 2³².
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.skip(1)
    }

    /// `steps` generations on, `None` near 2³².
    #[must_use]
    pub fn skip(self, steps: u32) -> Option<Self> {
        self.0.checked_add(steps).map(Self).filter(|next| *next <= Self::LAST)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the times that everything a user holds was ended at once. A grant issued under an older epoch is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Epoch(pub u32);

/// An OAuth client's identifier (RFC 6749 §2.2).
///
/// Shared, not copied: each use of a grant names its client several times.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ClientId(pub Common<str>);

impl ClientId {
    /// The client of Regrant's own session API.
    #[must_use]
    pub const fn session_api() -> Self {
        Self(Common::Kept("regrant"))
    }
}

impl From<&str> for ClientId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for ClientId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        (*id.0).to_owned()
    }
}
