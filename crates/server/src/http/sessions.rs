//! `/sessions`: my devices.

use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
};
use regrant_engine::{
    event::Actor,
    id::SessionId,
    reason::Reason,
    session::{self, SessionRecord},
    time::{AbsoluteDeadline, Time},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Shared,
    caller::{Peer, authenticate},
    protocol_error::ApiError,
};

/// A session as its user sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct View {
    id: String,
    current: bool,
    user_id: String,
    #[schema(required)]
    device: Option<String>,
    user_agent: String,
    network: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Time,
    #[schema(value_type = String, format = DateTime)]
    idle_expires_at: Time,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    absolute_expires_at: Option<Time>,
}

impl View {
    /// Times of use are told by the hour: to the second, a thief who keeps reading would learn when the holder renews.
    pub(super) fn of(record: SessionRecord, current: bool) -> Self {
        let SessionRecord { session, grant, .. } = record;
        Self {
            id: session.id.to_string(),
            current,
            user_id: session.user.to_string(),
            device: session.device,
            user_agent: grant.context.user_agent.as_str().to_owned(),
            network: grant.context.prefix.to_string(),
            created_at: session.created_at,
            last_used_at: grant.rotated_at.hour(),
            idle_expires_at: grant.idle.0.hour(),
            absolute_expires_at: Some(grant.absolute).filter(|at| *at != AbsoluteDeadline::NEVER).map(|at| at.0),
        }
    }
}

/// `GET /sessions`
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "my_sessions",
    tag = "sessions",
    summary = "My live sessions, newest first",
    security(("cookie" = []), ("bearer" = [])),
    responses((status = 200, description = "At most 1,000; `current` marks the caller's.", body = Vec<View>))
)]
pub(super) async fn list(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
) -> Result<Json<Vec<View>>, ApiError> {
    let caller = authenticate(&app, &peer, &headers).await?;
    let current = caller.session.session.id;
    let devices = session::devices(&app.engine, caller.user).await?;
    let views = devices.into_iter().map(|record| {
        let is_current = record.session.id == current;
        View::of(record, is_current)
    });
    Ok(Json(views.collect()))
}

/// `DELETE /sessions?except=current`
#[utoipa::path(
    delete,
    path = "/sessions",
    operation_id = "end_other_sessions",
    tag = "sessions",
    summary = "End all my sessions but this one",
    params(("except" = String, Query, pattern = "^current$", example = "current", description = "`current`")),
    security(("cookie" = []), ("bearer" = [])),
    responses((status = 204, description = "Ended."))
)]
pub(super) async fn end_others(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, ApiError> {
    // Spelled out, so that nobody ends everything by leaving a word away.
    if query.as_deref() != Some("except=current") {
        return Err(ApiError::InvalidRequest(
            "Say DELETE /sessions?except=current to end the others, or DELETE /sessions/{id} to end one.".to_owned(),
        ));
    }
    let caller = authenticate(&app, &peer, &headers).await?;
    let current = Some(caller.session.session.id);
    session::end_all(&app.engine, caller.user, current, Reason::RevokedByUser, Actor::User).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /sessions/{id}`
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    operation_id = "end_session",
    tag = "sessions",
    summary = "End one of my sessions",
    params(("id" = String, Path, pattern = "^ses_[0-9a-f]{32}$", description = "As `GET /sessions` tells it.")),
    security(("cookie" = []), ("bearer" = [])),
    responses((status = 204, description = "Ended."))
)]
pub(super) async fn end_one(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let caller = authenticate(&app, &peer, &headers).await?;
    // What is no text at all is no id either.
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    // Somebody else's session and one that never was are told alike.
    let id: SessionId = id.parse().map_err(|_| ApiError::NotFound)?;
    if session::end(&app.engine, id, Some(caller.user), Reason::RevokedByUser, Actor::User).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound)
    }
}
