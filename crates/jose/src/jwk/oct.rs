//! Shared secrets (RFC 7518 §6.4).

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::members::Members;
use crate::{Algorithm, Error};

/// A shared secret.
pub(crate) struct Oct {
    pub(crate) k: Zeroizing<Vec<u8>>,
}

impl Oct {
    pub(super) fn parse(members: &Members) -> Result<Oct, Error> {
        let k = members.secret("k")?.ok_or(Error::JwkInvalid)?;
        // RFC 7518 §4.8: a password, which is stretched before use, may be short; anything else is a key of 128 bits and more.
        let password = members.text("alg")?.is_some_and(|alg| alg.starts_with("PBES2-"));
        if k.is_empty() || (k.len() < LEAST_BYTES && !password) {
            return Err(Error::KeyTooWeak);
        }
        Ok(Oct { k })
    }

    /// A new secret of so many octets.
    #[allow(
        clippy::disallowed_methods,
        reason = "key generation draws from the library's generator, as it does for every other type of key"
    )]
    pub(super) fn generate(bytes: usize) -> Result<Oct, Error> {
        if !(LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
            return Err(Error::JwkUnsupported);
        }
        let mut k = Zeroizing::new(vec![0; bytes]);
        aws_lc_rs::rand::fill(&mut k).map_err(|_| Error::CryptoFailed)?;
        Ok(Oct { k })
    }

    /// Whether the secret is long enough for this HMAC; `false` for every other algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        // RFC 7518 §3.2: as long as the hash's output, or longer.
        hash(algorithm).is_some_and(|hash| self.k.len() >= hash.digest_algorithm().output_len())
    }

    /// Ready to sign and verify. [`Error::KeyTooWeak`] for a secret that is shorter than the hash.
    pub(crate) fn hmac(&self, algorithm: Algorithm) -> Result<hmac::Key, Error> {
        let hash = hash(algorithm).filter(|_| self.fits(algorithm)).ok_or(Error::KeyTooWeak)?;
        Ok(hmac::Key::new(hash, &self.k))
    }
}

fn hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// 128 bits: the shortest key that any algorithm here takes.
const LEAST_BYTES: usize = 16;
/// More than any algorithm needs.
const MOST_BYTES: usize = 1024;
