//! A run on PostgreSQL: what a refresh costs there, beside what the database's own benchmark makes of the cheapest durable write.
//!
//! 1. The database is migrated and filled, unless `seed` has filled it before. Tables alone are welcome: an engine that spreads over
//!    machines is told where to put them before they are filled.
//! 2. The server is started on it, and put under load as always (`refresh.rs`).
//! 3. The server is stopped, and pgbench updates one row a transaction in a table of its own, as large as that of the grants, for
//!    the same time (a minute at most), with as many connections as the server had.
//!
//! A database is not copied for the run: the tokens of one that was filled before are used up, and their file gets the successors.

use std::{path::PathBuf, process::Command, process::ExitCode};

use serde_json::json;

use crate::{
    Failure, RefreshArguments,
    http::Dialect,
    process,
    refresh::{measure, read_tokens, replace_tokens},
    report::Memory,
    seed::DEFAULT_ISSUER,
    seed_database::{self, Plan},
    server::{self, Server},
};

/// As the server has it.
const CONNECTIONS: u32 = 32;
/// pgbench's seconds at most: behind an hour of refreshes nobody waits for an hour of its own.
const LONGEST: u64 = 60;

pub(crate) fn run(arguments: &RefreshArguments, url: &str) -> Result<ExitCode, Failure> {
    let binary = server::binary()?;
    let place = tempfile::tempdir().map_err(Failure::at("cannot make a directory"))?;
    let (keys, tokens) = match (&arguments.keys, &arguments.tokens) {
        (Some(keys), Some(tokens)) => {
            (std::path::absolute(keys).map_err(Failure::at("cannot tell where the keys are"))?, tokens.clone())
        }
        (None, None) => {
            let (keys, tokens) = (place.path().join("keys.toml"), place.path().join("tokens"));
            let plan =
                Plan { grants: arguments.grants, keys: &keys, tokens: &tokens, issuer: DEFAULT_ISSUER, add: false };
            let seeded = seed_database::seed(url, &plan)?;
            eprintln!("seeded {} grants in {:.1} s", arguments.grants, seeded.took.as_secs_f64());
            (keys, tokens)
        }
        _ => {
            return Err(Failure::usage(
                "--tokens and --keys go together: both are of the \"seed\" that filled the database",
            ));
        }
    };
    tell(url, &["-c", "VACUUM ANALYZE"])?;

    let mut command = Command::new(&binary);
    // What has a password goes by the environment.
    command.env("REGRANT_DATABASE__URL", url).env("REGRANT_DATABASE__CONNECTIONS", CONNECTIONS.to_string());
    command.env("REGRANT_DATABASE__REFRESHES_PER_STATEMENT", arguments.batch.to_string());
    command.current_dir(place.path()).args(["--json", "--keys"]).arg(&keys).args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::launch(command, Dialect::Session, "/health/ready", &place.path().join("server.log"))?;
    let (started_in, opened) = (server.started_in, process::resident(server.id())?);
    let chains = read_tokens(&tokens, arguments.grants)?;
    let used = chains.len();
    let mut measured = measure(arguments, server.target.clone(), chains, Some(server.id()))?;
    if arguments.tokens.is_some() {
        replace_tokens(&tokens, used, &std::mem::take(&mut measured.left))?;
    }
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
    let (connections, seconds) = (CONNECTIONS.to_string(), arguments.seconds.min(LONGEST).to_string());
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
