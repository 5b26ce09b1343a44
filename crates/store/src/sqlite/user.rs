//! Users, by the operator.

use regrant_engine::{
    event::{Event, EventKind},
    id::{Epoch, UserId},
    ports::{End, Random, UserChanged, UserSelector, UsersAdded},
    time::Time,
    token::Shard,
    user::{Identified, Identifier, NewUser, User},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    event,
    fault::Fault,
    grants::Desk,
    refresh::{ROLES, roles},
    row::Columns,
    session,
};

pub(super) fn add(
    db: &Connection,
    random: &dyn Random,
    users: &[NewUser],
    template: &Event,
) -> Result<UsersAdded, Fault> {
    // Looked at before anything is written: an outcome leaves nothing behind, without a rollback.
    let mut seen = std::collections::HashSet::new();
    for (index, user) in users.iter().enumerate() {
        for known in &user.identifiers {
            if !seen.insert(&known.identifier) || owner(db, &known.identifier)?.is_some() {
                return Ok(UsersAdded::Taken { index });
            }
        }
        for role in &user.roles {
            if !super::role::exists(db, role)? {
                return Ok(UsersAdded::NoSuchRole { index, role: role.clone() });
            }
        }
    }
    for user in users {
        insert(db, user)?;
        let told = Event::new(EventKind::UserCreated, template.at, template.actor, random).user(user.id);
        event::insert(db, &told)?;
    }
    Ok(UsersAdded::Added)
}

fn insert(db: &Connection, user: &NewUser) -> Result<(), Fault> {
    let at = user.at.millis();
    db.prepare_cached(
        "INSERT INTO users (id, shard, epoch, disabled_at, claims, created_at) VALUES (?, ?, 0, ?, ?, ?)",
    )?
    .execute(params![
        user.id.as_bytes(),
        user.shard.0,
        user.disabled.then_some(at),
        serde_json::to_string(&user.claims)?,
        at
    ])?;
    for (position, known) in (0i64..).zip(&user.identifiers) {
        db.prepare_cached(
            "INSERT INTO identifiers (kind, value, user_id, position, shown, verified_at) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            known.identifier.kind.as_str(),
            known.identifier.value,
            user.id.as_bytes(),
            position,
            known.shown,
            known.verified_at.map(Time::millis)
        ])?;
    }
    for role in &user.roles {
        db.prepare_cached("INSERT INTO user_roles (user_id, role, shard) VALUES (?, ?, ?)")?.execute(params![
            user.id.as_bytes(),
            role,
            user.shard.0
        ])?;
    }
    if let Some(hash) = &user.password {
        db.prepare_cached("INSERT INTO passwords (user_id, shard, hash, changed_at) VALUES (?, ?, ?, ?)")?
            .execute(params![user.id.as_bytes(), user.shard.0, hash, at])?;
    }
    Ok(())
}

fn owner(db: &Connection, identifier: &Identifier) -> Result<Option<UserId>, Fault> {
    Ok(db
        .prepare_cached("SELECT user_id FROM identifiers WHERE kind = ? AND value = ?")?
        .query_row(params![identifier.kind.as_str(), identifier.value], |row| row.get(0).map(UserId::from_bytes))
        .optional()?)
}

/// The id of the user that is meant, if there is one.
pub(super) fn selected(db: &Connection, selector: &UserSelector) -> Result<Option<UserId>, Fault> {
    match selector {
        UserSelector::Identifier(identifier) => owner(db, identifier),
        UserSelector::Id(id) => {
            Ok(db.prepare_cached("SELECT 1 FROM users WHERE id = ?")?.exists(params![id.as_bytes()])?.then_some(*id))
        }
    }
}

pub(super) fn find(db: &Connection, selector: &UserSelector) -> Result<Option<User>, Fault> {
    let Some(id) = selected(db, selector)? else {
        return Ok(None);
    };
    Ok(read(db, "u.id = ?1 AND ?2", id.as_bytes(), 1)?.pop())
}

pub(super) fn list(db: &Connection, after: Option<UserId>, limit: u32) -> Result<Vec<User>, Fault> {
    read(db, "u.id > ?1 ORDER BY u.id LIMIT ?2", after.as_ref().map_or(&[0; 16], UserId::as_bytes), limit)
}

fn read(db: &Connection, condition: &str, id: &[u8; 16], limit: u32) -> Result<Vec<User>, Fault> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT u.id, u.shard, u.disabled_at, u.epoch, u.claims, {ROLES}, \
         EXISTS (SELECT 1 FROM passwords WHERE user_id = u.id), u.created_at FROM users u WHERE {condition}"
    ))?;
    let mut rows = statement.query(params![id, limit])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let id = UserId::from_bytes(columns.take()?);
        users.push(User {
            id,
            shard: Shard(columns.take()?),
            disabled_at: columns.take::<Option<i64>>()?.map(Time::from_millis),
            epoch: Epoch(columns.take()?),
            identifiers: identifiers(db, id)?,
            claims: serde_json::from_str(&columns.take::<String>()?)?,
            roles: roles(columns.take()?),
            has_password: columns.take()?,
            created_at: columns.time()?,
        });
    }
    Ok(users)
}

fn identifiers(db: &Connection, user: UserId) -> Result<Vec<Identified>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT kind, value, shown, verified_at FROM identifiers WHERE user_id = ? ORDER BY position",
    )?;
    let mut rows = statement.query(params![user.as_bytes()])?;
    let mut identifiers = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let identifier = Identifier { kind: columns.name()?, value: columns.take()? };
        let shown = columns.take()?;
        let verified_at = columns.take::<Option<i64>>()?.map(Time::from_millis);
        identifiers.push(Identified { identifier, shown, verified_at });
    }
    Ok(identifiers)
}

pub(super) fn set_password(
    db: &Desk,
    random: &dyn Random,
    selector: &UserSelector,
    hash: &str,
    end: End,
) -> Result<UserChanged, Fault> {
    let Some(user) = selected(db, selector)? else {
        return Ok(UserChanged::NotFound);
    };
    db.prepare_cached(
        "INSERT INTO passwords (user_id, shard, hash, changed_at) SELECT id, shard, ?2, ?3 FROM users WHERE id = ?1 \
         ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
    )?
    .execute(params![user.as_bytes(), hash, end.at.millis()])?;
    end_everything(db, random, user, end, EventKind::PasswordChanged)
}

pub(super) fn set_disabled(
    db: &Desk,
    random: &dyn Random,
    selector: &UserSelector,
    disabled: bool,
    end: End,
) -> Result<UserChanged, Fault> {
    let Some(user) = selected(db, selector)? else {
        return Ok(UserChanged::NotFound);
    };
    let changed = db
        .prepare_cached("UPDATE users SET disabled_at = ?2 WHERE id = ?1 AND (disabled_at IS NULL) <> (?2 IS NULL)")?
        .execute(params![user.as_bytes(), disabled.then_some(end.at.millis())])?;
    match (changed, disabled) {
        (0, _) => Ok(UserChanged::Unchanged),
        (_, true) => end_everything(db, random, user, end, EventKind::UserDisabled),
        (_, false) => {
            let told = Event::new(EventKind::UserEnabled, end.at, end.actor, random).user(user);
            event::insert(db, &told)?;
            Ok(UserChanged::Changed { ended: 0 })
        }
    }
}

pub(super) fn delete(db: &Desk, random: &dyn Random, selector: &UserSelector, end: End) -> Result<UserChanged, Fault> {
    let Some(user) = selected(db, selector)? else {
        return Ok(UserChanged::NotFound);
    };
    let changed = end_everything(db, random, user, end, EventKind::UserDeleted)?;
    for table in ["identifiers", "passwords", "user_roles", "outbox", "codes", "device_codes", "consents"] {
        db.prepare_cached(&format!("DELETE FROM {table} WHERE user_id = ?"))?.execute(params![user.as_bytes()])?;
    }
    db.prepare_cached("DELETE FROM users WHERE id = ?")?.execute(params![user.as_bytes()])?;
    Ok(changed)
}

/// Raises the epoch, ends all that the user holds, and tells the timeline.
fn end_everything(
    db: &Desk,
    random: &dyn Random,
    user: UserId,
    end: End,
    kind: EventKind,
) -> Result<UserChanged, Fault> {
    db.prepare_cached("UPDATE users SET epoch = epoch + 1 WHERE id = ?")?.execute(params![user.as_bytes()])?;
    let ended = session::end_all_held(db, random, user, end)?;
    event::insert(db, &Event::new(kind, end.at, end.actor, random).user(user))?;
    Ok(UserChanged::Changed { ended })
}
