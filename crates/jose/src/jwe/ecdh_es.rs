//! ECDH-ES (RFC 7518 §4.6; X25519: RFC 8037 §3.2).
//!
//! 1. The sender's ephemeral public key stands in the header (`epk`). It must be of the recipient's curve and on it.
//! 2. Both sides agree on a secret. With X25519, one that is all zeros is refused.
//! 3. The Concat KDF makes a key from it, bound to what the key is for and to `apu` and `apv`.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{ContentEncryption, KeyManagement};
use crate::{Error, base64url};

/// What the header says about the agreement, read and measured.
pub(super) struct Agreement {
    epk: PublicKey,
    apu: Vec<u8>,
    apv: Vec<u8>,
}

/// A public key as the library reads it: a point that is written out, or X25519's 32 bytes. Not yet checked.
pub(super) struct PublicKey {
    curve: &'static agreement::Algorithm,
    bytes: Vec<u8>,
}

impl Agreement {
    /// Reads `epk`, `apu` and `apv`. [`Error::HeaderInvalid`] if they are missing, too long or not of their form.
    pub(super) fn parse(members: &Map<String, Value>) -> Result<Agreement, Error> {
        let Some(Value::Object(epk)) = members.get("epk") else {
            return Err(Error::HeaderInvalid);
        };
        Ok(Agreement {
            epk: PublicKey::parse(epk).ok_or(Error::HeaderInvalid)?,
            apu: party(members, "apu")?,
            apv: party(members, "apv")?,
        })
    }

    /// The key that the recipient's private key agrees on. `None` for every failure.
    pub(super) fn receive(
        &self,
        private: &PrivateKey,
        alg: KeyManagement,
        enc: ContentEncryption,
    ) -> Option<Zeroizing<Vec<u8>>> {
        // RFC 8725 §3.4: another curve's point would give the private key away bit by bit; a point that is not on its curve,
        // too, which the library checks.
        if private.algorithm() != self.epk.curve {
            return None;
        }
        let secret = agree(private, &self.epk)?;
        derive(&secret, alg, enc, &self.apu, &self.apv)
    }
}

/// A new ephemeral key, agreed with `recipient`: the derived key, and the header's `epk`. `None` if the library fails, or
/// `recipient` is no point of its curve.
pub(super) fn send(
    recipient: &PublicKey,
    alg: KeyManagement,
    enc: ContentEncryption,
) -> Option<(Zeroizing<Vec<u8>>, Value)> {
    let ephemeral = PrivateKey::generate(recipient.curve).ok()?;
    let epk = PublicKey { curve: recipient.curve, bytes: ephemeral.compute_public_key().ok()?.as_ref().to_vec() };
    let secret = agree(&ephemeral, recipient)?;
    Some((derive(&secret, alg, enc, &[], &[])?, epk.to_json()?))
}

impl PublicKey {
    /// A key of `curve` in the library's form.
    pub(super) fn new(curve: &'static agreement::Algorithm, bytes: &[u8]) -> PublicKey {
        PublicKey { curve, bytes: bytes.to_vec() }
    }

    fn parse(jwk: &Map<String, Value>) -> Option<PublicKey> {
        // RFC 7518 §4.6.1.1: public. Whoever sends the private half along has no secret with anybody.
        if jwk.contains_key("d") {
            return None;
        }
        let kty = jwk.get("kty")?.as_str()?;
        let curve = Curve::ALL.iter().find(|curve| Some(curve.name) == jwk.get("crv").and_then(Value::as_str))?;
        if kty != curve.kty {
            return None;
        }
        let coordinate = |name: &str| {
            let bytes = base64url::decode(jwk.get(name)?.as_str()?).ok()?;
            // RFC 7518 §6.2.1.2: the full size, leading zeros kept.
            (bytes.len() == curve.coordinate_bytes).then_some(bytes)
        };
        let bytes = match curve.kty {
            "EC" => [&[UNCOMPRESSED][..], &coordinate("x")?, &coordinate("y")?].concat(),
            _ => coordinate("x")?,
        };
        Some(PublicKey { curve: curve.library, bytes })
    }

    fn to_json(&self) -> Option<Value> {
        let curve = Curve::ALL.iter().find(|curve| curve.library == self.curve)?;
        match self.bytes.strip_prefix(&[UNCOMPRESSED]).filter(|_| curve.kty == "EC") {
            Some(point) => {
                let (x, y) = point.split_at_checked(curve.coordinate_bytes)?;
                let (x, y) = (base64url::encode(x), base64url::encode(y));
                Some(json!({ "kty": curve.kty, "crv": curve.name, "x": x, "y": y }))
            }
            None => Some(json!({ "kty": curve.kty, "crv": curve.name, "x": base64url::encode(&self.bytes) })),
        }
    }
}

/// RFC 7518 §6.2.1.1, RFC 8037 §2.
struct Curve {
    name: &'static str,
    kty: &'static str,
    coordinate_bytes: usize,
    library: &'static agreement::Algorithm,
}

impl Curve {
    const ALL: [Curve; 4] = [
        Curve { name: "P-256", kty: "EC", coordinate_bytes: 32, library: &ECDH_P256 },
        Curve { name: "P-384", kty: "EC", coordinate_bytes: 48, library: &ECDH_P384 },
        Curve { name: "P-521", kty: "EC", coordinate_bytes: 66, library: &ECDH_P521 },
        Curve { name: "X25519", kty: "OKP", coordinate_bytes: 32, library: &X25519 },
    ];
}

pub(super) fn agree(private: &PrivateKey, public: &PublicKey) -> Option<Zeroizing<Vec<u8>>> {
    let peer = UnparsedPublicKey::new(public.curve, &public.bytes);
    let secret = agreement::agree(private, peer, (), |secret| Ok(Zeroizing::new(secret.to_vec()))).ok()?;
    // RFC 8037 §3.2, RFC 7748 §6.1: zeros only come from points of small order, and are no secret. The library looks, too; this
    // holds whatever it does. On the NIST curves an x of zero is a good secret like every other.
    let zeros = public.curve == &X25519 && verify_slices_are_equal(&secret, &[0; 32]).is_ok();
    (!zeros).then_some(secret)
}

/// The Concat KDF (RFC 7518 §4.6.2; NIST SP 800-56A §5.8.1) with SHA-256.
fn derive(
    secret: &[u8],
    alg: KeyManagement,
    enc: ContentEncryption,
    apu: &[u8],
    apv: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    // RFC 7518 §4.6.2: the key is for `enc` itself, or for the wrapping, and bound to that name and length.
    let (purpose, length) = match alg {
        KeyManagement::EcdhEs => (enc.as_str(), enc.key_len()),
        KeyManagement::EcdhEsA128Kw => (alg.as_str(), 16),
        KeyManagement::EcdhEsA256Kw => (alg.as_str(), 32),
        _ => return None,
    };
    let mut info = Vec::new();
    for part in [purpose.as_bytes(), apu, apv] {
        info.extend_from_slice(&u32::try_from(part.len()).ok()?.to_be_bytes());
        info.extend_from_slice(part);
    }
    // SuppPubInfo: the key's length in bits. SuppPrivInfo is empty.
    info.extend_from_slice(&u32::try_from(length.checked_mul(8)?).ok()?.to_be_bytes());
    let sha256 = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256)?;
    let mut key = Zeroizing::new(vec![0; length]);
    sskdf_digest(sha256, secret, &info, &mut key).ok()?;
    Some(key)
}

/// `apu` or `apv` (RFC 7518 §4.6.1.2, §4.6.1.3); nothing if it is not there.
fn party(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Error> {
    match members.get(name) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.len() <= MAX_PARTY_CHARACTERS => {
            base64url::decode(text).map_err(|_| Error::HeaderInvalid)
        }
        Some(_) => Err(Error::HeaderInvalid),
    }
}

/// SEC 1 §2.3.3: the first octet of a point that is written out in full.
const UNCOMPRESSED: u8 = 4;
/// What names a party is short; 512 bytes are generous.
const MAX_PARTY_CHARACTERS: usize = 683;

#[cfg(test)]
mod tests;
