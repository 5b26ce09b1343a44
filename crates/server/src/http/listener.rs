//! Connections: how many, how slow, how large their headers, encrypted or not, and how they end.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    BoxError, Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::MissedTickBehavior,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::{
    connections::{Activity, Connections, Finish, Member, TICK},
    lanes::Lanes,
};

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

/// Accepts and serves until `stop` is done, then lets the requests under way finish. Connections are served on `lanes`, or where
/// they are accepted.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: impl Site,
    limits: Limits,
    lanes: Option<Arc<Lanes>>,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(usize::MAX)));
    let (site, connections) = (Arc::new(site), Arc::<Connections>::default());
    let (stopping, not_stopping) = watch::channel(());
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    let mut failing = false;
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (stream, peer, place) = tokio::select! {
            () = &mut stop => break,
            _ = ticks.tick() => {
                connections.tick();
                continue;
            }
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
        let connection = Connection { peer, site: Arc::clone(&site), member: connections.join() };
        let tls = tls.clone().map(|tls| (tls, not_stopping.clone()));
        let serve = async move |stream: TcpStream| {
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
        };
        match &lanes {
            None => drop(tokio::spawn(serve(stream))),
            Some(lanes) => lanes.spawn(stream, serve),
        }
    }
    drop(listener);
    drop(stopping);
    connections.finish();
    // Once all places are free, everybody has gone.
    if tokio::time::timeout(LAST_REQUESTS, places.acquire_many(limits.connections)).await.is_err() {
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
    member: Member,
}

impl<S: Site> Connection<S> {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, site, member } = self;
        let activity = member.activity();
        // The connection's own: all threads would take turns at counting who has the site.
        let own = Arc::new((site, activity.clone()));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let own = Arc::clone(&own);
            async move {
                let (site, activity) = &*own;
                activity.begins();
                let response = site.answer(peer, request.map(Body::new)).await;
                activity.ends();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            // In the place of hyper's own, which sets a clock for each request.
            .header_read_timeout(None)
            // Else it reads on behind a request, into another buffer each time, to find out whether its client has gone; and would
            // drop what is half done. Whoever has gone is found out when the reply is written.
            .half_close(true)
            .max_buf_size(LARGEST_HEADERS)
            // Replies are small: copied behind their headers they are one piece for the kernel.
            .writev(false)
            .serve_connection(TokioIo::new(Heard { stream, activity }), service);
        match member.serve(connection).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
            None => tracing::debug!("a connection was quiet for too long"),
        }
    }
}

impl<I, S, E> Finish for http1::Connection<I, S>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Body, Error = E>,
    E: Into<BoxError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A connection that tells when something of a reply was taken off it.
struct Heard<C> {
    stream: C,
    activity: Activity,
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
            self.activity.is_read();
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
