//! `/admin/grants` and `/admin/consents`: what applications may do for a user. `/admin/events` and `/admin/explain`: what happened.

use axum::{http::StatusCode, response::Response};
use regrant_engine::{
    id::{EventId, GrantRef, SessionId, UserId},
    ports::TimelineOf,
};
use zeroize::Zeroizing;

use super::{
    super::protocol_error::ApiError,
    Admin,
    list::Asked,
    request::{At, Query, one_user},
};
use crate::control::{Command, Secret, page};

/// `GET /admin/grants?user=`
#[utoipa::path(
    get,
    path = "/admin/grants",
    operation_id = "admin_grants",
    tag = "admin",
    summary = "Grants of a user that applications hold and nobody has ended, the oldest first",
    params(
        ("user" = String, Query, pattern = "^usr_[0-9a-f]{32}$"),
        ("client" = Option<String>, Query, description = "Only this client's."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200), ("after" = Option<String>, Query),
    ),
    security(("bearer" = [])),
    responses((status = 200, description = "A page.", body = Object))
)]
pub(super) async fn grants(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let page = page::grants(&admin.app.engine, one_user(&asked.parameters)?, asked.get("client"), &asked.part).await?;
    Ok(asked.answer(page))
}

/// `GET /admin/consents?user=`
#[utoipa::path(
    get,
    path = "/admin/consents",
    operation_id = "admin_consents",
    tag = "admin",
    summary = "What a user allowed applications, by their ids",
    params(
        ("user" = String, Query, pattern = "^usr_[0-9a-f]{32}$"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200), ("after" = Option<String>, Query),
    ),
    security(("bearer" = [])),
    responses((status = 200, description = "A page.", body = Object))
)]
pub(super) async fn consents(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let page = page::consents(&admin.app.engine, one_user(&asked.parameters)?, &asked.part).await?;
    Ok(asked.answer(page))
}

/// `DELETE /admin/consents?user=&client=`
#[utoipa::path(
    delete,
    path = "/admin/consents",
    operation_id = "admin_withdraw_consent",
    tag = "admin",
    summary = "Take back what a user allowed an application, with all that came of it",
    params(("user" = String, Query, pattern = "^usr_[0-9a-f]{32}$"), ("client" = String, Query)),
    security(("bearer" = [])),
    responses((status = 204, description = "Taken back, or there was nothing."))
)]
pub(super) async fn withdraw(admin: Admin, Query(asked): Query) -> Result<StatusCode, ApiError> {
    let user = one_user(&asked)?.to_string();
    let client = asked.get("client");
    let client = client.ok_or_else(|| ApiError::InvalidRequest("client must be a client's id.".to_owned()))?;
    admin.run(Command::ClientRevoke { id: client.to_owned(), user }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /admin/events`
#[utoipa::path(
    get,
    path = "/admin/events",
    operation_id = "admin_events",
    tag = "admin",
    summary = "What happened to a user, a session or a grant, the newest first",
    params(
        ("user" = Option<String>, Query, pattern = "^usr_[0-9a-f]{32}$"),
        ("session" = Option<String>, Query, pattern = "^ses_[0-9a-f]{32}$"),
        ("grant" = Option<String>, Query, pattern = "^grt_[0-9a-f]{32}$"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200), ("after" = Option<String>, Query),
    ),
    security(("bearer" = [])),
    responses((status = 200, description = "A page.", body = Object))
)]
pub(super) async fn events(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let wrong = || ApiError::InvalidRequest("Say one of user, session and grant, each an id.".to_owned());
    let of = match (asked.get("user"), asked.get("session"), asked.get("grant")) {
        (Some(user), None, None) => user.parse().map(TimelineOf::User),
        (None, Some(session), None) => session.parse().map(TimelineOf::Session),
        (None, None, Some(grant)) => grant.parse().map(TimelineOf::Grant),
        _ => return Err(wrong()),
    };
    let page = page::events(&admin.app.engine, of.map_err(|_| wrong())?, &asked.part).await?;
    Ok(asked.answer(page))
}

/// `GET /admin/explain/{id}`
#[utoipa::path(
    get,
    path = "/admin/explain/{id}",
    operation_id = "admin_explain",
    tag = "admin",
    summary = "Alive or ended, why, and the timeline: of a session, a grant, a user or an event",
    params(("id" = String, Path, pattern = "^(ses|grt|usr|evt)_[0-9a-f]{32}$")),
    security(("bearer" = [])),
    responses((status = 200, description = "The explanation.", body = Object), (status = 304, description = "As it was."))
)]
pub(super) async fn explain(admin: Admin, At(id): At<String>) -> Result<Response, ApiError> {
    // An address is written into logs: no token is explained by one.
    let is_id = id.parse::<SessionId>().is_ok()
        || id.parse::<GrantRef>().is_ok()
        || id.parse::<UserId>().is_ok()
        || id.parse::<EventId>().is_ok();
    if !is_id {
        return Err(ApiError::NotFound);
    }
    Ok(admin.shown(admin.run(Command::Explain { text: Secret(Zeroizing::new(id)) }).await?))
}
