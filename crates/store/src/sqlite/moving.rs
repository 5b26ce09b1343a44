//! The embedded store on its way to another place, or coming from one (`crate::moving`): its file, opened by nobody else, without
//! threads of its own.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use regrant_engine::{
    ports::{Answer, Broken},
    time::Time,
    token::GrantId,
};
use rusqlite::{Connection, OptionalExtension, params_from_iter, types::Value};

use super::{
    fault::Fault,
    file::{self, OpenError},
    grants::Desk,
    row::Columns,
    sweep::remember,
};
use crate::moving::{
    Batch, Cell, MARK, Mark, Movable, POSITION, Position, Row, STORE, TABLES, Table,
    grant::Travelling,
    table::{Column, Kind},
};

/// Bytes of grants in memory: only those of the journal are there.
const MEMORY: usize = 64 << 20;
/// Batches between two checkpoints of the write-ahead log.
const CHECKPOINT_EVERY: u32 = 32;

/// A file that is moved, or moved into.
pub struct Parked(Mutex<Inner>);

struct Inner {
    /// Always there; taken for a moment where it is made anew.
    desk: Option<Desk>,
    written: u32,
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parked")
    }
}

impl Parked {
    /// Opens the store in `file`, whatever it says of a move. Whoever calls this holds the directory's lock.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the file and how to mend it.
    pub fn open(file: &Path) -> Result<Self, OpenError> {
        let desk = Desk::new(file::open_for_writing(file)?, MEMORY)?;
        Ok(Self(Mutex::new(Inner { desk: Some(desk), written: 0 })))
    }

    /// Runs `job`. It blocks: whoever moves a store does nothing else.
    fn with<T: Send + 'static>(&self, job: impl FnOnce(&mut Inner) -> Result<T, Fault>) -> Answer<'_, T> {
        let done = job(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)).map_err(Broken::from);
        Box::pin(std::future::ready(done))
    }
}

impl Inner {
    fn desk(&self) -> Result<&Desk, Fault> {
        self.desk.as_ref().ok_or_else(|| Fault::damaged("the store was closed"))
    }

    /// Runs `work` in a transaction.
    fn transact<T>(&mut self, work: impl FnOnce(&Desk) -> Result<T, Fault>) -> Result<T, Fault> {
        let desk = self.desk()?;
        desk.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(desk).and_then(|done| {
            desk.seal()?;
            desk.execute_batch("COMMIT")?;
            Ok(done)
        });
        match &done {
            Ok(_) => desk.sealed(),
            Err(_) => {
                // It may be rolled back already.
                let _ = desk.execute_batch("ROLLBACK");
                desk.undo();
            }
        }
        done
    }

    /// Writes the write-ahead log back. One that cannot be synced is told.
    fn checkpoint(&self) -> Result<(), Fault> {
        self.desk()?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

fn find(db: &Connection, name: &str) -> Result<Option<String>, Fault> {
    let mut statement = db.prepare_cached("SELECT value FROM meta WHERE name = ?")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

fn mark_of(db: &Connection) -> Result<Option<Mark>, Fault> {
    let text = find(db, MARK)?;
    text.map(|text| Mark::parse(&text)).transpose().map_err(broken)
}

fn broken(broken: Broken) -> Fault {
    Fault::Damaged(match broken {
        Broken::Damaged(what) | Broken::Store(what) => what,
        Broken::Overloaded => String::new(),
    })
}

fn say(db: &Connection, mark: Option<&Mark>) -> Result<(), Fault> {
    match mark {
        Some(mark) => remember(db, MARK, &mark.text()),
        None => {
            db.execute("DELETE FROM meta WHERE name = ?", [MARK])?;
            Ok(())
        }
    }
}

/// Whether a store may be opened to be worked on; that it was, is noted. The directory's lock keeps a move from coming between.
pub(super) fn admit(db: &Connection) -> Result<(), OpenError> {
    match mark_of(db)? {
        None => Ok(()),
        Some(Mark::Arrived { came, used: false }) => Ok(say(db, Some(&Mark::Arrived { came, used: true }))?),
        Some(mark) => mark.why_not().map_or(Ok(()), |why| Err(OpenError::Moved(why))),
    }
}

impl Movable for Parked {
    fn mark(&self) -> Answer<'_, Option<Mark>> {
        self.with(|inner| mark_of(inner.desk()?))
    }

    fn set_mark(&self, expected: Option<Mark>, next: Option<Mark>) -> Answer<'_, bool> {
        self.with(|inner| {
            inner.transact(|desk| {
                if mark_of(desk)? != expected {
                    return Ok(false);
                }
                if matches!(next, Some(Mark::Arrived { .. })) {
                    desk.execute(&format!("DELETE FROM meta WHERE name LIKE '{POSITION}%'"), [])?;
                }
                say(desk, next.as_ref())?;
                Ok(true)
            })
        })
    }

    fn id(&self, fresh: String) -> Answer<'_, String> {
        self.with(|inner| {
            inner.transact(|desk| match find(desk, STORE)? {
                Some(known) => Ok(known),
                None => {
                    remember(desk, STORE, &fresh)?;
                    Ok(fresh)
                }
            })
        })
    }

    fn occupied(&self) -> Answer<'_, Option<&'static str>> {
        self.with(|inner| {
            for table in &TABLES {
                let only = table.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
                if inner.desk()?.prepare(&format!("SELECT 1 FROM {}{only} LIMIT 1", table.name))?.exists([])? {
                    return Ok(Some(table.name));
                }
            }
            Ok(None)
        })
    }

    fn in_use(&self, _: Time) -> Answer<'_, Option<String>> {
        // Nobody: whoever opened this holds the directory's lock.
        self.with(|_| Ok(None))
    }

    fn clear(&self, mark: Mark) -> Answer<'_, ()> {
        self.with(|inner| {
            inner.transact(|desk| {
                for table in TABLES.iter().filter(|table| table.only.is_none()) {
                    desk.execute(&format!("DELETE FROM {}", table.name), [])?;
                }
                for table in ["other_grants", "authentications", "journal"] {
                    desk.execute(&format!("DELETE FROM {table}"), [])?;
                }
                let gone = "name IN ('issuer', 'resources.ever') OR name LIKE 'sweep.%'";
                desk.execute(&format!("DELETE FROM meta WHERE {gone} OR name LIKE '{POSITION}%'"), [])?;
                say(desk, Some(&mark))
            })?;
            // Memory knew what the journal had.
            let db = inner.desk.take().ok_or_else(|| Fault::damaged("the store was closed"))?.into_connection();
            inner.desk = Some(Desk::new(db, MEMORY)?);
            Ok(())
        })
    }

    fn read(&self, table: &'static Table, after: Option<Row>, limit: u32) -> Answer<'_, Batch> {
        self.with(|inner| match table.name {
            "grants" => read_grants(inner.desk()?, after, limit),
            _ => read_rows(inner.desk()?, table, after, limit),
        })
    }

    fn position(&self, table: &'static Table) -> Answer<'_, Position> {
        self.with(|inner| {
            let text = find(inner.desk()?, &format!("{POSITION}{}", table.name))?;
            Position::parse(text.as_deref()).map_err(broken)
        })
    }

    fn write(&self, table: &'static Table, rows: Vec<Row>, expected: Position, next: Position) -> Answer<'_, bool> {
        self.with(|inner| {
            let written = inner.transact(|desk| {
                let name = format!("{POSITION}{}", table.name);
                if find(desk, &name)? != expected.text() {
                    return Ok(false);
                }
                match table.name {
                    "grants" => {
                        rows.into_iter().try_for_each(|row| desk.arrive(Travelling::of(row).map_err(broken)?))?
                    }
                    _ => write_rows(desk, table, rows)?,
                }
                remember(desk, &name, &next.text().unwrap_or_default())?;
                Ok(true)
            })?;
            inner.written += 1;
            if inner.written.is_multiple_of(CHECKPOINT_EVERY) {
                inner.checkpoint()?;
            }
            Ok(written)
        })
    }

    fn settle(&self) -> Answer<'_, ()> {
        self.with(|inner| inner.checkpoint())
    }
}

fn read_grants(desk: &Desk, after: Option<Row>, limit: u32) -> Result<Batch, Fault> {
    let after = match after.as_deref() {
        Some([Cell::Id(id)]) => Some(GrantId(*id)),
        Some(_) => return Err(Fault::damaged("the note of how far the move is cannot be read")),
        None => None,
    };
    let found = desk.departing(after, limit)?;
    let last = found.last().map(|travelling| vec![Cell::Id(travelling.grant.id.0)]);
    Ok(Batch { rows: found.into_iter().map(Travelling::row).collect(), last })
}

fn read_rows(desk: &Desk, table: &Table, after: Option<Row>, limit: u32) -> Result<Batch, Fault> {
    let order = table.embedded_order;
    let expressions = table.columns.iter().map(Column::expression).chain(order.iter().map(|(name, _)| *name));
    let sql = format!(
        "SELECT {} FROM {}{}",
        expressions.collect::<Vec<_>>().join(", "),
        table.name,
        table.walk(order, '?', after.is_some())
    );
    let mut parameters = vec![Value::Integer(limit.into())];
    parameters.extend(after.into_iter().flatten().map(value));
    let mut statement = desk.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(parameters))?;
    let mut batch = Batch { rows: Vec::new(), last: None };
    while let Some(row) = found.next()? {
        let mut columns = Columns::new(row);
        let cells = table.columns.iter().map(|column| cell(&mut columns, column.kind));
        batch.rows.push(cells.collect::<Result<_, _>>()?);
        let place = order.iter().map(|(_, kind)| cell(&mut columns, *kind));
        batch.last = Some(place.collect::<Result<_, _>>()?);
    }
    Ok(batch)
}

fn cell(columns: &mut Columns<'_, '_>, kind: Kind) -> Result<Cell, Fault> {
    let found = match kind {
        Kind::Id => columns.take::<Option<[u8; 16]>>()?.map(Cell::Id),
        Kind::Shard => columns.take::<Option<[u8; 4]>>()?.map(Cell::Shard),
        Kind::Bytes => columns.take::<Option<Vec<u8>>>()?.map(Cell::Bytes),
        Kind::Said => columns.take::<Option<String>>()?.map(|text| Cell::Bytes(text.into_bytes())),
        // PostgreSQL has no zeros in text. Nothing that is compared has any; words for people may.
        Kind::Text => columns
            .take::<Option<String>>()?
            .map(|text| Cell::Text(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })),
        Kind::Number | Kind::Small => columns.take::<Option<i64>>()?.map(Cell::Number),
        Kind::Flag => columns.take::<Option<i64>>()?.map(|flag| Cell::Flag(flag != 0)),
    };
    Ok(found.unwrap_or(Cell::Null))
}

fn write_rows(desk: &Desk, table: &Table, rows: Vec<Row>) -> Result<(), Fault> {
    let stored: Vec<&str> = table.columns.iter().filter_map(Column::stored).collect();
    let marks = vec!["?"; stored.len()].join(", ");
    let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", table.name, stored.join(", "));
    let mut statement = desk.prepare_cached(&sql)?;
    for row in rows {
        let cells = row.into_iter().zip(table.columns).filter(|(_, column)| column.stored().is_some());
        let values = cells.map(|(cell, column)| match (column.kind, cell) {
            (Kind::Said, Cell::Bytes(said)) => Value::Text(String::from_utf8_lossy(&said).into_owned()),
            (_, cell) => value(cell),
        });
        statement.execute(params_from_iter(values))?;
    }
    Ok(())
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Id(id) => Value::Blob(id.to_vec()),
        Cell::Shard(shard) => Value::Blob(shard.to_vec()),
        Cell::Bytes(bytes) => Value::Blob(bytes),
        Cell::Text(text) => Value::Text(text),
        Cell::Number(number) => Value::Integer(number),
        Cell::Flag(flag) => Value::Integer(flag.into()),
    }
}
