//! The rotation's transaction where one statement did not do it: lock the one row, ask the judge, carry the verdict out.
//!
//! Who ends more than one grant locks the user first, and then the grants: so two of them never wait for each other. A use that
//! turns out to end something has locked a grant already; it lets go, and begins again in that order.

use std::sync::Arc;

use regrant_engine::{
    event::Mail,
    id::{EventId, UserId},
    ports::{Judge, Loaded, Verdict, Wanted},
    time::Seconds,
    token::{Endpoint, GrantId},
};

use super::{
    event,
    fault::Fault,
    grant::{self, Before},
    pool::Db,
    row::{Columns, shard, uuid},
    session,
};

/// A user is warned at most so often of the same thing.
const SAME_MAIL: Seconds = Seconds::HOUR;

pub(super) async fn refresh(db: &Db, id: &GrantId, wanted: Wanted, judge: &Judge) -> Result<Verdict, Fault> {
    let (loaded, before) = load(db, id, wanted).await?;
    let verdict = judge(loaded.as_ref());
    if verdict.ends.is_none() {
        carry_out(db, &verdict, before.as_ref()).await?;
        return Ok(verdict);
    }
    let Some(user) = verdict.loaded.as_ref().map(|loaded| loaded.state.grant.user) else { return Ok(verdict) };
    db.restart().await?;
    session::lock_user(db, shard(id), user).await?;
    refresh_of_locked(db, id, wanted, judge).await
}

/// The same where the user is locked already.
pub(super) async fn refresh_of_locked(db: &Db, id: &GrantId, wanted: Wanted, judge: &Judge) -> Result<Verdict, Fault> {
    let (loaded, before) = load(db, id, wanted).await?;
    let verdict = judge(loaded.as_ref());
    carry_out(db, &verdict, before.as_ref()).await?;
    Ok(verdict)
}

/// The grant, locked, with the facts that are wanted.
pub(super) async fn load(db: &Db, id: &GrantId, wanted: Wanted) -> Result<(Option<Loaded>, Option<Before>), Fault> {
    let Some(mut record) = grant::lock(db, id).await? else { return Ok((None, None)) };
    let before = record.before();
    let (identifier, attributes) = match wanted {
        Wanted::Roles => (None, None),
        Wanted::Person => person(db, shard(id), record.grant.user).await?,
    };
    Ok((Some(record.loaded(identifier, attributes)), Some(before)))
}

/// The first identifier and the claims of a user.
pub(super) type Person = (Option<String>, Option<Arc<str>>);

pub(super) async fn person(db: &Db, shard: i32, user: UserId) -> Result<Person, Fault> {
    let sql = "SELECT shown, claims FROM users WHERE shard = $1 AND id = $2";
    let Some(row) = db.row(sql, &[&shard, &uuid(user.as_bytes())]).await? else { return Ok((None, None)) };
    let mut columns = Columns::new(&row);
    Ok((columns.take()?, attributes(columns.take()?)))
}

/// A user's claims; `None` where there are none.
pub(super) fn attributes(claims: &str) -> Option<Arc<str>> {
    Some(claims).filter(|claims| *claims != "{}").map(Arc::from)
}

/// Writes what a verdict says. Where it ends something, the user is locked.
pub(super) async fn carry_out(db: &Db, verdict: &Verdict, before: Option<&Before>) -> Result<(), Fault> {
    let (Some(loaded), Some(before)) = (&verdict.loaded, before) else { return Ok(()) };
    let grant = &loaded.state.grant;
    let shard = shard(&grant.id);
    if verdict.ends.is_some() {
        db.strongly().await?;
    }
    if verdict.write {
        grant::write(db, grant, before, verdict.renewed.as_ref()).await?;
    }
    if let Some(renewed) = &verdict.renewed {
        db.tell(|| renewed.told(grant));
    }
    for told in &verdict.events {
        event::insert(db, shard, told).await?;
    }
    if let (Some(end), Some(session), Endpoint::Session) = (verdict.ends, grant.session, grant.endpoint) {
        session::end_rows(db, shard, session, grant.user, end).await?;
    }
    match &verdict.mail {
        Some(mail) => queue(db, shard, mail).await,
        None => Ok(()),
    }
}

async fn queue(db: &Db, shard: i32, mail: &Mail) -> Result<(), Fault> {
    // A mail from the future, written by a clock that was wrong, silences nobody.
    let (before, after) = (mail.at.minus(SAME_MAIL).millis(), mail.at.plus(SAME_MAIL).millis());
    let user = uuid(mail.user.as_bytes());
    let sent_lately = db
        .row(
            "SELECT 1 FROM outbox WHERE shard = $1 AND user_id = $2 AND kind = $3 AND at > $4 AND at < $5 LIMIT 1",
            &[&shard, &user, &mail.kind.as_str(), &before, &after],
        )
        .await?
        .is_some();
    if !sent_lately {
        // Of a user who was deleted nothing is told.
        if db.row("SELECT 1 FROM users WHERE shard = $1 AND id = $2", &[&shard, &user]).await?.is_none() {
            return Ok(());
        }
        db.run(
            "INSERT INTO outbox (shard, user_id, id, kind, at, data) VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                &shard,
                &user,
                &uuid(EventId::new(mail.at, db.random()).as_bytes()),
                &mail.kind.as_str(),
                &mail.at.millis(),
                &serde_json::to_string(&mail.data)?,
            ],
        )
        .await?;
    }
    Ok(())
}
