//! A place on its way to another one, or filled from one: its store, opened by nobody else meanwhile, and without the keys, which
//! travel as a file.

use std::{fs::File, path::Path, sync::Arc};

use regrant_engine::ports::Random;
use regrant_store::{
    moving::Movable,
    postgres::{Address, OpenError, Options, PostgresStore},
    sqlite::{self, moving::Parked},
};

use super::{HomeError, Place, check_modes, lock, make_directory, make_store, store_file};
use crate::system::SystemSource;

/// A store that takes part in a move.
pub(crate) struct Parking {
    pub(crate) store: Box<dyn Movable>,
    /// Where it is: the same each time, and no secret.
    pub(crate) name: String,
    // Last, so that it is dropped last: the lock is held until the store is closed.
    _lock: Option<File>,
}

impl Parking {
    /// What a place is called.
    pub(crate) fn name(place: &Place) -> String {
        match place {
            Place::Directory(directory) => {
                let whole = std::fs::canonicalize(directory).or_else(|_| std::path::absolute(directory));
                whole.unwrap_or_else(|_| directory.clone()).display().to_string()
            }
            Place::Database(address) => address.to_string(),
        }
    }

    /// Opens what is at a place, whatever it says of a move; `makes` what is missing.
    pub(crate) async fn open(place: &Place, makes: bool) -> Result<Self, HomeError> {
        match place {
            Place::Directory(directory) => Self::open_directory(directory, makes),
            Place::Database(address) => Self::open_database(address, makes).await,
        }
    }

    fn open_directory(directory: &Path, makes: bool) -> Result<Self, HomeError> {
        let database = store_file(directory);
        if !makes && !database.exists() {
            return Err(HomeError::NoStore(directory.to_owned()));
        }
        make_directory(directory)?;
        check_modes(directory, &database)?;
        let lock = lock(directory)?;
        if !database.exists() {
            let random: Arc<dyn Random> = Arc::new(SystemSource::new());
            make_store(directory, &database, &random)?;
        }
        let store = Parked::open(&database).map_err(|error: sqlite::OpenError| {
            HomeError::File(format!("cannot open the store {}: {error}", database.display()))
        })?;
        let name = Self::name(&Place::Directory(directory.to_owned()));
        Ok(Self { store: Box::new(store), name, _lock: Some(lock) })
    }

    async fn open_database(address: &Address, makes: bool) -> Result<Self, HomeError> {
        let name = Self::name(&Place::Database(Box::new(address.clone())));
        let failed = |error: OpenError| HomeError::Database { shown: name.clone(), error };
        // One connection: what is asked of others' is not answered with ours.
        let options = Options { connections: 1, batch: 1, ..Options::default() };
        let store = PostgresStore::new(address.clone().of_a_move(), Arc::new(SystemSource::new()), options);
        store.prepare_move(makes).await.map_err(failed)?;
        Ok(Self { store: Box::new(store), name, _lock: None })
    }
}
