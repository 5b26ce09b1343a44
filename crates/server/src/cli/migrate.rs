//! `regrant migrate`: the tables of a database. The embedded store migrates itself when it is opened.

use std::sync::Arc;

use regrant_store::postgres::{Address, Migration, OpenError, Options, PostgresStore};
use serde_json::json;

use super::{Failure, arguments::MigrateCommand};
use crate::{
    control::Reply,
    home::{HomeError, Place},
    system::SystemSource,
};

pub(super) async fn run(place: &Place, command: &MigrateCommand) -> Result<Reply, Failure> {
    let Place::Database(address) = place else {
        return Err(Failure::usage(format!(
            "the store in {place} migrates itself when it is opened: this is for a database, --database URL"
        )));
    };
    let failed = |error: OpenError| HomeError::Database { shown: address.to_string(), error };
    let store = PostgresStore::new(Address::clone(address), Arc::new(SystemSource::new()), Options::default());
    let (found, due) = store.due().await.map_err(|broken| failed(OpenError::Broken(broken)))?;
    let listed: Vec<_> =
        due.iter().map(|migration| json!({"version": migration.version, "name": migration.name})).collect();
    let names = |migrations: &[Migration]| {
        let names = migrations.iter().map(|migration| format!("{} {}", migration.version, migration.name));
        names.collect::<Vec<_>>().join(", ")
    };
    // Citus spreads no table that it was not told of.
    let spread = |left: &[String]| match left.is_empty() {
        true => String::new(),
        false => {
            format!("\nthis is Citus, and some tables lie on the coordinator alone; say to it:\n\n{}", left.join("\n"))
        }
    };
    match command {
        MigrateCommand::Status => {
            let left = match found {
                0 => Vec::new(),
                _ => store.unspread().await.map_err(|broken| failed(OpenError::Broken(broken)))?,
            };
            let text = match due.is_empty() {
                true => format!("schema {found}: nothing is due"),
                false => format!("schema {found}; due: {}", names(&due)),
            };
            Ok(Reply {
                document: json!({"schema": found, "due": listed, "unspread": left}),
                text: format!("{text}{}", spread(&left)),
            })
        }
        MigrateCommand::Up { dry_run: true } => Ok(Reply {
            document: json!({"schema": found, "due": listed, "sql": due.iter().map(|one| one.sql).collect::<Vec<_>>()}),
            text: due.iter().map(|one| one.sql.trim_end()).collect::<Vec<_>>().join("\n\n"),
        }),
        MigrateCommand::Up { dry_run: false } => {
            let done = store.migrate().await.map_err(failed)?;
            let version = done.last().map_or(found, |last| last.version);
            let listed: Vec<_> =
                done.iter().map(|migration| json!({"version": migration.version, "name": migration.name})).collect();
            let left = store.unspread().await.map_err(|broken| failed(OpenError::Broken(broken)))?;
            let text = match done.is_empty() {
                true => format!("schema {version}: nothing was due"),
                false => format!("schema {version}; done: {}", names(&done)),
            };
            Ok(Reply {
                document: json!({"schema": version, "done": listed, "unspread": left}),
                text: format!("{text}{}", spread(&left)),
            })
        }
    }
}
