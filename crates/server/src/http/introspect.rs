//! `POST /oauth2/introspect` (RFC 7662): whether a token lives, for clients that authenticate and whom it concerns.

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use regrant_engine::introspection::introspect;
use serde_json::Value;

use super::{
    Shared, caller::Connection, client_authentication::Speaker, parameters::Parameters,
    protocol_error::oauth::OAuthError,
};

/// `POST /oauth2/introspect`
pub(super) async fn show(
    State(app): State<Shared>,
    connection: Connection,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, OAuthError> {
    let form = Parameters::read(&headers, body).await?;
    let Speaker { client, peer } = app.speaker(connection, &headers, &form).await?;
    // RFC 7662 §2.1: else anybody could try tokens out.
    if !client.authenticates() {
        return Err(OAuthError::InvalidClient);
    }
    let token = form.get("token").ok_or_else(|| OAuthError::InvalidRequest("token is missing.".to_owned()))?;
    Ok(Json(introspect(&app.engine, &client, token, app.context(&peer, &headers)).await?))
}
