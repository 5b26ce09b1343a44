//! What a key may be used for: `alg`, `use` and `key_ops` (RFC 7517 §4.2–4.4), together with what its type can do at all.

use super::{Material, OkpCurve};
use crate::{Algorithm, Error};

/// What can be done with a key (RFC 7517 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Sign,
    Verify,
    Encrypt,
    Decrypt,
    WrapKey,
    UnwrapKey,
    DeriveKey,
    DeriveBits,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Operation::Sign => "sign",
            Operation::Verify => "verify",
            Operation::Encrypt => "encrypt",
            Operation::Decrypt => "decrypt",
            Operation::WrapKey => "wrapKey",
            Operation::UnwrapKey => "unwrapKey",
            Operation::DeriveKey => "deriveKey",
            Operation::DeriveBits => "deriveBits",
        }
    }

    /// The value of `use` that allows it.
    const fn public_key_use(self) -> &'static str {
        match self {
            Operation::Sign | Operation::Verify => "sig",
            _ => "enc",
        }
    }
}

/// What a key says about its own use.
#[derive(Clone, Debug, Default)]
pub(super) struct Purpose {
    pub(super) alg: Option<Alg>,
    pub(super) public_key_use: Option<String>,
    pub(super) key_ops: Option<Vec<String>>,
}

/// The one algorithm that a key serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Alg {
    Signature(Algorithm),
    /// A key management algorithm, or for direct encryption the content encryption algorithm itself.
    Encryption(&'static str),
}

impl Alg {
    /// Reads `alg` of a key of this type. [`Error::JwkUnsupported`] for a name that is not known or belongs to another type,
    /// [`Error::KeyTooWeak`] for a secret that is too short for it, [`Error::JwkInvalid`] for one of another length.
    pub(super) fn of(name: &str, material: &Material) -> Result<Alg, Error> {
        if let Some(algorithm) = Algorithm::from_name(name) {
            return match material {
                Material::Oct(oct) if algorithm.is_symmetric() && !oct.fits(algorithm) => Err(Error::KeyTooWeak),
                // RFC 8725 §3.1: a key that names an algorithm of another type of key is no key for anything.
                _ if !signs_by(material).contains(&algorithm) => Err(Error::JwkUnsupported),
                _ => Ok(Alg::Signature(algorithm)),
            };
        }
        let known: &[(&'static str, Option<usize>)] = match material {
            Material::Ec(_) => AGREEMENT,
            Material::Okp(okp) if okp.curve == OkpCurve::X25519 => AGREEMENT,
            Material::Rsa(_) => RSA_ENCRYPTION,
            Material::Oct(_) => SHARED,
            Material::Okp(_) | Material::Akp(_) => &[],
        };
        let (name, length) = known.iter().find(|(known, _)| *known == name).ok_or(Error::JwkUnsupported)?;
        match (material, length) {
            // RFC 7518 §4.4, §4.7, §5: the key is as long as the algorithm says.
            (Material::Oct(oct), Some(length)) if oct.k.len() < *length => Err(Error::KeyTooWeak),
            (Material::Oct(oct), Some(length)) if oct.k.len() > *length => Err(Error::JwkInvalid),
            _ => Ok(Alg::Encryption(name)),
        }
    }

    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Alg::Signature(algorithm) => algorithm.as_str(),
            Alg::Encryption(name) => name,
        }
    }
}

impl Purpose {
    /// Whether `use` and `key_ops` allow one of these operations.
    pub(super) fn allows(&self, operations: &[Operation]) -> bool {
        // RFC 7517 §4.2, §4.3: both count where both stand.
        operations.iter().any(|operation| {
            self.public_key_use.as_deref().is_none_or(|u| u == operation.public_key_use())
                && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == operation.as_str()))
        })
    }
}

/// The signature algorithms of this type of key, longest secrets considered.
pub(super) fn signs_by(material: &Material) -> Vec<Algorithm> {
    match material {
        Material::Ec(ec) => vec![ec.curve.algorithm()],
        Material::Okp(okp) if okp.curve == OkpCurve::Ed25519 => vec![Algorithm::Ed25519, Algorithm::EdDsa],
        Material::Okp(_) => Vec::new(),
        Material::Rsa(_) => vec![
            Algorithm::Rs256,
            Algorithm::Rs384,
            Algorithm::Rs512,
            Algorithm::Ps256,
            Algorithm::Ps384,
            Algorithm::Ps512,
        ],
        Material::Oct(oct) => [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]
            .into_iter()
            .filter(|algorithm| oct.fits(*algorithm))
            .collect(),
        Material::Akp(akp) => vec![akp.algorithm],
    }
}

/// RFC 7518 §4.6, RFC 8037 §3.2; with how long a secret must be, where that matters.
const AGREEMENT: &[(&str, Option<usize>)] = &[("ECDH-ES", None), ("ECDH-ES+A128KW", None), ("ECDH-ES+A256KW", None)];
/// RFC 7518 §4.3. Not `RSA1_5`: RFC 8725 §3.2.
const RSA_ENCRYPTION: &[(&str, Option<usize>)] = &[("RSA-OAEP", None), ("RSA-OAEP-256", None)];
/// RFC 7518 §4.4, §4.5, §4.7, §4.8, §5.1.
const SHARED: &[(&str, Option<usize>)] = &[
    ("A128KW", Some(16)),
    ("A256KW", Some(32)),
    ("A128GCMKW", Some(16)),
    ("A256GCMKW", Some(32)),
    ("dir", None),
    ("A128GCM", Some(16)),
    ("A256GCM", Some(32)),
    ("A128CBC-HS256", Some(32)),
    ("A192CBC-HS384", Some(48)),
    ("A256CBC-HS512", Some(64)),
    ("PBES2-HS256+A128KW", None),
    ("PBES2-HS512+A256KW", None),
];
