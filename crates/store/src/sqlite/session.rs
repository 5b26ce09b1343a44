//! Sessions: opening one within the limit, listing, ending with all grants.

use std::sync::{Arc, LazyLock};

use regrant_engine::{
    event::{Actor, Event, EventKind},
    id::{Generation, GrantRef, SessionId, UserId},
    login::FailureKey,
    ports::{Broken, End, Facts, NewSession, Opened, Random, SessionFilter, Wanted},
    reason::{Life, Reason},
    refresh::Grant,
    session::{Session, SessionRecord},
    time::Time,
    token::{Endpoint, GrantId},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    backchannel_logout, event,
    fault::Fault,
    grants::Desk,
    refresh::{self, ATTRIBUTES, IDENTIFIER, ROLES},
    row::Columns,
};

pub(super) fn open(db: &Desk, random: &dyn Random, new: &NewSession) -> Result<Opened, Fault> {
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
        refresh::refresh(db, random, replaced, Wanted::Roles, judge)?;
    }
    make_room(db, random, new)?;
    let roles = refresh::roles(roles).into();
    let facts =
        Facts { auth_time: session.auth_time, amr: session.amr.as_slice().into(), roles, identifier, attributes };
    insert(db, session, grant, &facts)?;
    event::insert(db, &new.event)?;
    for FailureKey(key) in &new.forgive {
        db.prepare_cached("DELETE FROM failures WHERE key = ?")?.execute(params![key])?;
    }
    Ok(Opened::Opened { facts })
}

/// Ends as many sessions of the user as are over the limit: those that never refreshed first, then the longest unused.
fn make_room(db: &Desk, random: &dyn Random, new: &NewSession) -> Result<(), Fault> {
    let now = new.session.created_at;
    let mut alive: Vec<_> =
        open_of(db, new.session.user)?.into_iter().filter_map(|(id, grant)| Some((id, grant?))).collect();
    alive.retain(|(_, grant)| deadline(grant) > now);
    alive.sort_by_key(|(_, grant)| (grant.generation > Generation::FIRST, grant.rotated_at));
    let over = (alive.len() + 1).saturating_sub(usize::try_from(new.limit).unwrap_or(usize::MAX));
    for (id, _) in alive.into_iter().take(over) {
        let end = End { at: now, reason: Reason::SessionLimit, actor: Actor::System };
        end_rows(db, random, id, new.session.user, end)?;
    }
    Ok(())
}

/// The sessions of a user that nobody has ended, oldest first, with their own grants, as far as those can be read.
fn open_of(db: &Desk, user: UserId) -> Result<Vec<(SessionId, Option<Grant>)>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT id, grant_id FROM sessions WHERE user_id = ? AND ended_at IS NULL ORDER BY id")?;
    let rows = statement.query_map(params![user.as_bytes()], |row| row.try_into())?;
    rows.map(|row| {
        let (id, grant): ([u8; 16], [u8; 16]) = row?;
        let grant = match db.read_known(&GrantId(grant)) {
            Ok(record) => Some(record.grant),
            Err(Fault::Damaged(_)) => None,
            Err(fault) => return Err(fault),
        };
        Ok((SessionId::from_bytes(id), grant))
    })
    .collect()
}

/// The grant that serves the session API for a session.
pub(super) fn own_grant(db: &Connection, id: SessionId) -> Result<GrantId, Fault> {
    let mut statement = db.prepare_cached("SELECT grant_id FROM sessions WHERE id = ?")?;
    let own = statement.query_row(params![id.as_bytes()], |row| row.get(0).map(GrantId)).optional()?;
    own.ok_or_else(|| Fault::damaged("a grant without its session"))
}

/// The deadline, idle or absolute, that passes first.
pub(super) fn deadline(grant: &Grant) -> Time {
    grant.idle.0.min(grant.absolute.0)
}

/// Writes a session and its own grant.
pub(super) fn insert(db: &Desk, session: &Session, grant: &Grant, facts: &Facts) -> Result<(), Fault> {
    db.insert(&refresh::record(db, grant, facts)?)?;
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
         s.ended_at, s.end_reason, {IDENTIFIER}, s.grant_id FROM sessions s LEFT JOIN users u ON u.id = s.user_id"
    )
});

fn record(db: &Desk, row: &rusqlite::Row<'_>) -> Result<SessionRecord, Fault> {
    let mut columns = Columns::new(row);
    let id = SessionId::from_bytes(columns.take()?);
    let user = UserId::from_bytes(columns.take()?);
    let (created_at, auth_time) = (columns.time()?, columns.time()?);
    let amr = refresh::words(columns.take()?);
    let device = columns.take()?;
    let context = columns.context()?;
    let life = columns.life()?;
    let identifier = columns.take()?;
    let grant = db.read_known(&GrantId(columns.take()?))?.grant;
    let session = Session { id, user, grant: grant.public_id, created_at, auth_time, amr, device, context, life };
    Ok(SessionRecord { session, grant, identifier })
}

pub(super) fn by_id(db: &Desk, id: SessionId) -> Result<Option<SessionRecord>, Fault> {
    let mut statement = db.prepare_cached(&format!("{} WHERE s.id = ?", *SELECT))?;
    let mut rows = statement.query(params![id.as_bytes()])?;
    rows.next()?.map(|row| record(db, row)).transpose()
}

pub(super) fn by_grant(db: &Desk, grant: GrantRef) -> Result<Option<SessionRecord>, Fault> {
    id_of_grant(db, grant)?.map_or(Ok(None), |id| by_id(db, id))
}

/// The session of a grant: a session's own has its id.
pub(super) fn id_of_grant(db: &Connection, grant: GrantRef) -> Result<Option<SessionId>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT id FROM sessions WHERE id = ?1 UNION ALL SELECT session_id FROM other_grants WHERE public_id = ?1 LIMIT 1",
    )?;
    let id: Option<Option<[u8; 16]>> = statement.query_row(params![grant.as_bytes()], |row| row.get(0)).optional()?;
    Ok(id.flatten().map(SessionId::from_bytes))
}

pub(super) fn by_secret(db: &Desk, id: &GrantId) -> Result<Option<SessionRecord>, Fault> {
    match db.read(id)?.and_then(|record| record.grant.session) {
        Some(session) => by_id(db, session),
        None => Ok(None),
    }
}

pub(super) fn list(db: &Desk, filter: SessionFilter) -> Result<Vec<SessionRecord>, Fault> {
    let by_user = if filter.user.is_some() { "s.user_id = ?1" } else { "?1 IS NULL" };
    let living = if filter.ended { "" } else { "AND s.ended_at IS NULL" };
    // Ids sort by creation, and "before the largest id" is every one: the first page and the next are one statement.
    let sql = format!("{} WHERE {by_user} {living} AND s.id < ?2 ORDER BY s.id DESC LIMIT ?3", *SELECT);
    let before = filter.after.map_or([0xff; 16], |id| *id.as_bytes());
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![filter.user.as_ref().map(UserId::as_bytes), before, filter.limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(db, row)?);
    }
    Ok(records)
}

pub(super) fn count(db: &Connection) -> Result<u64, Fault> {
    let live: i64 =
        db.prepare_cached("SELECT count(*) FROM sessions WHERE ended_at IS NULL")?.query_row([], |row| row.get(0))?;
    Ok(live.unsigned_abs())
}

pub(super) fn end_one(
    db: &Desk,
    random: &dyn Random,
    id: SessionId,
    owner: Option<UserId>,
    end: End,
) -> Result<bool, Fault> {
    let open: Option<([u8; 16], [u8; 16])> = db
        .prepare_cached("SELECT user_id, grant_id FROM sessions WHERE id = ? AND ended_at IS NULL")?
        .query_row(params![id.as_bytes()], |row| row.try_into())
        .optional()?;
    let Some((user, grant)) = open else { return Ok(false) };
    let user = UserId::from_bytes(user);
    let alive = deadline(&db.read_known(&GrantId(grant))?.grant) > end.at;
    if alive && owner.is_none_or(|owner| owner == user) {
        end_rows(db, random, id, user, end).map(|()| true)
    } else {
        Ok(false)
    }
}

pub(super) fn end_of_user(
    db: &Desk,
    random: &dyn Random,
    user: UserId,
    except: Option<SessionId>,
    end: End,
) -> Result<u64, Fault> {
    let mut ended = 0;
    for (id, grant) in open_of(db, user)? {
        if Some(id) == except {
            continue;
        }
        match grant {
            // It expired unseen and does not count. It is written all the same: if only the clock was wrong, it must not be
            // there again once the clock is right, for whoever asked was told that all are over.
            Some(grant) if deadline(&grant) <= end.at => expire(db, random, id, &grant)?,
            Some(_) | None => {
                end_rows(db, random, id, user, end)?;
                ended += 1;
            }
        }
    }
    Ok(ended)
}

/// Writes the deadline of a session's own grant that passed first.
pub(super) fn expire(db: &Desk, random: &dyn Random, id: SessionId, grant: &Grant) -> Result<(), Fault> {
    let reason = if grant.idle.0 < grant.absolute.0 { Reason::ExpiredIdle } else { Reason::ExpiredAbsolute };
    end_rows(db, random, id, grant.user, End { at: deadline(grant), reason, actor: Actor::System })
}

/// Ends the next sessions of everybody after `after`; the last one looked at.
pub(super) fn end_next(
    db: &Desk,
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
        for grant in db.all_without_session()? {
            end_grant(db, &grant, end.at, |_| end.reason)?;
        }
    }
    Ok(next.last().map(|(id, _)| *id))
}

/// Ends everything that a user holds: every session, and every grant that has none.
pub(super) fn end_all_held(db: &Desk, random: &dyn Random, user: UserId, end: End) -> Result<u64, Fault> {
    let ended = end_of_user(db, random, user, None, end)?;
    for grant in db.without_session(user)? {
        end_grant(db, &grant, end.at, |_| end.reason)?;
    }
    Ok(ended)
}

/// Ends a session and all its grants, and tells the timeline. Those that ended before keep their reason.
pub(super) fn end_rows(db: &Desk, random: &dyn Random, id: SessionId, user: UserId, end: End) -> Result<(), Fault> {
    let ended = db
        .prepare_cached("UPDATE sessions SET ended_at = ?2, end_reason = ?3 WHERE id = ?1 AND ended_at IS NULL")?
        .execute(params![id.as_bytes(), end.at.millis(), end.reason.as_str()])?;
    for grant in db.of_session(id)? {
        end_grant(db, &grant, end.at, |of| match of {
            Endpoint::Session => end.reason,
            Endpoint::OAuth => Reason::SessionEnded,
        })?;
    }
    if ended == 1 {
        backchannel_logout::put(db, id, user, end.at)?;
        let told =
            Event::new(EventKind::SessionEnded, end.at, end.actor, random).session(id).user(user).because(end.reason);
        event::insert(db, &told)?;
    }
    Ok(())
}

/// Ends one grant, if it lives; whether it did.
pub(super) fn end_grant(
    db: &Desk,
    id: &GrantId,
    at: Time,
    reason: impl FnOnce(Endpoint) -> Reason,
) -> Result<bool, Fault> {
    let mut record = match db.read_known(id) {
        Ok(record) => record,
        // It cannot be used either, and must not keep all else from ending.
        Err(fault @ Fault::Damaged(_)) => {
            tracing::error!(broken = %Broken::from(fault), "a grant that cannot be read is passed over");
            return Ok(false);
        }
        Err(fault) => return Err(fault),
    };
    if !record.grant.life.is_alive() {
        return Ok(false);
    }
    record.grant.life = Life::Ended { at, reason: reason(record.grant.endpoint) };
    db.write(&record, None)?;
    Ok(true)
}
