//! Proves who signed a token.
//!
//! 1. Caps, then the shape: three parts.
//! 2. The header: strict JSON, no extension, an algorithm that the caller accepts.
//! 3. The keys that may have signed it: chosen from the caller's set, never from the token.
//! 4. The signature, over the bytes as they stand in the token.

use std::sync::Arc;

use super::header::Header;
use super::parts::Parts;
use crate::{Algorithm, Error, Jwk, Jwks, base64url};

/// The most keys that are tried for one token.
pub const MAX_KEYS_TRIED: usize = 8;

/// A token whose signature is good. Its claims are not checked yet: that is [`crate::jwt::check`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The header, now trusted as far as the key is.
    pub header: Arc<Header>,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    /// The algorithm of the signature.
    pub algorithm: Algorithm,
    /// The name of the key that matched, where the header does not say it.
    pub(crate) kid_beside: Option<Arc<str>>,
}

impl Verified {
    /// The `kid` of the key that matched, as the key set says it.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        // A key is only taken if its name is the one in the header.
        self.header.kid.as_deref().or(self.kid_beside.as_deref())
    }
}

/// Verifies a compact token with a key of `keys`; only the algorithms in `accept` are believed (RFC 7515 §5.2).
///
/// # Errors
/// The token's shape ([`Error::TokenEmpty`] to [`Error::UnencodedPayload`]), its algorithm ([`Error::AlgorithmNone`],
/// [`Error::AlgorithmUnknown`], [`Error::AlgorithmRefused`]), the choice of a key ([`Error::KeyUnknown`],
/// [`Error::KeyUnusable`], [`Error::KeyAmbiguous`]), or [`Error::SignatureInvalid`].
pub fn verify(token: &str, keys: &Jwks, accept: &[Algorithm]) -> Result<Verified, Error> {
    let known = keys.known_headers().find(token);
    let parts = match known {
        Some((_, _, length)) => Parts::after_header(token, length)?,
        None => Parts::split(token)?,
    };
    let (header, algorithm) = match known {
        Some((header, algorithm, _)) => known_header(header, algorithm, accept)?,
        None => new_header(parts.header, accept)?,
    };
    let payload = base64url::decode(parts.payload).map_err(|error| {
        // It may be a dot too many, which has errors of its own.
        Parts::split(token).err().unwrap_or(error)
    })?;
    let kid_beside = signed_by(&parts, parts.signing_input, &header, algorithm, keys)?;
    if known.is_none() {
        keys.known_headers().remember(parts.header, &header, algorithm);
    }
    Ok(Verified { header, payload, algorithm, kid_beside })
}

/// Verifies a token whose payload came by another way (RFC 7515, Appendix F): `header..signature`, and the payload's bytes.
/// In the result, `payload` is a copy of them.
///
/// # Errors
/// As [`verify`]; [`Error::TokenMalformed`] also for a token that has a payload of its own.
pub fn verify_detached(token: &str, payload: &[u8], keys: &Jwks, accept: &[Algorithm]) -> Result<Verified, Error> {
    let parts = Parts::split(token)?;
    if !parts.payload.is_empty() {
        return Err(Error::TokenMalformed);
    }
    let mut signing_input = String::with_capacity(base64url::encoded_len(payload.len()).unwrap_or(0) + token.len());
    signing_input.push_str(parts.header);
    signing_input.push('.');
    base64url::encode_into(payload, &mut signing_input);
    let (header, algorithm) = new_header(parts.header, accept)?;
    let kid_beside = signed_by(&parts, &signing_input, &header, algorithm, keys)?;
    Ok(Verified { header, payload: payload.to_vec(), algorithm, kid_beside })
}

/// Verifies a token by the public key in its own header (`jwk`), which is then to be compared with the key that is expected:
/// a proof of possession (RFC 9449 §4.3), and of nothing else. **Anyone can write such a token**, with a key of their own.
///
/// # Errors
/// Those of [`verify`]; [`Error::KeyUnusable`] for a header without a key, with a private or shared one, or with one that does
/// not serve the algorithm, [`Error::AlgorithmRefused`] for HMAC; those of [`Jwk::parse`].
pub fn verify_embedded(token: &str, accept: &[Algorithm]) -> Result<(Verified, Jwk), Error> {
    let parts = Parts::split(token)?;
    let (header, algorithm) = new_header(parts.header, accept)?;
    // RFC 9449 §4.3: asymmetric; the key is a public one.
    if algorithm.is_symmetric() {
        return Err(Error::AlgorithmRefused);
    }
    let jwk = header.members.get("jwk").filter(|jwk| jwk.is_object()).ok_or(Error::KeyUnusable)?;
    let key = Jwk::parse(jwk.to_string().as_bytes())?;
    if key.is_secret() || jwk.get("d").or(jwk.get("priv")).is_some() || !key.verifies(algorithm) {
        return Err(Error::KeyUnusable);
    }
    base64url::with_decoded(parts.signature, |signature| {
        key.verify_signature(algorithm, parts.signing_input.as_bytes(), signature)
    })??;
    let payload = base64url::decode(parts.payload)?;
    Ok((Verified { header, payload, algorithm, kid_beside: None }, key))
}

fn new_header(encoded: &str, accept: &[Algorithm]) -> Result<(Arc<Header>, Algorithm), Error> {
    let header = Header::parse(&base64url::decode(encoded)?)?;
    header.refuse_extensions()?;
    let algorithm = accepted_algorithm(&header.alg, accept)?;
    Ok((Arc::new(header), algorithm))
}

/// RFC 8725 §3.1: known or not, the caller's list decides.
fn known_header(
    header: &Arc<Header>,
    algorithm: Algorithm,
    accept: &[Algorithm],
) -> Result<(Arc<Header>, Algorithm), Error> {
    if accept.contains(&algorithm) { Ok((Arc::clone(header), algorithm)) } else { Err(Error::AlgorithmRefused) }
}

/// The name of the key that signed, if the header does not say it already.
fn signed_by(
    parts: &Parts<'_>,
    signing_input: &str,
    header: &Header,
    algorithm: Algorithm,
    keys: &Jwks,
) -> Result<Option<Arc<str>>, Error> {
    // RFC 8725 §3.10: `jku`, `x5u`, `jwk` and `x5c` are the sender's word and are not read at all.
    let candidates = keys.candidates(header.kid.as_deref(), algorithm)?;
    let key = base64url::with_decoded(parts.signature, |signature| {
        signing_key(candidates, algorithm, signing_input.as_bytes(), signature)
    })??;
    Ok(if header.kid.is_none() { key.shared_kid() } else { None })
}

/// The key whose signature this is.
fn signing_key<'k>(
    mut candidates: impl Iterator<Item = &'k Jwk>,
    algorithm: Algorithm,
    signing_input: &[u8],
    signature: &[u8],
) -> Result<&'k Jwk, Error> {
    for key in candidates.by_ref().take(MAX_KEYS_TRIED) {
        if key.verify_signature(algorithm, signing_input, signature).is_ok() {
            return Ok(key);
        }
    }
    Err(match candidates.next() {
        Some(_) => Error::KeyAmbiguous,
        None => Error::SignatureInvalid,
    })
}

fn accepted_algorithm(name: &str, accept: &[Algorithm]) -> Result<Algorithm, Error> {
    // RFC 8725 §3.2: `none` never passes; other spellings of it are unknown names, but the clearer error helps.
    if name.eq_ignore_ascii_case("none") {
        return Err(Error::AlgorithmNone);
    }
    let algorithm = Algorithm::from_name(name).ok_or(Error::AlgorithmUnknown)?;
    // RFC 8725 §3.1: the caller's list decides, not the token.
    if accept.contains(&algorithm) { Ok(algorithm) } else { Err(Error::AlgorithmRefused) }
}
