//! A set of public keys (RFC 7517 §5), and which of them may verify a token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::{Algorithm, Error, Jwk, json};

/// The longest key set that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;
/// The most keys that a key set may have, usable or not.
pub const MAX_JWKS_KEYS: usize = 100;

/// A set of keys, each parsed and checked once.
///
/// Keys that this crate cannot use (another type, a point off the curve, …) are kept out and counted; they never spoil the set.
#[derive(Clone, Debug, Default)]
pub struct Jwks {
    keys: Vec<Jwk>,
    unusable: Vec<Unusable>,
}

#[derive(Clone, Debug)]
struct Unusable {
    kid: Option<String>,
}

impl Jwks {
    /// Reads `{"keys": […]}`.
    ///
    /// # Errors
    /// [`Error::JwksTooLarge`], [`Error::JwksTooManyKeys`], or [`Error::JwksInvalid`] if it is not such a document at all.
    /// A bad key in it is no error.
    pub fn parse(json: &[u8]) -> Result<Jwks, Error> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }

        // RFC 8725 (update): size caps before parsing.
        if json.len() > MAX_JWKS_BYTES {
            return Err(Error::JwksTooLarge);
        }
        let text = std::str::from_utf8(json).map_err(|_| Error::JwksInvalid)?;
        let document: Document<'_> = serde_json::from_str(text).map_err(|_| Error::JwksInvalid)?;
        if document.keys.len() > MAX_JWKS_KEYS {
            return Err(Error::JwksTooManyKeys);
        }

        let mut jwks = Jwks::default();
        for key in document.keys {
            // RFC 7517 §5: keys that are not understood are ignored, the set stays good.
            match Jwk::parse(key.get().as_bytes()) {
                Ok(jwk) => jwks.keys.push(jwk),
                Err(_) => jwks.unusable.push(Unusable::parse(key)),
            }
        }
        Ok(jwks)
    }

    /// The set of these keys, in this order.
    #[must_use]
    pub fn from_keys(keys: Vec<Jwk>) -> Jwks {
        Jwks { keys, unusable: Vec::new() }
    }

    /// The usable keys, in the order of the set.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// How many keys of the parsed set cannot be used.
    #[must_use]
    pub fn unusable(&self) -> usize {
        self.unusable.len()
    }

    /// The set as JSON text: the usable keys, public members only.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys = self.keys.iter().map(|key| Value::Object(key.to_members())).collect();
        let document = Map::from_iter([("keys".to_owned(), Value::Array(keys))]);
        Value::Object(document).to_string()
    }

    /// The keys that may verify a token with this `kid` and algorithm; never an empty list.
    ///
    /// # Errors
    /// [`Error::KeyUnknown`] if no key has this `kid`, [`Error::KeyUnusable`] if those that there are may not be used.
    pub(crate) fn candidates<'k>(
        &'k self,
        kid: Option<&'k str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &'k Jwk>, Error> {
        // RFC 7515 §4.1.4: `kid` says which key; another one is no substitute. It is compared, and used for nothing else
        // (RFC 8725 §3.10).
        if let Some(kid) = kid {
            let known = self.keys.iter().any(|key| key.kid() == Some(kid));
            let known_unusable = self.unusable.iter().any(|u| u.kid.as_deref() == Some(kid));
            if !known && !known_unusable {
                return Err(Error::KeyUnknown);
            }
        }
        let mut candidates = self
            .keys
            .iter()
            .filter(move |key| kid.is_none_or(|kid| key.kid() == Some(kid)))
            .filter(move |key| key.verifies(algorithm))
            .peekable();
        if candidates.peek().is_none() {
            return Err(Error::KeyUnusable);
        }
        Ok(candidates)
    }
}

impl Unusable {
    /// Only the `kid` is kept, so that "known but unusable" can be told from "unknown".
    fn parse(key: &RawValue) -> Unusable {
        let kid =
            json::object(key.get().as_bytes()).and_then(|members| members.get("kid")?.as_str().map(str::to_owned));
        Unusable { kid }
    }
}

#[cfg(test)]
mod tests;
