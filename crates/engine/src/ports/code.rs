//! What the store is asked about authorization codes, and what it answers.

use super::{Judge, Loaded};
use crate::{code::LoadedCode, event::Event, refresh::Authentication, token::GrantId};

/// Decides about a code inside the store's transaction. Pure, so that a store may run it again.
pub type CodeJudge = Box<dyn Fn(Option<&LoadedCode>) -> Redemption + Send + Sync>;

/// What is said of a code. The store carries it out, commits, and returns it.
pub enum Redemption {
    /// It is good for nothing here; nothing changes.
    Refused,
    /// It comes a second time.
    Reused {
        /// The grant that it gave, and the judge that ends it.
        ends: (GrantId, Judge),
        /// To be written to the timeline.
        event: Event,
    },
    /// It is redeemed for this grant.
    Granted {
        /// The grant, new, with its facts.
        loaded: Box<Loaded>,
        /// The proof that it comes from: kept as long as the grant.
        authentication: Authentication,
        /// For the ID token.
        nonce: Option<String>,
        /// To be written to the timeline.
        event: Event,
    },
}
