//! Grants as they were kept before they were packed, a column for everything: read once, when a store of that time is opened.

use regrant_engine::{
    context::Networks,
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    refresh::{Grant, Holding, KeyThumbprint, Pace, Suspicion, Window},
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{Endpoint, GrantId, KeyId, Salt},
};
use rusqlite::Connection;

use super::{
    super::{fault::Fault, refresh, row::Columns},
    Desk, Record,
};

/// Packs every grant of `old_grants`, and removes that table. Part of a migration's transaction.
pub(in super::super) fn carry_over(db: Connection) -> Result<Connection, Fault> {
    // The migration's own transaction is the one that this is sealed in.
    let desk = Desk::new(db, usize::MAX)?;
    {
        let mut statement = desk.prepare(&format!(
            "SELECT s.auth_time, s.amr, {}, {GRANT} FROM old_grants g LEFT JOIN sessions s ON s.id = g.session_id \
             LEFT JOIN users u ON u.id = g.user_id",
            refresh::ROLES
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut columns = Columns::new(row);
            let (auth_time, amr): (Option<i64>, Option<String>) = (columns.take()?, columns.take()?);
            let roles = refresh::roles(columns.take()?).into();
            let grant = grant(&mut columns)?;
            let auth_time = auth_time.map_or(grant.issued_at, Time::from_millis);
            desk.insert(&Record { grant, auth_time, amr: refresh::words(amr).into(), roles, roles_as_of: 0 })?;
        }
    }
    desk.execute_batch("DROP TABLE old_grants")?;
    desk.seal()?;
    Ok(desk.into_connection())
}

/// In the order that [`grant`] reads.
const GRANT: &str = "g.id, g.public_id, g.user_id, g.session_id, g.client_id, g.endpoint, g.kind, g.salt, \
     g.scope, g.audience, g.issued_at, g.key_id, g.epoch, g.holding, g.bound_key, g.bound_from, g.generation, g.fence, \
     g.newest_used, g.rotated_at, g.last_event, g.idle_deadline, g.absolute_deadline, g.user_agent, g.network, g.address, \
     g.prefix, g.networks, g.points, g.worst_replay, g.rotations_since, g.rotations, g.replays_since, g.replays, g.ended_at, \
     g.end_reason";

fn grant(columns: &mut Columns<'_, '_>) -> Result<Grant, Fault> {
    Ok(Grant {
        id: GrantId(columns.take()?),
        public_id: GrantRef::from_bytes(columns.take()?),
        user: UserId::from_bytes(columns.take()?),
        session: columns.take::<Option<[u8; 16]>>()?.map(SessionId::from_bytes),
        client: ClientId::from(columns.take::<String>()?),
        endpoint: match columns.take::<String>()?.as_str() {
            "session" => Endpoint::Session,
            "oauth" => Endpoint::OAuth,
            _ => return Err(Fault::damaged("a grant of an unknown endpoint")),
        },
        kind: columns.name()?,
        salt: Salt(columns.take()?),
        scope: columns.take::<String>()?.into(),
        audience: columns.take::<String>()?.into(),
        issued_at: columns.time()?,
        key: KeyId(columns.take()?),
        epoch: Epoch(columns.take()?),
        holding: match (columns.take::<String>()?.as_str(), columns.take()?, columns.take()?) {
            ("bearer", None, None) => Holding::Bearer,
            ("client", None, None) => Holding::ClientBound,
            ("bound", Some(key), Some(from)) => Holding::Bound { key: KeyThumbprint(key), from: Generation(from) },
            _ => return Err(Fault::damaged("a grant that is held in no known way")),
        },
        generation: Generation(columns.take()?),
        fence: columns.take::<Option<u32>>()?.map(Generation),
        newest_used: columns.take()?,
        rotated_at: columns.time()?,
        last_event: columns.time()?,
        idle: IdleDeadline(columns.time()?),
        absolute: AbsoluteDeadline(columns.time()?),
        context: columns.context()?,
        networks: Networks::from_bytes(&columns.take::<Vec<u8>>()?)
            .ok_or_else(|| Fault::damaged("a grant's networks cannot be read"))?,
        suspicion: Suspicion {
            points: columns.take()?,
            worst: columns.take::<Option<String>>()?.map(|name| name.parse()).transpose()?,
        },
        pace: Pace {
            rotations: Window { since: columns.time()?, count: columns.take()? },
            replays: Window { since: columns.time()?, count: columns.take()? },
        },
        life: columns.life()?,
    })
}
