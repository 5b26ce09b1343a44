//! Proves who signed a token.
//!
//! 1. Caps, then the shape: three parts.
//! 2. The header: strict JSON, no extension, an algorithm that the caller accepts.
//! 3. The keys that may have signed it: chosen from the caller's set, never from the token.
//! 4. The signature, over the bytes as they stand in the token.

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
    pub header: Header,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    /// The algorithm of the signature.
    pub algorithm: Algorithm,
    /// The `kid` of the key that matched, as the key set says it.
    pub kid: Option<String>,
}

/// Verifies a compact token with a key of `keys`; only the algorithms in `accept` are believed.
///
/// # Errors
/// The token's shape ([`Error::TokenEmpty`] to [`Error::UnencodedPayload`]), its algorithm ([`Error::AlgorithmNone`],
/// [`Error::AlgorithmUnknown`], [`Error::AlgorithmRefused`]), the choice of a key ([`Error::KeyUnknown`],
/// [`Error::KeyUnusable`], [`Error::KeyAmbiguous`]), or [`Error::SignatureInvalid`].
pub fn verify(token: &str, keys: &Jwks, accept: &[Algorithm]) -> Result<Verified, Error> {
    let parts = Parts::split(token)?;
    let header = Header::parse(&base64url::decode(parts.header)?)?;
    header.refuse_extensions()?;
    let algorithm = accepted_algorithm(&header.alg, accept)?;

    // RFC 8725 §3.10: `jku`, `x5u`, `jwk` and `x5c` are the sender's word and are not read at all.
    let candidates = keys.candidates(header.kid.as_deref(), algorithm)?;
    let signature = base64url::decode(parts.signature)?;
    let payload = base64url::decode(parts.payload)?;

    let key = signing_key(candidates, parts.signing_input.as_bytes(), &signature)?;
    Ok(Verified { kid: key.kid().map(str::to_owned), header, payload, algorithm })
}

/// The key whose signature this is.
fn signing_key<'k>(
    mut candidates: impl Iterator<Item = &'k Jwk>,
    signing_input: &[u8],
    signature: &[u8],
) -> Result<&'k Jwk, Error> {
    for key in candidates.by_ref().take(MAX_KEYS_TRIED) {
        if key.verify_signature(signing_input, signature).is_ok() {
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
