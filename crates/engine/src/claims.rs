//! `[tokens.claims]`, and the claims of a client or a scope: what of a user is told, by the operator's choice.
//!
//! 1. The operator maps names of claims to attributes of users; what cannot be is refused when the server starts
//!    ([`ClaimMapping::new`]).
//! 2. Each use of a grant loads the user's attributes in the statement that loads the grant, as the text that the store has
//!    (`ports::Facts::attributes`). Where nothing is mapped nobody parses it.
//! 3. The mint puts what is mapped behind its own claims (`ClaimMapping::append`): a changed attribute shows at the next
//!    refresh.
//! 4. What a client or a granted scope has of its own is told in access tokens, ID tokens and userinfo. Where two say the same name,
//!    the client wins over the scopes, and these over what all access tokens tell.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::{ports::Facts, user::is_reserved_claim};

/// The largest that all mapped claims of one token may be, as JSON: an access token travels in a header line, and servers
/// and proxies refuse lines over 8 KiB.
pub const MOST_MAPPED_BYTES: usize = 4 * 1024;

/// The longest name of a claim, in characters.
pub const LONGEST_NAME: usize = 64;

/// Names that an ID token or userinfo means something else by, besides those of access tokens (OpenID Connect Core §3.3.2.11, §5.6.2,
/// Back-Channel Logout §2.4).
const RESERVED_ELSEWHERE: [&str; 4] = ["events", "s_hash", "_claim_names", "_claim_sources"];

/// Which claims are told of a user, and from what.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(into = "BTreeMap<String, String>", try_from = "BTreeMap<String, String>")]
pub struct ClaimMapping(Vec<(String, Source)>);

/// Where a mapped claim comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Source {
    /// The user's attribute of this name, whatever JSON it is.
    Attribute(String),
    /// Its first identifier, if that is an e-mail address.
    Email,
    /// Its first identifier, if that is a username.
    Username,
}

/// Why a mapping cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MappingError {
    /// A token means something else by this name.
    Reserved(String),
    /// The name is empty or too long.
    Name(String),
    /// No user can have an attribute of this name.
    Attribute {
        /// The claim.
        claim: String,
        /// The attribute.
        attribute: String,
    },
    /// There is no such `@word`.
    Word {
        /// The claim.
        claim: String,
        /// The word.
        word: String,
    },
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved(claim) => {
                write!(f, "\"{claim}\" means something else in a token (RFC 7519, RFC 9068): choose another name")
            }
            Self::Name(claim) => {
                write!(f, "\"{claim}\" is no name of a claim: it needs 1 to {LONGEST_NAME} characters")
            }
            Self::Attribute { claim, attribute } => {
                write!(
                    f,
                    "\"{claim}\": no user can have an attribute \"{attribute}\"; \"regrant user show\" tells what they have"
                )
            }
            Self::Word { claim, word } => {
                write!(f, "\"{claim}\": there is no \"{word}\"; there are \"@email\" and \"@username\"")
            }
        }
    }
}

impl std::error::Error for MappingError {}

impl ClaimMapping {
    /// From names of claims and what they are to tell: the name of an attribute, `@email` or `@username`.
    ///
    /// # Errors
    /// [`MappingError`]
    pub fn new(mapping: &BTreeMap<String, String>) -> Result<Self, MappingError> {
        let entry = |(claim, from): (&String, &String)| {
            if is_reserved_claim(claim) || RESERVED_ELSEWHERE.contains(&claim.as_str()) {
                return Err(MappingError::Reserved(claim.clone()));
            }
            if !is_name(claim) {
                return Err(MappingError::Name(claim.clone()));
            }
            let source = match from.as_str() {
                "@email" => Source::Email,
                "@username" => Source::Username,
                word if word.starts_with('@') => {
                    return Err(MappingError::Word { claim: claim.clone(), word: word.to_owned() });
                }
                attribute if is_reserved_claim(attribute) || !is_name(attribute) => {
                    return Err(MappingError::Attribute { claim: claim.clone(), attribute: attribute.to_owned() });
                }
                attribute => Source::Attribute(attribute.to_owned()),
            };
            Ok((claim.clone(), source))
        };
        mapping.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// This one, with what `other` tells by other names.
    #[must_use]
    pub fn before(mut self, other: &Self) -> Self {
        for (claim, source) in &other.0 {
            if !self.0.iter().any(|(known, _)| known == claim) {
                self.0.push((claim.clone(), source.clone()));
            }
        }
        self
    }

    /// The names of the claims.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(claim, _)| claim.as_str())
    }

    /// What is told of a user, for userinfo.
    #[must_use]
    pub fn of(&self, claims: &Map<String, Value>, identifier: Option<&str>) -> Map<String, Value> {
        let attributes = serde_json::to_string(claims).ok();
        let told = self.told(attributes.as_deref(), identifier).unwrap_or_default();
        serde_json::from_str(&format!("{{{told}}}")).unwrap_or_default()
    }

    /// Whether nothing is told beyond what every token tells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the mapped claims of the user of `facts` behind those of `payload`, which is a JSON object with members.
    ///
    /// Too many for a token: none of them is told, and the log says whose. A part could say something else than the whole.
    pub(crate) fn append(&self, payload: &mut Vec<u8>, facts: &Facts, user: impl fmt::Display) {
        let told = match self.told(facts.attributes.as_deref(), facts.identifier.as_deref()) {
            Ok(told) if told.is_empty() => return,
            Ok(told) => told,
            Err(error) => return tracing::error!(%user, %error, "a user's claims cannot be read; its tokens tell none"),
        };
        if told.len() > MOST_MAPPED_BYTES {
            return tracing::warn!(
                %user, bytes = told.len(), most = MOST_MAPPED_BYTES,
                "the mapped claims of a user are too large for a token, which tells none of them"
            );
        }
        if payload.pop_if(|last| *last == b'}').is_some() {
            payload.push(b',');
            payload.extend_from_slice(told.as_bytes());
            payload.push(b'}');
        }
    }

    /// Whether what is mapped of these claims fits into a token.
    #[must_use]
    pub fn fits(&self, claims: &Map<String, Value>, identifier: Option<&str>) -> bool {
        let attributes = serde_json::to_string(claims).ok();
        self.told(attributes.as_deref(), identifier).is_ok_and(|told| told.len() <= MOST_MAPPED_BYTES)
    }

    /// The members of an object, without its braces. A value is told as it was stored, to the last digit.
    fn told(&self, attributes: Option<&str>, identifier: Option<&str>) -> Result<String, serde_json::Error> {
        if self.0.is_empty() {
            return Ok(String::new());
        }
        let attributes: BTreeMap<String, &RawValue> = match attributes {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)?,
        };
        let mut told = String::new();
        for (claim, source) in &self.0 {
            let of_kind = |is_email: bool| identifier.filter(|name| name.contains('@') == is_email);
            let value = match source {
                // OpenID Connect Core §5.3.2: a claim without a value is left out, not told as null.
                Source::Attribute(name) => {
                    attributes.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null").map(str::to_owned)
                }
                Source::Email => of_kind(true).map(serde_json::to_string).transpose()?,
                Source::Username => of_kind(false).map(serde_json::to_string).transpose()?,
            };
            if let Some(value) = value {
                if !told.is_empty() {
                    told.push(',');
                }
                told += &serde_json::to_string(claim)?;
                told.push(':');
                told += &value;
            }
        }
        Ok(told)
    }
}

impl TryFrom<BTreeMap<String, String>> for ClaimMapping {
    type Error = MappingError;

    fn try_from(mapping: BTreeMap<String, String>) -> Result<Self, MappingError> {
        Self::new(&mapping)
    }
}

impl From<ClaimMapping> for BTreeMap<String, String> {
    fn from(mapping: ClaimMapping) -> Self {
        let written = |source| match source {
            Source::Attribute(name) => name,
            Source::Email => "@email".to_owned(),
            Source::Username => "@username".to_owned(),
        };
        mapping.0.into_iter().map(|(claim, source)| (claim, written(source))).collect()
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn mapping(entries: &[(&str, &str)]) -> Result<ClaimMapping, MappingError> {
        ClaimMapping::new(&entries.iter().map(|(claim, from)| ((*claim).to_owned(), (*from).to_owned())).collect())
    }

    fn payload(entries: &[(&str, &str)], attributes: Option<&str>, identifier: &str) -> String {
        let facts = Facts {
            auth_time: Time::from_millis(0),
            amr: [].into(),
            roles: [].into(),
            identifier: Some(identifier.to_owned()),
            attributes: attributes.map(Into::into),
        };
        let mut payload = br#"{"iss":"x"}"#.to_vec();
        mapping(entries).unwrap().append(&mut payload, &facts, "usr_1");
        String::from_utf8(payload).unwrap()
    }

    #[test]
    fn any_json_is_told_under_its_new_name() {
        let stored = r#"{"dept":{"id":12345678901234567890.10,"in":["a",null]},"name":"Ada \u2665","level":1e400}"#;
        let entries = [("department", "dept"), ("level", "level"), ("name", "name"), ("absent", "nothing")];
        assert_eq!(
            payload(&entries, Some(stored), "ada"),
            r#"{"iss":"x","department":{"id":12345678901234567890.10,"in":["a",null]},"level":1e400,"name":"Ada \u2665"}"#
        );
    }

    #[test]
    fn nothing_is_told_that_is_not_mapped() {
        assert_eq!(payload(&[], Some(r#"{"name":"Ada"}"#), "ada"), r#"{"iss":"x"}"#);
        assert_eq!(payload(&[("name", "name")], None, "ada"), r#"{"iss":"x"}"#);
        assert_eq!(payload(&[("name", "name")], Some(r#"{"name":null,"dept":1}"#), "ada"), r#"{"iss":"x"}"#);
    }

    #[test]
    fn the_first_identifier_is_told_as_what_it_is() {
        let entries = [("email", "@email"), ("preferred_username", "@username")];
        assert_eq!(payload(&entries, None, "a\"b@x.org"), r#"{"iss":"x","email":"a\"b@x.org"}"#);
        assert_eq!(payload(&entries, None, "ada"), r#"{"iss":"x","preferred_username":"ada"}"#);
    }

    #[test]
    fn claims_that_are_too_large_are_not_told_in_part() {
        let entries = [("a", "a"), ("b", "b")];
        // `"a":"…","b":1` is 13 bytes and the text.
        for (text, fits) in [(MOST_MAPPED_BYTES - 12, true), (MOST_MAPPED_BYTES - 11, false)] {
            let stored = format!(r#"{{"a":"{}","b":1}}"#, "x".repeat(text));
            assert_eq!(payload(&entries, Some(&stored), "ada").contains("\"b\":1"), fits, "{text}");
            let claims: Map<String, Value> = serde_json::from_str(&stored).unwrap();
            assert_eq!(mapping(&entries).unwrap().fits(&claims, Some("ada")), fits, "{text}");
        }
        assert_eq!(payload(&entries, Some("damaged"), "ada"), r#"{"iss":"x"}"#);
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for claim in ["iss", "sub", "aud", "exp", "roles", "scope", "cnf", "act"] {
            assert_eq!(mapping(&[(claim, "name")]), Err(MappingError::Reserved(claim.to_owned())));
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        for claim in ["", long.as_str()] {
            assert_eq!(mapping(&[(claim, "name")]), Err(MappingError::Name(claim.to_owned())));
        }
        for from in ["", "sub", long.as_str()] {
            assert!(matches!(mapping(&[("name", from)]), Err(MappingError::Attribute { .. })), "{from}");
        }
        assert!(matches!(mapping(&[("name", "@mail")]), Err(MappingError::Word { .. })));
        assert!(mapping(&[("name", "name"), ("also", "name")]).is_ok());
    }
}
