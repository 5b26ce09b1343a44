//! The parameters of an OAuth request, in a query or in a form (RFC 6749 appendix B).

use std::{fmt, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, Limited};
use zeroize::Zeroizing;

use super::body::LARGEST;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// RFC 8707 §2: several resources are several parameters.
const MAY_REPEAT: &str = "resource";

/// Names and values, each name once but for [`MAY_REPEAT`]. What came without a value is left out (RFC 6749 §3.1).
#[derive(Default, Clone)]
pub(super) struct Parameters(Vec<(String, Zeroizing<String>)>);

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Why there are no parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    /// This one came twice (RFC 6749 §3.1: must not).
    Repeated(String),
    /// The text is not form-urlencoded UTF-8.
    Encoding,
    /// The body is no form.
    MediaType,
    /// The body is too large, too slow, or was cut off.
    Body,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated(name) => write!(f, "the parameter {} came twice", crate::text::printable(name)),
            Self::Encoding => f.write_str("the parameters are not form-urlencoded UTF-8"),
            Self::MediaType => f.write_str("the body must be application/x-www-form-urlencoded"),
            Self::Body => f.write_str("the body could not be read to its end, or is too large"),
        }
    }
}

impl Parameters {
    /// Of a query or a form's body.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut all = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) =
                (decoded(name).ok_or(Unreadable::Encoding)?, decoded(value).ok_or(Unreadable::Encoding)?);
            if name != MAY_REPEAT && all.0.iter().any(|(known, _)| *known == name) {
                return Err(Unreadable::Repeated(name));
            }
            all.0.push((name, Zeroizing::new(value)));
        }
        Ok(all)
    }

    /// Of a form's body.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Unreadable> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_form = kind
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        let read = tokio::time::timeout(PATIENCE, Limited::new(body, LARGEST).collect());
        let bytes = read.await.map_err(|_| Unreadable::Body)?.map_err(|_| Unreadable::Body)?.to_bytes();
        let bytes = Zeroizing::new(Vec::from(bytes));
        if !is_form {
            return if bytes.is_empty() { Ok(Self::default()) } else { Err(Unreadable::MediaType) };
        }
        Self::parse(std::str::from_utf8(&bytes).map_err(|_| Unreadable::Encoding)?)
    }

    /// The value of `name`. An empty one is none (RFC 6749 §3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The resources that are asked for.
    pub(super) fn resources(&self) -> Vec<&str> {
        let all = self.0.iter().filter(|(known, _)| known == MAY_REPEAT);
        all.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty()).collect()
    }

    /// All of them as a query.
    pub(super) fn to_query(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&")
    }

    /// Without one of them.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }
}

/// A form-urlencoded name or value; `None` if it is none.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                high * 16 + low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// For a query or a form.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Parameters, Unreadable, decoded, encoded};

    #[test]
    fn what_was_encoded_is_decoded() {
        for text in ["", "plain", "a b+c&d=e%", "ä 日本", "https://a.example/cb?x=1"] {
            assert_eq!(decoded(&encoded(text)).as_deref(), Some(text));
        }
        assert_eq!(decoded("a+b%20c").as_deref(), Some("a b c"));
        for text in ["%", "%1", "%zz", "%ff"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }

    #[test]
    fn each_parameter_comes_once_and_an_empty_one_is_none() {
        let read = Parameters::parse("scope=openid+email&state=&x&client_id=a%3Ab").unwrap();
        assert_eq!((read.get("scope"), read.get("client_id")), (Some("openid email"), Some("a:b")));
        assert_eq!((read.get("state"), read.get("x"), read.get("nothing")), (None, None, None));
        assert_eq!(Parameters::parse("a=1&b=2&a=1").unwrap_err(), Unreadable::Repeated("a".to_owned()));
        assert_eq!(Parameters::parse("a=%80").unwrap_err(), Unreadable::Encoding);
        let several = Parameters::parse("resource=a&resource=&x=1&resource=b%20c").unwrap();
        assert_eq!(several.resources(), ["a", "b c"]);
        assert_eq!(several.to_query(), "resource=a&resource=&x=1&resource=b%20c");
        assert_eq!(read.without("x").to_query(), "scope=openid%20email&state=&client_id=a%3Ab");
    }
}
