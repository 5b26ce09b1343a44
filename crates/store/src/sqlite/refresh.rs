//! The rotation's transaction: load the one record, ask the judge, carry the verdict out.

use std::sync::Arc;

use regrant_engine::{
    event::Mail,
    id::UserId,
    ports::{Facts, Judge, Loaded, Random, Verdict, Wanted},
    reason::Life,
    refresh::{Grant, Owner, State},
    time::{Seconds, Time},
    token::{Endpoint, GrantId},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    event,
    fault::Fault,
    grants::{Desk, Record},
    session,
};

/// A user is warned at most so often of the same thing.
const SAME_MAIL: Seconds = Seconds::HOUR;

pub(super) fn refresh(
    desk: &Desk,
    random: &dyn Random,
    id: &GrantId,
    wanted: Wanted,
    judge: &Judge,
) -> Result<Verdict, Fault> {
    let loaded = load(desk, id, wanted)?;
    let verdict = judge(loaded.as_ref());
    carry_out(desk, random, &verdict)?;
    Ok(verdict)
}

/// The grant with what it hangs on. All that could end it is written into it when it happens, so nothing else is asked.
pub(super) fn load(desk: &Desk, id: &GrantId, wanted: Wanted) -> Result<Option<Loaded>, Fault> {
    let Some(record) = desk.load(id)? else { return Ok(None) };
    let Record { grant, auth_time, amr, roles, roles_as_of } = record;
    let roles = if roles_as_of == desk.roles_as_of()? { roles } else { roles_of(desk, grant.user)?.into() };
    let (identifier, attributes) = match wanted {
        Wanted::Roles => (None, None),
        Wanted::Person => person(desk, grant.user)?,
    };
    let facts = Facts { auth_time, amr, roles, identifier, attributes };
    let state = State {
        session: grant.session.map(|_| Life::Alive),
        session_until: session_until(desk, &grant)?,
        user: Owner::Active(grant.epoch),
        // Clients and consents come with the OAuth endpoints; the session API's client is Regrant itself.
        client_exists: true,
        consent_stands: true,
        grant,
    };
    Ok(Some(Loaded { state, facts }))
}

/// The deadline of the session that an online grant belongs to; its own grant has its own.
fn session_until(desk: &Desk, grant: &Grant) -> Result<Option<Time>, Fault> {
    match (grant.endpoint, grant.session) {
        (Endpoint::OAuth, Some(session)) => {
            let own = session::own_grant(desk, session)?;
            Ok(Some(session::deadline(&desk.read_known(&own)?.grant)))
        }
        (Endpoint::OAuth, None) | (Endpoint::Session, _) => Ok(None),
    }
}

pub(super) fn roles_of(db: &Connection, user: UserId) -> Result<Vec<String>, Fault> {
    let mut statement = db.prepare_cached("SELECT role FROM user_roles WHERE user_id = ? ORDER BY role")?;
    let roles = statement.query_map(params![user.as_bytes()], |row| row.get(0))?;
    Ok(roles.collect::<Result<_, _>>()?)
}

fn person(db: &Connection, user: UserId) -> Result<(Option<String>, Option<Arc<str>>), Fault> {
    let mut statement = db.prepare_cached(&format!("SELECT {IDENTIFIER}, {ATTRIBUTES} FROM users u WHERE u.id = ?"))?;
    Ok(statement.query_row(params![user.as_bytes()], |row| row.try_into()).optional()?.unwrap_or_default())
}

/// The roles of `u`, with a space between: role names have none. [`roles`] sorts them, which costs less than a temporary table
/// for each refresh.
pub(super) const ROLES: &str = "(SELECT group_concat(role, ' ') FROM user_roles WHERE user_id = u.id)";
/// The first identifier of `u`.
pub(super) const IDENTIFIER: &str = "(SELECT shown FROM identifiers WHERE user_id = u.id ORDER BY position LIMIT 1)";

/// The claims of `u`, NULL where there are none: then nothing is copied.
pub(super) const ATTRIBUTES: &str = "nullif(u.claims, '{}')";

/// What [`ROLES`] gave, sorted.
pub(super) fn roles(text: Option<String>) -> Vec<String> {
    let mut roles = words(text);
    roles.sort_unstable();
    roles
}

/// A list that was written with a space between.
pub(super) fn words(text: Option<String>) -> Vec<String> {
    text.map(|text| text.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

/// Writes what a verdict says.
pub(super) fn carry_out(desk: &Desk, random: &dyn Random, verdict: &Verdict) -> Result<(), Fault> {
    let Some(loaded) = &verdict.loaded else { return Ok(()) };
    let grant = &loaded.state.grant;
    if verdict.write {
        desk.write(&record(desk, grant, &loaded.facts)?, verdict.renewed.as_ref())?;
    }
    if let Some(renewed) = &verdict.renewed {
        event::tell(|| renewed.told(grant));
    }
    for told in &verdict.events {
        event::insert(desk, told)?;
    }
    if let (Some(end), Some(session), Endpoint::Session) = (verdict.ends, grant.session, grant.endpoint) {
        session::end_rows(desk, random, session, grant.user, end)?;
    }
    match &verdict.mail {
        Some(mail) => queue(desk, mail),
        None => Ok(()),
    }
}

/// What is kept of a grant whose user's roles were just read.
pub(super) fn record<'g>(desk: &Desk, grant: &'g Grant, facts: &Facts) -> Result<Record<&'g Grant>, Fault> {
    Ok(Record {
        grant,
        auth_time: facts.auth_time,
        amr: facts.amr.clone(),
        roles: facts.roles.clone(),
        roles_as_of: desk.roles_as_of()?,
    })
}

fn queue(db: &Connection, mail: &Mail) -> Result<(), Fault> {
    // A mail from the future, written by a clock that was wrong, silences nobody.
    let (before, after) = (mail.at.minus(SAME_MAIL).millis(), mail.at.plus(SAME_MAIL).millis());
    let sent_lately = db
        .prepare_cached("SELECT 1 FROM outbox WHERE user_id = ? AND kind = ? AND at > ? AND at < ? LIMIT 1")?
        .exists(params![mail.user.as_bytes(), mail.kind.as_str(), before, after])?;
    if !sent_lately {
        db.prepare_cached(
            "INSERT INTO outbox (user_id, shard, kind, at, data) SELECT id, shard, ?2, ?3, ?4 FROM users WHERE id = ?1",
        )?
        .execute(params![
            mail.user.as_bytes(),
            mail.kind.as_str(),
            mail.at.millis(),
            serde_json::to_string(&mail.data)?
        ])?;
    }
    Ok(())
}
