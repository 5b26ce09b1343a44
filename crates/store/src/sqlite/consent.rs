//! What users allowed applications.

use regrant_engine::{
    consent::Consent,
    event::Event,
    id::{ClientId, UserId},
    ports::{Access, End, Wanted},
    time::Time,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{event, fault::Fault, grants::Desk, refresh, session};

pub(super) fn find(db: &Connection, user: UserId, client: &ClientId) -> Result<Option<Consent>, Fault> {
    let found: Option<(String, i64)> = db
        .prepare_cached("SELECT scope, given_at FROM consents WHERE user_id = ? AND client_id = ?")?
        .query_row(params![user.as_bytes(), &*client.0], |row| row.try_into())
        .optional()?;
    Ok(found.map(|(scope, given_at)| Consent {
        user,
        client: client.clone(),
        scope,
        given_at: Time::from_millis(given_at),
    }))
}

pub(super) fn give(db: &Connection, consent: &Consent, told: &Event) -> Result<(), Fault> {
    let before = find(db, consent.user, &consent.client)?.map(|before| before.scope).unwrap_or_default();
    let mut scope: Vec<&str> = before.split(' ').filter(|part| !part.is_empty()).collect();
    for part in consent.scope.split(' ').filter(|part| !part.is_empty()) {
        if !scope.contains(&part) {
            scope.push(part);
        }
    }
    // A user who was deleted meanwhile leaves nothing behind.
    db.prepare_cached(
        "INSERT INTO consents (user_id, client_id, scope, given_at) SELECT id, ?2, ?3, ?4 FROM users WHERE id = ?1 \
         ON CONFLICT (user_id, client_id) DO UPDATE SET scope = excluded.scope, given_at = excluded.given_at",
    )?
    .execute(params![consent.user.as_bytes(), &*consent.client.0, scope.join(" "), consent.given_at.millis()])?;
    event::insert(db, told)
}

pub(super) fn withdraw(db: &Desk, user: UserId, client: &ClientId, end: End, told: &Event) -> Result<bool, Fault> {
    let removed = db
        .prepare_cached("DELETE FROM consents WHERE user_id = ? AND client_id = ?")?
        .execute(params![user.as_bytes(), &*client.0])?;
    // What was allowed and not yet fetched is not allowed any more. Codes that were redeemed stay, to be recognised.
    let unredeemed = db
        .prepare_cached("DELETE FROM codes WHERE user_id = ? AND client_id = ? AND grant_id IS NULL")?
        .execute(params![user.as_bytes(), &*client.0])?;
    let unfetched = db
        .prepare_cached("DELETE FROM device_codes WHERE user_id = ? AND client_id = ? AND grant_id IS NULL")?
        .execute(params![user.as_bytes(), &*client.0])?;
    let mut ended = unredeemed + unfetched;
    for grant in db.of_client(client, Some(user))? {
        ended += usize::from(session::end_grant(db, &grant, end.at, |_| end.reason)?);
    }
    if removed + ended > 0 {
        event::insert(db, told)?;
    }
    Ok(removed + ended > 0)
}

pub(super) fn access(db: &Desk, user: UserId, limit: u32) -> Result<Access, Fault> {
    let mut statement =
        db.prepare_cached("SELECT client_id, scope, given_at FROM consents WHERE user_id = ? ORDER BY client_id")?;
    let rows = statement.query_map(params![user.as_bytes()], |row| {
        let (client, scope, given_at): (String, String, i64) = row.try_into()?;
        Ok(Consent { user, client: ClientId::from(client), scope, given_at: Time::from_millis(given_at) })
    })?;
    let consents = rows.collect::<Result<_, _>>()?;
    let mut grants = Vec::new();
    for id in db.of_applications(user, limit)? {
        // Most have ended: those are only looked at.
        let lives = match db.read_known(&id) {
            Ok(record) => record.grant.life.is_alive(),
            // It cannot be used, and must not hide the others.
            Err(Fault::Damaged(_)) => false,
            Err(fault) => return Err(fault),
        };
        if lives {
            grants.extend(refresh::load(db, &id, Wanted::Roles)?);
        }
    }
    Ok(Access { consents, grants })
}
