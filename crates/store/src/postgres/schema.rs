//! The tables: whether they are there, and the migrations.
//!
//! A migration adds what the next version needs and takes away what no version that may still run needs: expand, then contract. So
//! a binary works on a schema that is newer than it knows, as long as `schema.oldest` says so.

use std::fmt;

use regrant_engine::ports::Broken;

use super::{fault::Fault, meta, moving, pool::Db, row::Columns};

/// A step from one version of the schema to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    /// Its number, from 1.
    pub version: u32,
    /// What it is called.
    pub name: &'static str,
    /// What it does.
    pub sql: &'static str,
    /// The oldest version of the schema that a binary may know to work on this one.
    oldest: u32,
}

/// All of them, in order.
pub const MIGRATIONS: [Migration; 3] = [
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("../../migrations/postgres/0001_initial.sql"),
        oldest: 1,
    },
    Migration {
        version: 2,
        name: "resources",
        sql: include_str!("../../migrations/postgres/0002_resources.sql"),
        // Who does not know of a code's key would give its tokens to whoever has none.
        oldest: 2,
    },
    Migration {
        version: 3,
        name: "device codes",
        sql: include_str!("../../migrations/postgres/0003_device_codes.sql"),
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

/// The version of the schema that is there; 0 where there is none.
pub(super) async fn version(db: &Db) -> Result<u32, Fault> {
    // A view of the standard; every engine has it.
    let sql = "SELECT 1 FROM information_schema.tables WHERE table_name = 'meta' AND table_schema = current_schema()";
    if db.row(sql, &[]).await?.is_none() {
        return Ok(0);
    }
    let Some(stored) = meta::find(db, "schema.version").await? else { return Ok(0) };
    stored.parse().map_err(|_| Fault::damaged("the version of the schema cannot be read"))
}

/// Whether this binary can work on what is there, and may.
pub(super) async fn check(db: &Db) -> Result<(), OpenError> {
    check_version(db).await?;
    moving::admit(db).await
}

/// Whether this binary can work on what is there.
pub(super) async fn check_version(db: &Db) -> Result<(), OpenError> {
    let found = version(db).await?;
    let known = newest();
    if found == 0 {
        return Err(OpenError::NoStore);
    }
    if found < known {
        return Err(OpenError::TooOld { found, known });
    }
    let oldest = meta::find(db, "schema.oldest").await?.and_then(|text| text.parse().ok()).unwrap_or(found);
    if oldest > known { Err(OpenError::TooNew { found, known }) } else { Ok(()) }
}

/// The newest version that this binary knows.
pub(super) fn newest() -> u32 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

/// Carries out the next migration; `None` if there is none to do. Nodes that start together do it one after the other.
pub(super) async fn step(db: &Db) -> Result<Option<Migration>, OpenError> {
    db.begin();
    let stepped = step_in_transaction(db).await;
    match stepped {
        Ok(done) => {
            db.commit().await?;
            Ok(done)
        }
        Err(error) => {
            db.roll_back().await;
            Err(error)
        }
    }
}

async fn step_in_transaction(db: &Db) -> Result<Option<Migration>, OpenError> {
    if version(db).await? > 0 {
        meta::lock(db, "schema").await?;
    }
    let found = version(db).await?;
    let Some(next) = MIGRATIONS.iter().find(|migration| migration.version > found) else {
        return Ok(None);
    };
    db.client.batch_execute(next.sql).await.map_err(Fault::from)?;
    meta::remember(db, "schema.version", &next.version.to_string()).await?;
    meta::remember(db, "schema.oldest", &next.oldest.to_string()).await?;
    Ok(Some(*next))
}

/// Room on each page for new versions of rows, where the engine knows that: a refresh then touches no index (HOT), and vacuum
/// comes before a table has doubled.
pub(super) async fn tune(db: &Db) -> Result<(), Fault> {
    let told = db.row("SELECT version()", &[]).await?;
    let version: String = told.map_or(Ok(String::new()), |row| Columns::new(&row).take())?;
    // CockroachDB and YugabyteDB keep rows in another way, and know no fill factor.
    if version.starts_with("PostgreSQL") && !version.contains("YB") {
        db.client
            .batch_execute(
                "ALTER TABLE grants SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, \
                 autovacuum_vacuum_cost_delay = 0)",
            )
            .await?;
    }
    Ok(())
}
