//! What a store needs to carry out row 15 of the table in one conditional statement, before it has seen the grant.
//!
//! The statement may do less than the table: where it is not sure, it changes nothing, and the judge decides. It must never do
//! what the table would not.

use std::{fmt, sync::Arc};

use super::{GrantKind, Intent, KeyThumbprint, Policy, Rotation, Use};
use crate::{
    Engine,
    context::Context,
    id::{ClientId, Generation},
    time::Time,
    token::{Endpoint, KeyId, Presented, Salt},
};

/// A use that is nothing but a renewal, as far as its caller can know.
pub struct Swift {
    /// The token.
    pub presented: Presented,
    /// What it issues.
    pub next: Generation,
    /// Who presents it.
    pub client: ClientId,
    /// The key whose possession was proven.
    pub proof: Option<KeyThumbprint>,
    /// From where.
    pub context: Context,
    /// When.
    pub now: Time,
    /// The master that makes the successor; it is the presented token's too.
    pub key: KeyId,
    /// The policy for browsers' grants,
    pub browser: Policy,
    /// for native applications',
    pub native: Policy,
    /// and for offline grants.
    pub offline: Policy,
    genuine: Genuine,
}

/// Whether a token is this server's, given its grant's salt.
type Genuine = Box<dyn Fn(&Presented, &Salt) -> bool + Send + Sync>;

impl fmt::Debug for Swift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Swift({:?})", self.presented)
    }
}

impl Swift {
    /// `None` where the use is more than a renewal, or the next token's tag cannot have been foreseen.
    pub(crate) fn of(engine: &Arc<Engine>, used: &Use, now: Time) -> Option<Self> {
        let key = engine.refresh_keys.active();
        let plain = used.intent == Intent::Rotate && !used.asks_for_more && used.terms.scope.is_none();
        // Whether a resource can still be had depends on what was granted, which nobody has seen yet.
        let plain = plain && (used.presented.endpoint == Endpoint::Session || used.terms.is_for_any(&engine.resources));
        if !plain || used.presented.key != key {
            return None;
        }
        let policy = |kind| used.terms.policy(engine, kind);
        let [browser, native, offline] =
            [policy(GrantKind::Browser), policy(GrantKind::Native), policy(GrantKind::Offline)];
        let alike = [&native, &offline].iter().all(|other| other.rotations_per_minute == browser.rotations_per_minute);
        if !alike || [&browser, &native, &offline].iter().any(|policy| policy.rotation == Rotation::Off) {
            return None;
        }
        let engine = Arc::clone(engine);
        Some(Self {
            next: used.presented.generation.next()?,
            presented: used.presented.clone(),
            client: used.client.clone(),
            proof: used.terms.proof,
            context: used.context.clone(),
            now,
            key,
            browser,
            native,
            offline,
            genuine: Box::new(move |presented, salt| engine.refresh_keys.is_genuine(presented, salt)),
        })
    }

    /// Whether the token is this server's, now that the grant's salt is known.
    #[must_use]
    pub fn is_genuine(&self, salt: &Salt) -> bool {
        (self.genuine)(&self.presented, salt)
    }
}
