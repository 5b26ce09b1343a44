//! What the store remembers of keys, and what becomes of them.

use crate::{
    keyring::SealedKey,
    token::{GrantId, KeyId},
};

/// What a store remembers of the keys and the issuer that it belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// The issuer, once one has served.
    pub issuer: Option<String>,
    /// The check value of each refresh key.
    pub refresh_keys: Vec<(KeyId, [u8; 16])>,
}

/// What became of a change of the signing keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RingSwapped {
    /// It was made.
    Swapped,
    /// The keys are not those that the change was decided on; nothing was done. These are there.
    Moved(Vec<SealedKey>),
}

/// What became of a refresh key that is to be retired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyMarked {
    /// It is marked: it can never be used again, whatever a key file says.
    Marked,
    /// It was marked before.
    Already,
    /// A live grant's newest token was made with it.
    InUse,
    /// The store never saw it.
    Unknown,
}

/// One step through all grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantsEnded {
    /// How many grants ended.
    pub ended: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<GrantId>,
}
