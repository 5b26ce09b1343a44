//! The timeline.

use std::cell::RefCell;

use regrant_engine::{
    event::{Event, Origin},
    id::{ClientId, EventId, GrantRef, SessionId, UserId},
    ports::TimelineOf,
};
use rusqlite::{Connection, params};

use super::{fault::Fault, row::Columns};

pub(super) fn insert(db: &Connection, event: &Event) -> Result<(), Fault> {
    let data = if event.data.is_empty() { None } else { Some(serde_json::to_string(&event.data)?) };
    db.prepare_cached(
        "INSERT INTO events (id, at, kind, actor, user_id, session_id, grant_id, client_id, reason, network, user_agent, \
         data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        event.id.as_bytes(),
        event.at.millis(),
        event.kind.as_str(),
        event.actor.as_str(),
        event.user.as_ref().map(UserId::as_bytes),
        event.session.as_ref().map(SessionId::as_bytes),
        event.grant.as_ref().map(GrantRef::as_bytes),
        event.client.as_ref().map(|client| client.0.as_str()),
        event.reason.map(|reason| reason.as_str()),
        event.context.as_ref().map(|context| context.network.as_str()),
        event.context.as_ref().map(|context| context.user_agent.as_str()),
        data,
    ])?;
    tell(event);
    Ok(())
}

thread_local! {
    /// What the transaction under way has written to the timeline, in order; `None` where nobody wants to know. It belongs to the
    /// writer's thread as the connection does, and stands beside it so that no job has to carry it.
    static TOLD: RefCell<Option<Vec<Event>>> = const { RefCell::new(None) };
}

/// From now on, what this thread writes to the timeline is kept for [`take_told`].
pub(super) fn keep_told() {
    TOLD.with_borrow_mut(|told| *told = Some(Vec::new()));
}

/// Notes that the transaction under way has written `event`.
fn tell(event: &Event) {
    TOLD.with_borrow_mut(|told| {
        if let Some(told) = told {
            told.push(event.clone());
        }
    });
}

/// What was told since this was last asked: once after each transaction, whatever became of it.
pub(super) fn take_told() -> Vec<Event> {
    TOLD.with_borrow_mut(|told| told.as_mut().map(std::mem::take).unwrap_or_default())
}

const SELECT: &str = "SELECT id, at, kind, actor, user_id, session_id, grant_id, client_id, reason, network, user_agent, \
     data FROM events";

pub(super) fn timeline(db: &Connection, of: TimelineOf, limit: u32) -> Result<Vec<Event>, Fault> {
    let (condition, id) = match &of {
        TimelineOf::Session(id) => ("session_id = ?1", id.as_bytes()),
        TimelineOf::User(id) => ("user_id = ?1 AND kind <> 'refresh.rotated'", id.as_bytes()),
        // A grant's session leads to its events by an index; the few of its sisters are passed over.
        TimelineOf::Grant(id) => (
            "session_id = (SELECT session_id FROM grants WHERE public_id = ?1) AND (grant_id = ?1 OR grant_id IS NULL)",
            id.as_bytes(),
        ),
    };
    let mut statement = db.prepare_cached(&format!("{SELECT} WHERE {condition} ORDER BY id DESC LIMIT ?2"))?;
    let mut rows = statement.query(params![id, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(event(row)?);
    }
    events.reverse();
    Ok(events)
}

pub(super) fn by_id(db: &Connection, id: EventId) -> Result<Option<Event>, Fault> {
    let mut statement = db.prepare_cached(&format!("{SELECT} WHERE id = ?"))?;
    let mut rows = statement.query(params![id.as_bytes()])?;
    rows.next()?.map(event).transpose()
}

fn event(row: &rusqlite::Row<'_>) -> Result<Event, Fault> {
    let mut columns = Columns::new(row);
    Ok(Event {
        id: EventId::from_bytes(columns.take()?),
        at: columns.time()?,
        kind: columns.name()?,
        actor: columns.name()?,
        user: columns.take::<Option<_>>()?.map(UserId::from_bytes),
        session: columns.take::<Option<_>>()?.map(SessionId::from_bytes),
        grant: columns.take::<Option<_>>()?.map(GrantRef::from_bytes),
        client: columns.take::<Option<_>>()?.map(ClientId),
        reason: columns.take::<Option<String>>()?.map(|name| name.parse()).transpose()?,
        context: match (columns.take()?, columns.take()?) {
            (Some(network), Some(user_agent)) => Some(Origin { network, user_agent }),
            _ => None,
        },
        data: columns
            .take::<Option<String>>()?
            .map(|data| serde_json::from_str(&data))
            .transpose()?
            .unwrap_or_default(),
    })
}
