//! A database on its way to another place, or coming from one (`crate::moving`), and nodes that learn of it.
//!
//! Statements that read or empty a whole table begin with the word of the command: it stands in the database's log, and the tests of what
//! engines that spread over machines may be asked (`tests/spread.rs`) know by it that nobody is served meanwhile.

use std::{sync::Arc, time::Duration};

use regrant_engine::{
    ports::{Answer, Broken},
    time::{Seconds, Time},
};
use tokio_postgres::{Row as Found, types::ToSql};
use uuid::Uuid;

use super::{
    Inner, PostgresStore,
    fault::Fault,
    grant::{self, COLUMNS},
    meta,
    pool::Db,
    renewals,
    row::Columns,
    schema::{self, OpenError},
    transact,
};
use crate::moving::{
    Batch, Cell, MARK, Mark, Movable, POSITION, Position, Row, STORE, TABLES, Table, grant::Travelling, table::Kind,
};

/// What connections of a move call themselves, so that one does not take what another one left behind for a node.
pub(super) const APPLICATION: &str = "regrant move";
/// A node sweeps every thirty seconds.
const SWEPT_LATELY: Seconds = Seconds(60);
/// How often, and how soon again, it is asked who else is there.
const ASKED: u32 = 30;
const ASK_AGAIN: Duration = Duration::from_millis(100);

async fn mark_of(db: &Db) -> Result<Option<Mark>, Fault> {
    meta::find(db, MARK).await?.map(|text| parse(&text)).transpose()
}

fn parse(text: &str) -> Result<Mark, Fault> {
    Mark::parse(text).map_err(damaged)
}

fn damaged(broken: Broken) -> Fault {
    Fault::Damaged(match broken {
        Broken::Damaged(what) | Broken::Store(what) => what,
        Broken::Overloaded => String::new(),
    })
}

/// Whether a node or a command may work on it; that one did, is noted.
pub(super) async fn admit(db: &Db) -> Result<(), OpenError> {
    if let Some(text) = meta::find(db, MARK).await?
        && let Mark::Arrived { came, used: false } = parse(&text)?
    {
        // If it was taken back at this moment, that is what is found below.
        let used = Mark::Arrived { came, used: true }.text();
        db.run("UPDATE meta SET value = $2 WHERE name = $1 AND value = $3", &[&MARK, &used, &text]).await?;
    }
    match mark_of(db).await?.and_then(|mark| mark.why_not()) {
        None => Ok(()),
        Some(why) => Err(OpenError::Moved(why)),
    }
}

/// Why a running node must not go on, if it must not.
pub(super) async fn why_not(db: &Db) -> Result<Option<String>, Fault> {
    Ok(mark_of(db).await?.and_then(|mark| mark.why_not()))
}

async fn has_users(db: &Db) -> Result<bool, Fault> {
    Ok(db.row("/* regrant move */ SELECT 1 FROM users LIMIT 1", &[]).await?.is_some())
}

impl PostgresStore {
    /// Why the store must not be worked on, if it is at another place or on its way.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked.
    pub async fn why_not(&self) -> Result<Option<String>, Broken> {
        let lease = self.inner.pool.take().await?;
        Ok(why_not(&lease).await?)
    }

    /// Looks at the schema before a move, which must be this version's; where there is none, it is made if `makes` says so.
    /// Whatever the store says of a move is not looked at.
    ///
    /// # Errors
    /// [`OpenError`] says what is to be done.
    pub async fn prepare_move(&self, makes: bool) -> Result<(), OpenError> {
        let lease = self.inner.pool.take().await?;
        let migrations = self.inner.migrations;
        // Whoever was stopped while it made the tables has left some of them, without a user.
        if makes && (schema::version(&lease).await? == 0 || !has_users(&lease).await?) {
            while let schema::Step::Done(_) = schema::step(&lease, migrations).await? {}
        }
        schema::check_version(&lease, migrations).await
    }
}

impl Movable for PostgresStore {
    fn mark(&self) -> Answer<'_, Option<Mark>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { transact!(inner, db => mark_of(db)) })
    }

    fn set_mark(&self, expected: Option<Mark>, next: Option<Mark>) -> Answer<'_, bool> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { transact!(inner, db => set_mark(db, expected.as_ref(), next.as_ref())) })
    }

    fn id(&self, fresh: String) -> Answer<'_, String> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { transact!(inner, db => id(db, &fresh)) })
    }

    fn occupied(&self) -> Answer<'_, Option<&'static str>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { transact!(inner, db => occupied(db)) })
    }

    fn in_use(&self, now: Time) -> Answer<'_, Option<String>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            // What was stopped a moment ago is still going.
            let mut tick = tokio::time::interval(ASK_AGAIN);
            for _ in 0..ASKED {
                tick.tick().await;
                if transact!(inner, db => in_use(db, now))?.is_none() {
                    return Ok(None);
                }
            }
            transact!(inner, db => in_use(db, now))
        })
    }

    fn clear(&self, mark: Mark) -> Answer<'_, ()> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { transact!(inner, db => clear(db, &mark)) })
    }

    fn read(&self, table: &'static Table, after: Option<Row>, limit: u32) -> Answer<'_, Batch> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            match table.name {
                "grants" => transact!(inner, db => read_grants(db, table, after.as_deref(), limit)),
                _ => transact!(inner, db => read_rows(db, table, after.as_deref(), limit)),
            }
        })
    }

    fn position(&self, table: &'static Table) -> Answer<'_, Position> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let name = format!("{POSITION}{}", table.name);
            let text = transact!(inner, db => meta::find(db, &name))?;
            Position::parse(text.as_deref())
        })
    }

    fn write(&self, table: &'static Table, rows: Vec<Row>, expected: Position, next: Position) -> Answer<'_, bool> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { write(&inner, table, &rows, &expected, &next).await })
    }

    fn settle(&self) -> Answer<'_, ()> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { transact!(inner, db => analyze(db)) })
    }
}

async fn set_mark(db: &Db, expected: Option<&Mark>, next: Option<&Mark>) -> Result<bool, Fault> {
    db.strongly().await?;
    // Whoever changes it at the same moment waits.
    meta::lock(db, MARK).await?;
    if mark_of(db).await?.as_ref() != expected {
        return Ok(false);
    }
    if matches!(next, Some(Mark::Arrived { .. })) {
        db.run("/* regrant move */ DELETE FROM meta WHERE name LIKE $1", &[&format!("{POSITION}%")]).await?;
    }
    match next {
        Some(mark) => meta::remember(db, MARK, &mark.text()).await?,
        None => {
            db.run("DELETE FROM meta WHERE name = $1", &[&MARK]).await?;
        }
    }
    Ok(true)
}

async fn id(db: &Db, fresh: &str) -> Result<String, Fault> {
    if let Some(known) = meta::find(db, STORE).await? {
        return Ok(known);
    }
    meta::remember(db, STORE, fresh).await?;
    Ok(fresh.to_owned())
}

async fn occupied(db: &Db) -> Result<Option<&'static str>, Fault> {
    for table in &TABLES {
        let only = table.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
        if db.row(&format!("/* regrant move */ SELECT 1 FROM {}{only} LIMIT 1", table.name), &[]).await?.is_some() {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

/// Nodes leave no sign of their own when they stop. On PostgreSQL their connections are seen; other engines tell of connections to
/// one of their machines or of none, but the lease of the sweep is everywhere.
async fn in_use(db: &Db, now: Time) -> Result<Option<String>, Fault> {
    let told = db.row("/* regrant move */ SELECT version()", &[]).await?;
    let version: String = told.map_or(Ok(String::new()), |row| Columns::new(&row).take())?;
    let sql = "/* regrant move */ SELECT coalesce(application_name, ''), count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND usename = current_user AND pid <> pg_backend_pid() AND coalesce(application_name, '') <> $1 \
         GROUP BY 1 ORDER BY 2 DESC LIMIT 1";
    if let Some(row) = db.row(sql, &[&APPLICATION]).await? {
        let mut columns = Columns::new(&row);
        let (name, count): (String, i64) = (columns.take()?, columns.take()?);
        return Ok(Some(format!("{count} connections of \"{name}\"")));
    }
    if version.starts_with("PostgreSQL") && !version.contains("YB") {
        return Ok(None);
    }
    let row = db.row("SELECT until FROM leases WHERE name = 'sweep'", &[]).await?;
    let until = row.map(|row| Columns::new(&row).time()).transpose()?;
    Ok(until
        .filter(|until| *until > now.minus(SWEPT_LATELY))
        .map(|_| "a node swept it within the last minute; wait so long after the last one was stopped".to_owned()))
}

async fn clear(db: &Db, mark: &Mark) -> Result<(), Fault> {
    db.strongly().await?;
    let tables: Vec<&str> = TABLES.iter().filter(|table| table.only.is_none()).map(|table| table.name).collect();
    db.run(&format!("/* regrant move */ TRUNCATE {}", tables.join(", ")), &[]).await?;
    db.run(
        "/* regrant move */ DELETE FROM meta WHERE name IN ('issuer', 'resources.ever') OR name LIKE 'sweep.%'",
        &[],
    )
    .await?;
    db.run("/* regrant move */ DELETE FROM meta WHERE name LIKE $1", &[&format!("{POSITION}%")]).await?;
    meta::remember(db, MARK, &mark.text()).await
}

/// Plans are made of what is known of a table: nothing, after it was filled at once.
async fn analyze(db: &Db) -> Result<(), Fault> {
    for table in &TABLES {
        db.run(&format!("/* regrant move */ ANALYZE {}", table.name), &[]).await?;
    }
    Ok(())
}

async fn read_grants(db: &Db, table: &Table, after: Option<&[Cell]>, limit: u32) -> Result<Batch, Fault> {
    let walk = table.walk(table.postgres_order, '$', after.is_some());
    let sql = format!("/* regrant move */ SELECT {COLUMNS}, g.renewals FROM grants g{walk}");
    let mut batch = Batch { rows: Vec::new(), last: None };
    for row in walked(db, table, &sql, after, limit).await? {
        let mut columns = Columns::new(&row);
        let grant::Record { grant, auth_time, amr, mut roles, .. } = grant::read(&mut columns)?;
        let kept = renewals::all(columns.take()?, &grant.context.user_agent, grant.context.prefix);
        // The database sorts in its language.
        roles.sort_unstable();
        let travelling = Travelling { grant, auth_time, amr: amr.into(), roles: roles.into(), renewals: kept };
        let [a, b, c, d, ..] = travelling.grant.id.0;
        batch.last = Some(vec![Cell::Shard([a, b, c, d]), Cell::Id(travelling.grant.id.0)]);
        batch.rows.push(travelling.row());
    }
    Ok(batch)
}

async fn read_rows(db: &Db, table: &Table, after: Option<&[Cell]>, limit: u32) -> Result<Batch, Fault> {
    let order = table.postgres_order;
    let names = table.columns.iter().map(|column| column.name).chain(order.iter().map(|(name, _)| *name));
    let walk = table.walk(order, '$', after.is_some());
    let sql = format!("/* regrant move */ SELECT {} FROM {}{walk}", names.collect::<Vec<_>>().join(", "), table.name);
    let mut batch = Batch { rows: Vec::new(), last: None };
    for row in walked(db, table, &sql, after, limit).await? {
        let mut columns = Columns::new(&row);
        let cells = table.columns.iter().map(|column| cell(&mut columns, column.kind));
        batch.rows.push(cells.collect::<Result<_, _>>()?);
        let place = order.iter().map(|(_, kind)| cell(&mut columns, *kind));
        batch.last = Some(place.collect::<Result<_, _>>()?);
    }
    Ok(batch)
}

type Parameter = Box<dyn ToSql + Sync + Send>;

async fn walked(db: &Db, table: &Table, sql: &str, after: Option<&[Cell]>, limit: u32) -> Result<Vec<Found>, Fault> {
    let mut parameters: Vec<Parameter> = vec![Box::new(i64::from(limit))];
    for (cell, (_, kind)) in after.into_iter().flatten().zip(table.postgres_order) {
        parameters.push(one(cell, *kind)?);
    }
    let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect();
    db.rows(sql, &parameters).await
}

fn cell(columns: &mut Columns<'_>, kind: Kind) -> Result<Cell, Fault> {
    let found = match kind {
        Kind::Id => columns.id_or_none()?.map(Cell::Id),
        Kind::Shard => columns.take::<Option<i32>>()?.map(|shard| Cell::Shard(shard.to_be_bytes())),
        Kind::Bytes | Kind::Said => columns.take::<Option<Vec<u8>>>()?.map(Cell::Bytes),
        Kind::Text => columns.take::<Option<String>>()?.map(Cell::Text),
        Kind::Number => columns.take::<Option<i64>>()?.map(Cell::Number),
        Kind::Small => columns.take::<Option<i16>>()?.map(|number| Cell::Number(number.into())),
        Kind::Flag => columns.take::<Option<bool>>()?.map(Cell::Flag),
    };
    Ok(found.unwrap_or(Cell::Null))
}

fn unfit() -> Fault {
    Fault::damaged("a row on its way holds a value of another kind than its column")
}

/// A cell as a parameter.
fn one(cell: &Cell, kind: Kind) -> Result<Parameter, Fault> {
    Ok(match (kind, cell) {
        (Kind::Id, Cell::Id(id)) => Box::new(Uuid::from_bytes(*id)),
        (Kind::Shard, Cell::Shard(shard)) => Box::new(i32::from_be_bytes(*shard)),
        (Kind::Bytes | Kind::Said, Cell::Bytes(bytes)) => Box::new(bytes.clone()),
        (Kind::Text, Cell::Text(text)) => Box::new(text.clone()),
        (Kind::Number, Cell::Number(number)) => Box::new(*number),
        (Kind::Small, Cell::Number(number)) => Box::new(i16::try_from(*number).map_err(|_| unfit())?),
        (Kind::Flag, Cell::Flag(flag)) => Box::new(*flag),
        _ => return Err(unfit()),
    })
}

async fn write(
    inner: &Arc<Inner>,
    table: &Table,
    rows: &[Row],
    expected: &Position,
    next: &Position,
) -> Result<bool, Broken> {
    let columns = table.columns.iter().enumerate().map(|(index, column)| many(rows, index, column.kind));
    let columns = columns.collect::<Result<Vec<Parameter>, _>>().map_err(Broken::from)?;
    let names: Vec<&str> =
        table.columns.iter().map(|column| column.name).chain(table.anew.iter().map(|(name, _)| *name)).collect();
    let values: String = table.anew.iter().map(|(_, value)| format!(", {value}")).collect();
    let arrays = table.columns.iter().zip(1..).map(|(column, index)| format!("${index}::{}[]", name_of(column.kind)));
    // One statement for all rows, in SQL that every engine knows.
    let sql = format!(
        "INSERT INTO {} ({}) SELECT a.*{values} FROM unnest({}) AS a",
        table.name,
        names.join(", "),
        arrays.collect::<Vec<_>>().join(", ")
    );
    let (expected, next) = (expected.text(), next.text().unwrap_or_default());
    let name = format!("{POSITION}{}", table.name);
    transact!(inner, db => write_batch(db, &sql, &columns, &name, (expected.as_deref(), &next)))
}

async fn write_batch(
    db: &Db,
    sql: &str,
    columns: &[Parameter],
    name: &str,
    (expected, next): (Option<&str>, &str),
) -> Result<bool, Fault> {
    // A batch of a run that was killed may be on its way still: its transaction has locked this row, or comes later and fails.
    let row = db.row("SELECT value FROM meta WHERE name = $1 FOR UPDATE", &[&name]).await?;
    let found: Option<String> = row.map(|row| Columns::new(&row).take()).transpose()?;
    if found.as_deref() != expected {
        return Ok(false);
    }
    match expected {
        // Of two that begin, one finds that the row is there, and does this once more.
        None => db.run("INSERT INTO meta (name, value) VALUES ($1, $2)", &[&name, &next]).await?,
        Some(_) => db.run("UPDATE meta SET value = $2 WHERE name = $1", &[&name, &next]).await?,
    };
    let parameters: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect();
    db.run(sql, &parameters).await?;
    Ok(true)
}

const fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Id => "uuid",
        Kind::Shard => "integer",
        Kind::Bytes | Kind::Said => "bytea",
        Kind::Text => "text",
        Kind::Number => "bigint",
        Kind::Small => "smallint",
        Kind::Flag => "boolean",
    }
}

/// A column of many rows as an array.
fn many(rows: &[Row], index: usize, kind: Kind) -> Result<Parameter, Fault> {
    fn array<T>(rows: &[Row], index: usize, read: impl Fn(&Cell) -> Option<T>) -> Result<Vec<Option<T>>, Fault> {
        let cells = rows.iter().map(|row| match row.get(index) {
            Some(Cell::Null) => Ok(None),
            Some(cell) => read(cell).map(Some).ok_or_else(unfit),
            None => Err(unfit()),
        });
        cells.collect()
    }
    macro_rules! of {
        ($pattern:pat => $value:expr) => {
            Box::new(array(rows, index, |cell| if let $pattern = cell { $value } else { None })?)
        };
    }
    Ok(match kind {
        Kind::Id => of!(Cell::Id(id) => Some(Uuid::from_bytes(*id))),
        Kind::Shard => of!(Cell::Shard(shard) => Some(i32::from_be_bytes(*shard))),
        Kind::Bytes | Kind::Said => of!(Cell::Bytes(bytes) => Some(bytes.clone())),
        Kind::Text => of!(Cell::Text(text) => Some(text.clone())),
        Kind::Number => of!(Cell::Number(number) => Some(*number)),
        Kind::Small => of!(Cell::Number(number) => i16::try_from(*number).ok()),
        Kind::Flag => of!(Cell::Flag(flag) => Some(*flag)),
    })
}
