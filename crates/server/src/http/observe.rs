//! What is seen of every request: its span and number, the line of the log, and what the metrics count.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tracing::{Instrument, Level, field::Empty};

use crate::{system::Stopwatch, telemetry::Metrics};

/// The number of a request, for whoever asks what became of it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The route of what has none.
const UNMATCHED: &str = "unmatched";

struct Observer {
    metrics: Option<Arc<Metrics>>,
    requests: AtomicU64,
    /// Keyed at random, so that a request's number tells nobody how many there were.
    numbers: RandomState,
}

/// Observes every route of `router`.
pub(crate) fn observed(router: Router, metrics: Option<Arc<Metrics>>) -> Router {
    let observer = Observer { metrics, requests: AtomicU64::new(0), numbers: RandomState::new() };
    router.layer(middleware::from_fn_with_state(Arc::new(observer), observe))
}

async fn observe(State(observer): State<Arc<Observer>>, request: Request, next: Next) -> Response {
    // Ours and not the caller's: one that comes from outside could be anything, or another's.
    let id = format!("{:016x}", observer.numbers.hash_one(observer.requests.fetch_add(1, Ordering::Relaxed)));
    let mut response = if observer.metrics.is_some() || tracing::enabled!(Level::DEBUG) {
        seen(&observer, &id, request, next).await
    } else {
        next.run(request).await.into_response()
    };
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

async fn seen(observer: &Observer, id: &str, request: Request<Body>, next: Next) -> Response {
    let began = Stopwatch::start();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let span = tracing::debug_span!("request", id, %method, route, status = Empty, micros = Empty);
    let response = next.run(request).instrument(span.clone()).await.into_response();
    let (status, took) = (response.status().as_u16(), began.elapsed());
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    span.record("status", status).record("micros", micros);
    // The path only: a query may hold what somebody should not have put there.
    span.in_scope(|| tracing::debug!(path, "answered"));
    if let Some(metrics) = &observer.metrics {
        metrics.answered(route, &method, status, took);
    }
    response
}
