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
        Self::refuse_long(token)?;
        if token.starts_with('{') {
            return Err(Error::JsonSerialization);
        }
        match dots(token) {
            2 => {}
            // RFC 7516 §9: five parts are a JWE. RFC 8725 §3.8: JWS and JWE are told apart before anything is believed.
            4 => return Err(Error::TokenEncrypted),
            _ => return Err(Error::TokenMalformed),
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Error::TokenMalformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Error::TokenMalformed)?;
        Ok(Parts { header, payload, signature, signing_input })
    }

    /// The parts of a token that begins with a header of so many bytes, which is known. A dot too many stays in the payload,
    /// where decoding refuses it: nobody has to look for it in the tokens that have none.
    pub(super) fn after_header(token: &'a str, length: usize) -> Result<Parts<'a>, Error> {
        Self::refuse_long(token)?;
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Error::TokenMalformed)?;
        let (header, payload) = signing_input.split_at_checked(length).ok_or(Error::TokenMalformed)?;
        let payload = payload.strip_prefix('.').ok_or(Error::TokenMalformed)?;
        Ok(Parts { header, payload, signature, signing_input })
    }

    /// RFC 8725 (update): size caps before parsing.
    fn refuse_long(token: &str) -> Result<(), Error> {
        if token.len() > MAX_TOKEN_BYTES { Err(Error::TokenTooLong) } else { Ok(()) }
    }
}

/// How many dots there are. In pieces whose count fits an octet, so that the compiler can count many places at once.
fn dots(token: &str) -> usize {
    let count = |piece: &[u8]| piece.iter().fold(0_u8, |count, byte| count.wrapping_add(u8::from(*byte == b'.')));
    token.as_bytes().chunks(usize::from(u8::MAX)).map(|piece| usize::from(count(piece))).sum()
}
