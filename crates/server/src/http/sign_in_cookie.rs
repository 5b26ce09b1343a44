//! The sign-in cookie of the provider's pages: an opaque reference that names a session and can refresh nothing.
//!
//! SameSite=Lax, since people come from applications on other sites; a post from another site does not bring it, and is answered by
//! sending the browser to the same place with GET.

use axum::http::{HeaderMap, HeaderValue, header};
use regrant_engine::{
    single_sign_on::{self, Reference, SignedIn},
    time::AbsoluteDeadline,
};

use super::{App, cookie::find_cookie, protocol_error::ApiError};

/// How this issuer's sign-in cookie is made and read.
pub(super) struct SignInCookie {
    name: &'static str,
    secure: bool,
}

impl SignInCookie {
    pub(super) fn new(issuer: &str) -> Self {
        let secure = issuer.starts_with("https://");
        Self { name: if secure { "__Host-Http-regrant-sso" } else { "regrant-dev-sso" }, secure }
    }

    fn line(&self, value: &str, max_age: i64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let line = format!("{}={value}; Path=/; HttpOnly{secure}; SameSite=Lax; Max-Age={max_age}", self.name);
        let mut value = HeaderValue::from_str(&line).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl App {
    /// Who is signed in at the provider.
    pub(super) async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, ApiError> {
        match find_cookie(headers, self.sign_in_cookie.name) {
            Some(reference) => Ok(single_sign_on::signed_in(&self.engine, reference).await?),
            None => Ok(None),
        }
    }

    /// Keeps a new reference in the browser. The server knows when it is over; the browser may forget it at the latest moment.
    pub(super) fn keep_sign_in(
        &self,
        reference: &Reference,
        until: AbsoluteDeadline,
    ) -> Option<(header::HeaderName, HeaderValue)> {
        let longest = 400 * 24 * 60 * 60;
        let left = until.0.seconds_from(self.engine.now()).min(longest);
        self.sign_in_cookie.line(reference.expose(), left).map(|line| (header::SET_COOKIE, line))
    }

    /// Forgets it.
    pub(super) fn forget_sign_in(&self) -> Option<(header::HeaderName, HeaderValue)> {
        self.sign_in_cookie.line("", 0).map(|line| (header::SET_COOKIE, line))
    }
}
