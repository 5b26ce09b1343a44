//! Requests as spans for an OpenTelemetry collector: OTLP over HTTP, in its JSON form, to one beside us.
//!
//! 1. `http/observe.rs` hands each answered request to [`Spans`], which puts it into a bounded queue and never waits.
//! 2. [`send`] takes what came in a while and posts it. What finds no room, or is not taken, is left out and logged.
//!
//! Written by hand, since it is one document and one request: the OpenTelemetry crates bring a second `rand` and `getrandom`
//! with them (`deny.toml`).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::{net::TcpStream, sync::mpsc};

/// So many spans may wait.
const QUEUE: usize = 4096;
/// So many are sent at once.
const AT_ONCE: usize = 512;
/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(2);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What of its answer is read, in bytes.
const LARGEST_ANSWER: usize = 64 * 1024;

/// One answered request.
pub(crate) struct Span {
    pub(crate) context: TraceContext,
    /// The request's own number: 16 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) method: &'static str,
    pub(crate) route: String,
    pub(crate) status: u16,
    /// Milliseconds since 1970.
    pub(crate) began: i64,
    pub(crate) took: Duration,
}

/// Which trace a request belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TraceContext {
    /// 32 hexadecimal digits.
    pub(crate) trace: String,
    /// 16 hexadecimal digits: the caller's span.
    pub(crate) parent: Option<String>,
}

impl TraceContext {
    /// Reads a `traceparent` (W3C Trace Context §3.2). `Err` if it is none; `Ok(None)` if its caller does not record it.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, NotOne> {
        let hex = |text: &str, digits: usize| {
            let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if is_hex { Ok(text.to_owned()) } else { Err(NotOne) }
        };
        let mut parts = text.split('-');
        let mut next = |digits| hex(parts.next().unwrap_or_default(), digits);
        let (version, trace, parent, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // §3.2.2: version 00 has these four and no more; a later one may have more; ff is none.
        if version == "ff" || (version == "00" && parts.next().is_some()) || is_zero(&trace) || is_zero(&parent) {
            return Err(NotOne);
        }
        // §3.2.2.5.1: the last bit is "sampled".
        let sampled = u8::from_str_radix(&flags, 16).is_ok_and(|flags| flags & 1 == 1);
        Ok(sampled.then_some(Self { trace, parent: Some(parent) }))
    }
}

/// A `traceparent` that is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotOne;

fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|digit| digit == b'0')
}

/// Where spans are put.
#[derive(Clone)]
pub(crate) struct Spans {
    queue: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
}

impl Spans {
    /// Puts a span into the queue, or leaves it out where there is no room.
    pub(crate) fn tell(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What sends spans.
pub(crate) struct Sender {
    collector: Uri,
    address: String,
    queue: mpsc::Receiver<Span>,
    dropped: Arc<AtomicU64>,
}

/// Spans for the collector at `base`, as `http://127.0.0.1:4318`.
///
/// # Errors
/// A sentence that says what is wrong and how to mend it.
pub(crate) fn to(base: &str) -> Result<(Spans, Sender), String> {
    // Before anything that would repeat it: what stands there may be a password, and it is sent to nobody.
    if base.split(['/', '?', '#']).nth(2).is_some_and(|authority| authority.contains('@')) {
        return Err("log.otlp has a user name or password in it, and none is sent; write it like \
                    \"http://127.0.0.1:4318\""
            .to_owned());
    }
    let wrong = |why: &str| format!("log.otlp: \"{base}\" {why}; write it like \"http://127.0.0.1:4318\"");
    let collector: Uri =
        format!("{}/v1/traces", base.trim_end_matches('/')).parse().map_err(|_| wrong("is not a URL"))?;
    let host = match (collector.scheme_str(), collector.host()) {
        (Some("http"), Some(host)) => host,
        (Some("https"), Some(_)) => {
            return Err(wrong("is encrypted, and only a collector beside us is spoken to, in plain HTTP"));
        }
        _ => return Err(wrong("is not an http:// URL")),
    };
    let address = format!("{host}:{}", collector.port_u16().unwrap_or(4318));
    let (queue, spans) = mpsc::channel(QUEUE);
    let dropped = Arc::<AtomicU64>::default();
    Ok((Spans { queue, dropped: Arc::clone(&dropped) }, Sender { collector, address, queue: spans, dropped }))
}

/// Sends what comes until nothing comes any more.
pub(crate) async fn send(mut sender: Sender) {
    let mut spans = Vec::with_capacity(AT_ONCE);
    let mut failing = false;
    let mut ends = false;
    while !ends {
        let mut gather = tokio::time::interval(GATHER);
        // The first one is now.
        gather.tick().await;
        while !ends && spans.len() < AT_ONCE {
            tokio::select! {
                span = sender.queue.recv() => match span {
                    Some(span) => spans.push(span),
                    None => ends = true,
                },
                _ = gather.tick() => break,
            }
        }
        if spans.is_empty() {
            continue;
        }
        let many = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let sent = tokio::time::timeout(PATIENCE, post(&sender, &document(&spans))).await;
        spans.clear();
        match sent.unwrap_or_else(|_| Err("it did not answer".into())) {
            Ok(()) => failing = false,
            Err(error) => {
                sender.dropped.fetch_add(many, Ordering::Relaxed);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, collector = %sender.collector, "the collector does not take spans");
                }
            }
        }
        let dropped = sender.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::debug!(dropped, "spans were left out");
        }
    }
}

async fn post(sender: &Sender, document: &Value) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(&sender.address).await?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(sender.collector.path())
        .header(header::HOST, &sender.address)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(document.to_string())))?;
    let exchange = async {
        let answer = client.send_request(request).await?;
        let status = answer.status();
        Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await?;
        if status.is_success() { Ok(()) } else { Err(format!("it answers {status}").into()) }
    };
    tokio::pin!(exchange);
    tokio::select! {
        done = &mut exchange => done,
        // The connection may be over before its last answer was read from it.
        _ = connection => exchange.await,
    }
}

/// `ExportTraceServiceRequest` in its JSON form (OTLP 1.x, "JSON Protobuf Encoding": ids in hexadecimal, 64-bit numbers as text).
fn document(spans: &[Span]) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let span = |span: &Span| {
        let Span { context, id, method, route, status, began, took } = span;
        let began = i128::from(*began) * 1_000_000;
        let ended = began + i128::try_from(took.as_nanos()).unwrap_or_default();
        json!({
            "traceId": context.trace,
            "spanId": id,
            "parentSpanId": context.parent.as_deref().unwrap_or_default(),
            "name": format!("{method} {route}"),
            // SPAN_KIND_SERVER
            "kind": 2,
            "startTimeUnixNano": began.to_string(),
            "endTimeUnixNano": ended.to_string(),
            "attributes": [
                text("http.request.method", method),
                text("http.route", route),
                {"key": "http.response.status_code", "value": {"intValue": status.to_string()}},
            ],
            // STATUS_CODE_ERROR, or unset: a 4xx is the caller's.
            "status": if *status >= 500 { json!({"code": 2}) } else { json!({}) },
        })
    };
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", "regrant"), text("service.version", env!("CARGO_PKG_VERSION"))]},
        "scopeSpans": [{"scope": {"name": "regrant"}, "spans": spans.iter().map(span).collect::<Vec<_>>()}],
    }]})
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says() {
        let parent = "00f067aa0ba902b7";
        let known = TraceContext { trace: TRACE.to_owned(), parent: Some(parent.to_owned()) };
        let cases = [
            (format!("00-{TRACE}-{parent}-01"), Ok(Some(known.clone()))),
            (format!("00-{TRACE}-{parent}-03"), Ok(Some(known.clone()))),
            (format!("00-{TRACE}-{parent}-00"), Ok(None)),
            (format!("cc-{TRACE}-{parent}-01-more"), Ok(Some(known))),
            (format!("00-{TRACE}-{parent}-01-more"), Err(NotOne)),
            (format!("ff-{TRACE}-{parent}-01"), Err(NotOne)),
            (format!("00-{}-{parent}-01", TRACE.to_uppercase()), Err(NotOne)),
            (format!("00-{}-{parent}-01", "0".repeat(32)), Err(NotOne)),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), Err(NotOne)),
            (format!("00-{TRACE}-{parent}"), Err(NotOne)),
            (String::new(), Err(NotOne)),
        ];
        for (text, expected) in cases {
            assert_eq!(TraceContext::parse(&text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_collector_in_plain_http_is_taken() {
        for wrong in ["https://collector.example", "127.0.0.1:4318", "ftp://x", "not a url", ""] {
            assert!(to(wrong).is_err_and(|why| why.contains("log.otlp")), "{wrong}");
        }
        for secret in ["http://ada:rosebud@collector:4318", "https://rosebud@collector/x"] {
            assert!(to(secret).is_err_and(|why| why.contains("log.otlp") && !why.contains("rosebud")), "{secret}");
        }
        let address = |base| to(base).map(|(_, sender)| (sender.address, sender.collector.path().to_owned()));
        let path = "/v1/traces".to_owned();
        assert_eq!(address("http://[::1]:9/"), Ok(("[::1]:9".to_owned(), path.clone())));
        assert_eq!(address("http://collector"), Ok(("collector:4318".to_owned(), path)));
    }
}
