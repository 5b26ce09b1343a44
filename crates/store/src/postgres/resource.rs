//! Resources. Whoever changes them does it alone: they are few, and change seldom.

use regrant_engine::{
    client::ManagedBy,
    event::{Event, EventKind},
    id::ClientId,
    ports::{End, ResourceAdded, ResourceRemoved, ResourcesKept},
    resource::Resource,
    upkeep::{Step, steps},
};

use super::{client, event, fault::Fault, meta, pool::Db, row::Columns};

/// The name of what says that there was one.
const EVER: &str = "resources.ever";

/// Until the transaction ends, nobody else changes them, or adds clients: no id is to be both's.
pub(super) async fn lock(db: &Db) -> Result<(), Fault> {
    meta::lock(db, "resources").await
}

pub(super) async fn add(db: &Db, resource: &Resource, replaces: bool, told: &Event) -> Result<ResourceAdded, Fault> {
    lock(db).await?;
    if client::find(db, &ClientId::from(&*resource.id)).await?.is_some() {
        return Ok(ResourceAdded::OfClient);
    }
    match list(db).await?.into_iter().find(|known| known.id == resource.id) {
        None => {
            insert(db, resource).await?;
            event::insert_somewhere(db, told).await?;
            Ok(ResourceAdded::Added)
        }
        Some(known) if known.managed_by == ManagedBy::Configuration => Ok(ResourceAdded::Configured),
        Some(_) if !replaces => Ok(ResourceAdded::Taken),
        Some(_) => {
            change(db, resource).await?;
            event::insert_somewhere(db, &Event { kind: EventKind::ResourceChanged, ..told.clone() }).await?;
            Ok(ResourceAdded::Replaced)
        }
    }
}

async fn change(db: &Db, resource: &Resource) -> Result<(), Fault> {
    let sql = "UPDATE resources SET metadata = $2 WHERE id = $1";
    db.run(sql, &[&resource.id, &serde_json::to_string(&resource.metadata)?]).await?;
    Ok(())
}

async fn insert(db: &Db, resource: &Resource) -> Result<(), Fault> {
    db.run(
        "INSERT INTO resources (id, managed_by, metadata, created_at) VALUES ($1, $2, $3, $4)",
        &[
            &resource.id,
            &resource.managed_by.as_str(),
            &serde_json::to_string(&resource.metadata)?,
            &resource.created_at.millis(),
        ],
    )
    .await?;
    meta::remember(db, EVER, "1").await
}

/// Whether there was ever one.
pub(super) async fn had(db: &Db) -> Result<bool, Fault> {
    Ok(meta::find(db, EVER).await?.is_some())
}

pub(super) async fn list(db: &Db) -> Result<Vec<Resource>, Fault> {
    let mut resources = Vec::new();
    for row in db.rows("SELECT id, managed_by, metadata, created_at FROM resources", &[]).await? {
        let mut columns = Columns::new(&row);
        resources.push(Resource {
            id: columns.take()?,
            managed_by: columns.name()?,
            metadata: serde_json::from_str(columns.take()?)?,
            created_at: columns.time()?,
        });
    }
    // By their bytes, and not as the database's language has it.
    resources.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(resources)
}

pub(super) async fn remove(db: &Db, id: &str, told: &Event) -> Result<ResourceRemoved, Fault> {
    lock(db).await?;
    match list(db).await?.into_iter().find(|known| known.id == id) {
        None => Ok(ResourceRemoved::NotFound),
        Some(known) if known.managed_by == ManagedBy::Configuration => Ok(ResourceRemoved::Configured),
        Some(_) => {
            erase(db, id).await?;
            event::insert_somewhere(db, told).await?;
            Ok(ResourceRemoved::Removed)
        }
    }
}

async fn erase(db: &Db, id: &str) -> Result<(), Fault> {
    db.run("DELETE FROM resources WHERE id = $1", &[&id]).await?;
    Ok(())
}

pub(super) async fn keep(db: &Db, wanted: &[Resource], end: End) -> Result<ResourcesKept, Fault> {
    // Nodes that start at once do it one after the other.
    lock(db).await?;
    let known = list(db).await?;
    // Looked at before anything is written: an outcome leaves nothing behind.
    let steps = match steps(&known, wanted) {
        Ok(steps) => steps,
        Err(taken) => return Ok(ResourcesKept::Taken(taken.id.clone())),
    };
    for resource in wanted {
        if client::find(db, &ClientId::from(&*resource.id)).await?.is_some() {
            return Ok(ResourcesKept::OfClient(resource.id.clone()));
        }
    }
    let told = |kind, resource: &Resource| {
        Event::new(kind, end.at, end.actor, db.random()).with("resource", resource.id.clone())
    };
    let (mut added, mut changed, mut removed) = (0, 0, 0);
    for step in steps {
        match step {
            Step::Remove(gone) => {
                erase(db, &gone.id).await?;
                event::insert_somewhere(db, &told(EventKind::ResourceRemoved, gone)).await?;
                removed += 1;
            }
            Step::Add(wanted) => {
                insert(db, wanted).await?;
                event::insert_somewhere(db, &told(EventKind::ResourceAdded, wanted)).await?;
                added += 1;
            }
            Step::Change { wanted, .. } => {
                change(db, wanted).await?;
                event::insert_somewhere(db, &told(EventKind::ResourceChanged, wanted)).await?;
                changed += 1;
            }
        }
    }
    Ok(ResourcesKept::Kept { added, changed, removed })
}
