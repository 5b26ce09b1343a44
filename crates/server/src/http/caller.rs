//! Who calls: address and user agent, and the token that comes with the request.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use regrant_engine::{
    context::Context,
    id::{ClientId, SessionId, UserId},
    refresh::{Intent, Refreshed, Tokens, Use, refresh},
    session::{SessionRecord, alive},
    token::{Endpoint, Presented, Stopped},
};

pub(super) use super::forwarded::Peer;
use super::{App, Shared, protocol_error::ApiError, sent::Sent};
use regrant_engine::reason::WireReason;

/// The other end, past the proxies that are trusted; or the browser that an authenticated client speaks for.
impl FromRequestParts<Shared> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let Connection(peer) = Connection::from_request_parts(parts, app).await?;
        app.speaks_for(peer, &parts.headers).await
    }
}

/// The other end, past the proxies that are trusted, whomever it speaks for: an OAuth endpoint authenticates its clients itself.
pub(super) struct Connection(pub(super) Peer);

impl FromRequestParts<Shared> for Connection {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let ConnectInfo(address) = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .ok_or_else(|| ApiError::InvalidRequest("The connection has no address.".to_owned()))?;
        Ok(Self(app.proxies.past(address.ip(), &parts.headers)))
    }
}

impl App {
    pub(super) fn context(&self, peer: &Peer, headers: &HeaderMap) -> Context {
        let own = || headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.contexts.of(&self.engine.digests, peer.address, peer.user_agent.as_deref().unwrap_or_else(own))
    }

    /// The refresh token in the cookie, if there is one. A call that brings it must come from our own origin.
    pub(super) fn cookie_token<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, ApiError> {
        let token = self.cookies.find(headers);
        if token.is_some() {
            self.origins.check(headers)?;
        }
        Ok(token)
    }

    /// Checks a session's refresh token as far as no I/O is needed.
    pub(super) fn open(&self, text: &str) -> Result<Presented, ApiError> {
        self.engine.refresh_keys.open(Endpoint::Session, text).map_err(|stopped| match stopped {
            Stopped::Unknown => ApiError::Over(WireReason::Unknown),
            Stopped::Unavailable => ApiError::Busy,
        })
    }
}

/// The one refresh token of a request: in the cookie or in the body.
pub(super) fn only_one<'t>(cookie: Option<&'t str>, body: Option<&'t str>) -> Result<&'t str, ApiError> {
    match (cookie, body) {
        (Some(token), None) | (None, Some(token)) => Ok(token),
        (None, None) => Err(ApiError::NotSignedIn),
        (Some(_), Some(_)) => Err(ApiError::InvalidRequest(
            "The request has a refresh token in the cookie and another in the body: send one of them.".to_owned(),
        )),
    }
}

/// Who calls, once it is known.
pub(super) struct Caller {
    pub(super) user: UserId,
    pub(super) session: SessionRecord,
}

/// Finds out who calls: by Bearer with an access token meant for this issuer, or by the cookie, which is read like any use of
/// a refresh token and not rotated.
pub(super) async fn authenticate(app: &Shared, peer: &Peer, headers: &HeaderMap) -> Result<Caller, ApiError> {
    if let Some(token) = bearer(headers) {
        let (user, session) = check_bearer(app, token)?;
        let session = alive(&app.engine, user, session).await?.ok_or(ApiError::AccessToken)?;
        return Ok(Caller { user, session });
    }
    let tokens = peek(app, peer, headers).await?;
    let id = tokens.session.ok_or(ApiError::NotSignedIn)?;
    let session = alive(&app.engine, tokens.user, id).await?.ok_or(ApiError::Over(WireReason::Ended))?;
    Ok(Caller { user: tokens.user, session })
}

/// Reads the cookie's refresh token.
async fn peek(app: &Shared, peer: &Peer, headers: &HeaderMap) -> Result<Box<Tokens>, ApiError> {
    let token = app.cookie_token(headers)?.ok_or(ApiError::NotSignedIn)?;
    let used = Use::of_session(app.open(token)?, app.context(peer, headers), Intent::Peek);
    match refresh(&app.engine, used).await? {
        Refreshed::Tokens(tokens) => Ok(tokens),
        other => Err(other.into()),
    }
}

/// An access token of a session, meant for this issuer.
pub(super) fn check_bearer(app: &App, token: &str) -> Result<(UserId, SessionId), ApiError> {
    let bearer = app.engine.mint.check(token, app.engine.now()).ok_or(ApiError::AccessToken)?;
    // An application's token is for what was granted to the application, and not for the user's sessions.
    if bearer.client != ClientId::session_api() {
        return Err(ApiError::AccessToken);
    }
    Ok((bearer.user, bearer.session.ok_or(ApiError::AccessToken)?))
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1), if there is one. Another scheme is somebody else's: a proxy
/// may ask for basic authentication of its own.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "bearer")
}

/// The token of an `Authorization: DPoP` header (RFC 9449 §7.1), likewise.
pub(super) fn bound(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "dpop")
}

/// Two headers are none (`sent.rs`).
fn authorization<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let (scheme, token) = Sent::of(headers, &header::AUTHORIZATION).once()?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::{super::on_behalf::Basic, bearer, bound};

    #[test]
    fn two_authorizations_are_none() {
        let said = |all: &[&str]| {
            let mut headers = HeaderMap::new();
            for one in all {
                headers.append(header::AUTHORIZATION, one.parse().unwrap());
            }
            let basic = Basic::of(&headers).map(|basic| basic.is_some());
            (bearer(&headers).map(str::to_owned), bound(&headers).map(str::to_owned), basic)
        };
        assert_eq!(said(&["Bearer a"]), (Some("a".to_owned()), None, None));
        assert_eq!(said(&["DPoP a"]), (None, Some("a".to_owned()), None));
        assert_eq!(said(&["Basic YTpi"]), (None, None, Some(true)));
        assert_eq!(said(&["Bearer a", "Bearer b"]), (None, None, None));
        assert_eq!(said(&["Bearer a", "DPoP b"]), (None, None, None));
        // Somebody says who they are: that is refused, and not passed over.
        assert_eq!(said(&["Basic YTpi", "Bearer a"]), (None, None, Some(false)));
        assert_eq!(said(&["Basic YTpi", "Basic YTpi"]), (None, None, Some(false)));
    }
}
