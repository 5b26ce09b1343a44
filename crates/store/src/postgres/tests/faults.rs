//! Connections that die at the worst moment.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use regrant_engine::{
    event::EventKind,
    ports::{Broken, Store},
    refresh::Intent,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Address, Cluster, Database, Environment, Options, PostgresStore};
use crate::contract::world::{FIREFOX, HOME, Place, RealRandom, Seen, World, try_token};

/// Passes bytes on, and cuts the connection just after it has passed on something with these bytes in it: so often.
struct Cutter {
    address: SocketAddr,
    cuts: Arc<AtomicU32>,
}

impl Cutter {
    async fn new(word: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, cuts) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let left = Arc::clone(&cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", Cluster::shared().port)).await.unwrap();
                tokio::spawn(pass(client, server, word, Arc::clone(&left)));
            }
        });
        Self { address, cuts }
    }
}

async fn pass(client: TcpStream, server: TcpStream, word: &[u8], cuts: Arc<AtomicU32>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
        let is_it = buffer[..length].windows(word.len()).any(|seen| seen == word);
        let cut = is_it && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if cut {
            // No answer comes back; the database does what it was told.
            back.abort();
        }
        if to_server.write_all(&buffer[..length]).await.is_err() || cut {
            break;
        }
    }
    let _ = to_server.shutdown().await;
}

/// A database behind a [`Cutter`].
struct Behind {
    database: Database,
    address: SocketAddr,
    batch: usize,
}

impl Place for Behind {
    fn open(&self) -> Arc<dyn Store> {
        drop(self.database.store(Options::default()));
        let url = format!("postgres://postgres@{}/{}", self.address, self.database.name());
        let address = Address::parse(&url, &Environment::default()).unwrap();
        let options = Options { batch: self.batch, ..Options::default() };
        Arc::new(PostgresStore::new(address, Arc::new(RealRandom), options))
    }

    fn after_a_crash(&self) -> Box<dyn Place> {
        self.database.after_a_crash()
    }

    fn beside(&self) -> Box<dyn Place> {
        self.database.beside()
    }

    fn mails(&self) -> usize {
        self.database.mails()
    }
}

/// The connection is cut between COMMIT and its answer: the holder is told to come back, and is given the one successor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_safe_to_ask_again() {
    let cutter = Cutter::new(b"COMMIT").await;
    let world = World::at(Box::new(Behind { database: Database::new(), address: cutter.address, batch: 1 })).await;
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let second = world.rotate(&signed.token).await;
    // A predecessor's use is the judge's, and so a transaction.
    cutter.cuts.store(1, Ordering::SeqCst);
    let lost = try_token(&world.engine(), &signed.token, Intent::Rotate, HOME, FIREFOX).await;
    assert!(matches!(lost, Err(Broken::Store(_))), "{lost:?}");
    assert_eq!(cutter.cuts.load(Ordering::SeqCst), 0);
    assert_eq!(world.refresh(&signed.token).await, Seen::Replayed(second.clone()));
    assert!(matches!(world.refresh(&second).await, Seen::Rotated(_)));
    // The same for an end: told to have failed, and made all the same; asked again, there is nothing to end.
    cutter.cuts.store(1, Ordering::SeqCst);
    let out = try_token(&world.engine(), &second, Intent::SignOut, HOME, FIREFOX).await;
    assert!(matches!(out, Err(Broken::Store(_))), "{out:?}");
    assert!(matches!(world.refresh(&second).await, Seen::Over(_)));
    assert_eq!(world.told(signed.session, EventKind::SessionEnded).await, 1);
}

/// The one statement of a refresh commits by itself. Without its answer the judge is asked, who sees what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_without_an_answer_gives_its_successor_at_once() {
    for batch in [1, 256] {
        let cutter = Cutter::new(&[b'B', 0]).await;
        let world = World::at(Box::new(Behind { database: Database::new(), address: cutter.address, batch })).await;
        world.user("ada").await;
        let signed = world.sign_in("ada").await;
        // Prepared, so that the next thing that is sent is the statement itself.
        let second = world.rotate(&signed.token).await;
        cutter.cuts.store(1, Ordering::SeqCst);
        let third = world.refresh(&second).await;
        assert_eq!(cutter.cuts.load(Ordering::SeqCst), 0, "it was cut");
        assert!(third.token().is_some(), "{third:?}");
        assert_eq!(world.generation(signed.session).await, 3);
        assert!(matches!(world.refresh(third.token().unwrap()).await, Seen::Rotated(_)));
        assert_eq!(world.ended(signed.session).await, None);
    }
}

/// Who would wait too long is told at once, and not after everybody's patience has run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_is_shed_before_it_piles_up() {
    let database = Database::new();
    let store = Arc::new(database.store(Options { connections: 1, batch: 1, ..Options::default() }));
    let taken = store.inner.pool.take().await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let store = Arc::clone(&store);
        waiting.spawn(async move { store.count_sessions().await });
    }
    while store.waiting().0 < 64 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.count_sessions().await, Err(Broken::Overloaded));
    drop(taken);
    assert!(waiting.join_all().await.into_iter().all(|answered| answered == Ok(0)));
}
