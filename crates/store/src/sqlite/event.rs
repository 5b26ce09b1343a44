//! The timeline.

use std::cell::RefCell;

use regrant_engine::{
    event::{Event, Origin},
    id::{ClientId, EventId, GrantRef, SessionId, UserId},
    ports::TimelineOf,
    token::GrantId,
};
use rusqlite::{Connection, params};

use super::{fault::Fault, grants::Desk, row::Columns, session};

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
        event.actor.to_string(),
        event.user.as_ref().map(UserId::as_bytes),
        event.session.as_ref().map(SessionId::as_bytes),
        event.grant.as_ref().map(GrantRef::as_bytes),
        event.client.as_ref().map(|client| &*client.0),
        event.reason.map(|reason| reason.as_str()),
        event.context.as_ref().map(|context| context.network.as_str()),
        event.context.as_ref().map(|context| context.user_agent.as_str()),
        data,
    ])?;
    tell(|| event.clone());
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

/// Notes that the transaction under way has written this. Made only where somebody wants to know.
pub(super) fn tell(event: impl FnOnce() -> Event) {
    TOLD.with_borrow_mut(|told| {
        if let Some(told) = told {
            told.push(event());
        }
    });
}

/// What was told since this was last asked: once after each transaction, whatever became of it.
pub(super) fn take_told() -> Vec<Event> {
    TOLD.with_borrow_mut(|told| told.as_mut().map(std::mem::take).unwrap_or_default())
}

const SELECT: &str = "SELECT id, at, kind, actor, user_id, session_id, grant_id, client_id, reason, network, user_agent, \
     data FROM events";

pub(super) fn timeline(desk: &Desk, of: TimelineOf, limit: u32) -> Result<Vec<Event>, Fault> {
    let mut told = match &of {
        TimelineOf::Session(id) => rows(desk, "session_id = ?1", (id.as_bytes(), limit))?,
        TimelineOf::User(id) => rows(desk, "user_id = ?1 AND kind <> 'refresh.rotated'", (id.as_bytes(), limit))?,
        // A grant's session leads to its events by an index; the few of its sisters are passed over.
        TimelineOf::Grant(id) => {
            let session = session::id_of_grant(desk, *id)?;
            match (session, desk.by_public_id(*id)?) {
                (None, Some(grant)) => {
                    let user = desk.read_known(&grant)?.grant.user;
                    rows(
                        desk,
                        "user_id = ?3 AND kind <> 'refresh.rotated' AND grant_id = ?1",
                        (id.as_bytes(), limit, user.as_bytes()),
                    )?
                }
                (session, _) => {
                    let condition = "session_id = ?3 AND (grant_id = ?1 OR grant_id IS NULL)";
                    let session = session.as_ref().map(SessionId::as_bytes);
                    rows(desk, condition, (id.as_bytes(), limit, session))?
                }
            }
        }
    };
    for grant in renewed(desk, &of)? {
        let grant = desk.read_known(&grant)?.grant;
        if !matches!(of, TimelineOf::Grant(id) if id != grant.public_id) {
            told.extend(desk.renewals(&grant.id)?.iter().map(|renewal| renewal.told(&grant)));
        }
    }
    // Ids sort by time.
    told.sort_unstable_by_key(|event| *event.id.as_bytes());
    let over = told.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    told.drain(..over);
    Ok(told)
}

/// The grants whose renewals belong to a timeline: they are kept with the grants. A user's has none.
fn renewed(desk: &Desk, of: &TimelineOf) -> Result<Vec<GrantId>, Fault> {
    let session = match of {
        TimelineOf::Session(id) => Some(*id),
        TimelineOf::Grant(id) => match session::id_of_grant(desk, *id)? {
            Some(session) => Some(session),
            None => return Ok(desk.by_public_id(*id)?.into_iter().collect()),
        },
        TimelineOf::User(_) => None,
    };
    session.map_or_else(|| Ok(Vec::new()), |session| desk.of_session(session))
}

/// The newest events that a condition holds for.
fn rows(db: &Connection, condition: &str, parameters: impl rusqlite::Params) -> Result<Vec<Event>, Fault> {
    let mut statement = db.prepare_cached(&format!("{SELECT} WHERE {condition} ORDER BY id DESC LIMIT ?2"))?;
    let mut rows = statement.query(parameters)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(event(row)?);
    }
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
        client: columns.take::<Option<String>>()?.map(ClientId::from),
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
