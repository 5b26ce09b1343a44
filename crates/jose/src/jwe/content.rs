//! Locks and opens the content (RFC 7516 §5.1 steps 9 to 15, §5.2 steps 13 to 16).

mod cbc_hmac;
mod gcm;

use zeroize::Zeroizing;

use super::cek::Cek;
use super::{ContentEncryption, random};
use crate::Error;

/// The parts of a token that `enc` makes.
#[derive(Clone)]
pub(super) struct Sealed {
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

/// Opens `sealed`, whose authentication covers `aad`, too. `None` for whatever reason, and no reason is to be had.
pub(super) fn open(enc: ContentEncryption, cek: &Cek, aad: &[u8], sealed: Sealed) -> Option<Zeroizing<Vec<u8>>> {
    // RFC 7518 §5.2, §5.3: exactly these lengths. A tag cut short could be guessed.
    if sealed.iv.len() != enc.iv_len() || sealed.tag.len() != enc.tag_len() {
        return None;
    }
    match enc {
        ContentEncryption::A128Gcm | ContentEncryption::A256Gcm => gcm::open(cek.as_bytes(), aad, sealed),
        ContentEncryption::A128CbcHs256 | ContentEncryption::A192CbcHs384 | ContentEncryption::A256CbcHs512 => {
            cbc_hmac::Keys::of(enc, cek)?.open(aad, sealed)
        }
    }
}

/// Locks `plaintext` under a new initialization vector. [`Error::CryptoFailed`] if the library fails.
pub(super) fn seal(enc: ContentEncryption, cek: &Cek, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, Error> {
    // RFC 7518 §5.3, §8.4: never one vector twice with a key; this one is random, and nearly every key is used once.
    let mut iv = vec![0; enc.iv_len()];
    random::fill(&mut iv)?;
    seal_with(enc, cek, &iv, aad, plaintext).ok_or(Error::CryptoFailed)
}

/// The same with the initialization vector given, so that the RFCs' examples can be made anew.
pub(super) fn seal_with(enc: ContentEncryption, cek: &Cek, iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Sealed> {
    match enc {
        ContentEncryption::A128Gcm | ContentEncryption::A256Gcm => gcm::seal(cek.as_bytes(), iv, aad, plaintext),
        ContentEncryption::A128CbcHs256 | ContentEncryption::A192CbcHs384 | ContentEncryption::A256CbcHs512 => {
            cbc_hmac::Keys::of(enc, cek)?.seal(iv, aad, plaintext)
        }
    }
}

pub(super) use gcm::{open as gcm_open, seal as gcm_seal};

#[cfg(test)]
mod tests;
