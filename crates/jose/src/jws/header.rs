//! The protected header of a token (RFC 7515 §4).

use serde_json::{Map, Value};

use crate::{Error, json};

/// A token's header. Nothing in it is trusted before the signature is verified, and `jku`, `x5u`, `jwk` and `x5c` never are.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The algorithm's name, as the token says it (RFC 7515 §4.1.1).
    pub alg: String,
    /// The kind of token, as the token says it (RFC 7515 §4.1.9).
    pub typ: Option<String>,
    /// The id of the key (RFC 7515 §4.1.4).
    pub kid: Option<String>,
    /// Every member, those above included.
    pub members: Map<String, Value>,
}

impl Header {
    /// Reads a header from its decoded bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Header, Error> {
        let members = json::object(bytes).ok_or(Error::HeaderInvalid)?;
        Ok(Header {
            alg: text(&members, "alg")?.ok_or(Error::HeaderInvalid)?,
            typ: text(&members, "typ")?,
            kid: text(&members, "kid")?,
            members,
        })
    }

    /// Refuses a header that asks for what this crate does not do.
    pub(super) fn refuse_extensions(&self) -> Result<(), Error> {
        // RFC 7797 §3: would change what the signature covers.
        if self.members.contains_key("b64") {
            return Err(Error::UnencodedPayload);
        }
        // RFC 7515 §4.1.11: an extension that is critical and not understood makes the token invalid. None is understood.
        if self.members.contains_key("crit") {
            return Err(Error::CriticalUnsupported);
        }
        Ok(())
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::HeaderInvalid),
    }
}
