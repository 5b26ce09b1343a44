//! What a migration leaves to be done on many rows: beside the traffic, a batch at a time, by one node, from where the last one stopped.
//!
//! 1. A migration declares it ([`Long`]). Its own transaction puts down that it is to be done: a row of `meta` ([`put`]).
//! 2. [`carry_on`] takes the lease and does one batch, in a transaction of its own that holds the lease fast and writes down how far it
//!    came. A node that dies leaves whole batches and that row; whoever has the lease next goes on there.
//! 3. A walk through the table is done when its end is reached. Nodes of the version before may still write rows in the old form behind
//!    it, and the new version reads both forms until another migration takes the old one away. That one names this work in its `needs`:
//!    then the table is walked through again, until a whole walk found nothing to change ([`is_whole`]).
//! 4. An index is built without a transaction, which locks nobody out. One that was left unfinished is dropped and built again.
//!
//! Deadlines of the lease are by the database's clock: no node's can take it away from another.

use std::{sync::Arc, time::Duration};

use regrant_engine::{
    ports::{Broken, Carried},
    time::Seconds,
};
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    Inner,
    fault::Fault,
    lease, meta,
    pool::Db,
    row::{Columns, count},
    schema::Migration,
    transact,
};

/// The lease: one node does it, the others leave it to that one.
const LEASE: &str = "migrations";
/// A batch takes a part of it.
const LEASED: Seconds = Seconds(60);
/// How often it is renewed while an index is built.
const RENEWED: Duration = Duration::from_secs(15);
/// A batch that waited longer would hold its rows up.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '1s'";

/// Work on many rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Long {
    /// Rows are rewritten.
    Fill(Fill),
    /// An index is built.
    Index(Index),
}

/// A statement for each range of a table's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fill {
    /// Which table is walked through.
    pub table: &'static str,
    /// The columns by which, in order, each with its type: together unique, and the beginning of an index.
    pub key: &'static [(&'static str, &'static str)],
    /// What is done to the rows of `{range}`: only to those that need it, so that a second time changes nothing.
    pub sql: &'static str,
    /// How many rows a batch has. All of them are locked until it is over.
    pub batch: u32,
}

/// An index on a table that has many rows already. An index on a new table belongs into its migration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Index {
    /// What it is called.
    pub name: &'static str,
    /// On what, as in `grants (user_id) WHERE …`.
    pub on: &'static str,
}

/// How far the long work of a migration is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LongWork {
    /// The migration's version.
    pub version: u32,
    /// The migration's name.
    pub name: &'static str,
    /// What it is.
    pub what: String,
    /// Whether it was begun, and whether it is over.
    pub state: LongState,
    /// How many rows were changed.
    pub changed: u64,
    /// How many rows this walk has passed; to a batch.
    pub seen: u64,
    /// How many there are, where the engine has an idea of it.
    pub rows: Option<u64>,
    /// Which walk this is.
    pub walk: u32,
}

/// See [`LongWork`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LongState {
    /// Nobody has begun.
    Pending,
    /// It was begun.
    Running,
    /// It is over.
    Done,
}

impl LongState {
    /// As it is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
        }
    }
}

/// The row that says how far it is.
#[derive(Debug, Default, PartialEq)]
struct Stand {
    /// The last row that was passed; none at the beginning of a walk.
    after: Option<Vec<String>>,
    walk: u32,
    /// In this walk.
    seen: u64,
    /// In this walk.
    found: u64,
    changed: u64,
    done: bool,
    /// It is walked through again for this migration, which needs it whole.
    before: Option<u32>,
}

impl Stand {
    fn new() -> Self {
        Self { walk: 1, ..Self::default() }
    }

    fn written(&self) -> String {
        let Self { after, walk, seen, found, changed, done, before } = self;
        json!({
            "after": after, "walk": walk, "seen": seen, "found": found, "changed": changed, "done": done, "before": before,
        })
        .to_string()
    }

    fn read(text: &str) -> Result<Self, Fault> {
        let value: Value = serde_json::from_str(text)?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        let small = |name: &str| number(name).and_then(|number| u32::try_from(number).ok());
        let key = value.get("after").and_then(Value::as_array);
        Ok(Self {
            after: key.map(|key| key.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            walk: small("walk").unwrap_or(1),
            seen: number("seen").unwrap_or_default(),
            found: number("found").unwrap_or_default(),
            changed: number("changed").unwrap_or_default(),
            done: value.get("done").and_then(Value::as_bool).unwrap_or_default(),
            before: small("before"),
        })
    }

    fn again(&mut self) {
        *self =
            Self { walk: self.walk.saturating_add(1), changed: self.changed, before: self.before, ..Self::default() };
    }

    /// A batch passed up to `last`, or to the end, and changed so many rows.
    fn pass(&mut self, last: Option<Vec<String>>, batch: u32, changed: u64) {
        self.found += changed;
        self.changed += changed;
        match last {
            Some(last) => {
                self.seen += u64::from(batch);
                self.after = Some(last);
            }
            None if self.before.is_none() || self.found == 0 => self.done = true,
            None => self.again(),
        }
    }
}

fn name(version: u32) -> String {
    format!("long.{version}")
}

/// Puts down that it is to be done.
pub(super) async fn put(db: &Db, version: u32) -> Result<(), Fault> {
    meta::remember(db, &name(version), &Stand::new().written()).await
}

async fn write(db: &Db, version: u32, stand: &Stand) -> Result<(), Fault> {
    meta::remember(db, &name(version), &stand.written()).await
}

/// How far it is; until the transaction is over, nobody else goes on with it.
async fn hold(db: &Db, version: u32) -> Result<Stand, Fault> {
    let row = db.row("SELECT value FROM meta WHERE name = $1 FOR UPDATE", &[&name(version)]).await?;
    let row = row.ok_or_else(|| Fault::damaged("it is not written down how far a migration's long work is"))?;
    Stand::read(Columns::new(&row).take()?)
}

/// Whether no row needs it any more, which the migration `before` counts on. If that is not known, it is walked through again.
pub(super) async fn is_whole(db: &Db, migration: &Migration, before: u32) -> Result<bool, Fault> {
    let Some(long) = migration.long else { return Ok(true) };
    let mut stand = hold(db, migration.version).await?;
    if stand.before == Some(before) || matches!(long, Long::Index(_)) {
        return Ok(stand.done);
    }
    stand.before = Some(before);
    if stand.done {
        stand.again();
    }
    write(db, migration.version, &stand).await?;
    Ok(false)
}

/// All of it, of the migrations that were carried out.
pub(super) async fn all(db: &Db, migrations: &[Migration]) -> Result<Vec<LongWork>, Fault> {
    let mut all = Vec::new();
    for migration in migrations {
        let Some(long) = migration.long else { continue };
        let Some(text) = meta::find(db, &name(migration.version)).await? else { continue };
        let stand = Stand::read(&text)?;
        let (what, rows) = match long {
            Long::Fill(fill) => (format!("rows of {}", fill.table), about(db, fill.table).await),
            Long::Index(index) => (format!("index {}", index.name), None),
        };
        all.push(LongWork {
            version: migration.version,
            name: migration.name,
            what,
            state: match stand {
                Stand { done: true, .. } => LongState::Done,
                Stand { after: None, walk: 1, .. } => LongState::Pending,
                _ => LongState::Running,
            },
            changed: stand.changed,
            seen: stand.seen,
            rows,
            walk: stand.walk,
        });
    }
    Ok(all)
}

/// How many rows a table has, as far as the engine's statistics know. For people alone, so it may fail.
async fn about(db: &Db, table: &str) -> Option<u64> {
    let sql = "SELECT reltuples::bigint FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid)";
    let row = db.row(sql, &[&table]).await.ok()??;
    let told: i64 = Columns::new(&row).take().ok()?;
    u64::try_from(told).ok().filter(|rows| *rows > 0)
}

/// Does the next batch of what is not done.
pub(super) async fn carry_on(inner: &Arc<Inner>) -> Result<Carried, Broken> {
    let Some((version, long)) = transact!(inner, db => next(db, inner.migrations))? else { return Ok(Carried::Done) };
    let holder = inner.holder;
    let Some(fence) = transact!(inner, db => take(db, holder))? else { return Ok(Carried::Elsewhere) };
    let done = match long {
        Long::Fill(fill) => transact!(inner, db => batch(db, version, &fill, fence))?,
        Long::Index(index) => build(inner, version, &index, fence).await?,
    };
    match done {
        None => return Ok(Carried::Elsewhere),
        Some(false) => {}
        // Nobody has to wait until it runs out.
        Some(true) => transact!(inner, db => give_back(db, fence))?,
    }
    Ok(Carried::More)
}

async fn next(db: &Db, migrations: &[Migration]) -> Result<Option<(u32, Long)>, Fault> {
    for migration in migrations {
        let Some(long) = migration.long else { continue };
        let Some(text) = meta::find(db, &name(migration.version)).await? else { continue };
        if !Stand::read(&text)?.done {
            return Ok(Some((migration.version, long)));
        }
    }
    Ok(None)
}

async fn take(db: &Db, holder: Uuid) -> Result<Option<i64>, Fault> {
    let now = lease::there(db).await?;
    lease::take(db, LEASE, holder, now, LEASED).await
}

async fn give_back(db: &Db, fence: i64) -> Result<(), Fault> {
    let now = lease::there(db).await?;
    lease::give_back(db, LEASE, fence, now).await
}

/// One batch: whether it was the last one, `None` if the lease is somebody else's by now.
async fn batch(db: &Db, version: u32, fill: &Fill, fence: i64) -> Result<Option<bool>, Fault> {
    db.run(LOCK_TIMEOUT, &[]).await?;
    if !lease::holds(db, LEASE, fence).await? {
        return Ok(None);
    }
    let mut stand = hold(db, version).await?;
    if stand.done {
        return Ok(Some(true));
    }
    let after = stand.after.take();
    let last = last(db, fill, after.as_deref()).await?;
    let sql = fill.sql.replace("{range}", &range(fill.key, after.is_some(), last.is_some()));
    let ends: Vec<String> = after.into_iter().chain(last.clone()).flatten().collect();
    let changed = db.run(&sql, &params(&ends)).await?;
    stand.pass(last, fill.batch, changed);
    write(db, version, &stand).await?;
    Ok(Some(stand.done))
}

/// The last row of the batch after this one; `None` if fewer than that are left.
async fn last(db: &Db, fill: &Fill, after: Option<&[String]>) -> Result<Option<Vec<String>>, Fault> {
    let columns = columns(fill.key);
    let told: Vec<String> = fill.key.iter().map(|(column, _)| format!("{column}::text")).collect();
    let (told, table) = (told.join(", "), fill.table);
    let range = range(fill.key, after.is_some(), false);
    let offset = count(fill.batch.saturating_sub(1));
    let sql = format!("SELECT {told} FROM {table} WHERE {range} ORDER BY {columns} LIMIT 1 OFFSET {offset}");
    let Some(row) = db.row(&sql, &params(after.unwrap_or_default())).await? else { return Ok(None) };
    let mut read = Columns::new(&row);
    fill.key.iter().map(|_| read.take()).collect::<Result<_, _>>().map(Some)
}

/// The condition for the rows after one and up to another, where there are these. What a key has travels as text: a row of any
/// types can be written down, and read.
fn range(key: &[(&str, &str)], has_after: bool, has_last: bool) -> String {
    let columns = columns(key);
    let mut number = 0;
    let mut row = |sign: &str| {
        let values: Vec<String> = key
            .iter()
            .map(|(_, of)| {
                number += 1;
                format!("${number}::text::{of}")
            })
            .collect();
        format!("({columns}) {sign} ({})", values.join(", "))
    };
    let ends = [has_after.then(|| row(">")), has_last.then(|| row("<="))];
    let ends: Vec<String> = ends.into_iter().flatten().collect();
    if ends.is_empty() { "true".to_owned() } else { ends.join(" AND ") }
}

fn columns(key: &[(&str, &str)]) -> String {
    key.iter().map(|(column, _)| *column).collect::<Vec<_>>().join(", ")
}

fn params(values: &[String]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// Builds an index on a connection of its own: nothing of the pool's waits for so long. The lease is renewed meanwhile.
async fn build(inner: &Arc<Inner>, version: u32, index: &Index, fence: i64) -> Result<Option<bool>, Broken> {
    let holder = inner.holder;
    transact!(inner, db => begin(db, version))?;
    let own = inner.pool.connect().await?;
    let mut building = std::pin::pin!(build_on(&own, index));
    let mut renewal = tokio::time::interval(RENEWED);
    loop {
        tokio::select! {
            built = &mut building => {
                built?;
                break;
            }
            _ = renewal.tick() => {
                if transact!(inner, db => take(db, holder))? != Some(fence) {
                    return Ok(None);
                }
            }
        }
    }
    transact!(inner, db => built(db, version, fence))
}

/// It was begun, which nothing else shows of an index.
async fn begin(db: &Db, version: u32) -> Result<(), Fault> {
    let stand = Stand { walk: 2, ..hold(db, version).await? };
    write(db, version, &stand).await
}

async fn built(db: &Db, version: u32, fence: i64) -> Result<Option<bool>, Fault> {
    if !lease::holds(db, LEASE, fence).await? {
        return Ok(None);
    }
    let stand = Stand { done: true, ..hold(db, version).await? };
    write(db, version, &stand).await?;
    Ok(Some(true))
}

async fn build_on(db: &Db, Index { name, on }: &Index) -> Result<(), Fault> {
    // No transaction: it waits for those under way, and locks out nobody who reads or writes. If somebody who is believed dead is still
    // at it, it waits for that, too, and finds the index.
    let create = format!("CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {on}");
    db.client.batch_execute(&create).await?;
    if is_valid(db, name).await? == Some(false) {
        db.client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
        db.client.batch_execute(&create).await?;
    }
    match is_valid(db, name).await? {
        Some(true) => Ok(()),
        Some(false) | None => Err(Fault::Unreachable(format!("the index {name} was not finished; it is built again"))),
    }
}

/// Whether an index is whole; `None` if there is none. One whose building was broken off stays behind and is not.
async fn is_valid(db: &Db, name: &str) -> Result<Option<bool>, Fault> {
    let sql = "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
               WHERE c.relname = $1 AND pg_table_is_visible(c.oid)";
    let row = db.row(sql, &[&name]).await?;
    row.map(|row| Columns::new(&row).take()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_ends_that_there_are() {
        let key = [("shard", "integer"), ("id", "uuid")];
        assert_eq!(range(&key, false, false), "true");
        assert_eq!(range(&key, true, false), "(shard, id) > ($1::text::integer, $2::text::uuid)");
        assert_eq!(range(&key, false, true), "(shard, id) <= ($1::text::integer, $2::text::uuid)");
        assert_eq!(range(&key[1..], true, true), "(id) > ($1::text::uuid) AND (id) <= ($2::text::uuid)");
    }

    #[test]
    fn one_walk_is_enough_until_a_migration_needs_it_whole() {
        let at = |key: &str| Some(vec![key.to_owned()]);
        let mut stand = Stand::new();
        stand.pass(at("7"), 10, 9);
        assert_eq!((stand.seen, stand.changed, stand.done), (10, 9, false));
        assert_eq!(Stand::read(&stand.written()).unwrap(), stand);
        stand.pass(None, 10, 2);
        assert!(stand.done);
        stand.before = Some(9);
        stand.again();
        assert_eq!((stand.walk, stand.after.is_none(), stand.done, stand.changed), (2, true, false, 11));
        stand.pass(None, 10, 1);
        assert_eq!((stand.walk, stand.done), (3, false), "it found one that had been written since");
        stand.pass(at("7"), 10, 0);
        stand.pass(None, 10, 0);
        assert_eq!((stand.walk, stand.done, stand.changed), (3, true, 12));
    }
}
