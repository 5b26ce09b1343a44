//! The protected header of an encrypted token (RFC 7516 §4).

use serde_json::{Map, Value};

use super::{ContentEncryption, KeyManagement};
use crate::{Error, json};

/// An encrypted token's header. Anyone could have written it; `jku`, `x5u`, `jwk` and `x5c` are never looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The key management algorithm's name, as the token says it (RFC 7516 §4.1.1).
    pub alg: String,
    /// The content encryption algorithm's name, as the token says it (RFC 7516 §4.1.2).
    pub enc: String,
    /// The kind of token, as the token says it (RFC 7516 §4.1.11).
    pub typ: Option<String>,
    /// The kind of content, as the token says it (RFC 7516 §4.1.12).
    pub cty: Option<String>,
    /// The id of the key (RFC 7516 §4.1.6).
    pub kid: Option<String>,
    /// Every member, those above included.
    pub members: Map<String, Value>,
}

impl Header {
    /// Whether the header says that the content is a token itself: `cty` is `JWT`.
    #[must_use]
    pub fn content_is_token(&self) -> bool {
        // RFC 7519 §5.2: `JWT`, better in capitals; RFC 7515 §4.1.10: `application/` may stand before it.
        self.cty.as_deref().is_some_and(|cty| {
            let cty = cty.to_ascii_lowercase();
            cty.strip_prefix("application/").unwrap_or(&cty) == "jwt"
        })
    }

    /// Reads a header from its decoded bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Header, Error> {
        let members = json::object(bytes).ok_or(Error::HeaderInvalid)?;
        Ok(Header {
            alg: text(&members, "alg")?.ok_or(Error::HeaderInvalid)?,
            enc: text(&members, "enc")?.ok_or(Error::HeaderInvalid)?,
            typ: text(&members, "typ")?,
            cty: text(&members, "cty")?,
            kid: text(&members, "kid")?,
            members,
        })
    }

    /// Refuses a header that asks for what this crate does not do.
    pub(super) fn refuse_extensions(&self) -> Result<(), Error> {
        // RFC 7516 §4.1.13: an extension that is critical and not understood makes the token invalid. None is understood.
        if self.members.contains_key("crit") {
            return Err(Error::CriticalUnsupported);
        }
        // RFC 8725 §3.6: the length of what was compressed tells about it; and a short token may unfold to a long one.
        if self.members.contains_key("zip") {
            return Err(Error::CompressionRefused);
        }
        Ok(())
    }

    /// The two algorithms, if the caller accepts them.
    pub(super) fn algorithms(
        &self,
        accept_alg: &[KeyManagement],
        accept_enc: &[ContentEncryption],
    ) -> Result<(KeyManagement, ContentEncryption), Error> {
        // RFC 8725 §3.2: said by name, because it is often met.
        if self.alg == "RSA1_5" {
            return Err(Error::AlgorithmInsecure);
        }
        let alg = KeyManagement::from_name(&self.alg).ok_or(Error::AlgorithmUnknown)?;
        let enc = ContentEncryption::from_name(&self.enc).ok_or(Error::EncryptionUnknown)?;
        // RFC 8725 §3.1: the caller says which algorithms it accepts, whatever the token says.
        if !accept_alg.contains(&alg) {
            return Err(Error::AlgorithmRefused);
        }
        if !accept_enc.contains(&enc) {
            return Err(Error::EncryptionRefused);
        }
        Ok((alg, enc))
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::HeaderInvalid),
    }
}
