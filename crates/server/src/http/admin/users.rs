//! `/admin/users` and `/admin/roles`.

use axum::{http::StatusCode, response::Response};
use regrant_engine::id::UserId;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    super::{parameters::encoded, protocol_error::ApiError},
    Admin,
    entity::{changed, made},
    list::Asked,
    request::{At, Sent},
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

impl Admin {
    async fn user(&self, id: UserId) -> Result<Value, ApiError> {
        self.run(Command::UserShow { user: id.to_string() }).await
    }

    async fn role(&self, name: &str) -> Result<Value, ApiError> {
        Ok(page::role(&self.app.engine, name).await?)
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
pub(super) async fn list(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let page = match asked.get("identifier") {
        None => page::users(&admin.app.engine, &asked.part).await?,
        Some(identifier) => {
            let found = admin.run(Command::UserShow { user: identifier.to_owned() }).await;
            match found {
                Ok(user) => Page { items: vec![user], next: None },
                Err(ApiError::NotFound) => Page { items: vec![], next: None },
                Err(other) => return Err(other),
            }
        }
    };
    Ok(asked.answer(page))
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
    admin: Admin,
    Sent(NewUser { identifier, password, roles, claims }): Sent<NewUser>,
) -> Result<Response, ApiError> {
    let password = password.map(Secret);
    let user = admin.run(Command::UserAdd { identifier, password, roles, claims }).await?;
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
pub(super) async fn show(admin: Admin, At(id): At<UserId>) -> Result<Response, ApiError> {
    Ok(admin.shown(admin.user(id).await?))
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
    admin: Admin,
    At(id): At<UserId>,
    Sent(UserChange { disabled }): Sent<UserChange>,
) -> Result<Response, ApiError> {
    let user = id.to_string();
    let _turn = admin.turn(admin.user(id)).await?;
    let command = if disabled { Command::UserDisable { user } } else { Command::UserEnable { user } };
    admin.run(command).await?;
    Ok(changed(admin.user(id).await?))
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
pub(super) async fn delete(admin: Admin, At(id): At<UserId>) -> Result<StatusCode, ApiError> {
    let _turn = admin.turn(admin.user(id)).await?;
    admin.run(Command::UserDelete { user: id.to_string() }).await?;
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
    admin: Admin,
    At(id): At<UserId>,
    Sent(NewPassword { password }): Sent<NewPassword>,
) -> Result<StatusCode, ApiError> {
    let _turn = admin.turn(admin.user(id)).await?;
    admin.run(Command::UserSetPassword { user: id.to_string(), password: Secret(password) }).await?;
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
pub(super) async fn grant_role(admin: Admin, At((id, role)): At<(UserId, String)>) -> Result<StatusCode, ApiError> {
    let _turn = admin.turn(admin.user(id)).await?;
    admin.run(Command::RoleGrant { role, user: id.to_string() }).await?;
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
pub(super) async fn revoke_role(admin: Admin, At((id, role)): At<(UserId, String)>) -> Result<StatusCode, ApiError> {
    let _turn = admin.turn(admin.user(id)).await?;
    admin.run(Command::RoleRevoke { role, user: id.to_string() }).await?;
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
pub(super) async fn roles(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let page = page::roles(&admin.app.engine, &asked.part).await?;
    Ok(asked.answer(page))
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
    admin: Admin,
    Sent(NewRole { name, description }): Sent<NewRole>,
) -> Result<Response, ApiError> {
    let place = format!("/admin/roles/{}", encoded(&name));
    Ok(made(&place, admin.run(Command::RoleAdd { name, description }).await?))
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
pub(super) async fn show_role(admin: Admin, At(name): At<String>) -> Result<Response, ApiError> {
    Ok(admin.shown(admin.role(&name).await?))
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
pub(super) async fn remove_role(admin: Admin, At(name): At<String>) -> Result<StatusCode, ApiError> {
    let _turn = admin.turn(admin.role(&name)).await?;
    admin.run(Command::RoleRemove { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}
