//! What goes wrong before a person, in a browser, where no application can be told: a sentence on a page of our own, and no redirect.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use regrant_engine::{authorize::Nowhere, ports::Broken};

use super::ApiError;
use crate::{
    http::parameters::Unreadable,
    pages::{self, ENGLISH, Page},
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

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let bad = StatusCode::BAD_REQUEST;
        let (status, sentence) = match self {
            Self::Nowhere(Nowhere::Client) => {
                (bad, "The application that sent you here is not known: client_id is missing or wrong.".to_owned())
            }
            Self::Nowhere(Nowhere::Grant) => {
                (bad, "The application that sent you here cannot sign people in (client_id).".to_owned())
            }
            Self::Nowhere(Nowhere::RedirectUri) => (
                bad,
                "The application that sent you here did not say an address of its own to go back to: redirect_uri is missing or \
                 not registered."
                    .to_owned(),
            ),
            Self::Unreadable(why) => (bad, format!("The request cannot be read: {why}.")),
            Self::TooLong => (bad, "The request is too long.".to_owned()),
            Self::Over => {
                (bad, "This took too long, or the address is not whole. Go back to the application and begin anew.".to_owned())
            }
            Self::CrossOrigin => {
                (StatusCode::FORBIDDEN, "This form came from another site, so nothing was done.".to_owned())
            }
            Self::LogoutUri => (
                bad,
                "The application did not say an address of its own to go to: post_logout_redirect_uri is not registered for it, \
                 or it did not say who it is (id_token_hint, client_id)."
                    .to_owned(),
            ),
            Self::LogoutClient => (bad, "client_id and id_token_hint name different applications.".to_owned()),
            Self::Broken(broken) => {
                tracing::error!(%broken, "answered 503");
                let sentence = "The server is not available for the moment. Try again in a few seconds.";
                (StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned())
            }
            Self::Api(error) => {
                let told = error.told();
                (told.0, told.3)
            }
        };
        let mut response = pages::respond(status, &Page::Error { sentence: &sentence }, &ENGLISH, None);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
