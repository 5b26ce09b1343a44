//! Devices without a keyboard: their codes, what people said, and the grants that come of it.

use regrant_engine::{
    code::LoadedCode,
    device::{Allowed, Answer, DeviceCode, LoadedDeviceCode},
    id::{ClientId, Epoch, SessionId, UserId},
    login::{FailureCount, FailureKey},
    ports::{
        AnswerJudge, Answered, Answering, DeviceCodeAdded, Guess, Guessed, NewDeviceCode, PollJudge, Polling, Quota,
        Random, Retention, Wanted,
    },
    refresh::Authentication,
    time::{Seconds, Time},
    token::GrantId,
};
use rusqlite::{Connection, params};

use super::{
    code, consent, event,
    fault::Fault,
    grants::Desk,
    login,
    refresh::{self, words},
    row::Columns,
};

/// How long codes are remembered after their end: as long as authorization codes.
const REMEMBERED: Seconds = Seconds::DAY;

pub(super) fn add(db: &Connection, new: &NewDeviceCode) -> Result<DeviceCodeAdded, Fault> {
    let code = &new.code;
    if let Some(quota) = &new.quota {
        if let Some(retry_after) = over(db, quota)? {
            return Ok(DeviceCodeAdded::Limited(retry_after));
        }
        count(db, quota)?;
    }
    let added = db
        .prepare_cached(
            "INSERT INTO device_codes (hash, user_code, client_id, scope, audience, interval, created_at, expires_at, answer) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open') ON CONFLICT (user_code) DO NOTHING",
        )?
        .execute(params![
            code.hash,
            code.user_code,
            &*code.client.0,
            code.scope,
            code.audience,
            code.interval.0,
            code.created_at.millis(),
            code.expires_at.millis(),
        ])?;
    Ok(if added == 1 { DeviceCodeAdded::Added } else { DeviceCodeAdded::Taken })
}

pub(super) fn find(db: &Connection, user_code: &[u8; 16], guess: Option<&Guess>) -> Result<Guessed, Fault> {
    // Asked before anything is looked up: past the limit a right one is as good as a wrong one.
    if let Some(retry_after) = guess.map_or(Ok(None), |guess| over(db, &guess.quota))? {
        return Ok(Guessed::Limited(retry_after));
    }
    let found = by_user_code(db, user_code)?;
    match (found, guess) {
        (Some(device), None) => Ok(Guessed::Found(Box::new(device))),
        (Some(device), Some(guess)) if device.is_open(guess.quota.at) => Ok(Guessed::Found(Box::new(device))),
        (_, None) => Ok(Guessed::Wrong),
        (_, Some(Guess { quota, event })) => {
            count(db, quota)?;
            event::insert(db, event)?;
            Ok(Guessed::Wrong)
        }
    }
}

pub(super) fn answer(db: &Connection, user_code: &[u8; 16], judge: &AnswerJudge) -> Result<Answering, Fault> {
    let found = by_user_code(db, user_code)?;
    let answering = judge(found.as_ref());
    if let Answering::Answered(answered) = &answering {
        let Answered { answer, event: told, consent } = &**answered;
        let allowed = match answer {
            Answer::Allowed(allowed) => Some(allowed),
            Answer::Open | Answer::Denied => None,
        };
        db.prepare_cached(
            "UPDATE device_codes SET answer = ?2, answered_at = ?3, user_id = ?4, session_id = ?5, epoch = ?6, auth_time = ?7, \
             amr = ?8 WHERE user_code = ?1",
        )?
        .execute(params![
            user_code,
            name(answer),
            told.at.millis(),
            allowed.map(|allowed| allowed.user.as_bytes()),
            allowed.map(|allowed| allowed.session.as_bytes()),
            allowed.map(|allowed| allowed.epoch.0),
            allowed.map(|allowed| allowed.authentication.auth_time.millis()),
            allowed.map(|allowed| allowed.authentication.amr.join(" ")),
        ])?;
        event::insert(db, told)?;
        if let Some((consent, told)) = consent {
            consent::give(db, consent, told)?;
        }
    }
    Ok(answering)
}

pub(super) fn poll(db: &Desk, random: &dyn Random, hash: &[u8; 32], judge: &PollJudge) -> Result<Polling, Fault> {
    let loaded = load(db, hash)?;
    let polling = judge(loaded.as_ref());
    match &polling {
        Polling::Refused | Polling::Expired | Polling::Denied => {}
        Polling::Wait { at, interval, .. } => {
            db.prepare_cached("UPDATE device_codes SET polled_at = ?2, interval = ?3 WHERE hash = ?1")?
                .execute(params![hash, at.millis(), interval.0])?;
        }
        Polling::Reused { ends: (grant, ending), event } => {
            event::insert(db, event)?;
            refresh::refresh(db, random, grant, Wanted::Roles, ending)?;
        }
        Polling::Granted { loaded, authentication, event } => {
            code::issue(db, loaded, authentication, event)?;
            db.prepare_cached("UPDATE device_codes SET grant_id = ?2 WHERE hash = ?1")?
                .execute(params![hash, loaded.state.grant.id.0])?;
        }
    }
    Ok(polling)
}

const SELECT: &str = "SELECT hash, user_code, client_id, scope, audience, interval, polled_at, created_at, expires_at, \
     answer, answered_at, user_id, session_id, epoch, auth_time, amr, grant_id FROM device_codes";

fn by_user_code(db: &Connection, user_code: &[u8; 16]) -> Result<Option<DeviceCode>, Fault> {
    let mut statement = db.prepare_cached(&format!("{SELECT} WHERE user_code = ?"))?;
    let mut rows = statement.query(params![user_code])?;
    rows.next()?.map(|row| Ok(read(row)?.0)).transpose()
}

fn load(db: &Desk, hash: &[u8; 32]) -> Result<Option<LoadedDeviceCode>, Fault> {
    let (device, redeemed) = {
        let mut statement = db.prepare_cached(&format!("{SELECT} WHERE hash = ?"))?;
        let mut rows = statement.query(params![hash])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        read(row)?
    };
    let code: Option<LoadedCode> = device.as_code().map(|code| code::hangs_on(db, code, redeemed)).transpose()?;
    Ok(Some(LoadedDeviceCode { device, code }))
}

/// The codes, and the grant that they became.
fn read(row: &rusqlite::Row<'_>) -> Result<(DeviceCode, Option<GrantId>), Fault> {
    let mut columns = Columns::new(row);
    let device = DeviceCode {
        hash: columns.take()?,
        user_code: columns.take()?,
        client: ClientId::from(columns.take::<String>()?),
        scope: columns.take()?,
        audience: columns.take()?,
        interval: Seconds(columns.take()?),
        polled_at: columns.take::<Option<i64>>()?.map(Time::from_millis),
        created_at: columns.time()?,
        expires_at: columns.time()?,
        answer: match columns.take::<String>()?.as_str() {
            "open" => {
                columns.skip(6);
                Answer::Open
            }
            "denied" => {
                columns.skip(6);
                Answer::Denied
            }
            "allowed" => Answer::Allowed(Allowed {
                at: columns.time()?,
                user: UserId::from_bytes(columns.take()?),
                session: SessionId::from_bytes(columns.take()?),
                epoch: Epoch(columns.take()?),
                authentication: Authentication { auth_time: columns.time()?, amr: words(columns.take()?) },
            }),
            _ => return Err(Fault::damaged("an answer to a device that cannot be read")),
        },
    };
    Ok((device, columns.take::<Option<[u8; 16]>>()?.map(GrantId)))
}

const fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Open => "open",
        Answer::Denied => "denied",
        Answer::Allowed(_) => "allowed",
    }
}

/// How long it is until there may be more, if there are too many.
fn over(db: &Connection, quota: &Quota) -> Result<Option<Seconds>, Fault> {
    let keys: Vec<FailureKey> = quota.keys.iter().map(|(key, _)| *key).collect();
    let counts: Vec<FailureCount> = login::failures(db, &keys)?;
    let full = counts.into_iter().zip(&quota.keys).filter(|(counted, (_, most))| counted.count >= *most);
    Ok(full.filter_map(|(counted, _)| counted.wait(quota.window, quota.at)).max())
}

fn count(db: &Connection, quota: &Quota) -> Result<(), Fault> {
    let keys: Vec<FailureKey> = quota.keys.iter().map(|(key, _)| *key).collect();
    login::count(db, &keys, quota.at, quota.window)
}

/// Forgets codes that nobody can mean any more.
pub(super) fn sweep(db: &Connection, now: Time, keep: Retention) -> Result<(), Fault> {
    db.prepare_cached(
        "DELETE FROM device_codes WHERE hash IN \
         (SELECT hash FROM device_codes WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    )?
    .execute(params![now.minus(REMEMBERED).millis(), keep.batch])?;
    Ok(())
}
