//! Signing keys, sealed, and what the store remembers of the key file and the issuer.

use regrant_engine::{event::Event, keyring::SealedKey, ports::Identity, token::KeyId};
use rusqlite::{Connection, OptionalExtension, params};

use super::{event, fault::Fault, row::Columns};

pub(super) fn all(db: &Connection) -> Result<Vec<SealedKey>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT kid, algorithm, state, created_at, sealed FROM signing_keys ORDER BY created_at, kid",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        keys.push(SealedKey {
            kid: columns.take()?,
            algorithm: columns.take()?,
            state: columns.name()?,
            created_at: columns.time()?,
            sealed: columns.take()?,
        });
    }
    Ok(keys)
}

pub(super) fn add_first(db: &Connection, key: &SealedKey, told: &Event) -> Result<Vec<SealedKey>, Fault> {
    let keys = all(db)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    db.prepare_cached("INSERT INTO signing_keys (kid, algorithm, state, created_at, sealed) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![key.kid, key.algorithm, key.state.as_str(), key.created_at.millis(), key.sealed])?;
    event::insert(db, told)?;
    all(db)
}

pub(super) fn identity(db: &Connection) -> Result<Identity, Fault> {
    let issuer = db.query_row("SELECT value FROM meta WHERE name = 'issuer'", [], |row| row.get(0)).optional()?;
    let mut statement = db.prepare("SELECT id, check_value FROM refresh_keys ORDER BY id")?;
    let keys = statement.query_map([], |row| Ok((KeyId(row.get(0)?), row.get(1)?)))?;
    Ok(Identity { issuer, refresh_keys: keys.collect::<Result<_, _>>()? })
}

pub(super) fn remember(db: &Connection, identity: &Identity) -> Result<(), Fault> {
    if let Some(issuer) = &identity.issuer {
        db.execute(
            "INSERT INTO meta (name, value) VALUES ('issuer', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![issuer],
        )?;
    }
    for (KeyId(id), check_value) in &identity.refresh_keys {
        db.execute(
            "INSERT INTO refresh_keys (id, check_value) VALUES (?, ?) ON CONFLICT DO NOTHING",
            params![id, check_value],
        )?;
    }
    Ok(())
}
