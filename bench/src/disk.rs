//! What the store takes on disk: its files while it is served, and its tables once it is closed.

use std::{collections::BTreeMap, fs, path::Path};

use rusqlite::{Connection, OpenFlags};

use crate::Failure;

/// The files of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files {
    /// `regrant.db`, in bytes.
    pub(crate) database: u64,
    /// Its write-ahead log.
    pub(crate) log: u64,
}

impl Files {
    /// Of the store in `data`.
    pub(crate) fn of(data: &Path) -> Self {
        let size = |name: &str| fs::metadata(data.join(name)).map_or(0, |metadata| metadata.len());
        Self { database: size("regrant.db"), log: size("regrant.db-wal") }
    }

    pub(crate) fn total(self) -> u64 {
        self.database + self.log
    }
}

/// Bytes of each table and index of a closed store, by name; the largest tell where a grant's bytes are.
pub(crate) fn tables(data: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let read = || -> rusqlite::Result<BTreeMap<String, u64>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(data.join("regrant.db"), flags)?;
        // The second column is hidden: one row for each tree instead of one for each page.
        let mut statement = db.prepare("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE")?;
        let rows = statement.query_map([], |row| {
            let bytes: i64 = row.get(1)?;
            Ok((row.get(0)?, u64::try_from(bytes).unwrap_or_default()))
        })?;
        rows.collect()
    };
    read().map_err(Failure::at("cannot look into the store"))
}
