//! Where the store is: a data directory, of one process at a time, or a database (`home/database.rs`), of any number of nodes. The
//! key file that belongs to it, and the engine wired to both.

mod database;
mod moving;

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use regrant_engine::{
    Engine,
    client::Clients,
    digest::Digests,
    event::Actor,
    factor::password::Hasher,
    keyring::{self, Keyring, Vault},
    mint::Mint,
    ports::{Broken, Clock, End, Identity, Observer, Random, Store, Unobserved},
    reason::Reason,
    token::{KeyId, RefreshKeys},
};
use regrant_store::{
    Listener,
    postgres::{self, Address},
    sqlite::{OpenError, Options, SqliteStore},
};

use crate::{
    config::Config,
    keeper::{self, Keeper},
    keys::{self, KeyFileError, Keys},
    system::{SystemClock, SystemSource},
};

pub(crate) use self::moving::Parking;

/// Why the data directory cannot be used.
#[derive(Debug)]
pub(crate) enum HomeError {
    /// There is no store, and this command does not make one.
    NoStore(PathBuf),
    /// Another process has it.
    InUse {
        /// The directory.
        directory: PathBuf,
        /// That process, if it has said so.
        process: Option<String>,
    },
    /// The store is at another place, or on its way there.
    Moved {
        /// The directory.
        directory: PathBuf,
        /// Where it is, and what to do.
        why: String,
    },
    /// The directory or a file in it.
    File(String),
    /// The key file.
    Keys(String),
    /// The database.
    Database {
        /// Which.
        shown: String,
        /// Why it cannot be used.
        error: postgres::OpenError,
    },
    /// The store works no more.
    Broken(Broken),
    /// The issuer is another one than the store's.
    Issuer {
        /// The store's.
        stored: String,
        /// The one asked for.
        asked: String,
    },
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore(directory) => write!(
                f,
                "there is no store in {}: start \"regrant serve\" once, or name the right directory with --data",
                directory.display()
            ),
            Self::InUse { directory, process } => {
                let holder = process.as_ref().map(|process| format!(" (process {process})")).unwrap_or_default();
                write!(
                    f,
                    "{} is in use by another regrant process{holder}: stop it first, or use another --data",
                    directory.display()
                )
            }
            Self::Moved { directory, why } => write!(f, "the store in {} cannot be used: {why}", directory.display()),
            Self::File(what) | Self::Keys(what) => f.write_str(what),
            Self::Database { shown, error } => write!(f, "{shown} cannot be used: {error}"),
            Self::Broken(broken) => broken.fmt(f),
            Self::Issuer { stored, asked } => write!(
                f,
                "this store belongs to the issuer {stored}, and people are signed in: as {asked} none of their tokens would \
                 work. Keep --issuer {stored}, or say --change-issuer to sign everybody out"
            ),
        }
    }
}

impl std::error::Error for HomeError {}

impl From<KeyFileError> for HomeError {
    fn from(error: KeyFileError) -> Self {
        Self::Keys(error.0)
    }
}

impl From<Broken> for HomeError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// Where a store is, or will be.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a directory of this machine: the embedded store.
    Directory(PathBuf),
    /// In a database.
    Database(Box<Address>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => directory.display().fmt(f),
            Self::Database(address) => address.fmt(f),
        }
    }
}

/// An open store. Dropping it closes the store and gives the directory free.
pub(crate) struct Home {
    pub(crate) store: Arc<dyn Store>,
    keys: Keys,
    key_file: PathBuf,
    random: Arc<SystemSource>,
    // Last, so that it is dropped last: the lock is held until the store is closed.
    _lock: Option<File>,
}

/// Whether a command makes what is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    /// It does.
    Create,
    /// It does not: a mistyped directory is not filled.
    Refuse,
}

impl Home {
    /// Reads the key file and opens the store as the operator wants it.
    pub(crate) async fn open(
        place: &Place,
        key_file: Option<&Path>,
        missing: Missing,
        config: &Config,
        listener: Option<Arc<dyn Listener>>,
    ) -> Result<Self, HomeError> {
        match place {
            Place::Directory(directory) => {
                let memory = usize::try_from(config.limits.grants_memory_mib).unwrap_or(usize::MAX);
                let options = Options { listener, memory: memory.saturating_mul(1 << 20) };
                Self::open_directory(directory, key_file, missing, options)
            }
            Place::Database(address) => Self::open_database(address, key_file, missing, config, listener).await,
        }
    }

    /// Locks `directory`, reads the key file and opens the store.
    pub(crate) fn open_directory(
        directory: &Path,
        key_file: Option<&Path>,
        missing: Missing,
        options: Options,
    ) -> Result<Self, HomeError> {
        let database = store_file(directory);
        if !has_store(directory)? && missing == Missing::Refuse {
            return Err(HomeError::NoStore(directory.to_owned()));
        }
        make_directory(directory)?;
        check_modes(directory, &database)?;
        let lock = lock(directory)?;
        // Asked again under the lock: whoever had it a moment ago may have made the store, and it is not made twice.
        let exists = has_store(directory)?;
        let random = Arc::new(SystemSource::new());
        let key_file = self::key_file(directory, key_file);
        let mut made_keys = false;
        let keys = match keys::read(&key_file)? {
            Some(keys) => keys,
            // A new key file for an old store would sign everybody out, silently.
            None if exists => {
                return Err(HomeError::Keys(format!(
                    "the key file {} is missing, and the store in {} cannot be used without it: put it back from your backup, \
                     or name it with --keys",
                    key_file.display(),
                    directory.display()
                )));
            }
            None => {
                keys::create(&key_file, &*random)?;
                made_keys = true;
                keys::read(&key_file)?.ok_or_else(|| HomeError::Keys("the new key file vanished".to_owned()))?
            }
        };
        let lost = Box::new(|why: &str| {
            eprintln!(
                "regrant: {why}; stopping, because what the disk holds is not known any more. Nothing unsaved was acknowledged."
            );
            std::process::exit(1);
        });
        let random_of_store: Arc<dyn Random> = Arc::<SystemSource>::clone(&random);
        if !exists {
            if key_file.starts_with(directory) && !made_keys {
                tracing::warn!(
                    directory = %directory.display(),
                    "there is a key file and no store: a new, empty store is made. If there was one, stop and put it back"
                );
            }
            make_store(directory, &database, &random_of_store)?;
        }
        let store = SqliteStore::open_with(&database, random_of_store, lost, options).map_err(|error| match error {
            OpenError::Moved(why) => HomeError::Moved { directory: directory.to_owned(), why },
            error => HomeError::File(format!("cannot open the store {}: {error}", database.display())),
        })?;
        Ok(Self { store: Arc::new(store), keys, key_file, random, _lock: Some(lock) })
    }

    /// The issuer that the store belongs to, if it has served.
    pub(crate) async fn stored_issuer(&self) -> Result<Option<String>, HomeError> {
        Ok(self.store.identity().await?.issuer)
    }

    /// Compares the key file with the store's check values, and wires the engine for `issuer`.
    pub(crate) async fn engine(&self, config: &Config, issuer: &str) -> Result<Arc<Engine>, HomeError> {
        self.engine_observed(config, issuer, Arc::new(Unobserved)).await
    }

    /// The same, with somebody who hears what is decided.
    pub(crate) async fn engine_observed(
        &self,
        config: &Config,
        issuer: &str,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Engine>, HomeError> {
        let known = self.store.refresh_keys().await?;
        let usable = keeper::compare(&self.key_file, &self.keys, &known).map_err(HomeError::Keys)?;
        for KeyId(id) in &usable.over {
            tracing::warn!(
                key = id,
                "the key file has a refresh key that is over; it is not used. Remove it from the file"
            );
        }
        let masters = keeper::in_use_of(&self.keys, &usable);
        let failed = || HomeError::Keys("the cryptographic library failed while deriving keys".to_owned());
        let clock = SystemClock;
        let random: Arc<dyn Random> = Arc::<SystemSource>::clone(&self.random);
        let vault = Vault::new(self.keys.sealing.as_slice()).ok_or_else(failed)?;
        let settings = config.settings(issuer);
        let (algorithms, longest) = (settings.keys.algorithms(), settings.longest_token());
        let signing = keyring::load_for(algorithms, longest, &*self.store, &vault, clock.now(), &*random).await?;
        let active = self.keys.active;
        let refresh_keys = RefreshKeys::new(&masters, active, issuer).ok_or_else(failed)?;
        if !refresh_keys.replace(&masters, active, usable.newest) {
            return Err(failed());
        }
        let engine = Engine {
            store: Arc::clone(&self.store),
            clock: Arc::new(clock),
            random: Arc::clone(&random),
            refresh_keys,
            mint: Mint::new(issuer, settings.access_token, &signing)
                .ok_or_else(failed)?
                .telling(settings.claims.clone()),
            digests: Digests::new(self.keys.sealing.as_slice()).ok_or_else(failed)?,
            hasher: Hasher::new(
                config.passwords.cost(),
                config.passwords.concurrency(),
                config.passwords.queue,
                random,
            )
            .ok_or_else(failed)?,
            clients: Clients::default(),
            resources: regrant_engine::resource::Resources::default(),
            settings,
            observer,
        };
        // Before the first token of a key is made: an old copy of the file is refused from here on.
        let present = keeper::check_values(&masters).into_iter().collect();
        self.store.remember(Identity { issuer: None, refresh_keys: present }).await?;
        // Of two nodes that began a new store at the same moment, each with keys of its own, one was first.
        let known = self.store.refresh_keys().await?;
        keeper::compare(&self.key_file, &self.keys, &known).map_err(HomeError::Keys)?;
        let engine = Arc::new(engine);
        engine.share_foresight();
        Ok(engine)
    }

    /// Looks after the keys of this directory's engine.
    pub(crate) fn keeper(&self) -> Result<Arc<Keeper>, HomeError> {
        let vault = Vault::new(self.keys.sealing.as_slice())
            .ok_or_else(|| HomeError::Keys("the cryptographic library failed while deriving keys".to_owned()))?;
        let random: Arc<dyn Random> = Arc::<SystemSource>::clone(&self.random);
        Ok(Arc::new(Keeper::new(Keyring::new(vault), self.key_file.clone(), random)))
    }

    /// Makes `issuer` the store's own. Refused while people are signed in under another one, unless `change` says so.
    pub(crate) async fn claim(&self, issuer: &str, change: bool) -> Result<(), HomeError> {
        let stored = self.stored_issuer().await?;
        if let Some(stored) = stored.filter(|stored| stored != issuer) {
            if self.store.has_live_sessions(SystemClock.now()).await? {
                if !change {
                    return Err(HomeError::Issuer { stored, asked: issuer.to_owned() });
                }
                self.end_all_sessions(Reason::RevokedByAdmin).await?;
            }
            tracing::warn!(%stored, %issuer, "the issuer changes");
        }
        self.store.remember(Identity { issuer: Some(issuer.to_owned()), refresh_keys: vec![] }).await?;
        Ok(())
    }
}

impl Home {
    /// Signs everybody out, a batch at a time. Refresh tokens are made for one issuer; listed as alive they would be a lie.
    pub(crate) async fn end_all_sessions(&self, reason: Reason) -> Result<(), HomeError> {
        const BATCH: u32 = 1000;
        let end = End { at: SystemClock.now(), reason, actor: Actor::Operator };
        let mut last = None;
        loop {
            last = self.store.end_sessions_of_all(end, last, BATCH).await?;
            if last.is_none() {
                break;
            }
        }
        Ok(())
    }
}

pub(crate) fn make_directory(directory: &Path) -> Result<(), HomeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| HomeError::File(format!("cannot make the data directory {}: {error}", directory.display())))
}

/// Looks at what is there already: who else could write it, and whether it is a store at all.
fn check_modes(directory: &Path, database: &Path) -> Result<(), HomeError> {
    let mode = |found: &fs::Metadata| found.permissions().mode() & 0o777;
    if let Ok(mode) = fs::metadata(directory).as_ref().map(mode)
        && mode & 0o022 != 0
    {
        return Err(HomeError::File(format!(
            "the data directory {} can be written by others (mode {mode:o}): run chmod 700 on it",
            directory.display()
        )));
    }
    let Ok(found) = fs::metadata(database) else {
        return Ok(());
    };
    let (mode, shown) = (mode(&found), database.display());
    if !found.is_file() {
        return Err(HomeError::File(format!(
            "{shown} is no file, and so no store: restore a backup, or name the right directory with --data"
        )));
    }
    if found.len() == 0 {
        return Err(HomeError::File(format!(
            "{shown} is empty, and no store ever is: restore a backup, or remove the file to begin anew"
        )));
    }
    if mode & 0o077 != 0 {
        return Err(HomeError::File(format!(
            "{shown} can be read or written by others (mode {mode:o}), and it holds the hashes of passwords: run chmod 600 on it"
        )));
    }
    Ok(())
}

/// Makes a new store whole under another name, then gives it its own: a start that is killed leaves no half of one.
fn make_store(directory: &Path, database: &Path, random: &Arc<dyn Random>) -> Result<(), HomeError> {
    let draft = directory.join("regrant.db.new");
    let failed = |error: &dyn fmt::Display| HomeError::File(format!("cannot make {}: {error}", database.display()));
    for left in ["regrant.db.new", "regrant.db.new-wal", "regrant.db.new-shm"] {
        match fs::remove_file(directory.join(left)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
            _ => {}
        }
    }
    let made = (|| {
        // 0600 from the first byte: SQLite gives its companions the mode of the file.
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(|error| failed(&error))?;
        // A sync that fails here is told like any other error: nothing was acknowledged yet.
        let store = SqliteStore::open(&draft, Arc::clone(random), Box::new(|_| {})).map_err(|error| failed(&error))?;
        drop(store);
        // We hold the lock and have looked: this is for a mistake of ours. What a rename replaces is gone.
        if fs::symlink_metadata(database).is_ok() {
            return Err(failed(&"there is one already, and it is not replaced"));
        }
        let synced = file.sync_all().and_then(|()| fs::rename(&draft, database));
        synced.and_then(|()| File::open(directory)?.sync_all()).map_err(|error| failed(&error))
    })();
    if made.is_err() {
        let _ = fs::remove_file(&draft);
    }
    made
}

/// Takes the directory's lock. The file stays when the process goes: its lock does not.
pub(crate) fn lock(directory: &Path) -> Result<File, HomeError> {
    let path = directory.join("lock");
    let failed = |error: &dyn fmt::Display| HomeError::File(format!("cannot lock {}: {error}", path.display()));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // A link would let its maker choose which file is written to.
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(&path)
        .map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let _ = Read::by_ref(&mut file).take(32).read_to_string(&mut process);
            let process = Some(process.trim().to_owned()).filter(|process| !process.is_empty());
            return Err(HomeError::InUse { directory: directory.to_owned(), process });
        }
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
    }
    // For people only; the lock itself is the kernel's.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// What the name of a store begins with that a restore kept.
pub(crate) const KEPT: &str = "regrant.db.before-restore-";

/// The stores in `directory` that restores kept, oldest first.
pub(crate) fn kept_stores(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let kept = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(KEPT) && !name.ends_with("-wal"))
    };
    let mut stores: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(kept).collect();
    stores.sort();
    stores
}

/// Whether `directory` holds a store. Where that cannot be seen is not "no": a new one would be made, or missed.
pub(crate) fn has_store(directory: &Path) -> Result<bool, HomeError> {
    fs::exists(store_file(directory)).map_err(|error| {
        HomeError::File(format!(
            "cannot look into the data directory {}: {error}; name the right one with --data, as a user that may use it",
            directory.display()
        ))
    })
}

/// The store of `directory`.
pub(crate) fn store_file(directory: &Path) -> PathBuf {
    directory.join("regrant.db")
}

/// The key file of `directory`, unless another one is named.
pub(crate) fn key_file(directory: &Path, named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| directory.join("keys.toml"), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use regrant_engine::ports::Random;

    use super::{make_store, store_file};
    use crate::system::SystemSource;

    #[test]
    fn a_store_that_is_there_is_never_replaced_by_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let random: Arc<dyn Random> = Arc::new(SystemSource::new());
        let file = store_file(directory.path());
        make_store(directory.path(), &file, &random).unwrap();
        let first = fs::read(&file).unwrap();
        let said = make_store(directory.path(), &file, &random).unwrap_err().to_string();
        assert!(said.contains("there is one already"), "{said}");
        assert!(fs::read(&file).unwrap() == first, "it was left as it is");
        assert!(!directory.path().join("regrant.db.new").exists(), "no draft stays behind");
    }
}
