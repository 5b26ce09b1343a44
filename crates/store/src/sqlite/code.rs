//! Authorization codes, the grants that they become, and the proof that those come from.

use regrant_engine::{
    code::{Code, LoadedCode},
    event::Event,
    id::{ClientId, Epoch, GrantRef, SessionId, UserId},
    ports::{CodeJudge, Facts, Loaded, Random, Redemption, Retention, Wanted},
    refresh::{Authentication, KeyThumbprint},
    time::{Seconds, Time},
    token::GrantId,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    client, event,
    fault::Fault,
    grants::Desk,
    refresh::{self, ATTRIBUTES, IDENTIFIER, ROLES, words},
    row::Columns,
    session, single_sign_on,
};

/// How long a code is remembered after its end: a second redemption is recognised for so long.
const REMEMBERED: Seconds = Seconds::DAY;
/// So many batches of what was used once go at a time: they are small, and come as fast as proofs do.
const USED_AT_ONCE: u32 = 20;
/// How long what was used once is remembered when it is good no more.
const AFTERWARDS: Seconds = Seconds::HOUR;

pub(super) fn add(db: &Connection, code: &Code) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO codes (hash, client_id, user_id, session_id, epoch, redirect_uri, scope, audience, nonce, challenge, \
         auth_time, amr, created_at, expires_at, bound_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        code.hash,
        &*code.client.0,
        code.user.as_bytes(),
        code.session.as_bytes(),
        code.epoch.0,
        code.redirect_uri,
        code.scope,
        code.audience,
        code.nonce,
        code.challenge,
        code.authentication.auth_time.millis(),
        code.authentication.amr.join(" "),
        code.created_at.millis(),
        code.expires_at.millis(),
        code.key.map(|key| key.0),
    ])?;
    Ok(())
}

pub(super) fn redeem(db: &Desk, random: &dyn Random, hash: &[u8; 32], judge: &CodeJudge) -> Result<Redemption, Fault> {
    let loaded = load(db, hash)?;
    let redemption = judge(loaded.as_ref());
    match &redemption {
        Redemption::Refused => {}
        Redemption::Reused { ends: (grant, ending), event } => {
            event::insert(db, event)?;
            refresh::refresh(db, random, grant, Wanted::Roles, ending)?;
        }
        Redemption::Granted { loaded, authentication, event, .. } => {
            issue(db, loaded, authentication, event)?;
            db.prepare_cached("UPDATE codes SET grant_id = ?2 WHERE hash = ?1")?
                .execute(params![hash, loaded.state.grant.id.0])?;
        }
    }
    Ok(redemption)
}

/// Writes the grant that a code became.
pub(super) fn issue(db: &Desk, loaded: &Loaded, proof: &Authentication, told: &Event) -> Result<(), Fault> {
    let grant = &loaded.state.grant;
    db.insert(&refresh::record(db, grant, &loaded.facts)?)?;
    db.prepare_cached("INSERT INTO authentications (grant_id, auth_time, amr) VALUES (?, ?, ?)")?.execute(params![
        grant.id.0,
        proof.auth_time.millis(),
        proof.amr.join(" ")
    ])?;
    event::insert(db, told)
}

fn load(db: &Desk, hash: &[u8; 32]) -> Result<Option<LoadedCode>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT client_id, user_id, session_id, epoch, redirect_uri, scope, audience, nonce, challenge, auth_time, amr, \
         created_at, expires_at, bound_key, grant_id FROM codes WHERE hash = ?",
    )?;
    let mut rows = statement.query(params![hash])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    let code = Code {
        hash: *hash,
        client: ClientId::from(columns.take::<String>()?),
        user: UserId::from_bytes(columns.take()?),
        session: SessionId::from_bytes(columns.take()?),
        epoch: Epoch(columns.take()?),
        redirect_uri: columns.take()?,
        scope: columns.take()?,
        audience: columns.take()?,
        nonce: columns.take()?,
        challenge: columns.take()?,
        authentication: Authentication { auth_time: columns.time()?, amr: words(columns.take()?) },
        created_at: columns.time()?,
        expires_at: columns.time()?,
        key: columns.take::<Option<[u8; 32]>>()?.map(KeyThumbprint),
    };
    let redeemed = columns.take::<Option<[u8; 16]>>()?.map(GrantId);
    hangs_on(db, code, redeemed).map(Some)
}

/// A code with what its redemption depends on.
pub(super) fn hangs_on(db: &Desk, code: Code, redeemed: Option<GrantId>) -> Result<LoadedCode, Fault> {
    Ok(LoadedCode {
        redeemed,
        session: session::by_id(db, code.session)?,
        user: single_sign_on::owner(db, code.user)?,
        facts: facts(db, &code)?,
        client_exists: client::find(db, &code.client)?.is_some(),
        code,
    })
}

/// What tokens tell of the user; nothing of one who is gone.
fn facts(db: &Connection, code: &Code) -> Result<Facts, Fault> {
    let mut statement =
        db.prepare_cached(&format!("SELECT {ROLES}, {IDENTIFIER}, {ATTRIBUTES} FROM users u WHERE id = ?"))?;
    let mut rows = statement.query(params![code.user.as_bytes()])?;
    let Authentication { auth_time, amr } = code.authentication.clone();
    let Some(row) = rows.next()? else {
        return Ok(Facts { auth_time, amr: amr.into(), roles: [].into(), identifier: None, attributes: None });
    };
    let mut columns = Columns::new(row);
    Ok(Facts {
        auth_time,
        amr: amr.into(),
        roles: refresh::roles(columns.take()?).into(),
        identifier: columns.take()?,
        attributes: columns.take()?,
    })
}

pub(super) fn authentication(db: &Connection, grant: &GrantId) -> Result<Option<Authentication>, Fault> {
    let found: Option<(i64, Option<String>)> = db
        .prepare_cached("SELECT auth_time, amr FROM authentications WHERE grant_id = ?")?
        .query_row(params![grant.0], |row| row.try_into())
        .optional()?;
    Ok(found.map(|(auth_time, amr)| Authentication { auth_time: Time::from_millis(auth_time), amr: words(amr) }))
}

pub(super) fn grant(db: &Desk, of: GrantRef) -> Result<Option<Loaded>, Fault> {
    // A session's own grant has the id of its session.
    let own = session::by_id(db, SessionId::from_bytes(*of.as_bytes()))?.map(|record| record.grant.id);
    let id = own.map_or_else(|| db.by_public_id(of), |id| Ok(Some(id)))?;
    id.map_or(Ok(None), |id| refresh::load(db, &id, Wanted::Person))
}

/// Whether this is the first use of something that may be used once.
pub(super) fn use_once(db: &Connection, hash: &[u8; 32], until: Time) -> Result<bool, Fault> {
    let noted = db
        .prepare_cached("INSERT INTO used_once (hash, until) VALUES (?, ?) ON CONFLICT DO NOTHING")?
        .execute(params![hash, until.millis()])?;
    Ok(noted == 1)
}

/// Forgets codes, and what was used once, that nobody can mean any more. Whether a batch was full: there may be more.
pub(super) fn sweep(db: &Connection, now: Time, keep: Retention) -> Result<bool, Fault> {
    let codes = db
        .prepare_cached(
        "DELETE FROM codes WHERE hash IN (SELECT hash FROM codes WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    )?
    .execute(params![now.minus(REMEMBERED).millis(), keep.batch])?;
    // A while longer than it is good: a clock that is put right must not make it good again. No longer than that: each proof of
    // possession is a row.
    let many = keep.batch.saturating_mul(USED_AT_ONCE);
    let used = db
        .prepare_cached(
            "DELETE FROM used_once WHERE hash IN (SELECT hash FROM used_once WHERE until < ?1 ORDER BY until LIMIT ?2)",
        )?
        .execute(params![now.minus(AFTERWARDS).millis(), many])?;
    let is_full = |removed: usize, batch| u32::try_from(removed).is_ok_and(|removed| removed >= batch);
    Ok(is_full(codes, keep.batch) || is_full(used, many))
}
