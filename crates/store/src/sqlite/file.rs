//! Opening the file: what must be true of it, and the migrations.

use std::{fmt, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, ffi};

use super::{fault::Fault, grants::old_rows};

/// "RGRT": says that a file is a Regrant store.
const APPLICATION_ID: i32 = 0x5247_5254;

/// What a script cannot do, after it and in its transaction.
type Code = fn(Connection) -> Result<Connection, Fault>;

/// Each brings the schema from the version of its index to the next.
const MIGRATIONS: [(&str, Option<Code>); 9] = [
    (include_str!("../../migrations/sqlite/0001_initial.sql"), None),
    (include_str!("../../migrations/sqlite/0002_key_lifecycle.sql"), None),
    (include_str!("../../migrations/sqlite/0003_packed_grants.sql"), Some(old_rows::carry_over)),
    (include_str!("../../migrations/sqlite/0004_clients.sql"), None),
    (include_str!("../../migrations/sqlite/0005_single_sign_on.sql"), None),
    (include_str!("../../migrations/sqlite/0006_logouts.sql"), None),
    (include_str!("../../migrations/sqlite/0007_dpop.sql"), None),
    (include_str!("../../migrations/sqlite/0008_resources.sql"), None),
    (include_str!("../../migrations/sqlite/0009_device_codes.sql"), None),
];

/// Why a store does not open.
#[derive(Debug)]
pub enum OpenError {
    /// The file is not a Regrant store, or damaged.
    NotAStore(String),
    /// It was written by a newer version.
    TooNew {
        /// The version of its schema.
        found: i32,
        /// The newest that this binary knows.
        known: i32,
    },
    /// It is at another place, or on its way; the text says where, and what to do.
    Moved(String),
    /// The disk, its permissions, or SQLite itself.
    Failed(rusqlite::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAStore(why) => write!(f, "it is not a Regrant store, or it is damaged ({why}); restore a backup"),
            Self::TooNew { found, known } => {
                write!(
                    f,
                    "it was written by a newer Regrant (schema {found}, this one knows {known}); use that version"
                )
            }
            Self::Moved(why) => f.write_str(why),
            Self::Failed(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => f.write_str("the disk is full; free space and try again"),
                Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                    write!(
                        f,
                        "it cannot be opened for writing ({error}); check the permissions of the directory and the file"
                    )
                }
                Some(ErrorCode::SystemIoFailure) => {
                    write!(f, "the disk cannot be used ({error}); see that it is not full, and does not fail")
                }
                _ => write!(f, "it cannot be opened: {error}"),
            },
        }
    }
}

impl std::error::Error for OpenError {}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => error.into(),
            Fault::Damaged(what) => Self::NotAStore(what),
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::NotAStore(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

pub(super) fn open_for_writing(file: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    // Where SQLite may not write it opens for reading, silently, and the first transaction would fail.
    if db.is_readonly("main")? {
        return Err(OpenError::Failed(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None)));
    }
    harden(&db)?;
    check_identity(&db)?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::NotAStore(format!("its journal mode cannot be set to WAL, it stays {mode}")));
    }
    // FULL: a commit returns when its records are on disk. Checkpoints are the writer's own work (`worker.rs`).
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;")?;
    migrate(db)
}

/// A second connection to a store that is open for writing: it writes the log back.
pub(super) fn open_for_checkpoints(file: &Path) -> Result<Connection, OpenError> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    harden(&db)?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -64;")?;
    Ok(db)
}

pub(super) fn open_for_reading(file: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    harden(&db)?;
    db.execute_batch("PRAGMA cache_size = -16384;")?;
    Ok(db)
}

/// A store that is there, as it is: nothing is made, and nothing is migrated.
pub(super) fn open_unchanged(file: &Path, writes: bool) -> Result<Connection, OpenError> {
    let access = if writes { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let db = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    harden(&db)?;
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id != APPLICATION_ID {
        return Err(OpenError::NotAStore("it is a SQLite database of another program, or empty".to_owned()));
    }
    let (found, known): (i32, _) = (db.query_row("PRAGMA user_version", [], |row| row.get(0))?, newest());
    if found > known {
        return Err(OpenError::TooNew { found, known });
    }
    Ok(db)
}

fn harden(db: &Connection) -> Result<(), OpenError> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Plans do not depend on what is bound. Otherwise the planner's statistics make each new value prepare a statement anew:
    // half of all instructions of a refresh, when it was measured.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The bytes of a deleted password hash do not stay behind in the file.
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA secure_delete = FAST;")?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// A file with tables that are not ours is somebody else's: it is not touched.
fn check_identity(db: &Connection) -> Result<(), OpenError> {
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (id, tables) {
        (APPLICATION_ID, _) | (0, 0) => Ok(()),
        _ => Err(OpenError::NotAStore("it is a SQLite database of another program".to_owned())),
    }
}

/// The newest version of the schema.
fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn migrate(mut db: Connection) -> Result<Connection, OpenError> {
    let known = newest();
    let found: i32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(OpenError::TooNew { found, known });
    }
    for (version, (script, code)) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        // One that fails closes the connection, and so leaves nothing behind.
        db.execute_batch("BEGIN IMMEDIATE")?;
        db.execute_batch(script)?;
        if let Some(code) = code {
            db = code(db)?;
        }
        // Both are part of the file's header page, and so of this transaction.
        db.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT"
        ))?;
    }
    Ok(db)
}
