//! Contexts of lately seen callers: a client comes back with the same address and browser again and again, and reading its
//! `User-Agent` anew costs as much as deciding about its token.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use regrant_engine::{context::Context, digest::Digests};

/// How many are remembered for each thread that asks: each has one place, and whoever comes later takes it.
const PLACES: usize = 256;
/// A longer `User-Agent` is read each time: memory is not for whoever sends the longest.
const LONGEST: usize = 512;

/// See the module.
pub(super) struct Contexts {
    places: Vec<Mutex<Option<Known>>>,
    /// Keyed at random: nobody can aim at another's place.
    hash: RandomState,
}

struct Known {
    address: IpAddr,
    user_agent: Box<str>,
    context: Context,
}

impl Contexts {
    pub(super) fn new() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self { places: (0..threads * PLACES).map(|_| Mutex::default()).collect(), hash: RandomState::new() }
    }

    /// What [`Digests::context`] says.
    pub(super) fn of(&self, digests: &Digests, address: IpAddr, user_agent: &str) -> Context {
        // For each thread its own: else all of them would take turns where one caller, or one browser, is most of the traffic.
        let hash = self.hash.hash_one((thread::current().id(), address, user_agent));
        let place = usize::try_from(hash % self.places.len() as u64).ok().and_then(|place| self.places.get(place));
        let Some(place) = place.filter(|_| user_agent.len() <= LONGEST) else {
            return digests.context(address, user_agent);
        };
        let mut known = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.address == address && *known.user_agent == *user_agent)
        {
            return known.context.clone();
        }
        let context = digests.context(address, user_agent);
        *known = Some(Known { address, user_agent: user_agent.into(), context: context.clone() });
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_would_be_said() {
        let digests = Digests::new(b"a secret of a test").unwrap();
        let contexts = Contexts::new();
        let long = "x".repeat(LONGEST + 1);
        // More than there are places, each twice and in an order that takes places away in between.
        for _ in 0..2 {
            for n in 0..=255 {
                for user_agent in ["Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0", "curl/8.5.0", "", &long] {
                    let address = IpAddr::from([192, 0, 2, n]);
                    let said = contexts.of(&digests, address, user_agent);
                    assert_eq!(said, digests.context(address, user_agent));
                    assert_eq!(contexts.of(&digests, address, user_agent), said);
                }
            }
        }
    }
}
