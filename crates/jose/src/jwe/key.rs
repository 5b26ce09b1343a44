//! Which keys serve an encrypted token, and what of a key does the work.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, X25519};
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PublicEncryptingKey};

use super::ecdh_es::PublicKey;
use super::{ContentEncryption, KeyManagement};
use crate::jwk::{Curve, Jwk, Material, OkpCurve, Operation};

/// What of a key decrypts.
pub(super) enum PrivateHalf<'k> {
    Rsa(&'k OaepPrivateDecryptingKey),
    Agreement(agreement::PrivateKey),
    Octets(&'k [u8]),
}

/// What of a key encrypts.
pub(super) enum PublicHalf<'k> {
    Rsa(OaepPublicEncryptingKey),
    Agreement(PublicKey),
    Octets(&'k [u8]),
}

impl<'k> PrivateHalf<'k> {
    /// The private half of `key`, if the key may decrypt by these two algorithms.
    pub(super) fn of(key: &'k Jwk, alg: KeyManagement, enc: ContentEncryption) -> Option<PrivateHalf<'k>> {
        if !serves(key, alg, enc, DECRYPTING) {
            return None;
        }
        match key.material() {
            Material::Rsa(rsa) => rsa.private.as_ref()?.decrypting().map(PrivateHalf::Rsa),
            Material::Ec(ec) => {
                agreement::PrivateKey::from_private_key(nist(ec.curve), ec.d.as_ref()?).ok().map(PrivateHalf::Agreement)
            }
            Material::Okp(okp) => {
                agreement::PrivateKey::from_private_key(&X25519, okp.d.as_ref()?).ok().map(PrivateHalf::Agreement)
            }
            Material::Oct(oct) => Some(PrivateHalf::Octets(&oct.k)),
            Material::Akp(_) => None,
        }
    }
}

impl<'k> PublicHalf<'k> {
    /// The public half of `key`, if the key may encrypt by these two algorithms.
    pub(super) fn of(key: &'k Jwk, alg: KeyManagement, enc: ContentEncryption) -> Option<PublicHalf<'k>> {
        if !serves(key, alg, enc, ENCRYPTING) {
            return None;
        }
        match key.material() {
            Material::Rsa(rsa) => {
                let public = PublicEncryptingKey::from_der(&rsa.public_der().ok()?).ok()?;
                OaepPublicEncryptingKey::new(public).ok().map(PublicHalf::Rsa)
            }
            Material::Ec(ec) => Some(PublicHalf::Agreement(PublicKey::new(nist(ec.curve), &ec.point))),
            Material::Okp(okp) => Some(PublicHalf::Agreement(PublicKey::new(&X25519, &okp.x))),
            Material::Oct(oct) => Some(PublicHalf::Octets(&oct.k)),
            Material::Akp(_) => None,
        }
    }
}

/// The operations that a key's `key_ops` may name for one direction.
struct Operations {
    /// Whatever the `alg`: what is decrypted in the end is content, and on the way to it a key (RFC 7517 §4.3).
    always: &'static [Operation],
    /// Where a secret is agreed or stretched first.
    deriving: &'static [Operation],
}

const DECRYPTING: &Operations = &Operations {
    always: &[Operation::Decrypt, Operation::UnwrapKey],
    deriving: &[Operation::Decrypt, Operation::UnwrapKey, Operation::DeriveKey, Operation::DeriveBits],
};
const ENCRYPTING: &Operations = &Operations {
    always: &[Operation::Encrypt, Operation::WrapKey],
    deriving: &[Operation::Encrypt, Operation::WrapKey, Operation::DeriveKey, Operation::DeriveBits],
};

/// Whether the key's type and length, its `alg`, `use` and `key_ops` allow these two algorithms.
fn serves(key: &Jwk, alg: KeyManagement, enc: ContentEncryption, operations: &Operations) -> bool {
    // RFC 7517 §4.2, §4.3.
    let allowed = match alg {
        KeyManagement::EcdhEs
        | KeyManagement::EcdhEsA128Kw
        | KeyManagement::EcdhEsA256Kw
        | KeyManagement::Pbes2Hs256A128Kw
        | KeyManagement::Pbes2Hs512A256Kw => key.allows(operations.deriving),
        KeyManagement::RsaOaep
        | KeyManagement::RsaOaep256
        | KeyManagement::A128Kw
        | KeyManagement::A256Kw
        | KeyManagement::A128GcmKw
        | KeyManagement::A256GcmKw
        | KeyManagement::Dir => key.allows(operations.always),
    };
    key.serves_encryption(alg.as_str(), enc.as_str()) && allowed && type_fits(key.material(), alg, enc)
}

fn type_fits(material: &Material, alg: KeyManagement, enc: ContentEncryption) -> bool {
    match alg {
        KeyManagement::RsaOaep | KeyManagement::RsaOaep256 => matches!(material, Material::Rsa(_)),
        KeyManagement::EcdhEs | KeyManagement::EcdhEsA128Kw | KeyManagement::EcdhEsA256Kw => match material {
            Material::Ec(_) => true,
            Material::Okp(okp) => okp.curve == OkpCurve::X25519,
            Material::Rsa(_) | Material::Oct(_) | Material::Akp(_) => false,
        },
        // RFC 7518 §4.4, §4.7: exactly the length that the name says.
        KeyManagement::A128Kw | KeyManagement::A128GcmKw => octets(material) == Some(16),
        KeyManagement::A256Kw | KeyManagement::A256GcmKw => octets(material) == Some(32),
        // RFC 7518 §4.5: exactly the length that `enc` wants.
        KeyManagement::Dir => octets(material) == Some(enc.key_len()),
        KeyManagement::Pbes2Hs256A128Kw | KeyManagement::Pbes2Hs512A256Kw => octets(material).is_some(),
    }
}

fn octets(material: &Material) -> Option<usize> {
    match material {
        Material::Oct(oct) => Some(oct.k.len()),
        Material::Ec(_) | Material::Okp(_) | Material::Rsa(_) | Material::Akp(_) => None,
    }
}

fn nist(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &ECDH_P256,
        Curve::P384 => &ECDH_P384,
        Curve::P521 => &ECDH_P521,
    }
}
