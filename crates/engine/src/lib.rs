//! The rules of Regrant. No HTTP, no SQL, no clock or randomness of its own.
//!
//! Begin at [`refresh`]: the rotation is the heart, and everything else brings something to it. [`login`] opens the sessions
//! that it renews, [`session`] lists and ends them, [`user`] holds the people, [`mint`] makes the access tokens, [`ports`]
//! says what the engine needs of the world.

pub mod acr;
pub mod authorize;
pub mod backchannel_logout;
pub mod claims;
pub mod client;
pub mod code;
pub mod common;
pub mod consent;
pub mod context;
pub mod device;
pub mod digest;
pub mod dpop;
pub mod event;
pub mod explain;
pub mod factor;
pub mod grant;
pub mod id;
pub mod id_token;
pub mod interaction;
pub mod introspection;
pub mod keyring;
pub mod login;
pub mod mint;
pub mod password_change;
pub mod ports;
pub mod reason;
pub mod refresh;
pub mod refresh_key;
pub mod resource;
pub mod revocation;
pub mod scope;
pub mod session;
pub mod settings;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
pub mod single_sign_on;
pub mod time;
pub mod token;
pub mod upkeep;
pub mod user;
pub mod userinfo;

use std::sync::Arc;

use event::Actor;
use ports::{Broken, Clock, Observer, Random, Store};
use time::{Seconds, Time};

/// Everything that the rules need, wired once by the server.
///
/// Begins on a cache line of its own: who shares it is counted just before, by every refresh on every thread, and each count would
/// take what stands here from all the others.
#[repr(align(64))]
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
    /// The clients that were asked for lately.
    pub clients: client::Clients,
    /// The resources that tokens can be for, as they were lately.
    pub resources: resource::Resources,
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

/// The engine, and who has it do something: written into the timeline. A bare engine is the operator's.
#[derive(Clone, Copy, Debug)]
pub struct By<'e> {
    /// What is asked.
    pub engine: &'e Engine,
    /// By whom.
    pub actor: Actor,
}

impl<'e> From<&'e Engine> for By<'e> {
    fn from(engine: &'e Engine) -> Self {
        engine.by(Actor::Operator)
    }
}

impl<'e> From<&'e Arc<Engine>> for By<'e> {
    fn from(engine: &'e Arc<Engine>) -> Self {
        engine.by(Actor::Operator)
    }
}

impl Engine {
    /// Tells the store how the next tokens of a grant are foreseen, and where users live. Once, when all is wired; it ends with
    /// the engine.
    pub fn share_foresight(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.store.foresee(Box::new(move |grant| engine.upgrade()?.refresh_keys.tags(grant)));
        let engine = Arc::downgrade(self);
        self.store.place_users(Box::new(move |user| Some(engine.upgrade()?.digests.shard(user))));
    }

    /// In the name of `actor`.
    #[must_use]
    pub const fn by(&self, actor: Actor) -> By<'_> {
        By { engine: self, actor }
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The client `id`, as it was at most a second ago.
    ///
    /// # Errors
    /// [`Broken`] if the store is.
    pub async fn client(&self, id: &id::ClientId) -> Result<Option<Arc<client::Client>>, Broken> {
        self.clients.find(&*self.store, self.now(), id).await
    }

    /// The resources, as they were at most a second ago.
    ///
    /// # Errors
    /// [`Broken`] if the store is.
    pub async fn registry(&self) -> Result<Arc<resource::Registry>, Broken> {
        self.resources.find(&*self.store, self.now()).await
    }

    /// How long the longest-lived token lives that is signed: its key stays published for so long.
    #[must_use]
    pub fn longest_token(&self) -> Seconds {
        self.settings.access_token.max(self.clients.longest_token())
    }
}
