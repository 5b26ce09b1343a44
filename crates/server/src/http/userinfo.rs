//! `/oauth2/userinfo` (OpenID Connect Core §5.3): what an application may know of its user.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
};
use regrant_engine::{dpop::first_use, scope, userinfo::userinfo};
use serde_json::{Map, Value};

use super::{
    App, Shared,
    caller::{bearer, bound},
    parameters::Parameters,
    protocol_error::oauth::{OAuthError, USED},
};

/// Where.
pub(super) const PATH: &str = "/oauth2/userinfo";

/// `GET` and `POST /oauth2/userinfo`
pub(super) async fn show(State(app): State<Shared>, method: Method, headers: HeaderMap, body: Body) -> Response {
    let answered = answer(&app, &method, &headers, body).await.into_response();
    app.with_nonce(&headers, answered)
}

async fn answer(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<Map<String, Value>>, OAuthError> {
    let form = if method == Method::POST { Parameters::read(headers, body).await? } else { Parameters::default() };
    // RFC 6750 §2.1, §2.2, RFC 9449 §7.1; never in a query (RFC 6750 §5.3, RFC 9700 §4.3.2).
    let (text, by_dpop) = match (bearer(headers), bound(headers), form.get("access_token")) {
        (Some(token), None, None) | (None, None, Some(token)) => (token, false),
        (None, Some(token), None) => (token, true),
        (None, None, None) => return Err(OAuthError::NoToken),
        _ => return Err(OAuthError::InvalidRequest("The access token came twice.".to_owned())),
    };
    let at_resource = |error: OAuthError| if by_dpop { OAuthError::AtResource(Box::new(error)) } else { error };
    let token =
        app.engine.mint.check_own(text, app.engine.now()).ok_or_else(|| at_resource(OAuthError::InvalidToken))?;
    let proof = match (token.key, by_dpop) {
        (None, false) => None,
        // RFC 9449 §7.2: whoever took a bound token has no more of it than the holder of a bearer token would. §7.1: nor is an
        // unbound one made better by a proof.
        (Some(_), false) | (None, true) => return Err(OAuthError::AtResource(Box::new(OAuthError::InvalidToken))),
        (Some(key), true) => {
            let proof = app.proof(method, PATH, headers, Some(text)).map_err(at_resource)?;
            let missing = OAuthError::InvalidProof("The token is bound to a key: send a DPoP proof.");
            let proof = proof.ok_or_else(|| at_resource(missing))?;
            if proof.key != key {
                return Err(at_resource(OAuthError::InvalidToken));
            }
            Some(proof)
        }
    };
    if !scope::has(&token.scope, scope::OPENID) {
        return Err(at_resource(OAuthError::InsufficientScope));
    }
    let told = userinfo(&app.engine, &token).await?.ok_or_else(|| at_resource(OAuthError::InvalidToken))?;
    if let Some(proof) = &proof
        && !first_use(&app.engine, proof).await?
    {
        return Err(at_resource(OAuthError::InvalidProof(USED)));
    }
    Ok(Json(told))
}
