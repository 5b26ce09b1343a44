//! The only map from outcomes to wire errors: RFC 9457 problem documents with a stable `code` and, where one applies, a
//! `reason`. 401 is over, 403 needs more or comes from the wrong origin, 429 and 503 come with Retry-After and end nothing.

pub(super) mod oauth;
pub(super) mod page;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use regrant_engine::{
    factor::password::Weakness,
    ports::Broken,
    reason::WireReason,
    refresh::{Refreshed, Refusal},
    time::Seconds,
};
use serde::Serialize;

/// Everything that a caller can be told went wrong.
#[derive(Debug)]
pub(super) enum ApiError {
    /// The request cannot be read; the text says what is wrong and never quotes a value.
    InvalidRequest(String),
    /// The body is not `application/json`.
    MediaType,
    /// The body is too large.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// Neither a refresh token nor an access token came with the request.
    NotSignedIn,
    /// The access token is not one of ours, expired, or its session ended.
    AccessToken,
    /// The refresh token is over or was never ours.
    Over(WireReason),
    /// Something more is needed; nothing ended.
    Refused(Refusal),
    /// The credentials of a client that speaks for its browser are wrong.
    InvalidClient,
    /// Identifier or password is wrong; which one is not told.
    InvalidCredentials,
    /// The current password is wrong, in a session that goes on.
    CurrentPassword,
    /// The new password was not taken.
    WeakPassword(Weakness),
    /// This audience may not be asked for (RFC 8707 §2).
    Audience,
    /// This scope may not be asked for (RFC 6749 §4.1.2.1).
    Scope,
    /// The access token does not allow to administer, or its user may not any more.
    NotAdmin,
    /// It cannot be done; the text says why.
    Declined(String),
    /// The thing is another one than the caller saw (`If-Match`).
    PreconditionFailed,
    /// The call comes from another site.
    CrossOrigin,
    /// A cookie would travel in the clear.
    InsecureOrigin,
    /// Somebody else changed the same thing meanwhile.
    Conflict,
    /// There is nothing here.
    NotFound,
    /// There is, but not with this method.
    MethodNotAllowed,
    /// Too fast.
    Limited(Seconds),
    /// Too many passwords are being checked.
    Busy,
    /// The machine broke; the detail is for the log.
    Broken(Broken),
}

#[derive(Serialize)]
pub(super) struct Problem {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<WireReason>,
}

impl From<Broken> for ApiError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// What a refresh became when it brought no tokens.
impl From<Refreshed> for ApiError {
    fn from(refreshed: Refreshed) -> Self {
        match refreshed {
            Refreshed::Over(reason) => Self::Over(reason),
            Refreshed::Refused(refusal) => Self::Refused(refusal),
            Refreshed::Elsewhere => Self::Audience,
            Refreshed::Limited(retry_after) => Self::Limited(retry_after),
            Refreshed::Ended | Refreshed::Tokens(_) => Self::Over(WireReason::Ended),
        }
    }
}

/// Status, code, title, detail, reason, and the seconds after which to come back.
pub(super) struct Told(
    pub(super) StatusCode,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) String,
    pub(super) Option<WireReason>,
    pub(super) Option<u32>,
);

impl ApiError {
    /// As the body says it.
    pub(super) fn problem(&self) -> Problem {
        let Told(status, code, title, detail, reason, _) = self.told();
        Problem { r#type: format!("urn:regrant:problem:{code}"), title, status: status.as_u16(), detail, code, reason }
    }

    pub(super) fn told(&self) -> Told {
        let told = |status, code, title, detail: &str| Told(status, code, title, detail.to_owned(), None, None);
        match self {
            Self::InvalidRequest(what) => {
                told(StatusCode::BAD_REQUEST, "invalid_request", "The request cannot be read", what)
            }
            Self::MediaType => told(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body is not JSON",
                "Send a JSON object with Content-Type: application/json.",
            ),
            Self::TooLarge => told(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "The body is too large",
                "No call of this API needs more than 16 KiB.",
            ),
            Self::TooSlow => {
                told(StatusCode::REQUEST_TIMEOUT, "too_slow", "The body did not arrive in time", "Send it again.")
            }
            Self::NotSignedIn => told(
                StatusCode::UNAUTHORIZED,
                "not_signed_in",
                "You are not signed in",
                "The request came without a session cookie, and without a token or with two Authorization headers. Sign in with POST /session.",
            ),
            Self::AccessToken => told(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "The access token does not work here",
                "It is expired, its session has ended, or it is meant for another audience. Refresh, or sign in again.",
            ),
            Self::Over(reason) => Told(
                StatusCode::UNAUTHORIZED,
                "invalid_refresh_token",
                "The session is over",
                over_in_words(*reason).to_owned(),
                Some(*reason),
                None,
            ),
            Self::Refused(refusal) => refused(*refusal),
            Self::InvalidClient => told(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "The client is not known by these credentials",
                "The Regrant-Forwarded-… headers count with the id and the secret of a client (Authorization: Basic).",
            ),
            Self::InvalidCredentials => told(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "Signing in did not work",
                "The identifier or the password is wrong.",
            ),
            Self::CurrentPassword => told(
                StatusCode::FORBIDDEN,
                "invalid_credentials",
                "The current password is wrong",
                "Nothing was changed, and the session goes on.",
            ),
            Self::WeakPassword(weakness) => told(
                StatusCode::BAD_REQUEST,
                "weak_password",
                "The new password was not taken",
                &format!("Nothing was changed: {weakness}."),
            ),
            Self::Audience => told(
                StatusCode::BAD_REQUEST,
                "invalid_target",
                "This audience cannot be asked for",
                "The operator lists the allowed ones in [tokens] audiences.",
            ),
            Self::Scope => told(
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                "This scope cannot be asked for",
                "A session's scope is openid; administrators may add regrant:admin.",
            ),
            Self::NotAdmin => told(
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                "Only administrators may",
                "The access token needs the scope regrant:admin, and its user the role admin.",
            ),
            Self::Declined(why) => told(StatusCode::CONFLICT, "declined", "This cannot be done", why),
            Self::PreconditionFailed => told(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "It was changed meanwhile",
                "It is not as If-Match says any more; nothing was done. Look at it again before you repeat the call.",
            ),
            Self::CrossOrigin => told(
                StatusCode::FORBIDDEN,
                "cross_origin",
                "The call comes from another site",
                "Only pages of this server's own origin, and of those in [server] allowed_origins, may use the cookie.",
            ),
            Self::InsecureOrigin => told(
                StatusCode::BAD_REQUEST,
                "insecure_origin",
                "A cookie would travel in the clear",
                "The browser came by http, and cookies over http are given on a loopback host only. Serve https and set \
                 --issuer https://… (behind a proxy: the proxy serves it, and says X-Forwarded-Proto: https), or ask for \
                 \"delivery\": \"body\".",
            ),
            Self::Conflict => told(
                StatusCode::CONFLICT,
                "conflict",
                "Somebody else changed it meanwhile",
                "Look at it again before you repeat the call.",
            ),
            Self::NotFound => {
                told(StatusCode::NOT_FOUND, "not_found", "There is nothing here", "Check the path and the id.")
            }
            Self::MethodNotAllowed => told(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Not with this method",
                "The Allow header names the methods that this path knows.",
            ),
            Self::Limited(after) => Told(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "Too many attempts",
                format!("Nothing has ended. Try again in {} seconds.", after.0),
                None,
                Some(after.0),
            ),
            Self::Busy => Told(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Too much to do",
                "Nothing has ended. Try again in a moment.".to_owned(),
                None,
                Some(1),
            ),
            Self::Broken(_) => Told(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Not available for the moment",
                "Nothing has ended, and the same token can be used again.".to_owned(),
                None,
                Some(2),
            ),
        }
    }
}

fn refused(refusal: Refusal) -> Told {
    let (status, code, title, detail, reason) = match refusal {
        // Told like a token that never was (row 3).
        Refusal::Client => return ApiError::Over(WireReason::Unknown).told(),
        Refusal::Superseded | Refusal::Stale => return ApiError::Over(WireReason::Superseded).told(),
        Refusal::Proof => (
            StatusCode::FORBIDDEN,
            "proof_required",
            "A proof of the key is needed",
            "The refresh token is bound to a key. Send the proof of it; nothing has ended.",
            Some(WireReason::ProofRequired),
        ),
        Refusal::Scope => (
            StatusCode::FORBIDDEN,
            "invalid_scope",
            "More than was granted",
            "Ask for no more scope or audience than at the sign-in; nothing has ended.",
            None,
        ),
        Refusal::StepUp => (
            StatusCode::FORBIDDEN,
            "step_up_required",
            "One more factor is needed",
            "The session goes on once a further factor has been given; nothing has ended.",
            Some(WireReason::StepUpRequired),
        ),
    };
    Told(status, code, title, detail.to_owned(), reason, None)
}

const fn over_in_words(reason: WireReason) -> &'static str {
    match reason {
        WireReason::Expired => "It was not used for too long, or has reached its end. Sign in again.",
        WireReason::SignedOut => "You signed out on this device. Sign in again.",
        WireReason::Reused => "An old refresh token was used, so the session was ended to be safe. Sign in again.",
        WireReason::Ended => "It was ended. Sign in again.",
        WireReason::StepUpRequired => "One more factor is needed.",
        WireReason::Superseded => "A newer token has taken this one's place. Sign in again.",
        WireReason::ProofRequired => "The proof of the token's key is missing.",
        WireReason::Unknown => "The refresh token is not one of this server's. Sign in again.",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Broken(broken) = &self {
            tracing::error!(%broken, "answered 503");
        }
        let Told(status, .., retry_after) = self.told();
        let mut response = (status, Json(self.problem())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Self::NotAdmin = self {
            // RFC 6750 §3.1.
            let challenge = "Bearer error=\"insufficient_scope\", scope=\"regrant:admin\"";
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2, RFC 6750 §3.
            let challenge = match self {
                Self::AccessToken => "Bearer error=\"invalid_token\"",
                Self::InvalidClient => "Basic realm=\"regrant\"",
                _ => "Bearer",
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}
