//! `regrant migrate`: the tables of a database. The embedded store migrates itself when it is opened.

use std::{sync::Arc, time::Duration};

use regrant_engine::ports::{Broken, Carried, Store};
use regrant_store::postgres::{Address, Long, LongState, LongWork, Migration, OpenError, Options, PostgresStore};
use serde_json::{Value, json};

use super::{Failure, arguments::MigrateCommand};
use crate::{
    control::Reply,
    home::{HomeError, Place},
    system::SystemSource,
};

/// How often it is told how far the long work is.
const TOLD_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn run(place: &Place, command: &MigrateCommand) -> Result<Reply, Failure> {
    let Place::Database(address) = place else {
        return Err(Failure::usage(format!(
            "the store in {place} migrates itself when it is opened: this is for a database, --database URL"
        )));
    };
    let failed = |error: OpenError| HomeError::Database { shown: address.to_string(), error };
    let broken = |broken| failed(OpenError::Broken(broken));
    let store = PostgresStore::new(Address::clone(address), Arc::new(SystemSource::new()), Options::default());
    let (found, due) = store.due().await.map_err(broken)?;
    let names = |migrations: &[Migration]| {
        let names = migrations.iter().map(|migration| format!("{} {}", migration.version, migration.name));
        names.collect::<Vec<_>>().join(", ")
    };
    match command {
        MigrateCommand::Status => {
            // Where there are no tables nothing was begun.
            let work = if found == 0 { Vec::new() } else { store.long_work().await.map_err(broken)? };
            let left = if found == 0 { Vec::new() } else { store.unspread().await.map_err(broken)? };
            let first = match due.is_empty() {
                true => format!("schema {found}: nothing is due"),
                false => format!("schema {found}; due: {}", names(&due)),
            };
            Ok(Reply {
                document: json!({
                    "schema": found,
                    "due": listed(&due),
                    "long": work.iter().map(as_json).collect::<Vec<_>>(),
                    "unspread": left,
                }),
                text: told(first, &work, &left),
            })
        }
        MigrateCommand::Up { dry_run: true } => Ok(Reply {
            document: json!({"schema": found, "due": listed(&due), "sql": due.iter().map(sql).collect::<Vec<_>>()}),
            text: due.iter().map(sql).collect::<Vec<_>>().join("\n\n"),
        }),
        MigrateCommand::Up { dry_run: false } => {
            let done = store.migrate().await.map_err(failed)?;
            let worked = finish(&store).await.map_err(broken)?;
            let version = done.last().map_or(found, |last| last.version);
            let left = store.unspread().await.map_err(broken)?;
            let first = match done.is_empty() {
                true => format!("schema {version}: nothing was due"),
                false => format!("schema {version}; done: {}", names(&done)),
            };
            Ok(Reply {
                document: json!({
                    "schema": version,
                    "done": listed(&done),
                    "long": worked.iter().map(as_json).collect::<Vec<_>>(),
                    "unspread": left,
                }),
                text: told(first, &worked, &left),
            })
        }
    }
}

/// A line about the schema, one for each long work, and what Citus has to hear: it spreads no table that it was not told of.
fn told(first: String, work: &[LongWork], unspread: &[String]) -> String {
    let mut lines: Vec<_> = std::iter::once(first).chain(work.iter().map(shown)).collect();
    if !unspread.is_empty() {
        lines.push("this is Citus, and some tables lie on the coordinator alone; say to it:\n".to_owned());
        lines.extend_from_slice(unspread);
    }
    lines.join("\n")
}

fn listed(migrations: &[Migration]) -> Vec<Value> {
    let one = |migration: &Migration| {
        json!({
            "version": migration.version,
            "name": migration.name,
            "oldest": migration.oldest,
            "long": migration.long.is_some(),
        })
    };
    migrations.iter().map(one).collect()
}

/// What a migration does, as far as it is known before.
fn sql(migration: &Migration) -> String {
    let Migration { version, name, sql, long, needs, oldest } = migration;
    let mut text = format!("-- {version} {name}: nodes that know schema {oldest} or newer go on beside it\n");
    if !needs.is_empty() {
        let needs = needs.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("-- after the long work of: {needs}\n"));
    }
    text.push_str(sql.trim_end());
    match long {
        None => {}
        Some(Long::Fill(fill)) => text.push_str(&format!(
            "\n-- afterwards, beside the traffic, for {} rows at a time:\n{};",
            fill.batch,
            fill.sql.trim_end().replace("{range}", "…")
        )),
        Some(Long::Index(index)) => text.push_str(&format!(
            "\n-- afterwards, beside the traffic:\nCREATE INDEX CONCURRENTLY {} ON {};",
            index.name, index.on
        )),
    }
    text
}

/// Goes on with the long work until nothing is left of it, and tells how far it is on standard error; what was worked at. Whoever stops this
/// loses nothing: it goes on from there, here or at any node that serves.
async fn finish(store: &PostgresStore) -> Result<Vec<LongWork>, Broken> {
    let begun: Vec<u32> = left(store).await?.iter().map(|work| work.version).collect();
    let mut tick = tokio::time::interval(TOLD_EVERY);
    while !begun.is_empty() {
        let mut carrying = store.carry_on();
        let carried = loop {
            tokio::select! {
                carried = &mut carrying => break carried?,
                _ = tick.tick() => tell(store).await?,
            }
        };
        match carried {
            Carried::Done => break,
            Carried::More => {}
            Carried::Elsewhere => {
                tick.tick().await;
                tell(store).await?;
            }
        }
    }
    let mut all = store.long_work().await?;
    all.retain(|work| begun.contains(&work.version));
    Ok(all)
}

async fn left(store: &PostgresStore) -> Result<Vec<LongWork>, Broken> {
    let mut all = store.long_work().await?;
    all.retain(|work| work.state != LongState::Done);
    Ok(all)
}

async fn tell(store: &PostgresStore) -> Result<(), Broken> {
    left(store).await?.iter().for_each(|work| eprintln!("{}", shown(work)));
    Ok(())
}

fn as_json(work: &LongWork) -> Value {
    json!({
        "version": work.version,
        "name": work.name,
        "what": work.what,
        "state": work.state.as_str(),
        "walk": work.walk,
        "seen": work.seen,
        "rows": work.rows,
        "changed": work.changed,
    })
}

fn shown(work: &LongWork) -> String {
    let LongWork { version, name, what, state, changed, seen, rows, .. } = work;
    let of = rows.map(|rows| format!(" of about {rows}")).unwrap_or_default();
    match state {
        LongState::Pending => format!("{version} {name}, {what}: pending"),
        LongState::Running => format!("{version} {name}, {what}: running, {seen}{of} seen, {changed} changed"),
        LongState::Done => format!("{version} {name}, {what}: done, {changed} changed"),
    }
}
