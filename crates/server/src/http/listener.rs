//! Connections: how many, how slow, how large their headers, encrypted or not, and how they end.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::TokioIo,
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// How long a connection may take for its headers, and stay open without a request.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);
/// In how many steps that is counted.
const TICKS: u32 = 5;
/// How long a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a reply may lie unread.
const UNREAD_MILLIS: u32 = 20_000;
/// All headers of a request, in bytes.
const LARGEST_HEADERS: usize = 16 * 1024;
/// How long nobody is accepted after that could not be done.
const BREATH: Duration = Duration::from_millis(75);
/// How long requests that are under way may take when the server stops.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// What a listener lets through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Open connections; more wait in the kernel's queue.
    pub(crate) connections: u32,
}

/// What a listener serves.
pub(crate) trait Site: Clone + Send + Sync + 'static {
    /// The answer to a request of `peer`, the other end of the connection.
    fn answer(&self, peer: SocketAddr, request: Request) -> impl Future<Output = Response> + Send;
}

impl Site for Router {
    async fn answer(&self, peer: SocketAddr, mut request: Request) -> Response {
        request.extensions_mut().insert(ConnectInfo(peer));
        match self.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Accepts and serves until `stop` is done, then lets the requests under way finish.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: impl Site,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(usize::MAX)));
    let (site, under_way) = (Arc::new(site), GracefulShutdown::new());
    let (stopping, not_stopping) = watch::channel(());
    tokio::pin!(stop);
    let mut failing = false;
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (stream, peer, place) = tokio::select! {
            () = &mut stop => break,
            (accepted, place) = accepted => match (accepted, place) {
                (Ok((stream, peer)), Ok(place)) => {
                    failing = false;
                    (stream, peer, place)
                }
                // This one went away before it was accepted; the next one is none the worse for it.
                (Err(error), _) if error.kind() == ErrorKind::ConnectionAborted => continue,
                (Err(error), _) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "connections cannot be accepted; trying again until they can");
                    }
                    breathe().await;
                    continue;
                }
                (_, Err(_)) => break,
            },
        };
        let _ = stream.set_nodelay(true);
        // Whoever asks and never reads would hold its connection, and what waits in it, for ever: the kernel ends it.
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNREAD_MILLIS);
        let connection = Connection { peer, site: Arc::clone(&site), under_way: under_way.watcher() };
        let tls = tls.clone().map(|tls| (tls, not_stopping.clone()));
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => connection.serve(stream).await,
                // Here and not where connections are accepted: whoever is slow to shake hands keeps nobody else waiting.
                Some((tls, mut not_stopping)) => tokio::select! {
                    shaken = tokio::time::timeout(HANDSHAKE_PATIENCE, tls.accept(stream)) => match shaken {
                        Ok(Ok(stream)) => connection.serve(stream).await,
                        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    },
                    // Nothing was asked yet, so nothing has to be finished.
                    _ = not_stopping.changed() => {}
                },
            }
        });
    }
    drop(listener);
    drop(stopping);
    if tokio::time::timeout(LAST_REQUESTS, under_way.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in {} seconds", LAST_REQUESTS.as_secs());
    }
}

/// Out of descriptors, mostly: whoever has one gives it back sooner or later, and nothing tells us when. Asking without a
/// pause would take a processor from those who could.
#[allow(clippy::disallowed_methods, reason = "there is no event to wait for, and no test waits here")]
pub(crate) async fn breathe() {
    tokio::time::sleep(BREATH).await;
}

struct Connection<S> {
    peer: SocketAddr,
    site: Arc<S>,
    under_way: Watcher,
}

impl<S: Site> Connection<S> {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, site, under_way } = self;
        let quiet = Arc::new(Quiet::default());
        let told = Arc::clone(&quiet);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (site, quiet) = (Arc::clone(&site), Arc::clone(&told));
            quiet.ends();
            async move {
                let response = site.answer(peer, request.map(Body::new)).await;
                quiet.begins();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            // In the place of hyper's own, which sets a clock for each request.
            .header_read_timeout(None)
            .max_buf_size(LARGEST_HEADERS)
            // Replies are small: copied behind their headers they are one piece for the kernel.
            .writev(false)
            .serve_connection(TokioIo::new(Heard { stream, quiet: Arc::clone(&quiet) }), service);
        tokio::select! {
            ended = under_way.watch(connection) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            () = quiet.too_long() => tracing::debug!("a connection was quiet for too long"),
        }
    }
}

/// A connection that tells when something of a reply was taken off it.
struct Heard<C> {
    stream: C,
    quiet: Arc<Quiet>,
}

impl<C: AsyncRead + Unpin> AsyncRead for Heard<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Heard<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, from);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.quiet.is_read();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// For how long a connection has had no whole request: it may be idle, or slow with its headers. Counted in ticks.
#[derive(Default)]
struct Quiet(AtomicU32);

impl Quiet {
    /// The count while a request is being answered.
    const NOT: u32 = u32::MAX;

    fn begins(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn ends(&self) {
        self.0.store(Self::NOT, Ordering::Relaxed);
    }

    /// Somebody reads a long reply: that is not quiet, however slow. Whoever does not read at all is the kernel's business.
    fn is_read(&self) {
        let now = self.0.load(Ordering::Relaxed);
        if now != Self::NOT && now != 0 {
            let _ = self.0.compare_exchange(now, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Comes back once it is [`HEADER_PATIENCE`], or a tick more.
    async fn too_long(&self) {
        let mut ticks = tokio::time::interval(HEADER_PATIENCE / TICKS);
        loop {
            ticks.tick().await;
            let now = self.0.load(Ordering::Relaxed);
            if now == Self::NOT {
                continue;
            }
            if now > TICKS {
                return;
            }
            // A request that comes just now is not to be forgotten.
            let _ = self.0.compare_exchange(now, now + 1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
