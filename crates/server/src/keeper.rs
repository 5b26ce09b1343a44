//! The keys of a running process: what the key file has, what the store says of it, and what the engine uses.
//!
//! 1. [`Keeper::tend`] is asked every few seconds (`jobs.rs`). Signing keys: whatever is due (`engine/src/keyring.rs`). Refresh
//!    keys: a key that the store marks as over is dropped; a key file that has changed is read again, so that it can be
//!    distributed to running nodes.
//! 2. A change of the refresh keys has an order in which it may be cut off at any point. New: into the file, into the store,
//!    into use. Old: out of use, marked in the store, out of the file.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use regrant_engine::{
    By, Engine,
    keyring::Keyring,
    ports::{Broken, Identity, KeyMarked, Random},
    refresh_key::{self, RefreshKeyRecord, Usable, WhyRetired, WrongFile},
    token::{KeyId, Master},
};
use tokio::sync::Mutex;

use crate::keys::{self, KeyFileError, Keys};

/// See the module.
pub(crate) struct Keeper {
    pub(crate) signing: Keyring,
    file: PathBuf,
    random: Arc<dyn Random>,
    /// The key file as it was last looked at. One change at a time.
    seen: Mutex<Option<Stamp>>,
}

/// Tells a file that was written anew.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, i64, i64, u64);

/// Why a key was not changed.
#[derive(Debug)]
pub(crate) enum Kept {
    /// The key file cannot be read or written, or is not the store's.
    File(String),
    /// The store is broken.
    Broken(Broken),
    /// It cannot be, and the text says what to do.
    No(String),
}

impl From<KeyFileError> for Kept {
    fn from(error: KeyFileError) -> Self {
        Self::File(error.0)
    }
}

impl From<Broken> for Kept {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// What became of a refresh key that is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gone {
    /// The key that makes new tokens.
    pub(crate) active: KeyId,
    /// How many grants ended with it.
    pub(crate) ended: u64,
}

impl Keeper {
    pub(crate) fn new(signing: Keyring, file: PathBuf, random: Arc<dyn Random>) -> Self {
        let seen = Mutex::new(stamp(&file));
        Self { signing, file, random, seen }
    }

    /// Does what is due. What fails is logged, and tried again when it is asked next.
    pub(crate) async fn tend(&self, engine: &Engine) {
        match self.signing.tend(engine).await {
            Ok(steps) => {
                for step in steps {
                    tracing::info!(?step, "the signing keys were changed");
                }
            }
            Err(broken) => tracing::error!(%broken, "the signing keys could not be looked after; it is tried again"),
        }
        if let Err(kept) = self.tend_refresh_keys(engine).await {
            let why = match kept {
                Kept::File(why) | Kept::No(why) => why,
                Kept::Broken(broken) => broken.to_string(),
            };
            tracing::error!(%why, "the key file was not taken over; the keys stay as they are");
        }
    }

    async fn tend_refresh_keys(&self, engine: &Engine) -> Result<(), Kept> {
        let mut seen = self.seen.lock().await;
        let known = engine.store.refresh_keys().await?;
        let used = engine.refresh_keys.ids();
        // Another node found it compromised, or retired it.
        for record in known.iter().filter(|record| record.mark.is_some() && used.contains(&record.id)) {
            tracing::warn!(key = record.id.0, "a refresh key is over: tokens of it are refused from now on");
            engine.refresh_keys.forget(record.id);
        }
        let now = stamp(&self.file);
        if *seen == now {
            return Ok(());
        }
        // Once for each change, whatever comes of it: else the log would repeat itself every few seconds.
        *seen = now;
        let keys = self.read()?;
        let usable = self.compare(&keys, &known)?;
        let active = keys.active;
        self.adopt(engine, keys, &usable).await?;
        tracing::info!(active = active.0, "the key file has changed and was taken over");
        Ok(())
    }

    /// Makes a new refresh key, which makes all tokens from now on. Its id.
    pub(crate) async fn rotate_refresh(&self, by: By<'_>) -> Result<KeyId, Kept> {
        let mut seen = self.seen.lock().await;
        let id = self.add(by).await?;
        *seen = stamp(&self.file);
        Ok(id)
    }

    async fn add(&self, by: By<'_>) -> Result<KeyId, Kept> {
        let engine = by.engine;
        let known = engine.store.refresh_keys().await?;
        let keys = self.read()?;
        self.compare(&keys, &known)?;
        let id = refresh_key::next_id(keys.refresh.keys().copied(), &known).ok_or_else(|| {
            Kept::No(
                "all 255 ids of refresh keys are used, and none is used twice: move the users to a new store (\"regrant user \
                 export\" and \"import\"); everybody signs in once more"
                    .to_owned(),
            )
        })?;
        let (file, random, now) = (self.file.clone(), Arc::clone(&self.random), engine.now());
        blocking(move || keys::add(&file, id, now, &*random)).await?;
        let keys = self.read()?;
        let usable = self.compare(&keys, &known)?;
        let master =
            keys.refresh.get(&id).ok_or_else(|| Kept::File("the new key is not in the key file".to_owned()))?;
        refresh_key::remember(by, id, master).await?;
        self.adopt(engine, keys, &usable).await?;
        Ok(id)
    }

    /// Lets a refresh key go that no live grant needs; one that is `compromised` with all grants whose newest token it made.
    pub(crate) async fn retire_refresh(&self, by: By<'_>, id: KeyId, compromised: bool) -> Result<Gone, Kept> {
        let engine = by.engine;
        let mut seen = self.seen.lock().await;
        let KeyId(number) = id;
        let mut keys = self.read()?;
        let mut known = engine.store.refresh_keys().await?;
        let record = known.iter().find(|record| record.id == id);
        if record.is_none() && !keys.refresh.contains_key(&id) {
            return Err(Kept::No(format!("there is no refresh key {number}; \"regrant key list\" shows them all")));
        }
        if keys.active == id && !compromised {
            return Err(Kept::No(format!(
                "refresh key {number} makes all new tokens: first \"regrant key rotate --kind refresh\""
            )));
        }
        if keys.active == id {
            self.add(by).await?;
            keys = self.read()?;
            known = engine.store.refresh_keys().await?;
        }
        let why = if compromised { WhyRetired::Compromised } else { WhyRetired::Retired };
        if compromised {
            // From here on a token of it is refused, whatever comes next.
            engine.refresh_keys.forget(id);
        } else if let Some((_, count)) =
            engine.store.refresh_key_uses(engine.now()).await?.iter().find(|(of, _)| *of == id)
        {
            return Err(in_use(id, Some(*count)));
        }
        if known.iter().all(|record| record.id != id)
            && let Some(master) = keys.refresh.get(&id)
        {
            // It came into the file by hand and was never used: it must not come back that way either.
            refresh_key::remember(by, id, master).await?;
        }
        match refresh_key::retire(by, id, why).await? {
            // Asked again after it was cut off: the rest is done.
            KeyMarked::Marked | KeyMarked::Already => {}
            KeyMarked::InUse => return Err(in_use(id, None)),
            KeyMarked::Unknown => return Err(Kept::No(format!("there is no refresh key {number}"))),
        }
        engine.refresh_keys.forget(id);
        let ended = if compromised { refresh_key::end_all_of(by, id).await? } else { 0 };
        if keys.refresh.contains_key(&id) {
            let file = self.file.clone();
            blocking(move || keys::remove(&file, id)).await?;
        }
        *seen = stamp(&self.file);
        Ok(Gone { active: engine.refresh_keys.active(), ended })
    }

    fn read(&self) -> Result<Keys, Kept> {
        keys::read(&self.file)?.ok_or_else(|| Kept::File(format!("the key file {} is gone", self.file.display())))
    }

    fn compare(&self, keys: &Keys, known: &[RefreshKeyRecord]) -> Result<Usable, Kept> {
        compare(&self.file, keys, known).map_err(Kept::File)
    }

    /// Remembers what is new in the file, and makes the engine use it.
    async fn adopt(&self, engine: &Engine, keys: Keys, usable: &Usable) -> Result<(), Kept> {
        let (masters, active) = (in_use_of(&keys, usable), keys.active);
        engine
            .store
            .remember(Identity { issuer: None, refresh_keys: check_values(&masters).into_iter().collect() })
            .await?;
        let newest = usable.newest.max(active);
        if engine.refresh_keys.replace(&masters, active, newest) {
            Ok(())
        } else {
            Err(Kept::File("the cryptographic library failed while deriving keys".to_owned()))
        }
    }
}

fn in_use(KeyId(id): KeyId, count: Option<u64>) -> Kept {
    let count = count.map_or_else(|| "live sessions have".to_owned(), |count| format!("{count} live sessions have"));
    Kept::No(format!(
        "{count} their newest token from refresh key {id}: each gets a new one when it is used next, and the others expire. Try \
         again then; or, if somebody else may have the key, --compromised, which ends them"
    ))
}

/// Compares a key file with its store. The error is a whole sentence.
pub(crate) fn compare(file: &Path, keys: &Keys, known: &[RefreshKeyRecord]) -> Result<Usable, String> {
    refresh_key::compare(&check_values(&keys.refresh), keys.active, known)
        .map_err(|wrong: WrongFile| format!("the key file {} cannot be used: {wrong}", file.display()))
}

pub(crate) fn check_values(masters: &BTreeMap<KeyId, Master>) -> BTreeMap<KeyId, [u8; 16]> {
    masters.iter().map(|(id, master)| (*id, master.check_value(*id))).collect()
}

/// The masters of a file that may be used.
pub(crate) fn in_use_of(keys: &Keys, usable: &Usable) -> BTreeMap<KeyId, Master> {
    keys.refresh.iter().filter(|(id, _)| usable.keys.contains(id)).map(|(id, master)| (*id, master.clone())).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    Some(Stamp(metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.size()))
}

/// Off the threads that requests wait for: the disk takes its time.
async fn blocking(work: impl FnOnce() -> Result<(), KeyFileError> + Send + 'static) -> Result<(), Kept> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| Kept::File("writing the key file was cut off".to_owned()))??)
}
