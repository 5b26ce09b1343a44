//! What this server can do, for clients (OpenID Connect Discovery §3, RFC 8414): true to what runs, and nothing else.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use regrant_engine::{
    acr, claims::ClaimMapping, client::GrantType, dpop, resource::Registry, scope, settings::Settings,
};
use regrant_jose::Algorithm;
use serde_json::{Value, json};

use super::Shared;
use crate::pages::LANGUAGES;

/// How long a reader may keep it, in seconds. It changes with the version, the configuration and the resources.
const MAX_AGE: &str = "public, max-age=300";

/// `GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`
pub(super) async fn show(State(app): State<Shared>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, MAX_AGE),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    // Without the store, what it does not know is left out: clients must be able to find the rest.
    let registry = app.engine.registry().await.unwrap_or_else(|_| app.engine.resources.lately());
    (headers, document(&app.engine.settings, &registry).to_string()).into_response()
}

fn document(settings: &Settings, registry: &Registry) -> Value {
    let issuer = &settings.issuer;
    let scopes: Vec<&str> = scope::KNOWN.into_iter().chain(registry.scopes()).collect();
    let resources: Vec<&str> = registry.all().map(|resource| resource.id.as_str()).collect();
    let mut document = known(issuer, &scopes);
    // RFC 9728 §4.
    if let Some(members) = document.as_object_mut().filter(|_| !resources.is_empty()) {
        members.insert("protected_resources".to_owned(), json!(resources));
    }
    // Each once, although a scope may tell again what the standard's tell.
    if let Some(claims) = document.get_mut("claims_supported").and_then(Value::as_array_mut) {
        for name in settings.scope_claims.values().flat_map(ClaimMapping::names).map(Value::from) {
            if !claims.contains(&name) {
                claims.push(name);
            }
        }
    }
    document
}

fn known(issuer: &str, scopes: &[&str]) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    let confidential = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let everybody = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
    // A client's registered keys are public ones.
    let asymmetric = Algorithm::ALL.iter().filter(|algorithm| !algorithm.is_symmetric());
    let algorithms: Vec<&str> = asymmetric.map(|algorithm| algorithm.as_str()).collect();
    let proofs: Vec<&str> = dpop::ALGORITHMS.iter().map(|algorithm| algorithm.as_str()).collect();
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
        "scopes_supported": scopes,
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
        "dpop_signing_alg_values_supported": proofs,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "sid", "name", "family_name",
            "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender",
            "birthdate", "zoneinfo", "locale", "updated_at", "email", "email_verified", "address", "phone_number",
            "phone_number_verified",
        ],
        "acr_values_supported": acr::VALUES,
        "claim_types_supported": ["normal"],
        "ui_locales_supported": LANGUAGES.map(|words| words.language),
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
    })
}
