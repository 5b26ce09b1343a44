//! A run on PostgreSQL: what a refresh costs there, beside what the database's own benchmark makes of the cheapest durable write.
//!
//! 1. The database, which must be empty but for tables, is migrated and filled.
//! 2. The server is started on it, and put under load as always (`refresh.rs`).
//! 3. The server is stopped, and pgbench updates one row a transaction in a table of its own, as large as that of the grants, for
//!    the same time, with as many connections as the server had.

use std::{path::PathBuf, process::Command, process::ExitCode, sync::Arc};

use regrant::system::SystemSource;
use regrant_engine::ports::Store;
use regrant_store::postgres::{Address, Environment, Options, PostgresStore};
use serde_json::json;

use crate::{
    Failure, RefreshArguments,
    http::Dialect,
    process,
    refresh::{measure, read_tokens},
    report::Memory,
    seed::{self, DEFAULT_ISSUER},
    server::{self, Server},
};

/// As the server has it.
const CONNECTIONS: u32 = 32;

pub(crate) fn run(arguments: &RefreshArguments, url: &str) -> Result<ExitCode, Failure> {
    let binary = server::binary()?;
    let place = tempfile::tempdir().map_err(Failure::at("cannot make a directory"))?;
    let (keys, tokens) = (place.path().join("keys.toml"), place.path().join("tokens"));
    let address = Address::parse(url, &Environment::of_process()).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::at("cannot start the runtime"))?;
    let seeded = runtime.block_on(async {
        let store = PostgresStore::new(address, Arc::new(SystemSource::new()), Options::default());
        let (version, _) = store.version().await.map_err(Failure::at("the database cannot be used"))?;
        // Tables alone are welcome: an engine that spreads over machines is told where to put them before they are filled.
        if version > 0 && !store.refresh_keys().await.map_err(Failure::at("the database cannot be used"))?.is_empty() {
            return Err(Failure::usage("there is a store in this database already: name an empty one"));
        }
        store.migrate().await.map_err(Failure::at("the database cannot be migrated"))?;
        seed::fill_database(&store, &keys, arguments.grants, &tokens, DEFAULT_ISSUER).await
    })?;
    drop(runtime);
    eprintln!("seeded {} grants in {:.1} s", arguments.grants, seeded.took.as_secs_f64());
    tell(url, &["-c", "VACUUM ANALYZE"])?;

    let mut command = Command::new(&binary);
    // What has a password goes by the environment.
    command.env("REGRANT_DATABASE__URL", url).env("REGRANT_DATABASE__CONNECTIONS", CONNECTIONS.to_string());
    command.env("REGRANT_DATABASE__REFRESHES_PER_STATEMENT", arguments.batch.to_string());
    command.current_dir(place.path()).args(["--json", "--keys"]).arg(&keys).args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::launch(command, Dialect::Session, "/health/ready", &place.path().join("server.log"))?;
    let (started_in, opened) = (server.started_in, process::resident(server.id())?);
    let chains = read_tokens(&tokens, arguments.grants)?;
    let measured = measure(arguments, server.target.clone(), chains, Some(server.id()))?;
    let memory = Memory { empty: opened, opened, end: process::resident(server.id())? };
    server.stop()?;
    let report = measured.report(arguments, started_in, memory, None)?;
    let refreshes = report.summary().map(|summary| summary.per_second).unwrap_or_default();
    let updates = pgbench(url, arguments, place.path().join("one.sql"))?;
    let share = refreshes / updates.max(1.0);
    if arguments.json {
        let mut document = report.json();
        if let Some(object) = document.as_object_mut() {
            let beside =
                json!({"updates_per_second": updates, "refreshes_per_update": share, "batch": arguments.batch});
            object.insert("pgbench".to_owned(), beside);
        }
        println!("{document}");
    } else {
        println!("{}", report.text());
        println!(
            "pgbench           {updates:.0} one-row updates/s ({CONNECTIONS} connections, the same database and time); a refresh a \
             second to each {:.2} of them",
            1.0 / share.max(f64::MIN_POSITIVE)
        );
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Updates a second, one row a transaction.
fn pgbench(url: &str, arguments: &RefreshArguments, script: PathBuf) -> Result<f64, Failure> {
    let rows = arguments.grants;
    tell(
        url,
        &[
            "-c",
            "DROP TABLE IF EXISTS pgbench_one",
            "-c",
            "CREATE TABLE pgbench_one (id bigint PRIMARY KEY, value bigint)",
        ],
    )?;
    tell(url, &["-c", &format!("INSERT INTO pgbench_one SELECT g, 0 FROM generate_series(1, {rows}) g")])?;
    let text = format!("\\set id random(1, {rows})\nUPDATE pgbench_one SET value = value + 1 WHERE id = :id;\n");
    std::fs::write(&script, text).map_err(Failure::at("cannot write pgbench's script"))?;
    let (connections, seconds) = (CONNECTIONS.to_string(), arguments.seconds.to_string());
    let mut command = Command::new(program("pgbench"));
    command.args(["-n", "-M", "prepared", "-j", "2", "-c", &connections, "-T", &seconds, "-f"]).arg(&script).arg(url);
    let ran = command.output().map_err(Failure::at("cannot start pgbench (Debian: postgresql)"))?;
    let out = String::from_utf8_lossy(&ran.stdout);
    let told = out.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|rest| rest.split(' ').next());
    let rate = told.and_then(|number| number.parse().ok());
    tell(url, &["-c", "DROP TABLE pgbench_one"])?;
    rate.ok_or_else(|| Failure::new(format!("pgbench said: {out}{}", String::from_utf8_lossy(&ran.stderr))))
}

fn tell(url: &str, arguments: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new(program("psql"));
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url]).args(arguments);
    let ran = command.output().map_err(Failure::at("cannot start psql (Debian: postgresql-client)"))?;
    if ran.status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("psql said: {}", String::from_utf8_lossy(&ran.stderr))))
    }
}

/// Where Debian keeps a version's programs; elsewhere what the path has.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|program| program.exists()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}
