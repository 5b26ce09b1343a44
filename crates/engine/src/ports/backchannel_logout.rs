//! What the store is asked about applications that are to be told of an end.

use crate::{id::ClientId, time::Time};

/// Which applications are to be told now that a session ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogoutClaim {
    /// What is due at this moment,
    pub now: Time,
    /// is claimed until then.
    pub until: Time,
    /// What is due only after this moment was written under a wild clock, and counts as due.
    pub wild: Time,
    /// Nothing of these clients.
    pub busy: Vec<ClientId>,
    /// Of so many clients at most.
    pub clients: u32,
    /// Of each so many at most.
    pub of_each: u32,
}
