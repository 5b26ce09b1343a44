//! Signing keys, sealed; refresh keys' check values and marks; and what the store remembers of the issuer.

use regrant_engine::{
    event::{Event, EventKind},
    id::{ClientId, GrantRef, SessionId, UserId},
    keyring::SealedKey,
    ports::{End, GrantsEnded, Identity, KeyMarked, Random, RingSwapped},
    refresh_key::{KeyMark, RefreshKeyRecord, WhyRetired},
    time::{Seconds, Time},
    token::{GrantId, KeyId},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{event, fault::Fault, row::Columns, session};

pub(super) fn all(db: &Connection) -> Result<Vec<SealedKey>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT kid, algorithm, state, since, longest_token, created_at, sealed FROM signing_keys ORDER BY created_at, kid",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        keys.push(SealedKey {
            kid: columns.take()?,
            algorithm: columns.take()?,
            state: columns.name()?,
            since: columns.time()?,
            longest_token: Seconds(columns.take()?),
            created_at: columns.time()?,
            sealed: columns.take()?,
        });
    }
    Ok(keys)
}

/// The whole ring is compared, so that a decision is carried out on what it was made on or not at all.
pub(super) fn swap(
    db: &Connection,
    expected: &[SealedKey],
    next: &[SealedKey],
    told: &[Event],
) -> Result<RingSwapped, Fault> {
    let present = all(db)?;
    if present.len() != expected.len() || !present.iter().all(|key| expected.contains(key)) {
        return Ok(RingSwapped::Moved(present));
    }
    // First those that go or change, so that there are never two active ones of an algorithm, not even in between.
    for key in present.iter().filter(|key| !next.contains(key)) {
        db.prepare_cached("DELETE FROM signing_keys WHERE kid = ?")?.execute(params![key.kid])?;
    }
    for key in next.iter().filter(|key| !present.contains(key)) {
        db.prepare_cached(
            "INSERT INTO signing_keys (kid, algorithm, state, since, longest_token, created_at, sealed) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key.kid,
            key.algorithm,
            key.state.as_str(),
            key.since.millis(),
            key.longest_token.0,
            key.created_at.millis(),
            key.sealed
        ])?;
    }
    told.iter().try_for_each(|told| event::insert(db, told))?;
    Ok(RingSwapped::Swapped)
}

pub(super) fn refresh_keys(db: &Connection) -> Result<Vec<RefreshKeyRecord>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT id, check_value, retired_at, retired_why FROM refresh_keys ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        records.push(RefreshKeyRecord {
            id: KeyId(columns.take()?),
            check_value: columns.take()?,
            mark: match (columns.take()?, columns.take::<Option<String>>()?) {
                (None, None) => None,
                (Some(at), Some(why)) => Some(KeyMark { at: Time::from_millis(at), why: why.parse()? }),
                _ => {
                    return Err(Fault::damaged(
                        "a refresh key is retired without a reason, or has one without being so",
                    ));
                }
            },
        });
    }
    Ok(records)
}

pub(super) fn add_refresh_key(
    db: &Connection,
    KeyId(id): KeyId,
    check_value: &[u8; 16],
    told: &Event,
) -> Result<(), Fault> {
    let added = db
        .prepare_cached("INSERT INTO refresh_keys (id, check_value) VALUES (?, ?) ON CONFLICT DO NOTHING")?
        .execute(params![id, check_value])?;
    if added == 1 { event::insert(db, told) } else { Ok(()) }
}

/// Live as far as the rows say.
const LIVE: &str = "ended_at IS NULL AND idle_deadline > ?1 AND absolute_deadline > ?1";

pub(super) fn uses(db: &Connection, now: Time) -> Result<Vec<(KeyId, u64)>, Fault> {
    let mut statement = db
        .prepare_cached(&format!("SELECT key_id, count(*) FROM grants WHERE {LIVE} GROUP BY key_id ORDER BY key_id"))?;
    let uses = statement.query_map(params![now.millis()], |row| Ok((KeyId(row.get(0)?), row.get::<_, i64>(1)?)))?;
    uses.map(|used| Ok(used.map(|(id, count)| (id, count.unsigned_abs()))?)).collect()
}

pub(super) fn retire_refresh_key(
    db: &Connection,
    KeyId(id): KeyId,
    mark: KeyMark,
    told: &Event,
) -> Result<KeyMarked, Fault> {
    let marked: Option<Option<i64>> = db
        .prepare_cached("SELECT retired_at FROM refresh_keys WHERE id = ?")?
        .query_row(params![id], |row| row.get(0))
        .optional()?;
    match marked {
        None => return Ok(KeyMarked::Unknown),
        Some(Some(_)) => return Ok(KeyMarked::Already),
        Some(None) => {}
    }
    if mark.why == WhyRetired::Retired {
        // No index on what a refresh changes: this walks through the grants, once in a key's life.
        let in_use = db
            .prepare_cached(&format!("SELECT 1 FROM grants WHERE {LIVE} AND key_id = ?2 LIMIT 1"))?
            .exists(params![mark.at.millis(), id])?;
        if in_use {
            return Ok(KeyMarked::InUse);
        }
    }
    db.prepare_cached("UPDATE refresh_keys SET retired_at = ?2, retired_why = ?3 WHERE id = ?1")?.execute(params![
        id,
        mark.at.millis(),
        mark.why.as_str()
    ])?;
    event::insert(db, told)?;
    Ok(KeyMarked::Marked)
}

/// A step through the grants in the order of their ids, which is that of the table.
pub(super) fn end_grants(
    db: &Connection,
    random: &dyn Random,
    KeyId(key): KeyId,
    after: Option<GrantId>,
    batch: u32,
    end: End,
) -> Result<GrantsEnded, Fault> {
    type Row = ([u8; 16], u8, Option<i64>, String, [u8; 16], [u8; 16], Option<[u8; 16]>, String);
    // Before the first id there is the empty one.
    let after = after.map_or_else(Vec::new, |GrantId(id)| id.to_vec());
    let mut statement = db.prepare_cached(
        "SELECT id, key_id, ended_at, endpoint, public_id, user_id, session_id, client_id FROM grants \
         WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![after, batch], |row| row.try_into())?.collect::<Result<Vec<Row>, _>>()?;
    let mut ended = 0;
    for (id, of, ended_at, endpoint, public_id, user, session_id, client) in &rows {
        if *of != key || ended_at.is_some() {
            continue;
        }
        ended += 1;
        let user = UserId::from_bytes(*user);
        let session_id = session_id.map(SessionId::from_bytes);
        if let (Some(session_id), "session") = (session_id, endpoint.as_str()) {
            session::end_rows(db, random, session_id, user, end)?;
            continue;
        }
        // A session's grant for another client, or one without a session: it ends alone.
        db.prepare_cached("UPDATE grants SET ended_at = ?2, end_reason = ?3 WHERE id = ?1 AND ended_at IS NULL")?
            .execute(params![id, end.at.millis(), end.reason.as_str()])?;
        let told = Event {
            session: session_id,
            grant: Some(GrantRef::from_bytes(*public_id)),
            client: Some(ClientId(client.clone())),
            ..Event::new(EventKind::GrantEnded, end.at, end.actor, random).user(user).because(end.reason)
        };
        event::insert(db, &told)?;
    }
    let at_end = rows.len() < usize::try_from(batch).unwrap_or(usize::MAX);
    let next = if at_end { None } else { rows.last().map(|(id, ..)| GrantId(*id)) };
    Ok(GrantsEnded { ended, next })
}

pub(super) fn identity(db: &Connection) -> Result<Identity, Fault> {
    let issuer = db.query_row("SELECT value FROM meta WHERE name = 'issuer'", [], |row| row.get(0)).optional()?;
    let mut statement = db.prepare("SELECT id, check_value FROM refresh_keys WHERE retired_at IS NULL ORDER BY id")?;
    let keys = statement.query_map([], |row| Ok((KeyId(row.get(0)?), row.get(1)?)))?;
    Ok(Identity { issuer, refresh_keys: keys.collect::<Result<_, _>>()? })
}

pub(super) fn remember(db: &Connection, identity: &Identity) -> Result<(), Fault> {
    if let Some(issuer) = &identity.issuer {
        db.execute(
            "INSERT INTO meta (name, value) VALUES ('issuer', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![issuer],
        )?;
    }
    for (KeyId(id), check_value) in &identity.refresh_keys {
        db.execute(
            "INSERT INTO refresh_keys (id, check_value) VALUES (?, ?) ON CONFLICT DO NOTHING",
            params![id, check_value],
        )?;
    }
    Ok(())
}
