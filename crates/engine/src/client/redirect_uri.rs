//! Where people may be sent: what can be registered, and whether what a request asks for is one of them.

use std::{fmt, net::Ipv6Addr};

use super::ApplicationType;

/// The longest address, in bytes.
pub const LONGEST: usize = 2048;

/// Why an address cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UriError {
    /// Longer than [`LONGEST`].
    TooLong,
    /// It has white space, a control character, or one that no URI has (RFC 3986 §2).
    Character,
    /// It has no scheme, or no host.
    NotAbsolute,
    /// It has a fragment (RFC 6749 §3.1.2).
    Fragment,
    /// It has a user name in it.
    UserInfo,
    /// It has a `*`: addresses are compared letter by letter.
    Wildcard,
    /// http is for loopback hosts (RFC 9700 §2.1).
    Http,
    /// This scheme is for native applications, and needs a dot (RFC 8252 §7.1).
    Scheme,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {LONGEST} bytes"),
            Self::Character => f.write_str("it has a character that no address has"),
            Self::NotAbsolute => f.write_str("it is not whole; write it like https://app.example.com/callback"),
            Self::Fragment => f.write_str("it has a fragment (#…)"),
            Self::UserInfo => f.write_str("it has a user name in it"),
            Self::Wildcard => f.write_str("it has a *, and addresses are compared letter by letter: register each"),
            Self::Http => f.write_str("http is for loopback hosts only: use https"),
            Self::Scheme => f.write_str(
                "a scheme of one's own is for native applications (--kind native), and is a domain turned round, as \
                 com.example.app:/callback",
            ),
        }
    }
}

/// Whether a client that runs there can register this address to be redirected to.
///
/// # Errors
/// [`UriError`]
pub fn check(uri: &str, application: ApplicationType) -> Result<(), UriError> {
    let parts = Parts::of(uri)?;
    match parts.scheme.as_str() {
        "https" => parts.has_host(),
        // RFC 9700 §2.1, RFC 8252 §8.3: the way to a loopback address leaves nobody's machine.
        "http" => parts.has_host().and_then(|()| if parts.is_loopback() { Ok(()) } else { Err(UriError::Http) }),
        // RFC 8252 §7.1, §8.4: a domain under the developer's control; what has none may be anybody's.
        scheme if application == ApplicationType::Native && scheme.contains('.') => Ok(()),
        _ => Err(UriError::Scheme),
    }
}

/// Whether this is an address on the web that this server, or a page of it, may name.
///
/// # Errors
/// [`UriError`]
pub fn check_web(uri: &str) -> Result<(), UriError> {
    check(uri, ApplicationType::Web)
}

/// Whether `asked` is one of `registered`.
#[must_use]
pub fn is_registered(registered: &[String], application: ApplicationType, asked: &str) -> bool {
    registered.iter().any(|known| matches(known, application, asked))
}

/// RFC 9700 §2.1: compared letter by letter. RFC 8252 §7.3: but a native application that listens on a loopback address gets its
/// port from the system, so there, and there alone, the port may be another one.
fn matches(known: &str, application: ApplicationType, asked: &str) -> bool {
    if known == asked {
        return true;
    }
    if application != ApplicationType::Native {
        return false;
    }
    let (Ok(known), Ok(asked)) = (Parts::of(known), Parts::of(asked)) else {
        return false;
    };
    known.scheme == "http"
        && asked.scheme == "http"
        && known.is_loopback()
        && known.host == asked.host
        && known.rest == asked.rest
        && asked.port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// The parts of an address, as far as they are compared.
#[derive(Debug)]
pub struct Parts<'u> {
    /// In lower case.
    pub scheme: String,
    /// As it was written; empty where there is no authority.
    pub host: &'u str,
    /// As it was written, without the colon.
    pub port: Option<&'u str>,
    /// Path and query.
    pub rest: &'u str,
}

impl<'u> Parts<'u> {
    /// Takes an address apart.
    ///
    /// # Errors
    /// [`UriError`]
    pub fn of(uri: &'u str) -> Result<Self, UriError> {
        if uri.len() > LONGEST {
            return Err(UriError::TooLong);
        }
        // RFC 3986 §2: what else there is must be encoded. A backslash is a slash to browsers and none to others.
        if !uri.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)) {
            return Err(UriError::Character);
        }
        if uri.contains('#') {
            return Err(UriError::Fragment);
        }
        if uri.contains('*') {
            return Err(UriError::Wildcard);
        }
        let (scheme, rest) = uri.split_once(':').ok_or(UriError::NotAbsolute)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !is_scheme {
            return Err(UriError::NotAbsolute);
        }
        let scheme = scheme.to_ascii_lowercase();
        let Some(after) = rest.strip_prefix("//") else {
            return Ok(Self { scheme, host: "", port: None, rest });
        };
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        if authority.contains('@') {
            return Err(UriError::UserInfo);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let close = inner.find(']').ok_or(UriError::NotAbsolute)?;
                let (host, after) = authority.split_at(close + 2);
                (host, after)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':').ok_or(UriError::NotAbsolute)?),
        };
        Ok(Self { scheme, host, port, rest })
    }

    fn has_host(&self) -> Result<(), UriError> {
        let port_is_one = self.port.is_none_or(|port| port.parse::<u16>().is_ok());
        if self.host.is_empty() || !port_is_one { Err(UriError::NotAbsolute) } else { Ok(()) }
    }

    /// RFC 8252 §7.3: the loopback interface by its address; §8.3: `localhost` is not recommended, and is what developers use.
    fn is_loopback(&self) -> bool {
        let address = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match address {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|v6| v6 == Ipv6Addr::LOCALHOST),
            None => self.host.eq_ignore_ascii_case("localhost") || self.host == "127.0.0.1",
        }
    }
}
