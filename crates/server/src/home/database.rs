//! A store in a database: no directory, no lock, no control socket. Commands work on it directly, and so do any number of nodes.

use std::{path::Path, sync::Arc};

use regrant_engine::{
    ports::{Random, Store},
    time::Seconds,
};
use regrant_store::{
    Listener,
    postgres::{Address, OpenError, Options, PostgresStore},
};

use super::{Home, HomeError, Missing};
use crate::{
    config::Config,
    keys::{self, Keys},
    system::SystemSource,
};

/// How far this machine's clock may be from the database's: deadlines are this machine's word.
const CLOCK: Seconds = Seconds(5);

impl Home {
    /// Reads the key file, looks at the database, and makes or migrates what is missing there.
    pub(super) async fn open_database(
        address: &Address,
        key_file: Option<&Path>,
        missing: Missing,
        config: &Config,
        listener: Option<Arc<dyn Listener>>,
    ) -> Result<Self, HomeError> {
        let Some(key_file) = key_file else {
            return Err(HomeError::Keys(
                "say where the key file is with --keys FILE: it is not in the database, and every node needs the same one"
                    .to_owned(),
            ));
        };
        let random = Arc::new(SystemSource::new());
        let random_of_store: Arc<dyn Random> = Arc::<SystemSource>::clone(&random);
        let connections = usize::try_from(config.database.connections).unwrap_or(usize::MAX);
        let batch = usize::try_from(config.database.refreshes_per_statement).unwrap_or(usize::MAX);
        let options = Options { connections, batch, listener, clock: Some(CLOCK), ..Options::default() };
        let store = PostgresStore::new(address.clone(), random_of_store, options);
        let failed = |error: OpenError| HomeError::Database { shown: address.to_string(), error };
        let (version, _) = store.version().await.map_err(|broken| failed(OpenError::Broken(broken)))?;
        if version == 0 && missing == Missing::Refuse {
            return Err(failed(OpenError::NoStore));
        }
        // Before keys are made that would be the wrong ones.
        if version > 0
            && let Some(why) = store.why_not().await?
        {
            return Err(failed(OpenError::Moved(why)));
        }
        let is_new = version == 0 || store.refresh_keys().await?.is_empty();
        let keys = keys_of(key_file, is_new, address, &random)?;
        match missing {
            Missing::Create => {
                for migration in store.migrate().await.map_err(failed)? {
                    tracing::info!(version = migration.version, name = migration.name, "the database was migrated");
                }
                let left = store.unspread().await?;
                if !left.is_empty() {
                    tracing::warn!(
                        tables = left.len(),
                        "this is Citus, and some tables lie on the coordinator alone: \"regrant migrate status\" tells what to say to it"
                    );
                }
            }
            Missing::Refuse => store.check().await.map_err(failed)?,
        }
        Ok(Self { store: Arc::new(store), keys, key_file: key_file.to_owned(), random, _lock: None })
    }
}

/// The keys in the file; those of a store that nobody has used yet are made, loudly.
fn keys_of(file: &Path, is_new: bool, address: &Address, random: &SystemSource) -> Result<Keys, HomeError> {
    if let Some(keys) = keys::read(file)? {
        return Ok(keys);
    }
    let shown = file.display();
    if !is_new {
        // A new key file for an old store would sign everybody out, silently.
        return Err(HomeError::Keys(format!(
            "the key file {shown} is missing, and the store in {address} cannot be used without it: copy it from another node, \
             or put it back from your backup"
        )));
    }
    keys::create(file, random)?;
    tracing::warn!(
        file = %shown,
        "NEW KEYS were made for a new store. EVERY NODE NEEDS THIS SAME FILE: copy it to the others before they start, and keep \
         a copy apart from the database's backups"
    );
    keys::read(file)?.ok_or_else(|| HomeError::Keys("the new key file vanished".to_owned()))
}
