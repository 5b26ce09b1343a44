//! What the store said of resources, for a second: every request for tokens asks for them, and nearly none of them changes.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use super::{Form, Registry};
use crate::{
    ports::{Broken, Store},
    time::{Seconds, Time},
};

/// How old an answer may be: a change that another process made acts within this.
const OLDEST: Seconds = Seconds(1);

/// All resources, as they were lately.
#[derive(Default)]
pub struct Resources(ArcSwap<Known>);

#[derive(Default)]
struct Known {
    /// When they were read; `None` if that is to be done again.
    read: Option<Time>,
    registry: Arc<Registry>,
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
        let known = self.0.load_full();
        if known.read.is_some_and(|read| read <= now && now < read.plus(OLDEST)) {
            return Ok(Arc::clone(&known.registry));
        }
        let found = store.resources().await?;
        let ever = !found.is_empty() || store.had_resources().await?;
        // The same ones again keep what was made of them: keys are parsed once.
        let same = known.registry.is_of(&found, ever);
        let registry = if same { Arc::clone(&known.registry) } else { Arc::new(Registry::new(found, ever)?) };
        self.0.store(Arc::new(Known { read: Some(now), registry: Arc::clone(&registry) }));
        Ok(registry)
    }

    /// All of them as they were when somebody last asked, without I/O: a task asks every second, and a session's refresh must
    /// not wait for them.
    #[must_use]
    pub fn lately(&self) -> Arc<Registry> {
        Arc::clone(&self.0.load().registry)
    }

    /// In which form tokens for `audience` are made, by what [`Self::lately`] gives.
    #[must_use]
    pub(crate) fn form_of(&self, audience: &str) -> Form {
        self.0.load().registry.form_of(audience)
    }

    /// Asks the store the next time: something was changed here.
    pub fn forget(&self) {
        self.0.rcu(|known| Known { read: None, registry: Arc::clone(&known.registry) });
    }
}
