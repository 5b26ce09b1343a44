//! `/.well-known/`: what verifiers need.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::Shared;

/// `GET /.well-known/jwks.json` (RFC 7517 §5). Any page may read it: it is public, and no cookie has a part in it.
pub(super) async fn jwks(State(app): State<Shared>) -> Response {
    // A new key signs only after twice this time (`engine/src/keyring/lifecycle.rs`).
    let max_age = format!("public, max-age={}", app.engine.settings.keys.jwks_max_age.0);
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json".to_owned()),
        (header::CACHE_CONTROL, max_age),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
    ];
    (headers, app.engine.mint.jwks().to_string()).into_response()
}
