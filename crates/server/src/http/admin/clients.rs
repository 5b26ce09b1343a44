//! `/admin/clients`, in RFC 7591's words; what it has no word for is ours, as `regrant client --json` has it.

use axum::{http::StatusCode, response::Response};
use regrant_engine::{
    client::{ApplicationType, AuthMethod, ClientType, Draft, GrantType, Requirement},
    time::Seconds,
};
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

/// How long the secret before works, if nobody says.
const KEEP: Seconds = Seconds::DAY;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewClient {
    #[schema(example = "shop")]
    client_id: String,
    /// `public`, `confidential` or `service`
    #[schema(value_type = String, example = "confidential")]
    client_type: ClientType,
    #[schema(value_type = Option<String>)]
    application_type: Option<ApplicationType>,
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    post_logout_redirect_uris: Vec<String>,
    backchannel_logout_uri: Option<String>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    grant_types: Vec<GrantType>,
    scope: Option<String>,
    #[schema(value_type = Option<String>)]
    token_endpoint_auth_method: Option<AuthMethod>,
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    require_pkce: Option<bool>,
    dpop_bound_access_tokens: Option<bool>,
    #[serde(default)]
    first_party: bool,
    logo_uri: Option<String>,
    policy_uri: Option<String>,
    tos_uri: Option<String>,
    #[schema(value_type = Option<u32>)]
    access_token_lifetime: Option<Seconds>,
    #[schema(value_type = Option<u32>)]
    idle_lifetime: Option<Seconds>,
    #[schema(value_type = Option<u32>)]
    absolute_lifetime: Option<Seconds>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSecret {
    /// For how many seconds the one before works; a day, if nobody says.
    #[schema(value_type = Option<u32>)]
    keep: Option<Seconds>,
}

impl NewClient {
    fn draft(self) -> Draft {
        let requirement = |is: bool| if is { Requirement::Required } else { Requirement::Optional };
        let scopes = self.scope.unwrap_or_default();
        Draft {
            application_type: self.application_type,
            name: self.client_name,
            redirect_uris: self.redirect_uris,
            post_logout_redirect_uris: self.post_logout_redirect_uris,
            backchannel_logout_uri: self.backchannel_logout_uri,
            grants: self.grant_types,
            scopes: scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            auth_method: self.token_endpoint_auth_method,
            jwks: self.jwks,
            jwks_uri: self.jwks_uri,
            pkce: self.require_pkce.map(requirement),
            dpop: self.dpop_bound_access_tokens.map(requirement),
            first_party: self.first_party,
            logo_uri: self.logo_uri,
            policy_uri: self.policy_uri,
            tos_uri: self.tos_uri,
            access_lifetime: self.access_token_lifetime,
            idle: self.idle_lifetime,
            absolute: self.absolute_lifetime,
            ..Draft::new(&self.client_id, self.client_type)
        }
    }
}

impl Admin {
    async fn client(&self, id: &str) -> Result<Value, ApiError> {
        self.run(Command::ClientShow { id: id.to_owned() }).await
    }
}

/// `GET /admin/clients`
#[utoipa::path(
    get,
    path = "/admin/clients",
    operation_id = "admin_clients",
    tag = "admin",
    summary = "Clients, by their ids",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 200), ("after" = Option<String>, Query)),
    security(("bearer" = [])),
    responses((status = 200, description = "A page.", body = Object))
)]
pub(super) async fn list(admin: Admin, asked: Asked) -> Result<Response, ApiError> {
    let page = page::clients(&admin.app.engine, &asked.part).await?;
    Ok(asked.answer(page))
}

/// `POST /admin/clients`
#[utoipa::path(
    post,
    path = "/admin/clients",
    operation_id = "admin_add_client",
    tag = "admin",
    summary = "Add a client; its secret, if it has one, is told this once",
    request_body = NewClient,
    security(("bearer" = [])),
    responses((status = 201, description = "Added.", body = Object))
)]
pub(super) async fn add(admin: Admin, Sent(new): Sent<NewClient>) -> Result<Response, ApiError> {
    let draft = new.draft();
    let place = format!("/admin/clients/{}", encoded(&draft.id));
    Ok(made(&place, admin.run(Command::ClientAdd { draft: Box::new(draft) }).await?))
}

/// `GET /admin/clients/{id}`
#[utoipa::path(
    get,
    path = "/admin/clients/{id}",
    operation_id = "admin_client",
    tag = "admin",
    summary = "One client",
    params(("id" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, description = "The client.", body = Object), (status = 304, description = "As it was."))
)]
pub(super) async fn show(admin: Admin, At(id): At<String>) -> Result<Response, ApiError> {
    Ok(admin.shown(admin.client(&id).await?))
}

/// `DELETE /admin/clients/{id}`
#[utoipa::path(
    delete,
    path = "/admin/clients/{id}",
    operation_id = "admin_remove_client",
    tag = "admin",
    summary = "Remove a client, and end all that was granted to it",
    params(("id" = String, Path)),
    security(("bearer" = [])),
    responses((status = 204, description = "Removed."))
)]
pub(super) async fn remove(admin: Admin, At(id): At<String>) -> Result<StatusCode, ApiError> {
    let _turn = admin.turn(admin.client(&id)).await?;
    admin.run(Command::ClientRemove { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /admin/clients/{id}/rotate-secret`
#[utoipa::path(
    post,
    path = "/admin/clients/{id}/rotate-secret",
    operation_id = "admin_rotate_client_secret",
    tag = "admin",
    summary = "Give a client a new secret, told this once; the one before works a while longer",
    params(("id" = String, Path)),
    request_body(content = NewSecret, description = "May be left away."),
    security(("bearer" = [])),
    responses((status = 200, description = "The client, with the secret.", body = Object))
)]
pub(super) async fn rotate_secret(
    admin: Admin,
    At(id): At<String>,
    Sent(NewSecret { keep }): Sent<NewSecret>,
) -> Result<Response, ApiError> {
    let _turn = admin.turn(admin.client(&id)).await?;
    let command = Command::ClientRotateSecret { id, keep: keep.unwrap_or(KEEP) };
    Ok(changed(admin.run(command).await?))
}
