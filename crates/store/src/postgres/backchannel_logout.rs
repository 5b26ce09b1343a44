//! What applications are to be told of ends of sessions: the outbox, and what became of it. All nodes drain it.

use regrant_engine::{
    backchannel_logout::{Logout, Notice, Outcome, Standing},
    event::Event,
    id::{ClientId, SessionId, UserId},
    ports::LogoutClaim,
    time::Time,
};

use super::{
    event,
    fault::Fault,
    pool::Db,
    row::{Columns, count, uuid},
    user,
};

/// Puts a row for each client that got tokens of a session and has an address to be told at (OpenID Connect Back-Channel Logout
/// §2.3). Its grants may have ended before: it may be signed in all the same. A passed deadline is told of when it is seen and
/// when it is written: that is one end, at one time.
pub(super) async fn put(db: &Db, shard: i32, session: SessionId, user: UserId, at: Time) -> Result<(), Fault> {
    let sql = "SELECT DISTINCT g.client_id FROM grants g JOIN clients c ON c.id = g.client_id \
         WHERE g.shard = $1 AND g.session_id = $2 AND g.endpoint = 'oauth' AND c.is_told";
    let session = uuid(session.as_bytes());
    for row in db.rows(sql, &[&shard, &session]).await? {
        let client: &str = Columns::new(&row).take()?;
        db.run(
            "INSERT INTO logouts (shard, session_id, client_id, user_id, at, state, attempts, next_at) \
             VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $5) \
             ON CONFLICT (session_id, client_id, shard) DO UPDATE SET at = excluded.at, state = 'waiting', attempts = 0, \
             next_at = excluded.next_at, last_error = NULL WHERE logouts.at <> excluded.at",
            &[&shard, &session, &client, &uuid(user.as_bytes()), &at.millis()],
        )
        .await?;
    }
    Ok(())
}

/// Client by client: who has much to be told must not hold up the others. Another node may claim at the same time: each row is
/// claimed by whoever counts its attempt first.
pub(super) async fn claim(db: &Db, claim: &LogoutClaim) -> Result<Vec<Notice>, Fault> {
    let (mut claimed, mut clients, mut after) = (Vec::new(), 0, String::new());
    while clients < claim.clients {
        let Some(client) = next_client(db, &after).await? else { break };
        after.clone_from(&client);
        if claim.busy.iter().any(|busy| *busy.0 == *client) {
            continue;
        }
        let due = due(db, &client, claim).await?;
        clients += u32::from(!due.is_empty());
        for Due { shard, session, user, attempts } in due {
            let taken = db
                .run(
                    "UPDATE logouts SET attempts = attempts + 1, next_at = $5 WHERE shard = $1 AND session_id = $2 \
                     AND client_id = $3 AND attempts = $4 AND state = 'waiting'",
                    &[&shard, &uuid(session.as_bytes()), &client, &i64::from(attempts), &claim.until.millis()],
                )
                .await?;
            if taken == 1 {
                let attempt = attempts.saturating_add(1);
                claimed.push(Notice { client: ClientId::from(client.as_str()), session, user, attempt });
            }
        }
    }
    Ok(claimed)
}

/// The next client, by its id, for which something waits.
async fn next_client(db: &Db, after: &str) -> Result<Option<String>, Fault> {
    let sql = "SELECT min(client_id) FROM logouts WHERE state = 'waiting' AND client_id > $1";
    let row = db.row(sql, &[&after]).await?;
    row.map_or(Ok(None), |row| Columns::new(&row).take())
}

struct Due {
    shard: i32,
    session: SessionId,
    user: UserId,
    attempts: u32,
}

async fn due(db: &Db, client: &str, claim: &LogoutClaim) -> Result<Vec<Due>, Fault> {
    let sql = "SELECT shard, session_id, user_id, attempts FROM logouts \
         WHERE state = 'waiting' AND client_id = $1 AND (next_at <= $2 OR next_at > $3) LIMIT $4";
    let rows = db.rows(sql, &[&client, &claim.now.millis(), &claim.wild.millis(), &count(claim.of_each)]).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::new(row);
            Ok(Due {
                shard: columns.take()?,
                session: SessionId::from_bytes(columns.id()?),
                user: UserId::from_bytes(columns.id()?),
                attempts: columns.number()?,
            })
        })
        .collect()
}

pub(super) async fn settle(
    db: &Db,
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
    let Some(shard) = user::shard(db, notice.user).await? else { return Ok(false) };
    let settled = db
        .run(
            "UPDATE logouts SET state = $4, next_at = $5, last_error = $6 WHERE shard = $1 AND session_id = $2 \
             AND client_id = $3 AND state = 'waiting' AND ($4 = 'delivered' OR attempts = $7)",
            &[
                &shard,
                &uuid(notice.session.as_bytes()),
                &&*notice.client.0,
                &state,
                &at.millis(),
                // What a stranger answered may hold anything.
                &error.map(|error| error.replace('\0', " ")),
                &i64::from(notice.attempt),
            ],
        )
        .await?;
    if let Some(told) = told.filter(|_| settled == 1) {
        event::insert_somewhere(db, told).await?;
    }
    Ok(settled == 1)
}

pub(super) async fn of_session(db: &Db, session: SessionId) -> Result<Vec<Logout>, Fault> {
    let sql = "SELECT client_id, at, attempts, state, next_at, last_error FROM logouts WHERE session_id = $1";
    let mut logouts = Vec::new();
    for row in db.rows(sql, &[&uuid(session.as_bytes())]).await? {
        let mut columns = Columns::new(&row);
        let client = ClientId(columns.shared()?);
        let (at, attempts, state) = (columns.time()?, columns.number()?, columns.take::<&str>()?);
        let (then, last_error): (Time, Option<String>) = (columns.time()?, columns.take()?);
        let standing = match state {
            "waiting" => Standing::Waiting { next: then, last_error },
            "delivered" => Standing::Delivered { at: then },
            "gave_up" => Standing::GaveUp { at: then, why: last_error.unwrap_or_default() },
            _ => return Err(Fault::damaged("a logout in a state that there is not")),
        };
        logouts.push(Logout { client, at, attempts, standing });
    }
    logouts.sort_unstable_by(|a, b| a.client.cmp(&b.client));
    Ok(logouts)
}
