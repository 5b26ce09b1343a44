//! Writing the deadlines that passed, and removing what is past its retention: a batch of each, by an index.
//!
//! A sweep that finds nothing touches nothing. Where it stopped is remembered in `meta`: sessions are walked through in small
//! steps, from the beginning again once the end is reached; renewals are looked at once, when they have come of age.

use regrant_engine::{
    event::{EventKind, Renewal},
    id::SessionId,
    ports::{Broken, Random, Retention, Swept},
    reason::Life,
    time::Time,
    token::GrantId,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{backchannel_logout, fault::Fault, grants::Desk, session};

pub(super) fn sweep(db: &Desk, random: &dyn Random, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let now = believed(db, now, keep)?;
    let mut swept = sessions(db, random, now, keep)?;
    let removals = [
        events(db, now, keep)?,
        without_session(db, now, keep)?,
        retries(db, now, keep)?,
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

/// The next batch of sessions: writes the end of those whose deadline has passed, removes those that ended long ago, and
/// forgets the old renewals of the others.
fn sessions(db: &Desk, random: &dyn Random, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let after = position(db, "sweep.sessions")?;
    let mut statement =
        db.prepare_cached("SELECT id, grant_id, ended_at FROM sessions WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    type Row = ([u8; 16], [u8; 16], Option<i64>);
    let batch =
        statement.query_map(params![after, keep.batch], |row| row.try_into())?.collect::<Result<Vec<Row>, _>>()?;
    let mut swept = Swept { more: is_full(batch.len(), keep), ..Swept::default() };
    for (session, grant, ended_at) in &batch {
        let (session, grant) = (SessionId::from_bytes(*session), GrantId(*grant));
        match ended_at {
            Some(at) if *at < now.minus(keep.events).millis() => {
                for grant in db.of_session(session)? {
                    db.remove(&grant)?;
                }
                db.prepare_cached("DELETE FROM sessions WHERE id = ?")?.execute(params![session.as_bytes()])?;
                swept.removed += 1;
                continue;
            }
            Some(_) => {}
            None => {
                let Some(grant) = readable(db.read_known(&grant))?.map(|record| record.grant) else { continue };
                // Not at once: a clock that was wrong for a while must not end what a right one would let live.
                if session::deadline(&grant) <= now.minus(keep.settle) {
                    session::expire(db, random, session, &grant)?;
                    swept.expired += 1;
                } else if session::deadline(&grant) <= now {
                    // It is over all the same, and applications are told: this clock has not jumped.
                    backchannel_logout::put(db, session, grant.user, session::deadline(&grant))?;
                }
            }
        }
        for grant in db.of_session(session)? {
            // Most have no more than may stay.
            let many =
                readable(db.read_known(&grant))?.is_some_and(|record| record.grant.generation.0 > keep.rotations_kept);
            if many {
                let forgotten = db.forget_renewals(&grant, |renewals| outdated(renewals, now, keep));
                swept.removed += readable(forgotten)?.unwrap_or(0);
            }
        }
    }
    let next = if swept.more { batch.last().map(|(id, ..)| *id) } else { None };
    stop_at(db, "sweep.sessions", after, next.unwrap_or_default())?;
    Ok(swept)
}

/// The next batch of grants that belong to no session: removes those that ended long ago, or whose deadline passed so long ago,
/// and forgets the old renewals of the others.
fn without_session(db: &Desk, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let after = position(db, "sweep.without_session")?;
    let batch = db.without_session_after(&after, keep.batch)?;
    let mut swept = Swept { more: is_full(batch.len(), keep), ..Swept::default() };
    for (_, id) in &batch {
        let Some(grant) = readable(db.read_known(id))?.map(|record| record.grant) else { continue };
        let over = match grant.life {
            Life::Alive => session::deadline(&grant).plus(keep.settle),
            Life::Ended { at, .. } => at,
        };
        if over < now.minus(keep.events) {
            db.remove(id)?;
            swept.removed += 1;
        } else if grant.generation.0 > keep.rotations_kept {
            let forgotten = db.forget_renewals(id, |renewals| outdated(renewals, now, keep));
            swept.removed += readable(forgotten)?.unwrap_or(0);
        }
    }
    let next = if swept.more { batch.last().map(|(public_id, _)| *public_id) } else { None };
    stop_at(db, "sweep.without_session", after, next.unwrap_or_default())?;
    Ok(swept)
}

/// What cannot be read is passed over: it must not keep the sweep from all that comes after it.
fn readable<T>(read: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match read {
        Ok(record) => Ok(Some(record)),
        Err(fault @ Fault::Damaged(_)) => {
            tracing::error!(broken = %Broken::from(fault), "the sweep passes over what it cannot read");
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// How many of these, oldest first, are past their retention: the last ones stay.
fn outdated(renewals: &[Renewal], now: Time, keep: Retention) -> usize {
    let may_go = renewals.len().saturating_sub(usize::try_from(keep.rotations_kept).unwrap_or(usize::MAX));
    let before = now.minus(keep.rotations);
    renewals.iter().take(may_go).take_while(|renewal| renewal.at < before).count()
}

/// Events past their retention: ids sort by time, so they are the first ones.
fn events(db: &Connection, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let removed = db
        .prepare_cached("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ?1 ORDER BY id LIMIT ?2)")?
        .execute(params![first_id_at(now.minus(keep.events)), keep.batch])?;
    Ok(Swept { expired: 0, removed: removed as u64, more: is_full(removed, keep) })
}

/// Retries of renewals that are past their retention, each looked at once: those that belong to the renewals that stay, stay
/// until all events of their age go. Renewals are events only in stores of before they were kept with their grants.
fn retries(db: &Desk, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let after = position(db, "sweep.renewals")?;
    let until = first_id_at(now.minus(keep.rotations));
    let mut statement = db
        .prepare_cached("SELECT id, at, session_id, kind FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3")?;
    type Row = ([u8; 16], i64, Option<[u8; 16]>, String);
    let batch = statement
        .query_map(params![after, until, keep.batch], |row| row.try_into())?
        .collect::<Result<Vec<Row>, _>>()?;
    let mut removed = 0;
    let kinds = [EventKind::Rotated.as_str(), EventKind::Replayed.as_str()];
    for (id, at, session, _) in batch.iter().filter(|(.., kind)| kinds.contains(&kind.as_str())) {
        if !is_among_the_last(db, *session, Time::from_millis(*at), keep)? {
            removed += db.prepare_cached("DELETE FROM events WHERE id = ?")?.execute(params![id])? as u64;
        }
    }
    stop_at(db, "sweep.renewals", after, batch.last().map_or(after, |(id, ..)| *id))?;
    Ok(Swept { expired: 0, removed, more: is_full(batch.len(), keep) })
}

/// Whether fewer renewals of a session came after `at` than are kept.
fn is_among_the_last(db: &Desk, session: Option<[u8; 16]>, at: Time, keep: Retention) -> Result<bool, Fault> {
    let Some(session) = session else { return Ok(false) };
    let mut newer = 0;
    for grant in db.of_session(SessionId::from_bytes(session))? {
        newer += db.renewals(&grant)?.iter().filter(|renewal| renewal.at > at).count();
    }
    Ok(u32::try_from(newer).is_ok_and(|newer| newer < keep.rotations_kept))
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
