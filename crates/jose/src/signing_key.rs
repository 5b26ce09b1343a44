//! A key that signs by one algorithm, and what others verify by.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    EcdsaKeyPair, Ed25519KeyPair, PqdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::jwk::{Akp, Curve, Ec, KeyKind, Material, Okp, Rsa, ml_dsa};
use crate::{Algorithm, Error, Jwk};

/// A private key, or a shared secret, for one algorithm. `Debug` shows its `kid` and algorithm only.
///
/// Cloning is not offered; share it in an [`Arc`], or make a [`crate::Signer`], which holds a share of its own.
pub struct SigningKey {
    // Shared with every Signer made from this key, so that neither borrows from the other.
    pair: Arc<KeyPair>,
    // Written once at construction, because the library may fail at it and a caller who saves a key wants no such case.
    pkcs8: Option<Zeroizing<Vec<u8>>>,
    jwk: Jwk,
    public: Jwk,
    kid: String,
}

/// A key that is ready to sign, and by which algorithm.
pub(crate) struct KeyPair {
    algorithm: Algorithm,
    family: Family,
}

/// One variant per family of keys.
enum Family {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Hmac(Box<hmac::Key>),
    MlDsa(PqdsaKeyPair),
}

impl SigningKey {
    /// Makes a new key for `algorithm` with the system's randomness, named by its thumbprint. [`Error::CryptoFailed`] if the
    /// library fails.
    ///
    /// RSA keys (2048 bits) take their time, a tenth of a second and more: not on a thread that others wait for.
    pub fn generate(algorithm: Algorithm) -> Result<SigningKey, Error> {
        let jwk = Jwk::generate(kind_for(algorithm))?.with_alg(algorithm.as_str())?.with_use("sig")?;
        let kid = jwk.thumbprint();
        Self::from_jwk(&jwk.with_kid(&kid), algorithm)
    }

    /// Makes `jwk` ready to sign by `algorithm`. A key without `kid` is named by its thumbprint.
    ///
    /// # Errors
    /// [`Error::PrivateKeyInvalid`] if the key has no private part, or its type, `alg`, `use` or `key_ops` do not allow it.
    pub fn from_jwk(jwk: &Jwk, algorithm: Algorithm) -> Result<SigningKey, Error> {
        // RFC 8725 §3.1: one key, one algorithm.
        if !jwk.signs(algorithm) {
            return Err(Error::PrivateKeyInvalid);
        }
        let family = match jwk.material() {
            Material::Ec(ec) => Family::Ecdsa(ec.key_pair()?),
            Material::Okp(okp) => Family::Ed25519(okp.key_pair()?),
            Material::Rsa(rsa) => {
                Family::Rsa(rsa.key_pair()?, rsa_encoding(algorithm).ok_or(Error::PrivateKeyInvalid)?)
            }
            Material::Oct(oct) => Family::Hmac(Box::new(oct.hmac(algorithm)?)),
            Material::Akp(akp) => Family::MlDsa(akp.key_pair()?),
        };
        let pkcs8 = match jwk.material() {
            Material::Rsa(rsa) => rsa.private.as_ref().map(|private| private.pkcs8.clone()),
            _ => family.to_pkcs8()?,
        };
        let kid = jwk.kid().map_or_else(|| jwk.thumbprint(), str::to_owned);
        let jwk = jwk.clone().with_alg(algorithm.as_str())?.with_kid(&kid);
        let public = jwk.to_public().unwrap_or_else(|| jwk.clone());
        Ok(SigningKey { pair: Arc::new(KeyPair { algorithm, family }), pkcs8, public, jwk, kid })
    }

    /// Reads an unencrypted PKCS#8 document (RFC 5208). [`Error::PrivateKeyInvalid`] if it is not a sound key of `algorithm`;
    /// shared secrets have no such document.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<SigningKey, Error> {
        let material = match kind_for(algorithm) {
            // The library checks the curve, and that the public point belongs to the private number.
            KeyKind::P256 => ec_from_pkcs8(Curve::P256, pkcs8)?,
            KeyKind::P384 => ec_from_pkcs8(Curve::P384, pkcs8)?,
            KeyKind::P521 => ec_from_pkcs8(Curve::P521, pkcs8)?,
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| Error::PrivateKeyInvalid)?;
                Material::Okp(Okp::of_key_pair(&pair)?)
            }
            KeyKind::Rsa(_) => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| Error::PrivateKeyInvalid)?;
                Material::Rsa(Rsa::of_key_pair(&pair)?)
            }
            KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => {
                let (_, signing) = ml_dsa(algorithm).ok_or(Error::PrivateKeyInvalid)?;
                let pair = PqdsaKeyPair::from_pkcs8(signing, pkcs8).map_err(|_| Error::PrivateKeyInvalid)?;
                Material::Akp(Akp::of_key_pair(algorithm, &pair)?)
            }
            KeyKind::X25519 | KeyKind::Secret(_) => return Err(Error::PrivateKeyInvalid),
        };
        Self::from_jwk(&Jwk::labelled(material, algorithm)?, algorithm)
    }

    /// The key as an unencrypted PKCS#8 document (RFC 5208), which [`SigningKey::from_pkcs8`] reads. Wiped when dropped.
    /// `None` for a shared secret, which has no such document: it is kept as a JWK ([`Jwk::to_private_json`]).
    #[must_use]
    pub fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.pkcs8.clone()
    }

    /// The key as a JWK, **private part included**.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The key's id: that of its JWK, or else the SHA-256 thumbprint of its public half (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, with `kid` and `alg` set, as it is published. A shared secret has none: there it is the key itself,
    /// which verifies as well, and which neither `to_json` nor a published set ever shows.
    #[must_use]
    pub fn public(&self) -> Jwk {
        self.public.clone()
    }

    /// The one algorithm that this key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.pair.algorithm
    }

    pub(crate) fn pair(&self) -> &Arc<KeyPair> {
        &self.pair
    }
}

impl KeyPair {
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs `message`, and gives it to `take` with its signature, in the form that JWS wants. The signature lies on the stack:
    /// no allocation.
    #[allow(
        clippy::disallowed_methods,
        reason = "aws-lc-rs wants a source of randomness, ignores it and draws its own nonce"
    )]
    pub(crate) fn sign<M: AsRef<[u8]>, T>(
        &self,
        message: M,
        take: impl FnOnce(M, &[u8]) -> T,
    ) -> Result<T, Unspecified> {
        match &self.family {
            // RFC 7518 §3.4: R and S, each in full.
            Family::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message.as_ref())?;
                Ok(take(message, signature.as_ref()))
            }
            // RFC 8037 §3.1.
            Family::Ed25519(pair) => {
                let signature = pair.try_sign(message.as_ref())?;
                Ok(take(message, signature.as_ref()))
            }
            // RFC 7518 §3.3, §3.5: as long as the modulus.
            Family::Rsa(pair, encoding) => {
                let mut space = [0; MOST_RSA_BYTES];
                let signature = space.get_mut(..pair.public_modulus_len()).ok_or(Unspecified)?;
                pair.sign(*encoding, &SystemRandom::new(), message.as_ref(), signature)?;
                Ok(take(message, signature))
            }
            // RFC 7518 §3.2.
            Family::Hmac(key) => {
                let signature = hmac::sign(key, message.as_ref());
                Ok(take(message, signature.as_ref()))
            }
            // RFC 9964 §5.
            Family::MlDsa(pair) => {
                let mut space = [0; MOST_ML_DSA_BYTES];
                let length = pair.sign(message.as_ref(), &mut space)?;
                Ok(take(message, space.get(..length).ok_or(Unspecified)?))
            }
        }
    }

    /// How long a signature is, for the one allocation of a token.
    pub(crate) fn signature_len(&self) -> usize {
        match &self.family {
            Family::Ecdsa(_) => match self.algorithm {
                Algorithm::Es384 => 96,
                Algorithm::Es512 => 132,
                _ => 64,
            },
            Family::Ed25519(_) => 64,
            Family::Rsa(pair, _) => pair.public_modulus_len(),
            Family::Hmac(key) => key.algorithm().tag_len(),
            Family::MlDsa(pair) => pair.algorithm().signature_len(),
        }
    }
}

impl Family {
    fn to_pkcs8(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let document = match self {
            Family::Ecdsa(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Family::Ed25519(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Family::Rsa(pair, _) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|document| document.as_ref().to_vec()),
            Family::MlDsa(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Family::Hmac(_) => return Ok(None),
        };
        document.map(|document| Some(Zeroizing::new(document))).map_err(|_| Error::CryptoFailed)
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

/// The kind of a new key for `algorithm`.
const fn kind_for(algorithm: Algorithm) -> KeyKind {
    match algorithm {
        Algorithm::Es256 => KeyKind::P256,
        Algorithm::Es384 => KeyKind::P384,
        Algorithm::Es512 => KeyKind::P521,
        Algorithm::Ed25519 | Algorithm::EdDsa => KeyKind::Ed25519,
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => KeyKind::Rsa(2048),
        Algorithm::Hs256 => KeyKind::Secret(32),
        Algorithm::Hs384 => KeyKind::Secret(48),
        Algorithm::Hs512 => KeyKind::Secret(64),
        Algorithm::MlDsa44 => KeyKind::MlDsa44,
        Algorithm::MlDsa65 => KeyKind::MlDsa65,
        Algorithm::MlDsa87 => KeyKind::MlDsa87,
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        // The library's salt is as long as the hash, as RFC 7518 §3.5 wants it.
        Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_SHA512),
        _ => None,
    }
}

fn ec_from_pkcs8(curve: Curve, pkcs8: &[u8]) -> Result<Material, Error> {
    let pair = EcdsaKeyPair::from_pkcs8(curve.signing(), pkcs8).map_err(|_| Error::PrivateKeyInvalid)?;
    Ok(Material::Ec(Ec::of_key_pair(curve, &pair)?))
}

/// 8192 bits, the longest modulus that [`Jwk`] takes.
const MOST_RSA_BYTES: usize = 1024;
/// FIPS 204 §4, table 2: ML-DSA-87.
const MOST_ML_DSA_BYTES: usize = 4627;
