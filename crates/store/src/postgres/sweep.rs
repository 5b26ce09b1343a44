//! Writing the deadlines that passed, and removing what is past its retention: a batch of each, by an index, in small transactions
//! of their own. Where it stopped is remembered in `meta`: sessions are walked through in small steps, from the beginning again
//! once the end is reached; renewals and retries are looked at once, when they have come of age.
//!
//! What is removed is read first and then removed by its key: not every engine knows DELETE with a limit.

use std::sync::Arc;

use regrant_engine::{
    event::{EventKind, Renewal},
    id::{SessionId, UserId},
    ports::{Broken, Retention, Swept},
    time::{Seconds, Time},
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Inner, backchannel_logout,
    fault::Fault,
    grant::{self, COLUMNS},
    lease, meta,
    pool::Db,
    renewals,
    row::{Columns, count, shard, uuid},
    session, transact,
};

/// How long a code is remembered after its end: a second redemption is recognised for so long.
const REMEMBERED: Seconds = Seconds::DAY;

/// So many batches of what was used once go at a time: they are small, and come as fast as proofs do.
const USED_AT_ONCE: u32 = 20;
/// How long what was used once is remembered when it is good no more.
const AFTERWARDS: Seconds = Seconds::HOUR;

/// The lease: one node sweeps, the others leave it to that one.
pub(super) const LEASE: &str = "sweep";
/// A batch takes a part of it.
pub(super) const LEASED: Seconds = Seconds(60);

/// A transaction of the sweep: it goes through only while the lease is this node's. One that was frozen for longer than that, and
/// comes back, finds another holder, whose lease is kept from changing hands until this is over.
macro_rules! fenced {
    ($inner:expr, $fence:expr, $db:ident => $verb:expr) => {{
        let fence = $fence;
        transact!($inner, $db => async {
            match lease::holds($db, LEASE, fence).await {
                Ok(true) => $verb.await,
                Ok(false) => Err(Fault::Overtaken),
                Err(fault) => Err(fault),
            }
        })
    }};
}

pub(super) async fn sweep(inner: &Arc<Inner>, now: Time, keep: Retention) -> Result<Swept, Broken> {
    let holder = inner.holder;
    let Some(fence) = transact!(inner, db => lease::take(db, LEASE, holder, now, LEASED))? else {
        return Ok(Swept::default());
    };
    let swept = sweep_under_lease(inner, now, keep, fence).await;
    transact!(inner, db => lease::give_back(db, LEASE, fence, now))?;
    swept
}

pub(super) async fn sweep_under_lease(
    inner: &Arc<Inner>,
    now: Time,
    keep: Retention,
    fence: i64,
) -> Result<Swept, Broken> {
    let now = fenced!(inner, fence, db => believed(db, now, keep))?;
    let mut swept = sessions(inner, now, keep, fence).await?;
    let removals = [
        fenced!(inner, fence, db => events(db, now, keep))?,
        without_session(inner, now, keep, fence).await?,
        fenced!(inner, fence, db => retries(db, now, keep))?,
        fenced!(inner, fence, db => oldest(db, OLD_FAILURES, now.minus(keep.failures), keep))?,
        fenced!(inner, fence, db => oldest(db, OLD_MAILS, now.minus(keep.events), keep))?,
    ];
    for Swept { expired, removed, more } in removals {
        swept.expired += expired;
        swept.removed += removed;
        swept.more |= more;
    }
    // These were never counted among the rows past their retention.
    for (table, before) in [(OLD_DEVICE_CODES, now.minus(REMEMBERED)), (OLD_LOGOUTS, now.minus(keep.events))] {
        fenced!(inner, fence, db => oldest(db, table, before, keep))?;
    }
    swept.more |= fenced!(inner, fence, db => oldest(db, OLD_CODES, now.minus(REMEMBERED), keep))?.more;
    // A while longer than it is good: a clock that is put right must not make it good again. No longer than that: each proof of
    // possession is a row.
    let many = Retention { batch: keep.batch.saturating_mul(USED_AT_ONCE), ..keep };
    swept.more |= fenced!(inner, fence, db => oldest(db, OLD_USES, now.minus(AFTERWARDS), many))?.more;
    Ok(swept)
}

/// The time by which this sweep goes: the clock's, but no further beyond the last sweep's than its pace. After a long stop it
/// catches up step by step; a clock that is a year ahead for an hour is put right before anything is lost.
async fn believed(db: &Db, now: Time, keep: Retention) -> Result<Time, Fault> {
    let last = meta::find(db, "sweep.clock").await?;
    let last = last.and_then(|millis| millis.parse().ok()).map(Time::from_millis);
    let believed = last.map_or(now, |last| now.min(last.plus(keep.pace)));
    meta::remember(db, "sweep.clock", &believed.millis().to_string()).await?;
    Ok(believed)
}

/// How the oldest rows of a table are found, and removed.
type Oldest = (&'static str, &'static str);

const OLD_FAILURES: Oldest = (
    "SELECT key FROM failures WHERE since < $1 ORDER BY since LIMIT $2",
    "DELETE FROM failures WHERE key = ANY($1) AND since < $2",
);
const OLD_MAILS: Oldest =
    ("SELECT id FROM outbox WHERE at < $1 ORDER BY at LIMIT $2", "DELETE FROM outbox WHERE id = ANY($1) AND at < $2");
const OLD_CODES: Oldest = (
    "SELECT hash FROM codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2",
    "DELETE FROM codes WHERE hash = ANY($1) AND expires_at < $2",
);
const OLD_DEVICE_CODES: Oldest = (
    "SELECT hash FROM device_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2",
    "DELETE FROM device_codes WHERE hash = ANY($1) AND expires_at < $2",
);
const OLD_USES: Oldest = (
    "SELECT hash FROM used_once WHERE until < $1 ORDER BY until LIMIT $2",
    "DELETE FROM used_once WHERE hash = ANY($1) AND until < $2",
);
const OLD_LOGOUTS: Oldest = (
    "SELECT session_id FROM logouts WHERE state <> 'waiting' AND at < $1 ORDER BY at LIMIT $2",
    "DELETE FROM logouts WHERE session_id = ANY($1) AND state <> 'waiting' AND at < $2",
);

async fn oldest(db: &Db, (find, remove): Oldest, before: Time, keep: Retention) -> Result<Swept, Fault> {
    let rows = db.rows(find, &[&before.millis(), &count(keep.batch)]).await?;
    let removed = match rows.first() {
        None => 0,
        Some(first) if first.try_get::<_, Uuid>(0).is_ok() => {
            let keys = column::<Uuid>(&rows)?;
            db.run(remove, &[&keys, &before.millis()]).await?
        }
        Some(_) => {
            let keys = column::<Vec<u8>>(&rows)?;
            db.run(remove, &[&keys, &before.millis()]).await?
        }
    };
    Ok(Swept { expired: 0, removed, more: is_full(rows.len(), keep) })
}

fn column<T: for<'r> tokio_postgres::types::FromSql<'r>>(rows: &[Row]) -> Result<Vec<T>, Fault> {
    rows.iter().map(|row| Columns::new(row).take()).collect()
}

/// The next batch of sessions: writes the end of those whose deadline has passed, removes those that ended long ago, and
/// forgets the old renewals of the others.
async fn sessions(inner: &Arc<Inner>, now: Time, keep: Retention, fence: i64) -> Result<Swept, Broken> {
    let (after, batch) = fenced!(inner, fence, db => next_sessions(db, keep))?;
    let mut swept = Swept { more: is_full(batch.len(), keep), ..Swept::default() };
    let mut stay = Vec::with_capacity(batch.len());
    for found in &batch {
        let Found { session, shard, user, ended_at, deadline } = *found;
        match ended_at {
            Some(at) if at < now.minus(keep.events) => {
                fenced!(inner, fence, db => remove_session(db, shard, session))?;
                swept.removed += 1;
                continue;
            }
            Some(_) => {}
            // Not at once: a clock that was wrong for a while must not end what a right one would let live.
            None if deadline <= now.minus(keep.settle) => {
                let by = now.minus(keep.settle);
                let expired = fenced!(inner, fence, db => session::expire(db, shard, session, user, by))?;
                swept.expired += u64::from(expired);
            }
            // It is over all the same, and applications are told: this clock has not jumped.
            None if deadline <= now => {
                fenced!(inner, fence, db => backchannel_logout::put(db, shard, session, user, deadline))?;
            }
            None => {}
        }
        stay.push(uuid(session.as_bytes()));
    }
    swept.removed += forget_renewals(inner, Whose::Sessions(stay), now, keep, fence).await?;
    let next = if swept.more { batch.last().map(|found| *found.session.as_bytes()) } else { None };
    fenced!(inner, fence, db => stop_at(db, "sweep.sessions", after, next.unwrap_or_default()))?;
    Ok(swept)
}

#[derive(Clone, Copy)]
struct Found {
    session: SessionId,
    shard: i32,
    user: UserId,
    ended_at: Option<Time>,
    deadline: Time,
}

/// The next sessions with the deadlines of their grants, in the order of their ids. The batch is taken before it is joined: PostgreSQL
/// believes that hardly a session finds its grant (a shard and an id go together, which it does not know), and would join all that
/// there are to fill a batch. One without its grant is over, and has its place in the batch.
pub(super) fn next_sessions_sql(batch: u32) -> String {
    format!(
        "SELECT s.id, s.shard, s.user_id, s.ended_at, COALESCE(g.idle_deadline, 0), COALESCE(g.absolute_deadline, 0) FROM \
         (SELECT id, shard, user_id, grant_id, ended_at FROM sessions WHERE id > $1 ORDER BY id LIMIT {batch}) s \
         LEFT JOIN grants g ON g.shard = s.shard AND g.id = s.grant_id ORDER BY s.id"
    )
}

async fn next_sessions(db: &Db, keep: Retention) -> Result<([u8; 16], Vec<Found>), Fault> {
    let after = position(db, "sweep.sessions").await?;
    let rows = db.rows(&next_sessions_sql(keep.batch), &[&uuid(&after)]).await?;
    let found = rows.iter().map(|row| {
        let mut columns = Columns::new(row);
        Ok::<_, Fault>(Found {
            session: SessionId::from_bytes(columns.id()?),
            shard: columns.take()?,
            user: UserId::from_bytes(columns.id()?),
            ended_at: columns.time_or_none()?,
            deadline: columns.time()?.min(columns.time()?),
        })
    });
    Ok((after, found.collect::<Result<_, _>>()?))
}

async fn remove_session(db: &Db, shard: i32, session: SessionId) -> Result<(), Fault> {
    let session = uuid(session.as_bytes());
    for table in ["grants", "sign_ins"] {
        db.run(&format!("DELETE FROM {table} WHERE shard = $1 AND session_id = $2"), &[&shard, &session]).await?;
    }
    db.run("DELETE FROM sessions WHERE shard = $1 AND id = $2", &[&shard, &session]).await?;
    Ok(())
}

/// The next batch of grants that belong to no session: removes those that ended long ago, or whose deadline passed so long ago,
/// and forgets the old renewals of the others.
async fn without_session(inner: &Arc<Inner>, now: Time, keep: Retention, fence: i64) -> Result<Swept, Broken> {
    let (after, batch) = fenced!(inner, fence, db => next_without_session(db, keep))?;
    let mut swept = Swept { more: is_full(batch.len(), keep), ..Swept::default() };
    let (mut last, mut stay) = (None, Vec::with_capacity(batch.len()));
    for (public_id, shard, id, over) in batch {
        last = Some(*public_id.as_bytes());
        if over(keep.settle) < now.minus(keep.events) {
            let sql = "DELETE FROM grants WHERE shard = $1 AND id = $2";
            swept.removed += fenced!(inner, fence, db => db.run(sql, &[&shard, &id]))?;
        } else {
            stay.push(public_id);
        }
    }
    swept.removed += forget_renewals(inner, Whose::Grants(stay), now, keep, fence).await?;
    let next = if swept.more { last } else { None };
    fenced!(inner, fence, db => stop_at(db, "sweep.without_session", after, next.unwrap_or_default()))?;
    Ok(swept)
}

/// Since when a grant is over, with so long to settle.
type Over = Box<dyn Fn(Seconds) -> Time + Send + Sync>;
type Outside = (Uuid, i32, Uuid, Over);

async fn next_without_session(db: &Db, keep: Retention) -> Result<([u8; 16], Vec<Outside>), Fault> {
    let after = position(db, "sweep.without_session").await?;
    let sql = "SELECT public_id, shard, id, ended_at, idle_deadline, absolute_deadline FROM grants \
         WHERE endpoint = 'oauth' AND session_id IS NULL AND public_id > $1 ORDER BY public_id LIMIT $2";
    let rows = db.rows(sql, &[&uuid(&after), &count(keep.batch)]).await?;
    let found = rows.iter().map(|row| {
        let mut columns = Columns::new(row);
        let (public_id, shard, id) = (columns.take()?, columns.take()?, columns.take()?);
        let (ended_at, deadline) = (columns.time_or_none()?, columns.time()?.min(columns.time()?));
        let over: Over = Box::new(move |settle| ended_at.unwrap_or(deadline.plus(settle)));
        Ok::<_, Fault>((public_id, shard, id, over))
    });
    Ok((after, found.collect::<Result<_, _>>()?))
}

/// Whose renewals.
enum Whose {
    Sessions(Vec<Uuid>),
    Grants(Vec<Uuid>),
}

/// Forgets old renewals of these, where there are any; how many. Most grants have no more than may stay.
async fn forget_renewals(
    inner: &Arc<Inner>,
    whose: Whose,
    now: Time,
    keep: Retention,
    fence: i64,
) -> Result<u64, Broken> {
    let (condition, ids) = match whose {
        Whose::Sessions(ids) => ("g.session_id = ANY($1)", ids),
        Whose::Grants(ids) => ("g.public_id = ANY($1)", ids),
    };
    if ids.is_empty() {
        return Ok(0);
    }
    let sql = format!("SELECT {COLUMNS}, g.renewals FROM grants g WHERE {condition} AND g.generation > $2");
    let rows = fenced!(inner, fence, db => db.rows(&sql, &[&ids, &count(keep.rotations_kept)]))?;
    let mut removed = 0;
    for row in &rows {
        let Some(grant) = readable(grant::read(&mut Columns::new(row)).map(|record| record.grant))? else { continue };
        let packed = row.try_get::<_, &[u8]>(row.len() - 1).unwrap_or_default();
        let all = renewals::all(packed, &grant.context.user_agent, grant.context.prefix);
        if outdated(&all, now, keep) > 0 {
            removed += fenced!(inner, fence, db => forget(db, shard(&grant.id), uuid(&grant.id.0), now, keep))?;
        }
    }
    Ok(removed)
}

async fn forget(db: &Db, shard: i32, id: Uuid, now: Time, keep: Retention) -> Result<u64, Fault> {
    let sql = format!("SELECT {COLUMNS}, g.renewals FROM grants g WHERE g.shard = $1 AND g.id = $2 FOR UPDATE");
    let Some(row) = db.row(&sql, &[&shard, &id]).await? else { return Ok(0) };
    let mut columns = Columns::new(&row);
    let grant = grant::read(&mut columns)?.grant;
    let packed: &[u8] = columns.take()?;
    let all = renewals::all(packed, &grant.context.user_agent, grant.context.prefix);
    let gone = outdated(&all, now, keep);
    let kept = renewals::newest(packed, all.len() - gone);
    db.run("UPDATE grants SET renewals = $3 WHERE shard = $1 AND id = $2", &[&shard, &id, &kept]).await?;
    Ok(gone as u64)
}

/// What cannot be read is passed over: it must not keep the sweep from all that comes after it.
fn readable<T>(read: Result<T, Fault>) -> Result<Option<T>, Broken> {
    match read {
        Ok(record) => Ok(Some(record)),
        Err(fault @ Fault::Damaged(_)) => {
            tracing::error!(broken = %Broken::from(fault), "the sweep passes over what it cannot read");
            Ok(None)
        }
        Err(fault) => Err(fault.into()),
    }
}

/// How many of these, oldest first, are past their retention: the last ones stay.
fn outdated(renewals: &[Renewal], now: Time, keep: Retention) -> usize {
    let may_go = renewals.len().saturating_sub(usize::try_from(keep.rotations_kept).unwrap_or(usize::MAX));
    let before = now.minus(keep.rotations);
    renewals.iter().take(may_go).take_while(|renewal| renewal.at < before).count()
}

/// Events past their retention: ids sort by time, so they are the first ones.
async fn events(db: &Db, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let until = uuid(&first_id_at(now.minus(keep.events)));
    let rows =
        db.rows("SELECT id FROM events WHERE id < $1 ORDER BY id LIMIT $2", &[&until, &count(keep.batch)]).await?;
    let removed = match rows.is_empty() {
        true => 0,
        false => db.run("DELETE FROM events WHERE id = ANY($1)", &[&column::<Uuid>(&rows)?]).await?,
    };
    Ok(Swept { expired: 0, removed, more: is_full(rows.len(), keep) })
}

/// Retries of renewals that are past their retention, each looked at once: those that belong to the renewals that stay, stay
/// until all events of their age go.
async fn retries(db: &Db, now: Time, keep: Retention) -> Result<Swept, Fault> {
    let after = position(db, "sweep.renewals").await?;
    let until = uuid(&first_id_at(now.minus(keep.rotations)));
    let sql = "SELECT id, shard, at, session_id, kind FROM events WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";
    let batch = db.rows(sql, &[&uuid(&after), &until, &count(keep.batch)]).await?;
    let (mut removed, mut last) = (0, after);
    for row in &batch {
        let mut columns = Columns::new(row);
        let (id, shard): (Uuid, i32) = (columns.take()?, columns.take()?);
        last = id.into_bytes();
        let (at, session, kind): (Time, Option<Uuid>, &str) = (columns.time()?, columns.take()?, columns.take()?);
        if kind == EventKind::Replayed.as_str() && !is_among_the_last(db, shard, session, at, keep).await? {
            removed += db.run("DELETE FROM events WHERE shard = $1 AND id = $2", &[&shard, &id]).await?;
        }
    }
    stop_at(db, "sweep.renewals", after, last).await?;
    Ok(Swept { expired: 0, removed, more: is_full(batch.len(), keep) })
}

/// Whether fewer renewals of a session came after `at` than are kept.
async fn is_among_the_last(
    db: &Db,
    shard: i32,
    session: Option<Uuid>,
    at: Time,
    keep: Retention,
) -> Result<bool, Fault> {
    let Some(session) = session else { return Ok(false) };
    let sql = format!("SELECT {COLUMNS}, g.renewals FROM grants g WHERE g.shard = $1 AND g.session_id = $2");
    let mut newer = 0;
    for row in db.rows(&sql, &[&shard, &session]).await? {
        let mut columns = Columns::new(&row);
        let grant = grant::read(&mut columns)?.grant;
        let all = renewals::all(columns.take()?, &grant.context.user_agent, grant.context.prefix);
        newer += all.iter().filter(|renewal| renewal.at > at).count();
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

async fn position(db: &Db, name: &str) -> Result<[u8; 16], Fault> {
    let stored = meta::find(db, name).await?;
    let parsed = stored.and_then(|text| u128::from_str_radix(&text, 16).ok());
    Ok(parsed.unwrap_or(0).to_be_bytes())
}

async fn stop_at(db: &Db, name: &str, before: [u8; 16], next: [u8; 16]) -> Result<(), Fault> {
    match next == before {
        true => Ok(()),
        false => meta::remember(db, name, &format!("{:032x}", u128::from_be_bytes(next))).await,
    }
}
