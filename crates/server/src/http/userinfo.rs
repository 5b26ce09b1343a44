//! `/oauth2/userinfo` (OpenID Connect Core §5.3): what an application may know of its user.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, Method},
};
use regrant_engine::{scope, userinfo::userinfo};
use serde_json::{Map, Value};

use super::{Shared, caller::bearer, parameters::Parameters, protocol_error::oauth::OAuthError};

/// `GET` and `POST /oauth2/userinfo`
pub(super) async fn show(
    State(app): State<Shared>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Map<String, Value>>, OAuthError> {
    let form = if method == Method::POST { Parameters::read(&headers, body).await? } else { Parameters::default() };
    // RFC 6750 §2.1, §2.2; never in a query (§5.3, RFC 9700 §4.3.2).
    let token = match (bearer(&headers), form.get("access_token")) {
        (Some(token), None) | (None, Some(token)) => token,
        (None, None) => return Err(OAuthError::NoToken),
        (Some(_), Some(_)) => return Err(OAuthError::InvalidRequest("The access token came twice.".to_owned())),
    };
    let token = app.engine.mint.check_own(token, app.engine.now()).ok_or(OAuthError::InvalidToken)?;
    if !scope::has(&token.scope, scope::OPENID) {
        return Err(OAuthError::InsufficientScope);
    }
    userinfo(&app.engine, &token).await?.map(Json).ok_or(OAuthError::InvalidToken)
}
