//! Who hears of a store's commits.

use regrant_engine::event::Event;

/// Hears of a store's work, where it is done: whoever listens must not wait.
pub trait Listener: Send + Sync {
    /// Whether [`committed`](Self::committed) is to be given events. Asked once, when the store is opened.
    fn wants_events(&self) -> bool;
    /// A transaction of the embedded store's writer begins. If it fails, this is the last that is heard of it.
    fn begins(&self);
    /// It is on disk: so many jobs, and what they wrote to the timeline, in order.
    fn committed(&self, jobs: usize, events: Vec<Event>);
}
