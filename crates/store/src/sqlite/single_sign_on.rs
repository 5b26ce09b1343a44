//! The sign-in of the provider's pages: which session an opaque reference names.

use regrant_engine::{
    id::{Epoch, SessionId, UserId},
    login::FailureKey,
    ports::{NewSignIn, SignInRecord},
    refresh::{Authentication, Owner},
    time::Time,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{event, fault::Fault, grants::Desk, refresh::words, session};

pub(super) fn add(db: &Desk, new: &NewSignIn) -> Result<bool, Fault> {
    let Some(record) = session::by_id(db, new.session)? else {
        return Ok(false);
    };
    let same_user = owner(db, record.session.user)? == Owner::Active(new.epoch) && record.grant.epoch == new.epoch;
    if !same_user || !record.session.life.is_alive() {
        return Ok(false);
    }
    db.prepare_cached(
        "INSERT INTO sign_ins (session_id, hash, auth_time, amr) VALUES (?, ?, ?, ?) ON CONFLICT (session_id) DO UPDATE SET \
         hash = excluded.hash, auth_time = excluded.auth_time, amr = excluded.amr",
    )?
    .execute(params![
        new.session.as_bytes(),
        new.hash,
        new.authentication.auth_time.millis(),
        new.authentication.amr.join(" ")
    ])?;
    for FailureKey(key) in &new.forgive {
        db.prepare_cached("DELETE FROM failures WHERE key = ?")?.execute(params![key])?;
    }
    new.event.iter().try_for_each(|told| event::insert(db, told))?;
    Ok(true)
}

pub(super) fn find(db: &Desk, hash: &[u8; 32]) -> Result<Option<SignInRecord>, Fault> {
    type Row = ([u8; 16], i64, Option<String>);
    let found: Option<Row> = db
        .prepare_cached("SELECT session_id, auth_time, amr FROM sign_ins WHERE hash = ?")?
        .query_row(params![hash], |row| row.try_into())
        .optional()?;
    let Some((session, auth_time, amr)) = found else {
        return Ok(None);
    };
    let Some(record) = session::by_id(db, SessionId::from_bytes(session))? else {
        return Ok(None);
    };
    let authentication = Authentication { auth_time: Time::from_millis(auth_time), amr: words(amr) };
    let user = owner(db, record.session.user)?;
    Ok(Some(SignInRecord { record, authentication, user }))
}

/// The user, as far as the rules care.
pub(super) fn owner(db: &Connection, user: UserId) -> Result<Owner, Fault> {
    let found: Option<(u32, Option<i64>)> = db
        .prepare_cached("SELECT epoch, disabled_at FROM users WHERE id = ?")?
        .query_row(params![user.as_bytes()], |row| row.try_into())
        .optional()?;
    Ok(match found {
        None => Owner::Gone,
        Some((_, Some(_))) => Owner::Disabled,
        Some((epoch, None)) => Owner::Active(Epoch(epoch)),
    })
}
