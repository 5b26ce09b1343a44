//! `regrant move`: a store goes from one place to another, and is compared there.

use std::path::PathBuf;

use regrant_engine::ports::Clock;
use regrant_store::{
    moving::{self, MoveError, Moved, Side, TakenBack, Total},
    postgres::{Address, Environment},
};
use serde_json::json;

use super::{Failure, PASSWORD_IN_URL, arguments::MoveArgs};
use crate::{
    control::{Reply, table::table},
    home::{self, Parking, Place},
    system::{Stopwatch, SystemClock, SystemSource},
};

/// Digits of a digest that people are shown.
const SHOWN: usize = 16;

pub(super) async fn run(arguments: &MoveArgs) -> Result<Reply, Failure> {
    let (from, to) = (place("--from", &arguments.from)?, place("--to", &arguments.to)?);
    let began = Stopwatch::start();
    // First: a mistyped source leaves nothing behind where it was to go.
    let source = Parking::open(&from, false).await?;
    if is_same(&from, &to, &source) {
        return Err(Failure::usage("--from and --to name the same store"));
    }
    let (here, now) = (Side { store: &*source.store, name: &source.name }, SystemClock.now());
    if arguments.take_back {
        let name = Parking::name(&to);
        let opened = Parking::open(&to, false).await;
        let there = opened.as_ref().map(|parking| &*parking.store).map_err(ToString::to_string);
        let taken = moving::take_back(here, &name, there, now).await.map_err(failed)?;
        return Ok(taken_back(taken, json!({"from": here.name, "to": name}), here.name, &name));
    }
    let destination = Parking::open(&to, true).await?;
    let there = Side { store: &*destination.store, name: &destination.name };
    let names = json!({"from": here.name, "to": there.name});
    let moved = moving::carry(here, there, now, &SystemSource::new(), moving::BATCH).await.map_err(failed)?;
    Ok(told(&moved, names, (&from, here.name), (&to, there.name), began.elapsed().as_secs_f64()))
}

fn failed(error: MoveError) -> Failure {
    Failure::no(error.to_string())
}

/// Where a store is: a database by its URL; a directory by its path, or by a URL with that.
fn place(option: &str, text: &str) -> Result<Place, Failure> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        if Address::has_password(text) {
            return Err(Failure::usage(format!("{option}: {PASSWORD_IN_URL}")));
        }
        let address = Address::parse(text, &Environment::of_process());
        let address = address.map_err(|why| Failure::usage(format!("{option}: {why}")))?;
        return Ok(Place::Database(Box::new(address)));
    }
    let wrong = |why: &str| {
        Failure::usage(format!(
            "{option} {text}: {why}. Name a data directory, as /var/lib/regrant or sqlite:///var/lib/regrant, or a database, as \
             postgres://user@host/name"
        ))
    };
    let path = match text.split_once("://") {
        None => text,
        Some(("sqlite" | "file", path)) if path.contains(['%', '?', '#']) => {
            return Err(wrong("a path with % ? or # is named without sqlite:// before it"));
        }
        Some(("sqlite", path)) => path,
        Some(("file", path)) if path.starts_with('/') => path,
        Some(("file", _)) => return Err(wrong("there are three strokes before a path of this machine")),
        Some((_, _)) => return Err(wrong("there is no store of that kind")),
    };
    if path.is_empty() {
        return Err(wrong("there is nothing"));
    }
    let path = PathBuf::from(path);
    if path.is_file() {
        return Err(wrong("that is a file, and a store is a directory with its key file and its lock"));
    }
    Ok(Place::Directory(path))
}

fn is_same(from: &Place, to: &Place, source: &Parking) -> bool {
    match (from, to) {
        (Place::Directory(_), Place::Directory(to)) => Parking::name(&Place::Directory(to.clone())) == source.name,
        (Place::Database(from), Place::Database(to)) => from.to_string() == to.to_string(),
        _ => false,
    }
}

fn told(
    moved: &Moved,
    mut document: serde_json::Value,
    (from, from_name): (&Place, &str),
    (to, to_name): (&Place, &str),
    seconds: f64,
) -> Reply {
    let (tables, text): (&[(&str, Total)], _) = match moved {
        Moved::Before => (&[], format!("{from_name} has been moved to {to_name}: nothing was left to do")),
        Moved::Now(tables) => {
            let rows = tables.iter().map(|(name, total)| {
                let digest = total.digest().chars().take(SHOWN).collect();
                vec![(*name).to_owned(), total.rows.to_string(), digest]
            });
            let listed = table(&["TABLE", "ROWS", "DIGEST"], &rows.collect::<Vec<_>>());
            (tables, format!("moved {from_name} to {to_name} in {seconds:.1} s, and both are the same:\n{listed}"))
        }
    };
    let listed: Vec<_> = tables
        .iter()
        .map(|(name, total)| json!({"table": name, "rows": total.rows, "digest": total.digest()}))
        .collect();
    if let Some(object) = document.as_object_mut() {
        object.insert("tables".to_owned(), listed.into());
        object.insert("already".to_owned(), (*moved == Moved::Before).into());
    }
    let text = format!("{text}\n{from_name} is not served any more. {}", next(from, to, to_name));
    Reply { document, text }
}

/// What is to be done with the keys.
fn next(from: &Place, to: &Place, name: &str) -> String {
    let keys = match from {
        Place::Directory(directory) => home::key_file(directory, None).display().to_string(),
        Place::Database(_) => "the nodes' key file".to_owned(),
    };
    match to {
        Place::Database(_) => {
            format!(
                "The keys are not in the database: copy {keys} to every node, and\n  regrant serve --database {name} --keys FILE"
            )
        }
        Place::Directory(directory) => {
            let needed = home::key_file(directory, None);
            let copy = if needed.exists() {
                String::new()
            } else {
                format!("Copy {keys} to {} (mode 600), and", needed.display())
            };
            format!("{copy}\n  regrant serve --data {name}")
        }
    }
}

fn taken_back(taken: TakenBack, mut document: serde_json::Value, from: &str, to: &str) -> Reply {
    if let Some(object) = document.as_object_mut() {
        object.insert("taken_back".to_owned(), true.into());
        object.insert("was_finished".to_owned(), (taken == TakenBack::Unused).into());
    }
    let why = match taken {
        TakenBack::Unfinished => "the move was not finished",
        TakenBack::Unused => "nobody had used the copy",
    };
    Reply { document, text: format!("{from} is the store again, as it was: {why}. What is in {to} is not served") }
}
