//! The tables: whether they are there, and the migrations.
//!
//! A migration adds what the next version needs and takes away what no version that may still run needs: expand, then contract. So
//! a binary works on a schema that is newer than it knows, as long as `schema.oldest` says so.
//!
//! 1. Its statements are one short transaction ([`step`]). It waits for no lock longer than [`LOCK_TIMEOUT`]: whoever waits for a table
//!    holds up all who come after it. It is tried again instead.
//! 2. What is to be done on many rows it only puts down: that is done beside the traffic, in batches (`long.rs`).
//! 3. One that takes away names the long work that must be whole before ([`Migration::needs`]).

use std::fmt;

use regrant_engine::ports::Broken;

use super::{
    fault::Fault,
    long::{self, Long},
    meta, moving,
    pool::Db,
    spread::{self, Engine},
};

/// How long a change of the tables waits for those who use them.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";

/// A step from one version of the schema to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    /// Its number, from 1. There may be gaps.
    pub version: u32,
    /// What it is called.
    pub name: &'static str,
    /// What it does at once. All of it is one transaction, so it reads and writes no more rows than a moment allows.
    pub sql: &'static str,
    /// What it leaves to be done afterwards, beside the traffic.
    pub long: Option<Long>,
    /// The versions whose long work must be whole before this: one that takes away what that work read.
    pub needs: &'static [u32],
    /// The oldest version of the schema that a binary may know to work on this one.
    pub oldest: u32,
}

/// All of them, in order.
pub const MIGRATIONS: [Migration; 4] = [
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("../../migrations/postgres/0001_initial.sql"),
        long: None,
        needs: &[],
        oldest: 1,
    },
    Migration {
        version: 2,
        name: "resources",
        sql: include_str!("../../migrations/postgres/0002_resources.sql"),
        long: None,
        needs: &[],
        // Who does not know of a code's key would give its tokens to whoever has none.
        oldest: 2,
    },
    Migration {
        version: 3,
        name: "device codes",
        sql: include_str!("../../migrations/postgres/0003_device_codes.sql"),
        long: None,
        needs: &[],
        oldest: 2,
    },
    Migration {
        version: 4,
        name: "identifiers beside their user",
        sql: include_str!("../../migrations/postgres/0004_identifiers.sql"),
        long: None,
        needs: &[],
        oldest: 2,
    },
];

/// Why a database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// There is no store in it.
    NoStore,
    /// A newer version has changed it in a way that this one does not understand.
    TooNew {
        /// The version of its schema.
        found: u32,
        /// The newest that this binary knows.
        known: u32,
    },
    /// A migration is due, and was not asked for.
    TooOld {
        /// The version of its schema.
        found: u32,
        /// The newest that this binary knows.
        known: u32,
    },
    /// Others used its tables all the time that a migration was tried.
    InUse {
        /// The migration.
        version: u32,
    },
    /// It is at another place, or on its way; the text says where, and what to do.
    Moved(String),
    /// It cannot be reached, or says no.
    Broken(Broken),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore => f.write_str("there is no store in it: start \"regrant serve\" on it once"),
            Self::TooNew { found, known } => {
                write!(f, "a newer Regrant has changed it (schema {found}, this one knows {known}); use that version")
            }
            Self::TooOld { found, known } => write!(
                f,
                "its schema is {found}, and this version needs {known}: run \"regrant migrate up\", or start \"regrant serve\""
            ),
            Self::InUse { version } => write!(
                f,
                "migration {version} did not get the tables for itself: a long transaction (a backup, a report) holds them. Nothing \
                 was changed. pg_stat_activity shows it; try again when it is over"
            ),
            Self::Moved(why) => f.write_str(why),
            Self::Broken(broken) => broken.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault.into())
    }
}

impl From<Broken> for OpenError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// The version of the schema that is there; 0 where there is none.
pub(super) async fn version(db: &Db) -> Result<u32, Fault> {
    // A view of the standard; every engine has it.
    let sql = "SELECT 1 FROM information_schema.tables WHERE table_name = 'meta' AND table_schema = current_schema()";
    if db.row(sql, &[]).await?.is_none() {
        return Ok(0);
    }
    let Some(stored) = meta::find(db, VERSION).await? else { return Ok(0) };
    stored.parse().map_err(|_| Fault::damaged("the version of the schema cannot be read"))
}

/// Whether a binary with these migrations can work on what is there, and may.
pub(super) async fn check(db: &Db, migrations: &[Migration]) -> Result<(), OpenError> {
    check_version(db, migrations).await?;
    moving::admit(db).await
}

/// Whether a binary with these migrations can work on what is there.
pub(super) async fn check_version(db: &Db, migrations: &[Migration]) -> Result<(), OpenError> {
    let found = version(db).await?;
    let known = newest(migrations);
    if found == 0 {
        return Err(OpenError::NoStore);
    }
    if found < known {
        return Err(OpenError::TooOld { found, known });
    }
    let oldest = meta::find(db, OLDEST).await?.and_then(|text| text.parse().ok()).unwrap_or(found);
    if oldest > known { Err(OpenError::TooNew { found, known }) } else { Ok(()) }
}

/// Whether it still can: another node may have taken away meanwhile what this one needs.
pub(super) async fn still_fits(db: &Db, migrations: &[Migration]) -> Result<(), Fault> {
    let oldest: Option<u32> = meta::find(db, OLDEST).await?.and_then(|text| text.parse().ok());
    match (oldest, newest(migrations)) {
        (Some(oldest), known) if oldest > known => Err(Fault::Unreachable(format!(
            "a newer Regrant has changed the database, and nodes that know no schema {oldest} cannot go on (this one knows \
             {known}): replace this node by that version"
        ))),
        _ => Ok(()),
    }
}

const VERSION: &str = "schema.version";
const OLDEST: &str = "schema.oldest";

/// The newest version that these bring about.
pub(super) fn newest(migrations: &[Migration]) -> u32 {
    migrations.last().map_or(0, |last| last.version)
}

/// What became of a step.
pub(super) enum Step {
    /// This was done.
    Done(Migration),
    /// The next one waits for this one's long work.
    Waits(Migration),
    /// Nothing is due.
    Current,
}

/// Carries out the next migration. Nodes that start together do it one after the other.
pub(super) async fn step(db: &Db, migrations: &[Migration]) -> Result<Step, Fault> {
    db.begin();
    match step_in_transaction(db, migrations).await {
        Ok(done) => {
            db.commit().await?;
            Ok(done)
        }
        Err(fault) => {
            db.roll_back().await;
            Err(fault)
        }
    }
}

async fn step_in_transaction(db: &Db, migrations: &[Migration]) -> Result<Step, Fault> {
    db.run(LOCK_TIMEOUT, &[]).await?;
    if version(db).await? > 0 {
        meta::lock(db, "schema").await?;
    }
    let found = version(db).await?;
    let Some(next) = migrations.iter().find(|migration| migration.version > found) else {
        return Ok(Step::Current);
    };
    for needed in migrations.iter().filter(|migration| next.needs.contains(&migration.version)) {
        if !long::is_whole(db, needed, next.version).await? {
            return Ok(Step::Waits(*needed));
        }
    }
    db.client.batch_execute(next.sql).await?;
    tune(db).await?;
    if next.long.is_some() {
        long::put(db, next.version).await?;
    }
    meta::remember(db, VERSION, &next.version.to_string()).await?;
    meta::remember(db, OLDEST, &next.oldest.to_string()).await?;
    Ok(Step::Done(*next))
}

/// Room on each page for new versions of rows, where the engine knows that: a refresh then touches no index (HOT), and vacuum
/// comes before a table has doubled.
async fn tune(db: &Db) -> Result<(), Fault> {
    // CockroachDB and YugabyteDB keep rows in another way, and know no fill factor.
    if spread::engine(db).await? == Engine::Other {
        return Ok(());
    }
    // Once: what an operator chose instead stays, and a table that is spread over machines is not altered for nothing.
    let sql = "SELECT 1 FROM pg_class WHERE oid = to_regclass('grants') AND reloptions IS NOT NULL";
    if db.row(sql, &[]).await?.is_none() {
        db.client
            .batch_execute(
                "ALTER TABLE grants SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, \
                 autovacuum_vacuum_cost_delay = 0)",
            )
            .await?;
    }
    Ok(())
}
