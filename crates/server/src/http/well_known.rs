//! `/.well-known/`: what verifiers need.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::Shared;

// How /openapi.json describes it; the engine keeps it written out.
/// A JWK set (RFC 7517 §5): `kty`, `kid`, `alg`, `use` and the public key's own members.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it is described, never made")]
struct KeySet {
    keys: Vec<Map<String, Value>>,
}

/// `GET /.well-known/jwks.json` (RFC 7517 §5). Any page may read it: it is public, and no cookie has a part in it.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "jwks",
    tag = "keys",
    summary = "The public keys (RFC 7517)",
    responses((status = 200, description = "A key set.", content_type = "application/jwk-set+json", body = KeySet))
)]
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
