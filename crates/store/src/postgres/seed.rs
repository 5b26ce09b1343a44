//! Rows as they are, many at once, for load tests: without rules, outcomes or events.
//!
//! They go by COPY: a statement for each table and chunk, which all the engines have. What a row is made of stands where single rows
//! are written.

use regrant_engine::{ports::Facts, refresh::Grant, session::Session, user::NewUser};

use super::{fault::Fault, grant, pool::Db, session, user};

/// Users without roles and passwords, with what they are known by.
pub(super) async fn users(db: &Db, users: &[NewUser]) -> Result<(), Fault> {
    let mut rows = db.copy(&user::NEW).await?;
    for new in users {
        rows.row(user::values(new)?).await?;
    }
    rows.end().await?;
    let mut rows = db.copy(&user::NEW_IDENTIFIERS).await?;
    for new in users {
        for values in user::identifier_values(new) {
            rows.row(values).await?;
        }
    }
    rows.end().await
}

/// Sessions with their own grants, of users without roles.
pub(super) async fn sessions(db: &Db, sessions: &[(Session, Grant)]) -> Result<(), Fault> {
    let mut rows = db.copy(&grant::NEW).await?;
    for (session, new) in sessions {
        let (auth_time, amr) = (session.auth_time, session.amr.clone());
        let facts = Facts { auth_time, amr: amr.into(), roles: [].into(), identifier: None, attributes: None };
        rows.row(grant::values(db, new, &facts)).await?;
    }
    rows.end().await?;
    let mut rows = db.copy(&session::NEW).await?;
    for (new, grant) in sessions {
        rows.row(session::values(new, grant)).await?;
    }
    rows.end().await
}
