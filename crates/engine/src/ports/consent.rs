//! What the store knows of what applications may do.

use super::Loaded;
use crate::consent::Consent;

/// What applications may do for a user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// What the user allowed, by the clients' ids.
    pub consents: Vec<Consent>,
    /// The applications' grants that nobody has ended, newest first; a deadline may have passed.
    pub grants: Vec<Loaded>,
}
