//! What an operator asks before and after a database is lost: what a commit is worth there, and what is in one that was put back.

use regrant_engine::time::Time;

use super::{fault::Fault, pool::Db, row::Columns};

/// What is in a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contents {
    /// How many users.
    pub users: u64,
    /// How many sessions that live as far as their rows say.
    pub live_sessions: u64,
    /// When something happened last.
    pub newest: Option<Time>,
}

/// What becomes of acknowledged commits when the primary is lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durability {
    /// Whether a standby follows at this moment.
    pub followed: bool,
    /// Whether a commit waits for one (`synchronous_standby_names`).
    pub waits: bool,
}

pub(super) async fn contents(db: &Db) -> Result<Contents, Fault> {
    // One by one: Citus knows no query within what is selected.
    let found = async |sql: &str| db.row(sql, &[]).await?.ok_or_else(|| Fault::damaged("a count without an answer"));
    let users = found("SELECT count(*) FROM users").await?;
    let sessions = found("SELECT count(*) FROM sessions WHERE ended_at IS NULL").await?;
    let (events, grants) =
        (found("SELECT max(at) FROM events").await?, found("SELECT max(last_event) FROM grants").await?);
    Ok(Contents {
        users: Columns::new(&users).number()?,
        live_sessions: Columns::new(&sessions).number()?,
        newest: Columns::new(&events).time_or_none()?.max(Columns::new(&grants).time_or_none()?),
    })
}

pub(super) async fn durability(db: &Db) -> Result<Durability, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_stat_replication), current_setting('synchronous_standby_names', true)";
    let row = db.row(sql, &[]).await?.ok_or_else(|| Fault::damaged("a question without an answer"))?;
    let mut columns = Columns::new(&row);
    let (followed, names): (bool, Option<String>) = (columns.take()?, columns.take()?);
    Ok(Durability { followed, waits: names.is_some_and(|names| !names.trim().is_empty()) })
}
