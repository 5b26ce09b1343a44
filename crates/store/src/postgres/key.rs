//! Signing keys, sealed; refresh keys' check values and marks; and what the store remembers of the issuer.

use regrant_engine::{
    event::{Event, EventKind},
    keyring::SealedKey,
    ports::{End, GrantsEnded, Identity, KeyMarked, RingSwapped},
    refresh_key::{KeyMark, RefreshKeyRecord, WhyRetired},
    time::{Seconds, Time},
    token::{Endpoint, GrantId, KeyId},
};

use super::{
    event,
    fault::Fault,
    grant::{self, COLUMNS},
    meta,
    pool::Db,
    row::{Columns, count, shard, uuid},
    session,
};

pub(super) async fn all(db: &Db) -> Result<Vec<SealedKey>, Fault> {
    let sql = "SELECT kid, algorithm, state, since, longest_token, created_at, sealed FROM signing_keys ORDER BY created_at, kid";
    let mut keys = Vec::new();
    for row in db.rows(sql, &[]).await? {
        let mut columns = Columns::new(&row);
        keys.push(SealedKey {
            kid: columns.take()?,
            algorithm: columns.take()?,
            state: columns.name()?,
            since: columns.time()?,
            longest_token: Seconds(columns.number()?),
            created_at: columns.time()?,
            sealed: columns.take()?,
        });
    }
    Ok(keys)
}

/// The whole ring is compared, so that a decision is carried out on what it was made on or not at all.
pub(super) async fn swap(
    db: &Db,
    expected: &[SealedKey],
    next: &[SealedKey],
    told: &[Event],
) -> Result<RingSwapped, Fault> {
    // A key that is taken away, perhaps for being known to others, stays so.
    db.strongly().await?;
    meta::lock(db, "signing_keys").await?;
    let present = all(db).await?;
    if present.len() != expected.len() || !present.iter().all(|key| expected.contains(key)) {
        return Ok(RingSwapped::Moved(present));
    }
    for key in present.iter().filter(|key| !next.contains(key)) {
        db.run("DELETE FROM signing_keys WHERE kid = $1", &[&key.kid]).await?;
    }
    for key in next.iter().filter(|key| !present.contains(key)) {
        db.run(
            "INSERT INTO signing_keys (kid, algorithm, state, since, longest_token, created_at, sealed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                &key.kid,
                &key.algorithm,
                &key.state.as_str(),
                &key.since.millis(),
                &i64::from(key.longest_token.0),
                &key.created_at.millis(),
                &key.sealed,
            ],
        )
        .await?;
    }
    for told in told {
        event::insert_somewhere(db, told).await?;
    }
    Ok(RingSwapped::Swapped)
}

pub(super) async fn refresh_keys(db: &Db) -> Result<Vec<RefreshKeyRecord>, Fault> {
    let sql = "SELECT id, check_value, retired_at, retired_why FROM refresh_keys ORDER BY id";
    let mut records = Vec::new();
    for row in db.rows(sql, &[]).await? {
        let mut columns = Columns::new(&row);
        records.push(RefreshKeyRecord {
            id: KeyId(columns.small()?),
            check_value: columns.bytes()?,
            mark: match (columns.time_or_none()?, columns.name_or_none()?) {
                (None, None) => None,
                (Some(at), Some(why)) => Some(KeyMark { at, why }),
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

pub(super) async fn add_refresh_key(db: &Db, id: KeyId, check: &[u8; 16], told: &Event) -> Result<(), Fault> {
    match insert(db, id, check).await? {
        true => event::insert_somewhere(db, told).await,
        false => Ok(()),
    }
}

/// Whether it is new. A check value that is known is never replaced.
async fn insert(db: &Db, KeyId(id): KeyId, check_value: &[u8; 16]) -> Result<bool, Fault> {
    let sql = "INSERT INTO refresh_keys (id, check_value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    Ok(db.run(sql, &[&i16::from(id), &check_value.as_slice()]).await? == 1)
}

/// How many live grants have their newest token from each key. No index on what a refresh changes: this reads them all, and is
/// asked by the operator alone.
pub(super) async fn uses(db: &Db, now: Time) -> Result<Vec<(KeyId, u64)>, Fault> {
    let sql = "SELECT key_id, count(*) FROM grants \
         WHERE ended_at IS NULL AND idle_deadline > $1 AND absolute_deadline > $1 GROUP BY key_id ORDER BY key_id";
    let mut uses = Vec::new();
    for row in db.rows(sql, &[&now.millis()]).await? {
        let mut columns = Columns::new(&row);
        uses.push((KeyId(columns.small()?), columns.number()?));
    }
    Ok(uses)
}

pub(super) async fn any_alive(db: &Db, now: Time) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM grants WHERE ended_at IS NULL AND idle_deadline > $1 AND absolute_deadline > $1 LIMIT 1";
    Ok(db.row(sql, &[&now.millis()]).await?.is_some())
}

pub(super) async fn retire_refresh_key(
    db: &Db,
    KeyId(id): KeyId,
    mark: KeyMark,
    told: &Event,
) -> Result<KeyMarked, Fault> {
    db.strongly().await?;
    let row = db.row("SELECT retired_at FROM refresh_keys WHERE id = $1 FOR UPDATE", &[&i16::from(id)]).await?;
    match row.map(|row| Columns::new(&row).time_or_none()).transpose()? {
        None => return Ok(KeyMarked::Unknown),
        Some(Some(_)) => return Ok(KeyMarked::Already),
        Some(None) => {}
    }
    if mark.why == WhyRetired::Retired {
        let sql = "SELECT 1 FROM grants WHERE key_id = $2 \
             AND ended_at IS NULL AND idle_deadline > $1 AND absolute_deadline > $1 LIMIT 1";
        if db.row(sql, &[&mark.at.millis(), &i16::from(id)]).await?.is_some() {
            return Ok(KeyMarked::InUse);
        }
    }
    let sql = "UPDATE refresh_keys SET retired_at = $2, retired_why = $3 WHERE id = $1";
    db.run(sql, &[&i16::from(id), &mark.at.millis(), &mark.why.as_str()]).await?;
    event::insert_somewhere(db, told).await?;
    Ok(KeyMarked::Marked)
}

/// A step through the grants in the order of their shards and ids, which is that of the table's key.
pub(super) async fn end_grants(
    db: &Db,
    key: KeyId,
    after: Option<GrantId>,
    batch: u32,
    end: End,
) -> Result<GrantsEnded, Fault> {
    let sql =
        format!("SELECT {COLUMNS} FROM grants g WHERE (g.shard, g.id) > ($1, $2) ORDER BY g.shard, g.id LIMIT $3");
    let (from, id) = after.map_or((i32::MIN, [0; 16]), |after| (shard(&after), after.0));
    let rows = db.rows(&sql, &[&from, &uuid(&id), &count(batch)]).await?;
    let mut grants = Vec::with_capacity(rows.len());
    for row in &rows {
        grants.push(grant::read(&mut Columns::new(row))?.grant);
    }
    let mut ended = 0;
    for grant in grants.iter().filter(|grant| grant.key == key && grant.life.is_alive()) {
        let shard = shard(&grant.id);
        session::lock_user(db, shard, grant.user).await?;
        if let (Some(session), Endpoint::Session) = (grant.session, grant.endpoint) {
            session::end_rows(db, shard, session, grant.user, end).await?;
            ended += 1;
            continue;
        }
        // A session's grant for another client, or one without a session: it ends alone.
        db.strongly().await?;
        let sql = "UPDATE grants SET ended_at = $3, end_reason = $4 WHERE shard = $1 AND id = $2 AND ended_at IS NULL";
        if db.run(sql, &[&shard, &uuid(&grant.id.0), &end.at.millis(), &end.reason.as_str()]).await? == 0 {
            continue;
        }
        ended += 1;
        let told = Event::new(EventKind::GrantEnded, end.at, end.actor, db.random()).of(grant).because(end.reason);
        event::insert(db, shard, &told).await?;
    }
    let at_end = grants.len() < usize::try_from(batch).unwrap_or(usize::MAX);
    Ok(GrantsEnded { ended, next: grants.last().map(|grant| grant.id).filter(|_| !at_end) })
}

pub(super) async fn identity(db: &Db) -> Result<Identity, Fault> {
    let issuer = meta::find(db, "issuer").await?;
    let sql = "SELECT id, check_value FROM refresh_keys WHERE retired_at IS NULL ORDER BY id";
    let mut keys = Vec::new();
    for row in db.rows(sql, &[]).await? {
        let mut columns = Columns::new(&row);
        keys.push((KeyId(columns.small()?), columns.bytes()?));
    }
    Ok(Identity { issuer, refresh_keys: keys })
}

pub(super) async fn remember(db: &Db, identity: &Identity) -> Result<(), Fault> {
    if let Some(issuer) = &identity.issuer {
        meta::remember(db, "issuer", issuer).await?;
    }
    for (id, check_value) in &identity.refresh_keys {
        insert(db, *id, check_value).await?;
    }
    Ok(())
}
