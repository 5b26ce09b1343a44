//! Sessions: opening one within the limit, listing, ending with all grants.

use std::sync::{Arc, LazyLock};

use regrant_engine::{
    event::{Actor, Event, EventKind},
    id::{GrantRef, SessionId, UserId},
    login::FailureKey,
    ports::{End, Facts, NewSession, Opened, Random, SessionFilter},
    reason::Reason,
    refresh::Grant,
    session::{Session, SessionRecord},
    time::Time,
    token::GrantId,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    event,
    fault::Fault,
    refresh::{self, ATTRIBUTES, IDENTIFIER, ROLES},
    row::{self, Columns},
};

pub(super) fn open(db: &Connection, random: &dyn Random, new: &NewSession) -> Result<Opened, Fault> {
    let (session, grant) = (&new.session, &new.grant);
    // The user as of now, not as of the moment when the password was checked.
    type User = (u32, Option<i64>, Option<String>, Option<String>, Option<Arc<str>>);
    let user: Option<User> = db
        .prepare_cached(&format!(
            "SELECT epoch, disabled_at, {ROLES}, {IDENTIFIER}, {ATTRIBUTES} FROM users u WHERE id = ?"
        ))?
        .query_row(params![session.user.as_bytes()], |row| row.try_into())
        .optional()?;
    let Some((epoch, None, roles, identifier, attributes)) = user else {
        return Ok(Opened::UserChanged);
    };
    if epoch != grant.epoch.0 {
        return Ok(Opened::UserChanged);
    }
    if let Some((replaced, judge)) = &new.replaces {
        refresh::refresh(db, random, replaced, judge)?;
    }
    make_room(db, random, new)?;
    insert(db, session, grant)?;
    event::insert(db, &new.event)?;
    for FailureKey(key) in &new.forgive {
        db.prepare_cached("DELETE FROM failures WHERE key = ?")?.execute(params![key])?;
    }
    let roles = refresh::roles(roles);
    let facts = Facts { auth_time: session.auth_time, amr: session.amr.clone(), roles, identifier, attributes };
    Ok(Opened::Opened { facts })
}

/// Ends as many sessions of the user as are over the limit: those that never refreshed first, then the longest unused.
fn make_room(db: &Connection, random: &dyn Random, new: &NewSession) -> Result<(), Fault> {
    let now = new.session.created_at;
    let mut statement = db.prepare_cached(
        "SELECT s.id FROM sessions s JOIN grants g ON g.id = s.grant_id \
         WHERE s.user_id = ? AND s.ended_at IS NULL AND g.idle_deadline > ?2 AND g.absolute_deadline > ?2 \
         ORDER BY g.generation > 1, g.rotated_at",
    )?;
    let alive = statement
        .query_map(params![new.session.user.as_bytes(), now.millis()], |row| row.get(0))?
        .collect::<Result<Vec<[u8; 16]>, _>>()?;
    let over = (alive.len() + 1).saturating_sub(usize::try_from(new.limit).unwrap_or(usize::MAX));
    for id in alive.into_iter().take(over) {
        let end = End { at: now, reason: Reason::SessionLimit, actor: Actor::System };
        end_rows(db, random, SessionId::from_bytes(id), new.session.user, end)?;
    }
    Ok(())
}

/// Writes a session and its own grant.
pub(super) fn insert(db: &Connection, session: &Session, grant: &Grant) -> Result<(), Fault> {
    row::insert_grant(db, grant)?;
    let [a, b, c, d, ..] = grant.id.0;
    db.prepare_cached(
        "INSERT INTO sessions (id, shard, user_id, grant_id, created_at, auth_time, amr, device, user_agent, network, \
         address, prefix) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        session.id.as_bytes(),
        [a, b, c, d],
        session.user.as_bytes(),
        grant.id.0,
        session.created_at.millis(),
        session.auth_time.millis(),
        session.amr.join(" "),
        session.device,
        session.context.user_agent.as_str(),
        session.context.network.to_bytes(),
        session.context.address.0,
        session.context.prefix.to_string(),
    ])?;
    Ok(())
}

static SELECT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT s.id, s.user_id, s.created_at, s.auth_time, s.amr, s.device, s.user_agent, s.network, s.address, s.prefix, \
         s.ended_at, s.end_reason, {IDENTIFIER}, {} \
         FROM sessions s JOIN grants g ON g.id = s.grant_id LEFT JOIN users u ON u.id = s.user_id",
        row::GRANT
    )
});

fn record(row: &rusqlite::Row<'_>) -> Result<SessionRecord, Fault> {
    let mut columns = Columns::new(row);
    let id = SessionId::from_bytes(columns.take()?);
    let user = UserId::from_bytes(columns.take()?);
    let (created_at, auth_time) = (columns.time()?, columns.time()?);
    let amr = refresh::words(columns.take()?);
    let device = columns.take()?;
    let context = columns.context()?;
    let life = columns.life()?;
    let identifier = columns.take()?;
    let grant = row::grant(&mut columns)?;
    let session = Session { id, user, grant: grant.public_id, created_at, auth_time, amr, device, context, life };
    Ok(SessionRecord { session, grant, identifier })
}

fn one(db: &Connection, condition: &str, parameter: &[u8; 16]) -> Result<Option<SessionRecord>, Fault> {
    let mut statement = db.prepare_cached(&format!("{} WHERE {condition}", *SELECT))?;
    let mut rows = statement.query(params![parameter])?;
    rows.next()?.map(record).transpose()
}

pub(super) fn by_id(db: &Connection, id: SessionId) -> Result<Option<SessionRecord>, Fault> {
    one(db, "s.id = ?", id.as_bytes())
}

pub(super) fn by_grant(db: &Connection, grant: GrantRef) -> Result<Option<SessionRecord>, Fault> {
    one(db, "s.id = (SELECT session_id FROM grants WHERE public_id = ?)", grant.as_bytes())
}

pub(super) fn by_secret(db: &Connection, id: &GrantId) -> Result<Option<SessionRecord>, Fault> {
    one(db, "s.id = (SELECT session_id FROM grants WHERE id = ?)", &id.0)
}

pub(super) fn list(db: &Connection, filter: SessionFilter) -> Result<Vec<SessionRecord>, Fault> {
    let by_user = if filter.user.is_some() { "s.user_id = ?1" } else { "?1 IS NULL" };
    let living = if filter.ended { "" } else { "AND s.ended_at IS NULL" };
    // Ids sort by creation, and "before the largest id" is every one: the first page and the next are one statement.
    let sql = format!("{} WHERE {by_user} {living} AND s.id < ?2 ORDER BY s.id DESC LIMIT ?3", *SELECT);
    let before = filter.after.map_or([0xff; 16], |id| *id.as_bytes());
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![filter.user.as_ref().map(UserId::as_bytes), before, filter.limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

pub(super) fn count(db: &Connection) -> Result<u64, Fault> {
    let live: i64 =
        db.prepare_cached("SELECT count(*) FROM sessions WHERE ended_at IS NULL")?.query_row([], |row| row.get(0))?;
    Ok(live.unsigned_abs())
}

pub(super) fn any_alive(db: &Connection, now: Time) -> Result<bool, Fault> {
    Ok(db
        .prepare_cached(
            "SELECT 1 FROM grants WHERE ended_at IS NULL AND idle_deadline > ?1 AND absolute_deadline > ?1 LIMIT 1",
        )?
        .exists(params![now.millis()])?)
}

pub(super) fn end_one(
    db: &Connection,
    random: &dyn Random,
    id: SessionId,
    owner: Option<UserId>,
    end: End,
) -> Result<bool, Fault> {
    let user: Option<[u8; 16]> = db
        .prepare_cached(
            "SELECT s.user_id FROM sessions s JOIN grants g ON g.id = s.grant_id WHERE s.id = ?1 AND s.ended_at IS NULL \
             AND g.idle_deadline > ?2 AND g.absolute_deadline > ?2",
        )?
        .query_row(params![id.as_bytes(), end.at.millis()], |row| row.get(0))
        .optional()?;
    match user.map(UserId::from_bytes) {
        Some(user) if owner.is_none_or(|owner| owner == user) => end_rows(db, random, id, user, end).map(|()| true),
        _ => Ok(false),
    }
}

pub(super) fn end_of_user(
    db: &Connection,
    random: &dyn Random,
    user: UserId,
    except: Option<SessionId>,
    end: End,
) -> Result<u64, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT s.id, g.idle_deadline, g.absolute_deadline FROM sessions s JOIN grants g ON g.id = s.grant_id \
         WHERE s.user_id = ? AND s.ended_at IS NULL ORDER BY s.id",
    )?;
    let sessions = statement
        .query_map(params![user.as_bytes()], |row| row.try_into())?
        .collect::<Result<Vec<([u8; 16], i64, i64)>, _>>()?;
    let mut ended = 0;
    for (id, idle, absolute) in sessions {
        let id = SessionId::from_bytes(id);
        if Some(id) == except {
            continue;
        }
        if idle.min(absolute) > end.at.millis() {
            end_rows(db, random, id, user, end)?;
            ended += 1;
        } else {
            // It expired unseen and does not count. It is written all the same: if only the clock was wrong, it must not be
            // there again once the clock is right, for whoever asked was told that all are over.
            expire(db, random, id, user, (idle, absolute))?;
        }
    }
    Ok(ended)
}

/// Writes the deadline, idle or absolute, that passed first.
pub(super) fn expire(
    db: &Connection,
    random: &dyn Random,
    id: SessionId,
    user: UserId,
    (idle, absolute): (i64, i64),
) -> Result<(), Fault> {
    let reason = if idle < absolute { Reason::ExpiredIdle } else { Reason::ExpiredAbsolute };
    let at = Time::from_millis(idle.min(absolute));
    end_rows(db, random, id, user, End { at, reason, actor: Actor::System })
}

/// Ends the next sessions of everybody after `after`; the last one looked at.
pub(super) fn end_next(
    db: &Connection,
    random: &dyn Random,
    end: End,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Option<SessionId>, Fault> {
    let mut statement = db.prepare_cached("SELECT id, user_id FROM sessions WHERE id > ? ORDER BY id LIMIT ?")?;
    let after = after.as_ref().map_or(&[0; 16], SessionId::as_bytes);
    let next = statement
        .query_map(params![after, limit], |row| {
            Ok((SessionId::from_bytes(row.get(0)?), UserId::from_bytes(row.get(1)?)))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    for (id, user) in &next {
        end_rows(db, random, *id, *user, end)?;
    }
    if next.is_empty() {
        // Everybody's sessions are over: so is what outlives them.
        db.prepare_cached(
            "UPDATE grants SET ended_at = ?1, end_reason = ?2 WHERE session_id IS NULL AND ended_at IS NULL",
        )?
        .execute(params![end.at.millis(), end.reason.as_str()])?;
    }
    Ok(next.last().map(|(id, _)| *id))
}

/// Ends everything that a user holds: every session, and every grant that has none.
pub(super) fn end_all_held(db: &Connection, random: &dyn Random, user: UserId, end: End) -> Result<u64, Fault> {
    let ended = end_of_user(db, random, user, None, end)?;
    db.prepare_cached(
        "UPDATE grants SET ended_at = ?2, end_reason = ?3 WHERE user_id = ?1 AND session_id IS NULL AND ended_at IS NULL",
    )?
    .execute(params![user.as_bytes(), end.at.millis(), end.reason.as_str()])?;
    Ok(ended)
}

/// Ends a session and all its grants, and tells the timeline. Those that ended before keep their reason.
pub(super) fn end_rows(
    db: &Connection,
    random: &dyn Random,
    id: SessionId,
    user: UserId,
    end: End,
) -> Result<(), Fault> {
    let (at, reason) = (end.at.millis(), end.reason.as_str());
    let ended = db
        .prepare_cached("UPDATE sessions SET ended_at = ?2, end_reason = ?3 WHERE id = ?1 AND ended_at IS NULL")?
        .execute(params![id.as_bytes(), at, reason])?;
    db.prepare_cached(
        "UPDATE grants SET ended_at = ?2, end_reason = iif(endpoint = 'session', ?3, ?4) \
         WHERE session_id = ?1 AND ended_at IS NULL",
    )?
    .execute(params![id.as_bytes(), at, reason, Reason::SessionEnded.as_str()])?;
    if ended == 1 {
        let told =
            Event::new(EventKind::SessionEnded, end.at, end.actor, random).session(id).user(user).because(end.reason);
        event::insert(db, &told)?;
    }
    Ok(())
}
