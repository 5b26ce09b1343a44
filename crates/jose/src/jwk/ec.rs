//! Keys on the NIST curves (RFC 7518 §6.2), for ECDSA and for key agreement.

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, KeyPair as _, ParsedPublicKey,
};
use zeroize::Zeroizing;

use super::members::Members;
use crate::{Algorithm, Error};

/// A point, and the private number behind it if it is known.
pub(crate) struct Ec {
    pub(crate) curve: Curve,
    /// SEC 1 §2.3.3, uncompressed: `4`, then both coordinates.
    pub(crate) point: Vec<u8>,
    /// As long as a coordinate.
    pub(crate) d: Option<Zeroizing<Vec<u8>>>,
}

/// The curves of RFC 7518 §6.2.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Ec {
    pub(super) fn parse(members: &Members) -> Result<Ec, Error> {
        let curve = Curve::from_name(members.required("crv")?).ok_or(Error::JwkUnsupported)?;
        let length = curve.coordinate_bytes();
        let point = [&[UNCOMPRESSED], &*members.exactly("x", length)?, &*members.exactly("y", length)?].concat();
        let ec = Ec { curve, point, d: members.secret_exactly("d", length)? };
        // RFC 8725 §3.4: the library checks that the point is on the curve, here and not at each use.
        ec.public_key()?;
        if ec.d.is_some() {
            ec.key_pair()?;
        }
        Ok(ec)
    }

    pub(super) fn generate(curve: Curve) -> Result<Ec, Error> {
        Self::of_key_pair(curve, &EcdsaKeyPair::generate(curve.signing()).map_err(|_| Error::CryptoFailed)?)
    }

    pub(crate) fn of_key_pair(curve: Curve, pair: &EcdsaKeyPair) -> Result<Ec, Error> {
        let d = pair.private_key().as_be_bytes().map_err(|_| Error::CryptoFailed)?;
        let d = Some(Zeroizing::new(d.as_ref().to_vec()));
        Ok(Ec { curve, point: pair.public_key().as_ref().to_vec(), d })
    }

    /// Ready to verify.
    pub(super) fn public_key(&self) -> Result<ParsedPublicKey, Error> {
        ParsedPublicKey::new(self.curve.verification(), &self.point).map_err(|_| Error::PointInvalid)
    }

    /// Ready to sign. [`Error::PrivateKeyInvalid`] without a private number, or with one that is not the point's.
    pub(crate) fn key_pair(&self) -> Result<EcdsaKeyPair, Error> {
        let d = self.d.as_ref().ok_or(Error::PrivateKeyInvalid)?;
        EcdsaKeyPair::from_private_key_and_public_key(self.curve.signing(), d, &self.point)
            .map_err(|_| Error::PrivateKeyInvalid)
    }

    /// `x` and `y`, each in full.
    pub(crate) fn coordinates(&self) -> (&[u8], &[u8]) {
        let xy = self.point.get(1..).unwrap_or_default();
        xy.split_at_checked(self.curve.coordinate_bytes()).unwrap_or_default()
    }
}

impl Curve {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Curve::P256 => "P-256",
            Curve::P384 => "P-384",
            Curve::P521 => "P-521",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Curve> {
        [Curve::P256, Curve::P384, Curve::P521].into_iter().find(|curve| curve.as_str() == name)
    }

    pub(crate) const fn coordinate_bytes(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }

    /// The one ECDSA algorithm of the curve (RFC 7518 §3.4).
    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Curve::P256 => Algorithm::Es256,
            Curve::P384 => Algorithm::Es384,
            Curve::P521 => Algorithm::Es512,
        }
    }

    pub(crate) const fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }

    const fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_FIXED,
            Curve::P384 => &ECDSA_P384_SHA384_FIXED,
            Curve::P521 => &ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// SEC 1 §2.3.3: the first octet of a point that is written out in full.
const UNCOMPRESSED: u8 = 4;
