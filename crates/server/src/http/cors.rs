//! Which other origins' pages may read what the session API answers: those of `[server] allowed_origins`, with the cookie (Fetch
//! Standard, "CORS protocol"). `same_origin.rs` decides who may call; this only tells browsers so.
//!
//! 1. Only the calls that pages make are concerned. `/auth/verify` is for proxies; what is public says `*` by itself.
//! 2. A preflight from a listed origin is answered here; any other goes on, and is refused like every unknown method.
//! 3. Every reply to a listed origin names it, errors too: their page must be able to tell "over" from "busy".

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::App;

/// What a page may send, and how long a browser may remember that: two hours, which is Chromium's most.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("content-type, authorization");
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// What an application in a page may send besides (RFC 9449 §4.1), and read (§8).
const CLIENT_HEADERS: HeaderValue = HeaderValue::from_static("content-type, authorization, dpop");
const CLIENT_EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, www-authenticate, dpop-nonce");
/// What a page may read beside the body.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after");

/// Tells browsers what they may do with the answer of `inner`.
pub(super) async fn tell<'r, A: Future<Output = Response> + Send>(
    app: &App,
    request: &'r mut Request<Body>,
    inner: impl FnOnce(&'r mut Request<Body>) -> A + Send,
) -> Response {
    if is_for_clients(request.uri().path()) {
        return open(request, inner).await;
    }
    if !app.origins.lists_any() || !is_for_pages(request.uri().path()) {
        return inner(request).await;
    }
    let origin = app.origins.listed(request.headers()).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let is_answered_here = is_preflight && origin.is_some();
    let mut response = if is_answered_here { StatusCode::NO_CONTENT.into_response() } else { inner(request).await };
    let headers = response.headers_mut();
    // Also to everybody else: a cache must not give one origin what was told to another (RFC 9110 §12.5.5).
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return response };
    // The origin itself: with credentials, browsers refuse `*`.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if is_answered_here {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    response
}

/// Whether any page may call: applications that live in a browser are clients, and no cookie has a part in these. Never the
/// authorization endpoint (RFC 9700 §2.6).
fn is_for_clients(path: &str) -> bool {
    ["/oauth2/token", "/oauth2/userinfo", "/oauth2/revoke"].contains(&path)
}

async fn open<'r, A: Future<Output = Response> + Send>(
    request: &'r mut Request<Body>,
    inner: impl FnOnce(&'r mut Request<Body>) -> A + Send,
) -> Response {
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight { StatusCode::NO_CONTENT.into_response() } else { inner(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, CLIENT_EXPOSED);
    if is_preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, CLIENT_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
    response
}

fn is_for_pages(path: &str) -> bool {
    ["/session", "/sessions", "/password"]
        .iter()
        .any(|known| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::is_for_pages;

    #[test]
    fn the_session_api_is_for_pages_and_nothing_else_is() {
        for path in ["/session", "/session/refresh", "/session/step-up", "/sessions", "/sessions/ses_1", "/password"] {
            assert!(is_for_pages(path), "{path}");
        }
        for path in [
            "/",
            "/auth/verify",
            "/.well-known/jwks.json",
            "/health/ready",
            "/openapi.json",
            "/sessionsx",
            "/passwords",
            "//session",
            "/admin/session",
        ] {
            assert!(!is_for_pages(path), "{path}");
        }
    }
}
