//! What goes wrong before a person, in a browser, where no application can be told: a sentence on a page of our own, and no redirect.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use regrant_engine::{authorize::Nowhere, ports::Broken};

use super::ApiError;
use crate::{
    http::{Shared, observe::RequestId, parameters::Unreadable},
    pages::{self, ENGLISH, ErrorWords, Page},
};

/// What a person is told on a page of our own.
pub(in crate::http) enum Told {
    /// Nobody can be sent anywhere.
    Nowhere(Nowhere),
    /// The request cannot be read.
    Unreadable(Unreadable),
    /// It is too long.
    TooLong,
    /// What waited is over, or was never ours.
    Over,
    /// A form came from another site.
    CrossOrigin,
    /// `post_logout_redirect_uri` is not registered for the client, or nobody knows for which.
    LogoutUri,
    /// The client of the logout is not the hint's.
    LogoutClient,
    /// The machine broke.
    Broken(Broken),
    /// Any other error of a request.
    Api(ApiError),
}

impl From<Broken> for Told {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Unreadable> for Told {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<ApiError> for Told {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::CrossOrigin => Self::CrossOrigin,
            ApiError::Broken(broken) => Self::Broken(broken),
            other => Self::Api(other),
        }
    }
}

impl Told {
    fn status(&self) -> StatusCode {
        match self {
            Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::Broken(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Api(error) => error.told().0,
            Self::Nowhere(_)
            | Self::Unreadable(_)
            | Self::TooLong
            | Self::Over
            | Self::LogoutUri
            | Self::LogoutClient => StatusCode::BAD_REQUEST,
        }
    }

    fn sentence(&self, words: &ErrorWords) -> String {
        let sentence = match self {
            Self::Nowhere(Nowhere::Client) => words.client,
            Self::Nowhere(Nowhere::Grant) => words.client_grant,
            Self::Nowhere(Nowhere::RedirectUri) => words.redirect_uri,
            Self::Unreadable(Unreadable::Repeated(name)) => {
                return words.repeated.replace("{name}", &crate::text::printable(name));
            }
            Self::Unreadable(Unreadable::Encoding) => words.encoding,
            Self::Unreadable(Unreadable::MediaType) => words.media_type,
            Self::Unreadable(Unreadable::Body) => words.body,
            Self::TooLong => words.too_long,
            Self::Over => words.over,
            Self::CrossOrigin => words.cross_origin,
            Self::LogoutUri => words.logout_uri,
            Self::LogoutClient => words.logout_client,
            Self::Broken(_) => words.broken,
            Self::Api(ApiError::InsecureOrigin) => words.insecure,
            Self::Api(error) => return words.other.replace("{code}", error.told().1),
        };
        sentence.to_owned()
    }
}

/// What is told, and nothing drawn yet: [`told_in_a_page`] knows in which language, and the number of the request.
impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Draws what went wrong, and notes it in the log under the number that the page tells.
pub(in crate::http) async fn told_in_a_page(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let query = request.uri().query().map(str::to_owned);
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).cloned();
    let number = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let Some(told) = response.extensions_mut().remove::<Arc<Told>>() else {
        return response;
    };
    let locales = query.as_deref().and_then(|query| app.ui_locales(query));
    let headers: HeaderMap = accepted.into_iter().map(|value| (header::ACCEPT_LANGUAGE, value)).collect();
    let look = app.look(&headers, locales.as_deref());
    let number = number.map(|RequestId(number)| number).unwrap_or_default();
    let (status, sentence) = (told.status(), told.sentence(&look.words.error));
    match &*told {
        Told::Broken(broken) => tracing::error!(%broken, request = number, "answered 503"),
        // Whatever a stranger put into the request is not quoted here.
        told => {
            let why = told.sentence(&ENGLISH.error);
            tracing::info!(request = number, status = status.as_u16(), why, "told on a page");
        }
    }
    let mut response = pages::respond(status, &Page::Error { sentence: &sentence, number: &number }, look, None);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

/// `GET /error`: nobody is sent here, so there is nothing to tell but where to go on.
pub(in crate::http) async fn show(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let locales = app.ui_locales(&query.unwrap_or_default());
    pages::respond(StatusCode::OK, &Page::NoError, app.look(&headers, locales.as_deref()), None)
}
