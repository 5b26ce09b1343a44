//! `POST /oauth2/device_authorization` (RFC 8628 §3.1): a device without a keyboard gets a code to show its user.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use regrant_engine::{
    authorize::Refused,
    client::GrantType,
    device::{self, Beginning},
};
use serde::Serialize;

use super::{
    Shared,
    caller::Connection,
    client_authentication::Speaker,
    parameters::{Parameters, encoded},
    protocol_error::oauth::OAuthError,
};

/// RFC 8628 §3.2.
#[derive(Serialize)]
struct Reply<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: &'a str,
    verification_uri_complete: &'a str,
    expires_in: u32,
    interval: u32,
}

/// `POST /oauth2/device_authorization`
pub(super) async fn begin(
    State(app): State<Shared>,
    connection: Connection,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, OAuthError> {
    let form = Parameters::read(&headers, body).await?;
    let Speaker { client, peer } = app.speaker(connection, &headers, &form).await?;
    if !client.may(GrantType::DeviceCode) {
        return Err(OAuthError::UnauthorizedClient);
    }
    let (scope, resources) = (form.get("scope"), form.resources());
    let begun = match device::begin(&app.engine, &client, scope, &resources, peer.address).await? {
        Beginning::Begun(begun) => begun,
        Beginning::Refused(Refused::InvalidTarget) => return Err(OAuthError::InvalidTarget),
        Beginning::Refused(_) => return Err(OAuthError::InvalidScope),
        Beginning::Limited(retry_after) => return Err(OAuthError::Limited(retry_after)),
    };
    let user_code = begun.user_code.shown();
    let verification_uri = format!("{}/device", app.engine.settings.issuer);
    let reply = Reply {
        device_code: &begun.device_code,
        user_code: &user_code,
        verification_uri_complete: &format!("{verification_uri}?user_code={}", encoded(&user_code)),
        verification_uri: &verification_uri,
        expires_in: device::LIFETIME.0,
        interval: device::INTERVAL.0,
    };
    Ok(Json(reply).into_response())
}
