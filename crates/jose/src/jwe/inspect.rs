//! Reads the header of an encrypted token without a key, for people who look at one.

use super::header::Header;
use super::parts::Parts;
use crate::{Error, base64url};

/// What an encrypted token says about itself. Anyone could have written it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unopened {
    /// The header, as anyone could have written it.
    pub header: Header,
    /// The header's bytes as they were encoded.
    pub header_json: Vec<u8>,
    /// How long the encrypted content is, in bytes.
    pub ciphertext_len: usize,
}

/// Decodes the header of a compact JWE and **checks nothing else**. Never decide by it.
///
/// # Errors
/// The errors of the token's shape, from [`Error::TokenEmpty`] to [`Error::HeaderInvalid`].
pub fn danger_unopened(token: &str) -> Result<Unopened, Error> {
    let parts = Parts::split(token)?;
    let header_json = base64url::decode(parts.header)?;
    let header = Header::parse(&header_json)?;
    for part in [parts.encrypted_key, parts.iv, parts.tag] {
        base64url::decode(part)?;
    }
    Ok(Unopened { header, header_json, ciphertext_len: base64url::decode(parts.ciphertext)?.len() })
}
