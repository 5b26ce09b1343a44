//! Takes a compact token apart, before anything of it is decoded.

use crate::Error;

/// The longest token that is read or written, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The three parts of a compact JWS, still encoded.
pub(super) struct Parts<'a> {
    pub(super) header: &'a str,
    pub(super) payload: &'a str,
    pub(super) signature: &'a str,
    /// Header, dot and payload as they stand in the token (RFC 7515 §5.2): what was signed.
    pub(super) signing_input: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn split(token: &'a str) -> Result<Parts<'a>, Error> {
        if token.is_empty() {
            return Err(Error::TokenEmpty);
        }
        // RFC 8725 (update): size caps before parsing.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::TokenTooLong);
        }
        if token.starts_with('{') {
            return Err(Error::JsonSerialization);
        }
        match token.bytes().filter(|byte| *byte == b'.').count() {
            2 => {}
            // RFC 7516 §9: five parts are a JWE. RFC 8725 §3.8: JWS and JWE are told apart before anything is believed.
            4 => return Err(Error::TokenEncrypted),
            _ => return Err(Error::TokenMalformed),
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Error::TokenMalformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Error::TokenMalformed)?;
        Ok(Parts { header, payload, signature, signing_input })
    }
}
