//! `GET /openapi.json`: the API as OpenAPI 3.1, made from the code.
//!
//! 1. `routes()` in `mod.rs` is router and document at once (`utoipa-axum`): no route is missing. Bodies are described by the
//!    structs that are read and written.
//! 2. What can go wrong at each call is the table [`refusals`]; status, code and reason of each come from `protocol_error.rs`.
//! 3. What only a running server knows is put in: the issuer, and the name of its cookie.
//!
//! The end-to-end tests hold every answer of the binary against this document, and schemathesis does so with what it makes up.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    body::Bytes,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use regrant_engine::{factor::password::Weakness, ports::Broken, reason::WireReason, refresh::Refusal, time::Seconds};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::{
    Shared,
    protocol_error::{ApiError, Told},
};

/// How long a reader may keep it, in seconds. It changes with the version only.
const MAX_AGE: &str = "public, max-age=300";

#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    summary = "This document",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
pub(super) async fn show(State(app): State<Shared>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, MAX_AGE),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, app.document.clone()).into_response()
}

/// The whole document for this issuer, whose refresh cookie has this name.
pub(super) fn document(api: &OpenApi, issuer: &str, cookie: &str) -> Bytes {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
        operations.filter_map(Value::as_object_mut).for_each(add_refusals);
    }
    let components = document.get_mut("components").and_then(Value::as_object_mut).map(std::mem::take);
    let mut schemas = components.and_then(|mut all| all.remove("schemas")).unwrap_or_else(|| json!({}));
    if let Some(schemas) = schemas.as_object_mut() {
        schemas.insert("Problem".to_owned(), problem());
    }
    if let Some(document) = document.as_object_mut() {
        document.insert(
            "info".to_owned(),
            json!({
                "title": "Regrant, the session API",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Tokens and sessions for first-party applications. 401 is over; 403 needs more or comes from \
                    the wrong origin; 429 and 503 carry Retry-After and never end anything. Any path that is not here answers \
                    404, any method that is not here 405, as problem documents. Metrics are on a listener of their own.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            }),
        );
        document.insert("servers".to_owned(), json!([{"url": issuer}]));
        document.insert(
            "components".to_owned(),
            json!({
                "schemas": schemas,
                "securitySchemes": {
                    "cookie": {
                        "type": "apiKey",
                        "in": "cookie",
                        "name": cookie,
                        "description": "The refresh token. A call that brings it must come from this origin, from a listed \
                            one, or from no browser.",
                    },
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "An access token of a session whose `aud` is the issuer.",
                    },
                },
            }),
        );
    }
    Bytes::from(document.to_string())
}

/// What can go wrong at each call, besides a path that is not there and a method that it does not know.
fn refusals(operation: &str) -> Vec<ApiError> {
    let body = || {
        let text = "The body is not JSON: look at line 1, column 1.".to_owned();
        vec![ApiError::InvalidRequest(text), ApiError::MediaType, ApiError::TooLarge, ApiError::TooSlow]
    };
    let busy = || vec![ApiError::Busy, ApiError::Broken(Broken::Overloaded)];
    let limited = || ApiError::Limited(Seconds(60));
    // Using a refresh token, from the cookie or from the body.
    let used = || {
        let over =
            [WireReason::Expired, WireReason::SignedOut, WireReason::Reused, WireReason::Ended, WireReason::Unknown];
        let refused =
            [Refusal::Superseded, Refusal::Stale, Refusal::Client, Refusal::Proof, Refusal::Scope, Refusal::StepUp];
        let over = over.into_iter().map(ApiError::Over).chain(refused.into_iter().map(ApiError::Refused));
        over.chain([ApiError::NotSignedIn, limited()]).chain(busy()).collect::<Vec<_>>()
    };
    // By the cookie or by Bearer.
    let authenticated = || [used(), vec![ApiError::CrossOrigin, ApiError::AccessToken]];
    let all: Vec<Vec<ApiError>> = match operation {
        "sign_in" => {
            let own = [ApiError::CrossOrigin, ApiError::InsecureOrigin, ApiError::Audience, ApiError::Scope];
            vec![body(), own.into(), vec![ApiError::InvalidCredentials, limited()], busy()]
        }
        "renew" => vec![body(), used(), vec![ApiError::CrossOrigin]],
        "who_am_i" | "sign_out" | "my_sessions" => authenticated().into(),
        "end_other_sessions" => {
            let other = ApiError::InvalidRequest("Say DELETE /sessions?except=current to end the others.".to_owned());
            authenticated().into_iter().chain([vec![other]]).collect()
        }
        "end_session" => authenticated().into_iter().chain([vec![ApiError::NotFound]]).collect(),
        "change_password" => {
            let own = [ApiError::CurrentPassword, ApiError::WeakPassword(Weakness::TooShort(12)), ApiError::Conflict];
            vec![body(), used(), vec![ApiError::CrossOrigin], own.into()]
        }
        "verify" => vec![used(), vec![ApiError::AccessToken]],
        "ready" => vec![vec![ApiError::Broken(Broken::Overloaded)]],
        name if name.starts_with("admin_") => {
            let own = [ApiError::NotSignedIn, ApiError::AccessToken, ApiError::NotAdmin, ApiError::NotFound];
            if ADMIN_READS.contains(&name) {
                // They have no body, change nothing, and so can be refused for less.
                let query = ApiError::InvalidRequest("limit must be a number from 1 to 200.".to_owned());
                vec![vec![query], own.into(), busy()]
            } else {
                let why = ApiError::Declined("There is a user with this identifier already.".to_owned());
                vec![body(), own.into(), vec![why, ApiError::PreconditionFailed], busy()]
            }
        }
        _ => return vec![host_missing()],
    };
    // Whoever calls for a browser may have wrong credentials.
    let client = (operation != "ready").then_some(ApiError::InvalidClient);
    // Of every call: `protect()` in `mod.rs`.
    all.into_iter().flatten().chain(client).chain([host_missing()]).collect()
}

fn host_missing() -> ApiError {
    ApiError::InvalidRequest("The request needs one Host header.".to_owned())
}

/// The operations that [`refusals`] knows; `live`, `jwks` and `openapi` have none of their own.
const OPERATIONS: [&str; 44] = [
    "sign_in",
    "renew",
    "who_am_i",
    "sign_out",
    "my_sessions",
    "end_other_sessions",
    "end_session",
    "change_password",
    "verify",
    "ready",
    "admin_users",
    "admin_add_user",
    "admin_user",
    "admin_change_user",
    "admin_delete_user",
    "admin_set_password",
    "admin_grant_role",
    "admin_revoke_role",
    "admin_roles",
    "admin_add_role",
    "admin_role",
    "admin_remove_role",
    "admin_clients",
    "admin_add_client",
    "admin_client",
    "admin_remove_client",
    "admin_rotate_client_secret",
    "admin_resources",
    "admin_add_resource",
    "admin_resource",
    "admin_replace_resource",
    "admin_remove_resource",
    "admin_sessions",
    "admin_end_sessions",
    "admin_session",
    "admin_end_session",
    "admin_grants",
    "admin_consents",
    "admin_withdraw_consent",
    "admin_keys",
    "admin_rotate_keys",
    "admin_retire_key",
    "admin_events",
    "admin_explain",
];

/// Those of the admin API that are a GET.
const ADMIN_READS: [&str; 15] = [
    "admin_users",
    "admin_user",
    "admin_roles",
    "admin_role",
    "admin_clients",
    "admin_client",
    "admin_resources",
    "admin_resource",
    "admin_sessions",
    "admin_session",
    "admin_grants",
    "admin_consents",
    "admin_keys",
    "admin_events",
    "admin_explain",
];

fn add_refusals(operation: &mut Map<String, Value>) {
    let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    let refusals = refusals(name);
    // The refresh token may be in the cookie, and then there is nothing to say.
    if name == "renew"
        && let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut)
    {
        body.insert("required".to_owned(), json!(false));
    }
    let mut by_status: BTreeMap<u16, Vec<&ApiError>> = BTreeMap::new();
    for refusal in &refusals {
        by_status.entry(refusal.told().0.as_u16()).or_default().push(refusal);
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        for (status, refusals) in by_status {
            responses.insert(status.to_string(), answer(status, &refusals));
        }
    }
}

/// One status: which codes and reasons it can have, one example of each code, and the headers that come with it.
fn answer(status: u16, refusals: &[&ApiError]) -> Value {
    let mut reasons: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut titles: Vec<&str> = Vec::new();
    let mut examples = Map::new();
    let mut headers = Map::new();
    for refusal in refusals {
        let Told(_, code, title, _, reason, retry_after) = refusal.told();
        reasons.entry(code).or_default().extend(reason.map(WireReason::as_str));
        if !titles.contains(&title) {
            titles.push(title);
        }
        examples.entry(code).or_insert_with(|| json!({"value": refusal.problem()}));
        if retry_after.is_some() {
            let schema = json!({"type": "integer", "minimum": 1});
            let told = json!({"description": "Come back after so many seconds.", "required": true, "schema": schema});
            headers.insert("Retry-After".to_owned(), told);
        }
        if status == 401 {
            let described = "`Bearer`, with `error=\"invalid_token\"` where an access token was shown (RFC 6750 §3); `Basic` for a client.";
            let told = json!({"description": described, "required": true, "schema": {"type": "string"}});
            headers.insert("WWW-Authenticate".to_owned(), told);
        }
    }
    // Each code with the reasons that it can have, and with none if it has none.
    let kinds: Vec<Value> = reasons
        .iter()
        .map(|(code, reasons)| {
            let mut kind = json!({"properties": {"status": {"const": status}, "code": {"const": code}}});
            if let Some(kind) = kind.as_object_mut() {
                if reasons.is_empty() {
                    kind.insert("not".to_owned(), json!({"required": ["reason"]}));
                } else {
                    kind.insert("required".to_owned(), json!(["reason"]));
                    if let Some(properties) = kind.get_mut("properties").and_then(Value::as_object_mut) {
                        properties.insert("reason".to_owned(), json!({"enum": reasons}));
                    }
                }
            }
            kind
        })
        .collect();
    let mut answer = json!({
        "description": format!("{}.", titles.join("; ")),
        "content": {"application/problem+json": {
            "schema": {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"oneOf": kinds}]},
            "examples": examples,
        }},
    });
    if let Some(answer) = answer.as_object_mut().filter(|_| !headers.is_empty()) {
        answer.insert("headers".to_owned(), headers.into());
    }
    answer
}

/// RFC 9457, with every code and every reason that there is.
fn problem() -> Value {
    let known = OPERATIONS.into_iter().flat_map(refusals).chain([ApiError::NotFound, ApiError::MethodNotAllowed]);
    let codes: BTreeSet<&str> = known.map(|refusal| refusal.told().1).collect();
    json!({
        "type": "object",
        "description": "RFC 9457. `code` and `reason` are stable, the texts are not.",
        "properties": {
            "type": {"type": "string", "format": "uri", "pattern": "^urn:regrant:problem:[a-z_]+$"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What to do, for people."},
            "code": {"type": "string", "enum": codes},
            "reason": {"type": "string", "enum": WireReason::NAMES, "description": "Why the token does not work."},
        },
        "required": ["type", "title", "status", "detail", "code"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests;
