//! `/admin/users` and `/admin/roles`.

use axum::{
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use regrant_engine::id::UserId;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    super::{App, Shared, body, parameters::encoded, protocol_error::ApiError},
    Admin,
    entity::{is_conditional, made, shown, unchanged},
    list::Asked,
};
use crate::control::{
    Command, Secret,
    page::{self, Page},
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// An e-mail address or a username.
    #[schema(example = "ada@example.com")]
    identifier: String,
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Zeroizing<String>>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Object)]
    claims: Map<String, Value>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserChange {
    disabled: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    #[schema(value_type = String, format = Password)]
    password: Zeroizing<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRole {
    #[schema(example = "editor")]
    name: String,
    description: Option<String>,
}

/// The id of a path. What cannot be one is not there.
pub(super) fn user_id(text: &str) -> Result<String, ApiError> {
    text.parse::<UserId>().map(|id| id.to_string()).map_err(|_| ApiError::NotFound)
}

impl Admin {
    async fn user(&self, app: &App, id: &str) -> Result<Value, ApiError> {
        self.run(app, Command::UserShow { user: user_id(id)? }).await
    }

    /// Looks at a user first, if the change is for one as its caller saw it.
    async fn unchanged_user(&self, app: &App, headers: &HeaderMap, id: &str) -> Result<(), ApiError> {
        if is_conditional(headers) { unchanged(headers, &self.user(app, id).await?) } else { Ok(()) }
    }
}

/// `GET /admin/users`
#[utoipa::path(
    get,
    path = "/admin/users",
    operation_id = "admin_users",
    tag = "admin",
    summary = "Users, in the order of their creation",
    params(
        ("identifier" = Option<String>, Query, description = "The one who signs in by this."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200), ("after" = Option<String>, Query),
    ),
    security(("bearer" = [])),
    responses((status = 200, description = "A page.", body = Object))
)]
pub(super) async fn list(
    State(app): State<Shared>,
    admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let asked = Asked::of(query)?;
    let page = match asked.get("identifier") {
        None => page::users(&app.engine, &asked.part).await?,
        Some(identifier) => {
            let found = admin.run(&app, Command::UserShow { user: identifier.to_owned() }).await;
            match found {
                Ok(user) => Page { items: vec![user], next: None },
                Err(ApiError::NotFound) => Page { items: vec![], next: None },
                Err(other) => return Err(other),
            }
        }
    };
    Ok(asked.answer("/admin/users", page))
}

/// `POST /admin/users`
#[utoipa::path(
    post,
    path = "/admin/users",
    operation_id = "admin_add_user",
    tag = "admin",
    summary = "Add a user",
    request_body = NewUser,
    security(("bearer" = [])),
    responses((status = 201, description = "Added.", body = Object))
)]
pub(super) async fn add(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let NewUser { identifier, password, roles, claims } = body::read(&headers, body).await?;
    let password = password.map(Secret);
    let user = admin.run(&app, Command::UserAdd { identifier, password, roles, claims }).await?;
    let place = format!("/admin/users/{}", user.get("id").and_then(Value::as_str).unwrap_or_default());
    Ok(made(&place, user))
}

/// `GET /admin/users/{id}`
#[utoipa::path(
    get,
    path = "/admin/users/{id}",
    operation_id = "admin_user",
    tag = "admin",
    summary = "One user",
    params(("id" = String, Path, pattern = "^usr_[0-9a-f]{32}$")),
    security(("bearer" = [])),
    responses((status = 200, description = "The user.", body = Object), (status = 304, description = "As it was."))
)]
pub(super) async fn show(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    Ok(shown(&headers, admin.user(&app, &id).await?))
}

/// `PATCH /admin/users/{id}`
#[utoipa::path(
    patch,
    path = "/admin/users/{id}",
    operation_id = "admin_change_user",
    tag = "admin",
    summary = "Disable a user, which ends all that it holds, or enable it",
    params(("id" = String, Path, pattern = "^usr_[0-9a-f]{32}$")),
    request_body = UserChange,
    security(("bearer" = [])),
    responses((status = 200, description = "As it is now.", body = Object))
)]
pub(super) async fn change(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    let UserChange { disabled } = body::read(&headers, body).await?;
    let user = user_id(&id)?;
    let _turn = app.admin_turn.lock().await;
    admin.unchanged_user(&app, &headers, &id).await?;
    let command = if disabled { Command::UserDisable { user } } else { Command::UserEnable { user } };
    admin.run(&app, command).await?;
    Ok(shown(&HeaderMap::new(), admin.user(&app, &id).await?))
}

/// `DELETE /admin/users/{id}`
#[utoipa::path(
    delete,
    path = "/admin/users/{id}",
    operation_id = "admin_delete_user",
    tag = "admin",
    summary = "Delete a user and all that belongs to it",
    params(("id" = String, Path, pattern = "^usr_[0-9a-f]{32}$")),
    security(("bearer" = [])),
    responses((status = 204, description = "Deleted."))
)]
pub(super) async fn delete(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    let _turn = app.admin_turn.lock().await;
    admin.unchanged_user(&app, &headers, &id).await?;
    admin.run(&app, Command::UserDelete { user: user_id(&id)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /admin/users/{id}/password`
#[utoipa::path(
    put,
    path = "/admin/users/{id}/password",
    operation_id = "admin_set_password",
    tag = "admin",
    summary = "Set a user's password, which ends all that it holds",
    params(("id" = String, Path, pattern = "^usr_[0-9a-f]{32}$")),
    request_body = NewPassword,
    security(("bearer" = [])),
    responses((status = 204, description = "Set."))
)]
pub(super) async fn set_password(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    let NewPassword { password } = body::read(&headers, body).await?;
    let _turn = app.admin_turn.lock().await;
    admin.unchanged_user(&app, &headers, &id).await?;
    admin.run(&app, Command::UserSetPassword { user: user_id(&id)?, password: Secret(password) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /admin/users/{id}/roles/{role}`
#[utoipa::path(
    put,
    path = "/admin/users/{id}/roles/{role}",
    operation_id = "admin_grant_role",
    tag = "admin",
    summary = "Give a user a role",
    params(("id" = String, Path, pattern = "^usr_[0-9a-f]{32}$"), ("role" = String, Path)),
    security(("bearer" = [])),
    responses((status = 204, description = "The user has it."))
)]
pub(super) async fn grant_role(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path((id, role)) = path.map_err(|_| ApiError::NotFound)?;
    let _turn = app.admin_turn.lock().await;
    admin.unchanged_user(&app, &headers, &id).await?;
    admin.run(&app, Command::RoleGrant { role, user: user_id(&id)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /admin/users/{id}/roles/{role}`
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/roles/{role}",
    operation_id = "admin_revoke_role",
    tag = "admin",
    summary = "Take a role from a user",
    params(("id" = String, Path, pattern = "^usr_[0-9a-f]{32}$"), ("role" = String, Path)),
    security(("bearer" = [])),
    responses((status = 204, description = "The user does not have it."))
)]
pub(super) async fn revoke_role(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path((id, role)) = path.map_err(|_| ApiError::NotFound)?;
    let _turn = app.admin_turn.lock().await;
    admin.unchanged_user(&app, &headers, &id).await?;
    admin.run(&app, Command::RoleRevoke { role, user: user_id(&id)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /admin/roles`
#[utoipa::path(
    get,
    path = "/admin/roles",
    operation_id = "admin_roles",
    tag = "admin",
    summary = "Roles, by their names, and how many have each",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 200), ("after" = Option<String>, Query)),
    security(("bearer" = [])),
    responses((status = 200, description = "A page.", body = Object))
)]
pub(super) async fn roles(
    State(app): State<Shared>,
    _admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let asked = Asked::of(query)?;
    let page = page::roles(&app.engine, &asked.part).await?;
    Ok(asked.answer("/admin/roles", page))
}

/// `POST /admin/roles`
#[utoipa::path(
    post,
    path = "/admin/roles",
    operation_id = "admin_add_role",
    tag = "admin",
    summary = "Add a role",
    request_body = NewRole,
    security(("bearer" = [])),
    responses((status = 201, description = "Added.", body = Object))
)]
pub(super) async fn add_role(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let NewRole { name, description } = body::read(&headers, body).await?;
    let place = format!("/admin/roles/{}", encoded(&name));
    Ok(made(&place, admin.run(&app, Command::RoleAdd { name, description }).await?))
}

async fn role(app: &App, name: &str) -> Result<Value, ApiError> {
    Ok(page::role(&app.engine, name).await?)
}

/// `GET /admin/roles/{name}`
#[utoipa::path(
    get,
    path = "/admin/roles/{name}",
    operation_id = "admin_role",
    tag = "admin",
    summary = "One role",
    params(("name" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, description = "The role.", body = Object), (status = 304, description = "As it was."))
)]
pub(super) async fn show_role(
    State(app): State<Shared>,
    _admin: Admin,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|_| ApiError::NotFound)?;
    Ok(shown(&headers, role(&app, &name).await?))
}

/// `DELETE /admin/roles/{name}`
#[utoipa::path(
    delete,
    path = "/admin/roles/{name}",
    operation_id = "admin_remove_role",
    tag = "admin",
    summary = "Remove a role from everybody",
    params(("name" = String, Path)),
    security(("bearer" = [])),
    responses((status = 204, description = "Removed."))
)]
pub(super) async fn remove_role(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(name) = name.map_err(|_| ApiError::NotFound)?;
    let _turn = app.admin_turn.lock().await;
    if is_conditional(&headers) {
        unchanged(&headers, &role(&app, &name).await?)?;
    }
    admin.run(&app, Command::RoleRemove { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}
