//! What goes wrong at the OAuth endpoints, in the RFCs' words: JSON for clients, parameters of a redirect for the authorization
//! endpoint. `reason` is ours, where the end of a token has one.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use regrant_engine::{
    authorize::Refused,
    dpop,
    ports::Broken,
    reason::WireReason,
    refresh::{Refreshed, Refusal},
    time::Seconds,
};
use serde::Serialize;

use super::ApiError;
use crate::http::{dpop::NONCE, parameters::Unreadable};

/// What is told where a grant's own key was not proven (row 4 of the table).
const UNPROVEN: &str =
    "The token is bound to a key, and its DPoP proof is missing, of another key, or was used before.";
/// What is told of a proof that is right and comes again.
pub(in crate::http) const USED: &str = "The DPoP proof was used before: make one for each request.";

/// Everything that a client can be told went wrong.
#[derive(Debug)]
pub(in crate::http) enum OAuthError {
    /// The request cannot be read, or something is missing; the sentence says what.
    InvalidRequest(String),
    /// Not known, or not by these credentials.
    InvalidClient,
    /// Code or refresh token is good for nothing here.
    InvalidGrant(Option<WireReason>),
    /// Nobody has answered a device's question yet (RFC 8628 §3.5); so the next three.
    AuthorizationPending,
    /// Nobody has, and it asks too often.
    SlowDown,
    /// Somebody said no.
    AccessDenied,
    /// Nobody said anything in time.
    ExpiredToken,
    /// The client may not get tokens so.
    UnauthorizedClient,
    /// There is no such grant type here.
    UnsupportedGrantType,
    /// More than was granted, or than can be asked for.
    InvalidScope,
    /// The resource may not be asked for.
    InvalidTarget,
    /// The proof of the token's key is missing or wrong; the sentence says what.
    InvalidProof(&'static str),
    /// The proof must hold a nonce: this one.
    UseNonce(String),
    /// What went wrong with a token that is bound to a key, or with its proof, at a resource.
    AtResource(Box<OAuthError>),
    /// A factor is needed; nothing ended.
    InteractionRequired,
    /// No access token came.
    NoToken,
    /// The access token is not one of ours, over, or its grant is.
    InvalidToken,
    /// The access token does not allow it.
    InsufficientScope,
    /// Too fast.
    Limited(Seconds),
    /// The machine broke or is busy; the detail is for the log.
    Broken(Broken),
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<WireReason>,
}

impl From<Broken> for OAuthError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Unreadable> for OAuthError {
    fn from(unreadable: Unreadable) -> Self {
        Self::InvalidRequest(format!("The request cannot be read: {unreadable}."))
    }
}

/// What whoever calls for a browser may get wrong, and what else the session API's way of reading a request can say.
impl From<ApiError> for OAuthError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::InvalidClient => Self::InvalidClient,
            ApiError::Broken(broken) => Self::Broken(broken),
            other => Self::InvalidRequest(other.told().3),
        }
    }
}

/// What a refresh became when it brought no tokens (RFC 6749 §5.2, RFC 9449 §5).
impl From<Refreshed> for OAuthError {
    fn from(refreshed: Refreshed) -> Self {
        match refreshed {
            Refreshed::Over(reason) => Self::InvalidGrant(Some(reason)),
            Refreshed::Refused(Refusal::Client) => Self::InvalidGrant(Some(WireReason::Unknown)),
            Refreshed::Refused(Refusal::Superseded | Refusal::Stale) => {
                Self::InvalidGrant(Some(WireReason::Superseded))
            }
            Refreshed::Refused(Refusal::Proof) => Self::InvalidProof(UNPROVEN),
            Refreshed::Refused(Refusal::Scope) => Self::InvalidScope,
            Refreshed::Refused(Refusal::StepUp) => Self::InteractionRequired,
            Refreshed::Elsewhere => Self::InvalidTarget,
            Refreshed::Limited(retry_after) => Self::Limited(retry_after),
            Refreshed::Ended | Refreshed::Tokens(_) => Self::InvalidGrant(Some(WireReason::Ended)),
        }
    }
}

impl OAuthError {
    /// Status, code, sentence, reason, and the seconds after which to come back.
    fn told(&self) -> (StatusCode, &'static str, String, Option<WireReason>, Option<u32>) {
        let told = |status, code, sentence: &str| (status, code, sentence.to_owned(), None, None);
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::InvalidRequest(what) => told(bad, "invalid_request", what),
            // RFC 6749 §5.2.
            Self::InvalidClient => told(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "There is no such client, or these are not its credentials.",
            ),
            Self::InvalidGrant(reason) => {
                let sentence = match reason {
                    Some(_) => "The refresh token works no more, or never did.",
                    None => "The code is over, was used, or belongs to another client, address or verifier.",
                };
                (bad, "invalid_grant", sentence.to_owned(), *reason, None)
            }
            Self::AuthorizationPending => {
                told(bad, "authorization_pending", "Nobody has typed the code and answered yet. Ask again.")
            }
            Self::SlowDown => told(bad, "slow_down", "Wait 5 seconds longer between two questions than until now."),
            Self::AccessDenied => told(bad, "access_denied", "The person said no."),
            Self::ExpiredToken => told(bad, "expired_token", "Nobody answered in time. Begin anew, with a new code."),
            Self::UnauthorizedClient => told(bad, "unauthorized_client", "This client may not get tokens in this way."),
            Self::UnsupportedGrantType => told(
                bad,
                "unsupported_grant_type",
                "There are authorization_code, refresh_token, client_credentials and \
                 urn:ietf:params:oauth:grant-type:device_code.",
            ),
            Self::InvalidScope => told(bad, "invalid_scope", "This scope is wider than can be had here."),
            Self::InvalidTarget => told(bad, "invalid_target", "Tokens for this resource cannot be asked for."),
            Self::InvalidProof(sentence) => told(bad, "invalid_dpop_proof", sentence),
            Self::UseNonce(_) => {
                told(bad, "use_dpop_nonce", "The DPoP proof must hold the nonce that comes with this answer.")
            }
            // RFC 9449 §7.1.
            Self::AtResource(error) => {
                let (status, code, sentence, reason, retry_after) = error.told();
                let status = if status == bad { StatusCode::UNAUTHORIZED } else { status };
                (status, code, sentence, reason, retry_after)
            }
            Self::InteractionRequired => (
                bad,
                "interaction_required",
                "One more factor is needed; nothing has ended.".to_owned(),
                Some(WireReason::StepUpRequired),
                None,
            ),
            Self::NoToken => {
                told(StatusCode::UNAUTHORIZED, "invalid_token", "The request came without an access token.")
            }
            Self::InvalidToken => told(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "The access token is over, or was never one of this server's.",
            ),
            Self::InsufficientScope => {
                told(StatusCode::FORBIDDEN, "insufficient_scope", "The access token does not have the scope openid.")
            }
            Self::Limited(after) => (
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "Too fast; nothing has ended.".to_owned(),
                None,
                Some(after.0),
            ),
            Self::Broken(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "Nothing has ended, and the same request can be sent again.".to_owned(),
                None,
                Some(2),
            ),
        }
    }
}

/// RFC 9449 §7.1, `algs`.
fn algorithms() -> String {
    dpop::ALGORITHMS.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(" ")
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        if let Self::Broken(broken) = &self {
            tracing::error!(%broken, "answered 503");
        }
        let (status, error, error_description, reason, retry_after) = self.told();
        let mut response = (status, Json(Body { error, error_description, reason })).into_response();
        let challenges = match &self {
            // RFC 6749 §5.2: by the scheme that clients authenticate with.
            Self::InvalidClient => vec!["Basic realm=\"regrant\"".to_owned()],
            // RFC 6750 §3.1: without a token nothing is said of one. RFC 9449 §7.2: of both kinds.
            Self::NoToken => vec!["Bearer".to_owned(), format!("DPoP algs=\"{}\"", algorithms())],
            Self::InvalidToken => vec!["Bearer error=\"invalid_token\"".to_owned()],
            Self::InsufficientScope => vec!["Bearer error=\"insufficient_scope\", scope=\"openid\"".to_owned()],
            Self::AtResource(_) => vec![format!("DPoP error=\"{error}\", algs=\"{}\"", algorithms())],
            _ => vec![],
        };
        let nonce = match &self {
            Self::UseNonce(nonce) => Some(nonce),
            Self::AtResource(error) => match &**error {
                Self::UseNonce(nonce) => Some(nonce),
                _ => None,
            },
            _ => None,
        };
        let headers = response.headers_mut();
        for challenge in challenges.iter().filter_map(|challenge| HeaderValue::from_str(challenge).ok()) {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::from_str(nonce).ok()) {
            headers.insert(NONCE, nonce);
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // RFC 6749 §5.1, for caches of another age.
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        response
    }
}

/// A refusal of the authorization endpoint: code and sentence.
pub(in crate::http) fn refused(refused: Refused) -> (&'static str, &'static str) {
    match refused {
        Refused::InvalidRequest(what) => ("invalid_request", what),
        Refused::UnsupportedResponseType => ("unsupported_response_type", "The response type is code."),
        Refused::InvalidScope => ("invalid_scope", "Nothing of this scope can be asked for by this client."),
        Refused::InvalidTarget => ("invalid_target", "Tokens for this resource cannot be asked for."),
        Refused::LoginRequired => ("login_required", "Somebody has to sign in."),
        Refused::ConsentRequired => ("consent_required", "Somebody has to be asked."),
        Refused::AccessDenied => ("access_denied", "The person said no, or may do nothing of this."),
        Refused::RequestNotSupported => ("request_not_supported", "Request objects are not offered."),
        Refused::RequestUriNotSupported => ("request_uri_not_supported", "Request objects are not offered."),
        Refused::RegistrationNotSupported => ("registration_not_supported", "Registration is not offered."),
        Refused::ServerError => ("server_error", "The server is not available for the moment."),
    }
}
