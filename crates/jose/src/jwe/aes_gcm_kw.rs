//! Key encryption by AES-GCM with a shared key (RFC 7518 §4.7). Vector and tag stand in the header.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::cek::Cek;
use super::content::{Sealed, gcm_open, gcm_seal};
use super::random;
use crate::{Error, base64url};

/// What the header says: exactly 96 bits of vector and 128 bits of tag.
pub(super) struct Lock {
    iv: Vec<u8>,
    tag: Vec<u8>,
}

impl Lock {
    /// Reads `iv` and `tag`. [`Error::HeaderInvalid`] if they are missing, or not of exactly their length.
    pub(super) fn parse(members: &Map<String, Value>) -> Result<Lock, Error> {
        // RFC 7518 §4.7.1.1, §4.7.1.2. A tag cut short could be guessed.
        Ok(Lock { iv: part(members, "iv", IV_BYTES)?, tag: part(members, "tag", TAG_BYTES)? })
    }

    /// Decrypts a content encryption key with a shared key. `None` for every failure.
    pub(super) fn open(&self, shared: &[u8], encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        // RFC 7518 §4.7: no additional authenticated data.
        let sealed = Sealed { iv: self.iv.clone(), ciphertext: encrypted.to_vec(), tag: self.tag.clone() };
        gcm_open(shared, &[], sealed)
    }

    /// Encrypts `cek` with a shared key: the lock, and the encrypted key. [`Error::CryptoFailed`] if the library fails.
    pub(super) fn seal(shared: &[u8], cek: &Cek) -> Result<(Lock, Vec<u8>), Error> {
        let mut iv = [0; IV_BYTES];
        random::fill(&mut iv)?;
        let sealed = gcm_seal(shared, &iv, &[], cek.as_bytes()).ok_or(Error::CryptoFailed)?;
        Ok((Lock { iv: sealed.iv, tag: sealed.tag }, sealed.ciphertext))
    }

    /// `iv` and `tag` for the header.
    pub(super) fn write(&self, header: &mut Map<String, Value>) {
        header.insert("iv".to_owned(), Value::String(base64url::encode(&self.iv)));
        header.insert("tag".to_owned(), Value::String(base64url::encode(&self.tag)));
    }
}

fn part(members: &Map<String, Value>, name: &str, length: usize) -> Result<Vec<u8>, Error> {
    let text = members.get(name).and_then(Value::as_str).ok_or(Error::HeaderInvalid)?;
    let bytes = base64url::decode(text).map_err(|_| Error::HeaderInvalid)?;
    if bytes.len() == length { Ok(bytes) } else { Err(Error::HeaderInvalid) }
}

const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
