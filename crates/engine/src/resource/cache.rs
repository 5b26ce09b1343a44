//! What the store said of resources, for a second: every request for tokens asks for them, and nearly none of them changes.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use super::Registry;
use crate::{
    ports::{Broken, Store},
    time::{Seconds, Time},
};

/// How old an answer may be: a change that another process made acts within this.
const OLDEST: Seconds = Seconds(1);

/// All resources, as they were lately.
#[derive(Default)]
pub struct Resources {
    /// When they were read; `None` if that is to be done again.
    known: RwLock<(Option<Time>, Arc<Registry>)>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resources")
    }
}

impl Resources {
    /// All of them, at most a second old.
    ///
    /// # Errors
    /// [`Broken`] if the store is.
    pub async fn find(&self, store: &dyn Store, now: Time) -> Result<Arc<Registry>, Broken> {
        let (read, registry) = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if read.is_some_and(|read| read <= now && now < read.plus(OLDEST)) {
            return Ok(registry);
        }
        let found = store.resources().await?;
        let ever = !found.is_empty() || store.had_resources().await?;
        // The same ones again keep what was made of them: keys are parsed once.
        let registry = if registry.is_of(&found, ever) { registry } else { Arc::new(Registry::new(found, ever)?) };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = (Some(now), Arc::clone(&registry));
        Ok(registry)
    }

    /// All of them as they were when somebody last asked, without I/O: a task asks every second, and a session's refresh must
    /// not wait for them.
    #[must_use]
    pub fn lately(&self) -> Arc<Registry> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Asks the store the next time: something was changed here.
    pub fn forget(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).0 = None;
    }
}
