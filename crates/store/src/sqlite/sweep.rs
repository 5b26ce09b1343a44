//! Writing the deadlines that passed, and removing what is past its retention: a batch of each, by an index.
//!
//! A sweep that finds nothing touches nothing. Where it stopped is remembered in `meta`: sessions are walked through in small
//! steps, from the beginning again once the end is reached; renewals are looked at once, when they have come of age.

use regrant_engine::{
    event::EventKind,
    id::{SessionId, UserId},
    ports::{Random, Retention, Swept},
    time::Time,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{fault::Fault, session};

pub(super) fn sweep(db: &Connection, random: &dyn Random, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let now = believed(db, now, keep)?;
    let mut swept = sessions(db, random, now, keep)?;
    let removals = [
        events(db, now, keep)?,
        renewals(db, now, keep)?,
        remove(db, "failures", "since", "key", now.minus(keep.failures), keep)?,
        remove(db, "outbox", "at", "id", now.minus(keep.events), keep)?,
    ];
    for Swept { expired, removed, more } in removals {
        swept.expired += expired;
        swept.removed += removed;
        swept.more |= more;
    }
    Ok(swept)
}

/// The time by which this sweep goes: the clock's, but no further beyond the last sweep's than its pace. After a long stop it
/// catches up step by step; a clock that is a year ahead for an hour is put right before anything is lost.
fn believed(db: &Connection, now: Time, keep: Retention) -> Result<Time, Fault> {
    let last: Option<String> = db
        .prepare_cached("SELECT value FROM meta WHERE name = 'sweep.clock'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let last = last.and_then(|millis| millis.parse().ok()).map(Time::from_millis);
    let believed = last.map_or(now, |last| now.min(last.plus(keep.pace)));
    remember(db, "sweep.clock", &believed.millis().to_string())?;
    Ok(believed)
}

/// The oldest rows of a table, a batch at a time.
fn remove(db: &Connection, table: &str, age: &str, key: &str, before: Time, keep: Retention) -> Result<Swept, Fault> {
    let removed = db
        .prepare_cached(&format!(
            "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {age} < ?1 ORDER BY {age} LIMIT ?2)"
        ))?
        .execute(params![before.millis(), keep.batch])?;
    Ok(Swept { expired: 0, removed: removed as u64, more: is_full(removed, keep) })
}

/// The next batch of sessions: writes the end of those whose deadline has passed, removes those that ended long ago.
fn sessions(db: &Connection, random: &dyn Random, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let after = position(db, "sweep.sessions")?;
    let mut statement = db.prepare_cached(
        "SELECT s.id, s.user_id, s.ended_at, g.idle_deadline, g.absolute_deadline FROM sessions s \
         JOIN grants g ON g.id = s.grant_id WHERE s.id > ?1 ORDER BY s.id LIMIT ?2",
    )?;
    type Row = ([u8; 16], [u8; 16], Option<i64>, i64, i64);
    let batch =
        statement.query_map(params![after, keep.batch], |row| row.try_into())?.collect::<Result<Vec<Row>, _>>()?;
    let mut swept = Swept { more: is_full(batch.len(), keep), ..Swept::default() };
    for (id, user, ended_at, idle, absolute) in &batch {
        let deadline = *idle.min(absolute);
        match ended_at {
            // Not at once: a clock that was wrong for a while must not end what a right one would let live.
            None if deadline <= now.minus(keep.settle).millis() => {
                let (id, user) = (SessionId::from_bytes(*id), UserId::from_bytes(*user));
                session::expire(db, random, id, user, (*idle, *absolute))?;
                swept.expired += 1;
            }
            Some(at) if *at < now.minus(keep.events).millis() => {
                db.prepare_cached("DELETE FROM grants WHERE session_id = ?")?.execute(params![id])?;
                db.prepare_cached("DELETE FROM sessions WHERE id = ?")?.execute(params![id])?;
                swept.removed += 1;
            }
            _ => {}
        }
    }
    let next = if swept.more { batch.last().map(|(id, ..)| *id) } else { None };
    stop_at(db, "sweep.sessions", after, next.unwrap_or_default())?;
    Ok(swept)
}

/// Events past their retention: ids sort by time, so they are the first ones.
fn events(db: &Connection, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let removed = db
        .prepare_cached("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ?1 ORDER BY id LIMIT ?2)")?
        .execute(params![first_id_at(now.minus(keep.events)), keep.batch])?;
    Ok(Swept { expired: 0, removed: removed as u64, more: is_full(removed, keep) })
}

/// Renewals, and retries of them, past theirs. Each is looked at once: the last ones of a session stay until all events of
/// their age go.
fn renewals(db: &Connection, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let after = position(db, "sweep.renewals")?;
    let until = first_id_at(now.minus(keep.rotations));
    let mut statement =
        db.prepare_cached("SELECT id, session_id, kind FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3")?;
    type Row = ([u8; 16], Option<[u8; 16]>, String);
    let batch = statement
        .query_map(params![after, until, keep.batch], |row| row.try_into())?
        .collect::<Result<Vec<Row>, _>>()?;
    let mut newer = db.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM events WHERE session_id = ?1 AND id > ?2 AND kind = 'refresh.rotated' LIMIT ?3)",
    )?;
    let mut removed = 0;
    let renewals = [EventKind::Rotated.as_str(), EventKind::Replayed.as_str()];
    for (id, session, _) in batch.iter().filter(|(_, _, kind)| renewals.contains(&kind.as_str())) {
        let newer: u32 = newer.query_row(params![session, id, keep.rotations_kept], |row| row.get(0))?;
        if newer >= keep.rotations_kept {
            removed += db.prepare_cached("DELETE FROM events WHERE id = ?")?.execute(params![id])? as u64;
        }
    }
    stop_at(db, "sweep.renewals", after, batch.last().map_or(after, |(id, ..)| *id))?;
    Ok(Swept { expired: 0, removed, more: is_full(batch.len(), keep) })
}

fn is_full(rows: usize, keep: Retention) -> bool {
    u32::try_from(rows).is_ok_and(|rows| rows >= keep.batch)
}

/// The smallest `UUIDv7` of a moment (RFC 9562 §5.7: its first 48 bits are the milliseconds).
fn first_id_at(at: Time) -> [u8; 16] {
    let millis = u128::try_from(at.millis()).unwrap_or(0) & 0xffff_ffff_ffff;
    (millis << 80).to_be_bytes()
}

fn position(db: &Connection, name: &str) -> Result<[u8; 16], Fault> {
    let stored: Option<String> = db
        .prepare_cached("SELECT value FROM meta WHERE name = ?")?
        .query_row(params![name], |row| row.get(0))
        .optional()?;
    let parsed = stored.and_then(|text| u128::from_str_radix(&text, 16).ok());
    Ok(parsed.unwrap_or(0).to_be_bytes())
}

fn stop_at(db: &Connection, name: &str, before: [u8; 16], next: [u8; 16]) -> Result<(), Fault> {
    if next == before { Ok(()) } else { remember(db, name, &format!("{:032x}", u128::from_be_bytes(next))) }
}

/// Writes one thing that the store remembers of itself.
pub(super) fn remember(db: &Connection, name: &str, value: &str) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![name, value])?;
    Ok(())
}
