//! Backup and restore of the embedded store; and what is left to do where PostgreSQL's own tools have put a database back.
//!
//! **A backup** is the store at one moment, copied by a connection of its own beside whoever serves. It is written under
//! another name, synced, and only then named: whatever stops it, there is no half backup. What it wrote until then is removed by the
//! next backup beside it. The keys are not in it.
//!
//! **A restore** prepares everything in a directory of its own inside the data directory, whose lock it holds:
//! 1. the backup is looked at whole, and copied;
//! 2. the copy is opened with the key file as `serve` would open it: other keys than the store's are refused;
//! 3. all sessions are ended, unless they are to be kept;
//! 4. the store that is here gets a second name, and stays under that;
//! 5. one rename puts the copy in its place. Until then the old store is untouched, and afterwards the new one is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use regrant_engine::{ports::Clock, reason::Reason, time::Time};
use regrant_store::{
    postgres::{self, Address, PostgresStore},
    sqlite::{
        OpenError, Options,
        backup::{self, Contents},
    },
};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::{
    config::Config,
    control::Reply,
    home::{self, Home, HomeError, KEPT, Missing, Place},
    system::{SystemClock, SystemSource},
};

/// What a backup is called until it is one, before chance makes it unique.
const DRAFT: &str = ".regrant.db.backup-";
/// What SQLite calls its own file beside one.
const JOURNAL: &str = "-journal";
/// What a restore's own directory is called, before chance makes it unique.
const STAGING: &str = "restore-";

/// Copies the store in `directory` to `target`, which must not be there yet.
pub(crate) fn back_up(directory: &Path, key_file: &Path, target: &Path) -> Result<Reply, HomeError> {
    if !home::has_store(directory)? {
        return Err(HomeError::NoStore(directory.to_owned()));
    }
    let shown = target.display();
    let taken = || HomeError::File(format!("{shown} is there already, and nothing is overwritten: name another file"));
    if fs::symlink_metadata(target).is_ok() {
        return Err(taken());
    }
    let store = home::store_file(directory);
    let failed = |error: io::Error| HomeError::File(format!("cannot write {shown}: {error}"));
    let beside = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !beside.is_dir() {
        return Err(HomeError::File(format!(
            "cannot write {shown}: there is no directory {}; make it, or name another file",
            beside.display()
        )));
    }
    clear_drafts(beside);
    let draft = new_draft(beside).map_err(failed)?;
    let identity = || fs::metadata(&store).map(|metadata| (metadata.dev(), metadata.ino()));
    let before = identity().map_err(failed)?;
    backup::back_up(&store, draft.path()).map_err(|error| {
        HomeError::File(format!("cannot copy the store in {} to {shown}: {error}", directory.display()))
    })?;
    if identity().map_err(failed)? != before {
        return Err(HomeError::File(format!("the store in {} was replaced meanwhile: try again", directory.display())));
    }
    let contents = backup::count(draft.path(), SystemClock.now())
        .map_err(|error| HomeError::File(format!("the copy for {shown} cannot be read: {error}")))?;
    draft.as_file().sync_all().map_err(failed)?;
    let bytes = draft.as_file().metadata().map_err(failed)?.len();
    // Another backup may have taken the name meanwhile.
    draft.persist_noclobber(target).map_err(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => taken(),
        _ => failed(error.error),
    })?;
    // Said to be done when the name, too, is on the disk.
    File::open(beside).and_then(|directory| directory.sync_all()).map_err(failed)?;
    let Contents { users, live_sessions, newest } = contents;
    let document = json!({
        "file": target, "bytes": bytes, "users": users, "live_sessions": live_sessions, "newest": newest, "key_file": key_file,
    });
    let text = format!(
        "backed up {} and {} to {shown} ({bytes} bytes)\n\
         The keys are not in it, and without them it is of no use: keep a copy of {} apart from it.",
        counted(users, "user"),
        counted(live_sessions, "live session"),
        key_file.display()
    );
    Ok(Reply { document, text })
}

/// A file for a backup: 0600 from the first byte, gone if we do not come to the end, and locked as long as we live.
fn new_draft(beside: &Path) -> io::Result<NamedTempFile> {
    loop {
        let draft = tempfile::Builder::new().prefix(DRAFT).tempfile_in(beside)?;
        // Where files cannot be locked, nobody takes one for left behind either.
        let _ = draft.as_file().lock();
        // Before the lock, somebody could take it for that. Under its name SQLite would make another, which others might read.
        if fs::symlink_metadata(draft.path()).is_ok() {
            return Ok(draft);
        }
    }
}

/// Removes what backups left here that were killed. What cannot be removed is only in the way.
fn clear_drafts(beside: &Path) {
    for entry in fs::read_dir(beside).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(DRAFT)) else { continue };
        let draft = beside.join(name.strip_suffix(JOURNAL).unwrap_or(name));
        // A pipe would keep us waiting, and a link leads elsewhere.
        let locked = match fs::symlink_metadata(&draft) {
            Ok(found) if found.is_file() => File::open(&draft).and_then(|draft| {
                draft.try_lock()?;
                Ok(Some(draft))
            }),
            Ok(_) => continue,
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        // Held until it is gone.
        if let Ok(_locked) = locked {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Puts the backup in `file` in the place of the store in `directory`.
pub(crate) async fn restore(
    config: &Config,
    directory: &Path,
    key_file: &Path,
    file: &Path,
    keep_sessions: bool,
) -> Result<Reply, HomeError> {
    let shown = file.display();
    let now = SystemClock.now();
    let unreadable = |error: OpenError| HomeError::File(format!("{shown} cannot be restored: {error}"));
    // Before anything is made: a mistyped name leaves nothing behind.
    match fs::metadata(file) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(HomeError::File(format!("{shown} is no file: name what \"regrant backup\" made"))),
        Err(error) => {
            return Err(HomeError::File(format!("cannot read {shown}: {error}; name what \"regrant backup\" made")));
        }
    }
    let contents = backup::inspect(file, now).map_err(unreadable)?;
    home::make_directory(directory)?;
    let _lock = home::lock(directory)?;
    let store = home::store_file(directory);
    if fs::canonicalize(&store).ok().is_some_and(|store| fs::canonicalize(file).is_ok_and(|file| file == store)) {
        return Err(HomeError::File(format!("{shown} is the store itself: name a backup of it")));
    }
    if !key_file.exists() {
        return Err(HomeError::Keys(format!(
            "the key file {} is missing, and the backup is of no use without it: put back your copy of it first, or name it \
             with --keys",
            key_file.display()
        )));
    }
    clear_away(directory);
    let failed = |error: io::Error| HomeError::File(format!("cannot restore into {}: {error}", directory.display()));
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(directory).map_err(failed)?;
    let copy = home::store_file(staging.path());
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy).map_err(failed)?;
    backup::back_up(file, &copy).map_err(unreadable)?;
    let ended = prepare(config, staging.path(), key_file, keep_sessions).await?;
    File::open(&copy).and_then(|copy| copy.sync_all()).map_err(failed)?;

    let old = home::has_store(directory)?.then_some(store.as_path());
    let revived = match (old, keep_sessions) {
        (Some(old), true) => backup::live_only_in(&copy, old, now).ok(),
        _ => None,
    };
    let kept = old.map(|old| keep_aside(directory, old, now)).transpose().map_err(failed)?;
    fs::rename(&copy, &store).map_err(failed)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok(told(&Restored { file, contents, ended, keep_sessions, revived, kept }))
}

/// Prepares a database that PostgreSQL's own tools have put back to an earlier state: the key file is compared with it, and all
/// sessions are ended, unless they are to be kept.
pub(crate) async fn restored_database(
    config: &Config,
    address: &Address,
    key_file: Option<&Path>,
    keep_sessions: bool,
) -> Result<Reply, HomeError> {
    let options = postgres::Options { connections: 1, batch: 1, ..postgres::Options::default() };
    let store = PostgresStore::new(Address::clone(address), Arc::new(SystemSource::new()), options);
    let place = Place::Database(Box::new(Address::clone(address)));
    let home = Home::open(&place, key_file, Missing::Refuse, config, None).await?;
    let before = store.contents().await?;
    let issuer = home.stored_issuer().await?.or_else(|| config.server.issuer.clone());
    drop(home.engine(config, issuer.as_deref().unwrap_or("http://127.0.0.1:8080")).await?);
    let ended = if keep_sessions {
        0
    } else {
        home.end_all_sessions(Reason::StoreRecovered).await?;
        before.live_sessions - store.contents().await?.live_sessions.min(before.live_sessions)
    };
    let postgres::Contents { users, live_sessions, newest } = before;
    let file = address.to_string();
    let contents = Contents { users, live_sessions, newest };
    Ok(told(&Restored { file: Path::new(&file), contents, ended, keep_sessions, revived: None, kept: None }))
}

/// Opens the copy as `serve` would, which compares the keys, and ends its sessions. How many were alive.
async fn prepare(config: &Config, staging: &Path, key_file: &Path, keep_sessions: bool) -> Result<u64, HomeError> {
    let home = Home::open_directory(staging, Some(key_file), Missing::Refuse, Options::default())?;
    let issuer = home.stored_issuer().await?.or_else(|| config.server.issuer.clone());
    let engine = home.engine(config, issuer.as_deref().unwrap_or("http://127.0.0.1:8080")).await?;
    let live = |path: &Path| {
        let counted = backup::count(path, SystemClock.now());
        counted.map_err(|error| HomeError::File(format!("the copy cannot be read: {error}")))
    };
    let copy = home::store_file(staging);
    let ended = if keep_sessions {
        0
    } else {
        let before = live(&copy)?.live_sessions;
        home.end_all_sessions(Reason::StoreRecovered).await?;
        before - live(&copy)?.live_sessions.min(before)
    };
    // Whoever closes last folds the log into the file.
    drop(engine);
    drop(home);
    backup::settle(&copy).map_err(|error| HomeError::File(format!("the copy cannot be closed: {error}")))?;
    Ok(ended)
}

/// Gives the store another name besides its own, under which it stays once its own is taken.
fn keep_aside(directory: &Path, store: &Path, now: Time) -> io::Result<PathBuf> {
    let stamp: String = now.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let kept = (0..).map(|count| match count {
        0 => directory.join(format!("{KEPT}{stamp}")),
        count => directory.join(format!("{KEPT}{stamp}-{count}")),
    });
    let kept = kept.into_iter().find(|path| fs::symlink_metadata(path).is_err()).ok_or(io::ErrorKind::AlreadyExists)?;
    fs::hard_link(store, &kept)?;
    let (log, kept_log) = (with_suffix(store, "-wal"), with_suffix(&kept, "-wal"));
    if log.exists() {
        fs::hard_link(&log, &kept_log)?;
    }
    File::open(directory)?.sync_all()?;
    // A store that is whole is one file from here on, under both names. One that is damaged keeps its log, under the new name
    // only: it must never be read into the store that comes.
    if backup::settle(store).is_ok() && kept_log.exists() {
        fs::remove_file(&kept_log)?;
    }
    for companion in ["-wal", "-shm"].map(|suffix| with_suffix(store, suffix)) {
        match fs::remove_file(companion) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(kept)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes what restores left behind that were stopped. We hold the lock: none is at work.
fn clear_away(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let is_staging = entry.file_name().to_str().is_some_and(|name| name.starts_with(STAGING));
        if is_staging && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // What cannot be removed is only in the way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// What a restore did.
struct Restored<'a> {
    file: &'a Path,
    contents: Contents,
    ended: u64,
    keep_sessions: bool,
    revived: Option<u64>,
    kept: Option<PathBuf>,
}

fn told(restored: &Restored<'_>) -> Reply {
    let Restored { file, contents: Contents { users, live_sessions, newest }, ended, keep_sessions, revived, kept } =
        restored;
    let document = json!({
        "file": file, "users": users, "newest": newest, "live_sessions": live_sessions - ended, "sessions_ended": ended,
        "sessions_revived": revived, "kept": kept,
    });
    let mut lines = vec![format!("restored {} from {}", counted(*users, "user"), file.display())];
    if let Some(newest) = newest {
        lines.push(format!("What happened after {newest} is undone: users, passwords, roles, who was disabled."));
    }
    lines.push(match (keep_sessions, revived) {
        (false, _) => format!("{} ended: everybody signs in again.", counted(*ended, "session")),
        (true, Some(0)) => format!("Sessions that are alive: {live_sessions}. None of them had ended in the store that was here."),
        (true, Some(revived)) => format!(
            "Sessions that are alive: {live_sessions}. {revived} of them had ended in the store that was here, or were not in it: \
             \"regrant session revoke\" ends them again."
        ),
        (true, None) => format!(
            "Sessions that are alive: {live_sessions}. How many of them had ended since the backup cannot be known: there was no \
             store here that could be read."
        ),
    });
    if let Some(kept) = kept {
        lines.push(format!("The store that was here is kept as {}; remove it when nobody needs it.", kept.display()));
    }
    Reply { document, text: lines.join("\n") }
}

fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_writes_any_more_is_cleared_away() {
        let place = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(place.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort_unstable();
            names
        };
        let make = |name: &str| fs::write(place.path().join(name), "x").unwrap();
        let draft = new_draft(place.path()).unwrap();
        let live = draft.path().file_name().unwrap().to_str().unwrap().to_owned();
        let journal = format!("{live}{JOURNAL}");
        for name in [&journal, ".regrant.db.backup-killed", ".regrant.db.backup-killed-journal", "backup.db"] {
            make(name);
        }
        // Its draft went first.
        make(".regrant.db.backup-gone-journal");
        std::os::unix::fs::symlink("backup.db", place.path().join(".regrant.db.backup-link")).unwrap();
        fs::create_dir(place.path().join(".regrant.db.backup-directory")).unwrap();
        clear_drafts(place.path());
        let mut kept = [&live, &journal, "backup.db", ".regrant.db.backup-link", ".regrant.db.backup-directory"]
            .map(str::to_owned);
        kept.sort_unstable();
        assert_eq!(names(), kept);
        drop(draft);
        clear_drafts(place.path());
        assert_eq!(names().iter().filter(|name| name.starts_with(&live)).count(), 0);
    }
}
