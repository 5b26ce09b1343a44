//! What the store may remove, and what it did.

use crate::time::Seconds;

/// What a sweep removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Sessions whose deadline had passed, now written as ended.
    pub expired: u64,
    /// Rows past their retention.
    pub removed: u64,
    /// A batch was full: another sweep finds more to look at.
    pub more: bool,
}

/// What a sweep may remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Events, and sessions after their end.
    pub events: Seconds,
    /// Rotations in the timeline; the last [`Self::rotations_kept`] of a grant stay longer.
    pub rotations: Seconds,
    /// See [`Self::rotations`].
    pub rotations_kept: u32,
    /// Counts of failed sign-ins.
    pub failures: Seconds,
    /// A passed deadline is answered at once and written this much later, so that a wild clock destroys nothing.
    pub settle: Seconds,
    /// How far a sweep follows the clock beyond where the last one stood: one that is suddenly far ahead is not believed.
    pub pace: Seconds,
    /// At most so many rows of each kind in one transaction.
    pub batch: u32,
}

/// What became of going on with long work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried {
    /// Nothing is left to do.
    Done,
    /// A batch was done, and there may be more.
    More,
    /// Another node does it.
    Elsewhere,
}
