//! `/admin/sessions`.

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use regrant_engine::id::SessionId;
use serde_json::Value;

use super::{
    super::{App, Shared, parameters::Parameters, protocol_error::ApiError},
    Admin,
    entity::{is_conditional, shown, unchanged},
    list::Asked,
    users::user_id,
};
use crate::control::{Command, page};

impl Admin {
    async fn session(&self, app: &App, id: &str) -> Result<Value, ApiError> {
        let id: SessionId = id.parse().map_err(|_| ApiError::NotFound)?;
        self.run(app, Command::SessionShow { id: id.to_string() }).await
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
pub(super) async fn list(
    State(app): State<Shared>,
    _admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let asked = Asked::of(query)?;
    let user = asked.get("user").map(str::parse).transpose().map_err(|_| not_a_user())?;
    let ended = match asked.get("ended") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::InvalidRequest("ended must be true or false.".to_owned())),
    };
    let page = page::sessions(&app.engine, user, ended, &asked.part).await?;
    Ok(asked.answer("/admin/sessions", page))
}

/// A query names something else than a user.
pub(super) fn not_a_user() -> ApiError {
    ApiError::InvalidRequest("user must be a user's id, usr_ and 32 digits.".to_owned())
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
pub(super) async fn end_all(
    State(app): State<Shared>,
    admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    let asked = Parameters::parse(&query.unwrap_or_default())?;
    // Spelled out, so that nobody ends everything by leaving a word away.
    let user = user_id(asked.get("user").unwrap_or_default()).map_err(|_| not_a_user())?;
    Ok(Json(admin.run(&app, Command::SessionRevokeAll { user }).await?))
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
pub(super) async fn show(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    Ok(shown(&headers, admin.session(&app, &id).await?))
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
pub(super) async fn end(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    let id = id.parse::<SessionId>().map_err(|_| ApiError::NotFound)?.to_string();
    let _turn = app.admin_turn.lock().await;
    if is_conditional(&headers) {
        unchanged(&headers, &admin.session(&app, &id).await?)?;
    }
    admin.run(&app, Command::SessionRevoke { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
