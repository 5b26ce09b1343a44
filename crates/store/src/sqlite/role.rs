//! Roles, and who has them.

use regrant_engine::{
    event::{Event, EventKind},
    ports::{End, Random, RoleChanged, UserSelector},
    time::Time,
    user::{MOST_ROLES, Role},
};
use rusqlite::{Connection, params};

use super::{event, fault::Fault, grants::Desk, user};

pub(super) fn exists(db: &Connection, name: &str) -> Result<bool, Fault> {
    Ok(db.prepare_cached("SELECT 1 FROM roles WHERE name = ?")?.exists(params![name])?)
}

pub(super) fn add(db: &Connection, name: &str, description: Option<&str>, at: Time) -> Result<bool, Fault> {
    let added = db
        .prepare_cached("INSERT INTO roles (name, description, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")?
        .execute(params![name, description, at.millis()])?;
    Ok(added == 1)
}

pub(super) fn list(db: &Connection) -> Result<Vec<Role>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT name, description, created_at, (SELECT count(*) FROM user_roles WHERE role = name) FROM roles ORDER BY name",
    )?;
    let roles = statement.query_map([], |row| {
        Ok(Role {
            name: row.get(0)?,
            description: row.get(1)?,
            created_at: Time::from_millis(row.get(2)?),
            users: row.get::<_, i64>(3)?.unsigned_abs(),
        })
    })?;
    Ok(roles.collect::<Result<_, _>>()?)
}

pub(super) fn remove(db: &Desk, name: &str) -> Result<bool, Fault> {
    db.roles_changed()?;
    db.prepare_cached("DELETE FROM user_roles WHERE role = ?")?.execute(params![name])?;
    Ok(db.prepare_cached("DELETE FROM roles WHERE name = ?")?.execute(params![name])? == 1)
}

pub(super) fn set(
    db: &Desk,
    random: &dyn Random,
    role: &str,
    selector: &UserSelector,
    has: bool,
    end: End,
) -> Result<RoleChanged, Fault> {
    if !exists(db, role)? {
        return Ok(RoleChanged::NoSuchRole);
    }
    let Some(user) = user::selected(db, selector)? else {
        return Ok(RoleChanged::NoSuchUser);
    };
    let held: i64 = db
        .prepare_cached("SELECT count(*) FROM user_roles WHERE user_id = ?1 AND role <> ?2")?
        .query_row(params![user.as_bytes(), role], |row| row.get(0))?;
    if has && usize::try_from(held).is_ok_and(|held| held >= MOST_ROLES) {
        return Ok(RoleChanged::TooMany);
    }
    let changed = if has {
        db.prepare_cached(
            "INSERT INTO user_roles (user_id, role, shard) SELECT id, ?2, shard FROM users WHERE id = ?1 \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![user.as_bytes(), role])?
    } else {
        db.prepare_cached("DELETE FROM user_roles WHERE user_id = ?1 AND role = ?2")?
            .execute(params![user.as_bytes(), role])?
    };
    if changed == 0 {
        return Ok(RoleChanged::Unchanged);
    }
    db.roles_changed()?;
    let kind = if has { EventKind::RoleGranted } else { EventKind::RoleRevoked };
    event::insert(db, &Event::new(kind, end.at, end.actor, random).user(user).with("role", role))?;
    Ok(RoleChanged::Changed)
}
