//! Devices without a keyboard: their codes, what people said, and the grants that come of it.
//!
//! Locks are taken in the store's order: the user, then the codes. Nobody is the owner of codes before they are answered; so who
//! answers is locked before they are looked at for good, and who asks begins again where an answer came in between.

use std::sync::LazyLock;

use regrant_engine::{
    device::{Allowed, Answer, DeviceCode, LoadedDeviceCode},
    id::{ClientId, Epoch, SessionId, UserId},
    login::{FailureCount, FailureKey},
    ports::{
        AnswerJudge, Answered, Answering, DeviceCodeAdded, Guess, Guessed, NewDeviceCode, PollJudge, Polling, Quota,
        Wanted,
    },
    refresh::Authentication,
    time::Seconds,
    token::GrantId,
};
use tokio_postgres::Row;

use super::{
    code, consent, event,
    fault::Fault,
    login,
    pool::Db,
    refresh,
    row::{Columns, shard, uuid},
    session,
};

pub(super) async fn add(db: &Db, new: &NewDeviceCode) -> Result<DeviceCodeAdded, Fault> {
    let code = &new.code;
    if let Some(quota) = &new.quota {
        if let Some(retry_after) = over(db, quota).await? {
            return Ok(DeviceCodeAdded::Limited(retry_after));
        }
        count(db, quota).await?;
    }
    let added = db
        .run(
            "INSERT INTO device_codes (hash, user_code, client_id, scope, audience, poll_interval, created_at, expires_at, answer) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open') ON CONFLICT (user_code) DO NOTHING",
            &[
                &code.hash.as_slice(),
                &code.user_code.as_slice(),
                &&*code.client.0,
                &code.scope,
                &code.audience,
                &i64::from(code.interval.0),
                &code.created_at.millis(),
                &code.expires_at.millis(),
            ],
        )
        .await?;
    Ok(if added == 1 { DeviceCodeAdded::Added } else { DeviceCodeAdded::Taken })
}

/// The codes that somebody has found before.
pub(super) async fn again(db: &Db, user_code: &[u8; 16]) -> Result<Guessed, Fault> {
    let found = by_user_code(db, user_code, "").await?;
    Ok(found.map_or(Guessed::Wrong, |device| Guessed::Found(Box::new(device))))
}

pub(super) async fn find(db: &Db, user_code: &[u8; 16], guess: &Guess) -> Result<Guessed, Fault> {
    // Asked before anything is looked up: past the limit a right one is as good as a wrong one. Those who guess at the same time
    // wait here for each other, so that none of them looks before the others are counted.
    if let Some(retry_after) = over(db, &guess.quota).await? {
        return Ok(Guessed::Limited(retry_after));
    }
    let found = by_user_code(db, user_code, "").await?;
    if let Some(device) = found.filter(|device| device.is_open(guess.quota.at)) {
        return Ok(Guessed::Found(Box::new(device)));
    }
    count(db, &guess.quota).await?;
    event::insert_somewhere(db, &guess.event).await?;
    Ok(Guessed::Wrong)
}

pub(super) async fn answer(db: &Db, user_code: &[u8; 16], judge: &AnswerJudge) -> Result<Answering, Fault> {
    let seen = by_user_code(db, user_code, "").await?;
    // Only to learn who answers.
    let Answering::Answered(answered) = judge(seen.as_ref()) else { return Ok(Answering::Over) };
    if let Some(user) = answered.event.user {
        session::lock_known_user(db, user).await?;
    }
    let found = by_user_code(db, user_code, "FOR UPDATE").await?;
    let answering = judge(found.as_ref());
    if let Answering::Answered(answered) = &answering {
        let Answered { answer, event: told, consent } = &**answered;
        let allowed = match answer {
            Answer::Allowed(allowed) => Some(allowed),
            Answer::Open | Answer::Denied => None,
        };
        db.run(
            "UPDATE device_codes SET answer = $2, answered_at = $3, user_id = $4, session_id = $5, epoch = $6, \
             auth_time = $7, amr = $8 WHERE user_code = $1",
            &[
                &user_code.as_slice(),
                &name(answer),
                &told.at.millis(),
                &allowed.map(|allowed| uuid(allowed.user.as_bytes())),
                &allowed.map(|allowed| uuid(allowed.session.as_bytes())),
                &allowed.map(|allowed| i64::from(allowed.epoch.0)),
                &allowed.map(|allowed| allowed.authentication.auth_time.millis()),
                &allowed.map(|allowed| allowed.authentication.amr.join(" ")),
            ],
        )
        .await?;
        event::insert_somewhere(db, told).await?;
        if let Some((consent, told)) = consent {
            consent::give(db, consent, told).await?;
        }
    }
    Ok(answering)
}

pub(super) async fn poll(db: &Db, hash: &[u8; 32], judge: &PollJudge) -> Result<Polling, Fault> {
    let (device, redeemed) = loop {
        let owner = owner(db, hash).await?;
        if let Some(owner) = owner {
            session::lock_known_user(db, owner).await?;
        }
        let Some((device, redeemed)) = by_hash(db, hash).await? else { return Ok(judge(None)) };
        match &device.answer {
            // It was answered a moment ago. An answer stands, so this happens once.
            Answer::Allowed(allowed) if owner != Some(allowed.user) => db.restart().await?,
            Answer::Open | Answer::Denied | Answer::Allowed(_) => break (device, redeemed),
        }
    };
    let code = match device.as_code() {
        Some(code) => Some(code::hangs_on(db, code, redeemed).await?),
        None => None,
    };
    let polling = judge(Some(&LoadedDeviceCode { device, code }));
    match &polling {
        Polling::Refused | Polling::Expired | Polling::Denied => {}
        Polling::Wait { at, interval, .. } => {
            let sql = "UPDATE device_codes SET polled_at = $2, poll_interval = $3 WHERE hash = $1";
            db.run(sql, &[&hash.as_slice(), &at.millis(), &i64::from(interval.0)]).await?;
        }
        Polling::Reused { ends: (grant, ending), event } => {
            event::insert(db, shard(grant), event).await?;
            refresh::refresh_of_locked(db, grant, Wanted::Roles, ending).await?;
        }
        Polling::Granted { loaded, authentication, event } => {
            code::issue(db, loaded, authentication, event).await?;
            let sql = "UPDATE device_codes SET grant_id = $2 WHERE hash = $1";
            db.run(sql, &[&hash.as_slice(), &uuid(&loaded.state.grant.id.0)]).await?;
        }
    }
    Ok(polling)
}

const SELECT: &str = "SELECT hash, user_code, client_id, scope, audience, poll_interval, polled_at, created_at, expires_at, \
     answer, answered_at, user_id, session_id, epoch, auth_time, amr, grant_id FROM device_codes";

/// The codes by the one that people type; `how` they are locked, if they are.
async fn by_user_code(db: &Db, user_code: &[u8; 16], how: &str) -> Result<Option<DeviceCode>, Fault> {
    let row = db.row(&format!("{SELECT} WHERE user_code = $1 {how}"), &[&user_code.as_slice()]).await?;
    row.map(|row| Ok(read(&row)?.0)).transpose()
}

/// The codes by the device's own, locked, and the grant that they became.
async fn by_hash(db: &Db, hash: &[u8; 32]) -> Result<Option<(DeviceCode, Option<GrantId>)>, Fault> {
    static SQL: LazyLock<String> = LazyLock::new(|| format!("{SELECT} WHERE hash = $1 FOR UPDATE"));
    db.row(&SQL, &[&hash.as_slice()]).await?.map(|row| read(&row)).transpose()
}

/// Who allowed it, if somebody did.
async fn owner(db: &Db, hash: &[u8; 32]) -> Result<Option<UserId>, Fault> {
    let sql = "SELECT user_id FROM device_codes WHERE hash = $1";
    let Some(row) = db.row(sql, &[&hash.as_slice()]).await? else { return Ok(None) };
    Ok(Columns::new(&row).id_or_none()?.map(UserId::from_bytes))
}

/// The codes, and the grant that they became.
fn read(row: &Row) -> Result<(DeviceCode, Option<GrantId>), Fault> {
    let mut columns = Columns::new(row);
    let device = DeviceCode {
        hash: columns.bytes()?,
        user_code: columns.bytes()?,
        client: ClientId(columns.shared()?),
        scope: columns.take()?,
        audience: columns.take()?,
        interval: Seconds(columns.number()?),
        polled_at: columns.time_or_none()?,
        created_at: columns.time()?,
        expires_at: columns.time()?,
        answer: read_answer(&mut columns)?,
    };
    Ok((device, columns.id_or_none()?.map(GrantId)))
}

fn read_answer(columns: &mut Columns<'_>) -> Result<Answer, Fault> {
    let name: &str = columns.take()?;
    let at = columns.time_or_none()?;
    let (user, session) = (columns.id_or_none()?, columns.id_or_none()?);
    let (epoch, auth_time, amr) = (columns.number_or_none()?, columns.time_or_none()?, columns.words()?);
    match (name, at, user, session, epoch, auth_time) {
        ("open", ..) => Ok(Answer::Open),
        ("denied", ..) => Ok(Answer::Denied),
        ("allowed", Some(at), Some(user), Some(session), Some(epoch), Some(auth_time)) => {
            Ok(Answer::Allowed(Allowed {
                at,
                user: UserId::from_bytes(user),
                session: SessionId::from_bytes(session),
                epoch: Epoch(epoch),
                authentication: Authentication { auth_time, amr },
            }))
        }
        _ => Err(Fault::damaged("an answer to a device that cannot be read")),
    }
}

const fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Open => "open",
        Answer::Denied => "denied",
        Answer::Allowed(_) => "allowed",
    }
}

/// How long it is until there may be more, if there are too many. The counts are locked until the transaction is over.
async fn over(db: &Db, quota: &Quota) -> Result<Option<Seconds>, Fault> {
    let mut keys: Vec<&(FailureKey, u32)> = quota.keys.iter().collect();
    // In one order, so that two of them never wait for each other.
    keys.sort_unstable_by_key(|(FailureKey(key), _)| *key);
    let mut longest = None;
    for (FailureKey(key), most) in keys {
        // What is not there cannot be locked: a count of none is put there first.
        let locked = db
            .row(
                "INSERT INTO failures (key, since, count) VALUES ($1, $2, 0) \
                 ON CONFLICT (key) DO UPDATE SET count = failures.count RETURNING since, count",
                &[&key.as_slice(), &quota.at.millis()],
            )
            .await?;
        let Some(row) = locked else { continue };
        let mut columns = Columns::new(&row);
        let counted = FailureCount { since: columns.time()?, count: columns.number()? };
        if counted.count >= *most {
            longest = longest.max(counted.wait(quota.window, quota.at));
        }
    }
    Ok(longest)
}

async fn count(db: &Db, quota: &Quota) -> Result<(), Fault> {
    let keys: Vec<FailureKey> = quota.keys.iter().map(|(key, _)| *key).collect();
    login::count(db, &keys, quota.at, quota.window).await
}
