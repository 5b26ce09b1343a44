//! A key as a JSON web key (RFC 7517): public, private or shared, ready for its work.
//!
//! 1. The JSON object is read strictly: no name twice, every member of its own type.
//! 2. Type, curve and `alg` must fit together; a point must be on its curve, an RSA key and a secret long enough, a private
//!    part must belong to the public one.
//! 3. `use`, `key_ops` and `alg` decide which algorithms the key serves. For each that it may verify it is prepared here, once.
//! 4. What is shown, printed and published is the public part. The private one leaves by [`Jwk::to_private_json`] alone.

mod akp;
mod der;
mod ec;
mod members;
mod oct;
mod okp;
mod purpose;
mod roca;
mod rsa;
mod thumbprint;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub(crate) use akp::{Akp, suite as ml_dsa};
pub(crate) use ec::{Curve, Ec};
use members::Members;
pub(crate) use oct::Oct;
pub(crate) use okp::{Okp, OkpCurve};
pub(crate) use purpose::Operation;
use purpose::{Alg, Purpose};
pub(crate) use rsa::Rsa;

use crate::{Algorithm, Error, base64url};

/// A key. It may hold a private part or a shared secret, which `Debug` and [`Jwk::to_json`] never show and which is wiped when
/// the last clone is dropped.
#[derive(Clone)]
pub struct Jwk {
    material: Arc<Material>,
    kid: Option<Arc<str>>,
    purpose: Purpose,
    /// What the key may verify, and how.
    verifiers: Arc<[(Algorithm, Verifier)]>,
}

/// The key itself, one variant per type (`kty`).
pub(crate) enum Material {
    Ec(Ec),
    Okp(Okp),
    Rsa(Rsa),
    Oct(Oct),
    Akp(Akp),
}

/// A type of key that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Elliptic curve P-256: ES256, or key agreement.
    P256,
    /// Elliptic curve P-384: ES384, or key agreement.
    P384,
    /// Elliptic curve P-521: ES512, or key agreement.
    P521,
    /// Ed25519 signatures.
    Ed25519,
    /// X25519 key agreement.
    X25519,
    /// RSA of so many bits: 2048, 3072, 4096 or 8192.
    Rsa(usize),
    /// A shared secret of so many octets, 16 to 1024.
    Secret(usize),
    /// ML-DSA-44 signatures.
    MlDsa44,
    /// ML-DSA-65 signatures.
    MlDsa65,
    /// ML-DSA-87 signatures.
    MlDsa87,
}

/// A key that is ready to verify by one algorithm.
enum Verifier {
    Public(ParsedPublicKey),
    Shared(Box<hmac::Key>),
}

impl Jwk {
    /// Reads one JSON web key, with its private members if it has any.
    ///
    /// # Errors
    /// [`Error::JwksTooLarge`]; [`Error::JwkInvalid`] for JSON that is no key; [`Error::JwkUnsupported`] for a type, curve or
    /// `alg` that is unknown or does not fit; [`Error::PointInvalid`] for a point that is not on the curve;
    /// [`Error::KeyTooWeak`] for an RSA key or a secret that is too short; [`Error::PrivateKeyInvalid`] for a private part that
    /// does not belong to the public one (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2, RFC 9964 §3).
    pub fn parse(json: &[u8]) -> Result<Jwk, Error> {
        if json.len() > crate::MAX_JWKS_BYTES {
            return Err(Error::JwksTooLarge);
        }
        let members = Members::parse(json)?;
        // RFC 7517 §4.1: `kty` says what the rest means.
        let material = match members.required("kty")? {
            "EC" => Material::Ec(Ec::parse(&members)?),
            "OKP" => Material::Okp(Okp::parse(&members)?),
            "RSA" => Material::Rsa(Rsa::parse(&members)?),
            "oct" => Material::Oct(Oct::parse(&members)?),
            "AKP" => Material::Akp(Akp::parse(&members)?),
            _ => return Err(Error::JwkUnsupported),
        };
        let purpose = Purpose {
            alg: members.text("alg")?.map(|alg| Alg::of(alg, &material)).transpose()?,
            public_key_use: members.text("use")?.map(str::to_owned),
            key_ops: members.texts("key_ops")?,
        };
        let kid = members.text("kid")?.map(Arc::from);
        Self::new(Arc::new(material), kid, purpose)
    }

    /// Makes a new key with the system's randomness; it has no `kid`, `alg` or `use` yet.
    ///
    /// RSA keys take their time, a tenth of a second and much more: not on a thread that others wait for.
    ///
    /// # Errors
    /// [`Error::JwkUnsupported`] for a size that is not offered, [`Error::CryptoFailed`] if the library fails.
    pub fn generate(kind: KeyKind) -> Result<Jwk, Error> {
        let material = match kind {
            KeyKind::P256 => Material::Ec(Ec::generate(Curve::P256)?),
            KeyKind::P384 => Material::Ec(Ec::generate(Curve::P384)?),
            KeyKind::P521 => Material::Ec(Ec::generate(Curve::P521)?),
            KeyKind::Ed25519 => Material::Okp(Okp::generate(OkpCurve::Ed25519)?),
            KeyKind::X25519 => Material::Okp(Okp::generate(OkpCurve::X25519)?),
            KeyKind::Rsa(bits) => Material::Rsa(Rsa::generate(bits)?),
            KeyKind::Secret(bytes) => Material::Oct(Oct::generate(bytes)?),
            KeyKind::MlDsa44 => Material::Akp(Akp::generate(Algorithm::MlDsa44)?),
            KeyKind::MlDsa65 => Material::Akp(Akp::generate(Algorithm::MlDsa65)?),
            KeyKind::MlDsa87 => Material::Akp(Akp::generate(Algorithm::MlDsa87)?),
        };
        Self::of(material)
    }

    /// The same key with this id (RFC 7517 §4.5).
    #[must_use]
    pub fn with_kid(self, kid: &str) -> Jwk {
        Jwk { kid: Some(kid.into()), ..self }
    }

    /// The same key, serving this algorithm alone: a signature algorithm, a key management algorithm, or for a shared secret
    /// the content encryption algorithm that it is used for directly.
    ///
    /// # Errors
    /// [`Error::JwkUnsupported`], [`Error::KeyTooWeak`] or [`Error::JwkInvalid`] if it is no algorithm for this key.
    pub fn with_alg(self, alg: &str) -> Result<Jwk, Error> {
        let alg = Some(Alg::of(alg, &self.material)?);
        Self::new(self.material, self.kid, Purpose { alg, ..self.purpose })
    }

    /// The same key for this use: `sig` or `enc` (RFC 7517 §4.2).
    ///
    /// # Errors
    /// As [`Jwk::parse`].
    pub fn with_use(self, public_key_use: &str) -> Result<Jwk, Error> {
        let purpose = Purpose { public_key_use: Some(public_key_use.to_owned()), ..self.purpose };
        Self::new(self.material, self.kid, purpose)
    }

    /// The public half, as it may be given to others; `None` for a shared secret, which has none.
    #[must_use]
    pub fn to_public(&self) -> Option<Jwk> {
        let material = match &*self.material {
            Material::Ec(ec) => Material::Ec(Ec { curve: ec.curve, point: ec.point.clone(), d: None }),
            Material::Okp(okp) => Material::Okp(Okp { curve: okp.curve, x: okp.x.clone(), d: None }),
            Material::Rsa(rsa) => Material::Rsa(Rsa { n: rsa.n.clone(), e: rsa.e.clone(), private: None }),
            Material::Akp(akp) => {
                Material::Akp(Akp { algorithm: akp.algorithm, public: akp.public.clone(), seed: None })
            }
            Material::Oct(_) => return None,
        };
        Some(Jwk { material: Arc::new(material), ..self.clone() })
    }

    /// The key's id, if it has one (RFC 7517 §4.5).
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The same, to be shared.
    pub(crate) fn shared_kid(&self) -> Option<Arc<str>> {
        self.kid.clone()
    }

    /// The one algorithm that the key serves, if it says one (RFC 7517 §4.4).
    #[must_use]
    pub fn alg(&self) -> Option<&'static str> {
        self.purpose.alg.as_ref().map(Alg::as_str)
    }

    /// Whether the key is a shared secret (`oct`), so that whoever verifies by it can sign, too.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        matches!(*self.material, Material::Oct(_))
    }

    /// Whether the key has a private part or is a shared secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        match &*self.material {
            Material::Ec(ec) => ec.d.is_some(),
            Material::Okp(okp) => okp.d.is_some(),
            Material::Rsa(rsa) => rsa.private.is_some(),
            Material::Akp(akp) => akp.seed.is_some(),
            Material::Oct(_) => true,
        }
    }

    /// The one signature algorithm that the key leaves: its own `alg`, or else the only one that its type allows. `None` when
    /// the type allows several and the key does not choose, or when it is for encryption.
    #[must_use]
    pub fn only_algorithm(&self) -> Option<Algorithm> {
        match (&self.purpose.alg, &*self.material) {
            (Some(Alg::Signature(algorithm)), _) => Some(*algorithm),
            (Some(Alg::Encryption(_)), _) => None,
            (None, Material::Ec(ec)) => Some(ec.curve.algorithm()),
            // Under its present name (RFC 9864 §2.2); the older one is by the key's `alg` or the caller's choice.
            (None, Material::Okp(okp)) => (okp.curve == OkpCurve::Ed25519).then_some(Algorithm::Ed25519),
            (None, Material::Akp(akp)) => Some(akp.algorithm),
            // RFC 7518 §3.1: RSA keys sign by RS256, PS256 and more, and a long secret fits every HMAC; which one is the key's
            // to say.
            (None, Material::Rsa(_) | Material::Oct(_)) => None,
        }
    }

    /// Whether the key may verify signatures of `algorithm`: its type, `alg`, `use` and `key_ops` all allow it.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(own, _)| *own == algorithm)
    }

    /// Whether the key may sign by `algorithm`: it has what that takes, and its `alg`, `use` and `key_ops` all allow it.
    #[must_use]
    pub fn signs(&self, algorithm: Algorithm) -> bool {
        self.is_secret()
            && self.serves(algorithm)
            && self.purpose.allows(&[Operation::Sign])
            && purpose::signs_by(&self.material).contains(&algorithm)
    }

    /// The SHA-256 thumbprint of the key, base64url (RFC 7638 §3, RFC 8037 §2, RFC 9964 §6). That of a shared secret is a hash
    /// of the secret: RFC 7638 §7 says with whom to share it.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        thumbprint::of(&self.material)
    }

    /// The key as JSON text, public members only. Of a shared secret that is everything but the secret.
    #[must_use]
    pub fn to_json(&self) -> String {
        Value::Object(self.to_members()).to_string()
    }

    /// The key as JSON text **with its private members**; wiped when dropped.
    #[must_use]
    pub fn to_private_json(&self) -> Zeroizing<String> {
        let public = self.to_json();
        // One allocation: what grows leaves copies behind.
        let mut json = Zeroizing::new(String::with_capacity(public.len().saturating_add(self.private_len())));
        json.push_str(public.strip_suffix('}').unwrap_or(&public));
        self.for_private_members(|name, octets| {
            json.push_str(",\"");
            json.push_str(name);
            json.push_str("\":\"");
            base64url::encode_into(octets, &mut json);
            json.push('"');
        });
        json.push('}');
        json
    }

    /// A key of this material that is labelled as it is published: for signatures, by this algorithm, named by its thumbprint.
    pub(crate) fn labelled(material: Material, algorithm: Algorithm) -> Result<Jwk, Error> {
        let jwk = Self::of(material)?.with_alg(algorithm.as_str())?.with_use("sig")?;
        let kid = jwk.thumbprint();
        Ok(jwk.with_kid(&kid))
    }

    /// The key itself.
    pub(crate) fn material(&self) -> &Material {
        &self.material
    }

    /// Whether `use` and `key_ops` allow one of these operations.
    pub(crate) fn allows(&self, operations: &[Operation]) -> bool {
        self.purpose.allows(operations)
    }

    /// Whether the key's own `alg` leaves this key management algorithm. For `dir`, an `alg` that names `enc` counts.
    pub(crate) fn serves_encryption(&self, alg: &str, enc: &str) -> bool {
        // RFC 8725 §3.1: one key, one algorithm.
        match &self.purpose.alg {
            None => true,
            Some(Alg::Encryption(own)) => *own == alg || (alg == "dir" && *own == enc),
            Some(Alg::Signature(_)) => false,
        }
    }

    /// Verifies `signature` over `message`. [`Error::SignatureInvalid`] also for an algorithm that the key does not serve.
    pub(crate) fn verify_signature(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let (_, verifier) = self.verifiers.iter().find(|(own, _)| *own == algorithm).ok_or(Error::SignatureInvalid)?;
        match verifier {
            // RFC 7518 §3.4: R and S in full, nothing else (the library refuses other lengths, and zero). RFC 7518 §3.3, §3.5: as
            // long as the modulus. RFC 8037 §3.1: 64 octets. RFC 9964 §5: as FIPS 204 writes it.
            Verifier::Public(key) => key.verify_sig(message, signature),
            // RFC 7518 §3.2: the whole output, compared in constant time.
            Verifier::Shared(key) => hmac::verify(key, message, signature),
        }
        .map_err(|_| Error::SignatureInvalid)
    }

    /// The public members.
    pub(crate) fn to_members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut put = |name: &str, value: String| _ = members.insert(name.to_owned(), Value::String(value));
        match &*self.material {
            Material::Ec(ec) => {
                let (x, y) = ec.coordinates();
                put("kty", "EC".to_owned());
                put("crv", ec.curve.as_str().to_owned());
                put("x", base64url::encode(x));
                put("y", base64url::encode(y));
            }
            Material::Okp(okp) => {
                put("kty", "OKP".to_owned());
                put("crv", okp.curve.as_str().to_owned());
                put("x", base64url::encode(&okp.x));
            }
            Material::Rsa(rsa) => {
                put("kty", "RSA".to_owned());
                put("n", base64url::encode(&rsa.n));
                put("e", base64url::encode(&rsa.e));
            }
            Material::Oct(_) => put("kty", "oct".to_owned()),
            Material::Akp(akp) => {
                put("kty", "AKP".to_owned());
                put("alg", akp.algorithm.as_str().to_owned());
                put("pub", base64url::encode(&akp.public));
            }
        }
        if let Some(kid) = &self.kid {
            put("kid", kid.as_ref().to_owned());
        }
        if let Some(alg) = &self.purpose.alg {
            put("alg", alg.as_str().to_owned());
        }
        if let Some(public_key_use) = &self.purpose.public_key_use {
            put("use", public_key_use.clone());
        }
        if let Some(key_ops) = &self.purpose.key_ops {
            members.insert("key_ops".to_owned(), Value::from(key_ops.clone()));
        }
        members
    }

    fn of(material: Material) -> Result<Jwk, Error> {
        Self::new(Arc::new(material), None, Purpose::default())
    }

    fn new(material: Arc<Material>, kid: Option<Arc<str>>, purpose: Purpose) -> Result<Jwk, Error> {
        let mut jwk = Jwk { material, kid, purpose, verifiers: Arc::new([]) };
        if jwk.purpose.allows(&[Operation::Verify]) {
            jwk.verifiers = purpose::signs_by(&jwk.material)
                .into_iter()
                .filter(|algorithm| jwk.serves(*algorithm))
                .map(|algorithm| Ok((algorithm, Verifier::new(&jwk.material, algorithm)?)))
                .collect::<Result<_, Error>>()?;
        }
        Ok(jwk)
    }

    /// RFC 8725 §3.1: one key, one algorithm.
    fn serves(&self, algorithm: Algorithm) -> bool {
        self.purpose.alg.as_ref().is_none_or(|alg| *alg == Alg::Signature(algorithm))
    }

    fn for_private_members(&self, mut each: impl FnMut(&str, &[u8])) {
        let one = match &*self.material {
            Material::Ec(ec) => ec.d.as_ref().map(|d| ("d", d)),
            Material::Okp(okp) => okp.d.as_ref().map(|d| ("d", d)),
            Material::Akp(akp) => akp.seed.as_ref().map(|seed| ("priv", seed)),
            Material::Oct(oct) => Some(("k", &oct.k)),
            Material::Rsa(rsa) => {
                rsa.private_members().for_each(|(name, octets)| each(name, octets));
                None
            }
        };
        if let Some((name, octets)) = one {
            each(name, octets);
        }
    }

    /// How long the private members are in JSON, at most.
    fn private_len(&self) -> usize {
        let mut length = 0_usize;
        self.for_private_members(|name, octets| {
            length =
                length.saturating_add(octets.len().saturating_mul(2)).saturating_add(name.len()).saturating_add(16);
        });
        length
    }
}

impl Verifier {
    fn new(material: &Material, algorithm: Algorithm) -> Result<Verifier, Error> {
        match material {
            Material::Ec(ec) => ec.public_key().map(Verifier::Public),
            Material::Okp(okp) => okp.public_key().map(Verifier::Public),
            Material::Rsa(rsa) => rsa.public_key(algorithm).ok_or(Error::JwkUnsupported)?.map(Verifier::Public),
            Material::Akp(akp) => akp.public_key().map(Verifier::Public),
            Material::Oct(oct) => oct.hmac(algorithm).map(Box::new).map(Verifier::Shared),
        }
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwk {}", self.to_json())
    }
}

#[cfg(test)]
mod tests;
