//! The content encryption key: one length, wiped when dropped, shown to nobody.

use zeroize::Zeroizing;

use super::{ContentEncryption, random};
use crate::Error;

/// A key of exactly the length that its content encryption wants (RFC 7518 §5.1).
pub(super) struct Cek(Zeroizing<Vec<u8>>);

impl Cek {
    /// `bytes` as a key for `enc`; `None` if the length is not exactly right.
    pub(super) fn new(enc: ContentEncryption, bytes: &[u8]) -> Option<Cek> {
        (bytes.len() == enc.key_len()).then(|| Cek(Zeroizing::new(bytes.to_vec())))
    }

    /// A new key for `enc`.
    pub(super) fn random(enc: ContentEncryption) -> Result<Cek, Error> {
        let mut bytes = Zeroizing::new(vec![0; enc.key_len()]);
        random::fill(&mut bytes)?;
        Ok(Cek(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
