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
    ports::{Broken, Retention, Store},
    refresh::Intent,
    time::Seconds,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    super::{lease, sweep},
    Address, Cluster, Database, Environment, Options, PostgresStore,
};
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

/// A node that was frozen in the middle of its sweep comes back when another one has taken over: nothing that it still wants to
/// write goes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_to_a_lease_that_another_one_has_writes_nothing() {
    let database = Database::new();
    let (one, other) = (database.store(Options::default()), database.store(Options::default()));
    let world = World::at(Box::new(database)).await;
    world.user("ada").await;
    let session = world.sign_in("ada").await.session;
    let keep = Retention { pace: Seconds::days(400), ..world.settings.retention };
    let begun = world.engine().now();
    let db = one.inner.pool.take().await.unwrap();
    let fence = lease::take(&db, sweep::LEASE, one.inner.holder, begun, sweep::LEASED).await.unwrap().unwrap();
    drop(db);
    // While it is held, the other one leaves the work alone.
    let idle = other.sweep(begun.plus(Seconds(1)), keep).await.unwrap();
    assert_eq!((idle.expired, idle.removed, idle.more), (0, 0, false));
    let later = begun.plus(sweep::LEASED).plus(Seconds(1));
    other.sweep(later, keep).await.unwrap();
    // Long ago it was told that it is so late that everything is to go.
    let late = sweep::sweep_under_lease(&one.inner, later.plus(Seconds::days(365)), keep, fence).await;
    assert!(matches!(&late, Err(Broken::Store(why)) if why.contains("another node")), "{late:?}");
    let clock = one.inner.pool.take().await.unwrap();
    let told = super::super::meta::find(&clock, "sweep.clock").await.unwrap();
    assert_eq!(told, Some(later.millis().to_string()));
    assert_eq!(world.ended(session).await, None);
    // With the lease it is done.
    assert!(one.sweep(later.plus(Seconds::days(365)), keep).await.unwrap().expired > 0);
}

/// A host that takes connections and says nothing holds nobody up: the next one is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_host_is_passed_over() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (database, port) = (Database::new(), silent.local_addr().unwrap().port());
    drop(database.store(Options::default()));
    let reach = |hosts: &str| {
        let address =
            Address::parse(&format!("postgres://postgres@{hosts}/{}", database.name()), &Environment::default());
        PostgresStore::new(address.unwrap(), Arc::new(RealRandom), Options::default())
    };
    let good = format!("127.0.0.1:{}", Cluster::shared().port);
    for hosts in [format!("127.0.0.1:{port},{good}"), format!("{good},127.0.0.1:{port}")] {
        let store = reach(&hosts);
        let counted = tokio::time::timeout(std::time::Duration::from_secs(4), store.count_sessions()).await;
        assert_eq!(counted, Ok(Ok(0)), "{hosts}");
    }
    // Alone, it is told of after a while; each host with its own reason.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let failed = reach(&format!("127.0.0.1:{port},127.0.0.1:{gone}")).count_sessions().await;
    let Err(Broken::Store(why)) = &failed else { panic!("{failed:?}") };
    assert!(why.contains("no answer within 5 seconds") && why.contains("refused"), "{why}");
}

/// Whoever is frozen in the middle of a transaction loses its locks after a while, where the engine knows how.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transaction_may_idle_for_ever() {
    let store = Database::new().store(Options::default());
    let db = store.inner.pool.take().await.unwrap();
    let row = db.row("SELECT current_setting('idle_in_transaction_session_timeout')", &[]).await.unwrap().unwrap();
    assert_eq!(row.get::<_, String>(0), "15s");
}
