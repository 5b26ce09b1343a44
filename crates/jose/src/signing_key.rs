//! A private key that signs, and its public half.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, Signature};
use zeroize::Zeroizing;

use crate::{Algorithm, Error, Jwk};

/// A private key for one algorithm. `Debug` shows its `kid` and algorithm only.
///
/// Cloning is not offered; share it in an [`Arc`], or make a [`crate::Signer`], which holds a share of its own.
pub struct SigningKey {
    // Shared with every Signer made from this key, so that neither borrows from the other.
    pair: Arc<KeyPair>,
    // Written once at construction, because the library may fail at it and a caller who saves a key wants no such case.
    pkcs8: Zeroizing<Vec<u8>>,
    public: Jwk,
    kid: String,
}

/// One variant per family of keys.
pub(crate) enum KeyPair {
    Es256(EcdsaKeyPair),
}

impl SigningKey {
    /// Makes a new key for `algorithm` with the system's randomness. [`Error::CryptoFailed`] if the library fails.
    pub fn generate(algorithm: Algorithm) -> Result<SigningKey, Error> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map(KeyPair::Es256)
                .map_err(|_| Error::CryptoFailed)?,
        };
        Self::from_pair(pair)
    }

    /// Reads an unencrypted PKCS#8 document (RFC 5208). [`Error::PrivateKeyInvalid`] if it is not a sound key of `algorithm`.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<SigningKey, Error> {
        let pair = match algorithm {
            // The library checks the curve, and that the public point belongs to the private number.
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                .map(KeyPair::Es256)
                .map_err(|_| Error::PrivateKeyInvalid)?,
        };
        Self::from_pair(pair)
    }

    /// The key as an unencrypted PKCS#8 document (RFC 5208), which [`SigningKey::from_pkcs8`] reads. Wiped when dropped.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The key's id: the SHA-256 thumbprint of its public half (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, with `kid`, `alg` and `use` set, as it is published.
    #[must_use]
    pub fn public(&self) -> Jwk {
        self.public.clone()
    }

    /// The one algorithm that this key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.pair.algorithm()
    }

    pub(crate) fn pair(&self) -> &Arc<KeyPair> {
        &self.pair
    }

    fn from_pair(pair: KeyPair) -> Result<SigningKey, Error> {
        let public = match &pair {
            KeyPair::Es256(pair) => Jwk::of_p256_signing_key(pair.public_key().as_ref())?,
        };
        let kid = public.thumbprint();
        Ok(SigningKey { pkcs8: pair.to_pkcs8()?, public, kid, pair: Arc::new(pair) })
    }
}

impl KeyPair {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            KeyPair::Es256(_) => Algorithm::Es256,
        }
    }

    /// Signs `message`; the signature is in the form that JWS wants (RFC 7518 §3.4: R and S, each 32 octets).
    #[allow(
        clippy::disallowed_methods,
        reason = "aws-lc-rs wants a source of randomness, ignores it and draws its own nonce"
    )]
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        match self {
            KeyPair::Es256(pair) => pair.sign(&SystemRandom::new(), message).map_err(|_| Error::CryptoFailed),
        }
    }

    /// How long a signature is, for the one allocation of a token.
    pub(crate) const fn signature_len(&self) -> usize {
        match self {
            KeyPair::Es256(_) => 64,
        }
    }

    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            KeyPair::Es256(pair) => {
                let document = pair.to_pkcs8v1().map_err(|_| Error::CryptoFailed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
