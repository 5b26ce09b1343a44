//! Metrics and audit stream of a running server, put together: opened before anything is made, wired, started, stopped.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use regrant_engine::{Engine, ports::Observer};
use regrant_store::Listener;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower::service_fn;

use super::{
    Metrics,
    ears::Ears,
    events::EventStream,
    metrics::observer,
    otlp::{self, Spans},
};
use crate::{config::Config, http, jobs};

/// One monitoring system asks at a time; a few more may try it by hand.
const CONNECTIONS: u32 = 16;
/// How long the last spans may take when the server stops.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// What the page is (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is to be seen of a server that does not run yet.
pub(crate) struct Watch {
    metrics: Option<(Arc<Metrics>, TcpListener)>,
    stream: Option<EventStream>,
    spans: Option<(Spans, otlp::Sender)>,
}

impl Watch {
    /// Looks at what [`open`](Self::open) would refuse, without opening anything.
    ///
    /// # Errors
    /// A sentence that says what is wrong and how to mend it.
    pub(crate) fn check(config: &Config) -> Result<(), String> {
        if let Some(listen) = config.metrics.listen.as_deref()
            && listen.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err())
        {
            return Err(format!("metrics.listen: {listen} does not end in a port; write it like \"127.0.0.1:9464\""));
        }
        config.events.stream.as_deref().map_or(Ok(()), EventStream::check)?;
        config.log.otlp.as_deref().map_or(Ok(()), |base| otlp::to(base).map(|_| ()))
    }

    /// Opens what the configuration names.
    ///
    /// # Errors
    /// A sentence that says what is wrong and how to mend it.
    pub(crate) async fn open(config: &Config) -> Result<Self, String> {
        let stream = config.events.stream.as_deref().map(EventStream::open).transpose()?;
        let metrics = match config.metrics.listen.as_deref() {
            Some(listen) => {
                let listener = TcpListener::bind(listen).await.map_err(|error| {
                    format!("metrics.listen: cannot listen on {listen}: {error}; choose another address or port")
                })?;
                Some((Arc::new(Metrics::new(stream.as_ref().map(EventStream::counts))), listener))
            }
            None => None,
        };
        let spans = config.log.otlp.as_deref().map(otlp::to).transpose()?;
        Ok(Self { metrics, stream, spans })
    }

    /// Who listens to the store's writer.
    pub(crate) fn listener(&self) -> Option<Arc<dyn Listener>> {
        Ears::of(self.counting().as_ref(), self.stream.as_ref().map(EventStream::tap))
    }

    /// Who hears what is decided.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        observer(self.counting().as_ref())
    }

    /// Who sees requests.
    pub(crate) fn seen(&self) -> http::Seen {
        http::Seen { metrics: self.counting(), spans: self.spans.as_ref().map(|(spans, _)| spans.clone()) }
    }

    fn counting(&self) -> Option<Arc<Metrics>> {
        self.metrics.as_ref().map(|(metrics, _)| Arc::clone(metrics))
    }

    /// Serves the page, counts what is counted now and then, and keeps the stream.
    pub(crate) fn start(self, engine: &Arc<Engine>) -> Watching {
        let pages = self.metrics.map(|(metrics, listener)| {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "metrics");
            }
            let count = tokio::spawn(jobs::count_sessions(Arc::clone(engine), Arc::clone(&metrics)));
            let (stop, stopped) = oneshot::channel::<()>();
            let pages = pages(metrics, Arc::clone(engine));
            let limits = http::Limits { connections: CONNECTIONS };
            let served = tokio::spawn(http::serve(listener, None, pages, limits, None, async {
                let _ = stopped.await;
            }));
            Pages { stop, served, count }
        });
        let stream = self.stream.map(|stream| {
            let (stop, stopped) = oneshot::channel();
            (stop, tokio::spawn(stream.keep(stopped)))
        });
        // Ends by itself once the last request is answered and nobody is left who could tell of one.
        let spans = self.spans.map(|(_, sender)| tokio::spawn(otlp::send(sender)));
        Watching { pages, stream, spans }
    }
}

/// What is to be seen of a server that runs.
pub(crate) struct Watching {
    pages: Option<Pages>,
    stream: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    spans: Option<JoinHandle<()>>,
}

struct Pages {
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    count: JoinHandle<()>,
}

impl Watching {
    /// Lets go of the store. The stream goes on: the store's last commit is still to come.
    pub(crate) async fn leave_store(&mut self) {
        if let Some(Pages { stop, served, count }) = self.pages.take() {
            count.abort();
            let _ = count.await;
            let _ = stop.send(());
            let _ = served.await;
        }
    }

    /// Writes the last events and sends the last spans. After the store is closed.
    pub(crate) async fn stop(self) {
        if let Some(spans) = self.spans
            && tokio::time::timeout(LAST_SPANS, spans).await.is_err()
        {
            tracing::warn!("the last spans could not be sent");
        }
        if let Some((stop, kept)) = self.stream {
            let _ = stop.send(());
            let _ = kept.await;
        }
    }
}

fn pages(metrics: Arc<Metrics>, engine: Arc<Engine>) -> Router {
    Router::new().fallback_service(service_fn(move |request: Request| {
        let asks = request.method() == Method::GET && request.uri().path() == "/metrics";
        let answer = if asks { page(&metrics, &engine) } else { StatusCode::NOT_FOUND.into_response() };
        async { Ok::<_, Infallible>(answer) }
    }))
}

fn page(metrics: &Metrics, engine: &Engine) -> Response {
    match metrics.page(engine) {
        Ok(page) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be put into words");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
