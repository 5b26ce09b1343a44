//! `POST /oauth2/revoke` (RFC 7009): a client gives back what it has.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use regrant_engine::revocation::revoke;

use super::{
    Shared, caller::Connection, client_authentication::Speaker, parameters::Parameters,
    protocol_error::oauth::OAuthError,
};

/// `POST /oauth2/revoke`
pub(super) async fn end(
    State(app): State<Shared>,
    connection: Connection,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, OAuthError> {
    let form = Parameters::read(&headers, body).await?;
    let Speaker { client, peer } = app.speaker(connection, &headers, &form).await?;
    let token = form.get("token").ok_or_else(|| OAuthError::InvalidRequest("token is missing.".to_owned()))?;
    revoke(&app.engine, &client, token, app.context(&peer, &headers)).await?;
    // RFC 7009 §2.2: 200, whether there was anything or not.
    Ok(StatusCode::OK)
}
