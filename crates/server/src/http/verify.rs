//! `GET /auth/verify`: for nginx `auth_request`, Caddy `forward_auth` and Traefik `ForwardAuth`. 200 with identity headers,
//! or 401. The proxy must strip these headers from what comes from outside.
//!
//! The cookie's token is renewed once an access token's lifetime has passed since it was issued; the proxy passes the
//! `Set-Cookie` on. The call has no effect that another site could want, and a link from one must work: it is not asked
//! where it comes from.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use regrant_engine::{
    id::{SessionId, UserId},
    ports::UserSelector,
    refresh::{Intent, Refreshed, Use, refresh},
    session::alive,
};

use super::{
    Shared,
    caller::{Peer, bearer, check_bearer},
    protocol_error::ApiError,
};

const USER: HeaderName = HeaderName::from_static("remote-user");
const EMAIL: HeaderName = HeaderName::from_static("remote-email");
const GROUPS: HeaderName = HeaderName::from_static("remote-groups");
const SESSION: HeaderName = HeaderName::from_static("remote-session");

/// `GET /auth/verify`
#[utoipa::path(
    get,
    path = "/auth/verify",
    operation_id = "verify",
    tag = "proxies",
    summary = "Who calls, for a proxy",
    security(("cookie" = []), ("bearer" = [])),
    responses((
        status = 200,
        description = "Signed in.",
        headers(
            ("Remote-User" = String, description = "The user's id."),
            ("Remote-Email" = String, description = "The first identifier, if it is an e-mail address."),
            ("Remote-Groups" = String, description = "Roles, with commas."),
            ("Remote-Session" = String, description = "The session's id."),
            ("Set-Cookie" = String, description = "The successor, once the token is older than an access token's lifetime."),
        )
    ))
)]
pub(super) async fn verify(State(app): State<Shared>, peer: Peer, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(token) = bearer(&headers) {
        let (user, session) = check_bearer(&app, token)?;
        alive(&app.engine, user, session).await?.ok_or(ApiError::AccessToken)?;
        let known = app.engine.store.user(UserSelector::Id(user)).await?.ok_or(ApiError::AccessToken)?;
        let identifier = known.identifiers.first().map(|known| known.shown.as_str());
        return Ok(identity(user, Some(session), identifier, &known.roles));
    }
    let token = app.cookies.find(&headers).ok_or(ApiError::NotSignedIn)?;
    let intent = Intent::RotateAfter(app.engine.settings.access_token);
    let used = Use::of_session(app.open(token)?, app.context(&peer, &headers), intent);
    match refresh(&app.engine, used).await? {
        Refreshed::Tokens(tokens) => {
            let identifier = tokens.facts.identifier.as_deref();
            let mut response = identity(tokens.user, tokens.session, identifier, &tokens.facts.roles);
            if let Some(cookie) = app.cookies.keep(&tokens) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            Ok(response)
        }
        other => Err(other.into()),
    }
}

fn identity(user: UserId, session: Option<SessionId>, identifier: Option<&str>, roles: &[String]) -> Response {
    let mut response = StatusCode::OK.into_response();
    let mut set = |name, value: &str| {
        // UTF-8 is allowed as opaque bytes (RFC 9110 §5.5); what cannot be in a header at all is left out.
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            response.headers_mut().insert(name, value);
        }
    };
    set(USER, &user.to_string());
    set(GROUPS, &roles.join(","));
    if let Some(session) = session {
        set(SESSION, &session.to_string());
    }
    if let Some(email) = identifier.filter(|identifier| identifier.contains('@')) {
        set(EMAIL, email);
    }
    response
}
