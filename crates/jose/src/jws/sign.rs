//! Signs payloads. The header is written once, when the signer is made.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::MAX_TOKEN_BYTES;
use crate::signing_key::KeyPair;
use crate::{Algorithm, Error, SigningKey, base64url};

/// Signs payloads of one kind (`typ`) with one key. Cheap to share between threads and to clone.
#[derive(Clone)]
pub struct Signer {
    pair: Arc<KeyPair>,
    kid: Arc<str>,
    /// `base64url(header)` and the dot after it.
    prefix: Arc<str>,
}

impl Signer {
    /// A signer with the protected header `alg`, `kid` and `typ`, such as `at+jwt`.
    #[must_use]
    pub fn new(key: &SigningKey, typ: &str) -> Signer {
        // RFC 8725 §3.11: every token says what kind it is.
        Self::with(key, &json!({ "alg": key.algorithm().as_str(), "kid": key.kid(), "typ": typ }))
    }

    /// A signer with these members in its protected header, and `alg`. There is a `kid` only if it is among them.
    ///
    /// # Errors
    /// [`Error::HeaderInvalid`] for a header that [`super::verify`] would refuse: `alg`, `crit` or `b64` among the members, a
    /// `typ` or `kid` that is no string.
    pub fn with_header(key: &SigningKey, members: &Map<String, Value>) -> Result<Signer, Error> {
        let reserved = ["alg", "crit", "b64"].iter().any(|name| members.contains_key(*name));
        let texts = ["typ", "kid"].iter().all(|name| members.get(*name).is_none_or(Value::is_string));
        if reserved || !texts {
            return Err(Error::HeaderInvalid);
        }
        let mut header = members.clone();
        header.insert("alg".to_owned(), key.algorithm().as_str().into());
        Ok(Self::with(key, &Value::Object(header)))
    }

    /// The compact token of `payload`, in one allocation.
    ///
    /// # Errors
    /// [`Error::TokenTooLong`] if the token would be longer than [`MAX_TOKEN_BYTES`] (nobody could verify it here),
    /// [`Error::CryptoFailed`] if the library fails.
    pub fn sign(&self, payload: &[u8]) -> Result<String, Error> {
        let length = self.token_len(payload.len()).filter(|length| *length <= MAX_TOKEN_BYTES);
        let input = self.signing_input(payload, length.ok_or(Error::TokenTooLong)?).ok_or(Error::TokenTooLong)?;
        // RFC 7515 §5.1: the signature covers the encoded header, a dot, and the encoded payload: the token so far.
        let append = |mut token: Vec<u8>, signature: &[u8]| {
            token.push(b'.');
            base64url::append(signature, &mut token).map(|()| token)
        };
        let token = self.pair.sign(input, append).ok().flatten().ok_or(Error::CryptoFailed)?;
        String::from_utf8(token).map_err(|_| Error::CryptoFailed)
    }

    /// The token of a payload that goes another way (RFC 7515, Appendix F): `header..signature`.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn sign_detached(&self, payload: &[u8]) -> Result<String, Error> {
        let length = self.token_len(0).filter(|length| *length <= MAX_TOKEN_BYTES).ok_or(Error::TokenTooLong)?;
        let input_length = self.token_len(payload.len()).ok_or(Error::TokenTooLong)?;
        let input = self.signing_input(payload, input_length).ok_or(Error::TokenTooLong)?;
        let put_together = |_, signature: &[u8]| {
            let mut token = String::with_capacity(length);
            token.push_str(&self.prefix);
            token.push('.');
            base64url::encode_into(signature, &mut token);
            token
        };
        self.pair.sign(input, put_together).map_err(|_| Error::CryptoFailed)
    }

    /// The id of the key that signs.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm that signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.pair.algorithm()
    }

    fn with(key: &SigningKey, header: &Value) -> Signer {
        let prefix = base64url::encode(header.to_string().as_bytes()) + ".";
        Signer { pair: Arc::clone(key.pair()), kid: key.kid().into(), prefix: prefix.into() }
    }

    /// The encoded header, a dot and the encoded payload, with room for `capacity` bytes.
    fn signing_input(&self, payload: &[u8], capacity: usize) -> Option<Vec<u8>> {
        let mut input = Vec::with_capacity(capacity);
        input.extend_from_slice(self.prefix.as_bytes());
        base64url::append(payload, &mut input).map(|()| input)
    }

    fn token_len(&self, payload: usize) -> Option<usize> {
        self.prefix
            .len()
            .checked_add(base64url::encoded_len(payload)?)?
            .checked_add(1)?
            .checked_add(base64url::encoded_len(self.pair.signature_len())?)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("algorithm", &self.algorithm()).field("kid", &self.kid).finish_non_exhaustive()
    }
}
