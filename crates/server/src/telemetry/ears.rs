//! What is heard of the store's writer, or of its many connections: commits for the metrics, events for the stream.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use regrant_engine::event::Event;
use regrant_store::Listener;

use super::{Metrics, events::Tap};
use crate::system::Stopwatch;

/// Listens to the writer, on its thread.
pub(crate) struct Ears {
    metrics: Option<Arc<Metrics>>,
    /// Of the transaction under way. The writer's thread alone takes the lock.
    began: Mutex<Option<Stopwatch>>,
    tap: Option<Tap>,
}

impl Ears {
    /// `None` where nobody wants to know.
    pub(crate) fn of(metrics: Option<&Arc<Metrics>>, tap: Option<Tap>) -> Option<Arc<dyn Listener>> {
        if metrics.is_none() && tap.is_none() {
            return None;
        }
        Some(Arc::new(Self { metrics: metrics.map(Arc::clone), began: Mutex::new(None), tap }))
    }

    fn began(&self, next: Option<Stopwatch>) -> Option<Stopwatch> {
        std::mem::replace(&mut *self.began.lock().unwrap_or_else(PoisonError::into_inner), next)
    }
}

impl Listener for Ears {
    fn wants_events(&self) -> bool {
        self.tap.is_some()
    }

    fn begins(&self) {
        if self.metrics.is_some() {
            self.began(Some(Stopwatch::start()));
        }
    }

    fn committed(&self, jobs: usize, events: Vec<Event>) {
        if let (Some(metrics), Some(began)) = (&self.metrics, self.began(None)) {
            metrics.committed(jobs, began.elapsed());
        }
        if let Some(tap) = &self.tap {
            tap.tell(events);
        }
    }

    fn took(&self, jobs: usize, took: Duration, events: Vec<Event>) {
        if let Some(metrics) = &self.metrics {
            metrics.committed(jobs, took);
        }
        if let Some(tap) = &self.tap {
            tap.tell(events);
        }
    }

    fn waited(&self, how_long: Duration) {
        if let Some(metrics) = &self.metrics {
            metrics.waited(how_long);
        }
    }
}
