//! `/.well-known/`: what verifiers need.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::Shared;

/// `GET /.well-known/jwks.json` (RFC 7517 §5). Any page may read it: it is public, and no cookie has a part in it.
pub(super) async fn jwks(State(app): State<Shared>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, app.engine.mint.jwks().to_owned()).into_response()
}
