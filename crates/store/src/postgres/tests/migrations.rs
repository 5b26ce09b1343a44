//! Migrations of a list of their own: steps that give way, and long work that is broken off, gone on with, and made whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use regrant_engine::{
    ports::{Broken, Carried, Store},
    time::Time,
};

use super::{
    super::{Fill, Index, Long, LongState, MIGRATIONS, Migration, OpenError, schema},
    Address, Database, Environment, Options, PostgresStore, wait,
};
use crate::contract::world::RealRandom;

const ROWS: i64 = 50_000;

/// What the version before knows.
const BEFORE: Migration = Migration {
    version: 101,
    name: "numbers",
    sql: "CREATE TABLE numbers (shard integer NOT NULL, id bigint NOT NULL, narrow bigint NOT NULL, PRIMARY KEY (shard, id))",
    long: None,
    needs: &[],
    oldest: 2,
};
/// Expand: a column, and what is in the other one is to be in this one.
const EXPAND: Migration = Migration {
    version: 103,
    name: "wide numbers",
    sql: "ALTER TABLE numbers ADD COLUMN wide bigint; ALTER TABLE numbers ADD COLUMN times bigint NOT NULL DEFAULT 0",
    long: Some(Long::Fill(Fill {
        table: "numbers",
        key: &[("shard", "integer"), ("id", "bigint")],
        sql: "UPDATE numbers SET wide = narrow * 10, times = times + 1 WHERE {range} AND wide IS DISTINCT FROM narrow * 10",
        batch: 500,
    })),
    needs: &[],
    oldest: 101,
};
const INDEX: Migration = Migration {
    version: 104,
    name: "numbers by width",
    sql: "",
    long: Some(Long::Index(Index { name: "numbers_by_width", on: "numbers (wide)" })),
    needs: &[],
    oldest: 101,
};
/// Contract: the old column goes, and with it the version before.
const CONTRACT: Migration = Migration {
    version: 105,
    name: "wide numbers alone",
    sql: "ALTER TABLE numbers DROP COLUMN narrow",
    long: None,
    needs: &[103],
    oldest: 103,
};

static OLD: [Migration; 4] = [MIGRATIONS[0], MIGRATIONS[1], MIGRATIONS[2], BEFORE];
static NEW: [Migration; 5] = [MIGRATIONS[0], MIGRATIONS[1], MIGRATIONS[2], BEFORE, EXPAND];
static NEWER: [Migration; 6] = [MIGRATIONS[0], MIGRATIONS[1], MIGRATIONS[2], BEFORE, EXPAND, INDEX];
static NEWEST: [Migration; 7] = [MIGRATIONS[0], MIGRATIONS[1], MIGRATIONS[2], BEFORE, EXPAND, INDEX, CONTRACT];

impl Database {
    /// A node of the version that has these migrations. Nothing is migrated yet.
    fn node(&self, migrations: &'static [Migration]) -> Arc<PostgresStore> {
        let address = Address::parse(&self.url, &Environment::default()).unwrap();
        Arc::new(PostgresStore::new(address, Arc::new(RealRandom), Options { migrations, ..Options::default() }))
    }

    fn number(&self, sql: &str) -> i64 {
        self.sql(sql).trim().parse().unwrap()
    }

    /// With the tables of the version before, and many rows in it. `shard` is spread, and no order in which rows come.
    fn with_numbers() -> Self {
        let database = Self::new();
        wait(database.node(&OLD).migrate()).unwrap();
        database.sql(&format!(
            "INSERT INTO numbers SELECT (g * 7919) % 64, g, g FROM generate_series(1, {ROWS}) g; ANALYZE numbers"
        ));
        database
    }

    /// As if the holder of the lease had been silent for long enough.
    fn forget_the_holder(&self) {
        self.sql("UPDATE leases SET until = 0 WHERE name = 'migrations'");
    }
}

/// Whether this comes to be, before the test gives up.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let waited = async {
        while !is_so() {
            tick.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok(), "{what}");
}

async fn to_the_end(node: &PostgresStore) -> u64 {
    let mut batches = 0;
    loop {
        match node.carry_on().await.unwrap() {
            Carried::Done => return batches,
            Carried::More => batches += 1,
            Carried::Elsewhere => panic!("nobody else does it"),
        }
    }
}

/// The whole story: nodes of two versions write all the while, one dies in the middle of a batch, another one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn long_work_that_dies_in_the_middle_is_gone_on_with_and_no_row_is_forgotten_or_done_twice() {
    let database = Database::with_numbers();
    let first = database.node(&NEW);
    assert_eq!(first.migrate().await.unwrap(), [EXPAND]);
    let work = first.long_work().await.unwrap().remove(0);
    assert_eq!((work.version, work.state, work.rows), (103, LongState::Pending, Some(50_000)));
    assert_eq!(first.carry_on().await.unwrap(), Carried::More);
    // Meanwhile both versions change rows, ids up to 10,000 alone, and add some where the walk has been.
    let (go_on, next) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicI64::new(ROWS)));
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..2 {
        let (writer, go_on, next) = (database.node(&NEW), Arc::clone(&go_on), Arc::clone(&next));
        writers.spawn(async move {
            let mut id = i64::from(number);
            while go_on.load(Ordering::SeqCst) {
                id = (id + 2 * 613) % 10_000;
                let db = writer.inner.pool.take().await.unwrap();
                let changed = match number {
                    // The version before does not know the new column.
                    0 => "UPDATE numbers SET narrow = narrow + 1 WHERE shard = ($1::bigint * 7919) % 64 AND id = $1",
                    _ => {
                        "UPDATE numbers SET narrow = narrow + 1, wide = (narrow + 1) * 10 \
                         WHERE shard = ($1::bigint * 7919) % 64 AND id = $1"
                    }
                };
                db.run(changed, &[&id]).await.unwrap();
                let new = next.fetch_add(1, Ordering::SeqCst) + 1;
                db.run("INSERT INTO numbers (shard, id, narrow) VALUES (0, $1, $1)", &[&new]).await.unwrap();
            }
        });
    }
    for _ in 0..30 {
        assert_eq!(first.carry_on().await.unwrap(), Carried::More);
    }
    // A row ahead is held by somebody: the batch that comes there waits in the middle of its transaction, and its node dies.
    let somebody = database.node(&NEW);
    let held = somebody.inner.pool.take().await.unwrap();
    held.begin();
    held.row("SELECT 1 FROM numbers WHERE shard = 50 ORDER BY shard, id LIMIT 1 FOR UPDATE", &[]).await.unwrap();
    let dying = Arc::clone(&first);
    let working = tokio::spawn(async move { while dying.carry_on().await.is_ok() {} });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                 AND query LIKE 'UPDATE numbers SET wide = narrow * 10, times%'";
    eventually("the batch waits", || database.number(waits) > 0).await;
    working.abort();
    assert!(working.await.unwrap_err().is_cancelled());
    held.roll_back().await;
    let far = first.long_work().await.unwrap().remove(0);
    assert_eq!(far.state, LongState::Running);
    assert!(far.seen >= 31 * 500 && far.seen < 45_000, "{far:?}");
    // Another one leaves it to the first until that has been silent for long enough.
    let second = database.node(&NEW);
    assert_eq!(second.carry_on().await.unwrap(), Carried::Elsewhere);
    database.forget_the_holder();
    to_the_end(&second).await;
    assert_eq!(second.long_work().await.unwrap()[0].state, LongState::Done);
    assert_eq!(first.carry_on().await.unwrap(), Carried::Done);
    // What nobody else touched was done once: nothing twice, nothing left out.
    let untouched = format!("id > 10000 AND id <= {ROWS}");
    assert_eq!(
        database.number(&format!("SELECT count(*) FROM numbers WHERE {untouched} AND wide = id * 10 AND times = 1")),
        40_000
    );
    // Old nodes wrote behind the walk; once they are gone, the migration that needs it whole makes it so.
    go_on.store(false, Ordering::SeqCst);
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    assert!(next.load(Ordering::SeqCst) > ROWS, "they wrote");
    database.sql("CREATE TABLE kept AS SELECT id, narrow FROM numbers");
    assert!(database.number("SELECT count(*) FROM numbers WHERE wide IS NULL") > 0, "rows in the old form");
    assert_eq!(database.node(&NEWEST).migrate().await.unwrap(), [INDEX, CONTRACT]);
    assert_eq!(
        database.number("SELECT count(*) FROM numbers JOIN kept USING (id) WHERE wide = narrow * 10"),
        next.load(Ordering::SeqCst)
    );
    assert_eq!(database.number(&format!("SELECT count(*) FROM numbers WHERE {untouched} AND times <> 1")), 0);
}

/// The first of the three: what does not know enough any more says so, at its start and while it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_runs_beside_newer_tables_until_they_take_away_what_it_needs() {
    let database = Database::with_numbers();
    let old = database.node(&OLD);
    let new = database.node(&NEW);
    assert_eq!(new.check().await, Err(OpenError::TooOld { found: 101, known: 103 }));
    new.migrate().await.unwrap();
    assert_eq!(old.check().await, Ok(()), "expanded alone");
    assert_eq!(old.ready(Time::from_millis(0)).await, Ok(()));
    database.node(&NEWEST).migrate().await.unwrap();
    assert_eq!(old.check().await, Err(OpenError::TooNew { found: 105, known: 101 }));
    assert!(matches!(old.ready(Time::from_millis(0)).await, Err(Broken::Store(why)) if why.contains("newer Regrant")));
    assert_eq!((new.check().await, new.ready(Time::from_millis(0)).await), (Ok(()), Ok(())));
    assert_eq!(new.carry_on().await, Ok(Carried::Done), "the column that its statement reads is gone");
}

/// Nodes that start at once make each table once, and the long work before a contraction is one node's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_together_migrate_once() {
    let database = Database::with_numbers();
    let nodes: Vec<_> = (0..3).map(|_| database.node(&NEWEST)).collect();
    let mut starting = tokio::task::JoinSet::new();
    for node in &nodes {
        let node = Arc::clone(node);
        starting.spawn(async move { node.migrate().await.unwrap().len() });
    }
    assert_eq!(starting.join_all().await.into_iter().sum::<usize>(), 3);
    assert_eq!(database.number("SELECT count(*) FROM numbers WHERE wide = id * 10 AND times = 1"), ROWS);
}

/// A change of a table that somebody reads in a long transaction does not make all others wait behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_cannot_have_the_table_gives_way_and_comes_again() {
    let database = Database::with_numbers();
    let somebody = database.node(&OLD);
    let report = somebody.inner.pool.take().await.unwrap();
    report.begin();
    report.row("SELECT count(*) FROM numbers", &[]).await.unwrap();
    let new = database.node(&NEW);
    let migrating = tokio::spawn(async move { new.migrate().await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..2 {
        eventually("it waits for the table", || database.number(waits) > 0).await;
        eventually("it gives way", || database.number(waits) == 0).await;
    }
    // In between, others get through.
    database.sql("UPDATE numbers SET narrow = narrow WHERE id = 1");
    assert_eq!(somebody.version().await.unwrap().0, 101);
    report.roll_back().await;
    assert_eq!(migrating.await.unwrap().unwrap(), [EXPAND]);
}

/// What was left behind by a node that died while it built an index is taken away and built again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_not_finished_is_built_again() {
    let database = Database::with_numbers();
    let node = database.node(&NEWER);
    node.migrate().await.unwrap();
    // Not unique: so it is left behind, and not valid.
    database.sql("INSERT INTO numbers (shard, id, narrow, wide) VALUES (0, 0, 0, 0), (0, -1, 0, 0)");
    let unique = "CREATE UNIQUE INDEX CONCURRENTLY numbers_by_width ON numbers (wide)";
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| database.sql(unique)));
    assert!(failed.is_err());
    let valid = "SELECT count(*) FROM pg_index WHERE indexrelid = 'numbers_by_width'::regclass AND indisvalid AND NOT indisunique";
    assert_eq!(database.number(valid), 0);
    to_the_end(&node).await;
    assert_eq!(database.number(valid), 1);
    assert!(node.long_work().await.unwrap().iter().all(|work| work.state == LongState::Done));
}

#[test]
fn the_migrations_are_in_order_and_none_asks_for_what_comes_later() {
    assert!(MIGRATIONS.windows(2).all(|two| two[0].version < two[1].version));
    for migration in MIGRATIONS {
        assert!(migration.oldest <= migration.version, "{}", migration.name);
        assert!(migration.needs.iter().all(|needed| *needed < migration.version), "{}", migration.name);
    }
}

static FIRST: [Migration; 1] = [MIGRATIONS[0]];

/// Whoever is stopped behind the first migration leaves no table that vacuum comes to late. What an operator chose stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vacuum_is_told_of_grants_comes_with_their_table() {
    let database = Database::new();
    let told = |fill_factor: u32| {
        let found = format!("'fillfactor={fill_factor}' = ANY(reloptions)");
        database.number(&format!("SELECT count(*) FROM pg_class WHERE relname = 'grants' AND {found}"))
    };
    let node = database.node(&FIRST);
    assert!(matches!(schema::step(&node.inner.pool.take().await.unwrap(), &FIRST).await, Ok(schema::Step::Done(_))));
    assert_eq!(told(60), 1);
    database.sql("ALTER TABLE grants SET (fillfactor = 90)");
    drop(database.store(Options::default()));
    assert_eq!(told(90), 1);
}

/// A move that was killed while it made its tables makes the rest of them. It makes none where somebody's users are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_finishes_tables_that_were_half_made() {
    for used in [false, true] {
        let database = Database::new();
        drop(database.store(Options { migrations: &FIRST, ..Options::default() }));
        if used {
            let id = "'00000000-0000-0000-0000-000000000001'";
            database.sql(&format!(
                "INSERT INTO users (shard, id, epoch, claims, created_at) VALUES (1, {id}, 0, '{{}}', 0)"
            ));
        }
        let store = PostgresStore::new(database.address(), Arc::new(RealRandom), Options::default());
        assert!(matches!(store.prepare_move(false).await, Err(OpenError::TooOld { found: 1, .. })));
        assert_eq!(store.prepare_move(true).await.is_ok(), !used);
        assert_eq!(store.due().await.unwrap().1.is_empty(), !used);
    }
}
