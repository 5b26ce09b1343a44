//! What a sign-in reads and counts, and a change of password by its owner.

use std::sync::LazyLock;

use regrant_engine::{
    event::{Actor, Event},
    id::{Epoch, UserId},
    login::{Account, FailureCount, FailureKey},
    ports::{End, Judge, PasswordChange, PasswordChanged, Wanted},
    reason::Reason,
    refresh::Decision,
    time::{Seconds, Time},
    token::{GrantId, Shard},
    user::Identifier,
};

use super::{
    event,
    fault::Fault,
    grant,
    pool::Db,
    refresh,
    row::{Columns, shard, uuid},
    session,
    user::{self, ROLES},
};

pub(super) async fn account(db: &Db, identifier: &Identifier) -> Result<Option<Account>, Fault> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT u.disabled_at IS NULL, u.epoch, p.hash, {ROLES} FROM users u \
             LEFT JOIN passwords p ON p.shard = u.shard AND p.user_id = u.id WHERE u.shard = $1 AND u.id = $2"
        )
    });
    let Some((shard, user)) = user::owner(db, identifier).await? else { return Ok(None) };
    let Some(row) = db.row(&SQL, &[&shard, &uuid(user.as_bytes())]).await? else { return Ok(None) };
    let mut columns = Columns::new(&row);
    Ok(Some(Account {
        user,
        shard: Shard(shard.to_be_bytes()),
        active: columns.take()?,
        epoch: Epoch(columns.number()?),
        password: columns.take()?,
        roles: session::sorted(columns.words()?),
    }))
}

pub(super) async fn failures(db: &Db, keys: &[FailureKey]) -> Result<Vec<FailureCount>, Fault> {
    let mut counts = Vec::with_capacity(keys.len());
    for FailureKey(key) in keys {
        let found = db.row("SELECT since, count FROM failures WHERE key = $1", &[&key.as_slice()]).await?;
        counts.push(match found {
            None => FailureCount::default(),
            Some(row) => {
                let mut columns = Columns::new(&row);
                FailureCount { since: columns.time()?, count: columns.number()? }
            }
        });
    }
    Ok(counts)
}

pub(super) async fn note_failure(
    db: &Db,
    keys: &[FailureKey],
    at: Time,
    window: Seconds,
    told: &Event,
) -> Result<(), Fault> {
    count(db, keys, at, window).await?;
    event::insert_somewhere(db, told).await
}

/// Counts one under each of `keys`; counts older than `window` begin anew.
pub(super) async fn count(db: &Db, keys: &[FailureKey], at: Time, window: Seconds) -> Result<(), Fault> {
    let mut keys: Vec<&[u8]> = keys.iter().map(|FailureKey(key)| key.as_slice()).collect();
    // In one order, so that two failures never wait for each other.
    keys.sort_unstable();
    for key in keys {
        // A window that begins in the future was begun by a clock that was wrong: it begins anew. So does one that has counted
        // nothing yet (`device.rs`).
        db.run(
            "INSERT INTO failures (key, since, count) VALUES ($1, $2, 1) ON CONFLICT (key) DO UPDATE SET \
             since = CASE WHEN failures.since > $3 AND failures.since < $4 AND failures.count > 0 THEN failures.since ELSE excluded.since END, \
             count = CASE WHEN failures.since > $3 AND failures.since < $4 THEN LEAST(failures.count + 1, 1000000) ELSE 1 END",
            &[&key, &at.millis(), &at.minus(window).millis(), &at.plus(window).millis()],
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn password_hash(db: &Db, user: UserId) -> Result<Option<String>, Fault> {
    let Some(shard) = user::shard(db, user).await? else { return Ok(None) };
    let sql = "SELECT hash FROM passwords WHERE shard = $1 AND user_id = $2";
    let row = db.row(sql, &[&shard, &uuid(user.as_bytes())]).await?;
    row.map(|row| Columns::new(&row).take()).transpose()
}

pub(super) async fn upgrade_password(db: &Db, user: UserId, expected: &str, hash: &str) -> Result<(), Fault> {
    if let Some(shard) = user::shard(db, user).await? {
        let sql = "UPDATE passwords SET hash = $4 WHERE shard = $1 AND user_id = $2 AND hash = $3";
        db.run(sql, &[&shard, &uuid(user.as_bytes()), &expected, &hash]).await?;
    }
    Ok(())
}

pub(super) async fn change_password(
    db: &Db,
    id: &GrantId,
    judge: &Judge,
    change: &PasswordChange,
) -> Result<PasswordChanged, Fault> {
    let shard = shard(id);
    if let Some(owner) = grant::owner(db, id).await? {
        session::lock_user(db, shard, owner).await?;
    }
    let (loaded, before) = refresh::load(db, id, Wanted::Person).await?;
    let verdict = judge(loaded.as_ref());
    let Some(grant) = verdict.loaded.as_ref().map(|loaded| &loaded.state.grant) else {
        return Ok(PasswordChanged::NotAllowed(verdict));
    };
    if !matches!(verdict.decision, Decision::Rotated { .. }) {
        refresh::carry_out(db, &verdict, before.as_ref()).await?;
        return Ok(PasswordChanged::NotAllowed(verdict));
    }
    // The password before ends, also where no session does.
    db.strongly().await?;
    let user = uuid(grant.user.as_bytes());
    let replaced = db
        .run(
            "UPDATE passwords SET hash = $4, changed_at = $5 WHERE shard = $1 AND user_id = $2 AND hash = $3",
            &[&shard, &user, &change.expected, &change.hash, &change.event.at.millis()],
        )
        .await?;
    if replaced == 0 {
        return Ok(PasswordChanged::Conflict);
    }
    let end = End { at: change.event.at, reason: Reason::PasswordChanged, actor: Actor::User };
    session::end_of_user(db, shard, grant.user, grant.session, end).await?;
    // The session's other grants and those without a session were issued before; the acting one is stamped anew.
    db.run(
        "UPDATE grants SET ended_at = $3, end_reason = $4 WHERE shard = $1 AND user_id = $2 AND ended_at IS NULL \
         AND id <> $5 AND (session_id IS NULL OR session_id = $6)",
        &[
            &shard,
            &user,
            &end.at.millis(),
            &end.reason.as_str(),
            &uuid(&id.0),
            &grant.session.map(|session| uuid(session.as_bytes())),
        ],
    )
    .await?;
    let sql = "UPDATE users SET epoch = $3 WHERE shard = $1 AND id = $2";
    db.run(sql, &[&shard, &user, &i64::from(grant.epoch.0)]).await?;
    event::insert(db, shard, &change.event).await?;
    refresh::carry_out(db, &verdict, before.as_ref()).await?;
    Ok(PasswordChanged::Changed(verdict))
}
