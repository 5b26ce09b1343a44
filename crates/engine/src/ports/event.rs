//! What the store is asked about the timeline.

use crate::id::{GrantRef, SessionId, UserId};

/// Which part of the timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimelineOf {
    /// All of a session.
    Session(SessionId),
    /// All of a user.
    User(UserId),
    /// One grant's.
    Grant(GrantRef),
}
