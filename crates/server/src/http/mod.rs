//! HTTP: what goes over the wire, and nothing of the rules.
//!
//! A request passes: the listener's caps (`listener.rs`), the router here, a handler that parses (`session.rs`,
//! `verify.rs`, …), the engine, and back through the success reply or `protocol_error.rs`, the only map to wire errors.

mod body;
mod caller;
mod cookie;
mod forwarded;
mod health;
mod listener;
mod password;
mod protocol_error;
mod same_origin;
mod session;
mod sessions;
pub(crate) mod tls;
mod verify;
mod well_known;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, Request, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use regrant_engine::Engine;

use self::{cookie::CookieRules, forwarded::Proxies, protocol_error::ApiError, same_origin::Origins};
use crate::config::Config;

pub(crate) use cookie::is_loopback;
pub(crate) use listener::{Limits, serve};

/// What handlers share.
pub(crate) struct App {
    engine: Arc<Engine>,
    cookies: CookieRules,
    origins: Origins,
    proxies: Proxies,
}

type Shared = Arc<App>;

impl App {
    /// For the engine's issuer.
    pub(crate) fn new(engine: Arc<Engine>, config: &Config) -> Arc<Self> {
        let issuer = engine.settings.issuer.clone();
        Arc::new(Self {
            cookies: CookieRules::new(&issuer, config.session.same_site),
            origins: Origins::new(&issuer, &config.server.allowed_origins),
            proxies: Proxies::new(&config.server.trusted_proxies),
            engine,
        })
    }
}

/// Every route, and those of `more`, which keep their own security headers where they set some.
pub(crate) fn router(app: Shared, more: Router) -> Router {
    Router::new()
        .route("/session", post(session::create).get(session::show).delete(session::end))
        .route("/session/refresh", post(session::refresh))
        .route("/sessions", get(sessions::list).delete(sessions::end_others))
        .route("/sessions/{id}", axum::routing::delete(sessions::end_one))
        .route("/password", post(password::change))
        .route("/auth/verify", get(verify::verify))
        .route("/.well-known/jwks.json", get(well_known::jwks))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .merge(more.with_state(()))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(body::LARGEST))
        .layer(middleware::from_fn(protect))
        .with_state(app)
}

/// Headers that every reply carries, and the line of the log.
async fn protect(request: Request<axum::body::Body>, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await.into_response();
    let status = response.status().as_u16();
    // The path only: a query may hold what somebody should not have put there.
    tracing::debug!(%method, path, status, "answered");
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
