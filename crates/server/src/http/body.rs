//! Reading a JSON body: capped, in time, of the right type, with no key that we do not know.

use std::{
    future::{self, Future as _},
    pin::pin,
    task::Poll,
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use http_body_util::BodyExt;
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::protocol_error::ApiError;

/// In bytes. A password of 128 characters and all the rest fit easily.
pub(super) const LARGEST: usize = 16 * 1024;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a JSON object. An empty body is `{}` where `T` has no required field.
pub(super) async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    parse(headers, &bytes(body).await?)
}

/// Reads a whole body. Passwords and tokens pass through here: it is wiped.
pub(super) async fn bytes(body: Body) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let mut gathered = pin!(gather(body));
    // Mostly all of it has come with the headers, and no clock has to be set.
    let at_once = future::poll_fn(|context| Poll::Ready(gathered.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(gathered) => gathered,
        Poll::Pending => tokio::time::timeout(PATIENCE, gathered).await.map_err(|_| ApiError::TooSlow)?,
    }
}

async fn gather(mut body: Body) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let mut whole = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let cut_off = |_| ApiError::InvalidRequest("The body could not be read to its end.".to_owned());
        // What is no data is a trailer, which says nothing to us.
        let Ok(data) = frame.map_err(cut_off)?.into_data() else { continue };
        if whole.len() + data.len() > LARGEST {
            return Err(ApiError::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

/// What [`read`] does with the bytes, for what borrows from them.
pub(super) fn parse<'b, T: Deserialize<'b>>(headers: &HeaderMap, bytes: &'b [u8]) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return serde_json::from_slice(b"{}").map_err(|error| described(&error));
    }
    // A form or text/plain can be sent across origins without the browser asking first; JSON cannot.
    let is_json = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    });
    if !is_json {
        return Err(ApiError::MediaType);
    }
    serde_json::from_slice(bytes).map_err(|error| described(&error))
}

/// What is wrong and where. `serde_json` names unknown and missing fields, and quotes values of the wrong type: those are
/// replaced, since a value may be a password.
fn described(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let place = format!("line {}, column {}", error.line(), error.column());
    let told = ["unknown field", "missing field", "duplicate field", "unknown variant"]
        .iter()
        .any(|beginning| text.starts_with(beginning));
    ApiError::InvalidRequest(match error.classify() {
        serde_json::error::Category::Data if told => format!("The body: {text}."),
        serde_json::error::Category::Data => format!("The body has a value of the wrong type at {place}."),
        serde_json::error::Category::Eof => "The body ends in the middle of the JSON.".to_owned(),
        serde_json::error::Category::Syntax => format!("The body is not JSON: look at {place}."),
        serde_json::error::Category::Io => "The body could not be read.".to_owned(),
    })
}
