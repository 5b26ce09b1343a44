//! What the store is asked about sessions, and what it answers.

use super::{Facts, Judge};
use crate::{
    event::Event,
    id::{SessionId, UserId},
    login::FailureKey,
    refresh::Grant,
    session::Session,
    token::GrantId,
};

/// A session to be opened.
pub struct NewSession {
    /// The session.
    pub session: Session,
    /// Its own grant. Its epoch is the one under which the user proved who they are.
    pub grant: Grant,
    /// How many live sessions the user may have, this one included.
    pub limit: u32,
    /// The grant in the caller's cookie, which this one takes the place of, with the judge of that use.
    pub replaces: Option<(GrantId, Judge)>,
    /// To be written to the timeline.
    pub event: Event,
    /// Failures to forget, since this sign-in succeeded.
    pub forgive: Vec<FailureKey>,
}

/// What became of a [`NewSession`].
#[derive(Clone, PartialEq, Debug)]
pub enum Opened {
    /// It is open; `facts` are the user's at that moment.
    Opened {
        /// For the first access token.
        facts: Facts,
    },
    /// The user was disabled, deleted or re-authenticated meanwhile: this sign-in counts for nothing.
    UserChanged,
}

/// Which sessions to list, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionFilter {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Those older than this one: the last of the page before.
    pub after: Option<SessionId>,
    /// At most so many.
    pub limit: u32,
    /// Ended ones too.
    pub ended: bool,
}
