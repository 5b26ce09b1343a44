//! A public key as a JSON web key (RFC 7517), ready to verify.
//!
//! 1. The JSON object is read strictly: no name twice, every member of its own type.
//! 2. Type, curve and `alg` must fit together; the point must be on the curve, an RSA key long enough. The key is prepared
//!    here, once.
//! 3. `use`, `key_ops` and `alg` decide later whether the key serves an algorithm.

mod der;
mod thumbprint;

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use serde_json::{Map, Value};

use crate::{Algorithm, Error, base64url, json};

/// A public key that can verify. Private members of the JSON that it came from are not kept.
#[derive(Clone)]
pub struct Jwk {
    key: PublicKey,
    kid: Option<String>,
    alg: Option<Algorithm>,
    public_key_use: Option<String>,
    key_ops: Option<Vec<String>>,
}

/// One variant per family of keys.
#[derive(Clone)]
enum PublicKey {
    EcP256 { prepared: ParsedPublicKey, x: String, y: String },
    Rsa { prepared: ParsedPublicKey, n: String, e: String },
    Ed25519 { prepared: ParsedPublicKey, x: String },
}

impl Jwk {
    /// Reads one JSON web key. Private members (`d`) are ignored.
    ///
    /// # Errors
    /// [`Error::JwkInvalid`] for JSON that is no key, [`Error::JwkUnsupported`] for a type, curve or `alg` that is unknown
    /// or does not fit, [`Error::PointInvalid`] for a point that is not on the curve, [`Error::KeyTooWeak`] for an RSA key
    /// that is too short.
    pub fn parse(json: &[u8]) -> Result<Jwk, Error> {
        if json.len() > crate::MAX_JWKS_BYTES {
            return Err(Error::JwksTooLarge);
        }
        Self::from_members(&json::object(json).ok_or(Error::JwkInvalid)?)
    }

    /// The key's id, if it has one (RFC 7517 §4.5).
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm that the key leaves: its own `alg`, or else the only one that its type allows. `None` when the
    /// type allows several and the key does not choose.
    #[must_use]
    pub fn only_algorithm(&self) -> Option<Algorithm> {
        self.alg.or(match self.key {
            PublicKey::EcP256 { .. } => Some(Algorithm::Es256),
            PublicKey::Ed25519 { .. } => Some(Algorithm::Ed25519),
            // RFC 7518 §3.1: RSA keys sign by RS256, PS256 and more; which one is the key's to say.
            PublicKey::Rsa { .. } => None,
        })
    }

    /// Whether the key may verify signatures of `algorithm`: its type, `alg`, `use` and `key_ops` all allow it.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm) -> bool {
        // RFC 8725 §3.1: one key, one algorithm.
        let alg_fits = self.alg.is_none_or(|alg| alg == algorithm);
        // RFC 7517 §4.2, §4.3.
        let use_fits = self.public_key_use.as_deref().is_none_or(|u| u == "sig");
        let ops_fit = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        self.key.fits(algorithm) && alg_fits && use_fits && ops_fit
    }

    /// The SHA-256 thumbprint of the key, base64url (RFC 7638 §3).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        match &self.key {
            PublicKey::EcP256 { x, y, .. } => thumbprint::ec("P-256", x, y),
            PublicKey::Rsa { n, e, .. } => thumbprint::rsa(n, e),
            PublicKey::Ed25519 { x, .. } => thumbprint::okp("Ed25519", x),
        }
    }

    /// The key as JSON text, public members only.
    #[must_use]
    pub fn to_json(&self) -> String {
        Value::Object(self.to_members()).to_string()
    }

    /// The public half of a P-256 signing key, from its uncompressed point, labelled as it is published.
    pub(crate) fn of_p256_signing_key(point: &[u8]) -> Result<Jwk, Error> {
        let (x, y) = point
            .strip_prefix(&[UNCOMPRESSED])
            .and_then(|xy| xy.split_at_checked(P256_COORDINATE_BYTES))
            .ok_or(Error::PointInvalid)?;
        Ok(Self::labelled(PublicKey::ec_p256(x, y)?, Algorithm::Es256))
    }

    /// The public half of an RSA signing key, from its `RSAPublicKey` document, labelled likewise.
    pub(crate) fn of_rsa_signing_key(document: &[u8]) -> Result<Jwk, Error> {
        let (n, e) = der::rsa_public_key(document).ok_or(Error::CryptoFailed)?;
        Ok(Self::labelled(PublicKey::rsa(n, e)?, Algorithm::Rs256))
    }

    /// The public half of an Ed25519 signing key, labelled likewise.
    pub(crate) fn of_ed25519_signing_key(point: &[u8]) -> Result<Jwk, Error> {
        Ok(Self::labelled(PublicKey::ed25519(point)?, Algorithm::Ed25519))
    }

    fn labelled(key: PublicKey, algorithm: Algorithm) -> Jwk {
        let mut jwk =
            Jwk { key, kid: None, alg: Some(algorithm), public_key_use: Some("sig".to_owned()), key_ops: None };
        jwk.kid = Some(jwk.thumbprint());
        jwk
    }

    /// Verifies `signature` over `message`. The caller has asked [`Jwk::verifies`] first.
    pub(crate) fn verify_signature(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let prepared = match &self.key {
            // RFC 7518 §3.4: exactly 64 octets, R and S; the library refuses every other length, and zero.
            PublicKey::EcP256 { prepared, .. }
            // RFC 7518 §3.3: as long as the modulus.
            | PublicKey::Rsa { prepared, .. }
            // RFC 8037 §3.1: 64 octets.
            | PublicKey::Ed25519 { prepared, .. } => prepared,
        };
        prepared.verify_sig(message, signature).map_err(|_| Error::SignatureInvalid)
    }

    pub(crate) fn to_members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut put = |name: &str, value: &str| {
            members.insert(name.to_owned(), Value::String(value.to_owned()));
        };
        match &self.key {
            PublicKey::EcP256 { x, y, .. } => {
                put("kty", "EC");
                put("crv", "P-256");
                put("x", x);
                put("y", y);
            }
            PublicKey::Rsa { n, e, .. } => {
                put("kty", "RSA");
                put("n", n);
                put("e", e);
            }
            PublicKey::Ed25519 { x, .. } => {
                put("kty", "OKP");
                put("crv", "Ed25519");
                put("x", x);
            }
        }
        if let Some(kid) = &self.kid {
            put("kid", kid);
        }
        if let Some(alg) = self.alg {
            put("alg", alg.as_str());
        }
        if let Some(public_key_use) = &self.public_key_use {
            put("use", public_key_use);
        }
        if let Some(key_ops) = &self.key_ops {
            members.insert("key_ops".to_owned(), Value::from(key_ops.clone()));
        }
        members
    }

    fn from_members(members: &Map<String, Value>) -> Result<Jwk, Error> {
        // RFC 7517 §4.1: `kty` says what the rest means.
        let key = match text(members, "kty")?.ok_or(Error::JwkInvalid)? {
            "EC" => match text(members, "crv")?.ok_or(Error::JwkInvalid)? {
                "P-256" => PublicKey::ec_p256(
                    &coordinate(members, "x", P256_COORDINATE_BYTES)?,
                    &coordinate(members, "y", P256_COORDINATE_BYTES)?,
                )?,
                _ => return Err(Error::JwkUnsupported),
            },
            "RSA" => PublicKey::rsa(&number(members, "n")?, &number(members, "e")?)?,
            // RFC 8037 §2.
            "OKP" => match text(members, "crv")?.ok_or(Error::JwkInvalid)? {
                "Ed25519" => PublicKey::ed25519(&coordinate(members, "x", ED25519_POINT_BYTES)?)?,
                _ => return Err(Error::JwkUnsupported),
            },
            _ => return Err(Error::JwkUnsupported),
        };
        let alg =
            text(members, "alg")?.map(|alg| Algorithm::from_name(alg).ok_or(Error::JwkUnsupported)).transpose()?;
        // RFC 8725 §3.1: a key that names an algorithm of another type of key is no key for anything.
        if alg.is_some_and(|alg| !key.fits(alg)) {
            return Err(Error::JwkUnsupported);
        }
        let jwk = Jwk {
            key,
            kid: text(members, "kid")?.map(str::to_owned),
            alg,
            public_key_use: text(members, "use")?.map(str::to_owned),
            key_ops: key_ops(members)?,
        };
        Ok(jwk)
    }
}

impl PublicKey {
    /// Whether a key of this type can serve `algorithm` at all.
    const fn fits(&self, algorithm: Algorithm) -> bool {
        matches!(
            (self, algorithm),
            (PublicKey::EcP256 { .. }, Algorithm::Es256)
                | (PublicKey::Rsa { .. }, Algorithm::Rs256)
                | (PublicKey::Ed25519 { .. }, Algorithm::Ed25519)
        )
    }

    fn rsa(n: &[u8], e: &[u8]) -> Result<PublicKey, Error> {
        // RFC 7518 §2 (Base64urlUInt): as few octets as the number needs.
        let leading = *n.first().ok_or(Error::JwkInvalid)?;
        if leading == 0 || e.first().is_none_or(|first| *first == 0) {
            return Err(Error::JwkInvalid);
        }
        // RFC 7518 §3.3: 2048 bits or more. The upper bound is the library's, and keeps a stranger's key from costing much.
        let bits = n.len().saturating_mul(8) - leading.leading_zeros() as usize;
        if bits < 2048 {
            return Err(Error::KeyTooWeak);
        }
        if bits > 8192 {
            return Err(Error::JwkUnsupported);
        }
        // FIPS 186-5 §A.1.1: odd, and more than 2^16; the library takes less than 2^33. Small ones have a history of forgeries.
        let exponent = e.iter().take(8).fold(0u64, |sum, octet| (sum << 8) | u64::from(*octet));
        if e.len() > 5 || exponent < RSA_LEAST_EXPONENT || exponent % 2 == 0 {
            return Err(Error::KeyTooWeak);
        }
        let prepared = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| Error::JwkInvalid)?;
        Ok(PublicKey::Rsa { prepared, n: base64url::encode(n), e: base64url::encode(e) })
    }

    fn ed25519(point: &[u8]) -> Result<PublicKey, Error> {
        // RFC 8725 §3.4: unlike P-256's, this point is decoded at each signature, and one off the curve verifies nothing.
        let prepared = ParsedPublicKey::new(&ED25519, point).map_err(|_| Error::PointInvalid)?;
        Ok(PublicKey::Ed25519 { prepared, x: base64url::encode(point) })
    }

    fn ec_p256(x: &[u8], y: &[u8]) -> Result<PublicKey, Error> {
        let point = [&[UNCOMPRESSED], x, y].concat();
        // RFC 8725 §3.4: the library checks that the point is on the curve, here and not at each signature.
        let prepared = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| Error::PointInvalid)?;
        Ok(PublicKey::EcP256 { prepared, x: base64url::encode(x), y: base64url::encode(y) })
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwk {}", self.to_json())
    }
}

/// SEC 1 §2.3.3: the first octet of a point that is written out in full.
const UNCOMPRESSED: u8 = 4;
const P256_COORDINATE_BYTES: usize = 32;
const ED25519_POINT_BYTES: usize = 32;
/// 65537, the exponent of nearly every RSA key.
const RSA_LEAST_EXPONENT: u64 = 65537;

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, Error> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::JwkInvalid),
    }
}

fn coordinate(members: &Map<String, Value>, name: &'static str, length: usize) -> Result<Vec<u8>, Error> {
    let text = text(members, name)?.ok_or(Error::JwkInvalid)?;
    let bytes = base64url::decode(text).map_err(|_| Error::JwkInvalid)?;
    // RFC 7518 §6.2.1.2: the full size of a coordinate, leading zeros kept.
    if bytes.len() == length { Ok(bytes) } else { Err(Error::JwkInvalid) }
}

/// A number in base64url, as RFC 7518 §6.3.1 writes modulus and exponent.
fn number(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, Error> {
    base64url::decode(text(members, name)?.ok_or(Error::JwkInvalid)?).map_err(|_| Error::JwkInvalid)
}

fn key_ops(members: &Map<String, Value>) -> Result<Option<Vec<String>>, Error> {
    let Some(value) = members.get("key_ops") else {
        return Ok(None);
    };
    let mut ops = Vec::new();
    for op in value.as_array().ok_or(Error::JwkInvalid)? {
        let op = op.as_str().ok_or(Error::JwkInvalid)?;
        // RFC 7517 §4.3: no operation twice.
        if ops.iter().any(|other| other == op) {
            return Err(Error::JwkInvalid);
        }
        ops.push(op.to_owned());
    }
    Ok(Some(ops))
}

#[cfg(test)]
mod tests;
