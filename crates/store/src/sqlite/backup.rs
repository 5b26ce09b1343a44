//! Copies of a store, made while others read and write it, and what is asked of one before it takes a store's place.
//!
//! 1. [`back_up`] reads the store in one transaction on a connection of its own: the copy is the store at one moment, whatever
//!    is written meanwhile. `VACUUM INTO` writes live rows only: what was deleted does not come along.
//! 2. [`inspect`] looks at every page and index of a file, and tells what is in it.
//! 3. [`settle`] folds the write-ahead log of a store that nobody has open into its one file, so that it can be renamed. It has
//!    no log until it is opened for writing again.

use std::path::Path;

use regrant_engine::{time::Time, token::GrantId};
use rusqlite::{Connection, params};

use super::{
    file::{self, OpenError},
    grants::Desk,
    session,
};

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
    let db = file::open_unchanged(file, false)?;
    db.execute("VACUUM INTO ?", params![text(copy)?])?;
    Ok(())
}

/// Looks whether `file` is a whole store that this version can read, and what is in it at `now`.
///
/// # Errors
/// [`OpenError`] says what is wrong with it.
pub fn inspect(file: &Path, now: Time) -> Result<Contents, OpenError> {
    let db = file::open_unchanged(file, false)?;
    let verdict: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(OpenError::NotAStore(verdict));
    }
    contents(db, now)
}

/// What is in the store in `file` at `now`. It is not looked at closely.
///
/// # Errors
/// [`OpenError`]
pub fn count(file: &Path, now: Time) -> Result<Contents, OpenError> {
    contents(file::open_unchanged(file, false)?, now)
}

/// How many sessions live at `now` in the store in `file` and not in the one in `other`: there they have ended, or never were.
///
/// # Errors
/// [`OpenError`]
pub fn live_only_in(file: &Path, other: &Path, now: Time) -> Result<u64, OpenError> {
    let there = file::open_unchanged(other, false)?;
    let mut is_open_there = there.prepare("SELECT 1 FROM sessions WHERE id = ? AND ended_at IS NULL")?;
    let mut only_here = 0;
    for id in Living::of(file::open_unchanged(file, false)?, now)?.sessions {
        only_here += u64::from(!is_open_there.exists(params![id])?);
    }
    Ok(only_here)
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

/// The sessions that live at some time, and the last use of any of them.
#[derive(Default)]
struct Living {
    sessions: Vec<[u8; 16]>,
    newest: Option<Time>,
}

impl Living {
    fn of(db: Connection, now: Time) -> Result<Self, OpenError> {
        if db.prepare("SELECT 1 FROM journal LIMIT 1").is_err() {
            return Self::before_the_journal(&db, now);
        }
        let desk = Desk::new(db, usize::MAX)?;
        let mut statement = desk.prepare("SELECT id, grant_id FROM sessions WHERE ended_at IS NULL")?;
        let mut rows = statement.query([])?;
        let mut living = Self::default();
        while let Some(row) = rows.next()? {
            let grant = desk.read_known(&GrantId(row.get(1)?))?.grant;
            living.newest = living.newest.max(Some(grant.last_event));
            if grant.life.is_alive() && session::deadline(&grant) > now {
                living.sessions.push(row.get(0)?);
            }
        }
        Ok(living)
    }

    /// Of a store that was made when grants had columns: every use was an event.
    fn before_the_journal(db: &Connection, now: Time) -> Result<Self, OpenError> {
        let mut statement = db.prepare(
            "SELECT s.id FROM sessions s JOIN grants g ON g.id = s.grant_id WHERE s.ended_at IS NULL \
             AND g.ended_at IS NULL AND g.idle_deadline > ?1 AND g.absolute_deadline > ?1",
        )?;
        let sessions = statement.query_map(params![now.millis()], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Self { sessions, newest: None })
    }
}

fn contents(db: Connection, now: Time) -> Result<Contents, OpenError> {
    let users: i64 = db.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
    let newest_event: Option<i64> =
        db.query_row("SELECT max(at) FROM (SELECT at FROM events ORDER BY id DESC LIMIT 1)", [], |row| row.get(0))?;
    let living = Living::of(db, now)?;
    Ok(Contents {
        users: users.unsigned_abs(),
        live_sessions: living.sessions.len() as u64,
        newest: newest_event.map(Time::from_millis).max(living.newest),
    })
}

fn text(path: &Path) -> Result<&str, OpenError> {
    path.to_str().ok_or_else(|| OpenError::Failed(rusqlite::Error::InvalidPath(path.to_owned())))
}
