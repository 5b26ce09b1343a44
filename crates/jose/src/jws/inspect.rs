//! Reads a token without verifying it, for people who look at one.

use super::header::Header;
use super::parts::Parts;
use crate::{Error, base64url};

/// What a token claims about itself. Anyone could have written it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unverified {
    /// The header, as anyone could have written it.
    pub header: Header,
    /// The header's bytes as they were encoded.
    pub header_json: Vec<u8>,
    /// The payload's bytes, as anyone could have written them.
    pub payload: Vec<u8>,
}

/// Decodes a compact token and **verifies nothing**: neither signature, nor algorithm, nor claims. Never decide by it.
///
/// # Errors
/// The errors of the token's shape, from [`Error::TokenEmpty`] to [`Error::HeaderInvalid`].
pub fn danger_unverified(token: &str) -> Result<Unverified, Error> {
    let parts = Parts::split(token)?;
    let header_json = base64url::decode(parts.header)?;
    let header = Header::parse(&header_json)?;
    let payload = base64url::decode(parts.payload)?;
    base64url::decode(parts.signature)?;
    Ok(Unverified { header, header_json, payload })
}
