//! `/health`: does the process live, and can it serve?

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Shared, protocol_error::ApiError};

/// What is well.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: &'static str,
}

/// `GET /health/live`
#[utoipa::path(
    get,
    path = "/health/live",
    operation_id = "live",
    tag = "operations",
    summary = "The process runs",
    responses((status = 200, description = "It runs.", body = Health))
)]
pub(super) async fn live() -> Json<Health> {
    Json(Health { status: "live" })
}

/// `GET /health/ready`: the store answers.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "ready",
    tag = "operations",
    summary = "The store answers",
    responses((status = 200, description = "It answers.", body = Health))
)]
pub(super) async fn ready(State(app): State<Shared>) -> Result<Json<Health>, ApiError> {
    app.engine.store.ready(app.engine.now()).await?;
    Ok(Json(Health { status: "ready" }))
}
