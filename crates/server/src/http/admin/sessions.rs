//! `/admin/sessions`.

use axum::{Json, http::StatusCode, response::Response};
use regrant_engine::id::SessionId;
use serde_json::Value;

use super::{
    super::protocol_error::ApiError,
    Admin,
    list::Asked,
    request::{At, Query, one_user, user},
};
use crate::control::{Command, page};

impl Admin {
    async fn session(&self, id: SessionId) -> Result<Value, ApiError> {
        self.run(Command::SessionShow { id: id.to_string() }).await
    }
}

/// `GET /admin/sessions`
#[utoipa::path(
    get,
    path = "/admin/sessions",
    operation_id = "admin_sessions",
    tag = "admin",
    summary = "Sessions, the newest first",
    params(
        ("user" = Option<String>, Query, pattern = "^usr_[0-9a-f]{32}$", description = "Only this user's."),
        ("ended" = Option<bool>, Query, description = "Those that ended, too."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200), ("after" = Option<String>, Query),
    ),
    security(("bearer" = [])),
    responses((status = 200, description = "A page.", body = Object))
)]
pub(super) async fn list(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let user = user(&asked.parameters)?;
    let ended = match asked.get("ended") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::InvalidRequest("ended must be true or false.".to_owned())),
    };
    let page = page::sessions(&admin.app.engine, user, ended, &asked.part).await?;
    Ok(asked.answer(page))
}

/// `DELETE /admin/sessions?user=`
#[utoipa::path(
    delete,
    path = "/admin/sessions",
    operation_id = "admin_end_sessions",
    tag = "admin",
    summary = "End all sessions of a user",
    params(("user" = String, Query, pattern = "^usr_[0-9a-f]{32}$")),
    security(("bearer" = [])),
    responses((status = 200, description = "How many ended.", body = Object))
)]
pub(super) async fn end_all(admin: Admin, Query(asked): Query) -> Result<Json<Value>, ApiError> {
    let user = one_user(&asked)?.to_string();
    Ok(Json(admin.run(Command::SessionRevokeAll { user }).await?))
}

/// `GET /admin/sessions/{id}`
#[utoipa::path(
    get,
    path = "/admin/sessions/{id}",
    operation_id = "admin_session",
    tag = "admin",
    summary = "One session, and what applications were told of its end",
    params(("id" = String, Path, pattern = "^ses_[0-9a-f]{32}$")),
    security(("bearer" = [])),
    responses((status = 200, description = "The session.", body = Object), (status = 304, description = "As it was."))
)]
pub(super) async fn show(admin: Admin, At(id): At<SessionId>) -> Result<Response, ApiError> {
    Ok(admin.shown(admin.session(id).await?))
}

/// `DELETE /admin/sessions/{id}`
#[utoipa::path(
    delete,
    path = "/admin/sessions/{id}",
    operation_id = "admin_end_session",
    tag = "admin",
    summary = "End a session",
    params(("id" = String, Path, pattern = "^ses_[0-9a-f]{32}$")),
    security(("bearer" = [])),
    responses((status = 204, description = "Ended."))
)]
pub(super) async fn end(admin: Admin, At(id): At<SessionId>) -> Result<StatusCode, ApiError> {
    let _turn = admin.turn(admin.session(id)).await?;
    admin.run(Command::SessionRevoke { id: id.to_string() }).await?;
    Ok(StatusCode::NO_CONTENT)
}
