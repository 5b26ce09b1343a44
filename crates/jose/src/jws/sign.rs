//! Signs payloads. The header is written once, when the signer is made.

use std::fmt;
use std::sync::Arc;

use serde_json::json;

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
        let header = json!({ "alg": key.algorithm().as_str(), "kid": key.kid(), "typ": typ });
        let prefix = base64url::encode(header.to_string().as_bytes()) + ".";
        Signer { pair: Arc::clone(key.pair()), kid: key.kid().into(), prefix: prefix.into() }
    }

    /// The compact token of `payload`, in one allocation.
    ///
    /// # Errors
    /// [`Error::TokenTooLong`] if the token would be longer than [`MAX_TOKEN_BYTES`] (nobody could verify it here),
    /// [`Error::CryptoFailed`] if the library fails.
    pub fn sign(&self, payload: &[u8]) -> Result<String, Error> {
        let length = self.token_len(payload.len()).ok_or(Error::TokenTooLong)?;
        if length > MAX_TOKEN_BYTES {
            return Err(Error::TokenTooLong);
        }
        let mut token = String::with_capacity(length);
        token.push_str(&self.prefix);
        base64url::encode_into(payload, &mut token);
        // RFC 7515 §5.1: the signature covers the encoded header, a dot, and the encoded payload: the token so far.
        let signature = self.pair.sign(token.as_bytes())?;
        token.push('.');
        base64url::encode_into(signature.as_ref(), &mut token);
        Ok(token)
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
