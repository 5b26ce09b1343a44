//! `regrant-bench`: what a refresh costs the server, measured from outside.
//!
//! 1. `seed.rs` makes a store that is as full as asked for, and a file with one refresh token a line; `seed_database.rs` does so in
//!    a database.
//! 2. `refresh.rs` is a run: it starts the server on such a store (`server.rs`), measures a bare signature (`signature.rs`),
//!    and puts load on for a while.
//! 3. `compare.rs` is such a run, and behind it one of another server, npm `oidc-provider` (`peer.rs`).
//! 4. `connection.rs` carries rotation chains over one keep-alive connection: `chains.rs` says which token is next, `http.rs`
//!    writes requests and reads replies, `schedule.rs` says when requests are due in an open loop.
//! 5. `histogram.rs` keeps the latencies; `process.rs` and `disk.rs` say what the server used. `report.rs` prints all of it.

mod chains;
mod clock;
mod compare;
mod connection;
mod database;
mod disk;
mod histogram;
mod http;
mod peer;
mod process;
mod refresh;
mod report;
mod schedule;
mod seed;
mod seed_database;
mod server;
mod signature;

use std::{fmt, path::PathBuf, process::ExitCode};

use clap::Parser;

/// Measures Regrant: what a refresh costs, how fast it is, what a grant takes of memory and disk.
#[derive(Parser)]
#[command(name = "regrant-bench", version, max_term_width = 100)]
enum Arguments {
    /// Fill a new store that `regrant serve` then opens, and write a refresh token a line
    Seed(SeedArguments),
    /// Carry rotation chains over keep-alive connections and say what they cost
    Refresh(RefreshArguments),
    /// Measure Regrant, then npm oidc-provider under the same load, and lay the figures side by side
    Compare(CompareArguments),
}

#[derive(clap::Args)]
struct SeedArguments {
    /// The data directory to make
    #[arg(long, value_name = "DIR", required_unless_present = "database")]
    data: Option<PathBuf>,
    /// The PostgreSQL database to fill; a password is better in PGPASSWORD
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    database: Option<String>,
    /// The key file of the database, made where there is none; without it keys.toml beside the tokens
    #[arg(long, value_name = "FILE", requires = "database")]
    keys: Option<PathBuf>,
    /// Add to the users and grants that the database has, and to the file of tokens
    #[arg(long, requires = "database")]
    add: bool,
    /// How many grants, each with its session; a user for every ten
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    grants: u64,
    /// Where the refresh tokens go, one a line, for the owner's eyes only
    #[arg(long, value_name = "FILE")]
    tokens: PathBuf,
    /// Whom the store belongs to: what "regrant serve --issuer" will say
    #[arg(long, value_name = "URL", default_value = seed::DEFAULT_ISSUER)]
    issuer: String,
}

#[derive(clap::Args)]
struct RefreshArguments {
    /// How many grants the server knows and the chains run over
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    grants: u64,
    /// How many keep-alive connections
    #[arg(long, value_name = "C", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// How long to measure, after the warm-up
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Requests a second, at times that are known beforehand (open loop); without it each connection sends when it has its reply
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// On this PostgreSQL database, which is empty or was filled by "seed" (--tokens, --keys), and pgbench's own one-row updates
    /// there beside it
    #[arg(long, value_name = "URL", conflicts_with_all = ["target", "store"])]
    database: Option<String>,
    /// The key file of a database that "seed" filled
    #[arg(long, value_name = "FILE", requires = "database", requires = "tokens")]
    keys: Option<PathBuf>,
    /// How many refreshes may share a statement on the database; 1 for engines that spread over machines
    #[arg(long, value_name = "N", default_value_t = 256, requires = "database")]
    batch: u32,
    /// A server that runs already, http://HOST:PORT; without it one is started on a store that is seeded first
    #[arg(long, value_name = "URL", requires = "tokens")]
    target: Option<String>,
    /// One refresh token a line: the target's, or those of --store, or those of --database, for which successors are written at the end
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// A store that "seed" made, which is copied instead of seeding one: for run after run from the same start
    #[arg(long, value_name = "DIR", requires = "tokens", conflicts_with = "target")]
    store: Option<PathBuf>,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct CompareArguments {
    /// How many grants each server knows and the chains run over
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    grants: u64,
    /// How many keep-alive connections
    #[arg(long, value_name = "C", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// How long to measure each, after the warm-up
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Seed(arguments) => seed::run(&arguments),
        Arguments::Refresh(arguments) => refresh::run(&arguments),
        Arguments::Compare(arguments) => compare::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("regrant-bench: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Why there is no result.
#[derive(Debug)]
struct Failure {
    said: String,
    code: u8,
}

impl Failure {
    fn new(said: impl Into<String>) -> Self {
        Self { said: said.into(), code: 1 }
    }

    /// What was asked for cannot be.
    fn usage(said: impl Into<String>) -> Self {
        Self { said: said.into(), code: 2 }
    }

    /// For `map_err`: what was being done, and what came in between.
    fn at<E: fmt::Display>(doing: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self::new(format!("{doing}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}
