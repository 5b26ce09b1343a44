//! Stores that move, are stopped at every step, taken back and refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail by panicking"
)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use regrant_engine::ports::{Clock, Loaded, Store, Verdict, Wanted};
use rusqlite::Connection;

use super::*;
use crate::{
    contract::{
        moving::{Filled, come_back, fill},
        world::{Place, RealRandom, World},
    },
    postgres::{Options, PostgresStore, tests::Database},
    sqlite::{OpenError, SqliteStore, moving::Parked, tests::Directory},
};

const NOW: Time = Time::from_millis(1_900_000_000_000);
/// Few enough that the larger tables take several.
const FEW: u32 = 7;

/// A place that stays when the world on it is closed.
struct Kept<T>(Arc<T>);

impl<T: Place> Place for Kept<T> {
    fn open(&self) -> Arc<dyn Store> {
        self.0.open()
    }

    fn after_a_crash(&self) -> Box<dyn Place> {
        self.0.after_a_crash()
    }

    fn beside(&self) -> Box<dyn Place> {
        self.0.beside()
    }

    fn mails(&self) -> usize {
        self.0.mails()
    }
}

fn parked(directory: &Directory) -> Parked {
    Parked::open(&directory.file()).unwrap()
}

async fn database(database: &Database) -> PostgresStore {
    let options = Options { connections: 1, batch: 1, ..Options::default() };
    let store = PostgresStore::new(database.address().of_a_move(), Arc::new(RealRandom), options);
    store.prepare_move(true).await.unwrap();
    store
}

fn side<'a>(name: &'a str, store: &'a dyn Movable) -> Side<'a> {
    Side { store, name }
}

async fn try_to_carry(from: (&str, &dyn Movable), to: (&str, &dyn Movable)) -> Result<Moved, MoveError> {
    carry(side(from.0, from.1), side(to.0, to.1), NOW, &RealRandom, FEW).await
}

async fn totals(store: &dyn Movable) -> Vec<(&'static str, Total)> {
    let mut totals = Vec::new();
    for table in &TABLES {
        totals.push((table.name, total(side("it", store), table, 1000).await.unwrap()));
    }
    totals
}

fn refused_for(outcome: Result<Moved, MoveError>, words: &[&str]) {
    let Err(MoveError::Refused(why)) = outcome else { panic!("{outcome:?}") };
    for word in words {
        assert!(why.contains(word), "{word:?} is not in: {why}");
    }
}

/// A directory with something of everything, and the time there.
async fn filled() -> (Arc<Directory>, Filled, Time) {
    let directory = Arc::new(Directory::new());
    let mut world = World::at(Box::new(Kept(Arc::clone(&directory)))).await;
    let filled = fill(&mut world).await;
    let now = world.clock.now();
    (directory, filled, now)
}

/// Everybody comes back to a place; the time afterwards.
async fn visit(place: Box<dyn Place>, filled: &mut Filled, now: Time) -> Time {
    let world = World::at(place).await;
    world.clock.set(now);
    come_back(&world, filled).await;
    world.clock.now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_to_postgresql_and_back_and_every_token_works_there() {
    let (directory, mut held, now) = filled().await;
    let away = Arc::new(Database::new());
    let before = {
        let (here, there) = (parked(&directory), database(&away).await);
        let before = totals(&here).await;
        for (table, total) in &before {
            assert!(total.rows > 0, "nothing is in {table}");
        }
        let Moved::Now(moved) = try_to_carry(("here", &here), ("there", &there)).await.unwrap() else { panic!() };
        assert_eq!(moved, before);
        assert_eq!(totals(&there).await, before);
        // Once more: it is done.
        assert_eq!(try_to_carry(("here", &here), ("there", &there)).await, Ok(Moved::Before));
        before
    };
    let closed = SqliteStore::open(&directory.file(), Arc::new(RealRandom), Box::new(|_| {}));
    assert!(matches!(closed, Err(OpenError::Moved(why)) if why.contains("moved to there")));

    let now = visit(Box::new(Kept(Arc::clone(&away))), &mut held, now).await;
    // Somebody came back: what is here is old, and cannot be the store again just so.
    let (here, there) = (parked(&directory), database(&away).await);
    let taken = take_back(side("here", &here), "there", Ok(&there), NOW).await;
    let Err(MoveError::Refused(why)) = taken else { panic!("{taken:?}") };
    assert!(why.contains("regrant move --from there --to here"), "{why}");
    // It comes back with all of that, into the place that it left.
    let Moved::Now(moved) = try_to_carry(("there", &there), ("here", &here)).await.unwrap() else { panic!() };
    assert_ne!(moved, before);
    assert_eq!(totals(&here).await, moved);
    drop((here, there));
    let node = PostgresStore::new(away.address(), Arc::new(RealRandom), Options::default());
    assert!(matches!(node.check().await, Err(crate::postgres::OpenError::Moved(_))));
    drop(node);
    visit(Box::new(Kept(Arc::clone(&directory))), &mut held, now).await;

    // And to a new directory, from file to file.
    let other = Directory::new();
    let (here, there) = (parked(&directory), parked(&other));
    try_to_carry(("here", &here), ("a third place", &there)).await.unwrap();
    assert_eq!(totals(&here).await, totals(&there).await);
}

/// What fails when so many durable steps were made: as if the process had been killed before the next one, or after the last.
struct Stopping<'a> {
    store: &'a dyn Movable,
    left: &'a AtomicUsize,
}

impl Stopping<'_> {
    fn step<'a, T: Send + 'a>(&'a self, step: Answer<'a, T>) -> Answer<'a, T> {
        let killed = || Err(Broken::Store("killed".to_owned()));
        Box::pin(async move {
            let last = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            match last {
                Ok(_) => step.await,
                Err(_) => killed(),
            }
        })
    }
}

impl Movable for Stopping<'_> {
    fn mark(&self) -> Answer<'_, Option<Mark>> {
        self.store.mark()
    }
    fn set_mark(&self, expected: Option<Mark>, next: Option<Mark>) -> Answer<'_, bool> {
        // Boxed before it runs: an embedded store does its work when it is asked.
        self.step(Box::pin(async move { self.store.set_mark(expected, next).await }))
    }
    fn id(&self, fresh: String) -> Answer<'_, String> {
        self.step(Box::pin(async move { self.store.id(fresh).await }))
    }
    fn occupied(&self) -> Answer<'_, Option<&'static str>> {
        self.store.occupied()
    }
    fn in_use(&self, now: Time) -> Answer<'_, Option<String>> {
        self.store.in_use(now)
    }
    fn clear(&self, mark: Mark) -> Answer<'_, ()> {
        self.step(Box::pin(async move { self.store.clear(mark).await }))
    }
    fn read(&self, table: &'static Table, after: Option<Row>, limit: u32) -> Answer<'_, Batch> {
        self.store.read(table, after, limit)
    }
    fn position(&self, table: &'static Table) -> Answer<'_, Position> {
        self.store.position(table)
    }
    fn write(&self, table: &'static Table, rows: Vec<Row>, expected: Position, next: Position) -> Answer<'_, bool> {
        self.step(Box::pin(async move { self.store.write(table, rows, expected, next).await }))
    }
    fn settle(&self) -> Answer<'_, ()> {
        self.step(Box::pin(async move { self.store.settle().await }))
    }
}

async fn is_served(store: &dyn Movable) -> bool {
    let is_open = store.mark().await.unwrap().is_none_or(|mark| mark.why_not().is_none());
    is_open && store.occupied().await.unwrap().is_some()
}

/// Stopped at every durable step: never are both served, and another run, or the way back, ends well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_stopped_at_any_step_is_finished_or_taken_back() {
    let (directory, ..) = filled().await;
    let expected = totals(&parked(&directory)).await;
    let mut stopped = 0;
    for steps in 0.. {
        let mut finished = false;
        for goes_back in [false, true] {
            let copy = Directory::new();
            std::fs::copy(directory.file(), copy.file()).unwrap();
            let elsewhere = Directory::new();
            let left = AtomicUsize::new(steps);
            {
                let (here, there) = (parked(&copy), parked(&elsewhere));
                let (from, to) = (Stopping { store: &here, left: &left }, Stopping { store: &there, left: &left });
                // Large batches: the steps between tables are those that differ.
                let outcome = carry(side("here", &from), side("there", &to), NOW, &RealRandom, 40).await;
                finished = outcome.is_ok();
                assert!(matches!(outcome, Ok(Moved::Now(_)) | Err(MoveError::Broken { .. })), "{outcome:?}");
            }
            let (here, there) = (parked(&copy), parked(&elsewhere));
            assert!(!(is_served(&here).await && is_served(&there).await), "both are served after {steps} steps");
            let (from, to) = (side("here", &here), side("there", &there));
            if goes_back {
                if here.mark().await.unwrap().is_some() {
                    take_back(from, "there", Ok(&there), NOW).await.unwrap();
                }
                assert!(is_served(&here).await && !is_served(&there).await);
                assert_eq!(here.mark().await.unwrap(), None);
            }
            carry(from, to, NOW, &RealRandom, 40).await.unwrap();
            assert!(!is_served(&here).await && is_served(&there).await);
            assert_eq!(totals(&there).await, expected);
            stopped += 1;
        }
        if finished {
            break;
        }
    }
    assert!(stopped > 2 * 25, "{stopped} stops");
}

/// On its way something becomes of the copy: the error says in which table, and the source is served as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_differs_is_found_out() {
    struct Tampering<'a>(&'a Parked, &'a Directory, &'a str);
    impl Movable for Tampering<'_> {
        fn mark(&self) -> Answer<'_, Option<Mark>> {
            self.0.mark()
        }
        fn set_mark(&self, expected: Option<Mark>, next: Option<Mark>) -> Answer<'_, bool> {
            self.0.set_mark(expected, next)
        }
        fn id(&self, fresh: String) -> Answer<'_, String> {
            self.0.id(fresh)
        }
        fn occupied(&self) -> Answer<'_, Option<&'static str>> {
            self.0.occupied()
        }
        fn in_use(&self, now: Time) -> Answer<'_, Option<String>> {
            self.0.in_use(now)
        }
        fn clear(&self, mark: Mark) -> Answer<'_, ()> {
            self.0.clear(mark)
        }
        fn read(&self, table: &'static Table, after: Option<Row>, limit: u32) -> Answer<'_, Batch> {
            self.0.read(table, after, limit)
        }
        fn position(&self, table: &'static Table) -> Answer<'_, Position> {
            self.0.position(table)
        }
        fn write(&self, table: &'static Table, rows: Vec<Row>, expected: Position, next: Position) -> Answer<'_, bool> {
            self.0.write(table, rows, expected, next)
        }
        fn settle(&self) -> Answer<'_, ()> {
            assert!(Connection::open(self.1.file()).unwrap().execute(self.2, []).unwrap() > 0);
            self.0.settle()
        }
    }
    let (directory, ..) = filled().await;
    for (table, sql) in [
        ("events", "DELETE FROM events WHERE id IN (SELECT id FROM events LIMIT 1)"),
        ("passwords", "UPDATE passwords SET changed_at = changed_at + 1"),
        ("grants", "UPDATE grants SET renewals = x''"),
        ("users", "UPDATE identifiers SET shown = shown || '!'"),
    ] {
        let elsewhere = Directory::new();
        let (here, there) = (parked(&directory), parked(&elsewhere));
        let tampering = Tampering(&there, &elsewhere, sql);
        let outcome = try_to_carry(("here", &here), ("there", &tampering)).await;
        let Err(error @ MoveError::Differs { .. }) = outcome else { panic!("{outcome:?}") };
        assert!(error.to_string().contains(&format!("table {table} ")), "{error}");
        assert_eq!(here.mark().await.unwrap(), None);
        assert!(is_served(&here).await && !is_served(&there).await);
    }
    let elsewhere = Directory::new();
    let (here, there) = (parked(&directory), parked(&elsewhere));
    try_to_carry(("here", &here), ("there", &there)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_moved_is_refused_with_a_way_out() {
    let (directory, ..) = filled().await;
    let (taken, ..) = filled().await;
    let (here, full) = (parked(&directory), parked(&taken));
    refused_for(try_to_carry(("here", &here), ("full", &full)).await, &["there is a store in full already", "empty"]);
    assert_eq!((here.mark().await.unwrap(), full.mark().await.unwrap()), (None, None), "nothing was begun");
    // An unfinished copy of another store.
    let places: Vec<Directory> = (0..3).map(|_| Directory::new()).collect();
    let half = parked(&places[0]);
    let left = AtomicUsize::new(9);
    let stopping = Stopping { store: &half, left: &left };
    assert!(matches!(try_to_carry(("here", &here), ("half", &stopping)).await, Err(MoveError::Broken { .. })));
    refused_for(try_to_carry(("full", &full), ("half", &half)).await, &["unfinished copy of here"]);
    refused_for(try_to_carry(("half", &half), ("new", &parked(&places[2]))).await, &["unfinished copy of here"]);
    // A source that goes somewhere else.
    let other = parked(&places[1]);
    refused_for(try_to_carry(("here", &here), ("other", &other)).await, &["being moved to half", "--take-back"]);
    try_to_carry(("here", &here), ("half", &half)).await.unwrap();
    refused_for(try_to_carry(("here", &here), ("other", &other)).await, &["was moved to half"]);
    refused_for(try_to_carry(("full", &full), ("here", &here)).await, &["was moved to half"]);
    let taken = take_back(side("here", &here), "other", Ok(&other), NOW).await;
    assert!(matches!(taken, Err(MoveError::Refused(why)) if why.contains("was moved to half")));
    let taken = take_back(side("full", &full), "half", Ok(&half), NOW).await;
    assert!(matches!(taken, Err(MoveError::Refused(why)) if why.contains("nothing to take back")));
    // Nobody has used the copy yet.
    let taken = take_back(side("here", &here), "half", Err("it is gone".to_owned()), NOW).await;
    assert!(matches!(taken, Err(MoveError::Refused(why)) if why.contains("it is gone")));
    assert_eq!(take_back(side("here", &here), "half", Ok(&half), NOW).await, Ok(TakenBack::Unused));
    assert!(is_served(&here).await && !is_served(&half).await);
}

/// A node that runs is seen, and one that is not seen stops working within two seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_holds_a_move_up_and_does_not_outlive_one() {
    let place = Arc::new(Database::new());
    let world = World::at(Box::new(Kept(Arc::clone(&place)))).await;
    world.user("ada").await;
    let ada = world.sign_in("ada").await;
    let elsewhere = Directory::new();
    let (here, there) = (database(&place).await, parked(&elsewhere));
    refused_for(
        try_to_carry(("here", &here), ("there", &there)).await,
        &["here is in use", "connections of \"regrant\""],
    );
    assert_eq!(here.mark().await.unwrap(), None);
    let leaving = Mark::Leaving { id: "1".to_owned(), to: "there".to_owned(), at: NOW, came: None };
    assert!(here.set_mark(None, Some(leaving)).await.unwrap());
    let asked = world.store().signing_keys().await;
    assert!(matches!(asked, Err(Broken::Store(why)) if why.contains("being moved to there")));
    let presented = world.engine().refresh_keys.open(regrant_engine::token::Endpoint::Session, &ada.token).unwrap();
    let judge = Box::new(|_: Option<&Loaded>| -> Verdict { panic!("nothing is decided") });
    let used = world.store().refresh(presented.grant, Wanted::Roles, judge).await;
    assert!(matches!(used, Err(Broken::Store(why)) if why.contains("being moved to there")));
}

#[test]
fn marks_and_positions_are_read_as_they_were_written() {
    let came = Came { id: "2".to_owned(), from: "there".to_owned(), at: NOW };
    let (id, to, at) = ("1".to_owned(), "\"quoted\"".to_owned(), NOW);
    for mark in [
        Mark::Leaving { id: id.clone(), to: to.clone(), at, came: None },
        Mark::Leaving { id: id.clone(), to: to.clone(), at, came: Some(came.clone()) },
        Mark::Left { id: id.clone(), to: to.clone(), at, came: Some(came.clone()) },
        Mark::Arriving { id, store: "3".to_owned(), from: to, at },
        Mark::Arrived { came: came.clone(), used: false },
        Mark::Arrived { came, used: true },
    ] {
        assert_eq!(Mark::parse(&mark.text()), Ok(mark));
    }
    for damaged in ["", "{}", "{\"state\": \"arrived\"}", "{\"state\": \"elsewhere\"}"] {
        assert!(Mark::parse(damaged).is_err());
    }
    let cells = vec![
        Cell::Null,
        Cell::Id([1; 16]),
        Cell::Shard([2; 4]),
        Cell::Bytes(vec![]),
        Cell::Text("ä\u{0}".to_owned()),
        Cell::Number(-1),
        Cell::Flag(true),
    ];
    for position in [Position::Begin, Position::After(cells), Position::End] {
        assert_eq!(Position::parse(position.text().as_deref()), Ok(position));
    }
    for damaged in ["zz", "01", "0110000000", "070000000", "endend"] {
        assert!(Position::parse(Some(damaged)).is_err(), "{damaged}");
    }
}

/// The sum is of the rows, whatever their order; one bit, one row more, or cells that shift among each other make another.
#[test]
fn a_total_tells_any_difference() {
    let rows = [
        vec![Cell::Text("a".to_owned()), Cell::Text("bc".to_owned())],
        vec![Cell::Number(1), Cell::Null],
        vec![Cell::Flag(true), Cell::Bytes(vec![1])],
    ];
    let of = |rows: &[&Row]| {
        let mut total = Total::default();
        rows.iter().for_each(|row| total.add(row.iter()));
        total
    };
    let all = of(&[&rows[0], &rows[1], &rows[2]]);
    assert_eq!(all, of(&[&rows[2], &rows[0], &rows[1]]));
    assert_eq!(all.digest().len(), 64);
    let shifted = vec![Cell::Text("ab".to_owned()), Cell::Text("c".to_owned())];
    let turned = vec![Cell::Flag(false), Cell::Bytes(vec![1])];
    for other in [
        of(&[&rows[0], &rows[1]]),
        of(&[&rows[0], &rows[1], &rows[2], &rows[2]]),
        of(&[&shifted, &rows[1], &rows[2]]),
        of(&[&rows[0], &rows[1], &turned]),
    ] {
        assert_ne!(all.digest(), other.digest());
    }
}
