//! Copies of a store, made while others read and write it, and what is asked of one before it takes a store's place.
//!
//! 1. [`back_up`] reads the store in one transaction on a connection of its own: the copy is the store at one moment, whatever
//!    is written meanwhile. `VACUUM INTO` writes live rows only: what was deleted does not come along.
//! 2. [`inspect`] looks at every page and index of a file, and tells what is in it.
//! 3. [`settle`] folds the write-ahead log of a store that nobody has open into its one file, so that it can be renamed. It has
//!    no log until it is opened for writing again.

use std::path::Path;

use regrant_engine::time::Time;
use rusqlite::{Connection, params};

use super::file::{self, OpenError};

/// What is in a store, as far as people ask about a copy of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contents {
    /// How many users it has.
    pub users: u64,
    /// How many sessions are alive in it.
    pub live_sessions: u64,
    /// When the newest thing in it happened.
    pub newest: Option<Time>,
}

/// Copies the store in `file` into `copy`, an empty file, as it is at this moment.
///
/// # Errors
/// [`OpenError`]; the copy is then not to be used.
pub fn back_up(file: &Path, copy: &Path) -> Result<(), OpenError> {
    let db = open(file)?;
    db.execute("VACUUM INTO ?", params![text(copy)?])?;
    Ok(())
}

/// Looks whether `file` is a whole store that this version can read, and what is in it at `now`.
///
/// # Errors
/// [`OpenError`] says what is wrong with it.
pub fn inspect(file: &Path, now: Time) -> Result<Contents, OpenError> {
    let db = open(file)?;
    let verdict: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(OpenError::NotAStore(verdict));
    }
    contents(&db, now)
}

/// What is in the store in `file` at `now`. It is not looked at closely.
///
/// # Errors
/// [`OpenError`]
pub fn count(file: &Path, now: Time) -> Result<Contents, OpenError> {
    contents(&open(file)?, now)
}

/// How many sessions live at `now` in the store in `file` and not in the one in `other`: there they have ended, or never were.
///
/// # Errors
/// [`OpenError`]
pub fn live_only_in(file: &Path, other: &Path, now: Time) -> Result<u64, OpenError> {
    // Both are known to be stores before they are compared.
    drop(open(other)?);
    let db = open(file)?;
    db.execute("ATTACH ? AS other", params![text(other)?])?;
    let sql = format!(
        "SELECT count(*) FROM {LIVE} AND NOT EXISTS \
         (SELECT 1 FROM other.sessions o WHERE o.id = s.id AND o.ended_at IS NULL)"
    );
    Ok(db.query_row(&sql, params![now.millis()], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Folds the write-ahead log of a store that nobody has open into its file.
///
/// # Errors
/// [`OpenError`]; the log is then still there.
pub fn settle(file: &Path) -> Result<(), OpenError> {
    let db = file::open_unchanged(file, true)?;
    let mode: String = db.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode != "delete" {
        return Err(OpenError::NotAStore(format!("its journal mode stays {mode}")));
    }
    db.close().map_err(|(_, error)| error.into())
}

const LIVE: &str = "main.sessions s JOIN main.grants g ON g.id = s.grant_id \
     WHERE s.ended_at IS NULL AND g.ended_at IS NULL AND g.idle_deadline > ?1 AND g.absolute_deadline > ?1";

fn contents(db: &Connection, now: Time) -> Result<Contents, OpenError> {
    let number =
        |sql: &str, now: &[i64]| db.query_row(sql, rusqlite::params_from_iter(now), |row| row.get::<_, Option<i64>>(0));
    Ok(Contents {
        users: number("SELECT count(*) FROM users", &[])?.unwrap_or(0).unsigned_abs(),
        live_sessions: number(&format!("SELECT count(*) FROM {LIVE}"), &[now.millis()])?.unwrap_or(0).unsigned_abs(),
        newest: number("SELECT max(at) FROM (SELECT at FROM events ORDER BY id DESC LIMIT 1)", &[])?
            .map(Time::from_millis),
    })
}

fn open(file: &Path) -> Result<Connection, OpenError> {
    file::open_unchanged(file, false)
}

fn text(path: &Path) -> Result<&str, OpenError> {
    path.to_str().ok_or_else(|| OpenError::Failed(rusqlite::Error::InvalidPath(path.to_owned())))
}
