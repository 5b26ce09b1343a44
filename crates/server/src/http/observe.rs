//! What is seen of every request: its number and span, the line of the log, and what the metrics count.

use std::{
    hash::{BuildHasher, RandomState},
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::{self, Next},
    response::Response,
};
use regrant_engine::ports::Clock;
use tracing::{Instrument, Level, field::Empty};

use crate::{
    system::{Stopwatch, SystemClock},
    telemetry::{Metrics, Span, Spans, TraceContext},
};

/// The number of a request, for whoever asks what became of it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context §3.2.
const TRACE_PARENT: &str = "traceparent";
/// The route of what has none.
const UNMATCHED: &str = "unmatched";

/// The same number, for handlers that tell it to people.
#[derive(Clone)]
pub(super) struct RequestId(pub(super) String);

/// Who sees requests.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) metrics: Option<Arc<Metrics>>,
    pub(crate) spans: Option<Spans>,
}

pub(super) struct Observer {
    by: Seen,
    requests: AtomicU64,
    /// Keyed at random, so that a request's number tells nobody how many there were.
    numbers: RandomState,
}

/// Observes every route of `router`.
pub(super) fn observed(router: Router, observer: &Arc<Observer>) -> Router {
    let each = async |State(observer): State<Arc<Observer>>, mut request: Request, next: Next| {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        let inner = |request: &mut Request, id: &str| {
            request.extensions_mut().insert(RequestId(id.to_owned()));
            next.run(std::mem::take(request))
        };
        observe(&observer, route, &mut request, inner).await
    };
    router.layer(middleware::from_fn_with_state(Arc::clone(observer), each))
}

/// Sees a request to `route`, which `inner` answers, who is told its number.
pub(super) async fn observe<'r, A: Future<Output = Response> + Send>(
    observer: &Observer,
    route: &str,
    request: &'r mut Request,
    inner: impl FnOnce(&'r mut Request, &str) -> A + Send,
) -> Response {
    let number = observer.requests.fetch_add(1, Ordering::Relaxed);
    // Ours and not the caller's: one that comes from outside could be anything, or another's.
    let mut digits = [0; 16];
    let id = hexadecimal(observer.numbers.hash_one(number), &mut digits);
    let Seen { metrics, spans } = &observer.by;
    let mut response = if metrics.is_some() || spans.is_some() || tracing::enabled!(Level::DEBUG) {
        seen(observer, number, id, route, request, inner).await
    } else {
        inner(request, id).await
    };
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

async fn seen<'r, A: Future<Output = Response> + Send>(
    observer: &Observer,
    number: u64,
    id: &str,
    route: &str,
    request: &'r mut Request,
    inner: impl FnOnce(&'r mut Request, &str) -> A + Send,
) -> Response {
    let Seen { metrics, spans } = &observer.by;
    let began = Stopwatch::start();
    let traced = spans.as_ref().and_then(|spans| Some((spans, observer.trace(number, request)?, SystemClock.now())));
    let (method, path) = (known(request.method()), request.uri().path().to_owned());
    let span = tracing::debug_span!("request", id, method, route, status = Empty, micros = Empty);
    let response = inner(request, id).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    span.record("status", status).record("micros", u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    // The path only: a query may hold what somebody should not have put there.
    span.in_scope(|| tracing::debug!(path, "answered"));
    if let Some(metrics) = metrics {
        metrics.answered(route, method, status, took);
    }
    if let Some((spans, context, at)) = traced {
        let (id, route) = (id.to_owned(), route.to_owned());
        spans.tell(Span { context, id, method, route, status, began: at.millis(), took });
    }
    response
}

impl Observer {
    pub(super) fn new(by: Seen) -> Self {
        Self { by, requests: AtomicU64::new(0), numbers: RandomState::new() }
    }

    /// The trace that a request belongs to: its caller's, or one of its own. `None` where the caller does not record it.
    fn trace(&self, number: u64, request: &Request<Body>) -> Option<TraceContext> {
        let parent = request.headers().get(TRACE_PARENT).and_then(|value| value.to_str().ok());
        // W3C Trace Context §4.3: what is none begins a new trace.
        parent.and_then(|text| TraceContext::parse(text).ok()).unwrap_or_else(|| {
            let [high, low] = [1, 2].map(|half| self.numbers.hash_one((number, half)));
            Some(TraceContext { trace: format!("{high:016x}{low:016x}"), parent: None })
        })
    }
}

/// As sixteen digits.
fn hexadecimal(number: u64, digits: &mut [u8; 16]) -> &str {
    // As many as there is room for, so nothing can fail.
    let _ = write!(digits.as_mut_slice(), "{number:016x}");
    str::from_utf8(digits).unwrap_or_default()
}

/// Anybody may send another method, and each would be a series of its own.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
