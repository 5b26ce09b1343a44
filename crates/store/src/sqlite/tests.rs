//! What only the embedded store promises: its file, its threads, its statements. The rest is the contract's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail by panicking"
)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use regrant_engine::{
    event::{Actor, Event, EventKind},
    ports::{Broken, SessionFilter, Store, TimelineOf, UserSelector},
    reason::Reason,
    time::{Seconds, Time},
};
use rusqlite::{
    Connection, params,
    trace::{TraceEvent, TraceEventCodes},
};
use tempfile::TempDir;

use super::{
    DEFAULT_MEMORY, Listener, OpenError, READERS, SqliteStore, event,
    fault::Fault,
    file,
    grants::Desk,
    worker::{Job, Workers, Writer},
};
use crate::contract::world::{PASSWORD, Place, RealRandom, World};

mod keys;

/// A store in a temporary directory.
pub(crate) struct Directory {
    directory: TempDir,
    /// Where the statements of every connection are noted, if they are.
    statements: Option<Statements>,
}

type Statements = Arc<Mutex<BTreeSet<String>>>;

impl Directory {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), statements: None }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("regrant.db")
    }

    fn store(&self) -> SqliteStore {
        open(&self.file()).unwrap()
    }
}

impl Place for Directory {
    fn open(&self) -> Arc<dyn Store> {
        let Some(statements) = &self.statements else {
            return Arc::new(self.store());
        };
        let noted = |mut db: Connection| {
            let statements = Arc::clone(statements);
            let note = move |event: TraceEvent<'_>| {
                if let TraceEvent::Stmt(_, sql) = event {
                    statements.lock().unwrap().insert(sql.to_owned());
                }
            };
            db.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note)).unwrap();
            db
        };
        let desk = Desk::new(noted(file::open_for_writing(&self.file()).unwrap()), DEFAULT_MEMORY).unwrap();
        let checkpoints = file::open_for_checkpoints(&self.file()).unwrap();
        let readers = (0..READERS).map(|_| noted(file::open_for_reading(&self.file()).unwrap()));
        Arc::new(SqliteStore {
            readers: Workers::readers(readers.collect(), 100),
            writer: Workers::writer(writer(desk), checkpoints, 100, Box::new(lost), None),
        })
    }

    /// The file and its write-ahead log as they are; the index of the log lives in memory only.
    fn after_a_crash(&self) -> Box<dyn Place> {
        let left = Self::new();
        for suffix in ["", "-wal"] {
            let name = format!("regrant.db{suffix}");
            std::fs::copy(self.directory.path().join(&name), left.directory.path().join(&name)).unwrap();
        }
        Box::new(left)
    }

    fn beside(&self) -> Box<dyn Place> {
        Box::new(Self::new())
    }

    fn mails(&self) -> usize {
        count(&Connection::open(self.file()).unwrap(), "outbox")
    }
}

fn open(file: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(file, Arc::new(RealRandom), Box::new(lost))
}

fn lost(why: &str) {
    panic!("the disk is said to be lost: {why}");
}

fn count(db: &Connection, table: &str) -> usize {
    let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    usize::try_from(rows).unwrap()
}

// ---- The statements.

/// Everything that a request waits for finds its rows by an index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_scans_a_table() {
    let statements = Statements::default();
    let mut place = Directory::new();
    place.statements = Some(Arc::clone(&statements));
    let file = place.file();
    let world = World::at(Box::new(place)).await;
    statements.lock().unwrap().clear();
    every_request(&world).await;
    let statements = statements.lock().unwrap().clone();
    assert!(statements.len() > 40, "only {} statements were seen", statements.len());
    let db = Connection::open(file).unwrap();
    let mut scans = Vec::new();
    // Resources are few and read as a whole, for all the requests of two seconds together.
    let is_whole = |sql: &str| sql.starts_with("SELECT 1 FROM meta") || sql.ends_with("FROM resources ORDER BY id");
    for sql in statements.iter().filter(|sql| !is_control(sql) && !is_whole(sql)) {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // Unbound parameters are NULL; the plan is the same.
        let steps = plan.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>().unwrap();
        let walks = steps.iter().filter(|step| step.starts_with("SCAN") && !step.contains("CONSTANT ROW"));
        scans.extend(walks.map(|step| format!("{step}: {sql}")));
    }
    assert_eq!(scans, Vec::<String>::new());
}

fn is_control(sql: &str) -> bool {
    ["BEGIN", "COMMIT", "ROLLBACK", "PRAGMA", "--"].iter().any(|word| sql.starts_with(word))
}

/// What users and operators do every day; not the sweep, nor lists of everything.
async fn every_request(world: &World) {
    use regrant_engine::{event::Actor, session, user};

    crate::contract::single_sign_on::every_request(world).await;
    crate::contract::device::every_request(world).await;
    let ada = world.user("ada").await;
    let engine = world.engine();
    let signed = world.sign_in("ada").await;
    crate::contract::world::try_sign_in(&engine, "ada", "not that one at all", "192.0.2.1", None).await;
    let replaced =
        crate::contract::world::try_sign_in(&engine, "ada", PASSWORD, "192.0.2.1", Some(&signed.token)).await;
    assert!(matches!(replaced, regrant_engine::login::SignIn::Granted(_)));
    let signed = world.sign_in("ada").await;
    let second = world.rotate(&signed.token).await;
    let third = world.rotate(&second).await;
    world.refresh(&second).await;
    world.peek(&third).await;
    let record = world.record(signed.session).await;
    let store = world.store();
    for of in [TimelineOf::Session(signed.session), TimelineOf::User(ada), TimelineOf::Grant(record.grant.public_id)] {
        let events = store.timeline(of, 10).await.unwrap();
        store.event(events[0].id).await.unwrap();
    }
    store.session_of(record.grant.public_id).await.unwrap();
    store.session_by_secret(record.grant.id).await.unwrap();
    for (after, ended) in [(None, false), (Some(signed.session), true)] {
        let filter = SessionFilter { user: Some(ada), after, limit: 10, ended };
        store.sessions(filter).await.unwrap();
    }
    store.users(None, 10).await.unwrap();
    assert_eq!(world.refresh(&signed.token).await, crate::contract::world::Seen::Over(Reason::Reused.on_the_wire()));
    let acting = world.sign_in("ada").await;
    world.sign_in("ada").await;
    let changed = crate::contract::password::change(&engine, &acting.token, PASSWORD, "another good one").await;
    assert!(crate::contract::password::done(&changed).is_some());
    session::end_all(&engine, ada, Some(acting.session), Reason::RevokedByUser, Actor::User).await.unwrap();
    session::end(&engine, acting.session, Some(ada), Reason::RevokedByUser, Actor::User).await.unwrap();
    store.upgrade_password(ada, String::new(), String::new()).await.unwrap();
    user::set_password(&engine, UserSelector::Id(ada), String::new()).await.unwrap();
    user::set_disabled(&engine, UserSelector::Id(ada), true).await.unwrap();
    user::set_disabled(&engine, UserSelector::Id(ada), false).await.unwrap();
    user::delete(&engine, UserSelector::Id(ada)).await.unwrap();
    store.ready(Time::from_millis(0)).await.unwrap();
}

/// The sweep runs in the writer's transactions, so it must not walk through a table either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_goes_by_an_index() {
    let statements = Statements::default();
    let mut place = Directory::new();
    place.statements = Some(Arc::clone(&statements));
    let file = place.file();
    let world = World::at(Box::new(place)).await;
    statements.lock().unwrap().clear();
    world.store().sweep(world.engine().now(), world.settings.retention).await.unwrap();
    let statements = statements.lock().unwrap().clone();
    let db = Connection::open(file).unwrap();
    for sql in statements.iter().filter(|sql| sql.contains("failures")) {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<Vec<_>, _>>().unwrap();
        assert!(steps.iter().all(|step| !step.starts_with("SCAN")), "{sql}: {steps:?}");
    }
}

// ---- The threads.

/// A writer on a scratch database whose table `kept` refuses what the test wants refused.
fn scratch(queue: usize) -> (TempDir, Workers<Writer>) {
    let (directory, desk, checkpoints) = scratch_desk();
    desk.execute_batch(
        "CREATE TABLE kept (n INTEGER NOT NULL PRIMARY KEY, parent INTEGER REFERENCES kept DEFERRABLE INITIALLY DEFERRED);
         PRAGMA foreign_keys = ON;",
    )
    .unwrap();
    (directory, Workers::writer(writer(desk), checkpoints, queue, Box::new(lost), None))
}

fn writer(desk: Desk) -> Writer {
    Writer { desk, random: Arc::new(RealRandom) }
}

fn scratch_desk() -> (TempDir, Desk, Connection) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scratch.db");
    let desk = Desk::new(file::open_for_writing(&file).unwrap(), DEFAULT_MEMORY).unwrap();
    let checkpoints = file::open_for_checkpoints(&file).unwrap();
    (directory, desk, checkpoints)
}

fn keep(n: i64, parent: Option<i64>) -> impl FnMut(&Writer) -> Result<i64, Fault> + Send + 'static {
    move |db| {
        db.execute("INSERT INTO kept VALUES (?, ?)", params![n, parent])?;
        Ok(n)
    }
}

fn kept(directory: &TempDir) -> Vec<i64> {
    let db = Connection::open(directory.path().join("scratch.db")).unwrap();
    let mut statement = db.prepare("SELECT n FROM kept ORDER BY n").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Keeps the writer busy until it is let go, so that what is queued meanwhile is one group.
fn hold(writer: &Workers<Writer>) -> (mpsc::Sender<()>, tokio::sync::oneshot::Receiver<Result<(), Broken>>) {
    let (let_go, held) = mpsc::channel();
    let (began, begun) = mpsc::channel();
    let job = move |_: &Writer| {
        let _ = began.send(());
        let _ = held.recv();
        Ok(())
    };
    let promise = writer.submit(Job::new(job)).unwrap();
    begun.recv().unwrap();
    (let_go, promise)
}

#[tokio::test]
async fn a_failing_job_takes_nobody_with_it() {
    let (directory, writer) = scratch(100);
    let (let_go, held) = hold(&writer);
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = {
        let (runs, mut keep) = (Arc::clone(&runs), keep(1, None));
        move |db: &Writer| {
            runs.fetch_add(1, Ordering::SeqCst);
            keep(db)
        }
    };
    let first = writer.submit(Job::new(counted)).unwrap();
    let failing = writer.submit(Job::new(keep(1, None))).unwrap();
    let panicking = writer.submit(Job::new(|_: &Writer| -> Result<i64, Fault> { panic!("a thought we did not have") }));
    let last = writer.submit(Job::new(keep(2, None))).unwrap();
    let_go.send(()).unwrap();
    held.await.unwrap().unwrap();
    assert_eq!(first.await.unwrap(), Ok(1));
    assert!(matches!(failing.await.unwrap(), Err(Broken::Store(_))));
    assert!(matches!(panicking.unwrap().await.unwrap(), Err(Broken::Damaged(_))));
    assert_eq!(last.await.unwrap(), Ok(2));
    assert_eq!(runs.load(Ordering::SeqCst), 2, "it was one group, and each ran again alone");
    drop(writer);
    assert_eq!(kept(&directory), [1, 2]);
}

/// The row without a parent is found out by the commit and not before: nobody of the group may have been answered by then.
#[tokio::test]
async fn nobody_is_answered_before_the_commit() {
    let (directory, writer) = scratch(100);
    let (let_go, held) = hold(&writer);
    let good = writer.submit(Job::new(keep(1, None))).unwrap();
    let refused_by_the_commit = writer.submit(Job::new(keep(2, Some(99)))).unwrap();
    let last = writer.submit(Job::new(keep(3, Some(1)))).unwrap();
    let_go.send(()).unwrap();
    held.await.unwrap().unwrap();
    assert_eq!(good.await.unwrap(), Ok(1));
    assert!(matches!(refused_by_the_commit.await.unwrap(), Err(Broken::Store(_))));
    assert_eq!(last.await.unwrap(), Ok(3));
    drop(writer);
    assert_eq!(kept(&directory), [1, 3]);
}

/// Keeps what the writer tells.
#[derive(Default)]
struct Heard(Mutex<Vec<(usize, Vec<Event>)>>);

impl Listener for Heard {
    fn wants_events(&self) -> bool {
        true
    }

    fn begins(&self) {}

    fn committed(&self, jobs: usize, events: Vec<Event>) {
        self.0.lock().unwrap().push((jobs, events));
    }
}

/// The failing job runs between the others, in their transaction first and alone then: both times it wrote an event.
#[tokio::test]
async fn events_that_were_rolled_back_are_not_told() {
    let (_directory, desk, checkpoints) = scratch_desk();
    let heard = Arc::<Heard>::default();
    let listener: Arc<dyn Listener> = Arc::<Heard>::clone(&heard);
    let writer = Workers::writer(writer(desk), checkpoints, 100, Box::new(lost), Some(listener));
    let told = |at: i64, fails: bool| {
        let told = Event::new(EventKind::KeyCreated, Time::from_millis(at), Actor::System, &RealRandom);
        Job::new(move |db: &Writer| {
            event::insert(db, &told)?;
            if fails { Err(Fault::damaged("it thought again")) } else { Ok(()) }
        })
    };
    let (let_go, held) = hold(&writer);
    let jobs = [(1, false), (2, true), (3, false)].map(|(at, fails)| writer.submit(told(at, fails)).unwrap());
    assert_eq!(writer.waiting(), 3);
    let_go.send(()).unwrap();
    held.await.unwrap().unwrap();
    let [first, failing, last] = jobs;
    assert_eq!(first.await.unwrap(), Ok(()));
    assert!(failing.await.unwrap().is_err());
    assert_eq!(last.await.unwrap(), Ok(()));
    assert_eq!(writer.waiting(), 0);
    // Told before the answer is given, so nothing has to be waited for.
    let heard = heard.0.lock().unwrap();
    let times: Vec<i64> = heard.iter().flat_map(|(_, events)| events).map(|event| event.at.millis()).collect();
    assert_eq!(times, [1, 3]);
    assert_eq!(
        heard.iter().map(|(jobs, _)| *jobs).collect::<Vec<_>>(),
        [1, 1, 1],
        "the group failed and is not counted"
    );
}

#[tokio::test]
async fn a_full_queue_says_so_and_what_is_queued_is_finished() {
    let (directory, writer) = scratch(3);
    let (let_go, held) = hold(&writer);
    let queued: Vec<_> = (1..=3).map(|n| writer.submit(Job::new(keep(n, None))).unwrap()).collect();
    assert_eq!(writer.submit(Job::new(keep(4, None))).err(), Some(Broken::Overloaded));
    let_go.send(()).unwrap();
    // Closing waits for all that was taken in.
    tokio::task::spawn_blocking(move || drop(writer)).await.unwrap();
    held.await.unwrap().unwrap();
    for (n, answer) in (1..).zip(queued) {
        assert_eq!(answer.await.unwrap(), Ok(n));
    }
    assert_eq!(kept(&directory), [1, 2, 3]);
}

/// A job's judge may hold the engine, and so the store; a caller that has gone leaves it the last one to do so.
#[test]
fn a_job_may_be_the_last_to_hold_the_store() {
    let (directory, writer) = scratch(100);
    let (let_go, held) = hold(&writer);
    let writer = Arc::new(writer);
    let (done, finished) = mpsc::channel();
    struct Tell(mpsc::Sender<()>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (holds, mut keep, tell) = (Arc::clone(&writer), keep(1, None), Tell(done));
    let promise = writer
        .submit(Job::new(move |db: &Writer| {
            let (_, _) = (&holds, &tell);
            keep(db)
        }))
        .unwrap();
    drop((promise, held, writer));
    let_go.send(()).unwrap();
    finished.recv().unwrap();
    assert_eq!(kept(&directory), [1]);
}

#[tokio::test]
async fn readers_do_not_wait_for_the_writer() {
    let place = Directory::new();
    let store = place.store();
    let (let_go, held) = hold(&store.writer);
    // The writer is in the middle of a transaction.
    assert_eq!(store.users(None, 10).await, Ok(vec![]));
    assert_eq!(store.identity().await, Ok(Default::default()));
    let_go.send(()).unwrap();
    held.await.unwrap().unwrap();
}

// ---- The file.

/// Under load that never pauses the write-ahead log is written back and begun again, so it does not grow without end.
#[tokio::test]
async fn the_log_is_written_back_under_load() {
    let (directory, writer) = scratch(20_000);
    let log = directory.path().join("scratch.db-wal");
    let mut largest = Vec::new();
    for round in 0..4 {
        let promises: Vec<_> =
            (0..9000).map(|n| writer.submit(Job::new(keep(round * 9000 + n, None))).unwrap()).collect();
        for promise in promises {
            promise.await.unwrap().unwrap();
        }
        largest.push(std::fs::metadata(&log).unwrap().len());
    }
    assert!(largest[3] < largest[0] * 2, "it grew: {largest:?}");
}

/// One caller after the other, each alone in its commit and never a pause: few jobs write many pages.
#[tokio::test]
async fn the_log_is_written_back_under_a_trickle() {
    let (directory, writer) = scratch(10);
    for n in 0..3000 {
        writer.submit(Job::new(keep(n, None))).unwrap().await.unwrap().unwrap();
    }
    let log = std::fs::metadata(directory.path().join("scratch.db-wal")).unwrap().len();
    assert!(log < 8 << 20, "{log} bytes");
}

#[test]
fn a_closed_store_is_one_file() {
    let place = Directory::new();
    drop(place.store());
    let names: Vec<_> =
        std::fs::read_dir(place.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["regrant.db"]);
}

#[test]
fn commits_reach_the_disk() {
    let place = Directory::new();
    let db = file::open_for_writing(&place.file()).unwrap();
    let pragma = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("synchronous"), 2, "FULL");
    assert_eq!(pragma("wal_autocheckpoint"), 0, "checkpoints are the writer's own, or a failed sync would be hidden");
    let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_newer_schema_is_refused() {
    let place = Directory::new();
    drop(place.store());
    Connection::open(place.file()).unwrap().execute_batch("PRAGMA user_version = 1000").unwrap();
    assert!(matches!(open(&place.file()), Err(OpenError::TooNew { found: 1000, .. })));
}

#[test]
fn another_programs_database_is_refused_untouched() {
    for mode in ["DELETE", "WAL"] {
        let place = Directory::new();
        let db = Connection::open(place.file()).unwrap();
        db.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(())).unwrap();
        db.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1);").unwrap();
        drop(db);
        let before = std::fs::read(place.file()).unwrap();
        assert!(matches!(open(&place.file()), Err(OpenError::NotAStore(_))), "{mode}");
        assert_eq!(std::fs::read(place.file()).unwrap(), before, "{mode}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_untouched() {
    let place = Directory::new();
    let text = "this is a letter to my aunt, and not a database at all\n".repeat(100);
    std::fs::write(place.file(), &text).unwrap();
    assert!(matches!(open(&place.file()), Err(OpenError::NotAStore(_))));
    assert_eq!(std::fs::read_to_string(place.file()).unwrap(), text);
}

#[test]
fn a_place_that_is_not_there_is_said() {
    let place = Directory::new();
    let refused = open(&place.directory.path().join("nowhere").join("regrant.db"));
    assert!(matches!(refused, Err(OpenError::Failed(_))));
}

/// The first sector of every page is lost: what is read is an error for the operator, not an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_said_to_be_damaged() {
    let place = Directory::new();
    {
        let store = place.store();
        let filled = store.writer.submit(Job::new(|db: &Writer| {
            for n in 0..1000 {
                db.execute(
                    "INSERT INTO roles (name, created_at) VALUES (?, 1)",
                    params![format!("role {n} {}", "x".repeat(100))],
                )?;
            }
            Ok(())
        }));
        filled.unwrap().await.unwrap().unwrap();
    }
    let mut bytes = std::fs::read(place.file()).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..512].fill(0xa5);
    }
    std::fs::write(place.file(), bytes).unwrap();
    let said = match open(&place.file()) {
        Err(OpenError::NotAStore(_)) => return,
        Err(other) => panic!("{other}"),
        Ok(store) => store.roles().await,
    };
    assert!(matches!(said, Err(Broken::Damaged(_))), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_failures_are_swept() {
    let place = Directory::new();
    let file = place.file();
    let world = World::at(Box::new(place)).await;
    let engine = world.engine();
    crate::contract::world::try_sign_in(&engine, "nobody", "not that one at all", "192.0.2.1", None).await;
    let db = Connection::open(file).unwrap();
    assert_eq!(count(&db, "failures"), 3);
    world.pass(Seconds(24 * 60 * 60 + 1));
    world.store().sweep(engine.now(), world.settings.retention).await.unwrap();
    assert_eq!(count(&db, "failures"), 0);
}
