//! The refresh cookie.
//!
//! On https it is `__Host-Http-regrant`: the prefix makes browsers insist on Secure, HttpOnly, Path=/ and no Domain. On an
//! http loopback issuer, for development, it is `regrant-dev` without Secure, since Safari drops Secure cookies there.

use axum::http::{HeaderMap, HeaderValue, header};
use regrant_engine::{
    refresh::{GrantKind, Tokens},
    token::RefreshToken,
};

use super::{forwarded::Peer, protocol_error::ApiError};
use crate::config::SameSite;

/// How this issuer's cookie is made and read.
pub(super) struct CookieRules {
    name: &'static str,
    secure: bool,
    same_site: &'static str,
}

impl CookieRules {
    pub(super) fn new(issuer: &str, same_site: SameSite) -> Self {
        let secure = issuer.starts_with("https://");
        let same_site = match same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
        };
        Self { name: if secure { "__Host-Http-regrant" } else { "regrant-dev" }, secure, same_site }
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The refresh token in the request's cookie. Of several cookies of the name, the first: browsers send the most specific
    /// one first, and the prefix leaves room for one only.
    pub(super) fn find<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        find_cookie(headers, self.name)
    }

    /// Refuses a cookie that would travel in the clear: http is for loopback hosts. The name that counts is the browser's own;
    /// behind a proxy that is the name that the proxy was called by.
    pub(super) fn check_host(&self, peer: &Peer, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let loopback = is_loopback(host) && peer.outside.loopback_host != Some(false);
        let in_the_clear = !self.secure || peer.outside.https == Some(false);
        if in_the_clear && !loopback { Err(ApiError::InsecureOrigin) } else { Ok(()) }
    }

    /// Keeps the token of `tokens` in the browser, `None` if it is not for a cookie.
    pub(super) fn keep(&self, tokens: &Tokens) -> Option<HeaderValue> {
        let token: &RefreshToken = tokens.refresh_token.as_ref()?;
        let max_age = match tokens.kind {
            GrantKind::Cookie => format!("; Max-Age={}", tokens.keep.0),
            GrantKind::TransientCookie => String::new(),
            GrantKind::Browser | GrantKind::Native | GrantKind::Offline => return None,
        };
        let mut value = HeaderValue::from_str(&self.line(token.expose(), &max_age)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Forgets it: for sign-out and nothing else.
    pub(super) fn forget(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.line("", "; Max-Age=0")).ok()
    }

    fn line(&self, value: &str, max_age: &str) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly{secure}; SameSite={}{max_age}", self.name, self.same_site)
    }
}

/// The value of a cookie.
pub(super) fn find_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
        // An empty one is what a sign-out leaves in browsers that are slow to forget.
        .filter(|value| !value.is_empty())
}

/// Whether `host` (with or without a port) names this machine, whatever the resolver says.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_hosts_are_told_apart() {
        for host in
            ["localhost", "localhost:8080", "LOCALHOST.", "app.localhost:1", "127.0.0.1:8080", "127.1.2.3", "[::1]:80"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "10.0.0.1:80", "[2001:db8::1]:80", "notlocalhost", "0.0.0.0"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
