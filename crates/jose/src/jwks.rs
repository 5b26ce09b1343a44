//! A set of keys (RFC 7517 §5), and which of them may verify a token.

use std::iter;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::jws::KnownHeaders;
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
    known_headers: KnownHeaders,
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
            jwks.add(key);
        }
        Ok(jwks)
    }

    /// Reads `{"keys": […]}`, or one key by itself as a set of that key. For files that people write.
    ///
    /// # Errors
    /// As [`Jwks::parse`]. A bad key is no error here either: the set is then empty.
    pub fn parse_set_or_key(json: &[u8]) -> Result<Jwks, Error> {
        #[derive(Deserialize)]
        struct Key<'a> {
            #[serde(borrow)]
            kty: Option<&'a RawValue>,
            #[serde(borrow)]
            keys: Option<&'a RawValue>,
        }

        if json.len() > MAX_JWKS_BYTES {
            return Err(Error::JwksTooLarge);
        }
        let text = std::str::from_utf8(json).map_err(|_| Error::JwksInvalid)?;
        match serde_json::from_str(text) {
            Ok(Key { kty: Some(_), keys: None }) => {
                let key: &RawValue = serde_json::from_str(text).map_err(|_| Error::JwksInvalid)?;
                let mut jwks = Jwks::default();
                jwks.add(key);
                Ok(jwks)
            }
            _ => Self::parse(json),
        }
    }

    /// The set of these keys, in this order.
    #[must_use]
    pub fn from_keys(keys: Vec<Jwk>) -> Jwks {
        Jwks { keys, ..Jwks::default() }
    }

    /// The set of what `narrow` makes of each key. A key that it makes nothing of counts as unusable from then on.
    #[must_use]
    pub fn narrowed(&self, narrow: impl Fn(&Jwk) -> Option<Jwk>) -> Jwks {
        let mut jwks = Jwks { unusable: self.unusable.clone(), ..Jwks::default() };
        for key in &self.keys {
            match narrow(key) {
                Some(narrowed) => jwks.keys.push(narrowed),
                None => jwks.unusable.push(Unusable { kid: key.kid().map(str::to_owned) }),
            }
        }
        jwks
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

    /// The set as JSON text: the usable keys, public members only. Shared secrets, which have no public half, are left out.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys =
            self.keys.iter().filter(|key| !key.is_symmetric()).map(|key| Value::Object(key.to_members())).collect();
        let document = Map::from_iter([("keys".to_owned(), Value::Array(keys))]);
        Value::Object(document).to_string()
    }

    fn add(&mut self, key: &RawValue) {
        // RFC 7517 §5: keys that are not understood are ignored, the set stays good.
        match Jwk::parse(key.get().as_bytes()) {
            Ok(jwk) => self.keys.push(jwk),
            Err(_) => self.unusable.push(Unusable::parse(key)),
        }
    }

    /// The headers that tokens of these keys had.
    pub(crate) fn known_headers(&self) -> &KnownHeaders {
        &self.known_headers
    }

    /// The keys that may verify a token with this `kid` and algorithm; never an empty list.
    ///
    /// # Errors
    /// [`Error::KeyUnknown`] if no key has this `kid`, [`Error::KeyUnusable`] if those that there are may not be used,
    /// [`Error::KeyAmbiguous`] if several of this one name may.
    pub(crate) fn candidates<'k, 'n>(
        &'k self,
        kid: Option<&'n str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &'k Jwk> + use<'k, 'n>, Error> {
        let mut candidates = self.named(kid).filter(move |key| key.verifies(algorithm));
        let Some(first) = candidates.next() else {
            self.refuse_unknown(kid)?;
            return Err(Error::KeyUnusable);
        };
        // RFC 7517 §4.5: different keys have different names. Where two do not, the name says nothing, and guessing which was
        // meant is not for us.
        if first.kid().is_some() && kid.is_some() && candidates.any(|other| other.thumbprint() != first.thumbprint()) {
            return Err(Error::KeyAmbiguous);
        }
        // With a name, that was all of them, and the same key again needs no second try.
        Ok(iter::once(first).chain(candidates))
    }

    /// The keys that a token with this `kid` may mean: those of that name, or if there are none, those without a name.
    ///
    /// RFC 7515 §4.1.4: `kid` says which key; one of another name is no substitute. It is compared, and used for nothing else
    /// (RFC 8725 §3.10).
    pub(crate) fn named<'k, 'n>(&'k self, kid: Option<&'n str>) -> impl Iterator<Item = &'k Jwk> + use<'k, 'n> {
        let meant = kid.filter(|_| self.has(kid));
        self.keys.iter().filter(move |key| kid.is_none() || key.kid() == meant)
    }

    /// Whether a key has this name, usable or not.
    fn has(&self, kid: Option<&str>) -> bool {
        self.keys
            .iter()
            .map(Jwk::kid)
            .chain(self.unusable.iter().map(|unusable| unusable.kid.as_deref()))
            .any(|k| k == kid)
    }

    /// [`Error::KeyUnknown`] if the token names a key that is not in the set, usable or not, nor is one without a name.
    pub(crate) fn refuse_unknown(&self, kid: Option<&str>) -> Result<(), Error> {
        if kid.is_none() || self.has(kid) || self.has(None) { Ok(()) } else { Err(Error::KeyUnknown) }
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
