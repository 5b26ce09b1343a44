//! Connections: as many as are allowed, made when they are needed, and given back when a transaction is over.
//!
//! 1. [`Pool::take`] gives one that rests, or makes one. If all are taken it waits a little; if too many wait already it says so at
//!    once: load is shed before it piles up.
//! 2. [`Db`] is a connection with its prepared statements and the transaction under way. `BEGIN` travels with the first
//!    statement: it costs no round trip of its own.
//! 3. A connection that is given up in the middle of a transaction is closed, and the database rolls back.
//! 4. Of several hosts the one that took writes last is asked first, and the next one as soon as that fails or is silent for a
//!    moment: a host that has vanished holds nobody up.

use std::{
    collections::HashMap,
    ops::Deref,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use regrant_engine::{
    event::Event,
    ports::{Foresight, Places, Random},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_postgres::{Client, NoTls, Row, Statement, binary_copy::BinaryCopyInWriter, types::ToSql};

use super::{
    fault::Fault,
    row::{Value, Written, borrowed},
    stopwatch::Stopwatch,
    url::Address,
};
use crate::listener::Listener;

/// How long a statement may go unanswered. Only a server that hangs, or a net that swallows, takes so long.
const UNANSWERED: Duration = Duration::from_secs(20);
/// How long one host may take until a connection can be used, whatever it waits for.
const REACHED: Duration = Duration::from_secs(5);
/// How long a host may be silent before the next one is asked too.
const MOMENT: Duration = Duration::from_millis(300);
/// What every connection is told at first, where the engine knows it: a node that is frozen in the middle of a transaction must not
/// keep its locks from the others.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = 15000";

/// Parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What every connection has at hand.
pub(super) struct Surroundings {
    pub(super) random: Arc<dyn Random>,
    pub(super) foresight: std::sync::OnceLock<Foresight>,
    /// Says where a user lives.
    pub(super) places: std::sync::OnceLock<Places>,
    pub(super) listener: Option<Arc<dyn Listener>>,
    pub(super) wants_events: bool,
}

/// See the module.
pub(super) struct Pool {
    address: Arc<Address>,
    /// The host that took writes last, by its place.
    chosen: AtomicUsize,
    resting: Mutex<Vec<Arc<Db>>>,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    /// How long one may wait for a connection.
    patience: Duration,
    surroundings: Arc<Surroundings>,
    /// Why nobody is to work here any more.
    closed: OnceLock<String>,
}

impl Pool {
    pub(super) fn new(address: Address, connections: usize, surroundings: Arc<Surroundings>) -> Self {
        Self {
            address: Arc::new(address),
            chosen: AtomicUsize::new(0),
            resting: Mutex::new(Vec::new()),
            free: Arc::new(Semaphore::new(connections)),
            waiting: AtomicUsize::new(0),
            // Each is served some hundred times a second: whoever would wait longer than a moment comes back later.
            most_waiting: connections.saturating_mul(64),
            patience: Duration::from_secs(5),
            surroundings,
            closed: OnceLock::new(),
        }
    }

    /// From here on nobody gets a connection: the store is at another place.
    pub(super) fn close(&self, why: String) {
        let _ = self.closed.set(why);
    }

    /// Says so, if nobody is to work here.
    pub(super) fn is_open(&self) -> Result<(), Fault> {
        self.closed.get().map_or(Ok(()), |why| Err(Fault::Unreachable(why.clone())))
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// A connection to work on.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Lease, Fault> {
        self.is_open()?;
        let began = self.surroundings.listener.as_ref().map(|listener| (listener, Stopwatch::start()));
        let taken = self.taken().await;
        if let Some((listener, began)) = began {
            listener.waited(began.elapsed());
        }
        taken
    }

    async fn taken(self: &Arc<Self>) -> Result<Lease, Fault> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        loop {
            let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match resting {
                Some(db) if !db.is_sound() => {}
                Some(db) => return Ok(self.lease(db, permit)),
                None => return Ok(self.lease(Arc::new(self.connect().await?), permit)),
            }
        }
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, Fault> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.most_waiting {
            return Err(Fault::Overloaded);
        }
        match tokio::time::timeout(self.patience, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Fault::Overloaded),
        }
    }

    fn lease(self: &Arc<Self>, db: Arc<Db>, permit: OwnedSemaphorePermit) -> Lease {
        Lease { db, pool: Arc::clone(self), _permit: permit }
    }

    /// One connection did not answer: those that rest beside it are made anew, rather than found out one by one.
    pub(super) fn doubt(&self) {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Makes a connection of its own, beside the pool's.
    pub(super) async fn connect(&self) -> Result<Db, Fault> {
        let (client, weak) = self.reach().await?;
        Ok(Db {
            client,
            statements: Mutex::new(HashMap::new()),
            transaction: Mutex::new(Transaction::None),
            weak,
            patience: UNANSWERED,
            strengthened: AtomicBool::new(false),
            spoiled: AtomicBool::new(false),
            began: Mutex::new(None),
            told: Mutex::new(Vec::new()),
            surroundings: Arc::clone(&self.surroundings),
        })
    }

    /// The first host that takes writes.
    async fn reach(&self) -> Result<(Client, bool), Fault> {
        let count = self.address.hosts.len().max(1);
        let first = self.chosen.load(Ordering::Relaxed);
        let mut places = (0..count).map(|step| (first + step) % count);
        let (mut attempts, mut failures) = (JoinSet::new(), Vec::new());
        loop {
            if let Some(place) = places.next() {
                attempts.spawn(attempt(Arc::clone(&self.address), place));
            }
            let answered = match places.len() {
                0 => attempts.join_next().await,
                _ => match tokio::time::timeout(MOMENT, attempts.join_next()).await {
                    Ok(answered) => answered,
                    Err(_) => continue,
                },
            };
            match answered {
                Some(Ok((place, Ok(reached)))) => {
                    self.chosen.store(place, Ordering::Relaxed);
                    return Ok(reached);
                }
                Some(Ok((place, Err(why)))) => {
                    let named = self.address.hosts.get(place).map_or("", |(named, _)| named.as_str());
                    failures.push(format!("{named}: {why}"));
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        Err(Fault::Unreachable(format!("cannot connect to {} ({})", self.address, failures.join("; "))))
    }
}

/// Connects to the host at this place, and finds out whether it takes writes and how strongly it commits.
async fn attempt(address: Arc<Address>, place: usize) -> (usize, Result<(Client, bool), String>) {
    let told = |error: tokio_postgres::Error| super::fault::told(&error);
    let reached = tokio::time::timeout(REACHED, async {
        let Some((_, config)) = address.hosts.get(place) else { return Err("there is no such host".to_owned()) };
        let client = match &address.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await.map_err(told)?;
                tokio::spawn(async move {
                    // How it ended is told to whoever used it.
                    let _ = connection.await;
                });
                client
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(told)?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                client
            }
        };
        // Who does not know it goes on without.
        let _ = client.batch_execute(SETTINGS).await;
        let weak = is_weak(&client).await.map_err(told)?;
        Ok((client, weak))
    });
    match reached.await {
        Ok(reached) => (place, reached),
        Err(_) => (place, Err(format!("no answer within {} seconds", REACHED.as_secs()))),
    }
}

/// Whether a COMMIT is answered before it is on disk, or before the standbys have it that were named: an end must not be.
async fn is_weak(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let told = client.query_one("SHOW synchronous_commit", &[]).await?;
    let mode: &str = told.try_get(0)?;
    Ok(matches!(mode, "off" | "local" | "remote_write"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    /// It begins with the next statement.
    Due,
    Open,
}

/// A connection.
pub(super) struct Db {
    pub(super) client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    transaction: Mutex<Transaction>,
    weak: bool,
    /// How long it waits for an answer.
    patience: Duration,
    strengthened: AtomicBool,
    /// An answer did not come, or the server is not the one that can do it.
    spoiled: AtomicBool,
    /// The transaction under way, where somebody wants to know how long it takes.
    began: Mutex<Option<Stopwatch>>,
    told: Mutex<Vec<Event>>,
    pub(super) surroundings: Arc<Surroundings>,
}

impl Db {
    pub(super) fn random(&self) -> &dyn Random {
        &*self.surroundings.random
    }

    /// All rows.
    pub(super) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.prepared(sql).await?;
        if !self.begins() {
            return self.answered(self.client.query(&statement, params)).await;
        }
        self.answered(async {
            // In this order: what is polled first is sent first.
            let (begun, rows) =
                tokio::join!(biased; self.client.batch_execute("BEGIN"), self.client.query(&statement, params));
            begun?;
            rows
        })
        .await
    }

    /// The only row, if there is one.
    pub(super) async fn row(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// How many rows it changed.
    pub(super) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        let statement = self.prepared(sql).await?;
        if !self.begins() {
            return self.answered(self.client.execute(&statement, params)).await;
        }
        self.answered(async {
            let (begun, changed) =
                tokio::join!(biased; self.client.batch_execute("BEGIN"), self.client.execute(&statement, params));
            begun?;
            changed
        })
        .await
    }

    /// Begins to write many rows of one table.
    pub(super) async fn copy(&self, what: &Written) -> Result<Copying<'_>, Fault> {
        // A row of a copy is what a statement's parameters are.
        let row = self.prepared(&what.insert()).await?;
        if self.begins() {
            self.answered(self.client.batch_execute("BEGIN")).await?;
        }
        let sink = self.answered(self.client.copy_in(what.copy().as_str())).await?;
        Ok(Copying { db: self, writer: Box::pin(BinaryCopyInWriter::new(sink, row.params())) })
    }

    /// Waits for an answer, but not for ever. Without one the connection is given up.
    async fn answered<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
        match tokio::time::timeout(self.patience, asked).await {
            Ok(answered) => Ok(answered?),
            Err(_) => {
                self.spoil();
                Err(Fault::Unreachable(format!("PostgreSQL did not answer within {} seconds", self.patience.as_secs())))
            }
        }
    }

    /// Waits no longer than this for an answer from now on.
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Lets nobody use it again.
    pub(super) fn spoil(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
    }

    /// Whether it can be used again.
    pub(super) fn is_sound(&self) -> bool {
        !self.spoiled.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    pub(super) async fn prepared(&self, sql: &str) -> Result<Statement, Fault> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.answered(self.client.prepare(sql)).await?;
        // Whatever a test sends is held against the rules of engines that spread over machines.
        #[cfg(test)]
        super::tests::spread::hold(sql, statement.params())?;
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// A statement was prepared on tables that have changed since.
    pub(super) fn forget_statements(&self) {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// From the next statement on, a transaction.
    pub(super) fn begin(&self) {
        self.set(Transaction::Due);
        self.strengthened.store(false, Ordering::Relaxed);
        let began = self.surroundings.listener.is_some().then(Stopwatch::start);
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = began;
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Undoes what the transaction did, and begins anew.
    pub(super) async fn restart(&self) -> Result<(), Fault> {
        if self.is_open() {
            self.answered(self.client.batch_execute("ROLLBACK")).await?;
        }
        self.begin();
        Ok(())
    }

    fn begins(&self) -> bool {
        let mut transaction = self.transaction.lock().unwrap_or_else(PoisonError::into_inner);
        let due = *transaction == Transaction::Due;
        if due {
            *transaction = Transaction::Open;
        }
        due
    }

    fn set(&self, to: Transaction) {
        *self.transaction.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    fn is_open(&self) -> bool {
        *self.transaction.lock().unwrap_or_else(PoisonError::into_inner) == Transaction::Open
    }

    /// This transaction ends something: its COMMIT is answered when it is as safe as the server can make it, whatever the
    /// connection does otherwise.
    pub(super) async fn strongly(&self) -> Result<(), Fault> {
        if self.weak && !self.strengthened.swap(true, Ordering::Relaxed) {
            self.run("SET LOCAL synchronous_commit = on", &[]).await?;
        }
        Ok(())
    }

    /// Keeps what the transaction under way tells the timeline, for whoever listens.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.surroundings.wants_events {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).push(event());
        }
    }

    /// Commits. Without an answer nobody knows whether it did; whoever asks again finds out.
    pub(super) async fn commit(&self) -> Result<(), Fault> {
        if self.is_open() {
            self.answered(self.client.batch_execute("COMMIT")).await?;
            self.hear();
        }
        self.set(Transaction::None);
        Ok(())
    }

    /// Tells the listener what was committed.
    fn hear(&self) {
        if let Some(listener) = &self.surroundings.listener {
            let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
            let began = self.began.lock().unwrap_or_else(PoisonError::into_inner).take();
            listener.took(1, began.map(Stopwatch::elapsed).unwrap_or_default(), told);
        }
    }

    /// Undoes what the transaction did. If that fails the connection is not used again.
    pub(super) async fn roll_back(&self) {
        let open = self.is_open() && self.is_sound();
        if !open || self.answered(self.client.batch_execute("ROLLBACK")).await.is_ok() {
            self.set(Transaction::None);
        }
    }
}

/// Rows under way to one table; without [`Copying::end`] there will be none.
pub(super) struct Copying<'a> {
    db: &'a Db,
    writer: Pin<Box<BinaryCopyInWriter>>,
}

impl Copying<'_> {
    pub(super) async fn row(&mut self, values: Vec<Value<'_>>) -> Result<(), Fault> {
        self.db.answered(self.writer.as_mut().write(&borrowed(&values))).await
    }

    pub(super) async fn end(mut self) -> Result<(), Fault> {
        self.db.answered(self.writer.as_mut().finish()).await.map(drop)
    }
}

/// A connection that is taken. It goes back when this is dropped.
pub(super) struct Lease {
    db: Arc<Db>,
    pool: Arc<Pool>,
    // After the connection is back.
    _permit: OwnedSemaphorePermit,
}

impl Deref for Lease {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.db.spoiled.load(Ordering::Relaxed) {
            self.pool.doubt();
        } else if !self.db.is_open() && self.db.is_sound() {
            self.db.set(Transaction::None);
            self.pool.resting.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&self.db));
        }
        // Else it is closed, with what it was in the middle of.
    }
}
