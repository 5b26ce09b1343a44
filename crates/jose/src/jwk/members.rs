//! The members of a key's JSON, read strictly and wiped afterwards.

use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{Error, base64url, json};

/// The members of one key. Their text is wiped when this is dropped: some of them are secrets.
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Reads one JSON object.
    pub(super) fn parse(bytes: &[u8]) -> Result<Members, Error> {
        json::object(bytes).map(Members).ok_or(Error::JwkInvalid)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text that may be missing.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::JwkInvalid),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Error> {
        self.text(name)?.ok_or(Error::JwkInvalid)
    }

    /// A list of texts, none twice, that may be missing.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let mut texts = Vec::new();
        for text in value.as_array().ok_or(Error::JwkInvalid)? {
            let text = text.as_str().ok_or(Error::JwkInvalid)?;
            // RFC 7517 §4.3: no operation twice.
            if texts.iter().any(|other| other == text) {
                return Err(Error::JwkInvalid);
            }
            texts.push(text.to_owned());
        }
        Ok(Some(texts))
    }

    /// Octets in base64url that must be there.
    pub(super) fn octets(&self, name: &str) -> Result<Vec<u8>, Error> {
        base64url::decode(self.required(name)?).map_err(|_| Error::JwkInvalid)
    }

    /// So many octets that must be there. RFC 7518 §6.2.1.2: the full size of a coordinate, leading zeros kept.
    pub(super) fn exactly(&self, name: &str, length: usize) -> Result<Vec<u8>, Error> {
        let octets = self.octets(name)?;
        if octets.len() == length { Ok(octets) } else { Err(Error::JwkInvalid) }
    }

    /// Secret octets that may be missing.
    pub(super) fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => {
                base64url::decode(text).map(|octets| Some(Zeroizing::new(octets))).map_err(|_| Error::JwkInvalid)
            }
        }
    }

    /// So many secret octets that may be missing.
    pub(super) fn secret_exactly(&self, name: &str, length: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self.secret(name)? {
            Some(octets) if octets.len() != length => Err(Error::JwkInvalid),
            secret => Ok(secret),
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for (_, value) in self.0.iter_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}
