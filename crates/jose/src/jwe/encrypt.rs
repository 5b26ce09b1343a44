//! Makes encrypted tokens.

use std::fmt;

use serde_json::{Map, Value};

use super::key::PublicHalf;
use super::parts::MAX_TOKEN_BYTES;
use super::{ContentEncryption, KeyManagement, content, recipient};
use crate::{Error, Jwk, base64url};

/// Encrypts payloads to one key, by one pair of algorithms.
#[derive(Clone)]
pub struct Encrypter {
    key: Jwk,
    alg: KeyManagement,
    enc: ContentEncryption,
    typ: Option<String>,
    cty: Option<String>,
}

impl Encrypter {
    /// An encrypter to `key`: a public key, or a shared one.
    ///
    /// # Errors
    /// [`Error::KeyUnusable`] if the key's type, length, `alg`, `use` or `key_ops` do not allow these algorithms.
    pub fn new(key: &Jwk, alg: KeyManagement, enc: ContentEncryption) -> Result<Encrypter, Error> {
        PublicHalf::of(key, alg, enc).ok_or(Error::KeyUnusable)?;
        Ok(Encrypter { key: key.clone(), alg, enc, typ: None, cty: None })
    }

    /// The same, saying what kind of token it makes (RFC 7516 §4.1.11).
    #[must_use]
    pub fn typ(mut self, typ: &str) -> Encrypter {
        self.typ = Some(typ.to_owned());
        self
    }

    /// The same, saying what kind of content it encrypts (RFC 7516 §4.1.12).
    #[must_use]
    pub fn cty(mut self, cty: &str) -> Encrypter {
        self.cty = Some(cty.to_owned());
        self
    }

    /// The compact token of `payload` (RFC 7516 §5.1), under a new content encryption key (but for `dir`, where it is the
    /// shared one).
    ///
    /// # Errors
    /// [`Error::TokenTooLong`] if the token would be longer than [`MAX_TOKEN_BYTES`], [`Error::CryptoFailed`] if the library
    /// fails.
    pub fn encrypt(&self, payload: &[u8]) -> Result<String, Error> {
        if payload.len() > MAX_TOKEN_BYTES {
            return Err(Error::TokenTooLong);
        }
        let mut header = self.header();
        let key = PublicHalf::of(&self.key, self.alg, self.enc).ok_or(Error::KeyUnusable)?;
        let (cek, encrypted_key) = recipient::send(self.alg, self.enc, &key, &mut header)?;
        let header = base64url::encode(Value::Object(header).to_string().as_bytes());
        // RFC 7516 §5.1 step 14: the encoded header is authenticated, too.
        let sealed = content::seal(self.enc, &cek, header.as_bytes(), payload)?;
        let rest = [encrypted_key, sealed.iv, sealed.ciphertext, sealed.tag];
        let token = rest.iter().fold(header, |mut token, part| {
            token.push('.');
            base64url::encode_into(part, &mut token);
            token
        });
        if token.len() > MAX_TOKEN_BYTES { Err(Error::TokenTooLong) } else { Ok(token) }
    }

    fn header(&self) -> Map<String, Value> {
        let members = [
            ("alg", Some(self.alg.as_str())),
            ("enc", Some(self.enc.as_str())),
            ("kid", self.key.kid()),
            ("typ", self.typ.as_deref()),
            ("cty", self.cty.as_deref()),
        ];
        members.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?)))).collect()
    }
}

impl fmt::Debug for Encrypter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypter")
            .field("alg", &self.alg)
            .field("enc", &self.enc)
            .field("kid", &self.key.kid())
            .finish_non_exhaustive()
    }
}
