//! Sessions: opening one within the limit, listing, ending with all grants.

use std::sync::LazyLock;

use regrant_engine::{
    event::{Actor, Event, EventKind},
    id::{Generation, GrantRef, SessionId, UserId},
    login::FailureKey,
    ports::{End, Facts, NewSession, Opened, SessionFilter, Wanted},
    reason::Reason,
    refresh::Grant,
    session::{Session, SessionRecord},
    time::Time,
    token::GrantId,
};
use tokio_postgres::Row;

use super::{
    backchannel_logout, event,
    fault::Fault,
    grant::{self, COLUMNS},
    pool::Db,
    refresh,
    row::{Columns, Value, Written, borrowed, count as number, shard, uuid},
    user::{self, ROLES},
};

/// Locks a user until the transaction ends: whoever adds to what they hold, or ends several things of it, waits here for
/// another. Of one who was deleted nothing is added any more.
pub(super) async fn lock_user(db: &Db, shard: i32, user: UserId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM users WHERE shard = $1 AND id = $2 FOR UPDATE";
    Ok(db.row(sql, &[&shard, &uuid(user.as_bytes())]).await?.is_some())
}

/// The same where the shard is not known; it is given back. Two statements: Citus locks no row whose shard it is not told.
pub(super) async fn lock_known_user(db: &Db, user: UserId) -> Result<Option<i32>, Fault> {
    let Some(shard) = user::shard(db, user).await? else { return Ok(None) };
    Ok(lock_user(db, shard, user).await?.then_some(shard))
}

pub(super) async fn open(db: &Db, new: &NewSession) -> Result<Opened, Fault> {
    let (session, grant) = (&new.session, &new.grant);
    let shard = shard(&grant.id);
    // The cookie's grant may be somebody else's: of two users, the one with the smaller id is locked first.
    let other = match &new.replaces {
        Some((replaced, _)) => grant::owner(db, replaced).await?.map(|owner| (self::shard(replaced), owner)),
        None => None,
    };
    if let Some((of_other, other)) = other.filter(|(_, other)| *other < session.user) {
        lock_user(db, of_other, other).await?;
    }
    // The user as of now, not as of the moment when the password was checked.
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT epoch, disabled_at, shown, claims, {ROLES} FROM users u WHERE u.shard = $1 AND u.id = $2 FOR UPDATE"
        )
    });
    let Some(row) = db.row(&SQL, &[&shard, &uuid(session.user.as_bytes())]).await? else {
        return Ok(Opened::UserChanged);
    };
    let mut columns = Columns::new(&row);
    let (epoch, disabled_at): (i64, Option<i64>) = (columns.take()?, columns.take()?);
    if epoch != i64::from(grant.epoch.0) || disabled_at.is_some() {
        return Ok(Opened::UserChanged);
    }
    let (identifier, attributes) = (columns.take()?, refresh::attributes(columns.take()?));
    let facts = Facts {
        auth_time: session.auth_time,
        amr: session.amr.clone().into(),
        // Ordered by the database, but in its language.
        roles: sorted(columns.words()?).into(),
        identifier,
        attributes,
    };
    if let Some((of_other, other)) = other.filter(|(_, other)| *other > session.user) {
        lock_user(db, of_other, other).await?;
    }
    if let Some((replaced, judge)) = &new.replaces {
        refresh::refresh_of_locked(db, replaced, Wanted::Roles, judge).await?;
    }
    make_room(db, shard, new).await?;
    insert(db, session, grant, &facts).await?;
    event::insert(db, shard, &new.event).await?;
    forgive(db, &new.forgive).await?;
    Ok(Opened::Opened { facts })
}

pub(super) fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort_unstable();
    words
}

/// Forgets failures, since this sign-in succeeded.
pub(super) async fn forgive(db: &Db, keys: &[FailureKey]) -> Result<(), Fault> {
    let mut keys: Vec<&[u8]> = keys.iter().map(|FailureKey(key)| key.as_slice()).collect();
    // In one order, so that two sign-ins never wait for each other.
    keys.sort_unstable();
    for key in keys {
        db.run("DELETE FROM failures WHERE key = $1", &[&key]).await?;
    }
    Ok(())
}

/// Ends as many sessions of the user as are over the limit: those that never refreshed first, then the longest unused.
async fn make_room(db: &Db, shard: i32, new: &NewSession) -> Result<(), Fault> {
    let now = new.session.created_at;
    let mut alive = open_of(db, shard, new.session.user).await?;
    alive.retain(|open| open.deadline > now);
    alive.sort_by_key(|open| (open.generation > i64::from(Generation::FIRST.0), open.rotated_at));
    let over = (alive.len() + 1).saturating_sub(usize::try_from(new.limit).unwrap_or(usize::MAX));
    for open in alive.into_iter().take(over) {
        let end = End { at: now, reason: Reason::SessionLimit, actor: Actor::System };
        end_rows(db, shard, open.id, new.session.user, end).await?;
    }
    Ok(())
}

/// A session that nobody has ended.
struct Open {
    id: SessionId,
    deadline: Time,
    generation: i64,
    rotated_at: i64,
    is_idle_first: bool,
}

/// The sessions of a user that nobody has ended, oldest first.
async fn open_of(db: &Db, shard: i32, user: UserId) -> Result<Vec<Open>, Fault> {
    let sql = "SELECT s.id, g.idle_deadline, g.absolute_deadline, g.generation, g.rotated_at FROM sessions s JOIN grants g \
         ON g.shard = s.shard AND g.id = s.grant_id \
         WHERE s.shard = $1 AND s.user_id = $2 AND s.ended_at IS NULL ORDER BY s.id";
    let rows = db.rows(sql, &[&shard, &uuid(user.as_bytes())]).await?;
    rows.iter().map(open_session).collect()
}

fn open_session(row: &Row) -> Result<Open, Fault> {
    let mut columns = Columns::new(row);
    let id = SessionId::from_bytes(columns.id()?);
    let (idle, absolute) = (columns.time()?, columns.time()?);
    Ok(Open {
        id,
        deadline: idle.min(absolute),
        generation: columns.take()?,
        rotated_at: columns.take()?,
        is_idle_first: idle < absolute,
    })
}

/// What is written of a new session, in the order of [`values`].
pub(super) const NEW: Written = Written {
    table: "sessions",
    columns: "shard, id, user_id, grant_id, created_at, auth_time, amr, device, user_agent, network, address, prefix",
};

/// A new session's row.
pub(super) fn values<'a>(session: &'a Session, grant: &Grant) -> Vec<Value<'a>> {
    vec![
        Box::new(shard(&grant.id)),
        Box::new(uuid(session.id.as_bytes())),
        Box::new(uuid(session.user.as_bytes())),
        Box::new(uuid(&grant.id.0)),
        Box::new(session.created_at.millis()),
        Box::new(session.auth_time.millis()),
        Box::new(session.amr.join(" ")),
        Box::new(session.device.as_deref()),
        Box::new(session.context.user_agent.as_str()),
        Box::new(session.context.network.to_bytes().to_vec()),
        Box::new(session.context.address.0.as_slice()),
        Box::new(session.context.prefix.to_string()),
    ]
}

/// Writes a session and its own grant.
pub(super) async fn insert(db: &Db, session: &Session, grant: &Grant, facts: &Facts) -> Result<(), Fault> {
    static SQL: LazyLock<String> = LazyLock::new(|| NEW.insert());
    grant::insert(db, grant, facts).await?;
    db.run(&SQL, &borrowed(&values(session, grant))).await?;
    Ok(())
}

/// Of these sessions.
fn select(sessions: &str) -> String {
    format!(
        "SELECT s.id, s.user_id, s.created_at, s.auth_time, s.amr, s.device, s.user_agent, s.network, s.address, s.prefix, \
         s.ended_at, s.end_reason, u.shown, {COLUMNS} FROM {sessions} s \
         JOIN grants g ON g.shard = s.shard AND g.id = s.grant_id \
         LEFT JOIN users u ON u.shard = g.shard AND u.id = s.user_id"
    )
}

fn record(row: &Row) -> Result<SessionRecord, Fault> {
    let mut columns = Columns::new(row);
    let id = SessionId::from_bytes(columns.id()?);
    let user = UserId::from_bytes(columns.id()?);
    let (created_at, auth_time) = (columns.time()?, columns.time()?);
    let amr = columns.words()?;
    let device = columns.take()?;
    let context = columns.context()?;
    let life = columns.life()?;
    let identifier = columns.take()?;
    let grant = grant::read(&mut columns)?.grant;
    let session = Session { id, user, grant: grant.public_id, created_at, auth_time, amr, device, context, life };
    Ok(SessionRecord { session, grant, identifier })
}

pub(super) async fn by_id(db: &Db, id: SessionId) -> Result<Option<SessionRecord>, Fault> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("{} WHERE s.id = $1", select("sessions")));
    db.row(&SQL, &[&uuid(id.as_bytes())]).await?.as_ref().map(record).transpose()
}

/// The same where it is known on which shard it is.
pub(super) async fn by_place(db: &Db, shard: i32, id: SessionId) -> Result<Option<SessionRecord>, Fault> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("{} WHERE s.shard = $1 AND s.id = $2", select("sessions")));
    db.row(&SQL, &[&shard, &uuid(id.as_bytes())]).await?.as_ref().map(record).transpose()
}

/// The same of a session that is this user's, if it is one.
pub(super) async fn by_user(db: &Db, user: UserId, id: SessionId) -> Result<Option<SessionRecord>, Fault> {
    match user::shard(db, user).await? {
        Some(shard) => by_place(db, shard, id).await,
        None => Ok(None),
    }
}

pub(super) async fn by_grant(db: &Db, grant: GrantRef) -> Result<Option<SessionRecord>, Fault> {
    match id_of_grant(db, grant).await? {
        Some(id) => by_id(db, id).await,
        None => Ok(None),
    }
}

/// The session of a grant: a session's own has its id.
pub(super) async fn id_of_grant(db: &Db, grant: GrantRef) -> Result<Option<SessionId>, Fault> {
    let sql = "SELECT session_id FROM grants WHERE public_id = $1 LIMIT 1";
    let Some(row) = db.row(sql, &[&uuid(grant.as_bytes())]).await? else { return Ok(None) };
    Ok(Columns::new(&row).id_or_none()?.map(SessionId::from_bytes))
}

pub(super) async fn by_secret(db: &Db, id: &GrantId) -> Result<Option<SessionRecord>, Fault> {
    match grant::look(db, id).await?.and_then(|record| record.grant.session) {
        Some(session) => by_place(db, shard(id), session).await,
        None => Ok(None),
    }
}

pub(super) async fn list(db: &Db, filter: SessionFilter) -> Result<Vec<SessionRecord>, Fault> {
    let shard = match filter.user {
        Some(user) => user::shard(db, user).await?,
        None => None,
    };
    let living = if filter.ended { "" } else { "AND s.ended_at IS NULL" };
    // Ids sort by creation, and "before the largest id" is every one: the first page and the next are one statement.
    let (before, limit) = (uuid(&filter.after.map_or([0xff; 16], |id| *id.as_bytes())), number(filter.limit));
    let rows = match (filter.user, shard) {
        (None, _) => {
            // The page is taken before it is joined: see the sweep's.
            let page = format!("(SELECT * FROM sessions s WHERE s.id < $1 {living} ORDER BY s.id DESC LIMIT $2)");
            db.rows(&format!("{} ORDER BY s.id DESC", select(&page)), &[&before, &limit]).await?
        }
        (Some(_), None) => Vec::new(),
        (Some(user), Some(shard)) => {
            let sql = format!(
                "{} WHERE s.shard = $3 AND s.user_id = $4 AND s.id < $1 {living} ORDER BY s.id DESC LIMIT $2",
                select("sessions")
            );
            db.rows(&sql, &[&before, &limit, &shard, &uuid(user.as_bytes())]).await?
        }
    };
    rows.iter().map(record).collect()
}

pub(super) async fn count(db: &Db) -> Result<u64, Fault> {
    let row = db.row("SELECT count(*) FROM sessions WHERE ended_at IS NULL", &[]).await?;
    row.map_or(Ok(0), |row| Columns::new(&row).number())
}

pub(super) async fn end_one(db: &Db, id: SessionId, owner: Option<UserId>, end: End) -> Result<bool, Fault> {
    let Some((shard, user)) = owner_of(db, id, owner).await? else { return Ok(false) };
    lock_user(db, shard, user).await?;
    // As of now: somebody else may have ended it, or used it, while this waited.
    let Some(open) = open_one(db, shard, id).await? else { return Ok(false) };
    if open.deadline <= end.at {
        return Ok(false);
    }
    end_rows(db, shard, id, user, end).await.map(|()| true)
}

/// Where a session lives, and whose it is; `None` if it is not that of the owner who is named.
async fn owner_of(db: &Db, id: SessionId, owner: Option<UserId>) -> Result<Option<(i32, UserId)>, Fault> {
    let id = uuid(id.as_bytes());
    if let Some(owner) = owner {
        let Some(shard) = user::shard(db, owner).await? else { return Ok(None) };
        let sql = "SELECT 1 FROM sessions WHERE shard = $1 AND id = $2 AND user_id = $3";
        let found = db.row(sql, &[&shard, &id, &uuid(owner.as_bytes())]).await?;
        return Ok(found.map(|_| (shard, owner)));
    }
    let Some(row) = db.row("SELECT shard, user_id FROM sessions WHERE id = $1", &[&id]).await? else {
        return Ok(None);
    };
    let mut columns = Columns::new(&row);
    Ok(Some((columns.take()?, UserId::from_bytes(columns.id()?))))
}

/// A session that nobody has ended, with its own grant locked: no use slides it until this transaction is over.
async fn open_one(db: &Db, shard: i32, id: SessionId) -> Result<Option<Open>, Fault> {
    let sql = "SELECT s.id, g.idle_deadline, g.absolute_deadline, g.generation, g.rotated_at FROM sessions s JOIN grants g \
         ON g.shard = s.shard AND g.id = s.grant_id \
         WHERE s.shard = $1 AND s.id = $2 AND s.ended_at IS NULL FOR UPDATE OF g";
    db.row(sql, &[&shard, &uuid(id.as_bytes())]).await?.as_ref().map(open_session).transpose()
}

pub(super) async fn end_sessions(db: &Db, user: UserId, except: Option<SessionId>, end: End) -> Result<u64, Fault> {
    match lock_known_user(db, user).await? {
        Some(shard) => end_of_user(db, shard, user, except, end).await,
        None => Ok(0),
    }
}

/// Ends the sessions of a user, who is locked.
pub(super) async fn end_of_user(
    db: &Db,
    shard: i32,
    user: UserId,
    except: Option<SessionId>,
    end: End,
) -> Result<u64, Fault> {
    let mut ended = 0;
    for open in open_of(db, shard, user).await? {
        if Some(open.id) == except {
            continue;
        }
        // Looked at again under its lock: it may have been used meanwhile.
        let Some(open) = open_one(db, shard, open.id).await? else { continue };
        if open.deadline <= end.at {
            // It expired unseen and does not count. It is written all the same: if only the clock was wrong, it must not be
            // there again once the clock is right, for whoever asked was told that all are over.
            expire_open(db, shard, user, &open).await?;
        } else {
            end_rows(db, shard, open.id, user, end).await?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// Writes the deadline of a session's own grant that passed first.
async fn expire_open(db: &Db, shard: i32, user: UserId, open: &Open) -> Result<(), Fault> {
    let reason = if open.is_idle_first { Reason::ExpiredIdle } else { Reason::ExpiredAbsolute };
    end_rows(db, shard, open.id, user, End { at: open.deadline, reason, actor: Actor::System }).await
}

/// Writes the end of a session whose deadline had passed `by` then, if that is still so; whether it was.
pub(super) async fn expire(db: &Db, shard: i32, id: SessionId, user: UserId, by: Time) -> Result<bool, Fault> {
    lock_user(db, shard, user).await?;
    match open_one(db, shard, id).await? {
        Some(open) if open.deadline <= by => expire_open(db, shard, user, &open).await.map(|()| true),
        _ => Ok(false),
    }
}

/// Ends the next sessions of everybody after `after`; the last one looked at.
pub(super) async fn end_next(
    db: &Db,
    end: End,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Option<SessionId>, Fault> {
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let sql = "SELECT id, shard, user_id FROM sessions WHERE id > $1 ORDER BY id LIMIT $2";
    let mut last = None;
    for row in db.rows(sql, &[&uuid(&after), &number(limit)]).await? {
        let mut columns = Columns::new(&row);
        let (id, shard) = (SessionId::from_bytes(columns.id()?), columns.take()?);
        let user = UserId::from_bytes(columns.id()?);
        lock_user(db, shard, user).await?;
        end_rows(db, shard, id, user, end).await?;
        last = Some(id);
    }
    if last.is_none() {
        // Everybody's sessions are over: so is what outlives them.
        db.strongly().await?;
        db.run(
            "UPDATE grants SET ended_at = $1, end_reason = $2 WHERE session_id IS NULL AND ended_at IS NULL",
            &[&end.at.millis(), &end.reason.as_str()],
        )
        .await?;
    }
    Ok(last)
}

/// Ends everything that a user, who is locked, holds: every session, and every grant that has none.
pub(super) async fn end_all_held(db: &Db, shard: i32, user: UserId, end: End) -> Result<u64, Fault> {
    let ended = end_of_user(db, shard, user, None, end).await?;
    end_without_session(db, shard, user, end).await?;
    Ok(ended)
}

/// Ends what a user holds beside their sessions.
pub(super) async fn end_without_session(db: &Db, shard: i32, user: UserId, end: End) -> Result<(), Fault> {
    db.strongly().await?;
    db.run(
        "UPDATE grants SET ended_at = $3, end_reason = $4 \
         WHERE shard = $1 AND user_id = $2 AND session_id IS NULL AND ended_at IS NULL",
        &[&shard, &uuid(user.as_bytes()), &end.at.millis(), &end.reason.as_str()],
    )
    .await?;
    Ok(())
}

/// Ends a session and all its grants, and tells the timeline. Those that ended before keep their reason. The user is locked.
pub(super) async fn end_rows(db: &Db, shard: i32, id: SessionId, user: UserId, end: End) -> Result<(), Fault> {
    db.strongly().await?;
    let session = uuid(id.as_bytes());
    let ended = db
        .run(
            "UPDATE sessions SET ended_at = $3, end_reason = $4 WHERE shard = $1 AND id = $2 AND ended_at IS NULL",
            &[&shard, &session, &end.at.millis(), &end.reason.as_str()],
        )
        .await?;
    db.run(
        "UPDATE grants SET ended_at = $3, end_reason = CASE WHEN endpoint = 'session' THEN $4 ELSE $5 END \
         WHERE shard = $1 AND session_id = $2 AND ended_at IS NULL",
        &[&shard, &session, &end.at.millis(), &end.reason.as_str(), &Reason::SessionEnded.as_str()],
    )
    .await?;
    if ended == 1 {
        backchannel_logout::put(db, shard, id, user, end.at).await?;
        let told = Event::new(EventKind::SessionEnded, end.at, end.actor, db.random());
        event::insert(db, shard, &told.session(id).user(user).because(end.reason)).await?;
    }
    Ok(())
}
