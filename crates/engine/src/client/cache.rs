//! What the store said of clients, for a second: every request names one, and nearly none of them changes.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{Client, keys::KeySets};
use crate::{
    id::ClientId,
    ports::{Broken, Store},
    time::{Seconds, Time},
};

/// How old an answer may be: a change that another process made acts within this.
const OLDEST: Seconds = Seconds(1);
/// Clients that are remembered at once. Whoever has more pays a read for each.
const MOST: usize = 10_000;

/// The clients that were asked for lately.
#[derive(Default)]
pub struct Clients {
    known: RwLock<HashMap<ClientId, (Time, Arc<Client>)>>,
    /// The longest lifetime of access tokens that any of them ever had, in seconds.
    longest: AtomicU32,
    /// The keys of those that keep them elsewhere.
    pub keys: KeySets,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// The client `id`, if there is one.
    ///
    /// # Errors
    /// [`Broken`] if the store is.
    pub async fn find(&self, store: &dyn Store, now: Time, id: &ClientId) -> Result<Option<Arc<Client>>, Broken> {
        let fresh = |read: Time| read <= now && now < read.plus(OLDEST);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some((_, client)) = known.filter(|(read, _)| fresh(*read)) {
            return Ok(Some(client));
        }
        // Names that nobody has are not remembered: anybody can make up any number of them.
        let found = store.client(id.clone()).await?.map(Arc::new);
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Some(client) => {
                if all.len() >= MOST {
                    all.clear();
                }
                self.note(client);
                all.insert(id.clone(), (now, Arc::clone(client)));
            }
            None => {
                all.remove(id);
            }
        }
        Ok(found)
    }

    /// Asks the store the next time: something was changed here.
    pub fn forget(&self, id: &ClientId) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Notes how long tokens of this client live: the key that signs one must stay published for so long. Called before any is
    /// signed.
    pub fn note(&self, client: &Client) {
        if let Some(lifetime) = client.metadata.access_token_lifetime {
            self.longest.fetch_max(lifetime.0, Ordering::Relaxed);
        }
    }

    /// The longest lifetime that was noted.
    #[must_use]
    pub fn longest_token(&self) -> Seconds {
        Seconds(self.longest.load(Ordering::Relaxed))
    }
}
