//! The one place where this module draws randomness.

use crate::Error;

/// Fills `bytes` from the library's generator. [`Error::CryptoFailed`] if it fails.
#[allow(
    clippy::disallowed_methods,
    reason = "keys and initialization vectors: a caller who could pass them in could also repeat them, which gives the content away"
)]
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| Error::CryptoFailed)
}
