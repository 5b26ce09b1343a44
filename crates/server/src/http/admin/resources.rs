//! `/admin/resources`, as `regrant resource --json` has them. The id is a URI: in a path it is percent-encoded.

use axum::{http::StatusCode, response::Response};
use regrant_engine::resource::{Draft, Scope};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::{parameters::encoded, protocol_error::ApiError},
    Admin,
    entity::{changed, made},
    list::Asked,
    request::{At, Sent},
};
use crate::control::{Command, page};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewResource {
    /// Needed where the path does not say it
    #[schema(example = "https://orders.example")]
    id: Option<String>,
    name: Option<String>,
    /// Each with `name`, and perhaps `description` and `roles`
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    scopes: Vec<Scope>,
    /// `ES256` (default), `RS256` or `Ed25519`
    signing_alg: Option<String>,
    #[schema(value_type = Option<Object>)]
    encryption_key: Option<Value>,
    encryption_alg: Option<String>,
    encryption_enc: Option<String>,
    client: Option<String>,
}

impl NewResource {
    /// Of the id that the path says, if it says one.
    fn draft(self, path: Option<String>) -> Result<Box<Draft>, ApiError> {
        let wrong = |why: &str| Err(ApiError::InvalidRequest(why.to_owned()));
        let id = match (self.id.clone(), path) {
            (Some(said), Some(path)) if said != path => {
                return wrong("The body and the path name different resources.");
            }
            (None, None) => return wrong("The body: missing field `id`."),
            (Some(id), _) | (None, Some(id)) => id,
        };
        let Self { name, scopes, signing_alg, encryption_key, encryption_alg, encryption_enc, client, .. } = self;
        Ok(Box::new(Draft { id, name, scopes, signing_alg, encryption_key, encryption_alg, encryption_enc, client }))
    }
}

impl Admin {
    async fn resource(&self, id: &str) -> Result<Value, ApiError> {
        self.run(Command::ResourceShow { id: id.to_owned() }).await
    }
}

/// `GET /admin/resources`
#[utoipa::path(
    get,
    path = "/admin/resources",
    operation_id = "admin_resources",
    tag = "admin",
    summary = "Resources, by their ids",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 200), ("after" = Option<String>, Query)),
    security(("bearer" = [])),
    responses((status = 200, description = "A page.", body = Object))
)]
pub(super) async fn list(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let page = page::resources(&admin.app.engine, &asked.part).await?;
    Ok(asked.answer(page))
}

/// `POST /admin/resources`
#[utoipa::path(
    post,
    path = "/admin/resources",
    operation_id = "admin_add_resource",
    tag = "admin",
    summary = "Add a resource",
    request_body = NewResource,
    security(("bearer" = [])),
    responses((status = 201, description = "Added.", body = Object))
)]
pub(super) async fn add(admin: Admin, Sent(new): Sent<NewResource>) -> Result<Response, ApiError> {
    let draft = new.draft(None)?;
    let place = format!("/admin/resources/{}", encoded(&draft.id));
    let command = Command::ResourceAdd { draft, replaces: false };
    Ok(made(&place, admin.run(command).await?))
}

/// `GET /admin/resources/{id}`
#[utoipa::path(
    get,
    path = "/admin/resources/{id}",
    operation_id = "admin_resource",
    tag = "admin",
    summary = "One resource",
    params(("id" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, description = "The resource.", body = Object), (status = 304, description = "As it was."))
)]
pub(super) async fn show(admin: Admin, At(id): At<String>) -> Result<Response, ApiError> {
    Ok(admin.shown(admin.resource(&id).await?))
}

/// `PUT /admin/resources/{id}`
#[utoipa::path(
    put,
    path = "/admin/resources/{id}",
    operation_id = "admin_replace_resource",
    tag = "admin",
    summary = "Put another resource in the place of one",
    params(("id" = String, Path)),
    request_body = NewResource,
    security(("bearer" = [])),
    responses((status = 200, description = "Replaced.", body = Object))
)]
pub(super) async fn replace(
    admin: Admin,
    At(id): At<String>,
    Sent(new): Sent<NewResource>,
) -> Result<Response, ApiError> {
    let draft = new.draft(Some(id.clone()))?;
    let _turn = admin.turn(admin.resource(&id)).await?;
    // One that is not there is added by POST: else a slip in the id would make a second one.
    admin.resource(&id).await?;
    let command = Command::ResourceAdd { draft, replaces: true };
    Ok(changed(admin.run(command).await?))
}

/// `DELETE /admin/resources/{id}`
#[utoipa::path(
    delete,
    path = "/admin/resources/{id}",
    operation_id = "admin_remove_resource",
    tag = "admin",
    summary = "Remove a resource: nobody gets tokens for it any more",
    params(("id" = String, Path)),
    security(("bearer" = [])),
    responses((status = 204, description = "Removed."))
)]
pub(super) async fn remove(admin: Admin, At(id): At<String>) -> Result<StatusCode, ApiError> {
    let _turn = admin.turn(admin.resource(&id)).await?;
    admin.run(Command::ResourceRemove { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
