//! `POST /oauth2/token` (RFC 6749 §3.2): a code, a refresh token, or the client itself, for tokens.
//!
//! 1. The form is read, and the client authenticated.
//! 2. Each grant type has a file in `engine/src/grant/`; the client must be registered for it.
//! 3. The reply is JSON (§5.1), the errors are too (§5.2, `protocol_error/oauth.rs`).

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
};
use regrant_engine::{
    client::GrantType,
    grant::{
        Granted,
        authorization_code::{Redeemed, redeem},
        client_credentials::{self, Issued},
        device_code::{Polled, poll},
        refresh_token::{Renewed, renew},
    },
    reason::WireReason,
    token::{Endpoint, RefreshToken, Stopped},
};
use serde::Serialize;

use super::{
    App, Shared,
    caller::Connection,
    client_authentication::Speaker,
    parameters::Parameters,
    protocol_error::oauth::{OAuthError, USED},
};

#[derive(Serialize)]
struct TokenReply<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
    scope: &'a str,
}

impl IntoResponse for TokenReply<'_> {
    fn into_response(self) -> Response {
        // RFC 6749 §5.1; Cache-Control is on every reply.
        ([(header::PRAGMA, "no-cache")], Json(self)).into_response()
    }
}

/// Where.
pub(super) const PATH: &str = "/oauth2/token";

/// `POST /oauth2/token`
pub(super) async fn token(
    State(app): State<Shared>,
    connection: Connection,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answered = answer(&app, connection, &headers, body).await.into_response();
    app.with_nonce(&headers, answered)
}

async fn answer(app: &App, connection: Connection, headers: &HeaderMap, body: Body) -> Result<Response, OAuthError> {
    let form = Parameters::read(headers, body).await?;
    let missing = |name: &str| OAuthError::InvalidRequest(format!("{name} is missing."));
    let grant_type = form.get("grant_type").ok_or_else(|| missing("grant_type"))?;
    let proof = app.proof(&Method::POST, PATH, headers, None)?;
    let Speaker { client, peer } = app.speaker(connection, headers, &form).await?;
    let context = app.context(&peer, headers);
    let grant_type: GrantType = grant_type.parse().map_err(|_| OAuthError::UnsupportedGrantType)?;
    if !client.may(grant_type) {
        return Err(OAuthError::UnauthorizedClient);
    }
    // RFC 9449 §5.2: whoever says that its tokens are bound gets no others, by mistake or by somebody else's doing.
    if client.metadata.dpop_bound_access_tokens && proof.is_none() {
        return Err(OAuthError::InvalidProof("This client's tokens are bound to a key: send a DPoP proof."));
    }
    let proof = proof.as_ref();
    match grant_type {
        GrantType::AuthorizationCode => {
            let code = form.get("code").ok_or_else(|| missing("code"))?;
            let (redirect_uri, verifier) = (form.get("redirect_uri"), form.get("code_verifier"));
            match redeem(&app.engine, &client, code, redirect_uri, verifier, &form.resources(), proof, context).await? {
                Redeemed::Granted(granted) => Ok(reply(&granted)),
                Redeemed::Refused => Err(OAuthError::InvalidGrant(None)),
                Redeemed::Elsewhere => Err(OAuthError::InvalidTarget),
            }
        }
        GrantType::RefreshToken => {
            let text = form.get("refresh_token").ok_or_else(|| missing("refresh_token"))?;
            // No I/O for what was never ours. A session's token is garbage here: the two kinds have different keys.
            let presented = app.engine.refresh_keys.open(Endpoint::OAuth, text).map_err(|stopped| match stopped {
                Stopped::Unknown => OAuthError::InvalidGrant(Some(WireReason::Unknown)),
                Stopped::Unavailable => OAuthError::Broken(regrant_engine::ports::Broken::Overloaded),
            })?;
            match renew(&app.engine, &client, presented, form.get("scope"), &form.resources(), proof, context).await? {
                Renewed::Granted(granted) => Ok(reply(&granted)),
                Renewed::Not(refreshed) => Err(refreshed.into()),
            }
        }
        GrantType::ClientCredentials => {
            match client_credentials::issue(&app.engine, &client, form.get("scope"), &form.resources(), proof).await? {
                Issued::Token { access_token, expires_in, scope } => Ok(TokenReply {
                    access_token: &access_token.0,
                    token_type: token_type(proof.is_some()),
                    expires_in: expires_in.0,
                    refresh_token: None,
                    id_token: None,
                    scope: &scope,
                }
                .into_response()),
                Issued::Scope => Err(OAuthError::InvalidScope),
                Issued::Audience => Err(OAuthError::InvalidTarget),
                Issued::Proof => Err(OAuthError::InvalidProof(USED)),
            }
        }
        GrantType::DeviceCode => {
            let code = form.get("device_code").ok_or_else(|| missing("device_code"))?;
            match poll(&app.engine, &client, code, proof, context).await? {
                Polled::Granted(granted) => Ok(reply(&granted)),
                Polled::Refused => Err(OAuthError::InvalidGrant(None)),
                Polled::Expired => Err(OAuthError::ExpiredToken),
                Polled::Denied => Err(OAuthError::AccessDenied),
                Polled::Pending => Err(OAuthError::AuthorizationPending),
                Polled::SlowDown => Err(OAuthError::SlowDown),
            }
        }
    }
}

/// RFC 6750 §4, RFC 9449 §5.
const fn token_type(is_bound: bool) -> &'static str {
    if is_bound { "DPoP" } else { "Bearer" }
}

fn reply(Granted { tokens, id_token }: &Granted) -> Response {
    TokenReply {
        access_token: &tokens.access_token.0,
        token_type: token_type(tokens.key.is_some()),
        expires_in: tokens.expires_in.0,
        refresh_token: tokens.refresh_token.as_ref().map(RefreshToken::expose),
        id_token: id_token.as_ref().map(|token| token.0.as_str()),
        scope: &tokens.scope,
    }
    .into_response()
}
