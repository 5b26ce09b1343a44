//! What the store answers about resources.

/// What became of a resource to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceAdded {
    /// It is there.
    Added,
    /// It is there in the place of the one before.
    Replaced,
    /// There is one of this id already.
    Taken,
    /// There is one, and the configuration looks after it.
    Configured,
    /// A client has this id. Tokens for the one would be taken for the other's: both go by `aud`.
    OfClient,
}

/// What became of a resource to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceRemoved {
    /// It is gone.
    Removed,
    /// The configuration looks after this resource.
    Configured,
    /// There is no such resource.
    NotFound,
}

/// What became of the resources of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResourcesKept {
    /// The store has them, and no other ones of the configuration.
    Kept {
        /// So many are new.
        added: u64,
        /// So many are others than before.
        changed: u64,
        /// So many are gone.
        removed: u64,
    },
    /// This one was added by the command line; nothing was done.
    Taken(String),
    /// This one's id is that of a client; nothing was done.
    OfClient(String),
}
