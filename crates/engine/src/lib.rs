//! The rules of Regrant. No HTTP, no SQL, no clock or randomness of its own.
//!
//! Begin at [`refresh`]: the rotation is the heart, and everything else brings something to it. [`login`] opens the sessions
//! that it renews, [`session`] lists and ends them, [`user`] holds the people, [`mint`] makes the access tokens, [`ports`]
//! says what the engine needs of the world.

pub mod claims;
pub mod context;
pub mod digest;
pub mod event;
pub mod explain;
pub mod factor;
pub mod id;
pub mod keyring;
pub mod login;
pub mod mint;
pub mod password_change;
pub mod ports;
pub mod reason;
pub mod refresh;
pub mod refresh_key;
pub mod session;
pub mod settings;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
pub mod time;
pub mod token;
pub mod user;

use std::sync::Arc;

use ports::{Clock, Observer, Random, Store};
use time::Time;

/// Everything that the rules need, wired once by the server.
pub struct Engine {
    /// Where the truth is.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Randomness fit for secrets.
    pub random: Arc<dyn Random>,
    /// Makes and recognises refresh tokens.
    pub refresh_keys: token::RefreshKeys,
    /// Makes and checks access tokens.
    pub mint: mint::Mint,
    /// Compares without keeping.
    pub digests: digest::Digests,
    /// Hashes passwords.
    pub hasher: factor::password::Hasher,
    /// What the operator decided.
    pub settings: settings::Settings,
    /// Hears what is decided.
    pub observer: Arc<dyn Observer>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.settings.issuer)
    }
}

impl Engine {
    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}
