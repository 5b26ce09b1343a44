//! Authorization codes, the grants that they become, and the proof that those come from.

use std::sync::LazyLock;

use regrant_engine::{
    code::{Code, LoadedCode},
    event::Event,
    id::{ClientId, Epoch, GrantRef, SessionId, UserId},
    ports::{CodeJudge, Facts, Loaded, Redemption, Wanted},
    refresh::{Authentication, KeyThumbprint},
    time::Time,
    token::GrantId,
};

use super::{
    client, event,
    fault::Fault,
    grant::{self, COLUMNS, SESSION_UNTIL},
    pool::Db,
    refresh,
    row::{Columns, shard, uuid},
    session, single_sign_on,
    user::{self, ROLES},
};

pub(super) async fn add(db: &Db, code: &Code) -> Result<(), Fault> {
    db.run(
        "INSERT INTO codes (hash, client_id, user_id, session_id, epoch, redirect_uri, scope, audience, nonce, challenge, \
         auth_time, amr, created_at, expires_at, bound_key) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        &[
            &code.hash.as_slice(),
            &&*code.client.0,
            &uuid(code.user.as_bytes()),
            &uuid(code.session.as_bytes()),
            &i64::from(code.epoch.0),
            &code.redirect_uri,
            &code.scope,
            &code.audience,
            &code.nonce.as_ref().map(|nonce| nonce.as_bytes()),
            &code.challenge,
            &code.authentication.auth_time.millis(),
            &code.authentication.amr.join(" "),
            &code.created_at.millis(),
            &code.expires_at.millis(),
            &code.key.as_ref().map(|key| key.0.as_slice()),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn redeem(db: &Db, hash: &[u8; 32], judge: &CodeJudge) -> Result<Redemption, Fault> {
    // The user first, as everybody locks them.
    let owner = db.row("SELECT user_id FROM codes WHERE hash = $1", &[&hash.as_slice()]).await?;
    let owner = owner.map(|row| Columns::new(&row).id().map(UserId::from_bytes)).transpose()?;
    if let Some(owner) = owner {
        session::lock_known_user(db, owner).await?;
    }
    let loaded = load(db, hash).await?;
    let redemption = judge(loaded.as_ref());
    match &redemption {
        Redemption::Refused => {}
        Redemption::Reused { ends: (grant, ending), event } => {
            event::insert(db, shard(grant), event).await?;
            refresh::refresh_of_locked(db, grant, Wanted::Roles, ending).await?;
        }
        Redemption::Granted { loaded, authentication, event, .. } => {
            issue(db, loaded, authentication, event).await?;
            let sql = "UPDATE codes SET grant_id = $2 WHERE hash = $1";
            db.run(sql, &[&hash.as_slice(), &uuid(&loaded.state.grant.id.0)]).await?;
        }
    }
    Ok(redemption)
}

/// Writes the grant that a code became.
pub(super) async fn issue(db: &Db, loaded: &Loaded, proof: &Authentication, told: &Event) -> Result<(), Fault> {
    let grant = &loaded.state.grant;
    // The proof that it comes from, and not a later one, is kept with it.
    let Authentication { auth_time, amr } = proof.clone();
    grant::insert(db, grant, &Facts { auth_time, amr: amr.into(), ..loaded.facts.clone() }).await?;
    event::insert(db, shard(&grant.id), told).await
}

async fn load(db: &Db, hash: &[u8; 32]) -> Result<Option<LoadedCode>, Fault> {
    let sql = "SELECT client_id, user_id, session_id, epoch, redirect_uri, scope, audience, nonce, challenge, auth_time, amr, \
         created_at, expires_at, bound_key, grant_id FROM codes WHERE hash = $1 FOR UPDATE";
    let Some(row) = db.row(sql, &[&hash.as_slice()]).await? else { return Ok(None) };
    let mut columns = Columns::new(&row);
    let code = Code {
        hash: *hash,
        client: ClientId(columns.shared()?),
        user: UserId::from_bytes(columns.id()?),
        session: SessionId::from_bytes(columns.id()?),
        epoch: Epoch(columns.number()?),
        redirect_uri: columns.take()?,
        scope: columns.take()?,
        audience: columns.take()?,
        nonce: columns.take::<Option<&[u8]>>()?.map(|nonce| String::from_utf8_lossy(nonce).into_owned()),
        challenge: columns.take()?,
        authentication: Authentication { auth_time: columns.time()?, amr: columns.words()? },
        created_at: columns.time()?,
        expires_at: columns.time()?,
        key: columns.bytes_or_none()?.map(KeyThumbprint),
    };
    let redeemed = columns.id_or_none()?.map(GrantId);
    hangs_on(db, code, redeemed).await.map(Some)
}

/// A code with what its redemption depends on.
pub(super) async fn hangs_on(db: &Db, code: Code, redeemed: Option<GrantId>) -> Result<LoadedCode, Fault> {
    Ok(LoadedCode {
        redeemed,
        session: session::by_user(db, code.user, code.session).await?,
        user: single_sign_on::owner(db, code.user).await?,
        facts: facts(db, &code).await?,
        client_exists: client::holds(db, &code.client).await?,
        code,
    })
}

/// What tokens tell of the user; nothing of one who is gone.
async fn facts(db: &Db, code: &Code) -> Result<Facts, Fault> {
    static SQL: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {ROLES}, shown, claims FROM users u WHERE u.shard = $1 AND u.id = $2"));
    let Authentication { auth_time, amr } = code.authentication.clone();
    let row = match user::shard(db, code.user).await? {
        Some(shard) => db.row(&SQL, &[&shard, &uuid(code.user.as_bytes())]).await?,
        None => None,
    };
    let Some(row) = row else {
        return Ok(Facts { auth_time, amr: amr.into(), roles: [].into(), identifier: None, attributes: None });
    };
    let mut columns = Columns::new(&row);
    Ok(Facts {
        auth_time,
        amr: amr.into(),
        roles: session::sorted(columns.words()?).into(),
        identifier: columns.take()?,
        attributes: refresh::attributes(columns.take()?),
    })
}

pub(super) async fn authentication(db: &Db, grant: &GrantId) -> Result<Option<Authentication>, Fault> {
    let sql = "SELECT auth_time, amr FROM grants WHERE shard = $1 AND id = $2 AND endpoint = 'oauth'";
    let Some(row) = db.row(sql, &[&shard(grant), &uuid(&grant.0)]).await? else { return Ok(None) };
    let mut columns = Columns::new(&row);
    Ok(Some(Authentication { auth_time: columns.time()?, amr: columns.words()? }))
}

pub(super) async fn grant(db: &Db, of: GrantRef) -> Result<Option<Loaded>, Fault> {
    let row = db.row("SELECT shard FROM grants WHERE public_id = $1", &[&uuid(of.as_bytes())]).await?;
    match row.map(|row| Columns::new(&row).take()).transpose()? {
        Some(shard) => grant_of_shard(db, shard, of).await,
        None => Ok(None),
    }
}

/// The same of a grant that is this user's, if it is one.
pub(super) async fn grant_of_user(db: &Db, user: UserId, of: GrantRef) -> Result<Option<Loaded>, Fault> {
    match user::shard(db, user).await? {
        Some(shard) => grant_of_shard(db, shard, of).await,
        None => Ok(None),
    }
}

async fn grant_of_shard(db: &Db, place: i32, of: GrantRef) -> Result<Option<Loaded>, Fault> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {COLUMNS}, {SESSION_UNTIL} FROM grants g WHERE g.shard = $1 AND g.public_id = $2")
    });
    let Some(row) = db.row(&SQL, &[&place, &uuid(of.as_bytes())]).await? else { return Ok(None) };
    let mut columns = Columns::new(&row);
    let mut record = grant::read(&mut columns)?;
    record.session_until = columns.take::<Option<i64>>()?.map(Time::from_millis);
    let (identifier, attributes) = refresh::person(db, shard(&record.grant.id), record.grant.user).await?;
    Ok(Some(record.loaded(identifier, attributes)))
}

/// Whether this is the first use of something that may be used once.
pub(super) async fn use_once(db: &Db, hash: &[u8; 32], until: Time) -> Result<bool, Fault> {
    let sql = "INSERT INTO used_once (hash, until) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    Ok(db.run(sql, &[&hash.as_slice(), &until.millis()]).await? == 1)
}
