//! A client's secret: 256 random bits, of which only a hash is kept. So much randomness needs no slow hash: nobody guesses it.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{ports::Random, time::Time};

/// What every secret that we make begins with, so that secret scanners can find one.
pub const PREFIX: &str = "rgs_";

/// Secrets that a client has at once: the new one, and the one before it for a while.
pub const MOST: usize = 2;

/// The shortest secret that an operator may bring, in bytes.
pub const SHORTEST: usize = 32;

/// A secret on its way to its client. Silent in `Debug`.
pub struct ClientSecret(Zeroizing<String>);

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(secret)")
    }
}

/// Which secret of a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SecretId(pub u32);

impl SecretId {
    /// The first one that a client gets.
    pub const FIRST: Self = Self(1);
}

/// A secret as the store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Which one.
    pub id: SecretId,
    /// Its SHA-256.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Time,
    /// Until when it works; `None` for the newest.
    pub expires_at: Option<Time>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Time>,
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredSecret({})", self.id.0)
    }
}

impl StoredSecret {
    /// The one that comes after it.
    #[must_use]
    pub const fn next(&self, hash: [u8; 32], at: Time) -> Self {
        let id = SecretId(self.id.0.saturating_add(1));
        Self { id, hash, created_at: at, expires_at: None, last_used_at: None }
    }

    /// It in the place of those of `before`: since when it is there and when it was used is remembered as long as it is the same.
    #[must_use]
    pub fn in_place_of(&self, before: &[Self]) -> Self {
        let same = before.iter().find(|known| known.hash == self.hash);
        Self {
            created_at: same.map_or(self.created_at, |known| known.created_at),
            last_used_at: same.and_then(|known| known.last_used_at),
            ..self.clone()
        }
    }
}

impl ClientSecret {
    /// A new one.
    #[must_use]
    pub fn new(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut_slice());
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 43));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        Self(text)
    }

    /// One that an operator brings; `None` if it is too short to be random.
    #[must_use]
    pub fn brought(text: &str) -> Option<Self> {
        (text.len() >= SHORTEST).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, for its client and nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }

    /// As the store keeps it.
    #[must_use]
    pub fn stored(&self, id: SecretId, now: Time) -> StoredSecret {
        StoredSecret { id, hash: self.hash(), created_at: now, expires_at: None, last_used_at: None }
    }
}

/// The one of `secrets` that `presented` is, if it works at `now`. All are compared, in constant time.
#[must_use]
pub fn matching<'s>(secrets: &'s [StoredSecret], presented: &str, now: Time) -> Option<&'s StoredSecret> {
    let presented = hash(presented);
    let mut found = None;
    for secret in secrets {
        let is_same = constant_time::verify_slices_are_equal(&secret.hash, &presented).is_ok();
        if is_same && secret.expires_at.is_none_or(|until| now < until) {
            found = Some(secret);
        }
    }
    found
}

fn hash(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()) {
        *to = *from;
    }
    out
}
