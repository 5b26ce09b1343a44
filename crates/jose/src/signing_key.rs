//! A private key that signs, and its public half.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    Signature,
};
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
    Rs256(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A signature in the form that JWS wants. Those of fixed length cost no allocation.
pub(crate) enum Signed {
    Short([u8; 64]),
    Rsa(Vec<u8>),
}

impl AsRef<[u8]> for Signed {
    fn as_ref(&self) -> &[u8] {
        match self {
            Signed::Short(signature) => signature,
            Signed::Rsa(signature) => signature,
        }
    }
}

impl SigningKey {
    /// Makes a new key for `algorithm` with the system's randomness. [`Error::CryptoFailed`] if the library fails.
    ///
    /// RSA keys (2048 bits) take their time, a tenth of a second and more: not on a thread that others wait for.
    pub fn generate(algorithm: Algorithm) -> Result<SigningKey, Error> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map(KeyPair::Es256)
                .map_err(|_| Error::CryptoFailed)?,
            Algorithm::Rs256 => {
                RsaKeyPair::generate(KeySize::Rsa2048).map(KeyPair::Rs256).map_err(|_| Error::CryptoFailed)?
            }
            Algorithm::Ed25519 => Ed25519KeyPair::generate().map(KeyPair::Ed25519).map_err(|_| Error::CryptoFailed)?,
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
            // Its length is checked with its public half.
            Algorithm::Rs256 => {
                RsaKeyPair::from_pkcs8(pkcs8).map(KeyPair::Rs256).map_err(|_| Error::PrivateKeyInvalid)?
            }
            Algorithm::Ed25519 => {
                Ed25519KeyPair::from_pkcs8(pkcs8).map(KeyPair::Ed25519).map_err(|_| Error::PrivateKeyInvalid)?
            }
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
            KeyPair::Rs256(pair) => Jwk::of_rsa_signing_key(pair.public_key().as_ref())?,
            KeyPair::Ed25519(pair) => Jwk::of_ed25519_signing_key(pair.public_key().as_ref())?,
        };
        let kid = public.thumbprint();
        Ok(SigningKey { pkcs8: pair.to_pkcs8()?, public, kid, pair: Arc::new(pair) })
    }
}

impl KeyPair {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            KeyPair::Es256(_) => Algorithm::Es256,
            KeyPair::Rs256(_) => Algorithm::Rs256,
            KeyPair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Signs `message`; the signature is in the form that JWS wants.
    #[allow(
        clippy::disallowed_methods,
        reason = "aws-lc-rs wants a source of randomness, ignores it and draws its own nonce"
    )]
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Signed, Error> {
        match self {
            // RFC 7518 §3.4: R and S, each 32 octets.
            KeyPair::Es256(pair) => pair.sign(&SystemRandom::new(), message).and_then(short),
            // RFC 7518 §3.3: as long as the modulus.
            KeyPair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
                signed.map(|()| Signed::Rsa(signature))
            }
            // RFC 8037 §3.1.
            KeyPair::Ed25519(pair) => pair.try_sign(message).and_then(short),
        }
        .map_err(|_| Error::CryptoFailed)
    }

    /// How long a signature is, for the one allocation of a token.
    pub(crate) fn signature_len(&self) -> usize {
        match self {
            KeyPair::Es256(_) | KeyPair::Ed25519(_) => 64,
            KeyPair::Rs256(pair) => pair.public_modulus_len(),
        }
    }

    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            KeyPair::Es256(pair) => {
                let document = pair.to_pkcs8v1().map_err(|_| Error::CryptoFailed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
            KeyPair::Rs256(pair) => {
                let document = AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map_err(|_| Error::CryptoFailed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
            KeyPair::Ed25519(pair) => {
                let document = pair.to_pkcs8v1().map_err(|_| Error::CryptoFailed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
        }
    }
}

/// The library's own type has room for the largest signature that there is.
fn short(signature: Signature) -> Result<Signed, Unspecified> {
    signature.as_ref().try_into().map(Signed::Short).map_err(|_| Unspecified)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
