//! Signing keys, sealed; refresh keys' check values and marks; and what the store remembers of the issuer.

use std::collections::BTreeMap;

use regrant_engine::{
    event::{Event, EventKind},
    keyring::SealedKey,
    ports::{End, GrantsEnded, Identity, KeyMarked, Random, RingSwapped},
    refresh_key::{KeyMark, RefreshKeyRecord, WhyRetired},
    time::{Seconds, Time},
    token::{Endpoint, GrantId, KeyId},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    event,
    fault::Fault,
    grants::{Desk, Record},
    row::Columns,
    session,
};

/// Grants that are looked at together, where all are.
pub(super) const AT_ONCE: u32 = 1000;

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

/// How many live grants among the next ones after `after` have their newest token from each key; where to go on.
pub(super) fn uses(
    db: &Desk,
    now: Time,
    after: Option<GrantId>,
    batch: u32,
) -> Result<(Vec<(KeyId, u64)>, Option<GrantId>), Fault> {
    let records = db.read_after(after, batch)?;
    let mut uses = BTreeMap::new();
    for record in records.iter().filter(|record| is_live(record, now)) {
        *uses.entry(record.grant.key).or_default() += 1;
    }
    Ok((uses.into_iter().collect(), records.last().map(|record| record.grant.id)))
}

/// Live as far as the records say.
fn is_live(record: &Record, now: Time) -> bool {
    record.grant.life.is_alive() && session::deadline(&record.grant) > now
}

pub(super) fn retire_refresh_key(db: &Desk, KeyId(id): KeyId, mark: KeyMark, told: &Event) -> Result<KeyMarked, Fault> {
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
        let mut after = None;
        loop {
            let (uses, next) = uses(db, mark.at, after, AT_ONCE)?;
            if uses.iter().any(|(key, _)| key.0 == id) {
                return Ok(KeyMarked::InUse);
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
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
    db: &Desk,
    random: &dyn Random,
    key: KeyId,
    after: Option<GrantId>,
    batch: u32,
    end: End,
) -> Result<GrantsEnded, Fault> {
    let records = db.read_after(after, batch)?;
    let mut ended = 0;
    for grant in records.iter().map(|record| &record.grant) {
        if grant.key != key || !grant.life.is_alive() {
            continue;
        }
        ended += 1;
        if let (Some(session), Endpoint::Session) = (grant.session, grant.endpoint) {
            session::end_rows(db, random, session, grant.user, end)?;
            continue;
        }
        // A session's grant for another client, or one without a session: it ends alone.
        session::end_grant(db, &grant.id, end.at, |_| end.reason)?;
        let told = Event::new(EventKind::GrantEnded, end.at, end.actor, random).of(grant).because(end.reason);
        event::insert(db, &told)?;
    }
    let at_end = records.len() < usize::try_from(batch).unwrap_or(usize::MAX);
    let next = if at_end { None } else { records.last().map(|record| record.grant.id) };
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
