//! Connections: how many, how slow, how large their headers, and how they end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::ServiceExt as _;

/// How long a connection may take for its headers, and stay open without a request.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);
/// All headers of a request, in bytes.
const LARGEST_HEADERS: usize = 16 * 1024;
/// How long requests that are under way may take when the server stops.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// What a listener lets through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Open connections; more wait in the kernel's queue.
    pub(crate) connections: u32,
}

/// Accepts and serves until `stop` is done, then lets the requests under way finish.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(usize::MAX)));
    let under_way = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (stream, peer, place) = tokio::select! {
            () = &mut stop => break,
            (accepted, place) = accepted => match (accepted, place) {
                (Ok((stream, peer)), Ok(place)) => (stream, peer, place),
                (Err(error), _) => {
                    // Out of descriptors, mostly: whoever has one gives it back sooner or later.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::task::yield_now().await;
                    continue;
                }
                (_, Err(_)) => break,
            },
        };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = tower::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert::<ConnectInfo<SocketAddr>>(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_PATIENCE)
            .max_buf_size(LARGEST_HEADERS)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = under_way.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(LAST_REQUESTS, under_way.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in {} seconds", LAST_REQUESTS.as_secs());
    }
}
