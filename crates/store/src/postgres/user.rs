//! Users, by the operator.

use std::{collections::HashSet, sync::LazyLock};

use regrant_engine::{
    event::{Event, EventKind},
    id::{Epoch, UserId},
    ports::{End, UserChanged, UserSelector, UsersAdded},
    time::Time,
    token::Shard,
    user::{Identified, Identifier, NewUser, User},
};

use super::{
    event,
    fault::Fault,
    pool::Db,
    role,
    row::{Columns, Value, Written, borrowed, count, uuid},
    session,
};

/// The roles of `u`, with a space between: role names have none. The statement's first parameter is the shard: engines that spread
/// over machines find one that is named, and not one that is another table's.
pub(super) const ROLES: &str =
    "(SELECT string_agg(r.role, ' ') FROM user_roles r WHERE r.shard = $1 AND r.user_id = u.id)";

/// On which shard a user lives, or would. The engine tells it by the id alone; where there is none, all shards are asked.
pub(super) async fn shard(db: &Db, user: UserId) -> Result<Option<i32>, Fault> {
    if let Some(shard) = db.surroundings.places.get().and_then(|place| place(user)) {
        return Ok(Some(shard_of(shard)));
    }
    let row = db.row("SELECT shard FROM users WHERE id = $1", &[&uuid(user.as_bytes())]).await?;
    row.map(|row| Columns::new(&row).take()).transpose()
}

pub(super) async fn add(db: &Db, users: &[NewUser], template: &Event) -> Result<UsersAdded, Fault> {
    // Looked at before anything is written: an outcome leaves nothing behind. Where somebody else is faster, the insert fails,
    // and all of this is done once more.
    let (mut seen, mut roles) = (HashSet::new(), HashSet::new());
    for (index, user) in users.iter().enumerate() {
        for known in &user.identifiers {
            if !seen.insert(&known.identifier) || owner(db, &known.identifier).await?.is_some() {
                return Ok(UsersAdded::Taken { index });
            }
        }
        for role in &user.roles {
            if !roles.contains(role) && !role::exists(db, role).await? {
                return Ok(UsersAdded::NoSuchRole { index, role: role.clone() });
            }
            roles.insert(role);
        }
    }
    for user in users {
        insert(db, user).await?;
        let told = Event::new(EventKind::UserCreated, template.at, template.actor, db.random()).user(user.id);
        event::insert(db, shard_of(user.shard), &told).await?;
    }
    Ok(UsersAdded::Added)
}

fn shard_of(Shard(shard): Shard) -> i32 {
    i32::from_be_bytes(shard)
}

/// What is written of a new user, in the order of [`values`].
pub(super) const NEW: Written =
    Written { table: "users", columns: "shard, id, epoch, disabled_at, shown, claims, created_at, identifiers" };

/// A new user's row.
pub(super) fn values(user: &NewUser) -> Result<Vec<Value<'_>>, Fault> {
    Ok(vec![
        Box::new(shard_of(user.shard)),
        Box::new(uuid(user.id.as_bytes())),
        Box::new(0i64),
        Box::new(user.disabled.then_some(user.at.millis())),
        Box::new(user.identifiers.first().map(|first| first.shown.as_str())),
        Box::new(serde_json::to_string(&user.claims)?),
        Box::new(user.at.millis()),
        Box::new(serde_json::to_string(&user.identifiers.iter().map(copy).collect::<Vec<_>>())?),
    ])
}

/// What is written of what a new user signs in with, in the order of [`identifier_values`].
pub(super) const NEW_IDENTIFIERS: Written =
    Written { table: "identifiers", columns: "kind, value, user_id, user_shard, position, shown, verified_at" };

/// The rows of what a new user signs in with.
pub(super) fn identifier_values(user: &NewUser) -> Vec<Vec<Value<'_>>> {
    let mut rows = Vec::with_capacity(user.identifiers.len());
    for (position, known) in (0i64..).zip(&user.identifiers) {
        let values: Vec<Value<'_>> = vec![
            Box::new(known.identifier.kind.as_str()),
            Box::new(known.identifier.value.as_str()),
            Box::new(uuid(user.id.as_bytes())),
            Box::new(shard_of(user.shard)),
            Box::new(position),
            Box::new(known.shown.as_str()),
            Box::new(known.verified_at.map(Time::millis)),
        ];
        rows.push(values);
    }
    rows
}

async fn insert(db: &Db, user: &NewUser) -> Result<(), Fault> {
    static SQL: LazyLock<[String; 2]> = LazyLock::new(|| [NEW.insert(), NEW_IDENTIFIERS.insert()]);
    let [of_user, of_identifier] = &*SQL;
    let (at, shard, id) = (user.at.millis(), shard_of(user.shard), uuid(user.id.as_bytes()));
    db.run(of_user, &borrowed(&values(user)?)).await?;
    for known in identifier_values(user) {
        db.run(of_identifier, &borrowed(&known)).await?;
    }
    for role in &user.roles {
        db.run("INSERT INTO user_roles (shard, user_id, role) VALUES ($1, $2, $3)", &[&shard, &id, role]).await?;
    }
    if let Some(hash) = &user.password {
        let sql = "INSERT INTO passwords (shard, user_id, hash, changed_at) VALUES ($1, $2, $3, $4)";
        db.run(sql, &[&shard, &id, hash, &at]).await?;
    }
    Ok(())
}

/// Whose identifier it is, and where they live.
pub(super) async fn owner(db: &Db, identifier: &Identifier) -> Result<Option<(i32, UserId)>, Fault> {
    let sql = "SELECT user_shard, user_id FROM identifiers WHERE value = $1 AND kind = $2";
    let Some(row) = db.row(sql, &[&identifier.value, &identifier.kind.as_str()]).await? else { return Ok(None) };
    let mut columns = Columns::new(&row);
    Ok(Some((columns.take()?, UserId::from_bytes(columns.id()?))))
}

/// The user that is meant, locked, if there is one.
///
/// Only the operator changes a user by it: nothing of that may be forgotten, whether it ends something or takes something away.
pub(super) async fn lock(db: &Db, selector: &UserSelector) -> Result<Option<(i32, UserId)>, Fault> {
    db.strongly().await?;
    match selector {
        UserSelector::Identifier(identifier) => match owner(db, identifier).await? {
            // Deleted meanwhile, it is nobody's identifier.
            Some((shard, user)) => Ok(session::lock_user(db, shard, user).await?.then_some((shard, user))),
            None => Ok(None),
        },
        UserSelector::Id(id) => Ok(session::lock_known_user(db, *id).await?.map(|shard| (shard, *id))),
    }
}

pub(super) async fn find(db: &Db, selector: &UserSelector) -> Result<Option<User>, Fault> {
    let place = match selector {
        UserSelector::Id(id) => shard(db, *id).await?.map(|shard| (shard, *id)),
        UserSelector::Identifier(identifier) => owner(db, identifier).await?,
    };
    match place {
        Some((shard, id)) => read(db, shard, id).await,
        None => Ok(None),
    }
}

pub(super) async fn list(db: &Db, after: Option<UserId>, limit: u32) -> Result<Vec<User>, Fault> {
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let sql = "SELECT shard, id FROM users WHERE id > $1 ORDER BY id LIMIT $2";
    let mut users = Vec::new();
    for row in db.rows(sql, &[&uuid(&after), &count(limit)]).await? {
        let mut columns = Columns::new(&row);
        let (shard, id) = (columns.take()?, UserId::from_bytes(columns.id()?));
        // One who was deleted meanwhile is left out.
        users.extend(read(db, shard, id).await?);
    }
    Ok(users)
}

async fn read(db: &Db, shard: i32, id: UserId) -> Result<Option<User>, Fault> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT u.disabled_at, u.epoch, u.claims, {ROLES}, \
             EXISTS (SELECT 1 FROM passwords p WHERE p.shard = $1 AND p.user_id = u.id), u.created_at, u.identifiers \
             FROM users u WHERE u.shard = $1 AND u.id = $2"
        )
    });
    let Some(row) = db.row(&SQL, &[&shard, &uuid(id.as_bytes())]).await? else { return Ok(None) };
    let mut columns = Columns::new(&row);
    Ok(Some(User {
        id,
        shard: Shard(shard.to_be_bytes()),
        disabled_at: columns.time_or_none()?,
        epoch: Epoch(columns.number()?),
        claims: serde_json::from_str(columns.take()?)?,
        roles: session::sorted(columns.words()?),
        has_password: columns.take()?,
        created_at: columns.time()?,
        identifiers: match columns.take::<Option<&str>>()? {
            Some(copies) => {
                let copies: Vec<Copy> = serde_json::from_str(copies)?;
                copies.into_iter().map(original).collect::<Result<_, _>>()?
            }
            None => identifiers(db, id).await?,
        },
    }))
}

/// An identifier as it is kept beside its user, where it is written once, with the user: its kind, its value, how it is shown, and
/// when it was verified.
type Copy = (String, String, String, Option<i64>);

fn copy(known: &Identified) -> Copy {
    let Identified { identifier, shown, verified_at } = known;
    (identifier.kind.as_str().to_owned(), identifier.value.clone(), shown.clone(), verified_at.map(Time::millis))
}

fn original((kind, value, shown, verified_at): Copy) -> Result<Identified, Fault> {
    let identifier = Identifier { kind: kind.parse()?, value };
    Ok(Identified { identifier, shown, verified_at: verified_at.map(Time::from_millis) })
}

/// The identifiers of a user whom an older version wrote.
async fn identifiers(db: &Db, user: UserId) -> Result<Vec<Identified>, Fault> {
    let sql = "SELECT kind, value, shown, verified_at FROM identifiers WHERE user_id = $1 ORDER BY position";
    let mut identifiers = Vec::new();
    for row in db.rows(sql, &[&uuid(user.as_bytes())]).await? {
        let mut columns = Columns::new(&row);
        let identifier = Identifier { kind: columns.name()?, value: columns.take()? };
        identifiers.push(Identified { identifier, shown: columns.take()?, verified_at: columns.time_or_none()? });
    }
    Ok(identifiers)
}

pub(super) async fn set_password(db: &Db, selector: &UserSelector, hash: &str, end: End) -> Result<UserChanged, Fault> {
    let Some((shard, user)) = lock(db, selector).await? else {
        return Ok(UserChanged::NotFound);
    };
    db.run(
        "INSERT INTO passwords (shard, user_id, hash, changed_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (user_id, shard) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
        &[&shard, &uuid(user.as_bytes()), &hash, &end.at.millis()],
    )
    .await?;
    end_everything(db, shard, user, end, EventKind::PasswordChanged).await
}

pub(super) async fn set_disabled(
    db: &Db,
    selector: &UserSelector,
    disabled: bool,
    end: End,
) -> Result<UserChanged, Fault> {
    let Some((shard, user)) = lock(db, selector).await? else {
        return Ok(UserChanged::NotFound);
    };
    let changed = db
        .run(
            "UPDATE users SET disabled_at = $3 WHERE shard = $1 AND id = $2 AND (disabled_at IS NULL) = $4",
            &[&shard, &uuid(user.as_bytes()), &disabled.then_some(end.at.millis()), &disabled],
        )
        .await?;
    match (changed, disabled) {
        (0, _) => Ok(UserChanged::Unchanged),
        (_, true) => end_everything(db, shard, user, end, EventKind::UserDisabled).await,
        (_, false) => {
            let told = Event::new(EventKind::UserEnabled, end.at, end.actor, db.random()).user(user);
            event::insert(db, shard, &told).await?;
            Ok(UserChanged::Changed { ended: 0 })
        }
    }
}

pub(super) async fn delete(db: &Db, selector: &UserSelector, end: End) -> Result<UserChanged, Fault> {
    let Some((shard, user)) = lock(db, selector).await? else {
        return Ok(UserChanged::NotFound);
    };
    let changed = end_everything(db, shard, user, end, EventKind::UserDeleted).await?;
    let id = uuid(user.as_bytes());
    for table in ["passwords", "user_roles", "outbox", "consents"] {
        db.run(&format!("DELETE FROM {table} WHERE shard = $1 AND user_id = $2"), &[&shard, &id]).await?;
    }
    for table in ["identifiers", "codes", "device_codes"] {
        db.run(&format!("DELETE FROM {table} WHERE user_id = $1"), &[&id]).await?;
    }
    db.run("DELETE FROM users WHERE shard = $1 AND id = $2", &[&shard, &id]).await?;
    Ok(changed)
}

/// Raises the epoch, ends all that the user holds, and tells the timeline. The user is locked.
async fn end_everything(db: &Db, shard: i32, user: UserId, end: End, kind: EventKind) -> Result<UserChanged, Fault> {
    let sql = "UPDATE users SET epoch = epoch + 1 WHERE shard = $1 AND id = $2";
    db.run(sql, &[&shard, &uuid(user.as_bytes())]).await?;
    let ended = session::end_all_held(db, shard, user, end).await?;
    event::insert(db, shard, &Event::new(kind, end.at, end.actor, db.random()).user(user)).await?;
    Ok(UserChanged::Changed { ended })
}
