//! `/admin/resources`, as `regrant resource --json` has them. The id is a URI: in a path it is percent-encoded.

use axum::{
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use regrant_engine::resource::{Draft, Scope};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::{App, Shared, body, parameters::encoded, protocol_error::ApiError},
    Admin,
    entity::{is_conditional, made, shown, unchanged},
    list::Asked,
};
use crate::control::{Command, page};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewResource {
    #[schema(example = "https://orders.example")]
    id: String,
    #[serde(flatten)]
    said: Said,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
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

impl Said {
    fn draft(self, id: String) -> Box<Draft> {
        let Self { name, scopes, signing_alg, encryption_key, encryption_alg, encryption_enc, client } = self;
        Box::new(Draft { id, name, scopes, signing_alg, encryption_key, encryption_alg, encryption_enc, client })
    }
}

impl Admin {
    async fn resource(&self, app: &App, id: &str) -> Result<Value, ApiError> {
        self.run(app, Command::ResourceShow { id: id.to_owned() }).await
    }

    /// Looks at a resource first, if the change is for one as its caller saw it.
    async fn unchanged_resource(&self, app: &App, headers: &HeaderMap, id: &str) -> Result<(), ApiError> {
        if is_conditional(headers) { unchanged(headers, &self.resource(app, id).await?) } else { Ok(()) }
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
pub(super) async fn list(
    State(app): State<Shared>,
    _admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let asked = Asked::of(query)?;
    let page = page::resources(&app.engine, &asked.part).await?;
    Ok(asked.answer("/admin/resources", page))
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
pub(super) async fn add(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let NewResource { id, said } = body::read(&headers, body).await?;
    let place = format!("/admin/resources/{}", encoded(&id));
    let command = Command::ResourceAdd { draft: said.draft(id), replaces: false };
    Ok(made(&place, admin.run(&app, command).await?))
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
pub(super) async fn show(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    Ok(shown(&headers, admin.resource(&app, &id).await?))
}

/// `PUT /admin/resources/{id}`
#[utoipa::path(
    put,
    path = "/admin/resources/{id}",
    operation_id = "admin_replace_resource",
    tag = "admin",
    summary = "Put another resource in the place of one",
    params(("id" = String, Path)),
    request_body = Said,
    security(("bearer" = [])),
    responses((status = 200, description = "Replaced.", body = Object))
)]
pub(super) async fn replace(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    let said: Said = body::read(&headers, body).await?;
    let _turn = app.admin_turn.lock().await;
    // One that is not there is added by POST: else a slip in the id would make a second one.
    unchanged(&headers, &admin.resource(&app, &id).await?)?;
    let command = Command::ResourceAdd { draft: said.draft(id), replaces: true };
    Ok(shown(&HeaderMap::new(), admin.run(&app, command).await?))
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
pub(super) async fn remove(
    State(app): State<Shared>,
    admin: Admin,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::NotFound)?;
    let _turn = app.admin_turn.lock().await;
    admin.unchanged_resource(&app, &headers, &id).await?;
    admin.run(&app, Command::ResourceRemove { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
