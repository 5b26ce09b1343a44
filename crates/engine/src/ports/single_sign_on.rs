//! What the store is asked about sign-ins of the provider's own pages, and what it answers.

use crate::{
    event::Event,
    id::{Epoch, SessionId},
    login::FailureKey,
    refresh::{Authentication, Owner},
    session::SessionRecord,
};

/// A sign-in of the provider's own pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSignIn {
    /// Of this session. A reference that it had before is worth nothing.
    pub session: SessionId,
    /// The SHA-256 of the reference.
    pub hash: [u8; 32],
    /// The proof.
    pub authentication: Authentication,
    /// The user's epoch when they gave it.
    pub epoch: Epoch,
    /// To be written to the timeline.
    pub event: Option<Event>,
    /// Failures to forget.
    pub forgive: Vec<FailureKey>,
}

/// Whose reference it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignInRecord {
    /// The session.
    pub record: SessionRecord,
    /// The proof.
    pub authentication: Authentication,
    /// The user.
    pub user: Owner,
}
