//! A signed token inside an encrypted one (RFC 7519 §5.2, §11.2).

use zeroize::Zeroizing;

use super::decrypt::decrypt;
use super::encrypt::Encrypter;
use super::header::Header;
use super::{ContentEncryption, KeyManagement};
use crate::{Error, Jwks};

/// The signed token that was in an encrypted one. **It is not verified**: hand it to [`crate::jws::verify`].
#[non_exhaustive]
pub struct Nested {
    /// The signed token, as it was encrypted. Wiped when dropped.
    pub token: Zeroizing<String>,
    /// The header of the encrypted token.
    pub header: Header,
    /// The `kid` of the key that opened it, if that has one.
    pub kid: Option<String>,
}

/// Opens `token`, whose header must say that it holds a token (`cty` is `JWT`), and hands over the inner one.
///
/// # Errors
/// Those of [`super::decrypt`], and [`Error::ContentTypeWrong`] if the content is something else.
pub fn decrypt_nested(
    token: &str,
    keys: &Jwks,
    accept_alg: &[KeyManagement],
    accept_enc: &[ContentEncryption],
) -> Result<Nested, Error> {
    let mut decrypted = decrypt(token, keys, accept_alg, accept_enc)?;
    // RFC 7519 §5.2: required of a nested token.
    if !decrypted.header.content_is_token() {
        return Err(Error::ContentTypeWrong);
    }
    // Taken, not copied; it goes on being wiped.
    match String::from_utf8(std::mem::take(&mut *decrypted.payload)) {
        Ok(inner) => {
            let token = Zeroizing::new(inner);
            Ok(Nested { token, header: decrypted.header, kid: decrypted.kid })
        }
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(Error::ContentTypeWrong)
        }
    }
}

impl Encrypter {
    /// Encrypts `signed`, a signed token in the compact serialisation; `cty` becomes `JWT`.
    ///
    /// # Errors
    /// [`Error::ContentTypeWrong`] if it is no such token, else those of [`Encrypter::encrypt`].
    pub fn encrypt_nested(&self, signed: &str) -> Result<String, Error> {
        // RFC 7519 §11.2: sign, then encrypt. What is inside is three parts, so that nobody has to unwrap without end.
        if signed.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Err(Error::ContentTypeWrong);
        }
        self.clone().cty("JWT").encrypt(signed.as_bytes())
    }
}

impl std::fmt::Debug for Nested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nested").field("header", &self.header).field("kid", &self.kid).finish_non_exhaustive()
    }
}
