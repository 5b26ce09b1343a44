//! The keys that make refresh tokens: what a key file must hold for a store, and how a key goes.
//!
//! 1. The masters are in the key file, never in the store. The store has a check value of each, and a mark on those that are
//!    retired. [`compare`] says whether a file belongs to the store, at the start and whenever the file changes.
//! 2. *Distribute, then activate*: a token of a key that a node does not know is answered 503, never 401 (`token.rs`). So a new
//!    key is in every node's file before `active` names it.
//! 3. A grant's row names the key of its newest token, and gets the active one when it rotates. [`retire`] lets a key go when no
//!    live row names it.
//! 4. A compromised key goes at once: the node stops believing it, the store marks it, and [`end_all_of`] ends every grant whose
//!    newest token it made. Whoever has the key and a copy of the database could make that token.
//!
//! Ids are never used again: a token of a retired key is `Unknown` for ever, and what was thrown away cannot come back with
//! an old file.

use std::collections::BTreeMap;

use crate::{
    By,
    event::{Event, EventKind},
    ports::{Broken, End, KeyMarked},
    reason::{Reason, named},
    time::Time,
    token::{KeyId, Master},
};

/// What the store remembers of a refresh key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshKeyRecord {
    /// Its number.
    pub id: KeyId,
    /// Tells it from another one of the same number.
    pub check_value: [u8; 16],
    /// Whether it is over.
    pub mark: Option<KeyMark>,
}

/// A key that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyMark {
    /// Since when.
    pub at: Time,
    /// And why.
    pub why: WhyRetired,
}

named! {
    /// Why a refresh key is over.
    WhyRetired {
        /// No live grant needed it.
        Retired = "retired",
        /// Somebody else may have it.
        Compromised = "compromised",
    }
}

/// A key file that is right for a store: what of it may be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usable {
    /// The keys to use.
    pub keys: Vec<KeyId>,
    /// Keys in the file that are over: not to be used.
    pub over: Vec<KeyId>,
    /// The newest id that was ever used.
    pub newest: KeyId,
}

/// A key file that is wrong for a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrongFile {
    /// A key that live grants may need is not in it.
    Missing(KeyId),
    /// A key is another one than the store was used with.
    Different(KeyId),
    /// The active key is over.
    ActiveIsOver(KeyId),
}

impl std::fmt::Display for WrongFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(KeyId(id)) => write!(
                f,
                "it has no refresh key {id}, which this store was used with. Put back the newest key file: without that key the \
                 sessions that it made tokens for would be signed out"
            ),
            Self::Different(KeyId(id)) => write!(
                f,
                "its refresh key {id} is another one than this store was used with. Put back the right key file: a wrong one \
                 would sign everybody out"
            ),
            Self::ActiveIsOver(KeyId(id)) => write!(
                f,
                "its active refresh key {id} is retired in this store, so it is an old copy. Put back the newest key file"
            ),
        }
    }
}

impl std::error::Error for WrongFile {}

/// Compares the keys of a file, of which `active` makes new tokens, with what the store remembers.
///
/// # Errors
/// [`WrongFile`] if sessions would be lost, or a key that is over would be used again.
pub fn compare(
    present: &BTreeMap<KeyId, [u8; 16]>,
    active: KeyId,
    known: &[RefreshKeyRecord],
) -> Result<Usable, WrongFile> {
    let mut over = Vec::new();
    for record in known {
        match (present.get(&record.id), record.mark) {
            (Some(_), Some(_)) => over.push(record.id),
            (None, Some(_)) => {}
            (None, None) => return Err(WrongFile::Missing(record.id)),
            (Some(check_value), None) if *check_value != record.check_value => {
                return Err(WrongFile::Different(record.id));
            }
            (Some(_), None) => {}
        }
    }
    if over.contains(&active) {
        return Err(WrongFile::ActiveIsOver(active));
    }
    let keys: Vec<KeyId> = present.keys().copied().filter(|id| !over.contains(id)).collect();
    let newest = keys.iter().copied().chain(known.iter().map(|record| record.id)).max().unwrap_or(active);
    Ok(Usable { keys, over, newest })
}

/// The id of the next key; `None` if all are used.
#[must_use]
pub fn next_id(present: impl Iterator<Item = KeyId>, known: &[RefreshKeyRecord]) -> Option<KeyId> {
    let newest = present.chain(known.iter().map(|record| record.id)).max();
    newest.map_or(Some(KeyId(1)), |KeyId(id)| id.checked_add(1).map(KeyId))
}

/// Writes a new key's check value into the store, before the first token of it is made: an old key file is refused then.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn remember<'e>(by: impl Into<By<'e>>, id: KeyId, master: &Master) -> Result<(), Broken> {
    let By { engine, actor } = by.into();
    let event = Event::new(EventKind::KeyCreated, engine.now(), actor, &*engine.random);
    engine.store.add_refresh_key(id, master.check_value(id), event.with("refresh_key", id.0)).await
}

/// Marks a key as over in the store. See [`crate::ports::Store::retire_refresh_key`].
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn retire<'e>(by: impl Into<By<'e>>, id: KeyId, why: WhyRetired) -> Result<KeyMarked, Broken> {
    let By { engine, actor } = by.into();
    let now = engine.now();
    let kind = match why {
        WhyRetired::Retired => EventKind::KeyRemoved,
        WhyRetired::Compromised => EventKind::KeyCompromised,
    };
    let event = Event::new(kind, now, actor, &*engine.random).with("refresh_key", id.0);
    engine.store.retire_refresh_key(id, KeyMark { at: now, why }, event).await
}

/// Ends every grant whose newest token a compromised key made, in steps that leave room for others. How many.
///
/// The key is refused already, so nothing is lost if this stops half way; asked again, it goes on.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn end_all_of<'e>(by: impl Into<By<'e>>, id: KeyId) -> Result<u64, Broken> {
    let By { engine, actor } = by.into();
    let end = End { at: engine.now(), reason: Reason::KeyCompromised, actor };
    let mut ended = 0;
    let mut after = None;
    loop {
        let step = engine.store.end_grants_of_key(id, after, BATCH, end).await?;
        ended += step.ended;
        match step.next {
            Some(next) => after = Some(next),
            None => return Ok(ended),
        }
    }
}

/// Grants that one transaction looks at.
const BATCH: u32 = 1000;

#[cfg(test)]
mod tests;
