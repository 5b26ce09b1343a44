//! Takes a compact JWE apart, before anything of it is decoded.

use crate::Error;

/// The longest encrypted token that is read or written, in bytes: a signed one of the longest kind fits in.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// The five parts of a compact JWE (RFC 7516 §3.1), still encoded.
pub(super) struct Parts<'a> {
    pub(super) header: &'a str,
    pub(super) encrypted_key: &'a str,
    pub(super) iv: &'a str,
    pub(super) ciphertext: &'a str,
    pub(super) tag: &'a str,
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
        // RFC 7516 §7.2 is for several recipients, which tokens have no use for.
        if token.starts_with('{') {
            return Err(Error::JsonSerialization);
        }
        let mut parts = token.split('.');
        let mut next = || parts.next();
        match (next(), next(), next(), next(), next(), next()) {
            (Some(header), Some(encrypted_key), Some(iv), Some(ciphertext), Some(tag), None) => {
                Ok(Parts { header, encrypted_key, iv, ciphertext, tag })
            }
            // RFC 7516 §9: three parts are a JWS. RFC 8725 §3.8: told apart before anything is believed.
            (Some(_), Some(_), Some(_), None, None, None) => Err(Error::TokenNotEncrypted),
            _ => Err(Error::TokenMalformed),
        }
    }
}
