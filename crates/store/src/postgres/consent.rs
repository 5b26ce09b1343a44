//! What users allowed applications.

use std::sync::LazyLock;

use regrant_engine::{
    consent::Consent,
    event::Event,
    id::{ClientId, UserId},
    ports::{Access, End},
};

use super::{
    event,
    fault::Fault,
    grant::{self, COLUMNS, SESSION_UNTIL},
    pool::Db,
    row::{Columns, count, uuid},
    session, user,
};

pub(super) async fn find(db: &Db, user: UserId, client: &ClientId) -> Result<Option<Consent>, Fault> {
    let Some(shard) = user::shard(db, user).await? else { return Ok(None) };
    let sql = "SELECT scope, given_at FROM consents WHERE shard = $1 AND user_id = $2 AND client_id = $3";
    let Some(row) = db.row(sql, &[&shard, &uuid(user.as_bytes()), &&*client.0]).await? else { return Ok(None) };
    let mut columns = Columns::new(&row);
    Ok(Some(Consent { user, client: client.clone(), scope: columns.take()?, given_at: columns.time()? }))
}

pub(super) async fn give(db: &Db, consent: &Consent, told: &Event) -> Result<(), Fault> {
    // A user who was deleted meanwhile leaves nothing behind.
    if let Some(shard) = session::lock_known_user(db, consent.user).await? {
        let before = find(db, consent.user, &consent.client).await?.map(|before| before.scope).unwrap_or_default();
        let mut scope: Vec<&str> = before.split(' ').filter(|part| !part.is_empty()).collect();
        for part in consent.scope.split(' ').filter(|part| !part.is_empty()) {
            if !scope.contains(&part) {
                scope.push(part);
            }
        }
        db.run(
            "INSERT INTO consents (shard, user_id, client_id, scope, given_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (user_id, client_id, shard) DO UPDATE SET scope = excluded.scope, given_at = excluded.given_at",
            &[
                &shard,
                &uuid(consent.user.as_bytes()),
                &&*consent.client.0,
                &scope.join(" "),
                &consent.given_at.millis(),
            ],
        )
        .await?;
    }
    event::insert_somewhere(db, told).await
}

pub(super) async fn withdraw(db: &Db, user: UserId, client: &ClientId, end: End, told: &Event) -> Result<bool, Fault> {
    let Some(shard) = session::lock_known_user(db, user).await? else { return Ok(false) };
    db.strongly().await?;
    let id = uuid(user.as_bytes());
    let sql = "DELETE FROM consents WHERE shard = $1 AND user_id = $2 AND client_id = $3";
    let removed = db.run(sql, &[&shard, &id, &&*client.0]).await?;
    // What was allowed and not yet fetched is not allowed any more. Codes that were redeemed stay, to be recognised.
    let sql = "DELETE FROM codes WHERE user_id = $1 AND client_id = $2 AND grant_id IS NULL";
    let unredeemed = db.run(sql, &[&id, &&*client.0]).await?;
    let sql = "DELETE FROM device_codes WHERE user_id = $1 AND client_id = $2 AND grant_id IS NULL";
    let unredeemed = unredeemed + db.run(sql, &[&id, &&*client.0]).await?;
    let ended = db
        .run(
            "UPDATE grants SET ended_at = $4, end_reason = $5 WHERE shard = $1 AND user_id = $2 AND client_id = $3 \
             AND endpoint = 'oauth' AND ended_at IS NULL",
            &[&shard, &id, &&*client.0, &end.at.millis(), &end.reason.as_str()],
        )
        .await?;
    if removed + unredeemed + ended > 0 {
        event::insert(db, shard, told).await?;
    }
    Ok(removed + unredeemed + ended > 0)
}

pub(super) async fn access(db: &Db, user: UserId, limit: u32) -> Result<Access, Fault> {
    // The newest first: ids sort by time.
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {COLUMNS}, {SESSION_UNTIL} FROM grants g WHERE g.shard = $1 AND g.user_id = $2 \
             AND g.endpoint = 'oauth' ORDER BY g.public_id DESC LIMIT $3"
        )
    });
    let Some(shard) = user::shard(db, user).await? else { return Ok(Access { consents: vec![], grants: vec![] }) };
    let id = uuid(user.as_bytes());
    let mut consents = Vec::new();
    let sql = "SELECT client_id, scope, given_at FROM consents WHERE shard = $1 AND user_id = $2";
    for row in db.rows(sql, &[&shard, &id]).await? {
        let mut columns = Columns::new(&row);
        let client = ClientId(columns.shared()?);
        consents.push(Consent { user, client, scope: columns.take()?, given_at: columns.time()? });
    }
    // By their bytes, and not as the database's language has it.
    consents.sort_unstable_by(|a, b| a.client.cmp(&b.client));
    let mut grants = Vec::new();
    for row in db.rows(&SQL, &[&shard, &id, &count(limit)]).await? {
        let mut columns = Columns::new(&row);
        let mut record = match grant::read(&mut columns) {
            Ok(record) if record.grant.life.is_alive() => record,
            // It cannot be used, and must not hide the others.
            Ok(_) | Err(Fault::Damaged(_)) => continue,
            Err(fault) => return Err(fault),
        };
        record.session_until = columns.time_or_none()?;
        grants.push(record.loaded(None, None));
    }
    Ok(Access { consents, grants })
}
