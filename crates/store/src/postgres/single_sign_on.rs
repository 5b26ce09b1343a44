//! The sign-in of the provider's pages: which session an opaque reference names.

use regrant_engine::{
    id::{Epoch, SessionId, UserId},
    ports::{NewSignIn, SignInRecord},
    refresh::{Authentication, Owner},
};

use super::{
    event,
    fault::Fault,
    pool::Db,
    row::{Columns, shard, uuid},
    session, user,
};

pub(super) async fn add(db: &Db, new: &NewSignIn) -> Result<bool, Fault> {
    let Some(record) = session::by_id(db, new.session).await? else {
        return Ok(false);
    };
    let shard = shard(&record.grant.id);
    session::lock_user(db, shard, record.session.user).await?;
    // As of now: nobody ends it before this is over.
    let Some(record) = session::by_place(db, shard, new.session).await? else {
        return Ok(false);
    };
    let same_user =
        owner(db, record.session.user).await? == Owner::Active(new.epoch) && record.grant.epoch == new.epoch;
    if !same_user || !record.session.life.is_alive() {
        return Ok(false);
    }
    db.run(
        "INSERT INTO sign_ins (shard, session_id, hash, auth_time, amr) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (session_id, shard) DO UPDATE SET \
         hash = excluded.hash, auth_time = excluded.auth_time, amr = excluded.amr",
        &[
            &shard,
            &uuid(new.session.as_bytes()),
            &new.hash.as_slice(),
            &new.authentication.auth_time.millis(),
            &new.authentication.amr.join(" "),
        ],
    )
    .await?;
    session::forgive(db, &new.forgive).await?;
    if let Some(told) = &new.event {
        event::insert(db, shard, told).await?;
    }
    Ok(true)
}

pub(super) async fn find(db: &Db, hash: &[u8; 32]) -> Result<Option<SignInRecord>, Fault> {
    let sql = "SELECT shard, session_id, auth_time, amr FROM sign_ins WHERE hash = $1";
    let Some(row) = db.row(sql, &[&hash.as_slice()]).await? else {
        return Ok(None);
    };
    let mut columns = Columns::new(&row);
    let (shard, session) = (columns.take()?, SessionId::from_bytes(columns.id()?));
    let authentication = Authentication { auth_time: columns.time()?, amr: columns.words()? };
    let Some(record) = session::by_place(db, shard, session).await? else {
        return Ok(None);
    };
    let user = owner(db, record.session.user).await?;
    Ok(Some(SignInRecord { record, authentication, user }))
}

/// The user, as far as the rules care.
pub(super) async fn owner(db: &Db, user: UserId) -> Result<Owner, Fault> {
    let Some(shard) = user::shard(db, user).await? else { return Ok(Owner::Gone) };
    let sql = "SELECT epoch, disabled_at FROM users WHERE shard = $1 AND id = $2";
    let row = db.row(sql, &[&shard, &uuid(user.as_bytes())]).await?;
    let Some(row) = row else { return Ok(Owner::Gone) };
    let mut columns = Columns::new(&row);
    let epoch = Epoch(columns.number()?);
    Ok(match columns.take::<Option<i64>>()? {
        Some(_) => Owner::Disabled,
        None => Owner::Active(epoch),
    })
}
