//! What goes wrong within this store, before it becomes the engine's [`Broken`]: and what of it is only to be tried again.

use regrant_engine::{ports::Broken, reason::UnknownName};
use tokio_postgres::error::SqlState;

/// A verb's failure.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database said no, or says nothing any more.
    Sql(tokio_postgres::Error),
    /// A row that this version cannot read.
    Damaged(String),
    /// Too much waits already.
    Overloaded,
    /// It cannot be connected to; the text is for the operator.
    Unreachable(String),
    /// Only one node may do it, and meanwhile that is another one.
    Overtaken,
}

impl Fault {
    pub(super) fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }

    /// Whether the same transaction may go through if it is tried again: it was rolled back for somebody else's sake.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        let Some(told) = error.as_db_error() else { return false };
        let passing = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            // Somebody else inserted the same a moment before: this time it is found.
            SqlState::UNIQUE_VIOLATION,
        ];
        passing.contains(told.code()) || self.is_stale_plan() || self.is_in_use()
    }

    /// Whether others held what it wanted, for longer than it was told to wait: only migrations are told so.
    pub(super) fn is_in_use(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether a statement that was prepared before somebody changed the tables is to be prepared anew.
    pub(super) fn is_stale_plan(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        let Some(told) = error.as_db_error() else { return false };
        // "cached plan must not change result type" has no code of its own. A pooler may forget what was prepared.
        told.code() == &SqlState::INVALID_SQL_STATEMENT_NAME
            || (told.code() == &SqlState::FEATURE_NOT_SUPPORTED && told.message().contains("cached plan"))
    }

    /// Whether the connection is lost, or the server is not the one that can do it: another connection may.
    pub(super) fn is_lost(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        match error.as_db_error() {
            None => true,
            Some(told) => {
                let code = told.code().code();
                // 57P: the server shuts down, or has crashed, or starts. 25006: it is a standby now.
                code.starts_with("57P") || code.starts_with("08") || code == "25006"
            }
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
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
            Fault::Overloaded => Self::Overloaded,
            Fault::Overtaken => {
                Self::Store("another node has taken this work over; nothing more was written".to_owned())
            }
            Fault::Unreachable(why) => Self::Store(why),
            Fault::Sql(error) => Self::Store(told(&error)),
        }
    }
}

/// For the operator: the database's own sentence and code. Not its detail, which quotes the row.
pub(super) fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("PostgreSQL says: {} ({})", told.message(), told.code().code()),
        None if error.is_closed() => "the connection to PostgreSQL was lost".to_owned(),
        None => {
            let mut text = format!("PostgreSQL: {error}");
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            text
        }
    }
}
