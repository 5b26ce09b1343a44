//! Lanes: threads that connections stay on.
//!
//! A connection is served by one thread from its beginning to its end. Tasks that wander between processors find each of their
//! buffers in the other one's cache, which cost more than parsing what was in them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
};

/// As many as there are processors. Whatever a connection's requests start runs on its lane too, so lanes have to outlive what is
/// shared between requests.
pub(crate) struct Lanes(Vec<Lane>);

struct Lane {
    /// `None` only while it is let go of.
    runtime: Option<Runtime>,
    /// How many connections it has.
    open: Arc<AtomicUsize>,
}

impl Lanes {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no threads left.
    pub(crate) fn start() -> io::Result<Self> {
        let lane = |_| {
            // One thread each, and not `new_current_thread`: whoever wakes that from outside asks the kernel every time.
            let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("lane").enable_all().build()?;
            Ok(Lane { runtime: Some(runtime), open: Arc::default() })
        };
        (0..thread::available_parallelism()?.get()).map(lane).collect::<io::Result<_>>().map(Self)
    }

    /// Serves a connection on the lane that has the fewest.
    pub(super) fn spawn<S: Future<Output = ()> + Send + 'static>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> S + Send + 'static,
    ) {
        let Some(Lane { runtime: Some(runtime), open }) =
            self.0.iter().min_by_key(|lane| lane.open.load(Ordering::Relaxed))
        else {
            return;
        };
        let place = Place::taken(open);
        // Its events are to come to the lane's own thread.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "a connection could not be given to a thread"),
        };
        runtime.spawn(async move {
            let _place = place;
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "a connection could not be taken by a thread"),
            }
        });
    }
}

impl Drop for Lane {
    /// Whoever lets go of it is in another runtime, and may not wait there.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One connection's share of a lane.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn taken(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::{io::AsyncReadExt, net::TcpListener, sync::mpsc};

    use super::*;

    #[tokio::test]
    async fn connections_are_spread_evenly_and_stay_where_they_are() {
        let lanes = Lanes::start().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut clients = Vec::new();
        for number in 0..3 * lanes.0.len() {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            let tell = tell.clone();
            lanes.spawn(stream, async move |mut stream| {
                tell.send((number, thread::current().id())).unwrap();
                // Until the client goes.
                let _ = stream.read(&mut [0]).await;
                tell.send((number, thread::current().id())).unwrap();
            });
        }
        drop(tell);
        let mut places = HashMap::new();
        for _ in 0..clients.len() {
            let (number, thread) = told.recv().await.unwrap();
            places.insert(number, thread);
        }
        for lane in places.values() {
            assert_eq!(places.values().filter(|other| *other == lane).count(), 3);
        }
        drop(clients);
        while let Some((number, thread)) = told.recv().await {
            assert_eq!(places.get(&number), Some(&thread));
        }
        while lanes.0.iter().any(|lane| lane.open.load(Ordering::Relaxed) > 0) {
            tokio::task::yield_now().await;
        }
    }
}
