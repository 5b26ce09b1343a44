//! The rotation's transaction: load the one row with what it hangs on, ask the judge, carry the verdict out.

use std::sync::LazyLock;

use regrant_engine::{
    event::Mail,
    id::Epoch,
    ports::{Facts, Judge, Loaded, Random, Verdict},
    refresh::{Owner, State},
    time::{Seconds, Time},
    token::{Endpoint, GrantId},
};
use rusqlite::{Connection, params};

use super::{
    event,
    fault::Fault,
    row::{self, Columns},
    session,
};

/// A user is warned at most so often of the same thing.
const SAME_MAIL: Seconds = Seconds::HOUR;

pub(super) fn refresh(db: &Connection, random: &dyn Random, id: &GrantId, judge: &Judge) -> Result<Verdict, Fault> {
    let loaded = load(db, id)?;
    let verdict = judge(loaded.as_ref());
    carry_out(db, random, &verdict)?;
    Ok(verdict)
}

/// The grant, its session and its user in one statement.
pub(super) fn load(db: &Connection, id: &GrantId) -> Result<Option<Loaded>, Fault> {
    let mut statement = db.prepare_cached(&LOAD)?;
    let mut rows = statement.query(params![id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    let grant = row::grant(&mut columns)?;
    let session_exists: bool = columns.take()?;
    let session_life = columns.life()?;
    let auth_time = columns.take::<Option<i64>>()?.map_or(grant.issued_at, Time::from_millis);
    let amr: Option<String> = columns.take()?;
    let (epoch, disabled_at): (Option<u32>, Option<i64>) = (columns.take()?, columns.take()?);
    let roles = roles(columns.take()?);
    let (identifier, attributes) = (columns.take()?, columns.take()?);
    let session = match (grant.session, session_exists) {
        (None, _) => None,
        (Some(_), true) => Some(session_life),
        (Some(_), false) => return Err(Fault::damaged("a grant without its session")),
    };
    let user = match (epoch, disabled_at) {
        (None, _) => Owner::Gone,
        (Some(_), Some(_)) => Owner::Disabled,
        (Some(epoch), None) => Owner::Active(Epoch(epoch)),
    };
    let facts = Facts { auth_time, amr: words(amr), roles, identifier, attributes };
    // Clients and consents come with the OAuth endpoints; the session API's client is Regrant itself.
    let state = State { grant, session, user, client_exists: true, consent_stands: true };
    Ok(Some(Loaded { state, facts }))
}

static LOAD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, s.id IS NOT NULL, s.ended_at, s.end_reason, s.auth_time, s.amr, u.epoch, u.disabled_at, {ROLES}, \
         {IDENTIFIER}, {ATTRIBUTES} FROM grants g LEFT JOIN sessions s ON s.id = g.session_id LEFT JOIN users u ON u.id = g.user_id \
         WHERE g.id = ?",
        row::GRANT
    )
});

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
pub(super) fn carry_out(db: &Connection, random: &dyn Random, verdict: &Verdict) -> Result<(), Fault> {
    let Some(loaded) = &verdict.loaded else { return Ok(()) };
    let grant = &loaded.state.grant;
    if verdict.write {
        row::update_grant(db, grant)?;
    }
    for told in &verdict.events {
        event::insert(db, told)?;
    }
    if let (Some(end), Some(session), Endpoint::Session) = (verdict.ends, grant.session, grant.endpoint) {
        session::end_rows(db, random, session, grant.user, end)?;
    }
    match &verdict.mail {
        Some(mail) => queue(db, mail),
        None => Ok(()),
    }
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
