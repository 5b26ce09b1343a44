//! Grants, contexts and lives as columns, in one place for all verbs.

use regrant_engine::{
    context::{AddressDigest, Context, Network, Networks, UserAgentFamily},
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    reason::Life,
    refresh::{Grant, Holding, KeyThumbprint, Pace, Replay, Suspicion, Window},
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{Endpoint, GrantId, KeyId, Salt},
};
use rusqlite::{Connection, Row, params, types::FromSql};

use super::fault::Fault;

/// Reads a row's columns one after the other, so that a list of columns and the reading of it stand side by side.
pub(super) struct Columns<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl<'a, 'r> Columns<'a, 'r> {
    pub(super) fn new(row: &'a Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn take<T: FromSql>(&mut self) -> Result<T, Fault> {
        let column = self.next;
        self.next += 1;
        Ok(self.row.get(column)?)
    }

    pub(super) fn time(&mut self) -> Result<Time, Fault> {
        self.take().map(Time::from_millis)
    }

    pub(super) fn name<T: std::str::FromStr<Err = regrant_engine::reason::UnknownName>>(&mut self) -> Result<T, Fault> {
        Ok(self.take::<String>()?.parse()?)
    }

    pub(super) fn life(&mut self) -> Result<Life, Fault> {
        let (at, reason): (Option<i64>, Option<String>) = (self.take()?, self.take()?);
        match (at, reason) {
            (None, None) => Ok(Life::Alive),
            (Some(at), Some(reason)) => Ok(Life::Ended { at: Time::from_millis(at), reason: reason.parse()? }),
            _ => Err(Fault::damaged("a row ended without a reason, or has a reason without an end")),
        }
    }

    pub(super) fn context(&mut self) -> Result<Context, Fault> {
        Ok(Context {
            user_agent: UserAgentFamily::from_stored(self.take()?),
            network: Network::from_bytes(self.take()?)
                .ok_or_else(|| Fault::damaged("a network that cannot be read"))?,
            address: AddressDigest(self.take()?),
            prefix: self.take::<String>()?.parse().map_err(|_| Fault::damaged("an address that cannot be read"))?,
        })
    }
}

/// `ended_at, end_reason` of a life.
fn life_columns(life: &Life) -> (Option<i64>, Option<&'static str>) {
    match life {
        Life::Alive => (None, None),
        Life::Ended { at, reason } => (Some(at.millis()), Some(reason.as_str())),
    }
}

/// In the order that [`grant`] reads, with the table's alias `g`.
pub(super) const GRANT: &str = "g.id, g.public_id, g.user_id, g.session_id, g.client_id, g.endpoint, g.kind, g.salt, \
     g.scope, g.audience, g.issued_at, g.key_id, g.epoch, g.holding, g.bound_key, g.bound_from, g.generation, g.fence, \
     g.newest_used, g.rotated_at, g.last_event, g.idle_deadline, g.absolute_deadline, g.user_agent, g.network, g.address, \
     g.prefix, g.networks, g.points, g.worst_replay, g.rotations_since, g.rotations, g.replays_since, g.replays, g.ended_at, \
     g.end_reason";

pub(super) fn grant(columns: &mut Columns<'_, '_>) -> Result<Grant, Fault> {
    Ok(Grant {
        id: GrantId(columns.take()?),
        public_id: GrantRef::from_bytes(columns.take()?),
        user: UserId::from_bytes(columns.take()?),
        session: columns.take::<Option<[u8; 16]>>()?.map(SessionId::from_bytes),
        client: ClientId(columns.take()?),
        endpoint: match columns.take::<String>()?.as_str() {
            "session" => Endpoint::Session,
            "oauth" => Endpoint::OAuth,
            _ => return Err(Fault::damaged("a grant of an unknown endpoint")),
        },
        kind: columns.name()?,
        salt: Salt(columns.take()?),
        scope: columns.take()?,
        audience: columns.take()?,
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

/// Writes a new grant.
pub(super) fn insert_grant(db: &Connection, grant: &Grant) -> Result<(), Fault> {
    let [a, b, c, d, ..] = grant.id.0;
    let endpoint = match grant.endpoint {
        Endpoint::Session => "session",
        Endpoint::OAuth => "oauth",
    };
    // What a use changes is written by the one statement that writes it ever after; until then zeros hold its place.
    db.prepare_cached(
        "INSERT INTO grants (id, shard, public_id, user_id, session_id, client_id, endpoint, kind, salt, scope, audience, \
         issued_at, key_id, epoch, holding, generation, newest_used, rotated_at, last_event, idle_deadline, \
         absolute_deadline, user_agent, network, address, prefix, networks, points, rotations_since, rotations, \
         replays_since, replays) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', 0, 0, 0, 0, 0, 0, '', x'', x'', '', x'', 0, 0, 0, 0, 0)",
    )?
    .execute(params![
        grant.id.0,
        [a, b, c, d],
        grant.public_id.as_bytes(),
        grant.user.as_bytes(),
        grant.session.as_ref().map(SessionId::as_bytes),
        grant.client.0,
        endpoint,
        grant.kind.as_str(),
        grant.salt.0,
        grant.scope,
        grant.audience,
        grant.issued_at.millis(),
    ])?;
    update_grant(db, grant)
}

/// Writes what uses change of a grant.
pub(super) fn update_grant(db: &Connection, grant: &Grant) -> Result<(), Fault> {
    let (holding, bound_key, bound_from) = match grant.holding {
        Holding::Bearer => ("bearer", None, None),
        Holding::ClientBound => ("client", None, None),
        Holding::Bound { key, from } => ("bound", Some(key.0), Some(from.0)),
    };
    let (ended_at, end_reason) = life_columns(&grant.life);
    let changed = db
        .prepare_cached(
            "UPDATE grants SET key_id = ?2, epoch = ?3, holding = ?4, bound_key = ?5, bound_from = ?6, generation = ?7, \
             fence = ?8, newest_used = ?9, rotated_at = ?10, last_event = ?11, idle_deadline = ?12, absolute_deadline = ?13, \
             user_agent = ?14, network = ?15, address = ?16, prefix = ?17, networks = ?18, points = ?19, worst_replay = ?20, \
             rotations_since = ?21, rotations = ?22, replays_since = ?23, replays = ?24, ended_at = ?25, end_reason = ?26 \
             WHERE id = ?1",
        )?
        .execute(params![
            grant.id.0,
            grant.key.0,
            grant.epoch.0,
            holding,
            bound_key,
            bound_from,
            grant.generation.0,
            grant.fence.map(|fence| fence.0),
            grant.newest_used,
            grant.rotated_at.millis(),
            grant.last_event.millis(),
            grant.idle.0.millis(),
            grant.absolute.0.millis(),
            grant.context.user_agent.as_str(),
            grant.context.network.to_bytes(),
            grant.context.address.0,
            grant.context.prefix.to_string(),
            grant.networks.to_bytes(),
            grant.suspicion.points,
            grant.suspicion.worst.map(Replay::as_str),
            grant.pace.rotations.since.millis(),
            grant.pace.rotations.count,
            grant.pace.replays.since.millis(),
            grant.pace.replays.count,
            ended_at,
            end_reason,
        ])?;
    if changed == 1 { Ok(()) } else { Err(Fault::damaged("a grant vanished in the middle of a transaction")) }
}
