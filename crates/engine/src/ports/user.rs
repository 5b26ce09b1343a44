//! What the store is asked about users, their passwords and their roles, and what it answers.

use super::Verdict;
use crate::{event::Event, id::UserId, token::Shard, user::Identifier};

/// A change of password by its owner.
#[derive(Clone)]
pub struct PasswordChange {
    /// The hash that the old password was compared with.
    pub expected: String,
    /// The new one.
    pub hash: String,
    /// To be written to the timeline.
    pub event: Event,
}

/// What became of a [`PasswordChange`].
#[derive(Clone, PartialEq, Debug)]
pub enum PasswordChanged {
    /// It holds; every other session of the user ended, and the verdict's grant was raised.
    Changed(Verdict),
    /// The grant may not do this now.
    NotAllowed(Verdict),
    /// Somebody changed the password meanwhile.
    Conflict,
}

/// How to find a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserSelector {
    /// By its id.
    Id(UserId),
    /// By an identifier.
    Identifier(Identifier),
}

/// What became of a change to one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserChanged {
    /// It was made; so many sessions ended with it.
    Changed {
        /// How many.
        ended: u64,
    },
    /// There was nothing to change.
    Unchanged,
    /// There is no such user.
    NotFound,
}

/// What became of users to be added. All or none are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UsersAdded {
    /// All are there.
    Added,
    /// The `index`th one's identifier belongs to another user already.
    Taken {
        /// Counted from 0.
        index: usize,
    },
    /// The `index`th one has a role that does not exist.
    NoSuchRole {
        /// Counted from 0.
        index: usize,
        /// Its name.
        role: String,
    },
}

/// What became of a change to a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleChanged {
    /// It was made.
    Changed,
    /// It was so already.
    Unchanged,
    /// The user has as many as one can ([`crate::user::MOST_ROLES`]).
    TooMany,
    /// There is no such role.
    NoSuchRole,
    /// There is no such user.
    NoSuchUser,
}

/// Says on which shard a user lives, or would live.
pub type Places = Box<dyn Fn(UserId) -> Option<Shard> + Send + Sync>;
