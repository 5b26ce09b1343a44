//! Public keys that a client keeps at an address of its own (`jwks_uri`, RFC 7591 §2): what stood there, for a few minutes.
//!
//! 1. A set is asked for at most every five minutes, by one request, however many wait for it.
//! 2. A token that names a key which is not in it may be of a new key: it is asked for once more, but not more often than every
//!    quarter of a minute, since anybody can make up names. An address that does not answer is left alone for as long.
//! 3. Whoever can read a set can read all of it: what is secret in one proves nothing, and is passed over.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use regrant_jose::{Jwk, Jwks};
use tokio::sync;

use crate::time::{Seconds, Time};

/// How old a set may be. A client that takes a key back is believed within this.
const FRESH: Seconds = Seconds::minutes(5);
/// How soon an address is asked again.
const AGAIN: Seconds = Seconds(15);
/// Addresses that are remembered at once. They are of registered clients only.
const MOST: usize = 10_000;

/// Asks for key sets. The server has the one client for such requests (`outbound.rs`).
pub trait KeySource: Send + Sync {
    /// What stands at `url` now, at most [`regrant_jose::MAX_JWKS_BYTES`] of it. `None` if it cannot be had; the log says why.
    fn fetch<'a>(&'a self, url: &'a str) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>>;
}

/// The key sets that were asked for lately.
#[derive(Default)]
pub struct KeySets {
    source: OnceLock<Arc<dyn KeySource>>,
    known: Mutex<HashMap<String, Arc<sync::Mutex<Known>>>>,
}

#[derive(Default)]
struct Known {
    set: Option<(Time, Arc<Jwks>)>,
    tried: Option<Time>,
}

impl fmt::Debug for KeySets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySets")
    }
}

impl KeySets {
    /// Where requests go out. Without it there are none, and no set can be had.
    pub fn fetch_by(&self, source: Arc<dyn KeySource>) {
        // Said once, at the start.
        let _ = self.source.set(source);
    }

    /// The keys at `url`, for a token that names the key `kid`.
    pub async fn at(&self, url: &str, kid: Option<&str>, now: Time) -> Option<Arc<Jwks>> {
        let place = self.place(url);
        // Whoever comes second waits for the first one's answer.
        let mut known = place.lock_owned().await;
        let within = |since: Time, time: Seconds| since <= now && now < since.plus(time);
        let fresh = known.set.as_ref().filter(|(fetched, _)| within(*fetched, FRESH)).map(|(_, set)| Arc::clone(set));
        let is_named = |set: &Arc<Jwks>| kid.is_none_or(|kid| set.keys().iter().any(|key| key.kid() == Some(kid)));
        if fresh.as_ref().is_some_and(is_named) || known.tried.is_some_and(|tried| within(tried, AGAIN)) {
            return fresh;
        }
        let (source, url) = (Arc::clone(self.source.get()?), url.to_owned());
        known.tried = Some(now);
        // It outlives whoever asked: else a stranger who hangs up would leave an address that was tried, and no set.
        let asked = tokio::spawn(async move {
            let set = source.fetch(&url).await.and_then(|body| public(&body)).map(Arc::new);
            if let Some(set) = &set {
                known.set = Some((now, Arc::clone(set)));
            }
            set
        });
        asked.await.ok().flatten().or(fresh)
    }

    fn place(&self, url: &str) -> Arc<sync::Mutex<Known>> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(url) {
            all.clear();
        }
        Arc::clone(all.entry(url.to_owned()).or_default())
    }
}

fn public(body: &[u8]) -> Option<Jwks> {
    let set = Jwks::parse(body).ok()?;
    Some(set.narrowed(|key: &Jwk| (!key.is_secret()).then(|| key.clone())))
}

#[cfg(test)]
mod tests;
