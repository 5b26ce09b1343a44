//! One thing: its document with a strong `ETag`, and the conditions of a request (RFC 9110 §8.8.3, §13).
//!
//! A change holds [`App::admin_turn`] from looking at the tag to the end of the change: of two administrators who saw the same
//! document, one is first here and the other one is told. A change by the command line in between is not seen.

use aws_lc_rs::digest;
use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::sync::MutexGuard;

use super::{super::protocol_error::ApiError, Admin};

impl Admin {
    /// The document, or 304 if the caller has it already.
    pub(super) fn shown(&self, document: Value) -> Response {
        shown(&self.headers, document)
    }

    /// The caller's turn to change a thing; it ends when this is dropped. `look` says how the thing is, and nobody looks where the
    /// change is wanted however it is.
    pub(super) async fn turn(
        &self,
        look: impl Future<Output = Result<Value, ApiError>>,
    ) -> Result<MutexGuard<'_, ()>, ApiError> {
        let turn = self.app.admin_turn.lock().await;
        if is_conditional(&self.headers) {
            unchanged(&self.headers, &look.await?)?;
        }
        Ok(turn)
    }
}

/// The tag of a document: equal if, and only if, every byte of it is.
fn tag(document: &Value) -> String {
    let digest = digest::digest(&digest::SHA256, document.to_string().as_bytes());
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest.as_ref().get(..16).unwrap_or_default()))
}

fn shown(headers: &HeaderMap, document: Value) -> Response {
    let tag = tag(&document);
    let etag = HeaderValue::from_str(&tag).ok().map(|value| (header::ETAG, value));
    // §13.1.2: weak comparison, which passes over W/.
    let mut response = if any(headers, &header::IF_NONE_MATCH, |known| known.trim_start_matches("W/") == tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(document).into_response()
    };
    response.headers_mut().extend(etag);
    response
}

/// A thing as it is after a change.
pub(super) fn changed(document: Value) -> Response {
    shown(&HeaderMap::new(), document)
}

/// A thing that has just been made, and where it is.
pub(super) fn made(place: &str, document: Value) -> Response {
    let mut response = changed(document);
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().extend(HeaderValue::from_str(place).ok().map(|place| (header::LOCATION, place)));
    response
}

/// Whether a change is asked for only if the thing is still as its caller saw it: then somebody has to look.
fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_MATCH)
}

/// Refuses a change of a thing that is another one than its caller saw.
fn unchanged(headers: &HeaderMap, document: &Value) -> Result<(), ApiError> {
    let tag = tag(document);
    // §13.1.1: strong comparison, so that a weak tag fits nothing.
    let is_same = !is_conditional(headers) || any(headers, &header::IF_MATCH, |known| known == tag);
    if is_same { Ok(()) } else { Err(ApiError::PreconditionFailed) }
}

fn any(headers: &HeaderMap, name: &HeaderName, fits: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|known| known == "*" || fits(known))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn conditions_are_those_of_the_standard() {
        let (document, other) = (json!({"a": 1}), json!({"a": 2}));
        let (tag, others) = (tag(&document), tag(&other));
        assert_ne!(tag, others);
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 24, "{tag}");
        for (value, is_known) in [
            (tag.clone(), true),
            (format!("W/{tag}"), true),
            (format!("{others}, {tag}"), true),
            ("*".to_owned(), true),
            (others.clone(), false),
        ] {
            let status = shown(&with(header::IF_NONE_MATCH, &value), document.clone()).status();
            assert_eq!(status == StatusCode::NOT_MODIFIED, is_known, "{value}");
        }
        assert!(unchanged(&HeaderMap::new(), &document).is_ok());
        for (value, may) in [
            (tag.clone(), true),
            (format!("{others} , {tag}"), true),
            ("*".to_owned(), true),
            (format!("W/{tag}"), false),
            (others, false),
            (String::new(), false),
        ] {
            assert_eq!(unchanged(&with(header::IF_MATCH, &value), &document).is_ok(), may, "{value}");
        }
    }
}
