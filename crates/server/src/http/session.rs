//! `/session`: sign in, refresh, who am I, sign out.

use std::{borrow::Cow, net::SocketAddr};

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use regrant_engine::{
    event::Actor,
    id::{SessionId, UserId},
    login::{Credentials, SignIn, sign_in},
    ports::UserSelector,
    reason::{Reason, WireReason},
    refresh::{self, GrantKind, Intent, Refreshed, Tokens, Use},
    session,
    time::{AbsoluteDeadline, Time},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    App, Shared, body,
    caller::{Peer, authenticate, bearer, check_bearer, only_one},
    protocol_error::ApiError,
    sessions::View,
};

/// The longest that an application may call a device, in characters.
const LONGEST_DEVICE: usize = 100;
/// The longest audience, in bytes.
const LONGEST_AUDIENCE: usize = 512;
/// A map of headers that has room for more is not used again.
const MOST_SERVED: usize = 24;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignInBody {
    #[schema(example = "ada@example.com")]
    identifier: String,
    #[schema(value_type = String, format = Password, example = "a pass phrase of yours")]
    password: Zeroizing<String>,
    #[serde(default)]
    delivery: Delivery,
    persist: Option<bool>,
    #[schema(min_length = 1, max_length = 100, example = "Ada's telephone")]
    device: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    audience: Option<String>,
    #[schema(example = "openid")]
    scope: Option<String>,
}

#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
enum Delivery {
    #[default]
    Cookie,
    Body,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshBody<'b> {
    #[serde(borrow)]
    #[schema(value_type = Option<String>, format = Password)]
    refresh_token: Option<Text<'b>>,
    #[serde(default = "yes")]
    #[schema(default = true)]
    rotate: bool,
}

/// A text where it lies in the body, unless something in it is escaped. (Within an `Option`, serde would copy a `Cow`.)
#[derive(Deserialize)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

fn yes() -> bool {
    true
}

/// The reply to a sign-in and to a refresh.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenReply<'a> {
    #[serde(skip_serializing_if = "is_written_apart")]
    #[schema(required)]
    access_token: &'a str,
    #[schema(pattern = "^Bearer$")]
    token_type: &'static str,
    expires_in: u32,
    refresh_in: u32,
    #[serde(skip_serializing_if = "is_written_apart")]
    #[schema(nullable = false, format = Password)]
    refresh_token: Option<&'a str>,
    session: SessionReply,
}

#[derive(Serialize, ToSchema)]
struct SessionReply {
    #[schema(value_type = Option<String>, required)]
    id: Option<SessionId>,
    #[schema(value_type = String)]
    user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    idle_expires_at: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    absolute_expires_at: Option<Time>,
}

/// The reply to "who am I".
#[derive(Serialize, ToSchema)]
struct WhoReply {
    session: View,
    user: UserReply,
}

#[derive(Serialize, ToSchema)]
struct UserReply {
    id: String,
    identifiers: Vec<String>,
    roles: Vec<String>,
    #[schema(value_type = Object)]
    claims: Map<String, Value>,
}

/// `POST /session`
#[utoipa::path(
    post,
    path = "/session",
    operation_id = "sign_in",
    tag = "session",
    summary = "Sign in",
    request_body = SignInBody,
    responses((status = 200, description = "Signed in.", body = TokenReply<'_>, headers(("Set-Cookie" = String, description = "The refresh token, if it travels in the cookie."))))
)]
pub(super) async fn create(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    app.origins.check(&headers)?;
    let asked: SignInBody = body::read(&headers, body).await?;
    let kind = match (asked.delivery, asked.persist) {
        (Delivery::Cookie, None | Some(true)) => GrantKind::Cookie,
        (Delivery::Cookie, Some(false)) => GrantKind::TransientCookie,
        (Delivery::Body, None) => GrantKind::Native,
        (Delivery::Body, Some(_)) => {
            return Err(ApiError::InvalidRequest(
                "\"persist\" is about the cookie: leave it out with \"delivery\": \"body\".".to_owned(),
            ));
        }
    };
    if kind != GrantKind::Native {
        app.cookies.check_host(&peer, &headers)?;
    }
    check_texts(&asked)?;
    // A cookie that is no token of ours is simply replaced.
    let replaces = match kind {
        GrantKind::Cookie | GrantKind::TransientCookie => {
            app.cookies.find(&headers).and_then(|token| app.open(token).ok())
        }
        GrantKind::Browser | GrantKind::Native | GrantKind::Offline => None,
    };
    let credentials = Credentials {
        identifier: &asked.identifier,
        password: &asked.password,
        kind,
        device: asked.device,
        audience: asked.audience,
        scope: asked.scope,
        address: peer.address,
        context: app.context(&peer, &headers),
        replaces,
    };
    match sign_in(&app.engine, credentials).await? {
        SignIn::Granted(tokens) => Ok(reply(&app, &tokens, headers)),
        SignIn::Wrong => Err(ApiError::InvalidCredentials),
        SignIn::Limited(retry_after) => Err(ApiError::Limited(retry_after)),
        SignIn::Busy => Err(ApiError::Busy),
        SignIn::Audience => Err(ApiError::Audience),
        SignIn::Scope => Err(ApiError::Scope),
    }
}

fn check_texts(asked: &SignInBody) -> Result<(), ApiError> {
    let odd = |text: &str| text.trim().is_empty() || text.chars().any(crate::text::is_hidden);
    if asked.device.as_ref().is_some_and(|device| odd(device) || device.chars().count() > LONGEST_DEVICE) {
        return Err(ApiError::InvalidRequest(format!(
            "\"device\" must be 1 to {LONGEST_DEVICE} characters without control characters."
        )));
    }
    if asked.audience.as_ref().is_some_and(|audience| odd(audience) || audience.len() > LONGEST_AUDIENCE) {
        return Err(ApiError::InvalidRequest(format!(
            "\"audience\" must be 1 to {LONGEST_AUDIENCE} bytes without control characters."
        )));
    }
    Ok(())
}

/// Where tokens are renewed.
pub(super) const REFRESH: &str = "/session/refresh";

/// `POST /session/refresh`
#[utoipa::path(
    post,
    path = "/session/refresh",
    operation_id = "renew",
    tag = "session",
    summary = "Renew the tokens, or (`rotate: false`) read without renewing",
    request_body = RefreshBody<'_>,
    security(("cookie" = []), ()),
    responses((status = 200, description = "Renewed.", body = TokenReply<'_>, headers(("Set-Cookie" = String, description = "The refresh token, if it travels in the cookie."))))
)]
pub(super) async fn refresh(
    State(app): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Result<Response, ApiError> {
    renew(&app, peer, &mut request).await
}

/// The same without the extractors, which would copy the headers: it is asked more than all others together.
pub(super) async fn renew(app: &Shared, peer: SocketAddr, request: &mut Request) -> Result<Response, ApiError> {
    let body = std::mem::take(request.body_mut());
    let headers = request.headers();
    let peer = app.speaks_for(app.proxies.past(peer.ip(), headers), headers).await?;
    let cookie = app.cookie_token(headers)?;
    let bytes = body::bytes(body).await?;
    let asked: RefreshBody<'_> = body::parse(headers, &bytes)?;
    let token = only_one(cookie, asked.refresh_token.as_ref().map(|text| &*text.0))?;
    let intent = if asked.rotate { Intent::Rotate } else { Intent::Peek };
    let used = Use::of_session(app.open(token)?, app.context(&peer, headers), intent);
    match refresh::refresh(&app.engine, used).await? {
        Refreshed::Tokens(tokens) => Ok(reply(app, &tokens, std::mem::take(request.headers_mut()))),
        other => Err(other.into()),
    }
}

/// `GET /session`
#[utoipa::path(
    get,
    path = "/session",
    operation_id = "who_am_i",
    tag = "session",
    summary = "Who am I",
    security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "The session and its user.", body = WhoReply))
)]
pub(super) async fn show(State(app): State<Shared>, peer: Peer, headers: HeaderMap) -> Result<Response, ApiError> {
    let caller = authenticate(&app, &peer, &headers).await?;
    let user = app.engine.store.user(UserSelector::Id(caller.user)).await?.ok_or(ApiError::Over(WireReason::Ended))?;
    let document = WhoReply {
        session: View::of(caller.session, true),
        user: UserReply {
            id: user.id.to_string(),
            identifiers: user.identifiers.iter().map(|known| known.shown.clone()).collect(),
            roles: user.roles.clone(),
            claims: Map::from_iter(user.claims.clone()),
        },
    };
    Ok(Json(document).into_response())
}

/// `DELETE /session`
#[utoipa::path(
    delete,
    path = "/session",
    operation_id = "sign_out",
    tag = "session",
    summary = "Sign out",
    security(("cookie" = []), ("bearer" = [])),
    responses((
        status = 204,
        description = "Signed out.",
        headers(("Set-Cookie" = String, description = "Clears the cookie, if the call brought it."))
    ))
)]
pub(super) async fn end(State(app): State<Shared>, peer: Peer, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(token) = bearer(&headers) {
        let (user, id) = check_bearer(&app, token)?;
        session::end(&app.engine, id, Some(user), Reason::SignedOut, Actor::User).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let token = app.cookie_token(&headers)?.ok_or(ApiError::NotSignedIn)?;
    let outcome = match app.open(token) {
        Ok(presented) => {
            let used = Use::of_session(presented, app.context(&peer, &headers), Intent::SignOut);
            refresh::refresh(&app.engine, used).await?
        }
        // Not ours: there is nothing to end, and the browser is rid of it.
        Err(ApiError::Over(reason)) => Refreshed::Over(reason),
        Err(other) => return Err(other),
    };
    match outcome {
        // Over already: what the user wants is so.
        Refreshed::Ended | Refreshed::Over(_) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            if let Some(cookie) = app.cookies.forget() {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            Ok(response)
        }
        other => Err(other.into()),
    }
}

/// The tokens as JSON, and the refresh token where it belongs: in the cookie, or in the body. The request's headers have served,
/// and the reply's take their place: a map for those of every reply is the largest thing that would have to be allocated.
pub(super) fn reply(app: &App, tokens: &Tokens, served: HeaderMap) -> Response {
    let in_body = match tokens.kind {
        GrantKind::Browser | GrantKind::Native | GrantKind::Offline => tokens.refresh_token.as_ref(),
        GrantKind::Cookie | GrantKind::TransientCookie => None,
    };
    let document = TokenReply {
        access_token: &tokens.access_token.0,
        token_type: "Bearer",
        expires_in: tokens.expires_in.0,
        refresh_in: tokens.refresh_in.0,
        refresh_token: in_body.map(regrant_engine::token::RefreshToken::expose),
        session: SessionReply {
            id: tokens.session,
            user_id: tokens.user,
            idle_expires_at: tokens.idle.map(|idle| idle.0),
            absolute_expires_at: Some(tokens.absolute).filter(|at| *at != AbsoluteDeadline::NEVER).map(|at| at.0),
        },
    };
    let Some(body) = document.to_json() else {
        return ApiError::Busy.into_response();
    };
    let mut response = Response::new(Body::from(body));
    // hyper keeps it for the connection's next request: not if somebody sent very many.
    if served.capacity() <= MOST_SERVED {
        *response.headers_mut() = served;
    }
    let headers = response.headers_mut();
    headers.clear();
    // With those that every reply has (`mod.rs`).
    headers.reserve(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(cookie) = app.cookies.keep(tokens) {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

impl TokenReply<'_> {
    /// The reply's bytes. The tokens are most of it, and are written as they are: base64url, dots and underscores (RFC 7515 §7.1,
    /// `token.rs`) need no escape, and looking at each character for one costs more than all the rest.
    fn to_json(&self) -> Option<Vec<u8>> {
        // Most need no more: a buffer that has to grow is copied each time.
        let mut body = Vec::with_capacity(1536);
        for (name, token) in
            [("{\"access_token\":\"", Some(self.access_token)), (",\"refresh_token\":\"", self.refresh_token)]
        {
            if let Some(token) = token {
                body.extend_from_slice(name.as_bytes());
                body.extend_from_slice(token.as_bytes());
                body.push(b'"');
            }
        }
        let members = body.len();
        serde_json::to_writer(&mut body, self).ok()?;
        // What opened an object of its own goes on with this one.
        *body.get_mut(members)? = b',';
        Some(body)
    }
}

fn is_written_apart<T>(_token: &T) -> bool {
    true
}
