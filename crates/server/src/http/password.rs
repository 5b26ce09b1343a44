//! `POST /password`: a user changes their password. Everything else that they hold ends; this session gets a new token.

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use regrant_engine::{
    password_change::{self, Changed},
    refresh::Refreshed,
    user::PasswordRefused,
};
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    Shared, body,
    caller::{Peer, only_one},
    protocol_error::ApiError,
    session,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[schema(value_type = String, format = Password, example = "the pass phrase until now")]
    current_password: Zeroizing<String>,
    #[schema(value_type = String, format = Password, example = "the pass phrase from now on")]
    new_password: Zeroizing<String>,
    #[schema(value_type = Option<String>, format = Password)]
    refresh_token: Option<Zeroizing<String>>,
}

/// `POST /password`
#[utoipa::path(
    post,
    path = "/password",
    operation_id = "change_password",
    tag = "session",
    summary = "Change the password; every other session of the user ends",
    request_body = ChangeBody,
    security(("cookie" = []), ()),
    responses((status = 200, description = "Changed.", body = session::TokenReply<'_>, headers(("Set-Cookie" = String, description = "The refresh token, if it travels in the cookie."))))
)]
pub(super) async fn change(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let cookie = app.cookie_token(&headers)?;
    let asked: ChangeBody = body::read(&headers, body).await?;
    // The reply carries a new refresh token, so only who holds one can ask: an access token alone is not enough.
    let presented = app.open(only_one(cookie, asked.refresh_token.as_deref().map(String::as_str))?)?;
    let context = app.context(&peer, &headers);
    let changed =
        password_change::change(&app.engine, presented, context, &asked.current_password, &asked.new_password);
    match changed.await? {
        Changed::Done(Refreshed::Tokens(tokens)) => Ok(session::reply(&app, &tokens, headers)),
        Changed::Done(other) | Changed::NotAllowed(other) => Err(other.into()),
        Changed::Wrong => Err(ApiError::CurrentPassword),
        Changed::Refused(PasswordRefused::Weak(weakness)) => Err(ApiError::WeakPassword(weakness)),
        Changed::Refused(PasswordRefused::Busy) => Err(ApiError::Busy),
        Changed::Limited(retry_after) => Err(ApiError::Limited(retry_after)),
        Changed::Conflict => Err(ApiError::Conflict),
    }
}
