//! Octet key pairs (RFC 8037 §2): Ed25519, which signs, and X25519, which agrees on keys.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use zeroize::Zeroizing;

use super::members::Members;
use crate::Error;

/// A public key of 32 octets, and the private one if it is known.
pub(crate) struct Okp {
    pub(crate) curve: OkpCurve,
    pub(crate) x: Vec<u8>,
    /// 32 octets.
    pub(crate) d: Option<Zeroizing<Vec<u8>>>,
}

/// The subtypes that are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OkpCurve {
    Ed25519,
    X25519,
}

impl Okp {
    pub(super) fn parse(members: &Members) -> Result<Okp, Error> {
        let curve = match members.required("crv")? {
            "Ed25519" => OkpCurve::Ed25519,
            "X25519" => OkpCurve::X25519,
            _ => return Err(Error::JwkUnsupported),
        };
        let okp = Okp { curve, x: members.exactly("x", BYTES)?, d: members.secret_exactly("d", BYTES)? };
        match curve {
            // RFC 8725 §3.4: unlike those of the NIST curves, this point is decoded at each signature, and one off the curve
            // verifies nothing.
            OkpCurve::Ed25519 => drop(okp.public_key()?),
            OkpCurve::X25519 => refuse_low_order(&okp.x)?,
        }
        if let Some(d) = &okp.d {
            let fits = match curve {
                OkpCurve::Ed25519 => okp.key_pair().is_ok(),
                OkpCurve::X25519 => x25519_public(&x25519(d)?)? == okp.x,
            };
            if !fits {
                return Err(Error::PrivateKeyInvalid);
            }
        }
        Ok(okp)
    }

    pub(super) fn generate(curve: OkpCurve) -> Result<Okp, Error> {
        match curve {
            OkpCurve::Ed25519 => Self::of_key_pair(&Ed25519KeyPair::generate().map_err(|_| Error::CryptoFailed)?),
            OkpCurve::X25519 => {
                let private = PrivateKey::generate(&X25519).map_err(|_| Error::CryptoFailed)?;
                let seed = AsBigEndian::<Curve25519SeedBin<'_>>::as_be_bytes(&private);
                let d = Zeroizing::new(seed.map_err(|_| Error::CryptoFailed)?.as_ref().to_vec());
                Ok(Okp { curve, x: x25519_public(&private)?, d: Some(d) })
            }
        }
    }

    pub(crate) fn of_key_pair(pair: &Ed25519KeyPair) -> Result<Okp, Error> {
        let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| Error::CryptoFailed)?;
        let d = Some(Zeroizing::new(seed.as_ref().to_vec()));
        Ok(Okp { curve: OkpCurve::Ed25519, x: pair.public_key().as_ref().to_vec(), d })
    }

    /// Ready to verify.
    pub(super) fn public_key(&self) -> Result<ParsedPublicKey, Error> {
        ParsedPublicKey::new(&ED25519, &self.x).map_err(|_| Error::PointInvalid)
    }

    /// Ready to sign. [`Error::PrivateKeyInvalid`] without a private key, or with one that is not the public one's.
    pub(crate) fn key_pair(&self) -> Result<Ed25519KeyPair, Error> {
        let d = self.d.as_ref().ok_or(Error::PrivateKeyInvalid)?;
        Ed25519KeyPair::from_seed_and_public_key(d, &self.x).map_err(|_| Error::PrivateKeyInvalid)
    }
}

impl OkpCurve {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            OkpCurve::Ed25519 => "Ed25519",
            OkpCurve::X25519 => "X25519",
        }
    }
}

/// RFC 7748 §6.1, RFC 8037 §3.2: a point of low order gives everybody the same secret. Every private key finds it out.
fn refuse_low_order(x: &[u8]) -> Result<(), Error> {
    let peer = UnparsedPublicKey::new(&X25519, x);
    agree(&x25519(&[1; BYTES])?, peer, Error::PointInvalid, |_| Ok(()))
}

fn x25519(d: &[u8]) -> Result<PrivateKey, Error> {
    PrivateKey::from_private_key(&X25519, d).map_err(|_| Error::PrivateKeyInvalid)
}

fn x25519_public(private: &PrivateKey) -> Result<Vec<u8>, Error> {
    private.compute_public_key().map(|public| public.as_ref().to_vec()).map_err(|_| Error::CryptoFailed)
}

const BYTES: usize = 32;
