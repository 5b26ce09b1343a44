//! What applications are to be told of ends of sessions: the outbox, and what became of it.

use regrant_engine::{
    backchannel_logout::{Logout, Notice, Outcome, Standing},
    event::Event,
    id::{ClientId, SessionId, UserId},
    ports::{LogoutClaim, Retention},
    time::Time,
};
use rusqlite::{Connection, params};

use super::{event, fault::Fault, row::Columns};

/// Puts a row for each client that got tokens of a session and has an address to be told at (OpenID Connect Back-Channel Logout
/// §2.3). Its grants may have ended before: it may be signed in all the same. A passed deadline is told of when it is seen and
/// when it is written: that is one end, at one time.
pub(super) fn put(db: &Connection, session: SessionId, user: UserId, at: Time) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO logouts (session_id, client_id, user_id, at, state, attempts, next_at) \
         SELECT DISTINCT g.session_id, g.client_id, ?2, ?3, 'waiting', 0, ?3 \
         FROM other_grants g JOIN clients c ON c.id = g.client_id \
         WHERE g.session_id = ?1 AND json_extract(c.metadata, '$.backchannel_logout_uri') IS NOT NULL \
         ON CONFLICT (session_id, client_id) DO UPDATE SET at = excluded.at, state = 'waiting', attempts = 0,          next_at = excluded.next_at, last_error = NULL WHERE logouts.at <> excluded.at",
    )?
    .execute(params![session.as_bytes(), user.as_bytes(), at.millis()])?;
    Ok(())
}

/// Whether [`claim`] would find anything.
pub(super) fn is_any_due(db: &Connection, claim: &LogoutClaim) -> Result<bool, Fault> {
    let mut after = String::new();
    while let Some(client) = next_client(db, &after)? {
        if !is_busy(claim, &client) && !due(db, &client, claim, 1)?.is_empty() {
            return Ok(true);
        }
        after = client;
    }
    Ok(false)
}

/// Client by client: who has much to be told must not hold up the others.
pub(super) fn claim(db: &Connection, claim: &LogoutClaim) -> Result<Vec<Notice>, Fault> {
    let (mut claimed, mut clients, mut after) = (Vec::new(), 0, String::new());
    while clients < claim.clients {
        let Some(client) = next_client(db, &after)? else { break };
        after.clone_from(&client);
        if is_busy(claim, &client) {
            continue;
        }
        let due = due(db, &client, claim, claim.of_each)?;
        clients += u32::from(!due.is_empty());
        for (session, user, attempts) in due {
            let attempt = attempts.saturating_add(1);
            db.prepare_cached(
                "UPDATE logouts SET attempts = ?3, next_at = ?4 WHERE session_id = ?1 AND client_id = ?2",
            )?
            .execute(params![session, client, attempt, claim.until.millis()])?;
            claimed.push(Notice {
                client: ClientId::from(client.as_str()),
                session: SessionId::from_bytes(session),
                user: UserId::from_bytes(user),
                attempt,
            });
        }
    }
    Ok(claimed)
}

fn is_busy(claim: &LogoutClaim, client: &str) -> bool {
    claim.busy.iter().any(|busy| *busy.0 == *client)
}

/// The next client, by its id, for which something waits.
fn next_client(db: &Connection, after: &str) -> Result<Option<String>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT min(client_id) FROM logouts WHERE state = 'waiting' AND client_id > ?")?;
    Ok(statement.query_row(params![after], |row| row.get(0))?)
}

type Due = ([u8; 16], [u8; 16], u32);

fn due(db: &Connection, client: &str, claim: &LogoutClaim, limit: u32) -> Result<Vec<Due>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT session_id, user_id, attempts FROM logouts WHERE state = 'waiting' AND client_id = ?1 AND next_at <= ?2 \
         UNION ALL \
         SELECT session_id, user_id, attempts FROM logouts WHERE state = 'waiting' AND client_id = ?1 AND next_at > ?3 \
         LIMIT ?4",
    )?;
    let rows =
        statement.query_map(params![client, claim.now.millis(), claim.wild.millis(), limit], |row| row.try_into())?;
    Ok(rows.collect::<Result<Vec<Due>, _>>()?)
}

pub(super) fn settle(
    db: &Connection,
    notice: &Notice,
    outcome: &Outcome,
    now: Time,
    told: Option<&Event>,
) -> Result<bool, Fault> {
    let (state, at, error) = match outcome {
        Outcome::Delivered => ("delivered", now, None),
        Outcome::Later { at, why } => ("waiting", *at, Some(why)),
        Outcome::GaveUp { why } => ("gave_up", now, Some(why)),
    };
    // Whoever delivered has delivered. Any other outcome counts only if nobody has begun again since.
    let settled = db
        .prepare_cached(
            "UPDATE logouts SET state = ?3, next_at = ?4, last_error = ?5 WHERE session_id = ?1 AND client_id = ?2 \
             AND state = 'waiting' AND (?3 = 'delivered' OR attempts = ?6)",
        )?
        .execute(params![notice.session.as_bytes(), &*notice.client.0, state, at.millis(), error, notice.attempt])?;
    if let Some(told) = told.filter(|_| settled == 1) {
        event::insert(db, told)?;
    }
    Ok(settled == 1)
}

pub(super) fn of_session(db: &Connection, session: SessionId) -> Result<Vec<Logout>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT client_id, at, attempts, state, next_at, last_error FROM logouts WHERE session_id = ? ORDER BY client_id",
    )?;
    let mut rows = statement.query(params![session.as_bytes()])?;
    let mut logouts = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let client = ClientId::from(columns.take::<String>()?);
        let (at, attempts, state) = (columns.time()?, columns.take()?, columns.take::<String>()?);
        let (then, last_error): (Time, Option<String>) = (columns.time()?, columns.take()?);
        let standing = match state.as_str() {
            "waiting" => Standing::Waiting { next: then, last_error },
            "delivered" => Standing::Delivered { at: then },
            "gave_up" => Standing::GaveUp { at: then, why: last_error.unwrap_or_default() },
            _ => return Err(Fault::damaged("a logout in a state that there is not")),
        };
        logouts.push(Logout { client, at, attempts, standing });
    }
    Ok(logouts)
}

/// Forgets what was settled, once events of its age are forgotten.
pub(super) fn sweep(db: &Connection, now: Time, keep: Retention) -> Result<(), Fault> {
    db.prepare_cached(
        "DELETE FROM logouts WHERE (session_id, client_id) IN (SELECT session_id, client_id FROM logouts \
         WHERE state <> 'waiting' AND at < ?1 ORDER BY at LIMIT ?2)",
    )?
    .execute(params![now.minus(keep.events).millis(), keep.batch])?;
    Ok(())
}
