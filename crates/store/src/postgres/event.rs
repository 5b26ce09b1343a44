//! The timeline.

use std::sync::LazyLock;

use regrant_engine::{
    event::{Event, Origin},
    id::{ClientId, EventId, GrantRef, SessionId, UserId},
    ports::TimelineOf,
};
use tokio_postgres::Row;

use super::{
    fault::Fault,
    grant::{self, COLUMNS},
    pool::{Db, Params},
    renewals,
    row::{Columns, count, uuid},
    user,
};

/// Where an event of nobody goes: anywhere, so that strangers do not fill one shard.
pub(super) fn anywhere(event: &Event) -> i32 {
    let [.., a, b, c, d] = *event.id.as_bytes();
    i32::from_be_bytes([a, b, c, d])
}

pub(super) async fn insert(db: &Db, shard: i32, event: &Event) -> Result<(), Fault> {
    let data = if event.data.is_empty() { None } else { Some(serde_json::to_string(&event.data)?) };
    db.run(
        "INSERT INTO events (shard, id, at, kind, actor, user_id, session_id, grant_id, client_id, reason, network, \
         user_agent, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        &[
            &shard,
            &uuid(event.id.as_bytes()),
            &event.at.millis(),
            &event.kind.as_str(),
            &event.actor.to_string(),
            &event.user.map(|id| uuid(id.as_bytes())),
            &event.session.map(|id| uuid(id.as_bytes())),
            &event.grant.map(|id| uuid(id.as_bytes())),
            &event.client.as_ref().map(|client| &*client.0),
            &event.reason.map(|reason| reason.as_str()),
            &event.context.as_ref().map(|context| context.network.as_str()),
            &event.context.as_ref().map(|context| context.user_agent.as_str()),
            &data,
        ],
    )
    .await?;
    db.tell(|| event.clone());
    Ok(())
}

/// The same where nobody said on which shard the event's user is.
pub(super) async fn insert_somewhere(db: &Db, event: &Event) -> Result<(), Fault> {
    let shard = match event.user {
        Some(user) => user::shard(db, user).await?,
        None => None,
    };
    insert(db, shard.unwrap_or_else(|| anywhere(event)), event).await
}

const SELECT: &str = "SELECT id, at, kind, actor, user_id, session_id, grant_id, client_id, reason, network, user_agent, \
     data FROM events";

pub(super) async fn timeline(db: &Db, of: TimelineOf, limit: u32) -> Result<Vec<Event>, Fault> {
    let limited = count(limit);
    let mut told = match &of {
        TimelineOf::Session(id) => rows(db, "session_id = $1", &[&uuid(id.as_bytes()), &limited]).await?,
        TimelineOf::User(id) => rows(db, "user_id = $1", &[&uuid(id.as_bytes()), &limited]).await?,
        // A grant's session or user leads to its events by an index; the few of its sisters are passed over.
        TimelineOf::Grant(id) => {
            let sql = "SELECT session_id, user_id FROM grants WHERE public_id = $1 LIMIT 1";
            let row = db.row(sql, &[&uuid(id.as_bytes())]).await?;
            let found = row.map(|row| {
                let mut columns = Columns::new(&row);
                Ok::<_, Fault>((columns.id_or_none()?, columns.id()?))
            });
            match found.transpose()? {
                None => Vec::new(),
                Some((None, user)) => {
                    let condition = "user_id = $3 AND grant_id = $1";
                    rows(db, condition, &[&uuid(id.as_bytes()), &limited, &uuid(&user)]).await?
                }
                Some((Some(session), _)) => {
                    let condition = "session_id = $3 AND (grant_id = $1 OR grant_id IS NULL)";
                    rows(db, condition, &[&uuid(id.as_bytes()), &limited, &uuid(&session)]).await?
                }
            }
        }
    };
    told.extend(renewed(db, of).await?);
    // Ids sort by time.
    told.sort_unstable_by_key(|event| *event.id.as_bytes());
    let over = told.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    told.drain(..over);
    Ok(told)
}

/// The renewals that belong to a timeline: they are kept with the grants. A user's has none.
async fn renewed(db: &Db, of: TimelineOf) -> Result<Vec<Event>, Fault> {
    static OF_SESSION: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {COLUMNS}, g.renewals FROM grants g WHERE g.session_id = $1"));
    static OF_GRANT: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {COLUMNS}, g.renewals FROM grants g WHERE g.public_id = $1"));
    let found = match of {
        TimelineOf::Session(id) => db.rows(&OF_SESSION, &[&uuid(id.as_bytes())]).await?,
        TimelineOf::Grant(id) => db.rows(&OF_GRANT, &[&uuid(id.as_bytes())]).await?,
        TimelineOf::User(_) => return Ok(Vec::new()),
    };
    let mut told = Vec::new();
    for row in &found {
        let mut columns = Columns::new(row);
        let grant = grant::read(&mut columns)?.grant;
        let all = renewals::all(columns.take()?, &grant.context.user_agent, grant.context.prefix);
        told.extend(all.iter().map(|renewal| renewal.told(&grant)));
    }
    Ok(told)
}

/// The newest events that a condition holds for.
async fn rows(db: &Db, condition: &str, parameters: Params<'_>) -> Result<Vec<Event>, Fault> {
    let found = db.rows(&format!("{SELECT} WHERE {condition} ORDER BY id DESC LIMIT $2"), parameters).await?;
    found.iter().map(event).collect()
}

pub(super) async fn by_id(db: &Db, id: EventId) -> Result<Option<Event>, Fault> {
    let found = db.row(&format!("{SELECT} WHERE id = $1"), &[&uuid(id.as_bytes())]).await?;
    found.as_ref().map(event).transpose()
}

fn event(row: &Row) -> Result<Event, Fault> {
    let mut columns = Columns::new(row);
    Ok(Event {
        id: EventId::from_bytes(columns.id()?),
        at: columns.time()?,
        kind: columns.name()?,
        actor: columns.name()?,
        user: columns.id_or_none()?.map(UserId::from_bytes),
        session: columns.id_or_none()?.map(SessionId::from_bytes),
        grant: columns.id_or_none()?.map(GrantRef::from_bytes),
        client: columns.take::<Option<&str>>()?.map(ClientId::from),
        reason: columns.name_or_none()?,
        context: match (columns.take()?, columns.take()?) {
            (Some(network), Some(user_agent)) => Some(Origin { network, user_agent }),
            _ => None,
        },
        data: columns.take::<Option<&str>>()?.map(serde_json::from_str).transpose()?.unwrap_or_default(),
    })
}
