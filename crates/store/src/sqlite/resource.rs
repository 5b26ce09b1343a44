//! Resources.

use regrant_engine::{
    client::ManagedBy,
    event::{Event, EventKind},
    id::ClientId,
    ports::{End, Random, ResourceAdded, ResourceRemoved, ResourcesKept},
    resource::Resource,
    upkeep::{Step, steps},
};
use rusqlite::{Connection, params};

use super::{client, event, fault::Fault, row::Columns, sweep};

/// The name of what says that there was one.
const EVER: &str = "resources.ever";

pub(super) fn add(db: &Connection, resource: &Resource, replaces: bool, told: &Event) -> Result<ResourceAdded, Fault> {
    if client::find(db, &ClientId::from(&*resource.id))?.is_some() {
        return Ok(ResourceAdded::OfClient);
    }
    match list(db)?.into_iter().find(|known| known.id == resource.id) {
        None => {
            insert(db, resource)?;
            event::insert(db, told)?;
            Ok(ResourceAdded::Added)
        }
        Some(known) if known.managed_by == ManagedBy::Configuration => Ok(ResourceAdded::Configured),
        Some(_) if !replaces => Ok(ResourceAdded::Taken),
        Some(_) => {
            change(db, resource)?;
            event::insert(db, &Event { kind: EventKind::ResourceChanged, ..told.clone() })?;
            Ok(ResourceAdded::Replaced)
        }
    }
}

fn change(db: &Connection, resource: &Resource) -> Result<(), Fault> {
    db.prepare_cached("UPDATE resources SET metadata = ?2 WHERE id = ?1")?
        .execute(params![resource.id, serde_json::to_string(&resource.metadata)?])?;
    Ok(())
}

fn insert(db: &Connection, resource: &Resource) -> Result<(), Fault> {
    db.prepare_cached("INSERT INTO resources (id, managed_by, metadata, created_at) VALUES (?, ?, ?, ?)")?.execute(
        params![
            resource.id,
            resource.managed_by.as_str(),
            serde_json::to_string(&resource.metadata)?,
            resource.created_at.millis()
        ],
    )?;
    sweep::remember(db, EVER, "1")
}

/// Whether there was ever one.
pub(super) fn had(db: &Connection) -> Result<bool, Fault> {
    Ok(db.prepare_cached("SELECT 1 FROM meta WHERE name = ?")?.exists(params![EVER])?)
}

pub(super) fn list(db: &Connection) -> Result<Vec<Resource>, Fault> {
    let mut statement = db.prepare_cached("SELECT id, managed_by, metadata, created_at FROM resources ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut resources = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        resources.push(Resource {
            id: columns.take()?,
            managed_by: columns.name()?,
            metadata: serde_json::from_str(&columns.take::<String>()?)?,
            created_at: columns.time()?,
        });
    }
    Ok(resources)
}

pub(super) fn remove(db: &Connection, id: &str, told: &Event) -> Result<ResourceRemoved, Fault> {
    match list(db)?.into_iter().find(|known| known.id == id) {
        None => Ok(ResourceRemoved::NotFound),
        Some(known) if known.managed_by == ManagedBy::Configuration => Ok(ResourceRemoved::Configured),
        Some(_) => {
            erase(db, id)?;
            event::insert(db, told)?;
            Ok(ResourceRemoved::Removed)
        }
    }
}

fn erase(db: &Connection, id: &str) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM resources WHERE id = ?")?.execute(params![id])?;
    Ok(())
}

pub(super) fn keep(
    db: &Connection,
    random: &dyn Random,
    wanted: &[Resource],
    end: End,
) -> Result<ResourcesKept, Fault> {
    let known = list(db)?;
    // Looked at before anything is written: an outcome leaves nothing behind.
    let steps = match steps(&known, wanted) {
        Ok(steps) => steps,
        Err(taken) => return Ok(ResourcesKept::Taken(taken.id.clone())),
    };
    for resource in wanted {
        if client::find(db, &ClientId::from(&*resource.id))?.is_some() {
            return Ok(ResourcesKept::OfClient(resource.id.clone()));
        }
    }
    let tell = |kind, resource: &Resource| {
        let told = Event::new(kind, end.at, end.actor, random).with("resource", resource.id.clone());
        event::insert(db, &told)
    };
    let (mut added, mut changed, mut removed) = (0, 0, 0);
    for step in steps {
        match step {
            Step::Remove(gone) => {
                erase(db, &gone.id)?;
                tell(EventKind::ResourceRemoved, gone)?;
                removed += 1;
            }
            Step::Add(wanted) => {
                insert(db, wanted)?;
                tell(EventKind::ResourceAdded, wanted)?;
                added += 1;
            }
            Step::Change { wanted, .. } => {
                change(db, wanted)?;
                tell(EventKind::ResourceChanged, wanted)?;
                changed += 1;
            }
        }
    }
    Ok(ResourcesKept::Kept { added, changed, removed })
}
