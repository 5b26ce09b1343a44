//! Clients, their secrets, and the end of all that was granted to one.

use regrant_engine::{
    client::{Client, ManagedBy, SecretId, StoredSecret, secret},
    event::{Event, EventKind},
    id::ClientId,
    ports::{ClientAdded, ClientRemoved, ClientsKept, End, SecretRotated},
    time::Time,
    upkeep::{Step, steps},
};

use super::{event, fault::Fault, pool::Db, resource, row::Columns};

pub(super) async fn add(db: &Db, client: &Client, told: &Event) -> Result<ClientAdded, Fault> {
    if find(db, &client.id).await?.is_some() {
        return Ok(ClientAdded::Taken);
    }
    // Nobody makes a resource of this id at the same moment.
    resource::lock(db).await?;
    if resource::list(db).await?.iter().any(|known| *known.id == *client.id.0) {
        return Ok(ClientAdded::OfResource);
    }
    insert(db, client).await?;
    event::insert_somewhere(db, told).await?;
    Ok(ClientAdded::Added)
}

async fn insert(db: &Db, client: &Client) -> Result<(), Fault> {
    db.run(
        "INSERT INTO clients (id, managed_by, metadata, is_told, created_at) VALUES ($1, $2, $3, $4, $5)",
        &[
            &&*client.id.0,
            &client.managed_by.as_str(),
            &serde_json::to_string(&client.metadata)?,
            &client.metadata.backchannel_logout_uri.is_some(),
            &client.created_at.millis(),
        ],
    )
    .await?;
    for secret in &client.secrets {
        insert_secret(db, &client.id, secret).await?;
    }
    Ok(())
}

async fn insert_secret(db: &Db, client: &ClientId, secret: &StoredSecret) -> Result<(), Fault> {
    db.run(
        "INSERT INTO client_secrets (client_id, id, hash, created_at, expires_at, last_used_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &&*client.0,
            &i64::from(secret.id.0),
            &secret.hash.as_slice(),
            &secret.created_at.millis(),
            &secret.expires_at.map(Time::millis),
            &secret.last_used_at.map(Time::millis),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn find(db: &Db, id: &ClientId) -> Result<Option<Client>, Fault> {
    // Text of the database has no zeros; neither has an id.
    if id.0.contains('\0') {
        return Ok(None);
    }
    Ok(read(db, "id = $1", &id.0).await?.pop())
}

/// Whether there is such a client; it stays until the transaction ends.
pub(super) async fn holds(db: &Db, id: &ClientId) -> Result<bool, Fault> {
    Ok(db.row("SELECT 1 FROM clients WHERE id = $1 FOR SHARE", &[&&*id.0]).await?.is_some())
}

/// The client for a change of it: whoever grants something to it has finished, or waits.
async fn lock(db: &Db, id: &ClientId) -> Result<Option<Client>, Fault> {
    if id.0.contains('\0') || db.row("SELECT 1 FROM clients WHERE id = $1 FOR UPDATE", &[&&*id.0]).await?.is_none() {
        return Ok(None);
    }
    find(db, id).await
}

pub(super) async fn list(db: &Db) -> Result<Vec<Client>, Fault> {
    let mut clients = read(db, "id > $1", "").await?;
    // By their bytes, and not as the database's language has it.
    clients.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(clients)
}

async fn read(db: &Db, condition: &str, id: &str) -> Result<Vec<Client>, Fault> {
    let sql = format!("SELECT id, managed_by, metadata, created_at FROM clients WHERE {condition}");
    let mut clients = Vec::new();
    for row in db.rows(&sql, &[&id]).await? {
        let mut columns = Columns::new(&row);
        let id = ClientId(columns.shared()?);
        clients.push(Client {
            managed_by: columns.name()?,
            metadata: serde_json::from_str(columns.take()?)?,
            created_at: columns.time()?,
            secrets: secrets(db, &id).await?,
            id,
        });
    }
    Ok(clients)
}

async fn secrets(db: &Db, client: &ClientId) -> Result<Vec<StoredSecret>, Fault> {
    let sql = "SELECT id, hash, created_at, expires_at, last_used_at FROM client_secrets WHERE client_id = $1 \
         ORDER BY id DESC";
    let mut secrets = Vec::new();
    for row in db.rows(sql, &[&&*client.0]).await? {
        let mut columns = Columns::new(&row);
        secrets.push(StoredSecret {
            id: SecretId(columns.number()?),
            hash: columns.bytes()?,
            created_at: columns.time()?,
            expires_at: columns.time_or_none()?,
            last_used_at: columns.time_or_none()?,
        });
    }
    Ok(secrets)
}

pub(super) async fn rotate_secret(
    db: &Db,
    id: &ClientId,
    hash: &[u8; 32],
    keep_until: Time,
    told: &Event,
) -> Result<SecretRotated, Fault> {
    let Some(client) = lock(db, id).await? else {
        return Ok(SecretRotated::NotFound);
    };
    if client.managed_by == ManagedBy::Configuration {
        return Ok(SecretRotated::Configured);
    }
    let Some(newest) = client.secrets.first() else {
        return Ok(SecretRotated::HasNone);
    };
    // The one before may be known to others.
    db.strongly().await?;
    // With the new one there are as many as may be.
    for old in client.secrets.iter().skip(secret::MOST - 1) {
        let sql = "DELETE FROM client_secrets WHERE client_id = $1 AND id = $2";
        db.run(sql, &[&&*id.0, &i64::from(old.id.0)]).await?;
    }
    let sql = "UPDATE client_secrets SET expires_at = $3 WHERE client_id = $1 AND id = $2";
    db.run(sql, &[&&*id.0, &i64::from(newest.id.0), &keep_until.millis()]).await?;
    insert_secret(db, id, &newest.next(*hash, told.at)).await?;
    event::insert_somewhere(db, told).await?;
    Ok(SecretRotated::Rotated)
}

pub(super) async fn note_secret(db: &Db, id: &ClientId, secret: SecretId, at: Time) -> Result<(), Fault> {
    db.run(
        "UPDATE client_secrets SET last_used_at = GREATEST(COALESCE(last_used_at, $3), $3) \
         WHERE client_id = $1 AND id = $2",
        &[&&*id.0, &i64::from(secret.0), &at.millis()],
    )
    .await?;
    Ok(())
}

pub(super) async fn remove(db: &Db, id: &ClientId, end: End, told: &Event) -> Result<ClientRemoved, Fault> {
    match lock(db, id).await? {
        None => Ok(ClientRemoved::NotFound),
        Some(client) if client.managed_by == ManagedBy::Configuration => Ok(ClientRemoved::Configured),
        Some(_) => {
            let ended = erase(db, id, end).await?;
            event::insert_somewhere(db, &told.clone().because(end.reason).with("grants_ended", ended)).await?;
            Ok(ClientRemoved::Removed { ended })
        }
    }
}

/// Ends all that was granted to a client, which is locked, and forgets it; how many grants ended.
async fn erase(db: &Db, id: &ClientId, end: End) -> Result<u64, Fault> {
    db.strongly().await?;
    let sql = "UPDATE grants SET ended_at = $2, end_reason = $3 \
         WHERE client_id = $1 AND endpoint = 'oauth' AND ended_at IS NULL";
    let ended = db.run(sql, &[&&*id.0, &end.at.millis(), &end.reason.as_str()]).await?;
    for table in ["client_secrets", "codes", "device_codes", "consents"] {
        db.run(&format!("DELETE FROM {table} WHERE client_id = $1"), &[&&*id.0]).await?;
    }
    // Nobody is left to be told.
    db.run("DELETE FROM logouts WHERE client_id = $1 AND state = 'waiting'", &[&&*id.0]).await?;
    db.run("DELETE FROM clients WHERE id = $1", &[&&*id.0]).await?;
    Ok(ended)
}

pub(super) async fn keep(db: &Db, wanted: &[Client], end: End) -> Result<ClientsKept, Fault> {
    // Nodes that start at once do it one after the other.
    super::meta::lock(db, "clients").await?;
    let known = list(db).await?;
    // Looked at before anything is written: an outcome leaves nothing behind.
    let steps = match steps(&known, wanted) {
        Ok(steps) => steps,
        Err(taken) => return Ok(ClientsKept::Taken(taken.id.clone())),
    };
    // Those of the configuration are told from its clients where it is read; one that is to go now is in nobody's way.
    resource::lock(db).await?;
    let resources = resource::list(db).await?;
    let by_hand = |id: &ClientId| {
        resources.iter().any(|resource| resource.managed_by == ManagedBy::Operator && *resource.id == *id.0)
    };
    if let Some(client) = wanted.iter().find(|client| by_hand(&client.id)) {
        return Ok(ClientsKept::OfResource(client.id.clone()));
    }
    let tell = |kind, client: &Client| {
        let mut told = Event::new(kind, end.at, end.actor, db.random());
        told.client = Some(client.id.clone());
        told
    };
    let (mut added, mut changed, mut removed) = (0, 0, 0);
    for step in steps {
        match step {
            Step::Remove(gone) => {
                lock(db, &gone.id).await?;
                let ended = erase(db, &gone.id, end).await?;
                let told = tell(EventKind::ClientRemoved, gone).because(end.reason).with("grants_ended", ended);
                event::insert_somewhere(db, &told).await?;
                removed += 1;
            }
            Step::Add(wanted) => {
                insert(db, wanted).await?;
                event::insert_somewhere(db, &tell(EventKind::ClientAdded, wanted)).await?;
                added += 1;
            }
            Step::Change { known, wanted } => {
                db.run(
                    "UPDATE clients SET metadata = $2, is_told = $3 WHERE id = $1",
                    &[
                        &&*wanted.id.0,
                        &serde_json::to_string(&wanted.metadata)?,
                        &wanted.metadata.backchannel_logout_uri.is_some(),
                    ],
                )
                .await?;
                db.run("DELETE FROM client_secrets WHERE client_id = $1", &[&&*wanted.id.0]).await?;
                for secret in &wanted.secrets {
                    insert_secret(db, &wanted.id, &secret.in_place_of(&known.secrets)).await?;
                }
                event::insert_somewhere(db, &tell(EventKind::ClientChanged, wanted)).await?;
                changed += 1;
            }
        }
    }
    Ok(ClientsKept::Kept { added, changed, removed })
}
