//! Grants as rows: one row for a grant's whole life, with all that a use depends on.

use std::sync::Arc;

use super::{
    fault::Fault,
    pool::Db,
    renewals,
    row::{Columns, Value, Written, borrowed, shard, uuid},
};
use regrant_engine::{
    context::{Networks, Prefix, UserAgentFamily},
    event::Renewal,
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    ports::{Facts, Loaded},
    reason::Life,
    refresh::{Grant, Holding, KeyThumbprint, Owner, Pace, State, Suspicion, Window},
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{Endpoint, GrantId, KeyId, Salt},
};

/// All of a grant, in the order in which [`read`] reads it. The table is called `g`.
pub(super) const COLUMNS: &str = "g.id, g.public_id, g.user_id, g.session_id, g.client_id, g.endpoint, g.kind, g.salt, \
     g.scope, g.audience, g.issued_at, g.epoch, g.holding, g.bound_key, g.bound_from, g.fence, g.ended_at, g.end_reason, \
     g.key_id, g.generation, g.newest_used, g.rotated_at, g.last_event, g.idle_deadline, g.absolute_deadline, g.user_agent, \
     g.network, g.address, g.prefix, g.networks, g.points, g.worst_replay, g.rotations_since, g.rotations, g.replays_since, \
     g.replays, g.auth_time, g.amr, g.roles, g.session_until";

/// Until when the session of a grant lives that is not its session's own, asked without a lock. The statement's first parameter is
/// the shard: engines that spread over machines find one that is named, and not one that is another table's.
pub(super) const SESSION_UNTIL: &str = "CASE WHEN g.endpoint = 'oauth' AND g.session_id IS NOT NULL THEN \
     (SELECT LEAST(o.idle_deadline, o.absolute_deadline) FROM sessions s JOIN grants o \
      ON o.shard = s.shard AND o.id = s.grant_id WHERE s.shard = $1 AND s.id = g.session_id) END";

/// A grant, and what else a use of it needs to know.
pub(super) struct Record {
    pub(super) grant: Grant,
    pub(super) auth_time: Time,
    pub(super) amr: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) session_until: Option<Time>,
    /// Packed; only of a grant that is locked.
    pub(super) renewals: Vec<u8>,
}

/// What of a grant's row is needed to write its next state.
pub(super) struct Before {
    user_agent: UserAgentFamily,
    prefix: Prefix,
    deadline: Time,
    session_until: Option<Time>,
    renewals: Vec<u8>,
}

/// Reads [`COLUMNS`], and leaves the columns behind them.
pub(super) fn read(columns: &mut Columns<'_>) -> Result<Record, Fault> {
    let id = GrantId(columns.id()?);
    let public_id = GrantRef::from_bytes(columns.id()?);
    let user = UserId::from_bytes(columns.id()?);
    let session = columns.id_or_none()?.map(SessionId::from_bytes);
    let client = ClientId(columns.shared()?);
    let endpoint = endpoint(columns.take()?)?;
    let kind = columns.name()?;
    let salt = Salt(columns.bytes()?);
    let (scope, audience) = (columns.shared()?, columns.shared()?);
    let issued_at = columns.time()?;
    let epoch = Epoch(columns.number()?);
    let holding: &str = columns.take()?;
    let (key, from) = (columns.bytes_or_none()?, columns.number_or_none()?);
    let holding = match (holding, key, from) {
        ("bearer", None, None) => Holding::Bearer,
        ("client", None, None) => Holding::ClientBound,
        ("bound", Some(key), Some(from)) => Holding::Bound { key: KeyThumbprint(key), from: Generation(from) },
        _ => return Err(Fault::damaged("a grant is held in a way that there is not")),
    };
    let fence = columns.number_or_none()?.map(Generation);
    let life = columns.life()?;
    let key = KeyId(columns.small()?);
    let generation = Generation(columns.number()?);
    let newest_used = columns.take()?;
    let (rotated_at, last_event) = (columns.time()?, columns.time()?);
    let (idle, absolute) = (IdleDeadline(columns.time()?), AbsoluteDeadline(columns.time()?));
    let context = columns.context()?;
    let networks =
        Networks::from_bytes(columns.take()?).ok_or_else(|| Fault::damaged("a grant's networks cannot be read"))?;
    let suspicion = Suspicion { points: columns.small()?, worst: columns.name_or_none()? };
    let mut window = || Ok::<_, Fault>(Window { since: columns.time()?, count: columns.number()? });
    let pace = Pace { rotations: window()?, replays: window()? };
    let grant = Grant {
        id,
        public_id,
        salt,
        key,
        endpoint,
        client,
        user,
        session,
        epoch,
        holding,
        kind,
        generation,
        fence,
        newest_used,
        scope,
        audience,
        issued_at,
        rotated_at,
        last_event,
        idle,
        absolute,
        context,
        networks,
        suspicion,
        pace,
        life,
    };
    Ok(Record {
        grant,
        auth_time: columns.time()?,
        amr: columns.words()?,
        roles: columns.words()?,
        session_until: columns.time_or_none()?,
        renewals: Vec::new(),
    })
}

impl Record {
    /// What it was, for [`write`].
    pub(super) fn before(&mut self) -> Before {
        Before {
            user_agent: self.grant.context.user_agent.clone(),
            prefix: self.grant.context.prefix,
            deadline: deadline(&self.grant),
            session_until: self.session_until,
            renewals: std::mem::take(&mut self.renewals),
        }
    }

    /// What is decided on. All that could end a grant is written into its row when it happens, so nothing else is asked.
    pub(super) fn loaded(self, identifier: Option<String>, attributes: Option<Arc<str>>) -> Loaded {
        let Self { grant, auth_time, amr, roles, session_until, renewals: _ } = self;
        let facts = Facts { auth_time, amr: amr.into(), roles: roles.into(), identifier, attributes };
        let state = State {
            session: grant.session.map(|_| Life::Alive),
            session_until,
            user: Owner::Active(grant.epoch),
            client_exists: true,
            consent_stands: true,
            grant,
        };
        Loaded { state, facts }
    }
}

fn endpoint(name: &str) -> Result<Endpoint, Fault> {
    match name {
        "session" => Ok(Endpoint::Session),
        "oauth" => Ok(Endpoint::OAuth),
        _ => Err(Fault::damaged("a grant is for an endpoint that there is not")),
    }
}

pub(crate) const fn endpoint_name(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Session => "session",
        Endpoint::OAuth => "oauth",
    }
}

fn holding(grant: &Grant) -> (&'static str, Option<&[u8]>, Option<i64>) {
    match &grant.holding {
        Holding::Bearer => ("bearer", None, None),
        Holding::ClientBound => ("client", None, None),
        Holding::Bound { key, from } => ("bound", Some(key.0.as_slice()), Some(from.0.into())),
    }
}

fn life(grant: &Grant) -> (Option<i64>, Option<&'static str>) {
    match grant.life {
        Life::Alive => (None, None),
        Life::Ended { at, reason } => (Some(at.millis()), Some(reason.as_str())),
    }
}

/// The tags of a grant's next tokens; none where nobody can tell.
fn tags(db: &Db, grant: &Grant) -> Vec<u8> {
    db.surroundings.foresight.get().and_then(|foresight| foresight(grant)).map(|tags| tags.0).unwrap_or_default()
}

/// The grant `id`, locked until the transaction ends, and with it whoever else would use or end it.
///
/// Of a grant that is not its session's own it says until when that session lives.
pub(super) async fn lock(db: &Db, id: &GrantId) -> Result<Option<Record>, Fault> {
    // The session may have been used since this grant was: then it lives longer than the row says.
    static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!(
            "SELECT {COLUMNS}, g.renewals, {SESSION_UNTIL} \
             FROM grants g WHERE g.shard = $1 AND g.id = $2 FOR UPDATE OF g"
        )
    });
    let Some(row) = db.row(&SQL, &[&shard(id), &uuid(&id.0)]).await? else { return Ok(None) };
    let mut columns = Columns::new(&row);
    let mut record = read(&mut columns)?;
    record.renewals = columns.take()?;
    record.session_until = columns.time_or_none()?;
    if record.session_until.is_none() && record.grant.endpoint == Endpoint::OAuth && record.grant.session.is_some() {
        return Err(Fault::damaged("a grant without its session"));
    }
    Ok(Some(record))
}

/// The same for a look at it: nothing is locked.
pub(super) async fn look(db: &Db, id: &GrantId) -> Result<Option<Record>, Fault> {
    static SQL: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("SELECT {COLUMNS} FROM grants g WHERE g.shard = $1 AND g.id = $2"));
    let row = db.row(&SQL, &[&shard(id), &uuid(&id.0)]).await?;
    row.map(|row| read(&mut Columns::new(&row))).transpose()
}

/// Whose it is. Asked before it is locked: a user is locked before their grants, always, so that nobody waits in a ring.
pub(super) async fn owner(db: &Db, id: &GrantId) -> Result<Option<UserId>, Fault> {
    let sql = "SELECT user_id FROM grants WHERE shard = $1 AND id = $2";
    let row = db.row(sql, &[&shard(id), &uuid(&id.0)]).await?;
    row.map(|row| Columns::new(&row).id().map(UserId::from_bytes)).transpose()
}

/// What is written of a new grant, in the order of [`values`].
pub(super) const NEW: Written = Written {
    table: "grants",
    columns: "shard, id, public_id, user_id, session_id, client_id, endpoint, kind, salt, scope, audience, issued_at, \
        auth_time, amr, roles, epoch, holding, bound_key, bound_from, fence, session_until, ended_at, end_reason, \
        key_id, generation, newest_used, rotated_at, last_event, idle_deadline, absolute_deadline, user_agent, network, \
        address, prefix, networks, points, worst_replay, rotations_since, rotations, replays_since, replays, tags, \
        renewals",
};

/// A new grant's row.
pub(super) fn values<'a>(db: &Db, grant: &'a Grant, facts: &Facts) -> Vec<Value<'a>> {
    let ((held, key, from), (ended_at, end_reason)) = (holding(grant), life(grant));
    vec![
        Box::new(shard(&grant.id)),
        Box::new(uuid(&grant.id.0)),
        Box::new(uuid(grant.public_id.as_bytes())),
        Box::new(uuid(grant.user.as_bytes())),
        Box::new(grant.session.as_ref().map(|session| uuid(session.as_bytes()))),
        Box::new(&*grant.client.0),
        Box::new(endpoint_name(grant.endpoint)),
        Box::new(grant.kind.as_str()),
        Box::new(grant.salt.0.as_slice()),
        Box::new(&*grant.scope),
        Box::new(&*grant.audience),
        Box::new(grant.issued_at.millis()),
        Box::new(facts.auth_time.millis()),
        Box::new(facts.amr.join(" ")),
        Box::new(facts.roles.join(" ")),
        Box::new(i64::from(grant.epoch.0)),
        Box::new(held),
        Box::new(key),
        Box::new(from),
        Box::new(grant.fence.map(|fence| i64::from(fence.0))),
        Box::new(None::<i64>),
        Box::new(ended_at),
        Box::new(end_reason),
        Box::new(i16::from(grant.key.0)),
        Box::new(i64::from(grant.generation.0)),
        Box::new(grant.newest_used),
        Box::new(grant.rotated_at.millis()),
        Box::new(grant.last_event.millis()),
        Box::new(grant.idle.0.millis()),
        Box::new(grant.absolute.0.millis()),
        Box::new(grant.context.user_agent.as_str()),
        Box::new(grant.context.network.to_bytes().to_vec()),
        Box::new(grant.context.address.0.as_slice()),
        Box::new(grant.context.prefix.to_string()),
        Box::new(grant.networks.to_bytes()),
        Box::new(i16::from(grant.suspicion.points)),
        Box::new(grant.suspicion.worst.map(|worst| worst.as_str())),
        Box::new(grant.pace.rotations.since.millis()),
        Box::new(i64::from(grant.pace.rotations.count)),
        Box::new(grant.pace.replays.since.millis()),
        Box::new(i64::from(grant.pace.replays.count)),
        Box::new(tags(db, grant)),
        Box::new(Vec::<u8>::new()),
    ]
}

/// Writes a new grant.
pub(super) async fn insert(db: &Db, grant: &Grant, facts: &Facts) -> Result<(), Fault> {
    static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| NEW.insert());
    db.run(&SQL, &borrowed(&values(db, grant, facts))).await?;
    Ok(())
}

/// Writes the new state of a grant that is locked.
pub(super) async fn write(db: &Db, grant: &Grant, before: &Before, renewed: Option<&Renewal>) -> Result<(), Fault> {
    let ((held, key, from), (ended_at, end_reason)) = (holding(grant), life(grant));
    let kept = renewed.map(|renewed| renewals::put(&before.renewals, renewed, &before.user_agent, before.prefix));
    let until = deadline(grant);
    if until < before.deadline
        && let (Endpoint::Session, Some(session)) = (grant.endpoint, grant.session)
    {
        // A shorter lifetime acts now: what the session's other grants know of its deadline is too long.
        db.run(
            "UPDATE grants SET session_until = $3 WHERE shard = $1 AND session_id = $2 AND session_until > $3",
            &[&shard(&grant.id), &uuid(session.as_bytes()), &until.millis()],
        )
        .await?;
    }
    db.run(
        "UPDATE grants SET epoch = $3, holding = $4, bound_key = $5, bound_from = $6, fence = $7, session_until = $8, \
         ended_at = $9, end_reason = $10, key_id = $11, generation = $12, newest_used = $13, rotated_at = $14, \
         last_event = $15, idle_deadline = $16, absolute_deadline = $17, user_agent = $18, network = $19, address = $20, \
         prefix = $21, networks = $22, points = $23, worst_replay = $24, rotations_since = $25, rotations = $26, \
         replays_since = $27, replays = $28, tags = $29, renewals = COALESCE($30, renewals) WHERE shard = $1 AND id = $2",
        &[
            &shard(&grant.id),
            &uuid(&grant.id.0),
            &i64::from(grant.epoch.0),
            &held,
            &key,
            &from,
            &grant.fence.map(|fence| i64::from(fence.0)),
            &before.session_until.map(Time::millis),
            &ended_at,
            &end_reason,
            &i16::from(grant.key.0),
            &i64::from(grant.generation.0),
            &grant.newest_used,
            &grant.rotated_at.millis(),
            &grant.last_event.millis(),
            &grant.idle.0.millis(),
            &grant.absolute.0.millis(),
            &grant.context.user_agent.as_str(),
            &grant.context.network.to_bytes().as_slice(),
            &grant.context.address.0.as_slice(),
            &grant.context.prefix.to_string(),
            &grant.networks.to_bytes(),
            &i16::from(grant.suspicion.points),
            &grant.suspicion.worst.map(|worst| worst.as_str()),
            &grant.pace.rotations.since.millis(),
            &i64::from(grant.pace.rotations.count),
            &grant.pace.replays.since.millis(),
            &i64::from(grant.pace.replays.count),
            &tags(db, grant),
            &kept,
        ],
    )
    .await?;
    Ok(())
}

/// The deadline, idle or absolute, that passes first.
pub(super) fn deadline(grant: &Grant) -> Time {
    grant.idle.0.min(grant.absolute.0)
}
