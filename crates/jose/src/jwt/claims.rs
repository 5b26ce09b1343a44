//! The claims of a token, with the registered ones typed (RFC 7519 §4.1).

use serde_json::{Map, Value};

use super::NumericDate;
use crate::{Error, json};

/// The claims of a token. The registered ones have the right JSON type, or this value would not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    members: Map<String, Value>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
}

impl Claims {
    /// Reads a payload.
    pub(super) fn parse(payload: &[u8]) -> Result<Claims, Error> {
        // RFC 7519 §7.2 step 10: a JSON object in UTF-8.
        let members = json::object(payload).ok_or(Error::ClaimsInvalid)?;
        // RFC 7519 §4.1.1, §4.1.2, §4.1.7: StringOrURI and string.
        for name in ["iss", "sub", "jti"] {
            if members.get(name).is_some_and(|value| !value.is_string()) {
                return Err(Error::ClaimInvalid(name));
            }
        }
        // RFC 7519 §4.1.3: a string, or an array of strings.
        if !members.get("aud").is_none_or(is_audience) {
            return Err(Error::ClaimInvalid("aud"));
        }
        Ok(Claims { exp: date(&members, "exp")?, nbf: date(&members, "nbf")?, iat: date(&members, "iat")?, members })
    }

    /// Every claim, by name.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// Every claim, by name.
    #[must_use]
    pub fn into_members(self) -> Map<String, Value> {
        self.members
    }

    /// A claim that is a string; `None` if it is missing or something else.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// `iss`: who issued the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub`: whom the token is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `jti`: the token's own id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// `client_id` (RFC 8693 §4.3).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.text("client_id")
    }

    /// `scope`: the scopes, divided by spaces (RFC 8693 §4.2).
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.text("scope")
    }

    /// `aud`: whom the token is meant for; empty if it does not say.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self.members.get("aud") {
            Some(Value::Array(many)) => (None, many.as_slice()),
            other => (other, [].as_slice()),
        };
        one.into_iter().chain(many).filter_map(Value::as_str)
    }

    /// `exp`: when the token ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.exp
    }

    /// `nbf`: when the token begins.
    #[must_use]
    pub fn not_before(&self) -> Option<NumericDate> {
        self.nbf
    }

    /// `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.iat
    }
}

fn is_audience(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().all(Value::is_string),
        _ => false,
    }
}

fn date(members: &Map<String, Value>, name: &'static str) -> Result<Option<NumericDate>, Error> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => NumericDate::from_number(number).map(Some).ok_or(Error::ClaimInvalid(name)),
        Some(_) => Err(Error::ClaimInvalid(name)),
    }
}
