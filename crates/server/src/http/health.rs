//! `/health`: does the process live, and can it serve?

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{Shared, protocol_error::ApiError};

/// `GET /health/live`
pub(super) async fn live() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// `GET /health/ready`: the store answers.
pub(super) async fn ready(State(app): State<Shared>) -> Result<Json<Value>, ApiError> {
    app.engine.store.ready().await?;
    Ok(Json(json!({"status": "ready"})))
}
