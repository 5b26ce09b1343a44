//! Lists: a page at a time, by key and not by number, so that what is added or removed meanwhile shifts nothing.
//!
//! `next` in the body and `Link: rel="next"` (RFC 8288) say the same: the address of the page that follows. Its `after` is opaque.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::super::{
    Shared,
    parameters::{Parameters, encoded},
    protocol_error::ApiError,
};
use crate::control::page::{Page, Part};

/// Without `limit`, and at most.
const USUAL: u32 = 50;
const MOST: u32 = 200;

/// A request for a page of a list.
pub(super) struct Asked {
    /// Of the list.
    path: String,
    pub(super) parameters: Parameters,
    pub(super) part: Part,
}

impl FromRequestParts<Shared> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, ApiError> {
        Self::of(parts.uri.path(), parts.uri.query().unwrap_or_default())
    }
}

impl Asked {
    fn of(path: &str, query: &str) -> Result<Self, ApiError> {
        let parameters = Parameters::parse(query)?;
        // Who leaves a value away by mistake must not get everybody's things for one's.
        let is_empty = |pair: &str| !pair.is_empty() && pair.split_once('=').is_none_or(|(_, value)| value.is_empty());
        if query.split('&').any(is_empty) {
            return Err(ApiError::InvalidRequest("A parameter came without a value: leave it away.".to_owned()));
        }
        let wrong = |what: &str| ApiError::InvalidRequest(what.to_owned());
        let limit = match parameters.get("limit") {
            None => USUAL,
            Some(text) => {
                let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                limit.ok_or_else(|| wrong("limit must be a number from 1 to 200."))?
            }
        };
        let after = match parameters.get("after") {
            None => None,
            Some(text) => {
                let read = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                Some(read.ok_or_else(|| wrong("after must be as a page before this one gave it."))?)
            }
        };
        Ok(Self { path: path.to_owned(), parameters, part: Part { after, limit } })
    }

    /// What it says by this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)
    }

    /// The page, with the way to the next one: the same request from there on.
    pub(super) fn answer(self, Page { items, next }: Page) -> Response {
        let Self { path, parameters, .. } = self;
        let next = next.map(|place| {
            let rest = parameters.without("after").to_query();
            let and = if rest.is_empty() { "" } else { "&" };
            format!("{path}?{rest}{and}after={}", encoded(&URL_SAFE_NO_PAD.encode(place)))
        });
        let link = next.as_deref().and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok());
        let mut response = Json(json!({"items": items, "next": next})).into_response();
        response.headers_mut().extend(link.map(|link| (header::LINK, link)));
        response
    }
}
