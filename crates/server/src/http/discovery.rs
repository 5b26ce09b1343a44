//! What this server can do, for clients (OpenID Connect Discovery §3, RFC 8414): true to what runs, and nothing else.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use regrant_engine::{client::GrantType, scope};
use regrant_jose::Algorithm;
use serde_json::{Value, json};

use super::Shared;

/// How long a reader may keep it, in seconds. It changes with the version only.
const MAX_AGE: &str = "public, max-age=300";

/// `GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`
pub(super) async fn show(State(app): State<Shared>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, MAX_AGE),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, document(&app.engine.settings.issuer).to_string()).into_response()
}

fn document(issuer: &str) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    let confidential = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let everybody = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
    let algorithms: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect();
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth2/authorize"),
        "token_endpoint": at("/oauth2/token"),
        "device_authorization_endpoint": at("/oauth2/device_authorization"),
        "userinfo_endpoint": at("/oauth2/userinfo"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "introspection_endpoint": at("/oauth2/introspect"),
        "end_session_endpoint": at("/oauth2/logout"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "jwks_uri": at("/.well-known/jwks.json"),
        "scopes_supported": scope::KNOWN,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": GrantType::NAMES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": everybody,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": everybody,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "amr", "azp", "at_hash", "sid", "name", "family_name",
            "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender",
            "birthdate", "zoneinfo", "locale", "updated_at", "email", "email_verified", "address", "phone_number",
            "phone_number_verified",
        ],
        "claim_types_supported": ["normal"],
        "ui_locales_supported": ["en"],
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
    })
}
