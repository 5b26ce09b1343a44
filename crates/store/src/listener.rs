//! Who hears of a store's commits.

use std::time::Duration;

use regrant_engine::event::Event;

/// Hears of a store's work, where it is done: whoever listens must not wait.
pub trait Listener: Send + Sync {
    /// Whether [`committed`](Self::committed) is to be given events. Asked once, when the store is opened.
    fn wants_events(&self) -> bool;
    /// A transaction of the embedded store's writer begins. If it fails, this is the last that is heard of it.
    fn begins(&self);
    /// It is on disk: so many jobs, and what they wrote to the timeline, in order.
    fn committed(&self, jobs: usize, events: Vec<Event>);
    /// The same of a store where many commit at once, and how long it took.
    fn took(&self, jobs: usize, took: Duration, events: Vec<Event>) {
        let _ = took;
        self.committed(jobs, events);
    }
    /// Somebody had to wait for a connection to the database, or hardly at all: so long.
    fn waited(&self, how_long: Duration) {
        let _ = how_long;
    }
}
