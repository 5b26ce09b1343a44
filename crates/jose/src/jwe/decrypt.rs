//! Opens encrypted tokens.

use std::fmt;

use zeroize::Zeroizing;

use super::content::{self, Sealed};
use super::header::Header;
use super::key::PrivateHalf;
use super::parts::Parts;
use super::recipient::{self, Parameters};
use super::{ContentEncryption, KeyManagement};
use crate::jws::MAX_KEYS_TRIED;
use crate::{Error, Jwks, base64url};

/// An opened token.
///
/// With a shared key, whoever has it may have written the token. With a public key, **anyone** may: only a signature inside
/// ([`super::decrypt_nested`]) says who did.
#[non_exhaustive]
pub struct Decrypted {
    /// The header.
    pub header: Header,
    /// The payload, whatever it is. Wiped when dropped.
    pub payload: Zeroizing<Vec<u8>>,
    /// How the key came.
    pub alg: KeyManagement,
    /// How the content was encrypted.
    pub enc: ContentEncryption,
    /// The `kid` of the key that opened it, if that has one.
    pub kid: Option<String>,
}

/// Opens `token` (RFC 7516 §5.2) with a key of `keys`, by one of the algorithms that the caller accepts.
///
/// # Errors
/// Those of the token's shape, from [`Error::TokenEmpty`] to [`Error::HeaderInvalid`]; those of its algorithms;
/// [`Error::KeyUnknown`] and [`Error::KeyUnusable`] if no key may be tried. From then on [`Error::DecryptionFailed`] alone
/// ([`Error::KeyAmbiguous`] if more keys fit than may be tried), so that nobody learns from it what was wrong (RFC 7516 §11.5).
pub fn decrypt(
    token: &str,
    keys: &Jwks,
    accept_alg: &[KeyManagement],
    accept_enc: &[ContentEncryption],
) -> Result<Decrypted, Error> {
    let parts = Parts::split(token)?;
    let header = Header::parse(&base64url::decode(parts.header)?)?;
    header.refuse_extensions()?;
    let (alg, enc) = header.algorithms(accept_alg, accept_enc)?;
    let parameters = Parameters::parse(alg, &header.members)?;
    let encrypted_key = base64url::decode(parts.encrypted_key)?;
    let sealed = Sealed {
        iv: base64url::decode(parts.iv)?,
        ciphertext: base64url::decode(parts.ciphertext)?,
        tag: base64url::decode(parts.tag)?,
    };

    // RFC 7516 §4.1.6: `kid` says which key. It is compared, and used for nothing else (RFC 8725 §3.10).
    let kid = header.kid.clone();
    keys.refuse_unknown(kid.as_deref())?;
    let candidates = keys.named(kid.as_deref());
    let mut candidates = candidates.filter_map(|key| Some((key, PrivateHalf::of(key, alg, enc)?))).peekable();
    if candidates.peek().is_none() {
        return Err(Error::KeyUnusable);
    }
    for (key, private) in candidates.by_ref().take(MAX_KEYS_TRIED) {
        let cek = recipient::receive(alg, enc, &parameters, &private, &encrypted_key)?;
        // RFC 7516 §5.2 step 15: the header as it stands in the token is authenticated, too.
        if let Some(payload) = content::open(enc, &cek, parts.header.as_bytes(), sealed.clone()) {
            return Ok(Decrypted { header, payload, alg, enc, kid: key.kid().map(str::to_owned) });
        }
    }
    // Which keys the caller has is no secret, and whether one more would have opened it was not tried.
    Err(if candidates.next().is_some() { Error::KeyAmbiguous } else { Error::DecryptionFailed })
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the payload: somebody thought it worth encrypting.
        f.debug_struct("Decrypted").field("header", &self.header).field("kid", &self.kid).finish_non_exhaustive()
    }
}
