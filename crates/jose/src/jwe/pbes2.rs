//! PBES2 (RFC 7518 §4.8): a key from a password, which then wraps. Only for callers who name it.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{KeyManagement, random};
use crate::{Error, base64url};

/// How a password becomes a key: salt and count, as the header says them, within the bounds.
pub(super) struct Stretching {
    salt_input: Vec<u8>,
    count: NonZeroU32,
}

impl Stretching {
    /// Reads `p2s` and `p2c`.
    ///
    /// # Errors
    /// [`Error::HeaderInvalid`] if they are missing or not of their form, [`Error::PasswordWorkRefused`] if they are out of
    /// bounds.
    pub(super) fn parse(members: &Map<String, Value>) -> Result<Stretching, Error> {
        let salt = members.get("p2s").and_then(Value::as_str).ok_or(Error::HeaderInvalid)?;
        let count = members.get("p2c").and_then(Value::as_u64).ok_or(Error::HeaderInvalid)?;
        // RFC 8725 (update): whoever writes the header must not say how long this machine works.
        let count = u32::try_from(count).ok().filter(|count| (LEAST_COUNT..=MOST_COUNT).contains(count));
        let count = count.and_then(NonZeroU32::new).ok_or(Error::PasswordWorkRefused)?;
        if salt.len() > MAX_SALT_CHARACTERS {
            return Err(Error::PasswordWorkRefused);
        }
        let salt_input = base64url::decode(salt).map_err(|_| Error::HeaderInvalid)?;
        // RFC 7518 §4.8.1.1: eight bytes or more.
        if salt_input.len() < LEAST_SALT_BYTES {
            return Err(Error::PasswordWorkRefused);
        }
        Ok(Stretching { salt_input, count })
    }

    /// A new salt, and the count that is right today. [`Error::CryptoFailed`] if the library fails.
    pub(super) fn new(alg: KeyManagement) -> Result<Stretching, Error> {
        let mut salt_input = vec![0; SALT_BYTES];
        random::fill(&mut salt_input)?;
        let count = if alg == KeyManagement::Pbes2Hs512A256Kw { COUNT_SHA512 } else { COUNT_SHA256 };
        Ok(Stretching { salt_input, count: NonZeroU32::new(count).ok_or(Error::CryptoFailed)? })
    }

    /// The wrapping key that `password` gives. `None` for an algorithm without password.
    pub(super) fn stretch(&self, password: &[u8], alg: KeyManagement) -> Option<Zeroizing<Vec<u8>>> {
        let (hash, length) = match alg {
            KeyManagement::Pbes2Hs256A128Kw => (PBKDF2_HMAC_SHA256, 16),
            KeyManagement::Pbes2Hs512A256Kw => (PBKDF2_HMAC_SHA512, 32),
            _ => return None,
        };
        // RFC 7518 §4.8.1.1: the algorithm's name, a zero, and the salt input.
        let salt = [alg.as_str().as_bytes(), &[0], &self.salt_input].concat();
        let mut key = Zeroizing::new(vec![0; length]);
        pbkdf2::derive(hash, self.count, &salt, password, &mut key);
        Some(key)
    }

    /// `p2s` and `p2c` for the header.
    pub(super) fn write(&self, header: &mut Map<String, Value>) {
        header.insert("p2s".to_owned(), Value::String(base64url::encode(&self.salt_input)));
        header.insert("p2c".to_owned(), json!(self.count.get()));
    }
}

/// RFC 7518 §4.8.1.2: at least this.
const LEAST_COUNT: u32 = 1000;
/// Twice what is recommended for SHA-256 today; about half a second.
const MOST_COUNT: u32 = 1_200_000;
/// What OWASP recommends for PBKDF2 (2023).
const COUNT_SHA256: u32 = 600_000;
const COUNT_SHA512: u32 = 210_000;
const LEAST_SALT_BYTES: usize = 8;
const SALT_BYTES: usize = 16;
/// 256 bytes in base64url.
const MAX_SALT_CHARACTERS: usize = 342;
