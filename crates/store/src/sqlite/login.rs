//! What a sign-in reads and counts, and a change of password by its owner.

use regrant_engine::{
    event::{Actor, Event},
    id::{Epoch, UserId},
    login::{Account, FailureCount, FailureKey},
    ports::{End, Judge, PasswordChange, PasswordChanged, Random, Wanted},
    reason::Reason,
    refresh::Decision,
    time::{Seconds, Time},
    token::{GrantId, Shard},
    user::Identifier,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    event,
    fault::Fault,
    grants::Desk,
    refresh::{self, ROLES, roles},
    row::Columns,
    session,
};

pub(super) fn account(db: &Connection, identifier: &Identifier) -> Result<Option<Account>, Fault> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT u.id, u.shard, u.disabled_at IS NULL, u.epoch, p.hash, {ROLES} FROM identifiers i \
         JOIN users u ON u.id = i.user_id LEFT JOIN passwords p ON p.user_id = u.id WHERE i.kind = ? AND i.value = ?"
    ))?;
    let mut rows = statement.query(params![identifier.kind.as_str(), identifier.value])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    Ok(Some(Account {
        user: UserId::from_bytes(columns.take()?),
        shard: Shard(columns.take()?),
        active: columns.take()?,
        epoch: Epoch(columns.take()?),
        password: columns.take()?,
        roles: roles(columns.take()?),
    }))
}

pub(super) fn failures(db: &Connection, keys: &[FailureKey]) -> Result<Vec<FailureCount>, Fault> {
    let mut statement = db.prepare_cached("SELECT since, count FROM failures WHERE key = ?")?;
    keys.iter()
        .map(|FailureKey(key)| {
            let found: Option<(i64, u32)> = statement.query_row(params![key], |row| row.try_into()).optional()?;
            Ok(found.map(|(since, count)| FailureCount { since: Time::from_millis(since), count }).unwrap_or_default())
        })
        .collect()
}

pub(super) fn note_failure(
    db: &Connection,
    keys: &[FailureKey],
    at: Time,
    window: Seconds,
    told: &Event,
) -> Result<(), Fault> {
    count(db, keys, at, window)?;
    event::insert(db, told)
}

/// Counts one under each of `keys`; counts older than `window` begin anew.
pub(super) fn count(db: &Connection, keys: &[FailureKey], at: Time, window: Seconds) -> Result<(), Fault> {
    let mut statement = db.prepare_cached(
        "INSERT INTO failures (key, since, count) VALUES (?1, ?2, 1) ON CONFLICT (key) DO UPDATE SET \
         since = iif(since > ?3 AND since < ?4, since, excluded.since), \
         count = iif(since > ?3 AND since < ?4, min(count + 1, 1000000), 1)",
    )?;
    for FailureKey(key) in keys {
        // A window that begins in the future was begun by a clock that was wrong: it begins anew.
        statement.execute(params![key, at.millis(), at.minus(window).millis(), at.plus(window).millis()])?;
    }
    Ok(())
}

pub(super) fn password_hash(db: &Connection, user: UserId) -> Result<Option<String>, Fault> {
    Ok(db
        .prepare_cached("SELECT hash FROM passwords WHERE user_id = ?")?
        .query_row(params![user.as_bytes()], |row| row.get(0))
        .optional()?)
}

pub(super) fn upgrade_password(db: &Connection, user: UserId, expected: &str, hash: &str) -> Result<(), Fault> {
    db.prepare_cached("UPDATE passwords SET hash = ?3 WHERE user_id = ?1 AND hash = ?2")?.execute(params![
        user.as_bytes(),
        expected,
        hash
    ])?;
    Ok(())
}

pub(super) fn change_password(
    db: &Desk,
    random: &dyn Random,
    id: &GrantId,
    judge: &Judge,
    change: &PasswordChange,
) -> Result<PasswordChanged, Fault> {
    let loaded = refresh::load(db, id, Wanted::Person)?;
    let verdict = judge(loaded.as_ref());
    let Some(grant) = verdict.loaded.as_ref().map(|loaded| &loaded.state.grant) else {
        return Ok(PasswordChanged::NotAllowed(verdict));
    };
    if !matches!(verdict.decision, Decision::Rotated { .. }) {
        refresh::carry_out(db, random, &verdict)?;
        return Ok(PasswordChanged::NotAllowed(verdict));
    }
    let user = grant.user;
    let replaced = db
        .prepare_cached("UPDATE passwords SET hash = ?3, changed_at = ?4 WHERE user_id = ?1 AND hash = ?2")?
        .execute(params![user.as_bytes(), change.expected, change.hash, change.event.at.millis()])?;
    if replaced == 0 {
        return Ok(PasswordChanged::Conflict);
    }
    let end = End { at: change.event.at, reason: Reason::PasswordChanged, actor: Actor::User };
    session::end_of_user(db, random, user, grant.session, end)?;
    // The session's other grants and those without a session were issued before; the acting one is stamped anew.
    let sisters = grant.session.map_or_else(|| Ok(Vec::new()), |session| db.of_session(session))?;
    for other in db.without_session(user)?.iter().chain(&sisters).filter(|other| *other != id) {
        session::end_grant(db, other, end.at, |_| end.reason)?;
    }
    db.prepare_cached("UPDATE users SET epoch = ?2 WHERE id = ?1")?.execute(params![user.as_bytes(), grant.epoch.0])?;
    event::insert(db, &change.event)?;
    refresh::carry_out(db, random, &verdict)?;
    Ok(PasswordChanged::Changed(verdict))
}
