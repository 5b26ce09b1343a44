//! What the store answers about clients.

use crate::id::ClientId;

/// What became of a client to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientAdded {
    /// It is there.
    Added,
    /// There is one of this id already.
    Taken,
    /// A resource has this id. Tokens for the one would be taken for the other's: both go by `aud`.
    OfResource,
}

/// What became of a client's new secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretRotated {
    /// It works; the one before it for a while, too.
    Rotated,
    /// The client has no secret to be replaced.
    HasNone,
    /// The configuration looks after this client.
    Configured,
    /// There is no such client.
    NotFound,
}

/// What became of a client to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientRemoved {
    /// It is gone, and so many grants ended with it.
    Removed {
        /// How many.
        ended: u64,
    },
    /// The configuration looks after this client.
    Configured,
    /// There is no such client.
    NotFound,
}

/// What became of the clients of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientsKept {
    /// The store has them, and no other ones of the configuration.
    Kept {
        /// So many are new.
        added: u64,
        /// So many are others than before.
        changed: u64,
        /// So many are gone, with all their grants.
        removed: u64,
    },
    /// This one was added by the command line; nothing was done.
    Taken(ClientId),
    /// This one's id is that of a resource that was added by the command line; nothing was done.
    OfResource(ClientId),
}
