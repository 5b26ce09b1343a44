//! What a request of the admin API brings, read the same way at every route: the path, the query, the body.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::request::Parts,
};
use regrant_engine::id::UserId;
use serde::de::DeserializeOwned;

use super::super::{Shared, body, parameters::Parameters, protocol_error::ApiError};

/// What the path names. What cannot be one is not there.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for At<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let named = Path::from_request_parts(parts, app).await;
        named.map(|Path(named)| Self(named)).map_err(|_| ApiError::NotFound)
    }
}

/// The body.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequest<Shared> for Sent<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        body::read(&parts.headers, body).await.map(Self)
    }
}

/// A query that is no list's (`list.rs` has those).
pub(super) struct Query(pub(super) Parameters);

impl FromRequestParts<Shared> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, ApiError> {
        Ok(Self(Parameters::parse(parts.uri.query().unwrap_or_default())?))
    }
}

/// The user that a query names, if it names one.
pub(super) fn user(asked: &Parameters) -> Result<Option<UserId>, ApiError> {
    asked.get("user").map(str::parse).transpose().map_err(|_| not_a_user())
}

/// The user that a query has to name: spelled out, so that nobody asks for everybody's things by leaving a word away.
pub(super) fn one_user(asked: &Parameters) -> Result<UserId, ApiError> {
    user(asked)?.ok_or_else(not_a_user)
}

fn not_a_user() -> ApiError {
    ApiError::InvalidRequest("user must be a user's id, usr_ and 32 digits.".to_owned())
}
