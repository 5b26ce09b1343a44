//! `/admin/keys`.

use axum::{Json, response::Response};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::protocol_error::ApiError,
    Admin,
    list::Asked,
    request::{At, Sent},
};
use crate::control::{Command, KeyKind, page::Page};

/// Which keys.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Signing,
    Refresh,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Signing => Self::Signing,
            Kind::Refresh => Self::Refresh,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    kind: Kind,
    /// Sign with the new keys now: verifiers that keep the published keys refuse their tokens until they ask again.
    #[serde(default)]
    now: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retirement {
    kind: Kind,
    /// Somebody else may have it: take it away at once, whatever it made.
    #[serde(default)]
    compromised: bool,
}

/// `GET /admin/keys`
#[utoipa::path(
    get,
    path = "/admin/keys",
    operation_id = "admin_keys",
    tag = "admin",
    summary = "Signing keys and refresh keys: their states, never they themselves",
    security(("bearer" = [])),
    responses((status = 200, description = "All of them, on one page.", body = Object))
)]
pub(super) async fn list(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let items = match admin.run(Command::KeyList { kind: None }).await? {
        Value::Array(items) => items,
        other => vec![other],
    };
    Ok(asked.answer(Page { items, next: None }))
}

/// `POST /admin/keys/rotate`
#[utoipa::path(
    post,
    path = "/admin/keys/rotate",
    operation_id = "admin_rotate_keys",
    tag = "admin",
    summary = "Make new keys",
    request_body = Rotation,
    security(("bearer" = [])),
    responses((status = 200, description = "The new ones.", body = Object))
)]
pub(super) async fn rotate(
    admin: Admin,
    Sent(Rotation { kind, now }): Sent<Rotation>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(admin.run(Command::KeyRotate { kind: kind.into(), now }).await?))
}

/// `POST /admin/keys/{id}/retire`
#[utoipa::path(
    post,
    path = "/admin/keys/{id}/retire",
    operation_id = "admin_retire_key",
    tag = "admin",
    summary = "Take a key away",
    params(("id" = String, Path)),
    request_body = Retirement,
    security(("bearer" = [])),
    responses((status = 200, description = "What came of it.", body = Object))
)]
pub(super) async fn retire(
    admin: Admin,
    At(id): At<String>,
    Sent(Retirement { kind, compromised }): Sent<Retirement>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(admin.run(Command::KeyRetire { kind: kind.into(), id, compromised }).await?))
}
