//! A full database, for `regrant serve --database` and for any load tool: what `seed.rs` makes, by COPY.
//!
//! A run that stops in the middle leaves whole chunks: what is in the file of tokens is in the database. `--add` goes on from there.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use regrant::{keys, system::SystemSource};
use regrant_engine::ports::{Random, Store};
use regrant_store::postgres::{Address, Environment, Options, PostgresStore};

use crate::{
    Failure, SeedArguments,
    chains::Chance,
    clock,
    seed::{Seeded, Seeder, Tokens, broken},
};

/// What is to be made, and where its secrets go.
pub(crate) struct Plan<'a> {
    /// How many grants.
    pub(crate) grants: u64,
    /// Made where there is none.
    pub(crate) keys: &'a Path,
    /// One a line.
    pub(crate) tokens: &'a Path,
    /// Whom the store belongs to.
    pub(crate) issuer: &'a str,
    /// To what is there.
    pub(crate) add: bool,
}

/// `regrant-bench seed --database`
pub(crate) fn run(arguments: &SeedArguments, url: &str) -> Result<ExitCode, Failure> {
    let keys = arguments.keys.clone().unwrap_or_else(|| beside(&arguments.tokens));
    let SeedArguments { grants, tokens, issuer, add, .. } = arguments;
    let plan = Plan { grants: *grants, keys: &keys, tokens, issuer, add: *add };
    let seeded = seed(url, &plan)?;
    eprintln!(
        "{grants} grants of {} users, in {:.1} s; their refresh tokens in {}, the keys in {}",
        seeded.users,
        seeded.took.as_secs_f64(),
        tokens.display(),
        keys.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn beside(tokens: &Path) -> PathBuf {
    tokens.with_file_name("keys.toml")
}

/// Migrates the database and fills it.
pub(crate) fn seed(url: &str, plan: &Plan<'_>) -> Result<Seeded, Failure> {
    let address = Address::parse(url, &Environment::of_process()).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::at("cannot start the runtime"))?;
    runtime.block_on(async {
        let store = PostgresStore::new(address, Arc::new(SystemSource::new()), Options::default());
        store.migrate().await.map_err(Failure::at("the database cannot be used"))?;
        fill(&store, plan).await
    })
}

async fn fill(store: &PostgresStore, plan: &Plan<'_>) -> Result<Seeded, Failure> {
    let begun = clock::now();
    let seeder = seeder(store, plan).await?;
    let mut tokens = Tokens::new(plan.tokens, plan.add)?;
    let refresh_keys = Arc::clone(&seeder.refresh_keys);
    store.foresee(Box::new(move |grant| refresh_keys.tags(grant)));
    let users = seeder.users(store, plan.grants).await?;
    let done = seeder.sessions(store, &users, 0..plan.grants, plan.grants, &mut tokens).await;
    done.map_err(|failure| {
        Failure::new(format!(
            "{failure}. {} of {} grants are in the database, and their tokens in {}: \"--add --grants {}\" goes on, or begin \
             anew with an empty database",
            tokens.count,
            plan.grants,
            plan.tokens.display(),
            plan.grants - tokens.count
        ))
    })?;
    Ok(Seeded { users: users.len() as u64, took: clock::now() - begun })
}

/// Made for this store and its keys. Nothing is written to a store that is somebody's.
async fn seeder(store: &PostgresStore, plan: &Plan<'_>) -> Result<Seeder, Failure> {
    let shown = plan.keys.display();
    let known = store.identity().await.map_err(broken)?;
    let is_empty = store.users(None, 1).await.map_err(broken)?.is_empty();
    if !is_empty && !plan.add {
        return Err(Failure::usage(
            "there are users in this database already: name an empty one, or say --add if they may have company",
        ));
    }
    if let Some(issuer) = known.issuer.filter(|issuer| issuer != plan.issuer) {
        return Err(Failure::usage(format!("this database belongs to {issuer}: say so with --issuer")));
    }
    if !plan.keys.exists() {
        if !known.refresh_keys.is_empty() {
            return Err(Failure::usage(format!(
                "this database has its keys already: name their file, there is no {shown}"
            )));
        }
        keys::create(plan.keys, &SystemSource::new()).map_err(Failure::at("no keys"))?;
    }
    // What is added to others must have other ids and names than they.
    let (chance, suffix) = if is_empty { (1, String::new()) } else { another() };
    let seeder = Seeder::new(plan.keys, plan.issuer, Chance(chance), &suffix)?;
    if known.refresh_keys.is_empty() {
        store.remember(seeder.identity.clone()).await.map_err(broken)?;
    } else if known.refresh_keys != seeder.identity.refresh_keys {
        return Err(Failure::usage(format!("{shown} does not have the keys of this database")));
    }
    Ok(seeder)
}

fn another() -> (u64, String) {
    let mut bytes = [0; 8];
    SystemSource::new().fill(&mut bytes);
    let chance = u64::from_le_bytes(bytes);
    (chance, format!("-{chance:016x}"))
}
