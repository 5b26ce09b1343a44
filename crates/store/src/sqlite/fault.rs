//! What goes wrong within the embedded store, before it becomes the engine's [`Broken`].

use regrant_engine::{ports::Broken, reason::UnknownName};
use rusqlite::{ErrorCode, ffi};

/// A job's failure.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said no.
    Sql(rusqlite::Error),
    /// A row that this version cannot read.
    Damaged(String),
}

impl Fault {
    pub(super) fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }

    /// Whether the disk failed to sync: what it holds is unknown from here on.
    pub(super) fn is_lost_disk(&self) -> bool {
        let Self::Sql(rusqlite::Error::SqliteFailure(error, _)) = self else {
            return false;
        };
        matches!(error.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
        match error {
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..) => {
                Self::Damaged(format!("a row holds a value that cannot be: {error}"))
            }
            error => Self::Sql(error),
        }
    }
}

impl From<UnknownName> for Fault {
    fn from(_: UnknownName) -> Self {
        Self::damaged("a row holds a name that this version does not know")
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(format!("a row holds JSON that cannot be read: {error}"))
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged(what) => Self::Damaged(what),
            Fault::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => {
                    Self::Store("the disk is full: free space where the data directory is; nothing was lost".to_owned())
                }
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Self::Damaged(format!("the store's file is damaged ({error}): restore a backup"))
                }
                _ => Self::Store(error.to_string()),
            },
        }
    }
}
