//! Roles, and who has them. What a grant remembers of its user's roles is written when they change.

use std::collections::HashMap;

use regrant_engine::{
    event::{Event, EventKind},
    id::UserId,
    ports::{End, RoleChanged, UserSelector},
    time::Time,
    user::{MOST_ROLES, Role},
};

use super::{
    event,
    fault::Fault,
    pool::Db,
    row::{Columns, uuid},
    session, user,
};

/// Whether there is such a role; it stays until the transaction ends.
pub(super) async fn exists(db: &Db, name: &str) -> Result<bool, Fault> {
    Ok(db.row("SELECT 1 FROM roles WHERE name = $1 FOR SHARE", &[&name]).await?.is_some())
}

pub(super) async fn add(db: &Db, name: &str, description: Option<&str>, at: Time) -> Result<bool, Fault> {
    let sql = "INSERT INTO roles (name, description, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(db.run(sql, &[&name, &description, &at.millis()]).await? == 1)
}

pub(super) async fn list(db: &Db) -> Result<Vec<Role>, Fault> {
    // Two statements: a table that is everywhere is not joined with one that is spread, who have none would be lost.
    let mut users = HashMap::new();
    for row in db.rows("SELECT role, count(*) FROM user_roles GROUP BY role", &[]).await? {
        let mut columns = Columns::new(&row);
        users.insert(columns.take::<String>()?, columns.number()?);
    }
    let mut roles = Vec::new();
    for row in db.rows("SELECT name, description, created_at FROM roles", &[]).await? {
        let mut columns = Columns::new(&row);
        let name: String = columns.take()?;
        roles.push(Role {
            users: users.get(&name).copied().unwrap_or_default(),
            name,
            description: columns.take()?,
            created_at: columns.time()?,
        });
    }
    // By their bytes, and not as the database's language has it.
    roles.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(roles)
}

pub(super) async fn remove(db: &Db, name: &str) -> Result<bool, Fault> {
    db.strongly().await?;
    // Whoever gives it to somebody has finished, or finds that it is gone.
    let removed = db.run("DELETE FROM roles WHERE name = $1", &[&name]).await? == 1;
    let sql = "SELECT shard, user_id FROM user_roles WHERE role = $1 ORDER BY user_id";
    for row in db.rows(sql, &[&name]).await? {
        let mut columns = Columns::new(&row);
        let (shard, user) = (columns.take()?, UserId::from_bytes(columns.id()?));
        session::lock_user(db, shard, user).await?;
        take(db, shard, user, name).await?;
        remember(db, shard, user).await?;
    }
    Ok(removed)
}

async fn take(db: &Db, shard: i32, user: UserId, role: &str) -> Result<u64, Fault> {
    let sql = "DELETE FROM user_roles WHERE shard = $1 AND user_id = $2 AND role = $3";
    db.run(sql, &[&shard, &uuid(user.as_bytes()), &role]).await
}

/// Writes a user's roles into what they hold: a use of it reads its own row and nothing else.
async fn remember(db: &Db, shard: i32, user: UserId) -> Result<(), Fault> {
    let user = uuid(user.as_bytes());
    let rows = db.rows("SELECT role FROM user_roles WHERE shard = $1 AND user_id = $2", &[&shard, &user]).await?;
    let roles = rows.iter().map(|row| Columns::new(row).take()).collect::<Result<Vec<String>, _>>()?;
    let roles = session::sorted(roles).join(" ");
    let sql = "UPDATE grants SET roles = $3 WHERE shard = $1 AND user_id = $2 AND ended_at IS NULL";
    db.run(sql, &[&shard, &user, &roles]).await?;
    Ok(())
}

pub(super) async fn set(
    db: &Db,
    role: &str,
    selector: &UserSelector,
    has: bool,
    end: End,
) -> Result<RoleChanged, Fault> {
    if !exists(db, role).await? {
        return Ok(RoleChanged::NoSuchRole);
    }
    let Some((shard, user)) = user::lock(db, selector).await? else {
        return Ok(RoleChanged::NoSuchUser);
    };
    let id = uuid(user.as_bytes());
    let sql = "SELECT count(*) FROM user_roles WHERE shard = $1 AND user_id = $2 AND role <> $3";
    let row = db.row(sql, &[&shard, &id, &role]).await?;
    let held: usize = row.map_or(Ok(0), |row| Columns::new(&row).number())?;
    if has && held >= MOST_ROLES {
        return Ok(RoleChanged::TooMany);
    }
    let changed = if has {
        let sql = "INSERT INTO user_roles (shard, user_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        db.run(sql, &[&shard, &id, &role]).await?
    } else {
        take(db, shard, user, role).await?
    };
    if changed == 0 {
        return Ok(RoleChanged::Unchanged);
    }
    remember(db, shard, user).await?;
    let kind = if has { EventKind::RoleGranted } else { EventKind::RoleRevoked };
    event::insert(db, shard, &Event::new(kind, end.at, end.actor, db.random()).user(user).with("role", role)).await?;
    Ok(RoleChanged::Changed)
}
