//! Clients, their secrets, and the end of all that was granted to one.

use regrant_engine::{
    client::{Client, ManagedBy, SecretId, StoredSecret, secret},
    event::{Event, EventKind},
    id::ClientId,
    ports::{ClientAdded, ClientRemoved, ClientsKept, End, Random, SecretRotated},
    time::Time,
    upkeep::{Step, steps},
};
use rusqlite::{Connection, params};

use super::{event, fault::Fault, grants::Desk, resource, row::Columns, session};

pub(super) fn add(db: &Connection, client: &Client, told: &Event) -> Result<ClientAdded, Fault> {
    if find(db, &client.id)?.is_some() {
        return Ok(ClientAdded::Taken);
    }
    if resource::list(db)?.iter().any(|known| *known.id == *client.id.0) {
        return Ok(ClientAdded::OfResource);
    }
    insert(db, client)?;
    event::insert(db, told)?;
    Ok(ClientAdded::Added)
}

fn insert(db: &Connection, client: &Client) -> Result<(), Fault> {
    db.prepare_cached("INSERT INTO clients (id, managed_by, metadata, created_at) VALUES (?, ?, ?, ?)")?.execute(
        params![
            &*client.id.0,
            client.managed_by.as_str(),
            serde_json::to_string(&client.metadata)?,
            client.created_at.millis()
        ],
    )?;
    client.secrets.iter().try_for_each(|secret| insert_secret(db, &client.id, secret))
}

fn insert_secret(db: &Connection, client: &ClientId, secret: &StoredSecret) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO client_secrets (client_id, id, hash, created_at, expires_at, last_used_at) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        &*client.0,
        secret.id.0,
        secret.hash,
        secret.created_at.millis(),
        secret.expires_at.map(Time::millis),
        secret.last_used_at.map(Time::millis)
    ])?;
    Ok(())
}

pub(super) fn find(db: &Connection, id: &ClientId) -> Result<Option<Client>, Fault> {
    Ok(read(db, "id = ?1", &id.0)?.pop())
}

pub(super) fn list(db: &Connection) -> Result<Vec<Client>, Fault> {
    read(db, "id > ?1 ORDER BY id", "")
}

fn read(db: &Connection, condition: &str, id: &str) -> Result<Vec<Client>, Fault> {
    let mut statement =
        db.prepare_cached(&format!("SELECT id, managed_by, metadata, created_at FROM clients WHERE {condition}"))?;
    let mut rows = statement.query(params![id])?;
    let mut clients = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let id = ClientId::from(columns.take::<String>()?);
        clients.push(Client {
            managed_by: columns.name()?,
            metadata: serde_json::from_str(&columns.take::<String>()?)?,
            created_at: columns.time()?,
            secrets: secrets(db, &id)?,
            id,
        });
    }
    Ok(clients)
}

fn secrets(db: &Connection, client: &ClientId) -> Result<Vec<StoredSecret>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT id, hash, created_at, expires_at, last_used_at FROM client_secrets WHERE client_id = ? ORDER BY id DESC",
    )?;
    let mut rows = statement.query(params![&*client.0])?;
    let mut secrets = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        secrets.push(StoredSecret {
            id: SecretId(columns.take()?),
            hash: columns.take()?,
            created_at: columns.time()?,
            expires_at: columns.take::<Option<i64>>()?.map(Time::from_millis),
            last_used_at: columns.take::<Option<i64>>()?.map(Time::from_millis),
        });
    }
    Ok(secrets)
}

pub(super) fn rotate_secret(
    db: &Connection,
    id: &ClientId,
    hash: &[u8; 32],
    keep_until: Time,
    told: &Event,
) -> Result<SecretRotated, Fault> {
    let Some(client) = find(db, id)? else {
        return Ok(SecretRotated::NotFound);
    };
    if client.managed_by == ManagedBy::Configuration {
        return Ok(SecretRotated::Configured);
    }
    let Some(newest) = client.secrets.first() else {
        return Ok(SecretRotated::HasNone);
    };
    // With the new one there are as many as may be.
    for old in client.secrets.iter().skip(secret::MOST - 1) {
        db.prepare_cached("DELETE FROM client_secrets WHERE client_id = ? AND id = ?")?
            .execute(params![&*id.0, old.id.0])?;
    }
    db.prepare_cached("UPDATE client_secrets SET expires_at = ?3 WHERE client_id = ?1 AND id = ?2")?
        .execute(params![&*id.0, newest.id.0, keep_until.millis()])?;
    insert_secret(db, id, &newest.next(*hash, told.at))?;
    event::insert(db, told)?;
    Ok(SecretRotated::Rotated)
}

pub(super) fn note_secret(db: &Connection, id: &ClientId, secret: SecretId, at: Time) -> Result<(), Fault> {
    db.prepare_cached(
        "UPDATE client_secrets SET last_used_at = max(ifnull(last_used_at, ?3), ?3) WHERE client_id = ?1 AND id = ?2",
    )?
    .execute(params![&*id.0, secret.0, at.millis()])?;
    Ok(())
}

pub(super) fn remove(db: &Desk, id: &ClientId, end: End, told: &Event) -> Result<ClientRemoved, Fault> {
    match find(db, id)? {
        None => Ok(ClientRemoved::NotFound),
        Some(client) if client.managed_by == ManagedBy::Configuration => Ok(ClientRemoved::Configured),
        Some(_) => {
            let ended = erase(db, id, end)?;
            event::insert(db, &told.clone().because(end.reason).with("grants_ended", ended))?;
            Ok(ClientRemoved::Removed { ended })
        }
    }
}

/// Ends all that was granted to a client and forgets it; how many grants ended.
fn erase(db: &Desk, id: &ClientId, end: End) -> Result<u64, Fault> {
    let mut ended = 0;
    for grant in db.of_client(id, None)? {
        ended += u64::from(session::end_grant(db, &grant, end.at, |_| end.reason)?);
    }
    for table in ["client_secrets", "codes", "device_codes", "consents"] {
        db.prepare_cached(&format!("DELETE FROM {table} WHERE client_id = ?"))?.execute(params![&*id.0])?;
    }
    // Nobody is left to be told.
    db.prepare_cached("DELETE FROM logouts WHERE client_id = ? AND state = 'waiting'")?.execute(params![&*id.0])?;
    db.prepare_cached("DELETE FROM clients WHERE id = ?")?.execute(params![&*id.0])?;
    Ok(ended)
}

pub(super) fn keep(db: &Desk, random: &dyn Random, wanted: &[Client], end: End) -> Result<ClientsKept, Fault> {
    let known = list(db)?;
    // Looked at before anything is written: an outcome leaves nothing behind.
    let steps = match steps(&known, wanted) {
        Ok(steps) => steps,
        Err(taken) => return Ok(ClientsKept::Taken(taken.id.clone())),
    };
    // Those of the configuration are told from its clients where it is read; one that is to go now is in nobody's way.
    let resources = resource::list(db)?;
    let by_hand = |id: &ClientId| {
        resources.iter().any(|resource| resource.managed_by == ManagedBy::Operator && *resource.id == *id.0)
    };
    if let Some(client) = wanted.iter().find(|client| by_hand(&client.id)) {
        return Ok(ClientsKept::OfResource(client.id.clone()));
    }
    let tell = |kind, client: &Client| {
        let mut told = Event::new(kind, end.at, end.actor, random);
        told.client = Some(client.id.clone());
        told
    };
    let (mut added, mut changed, mut removed) = (0, 0, 0);
    for step in steps {
        match step {
            Step::Remove(gone) => {
                let ended = erase(db, &gone.id, end)?;
                event::insert(
                    db,
                    &tell(EventKind::ClientRemoved, gone).because(end.reason).with("grants_ended", ended),
                )?;
                removed += 1;
            }
            Step::Add(wanted) => {
                insert(db, wanted)?;
                event::insert(db, &tell(EventKind::ClientAdded, wanted))?;
                added += 1;
            }
            Step::Change { known, wanted } => {
                db.prepare_cached("UPDATE clients SET metadata = ?2 WHERE id = ?1")?
                    .execute(params![&*wanted.id.0, serde_json::to_string(&wanted.metadata)?])?;
                db.prepare_cached("DELETE FROM client_secrets WHERE client_id = ?")?.execute(params![&*wanted.id.0])?;
                for secret in &wanted.secrets {
                    insert_secret(db, &wanted.id, &secret.in_place_of(&known.secrets))?;
                }
                event::insert(db, &tell(EventKind::ClientChanged, wanted))?;
                changed += 1;
            }
        }
    }
    Ok(ClientsKept::Kept { added, changed, removed })
}
