//! The life of a signing key, pure: what is due, and what the ring looks like afterwards.
//!
//! ```text
//!   published ──2 × max-age──▶ active ──its successor is active──▶ retiring ──its last token has expired──▶ gone
//! ```
//!
//! 1. A key is published before it signs. Verifiers keep the JWKS for its max-age, so after twice that everybody has it.
//! 2. Its successor is published so early that it can sign when the key is due to be replaced.
//! 3. A retiring key stays published until the last token that it signed has expired, and a minute more: for clocks, and for
//!    another node that learns of the change a few seconds late.
//!
//! [`due`] reads the ring and says the steps. Nobody keeps a timer: whoever asks again gets the same answer, on every node.

use regrant_jose::Algorithm;

use super::{KeyState, SealedKey};
use crate::{
    event::EventKind,
    time::{Seconds, Time},
};

/// What the operator decides about signing keys (`[keys]`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyPolicy {
    /// How long verifiers may keep the JWKS.
    pub jwks_max_age: Seconds,
    /// How long a key signs.
    pub rotate_every: Seconds,
    /// Whether there is an Ed25519 key too.
    pub ed25519: bool,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self { jwks_max_age: Seconds::minutes(5), rotate_every: Seconds::days(90), ed25519: false }
    }
}

impl KeyPolicy {
    /// The algorithms of which there is a key. OpenID Connect Core §3.1.3.7 makes RS256 the one that every client knows.
    #[must_use]
    pub fn algorithms(&self) -> &'static [Algorithm] {
        if self.ed25519 {
            &[Algorithm::Es256, Algorithm::Rs256, Algorithm::Ed25519]
        } else {
            &[Algorithm::Es256, Algorithm::Rs256]
        }
    }

    /// How long a key is published before it signs.
    #[must_use]
    pub const fn lead(&self) -> Seconds {
        Seconds(self.jwks_max_age.0.saturating_mul(2))
    }
}

/// One change of the ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A new key is made and published.
    Publish(Algorithm),
    /// A new key is made and signs at once: verifiers that keep the JWKS do not know it yet.
    Begin(Algorithm),
    /// A published key signs from now on; the one that did retires.
    Activate(String),
    /// A key signs no more and has no successor: its algorithm was switched off.
    Retire(String),
    /// A key is gone.
    Remove(String),
    /// A key is gone although tokens of it live: somebody else may have it.
    Revoke(String),
    /// A key signs longer-lived tokens from now on.
    Lengthen(String),
}

impl Step {
    /// The algorithm of the key that has to be made for it, and the state that it begins in.
    #[must_use]
    pub const fn makes(&self) -> Option<(Algorithm, KeyState)> {
        match self {
            Self::Publish(algorithm) => Some((*algorithm, KeyState::Published)),
            Self::Begin(algorithm) => Some((*algorithm, KeyState::Active)),
            _ => None,
        }
    }
}

impl SealedKey {
    /// When its next state is due: to sign, to be replaced, to be gone.
    #[must_use]
    pub const fn until(&self, policy: &KeyPolicy) -> Time {
        match self.state {
            KeyState::Published => self.since.plus(policy.lead()),
            KeyState::Active => self.since.plus(policy.rotate_every),
            KeyState::Retiring => self.since.plus(self.longest_token).plus(Seconds::MINUTE),
        }
    }
}

/// The steps that are due at `now`. `longest` is how long the longest-lived token lives that is signed today.
#[must_use]
pub fn due(keys: &[SealedKey], policy: &KeyPolicy, longest: Seconds, now: Time) -> Vec<Step> {
    let mut steps = Vec::new();
    for algorithm in Algorithm::ALL {
        let of = |state| keys.iter().filter(move |key| key.state == state && key.algorithm == algorithm.as_str());
        let (active, waiting) = (of(KeyState::Active).next(), of(KeyState::Published).next());
        let gone = of(KeyState::Retiring).filter(|key| key.until(policy) <= now);
        steps.extend(gone.map(|key| Step::Remove(key.kid.clone())));
        if !policy.algorithms().contains(algorithm) {
            steps.extend(of(KeyState::Published).map(|key| Step::Remove(key.kid.clone())));
            steps.extend(of(KeyState::Active).map(|key| Step::Retire(key.kid.clone())));
            continue;
        }
        match (active, waiting) {
            (_, Some(next)) if next.until(policy) <= now => steps.push(Step::Activate(next.kid.clone())),
            (_, Some(_)) => {}
            // An algorithm that is new on a store that verifiers know already.
            (None, None) => steps.push(Step::Publish(*algorithm)),
            (Some(active), None) if active.until(policy).minus(policy.lead()) <= now => {
                steps.push(Step::Publish(*algorithm));
            }
            (Some(_), None) => {}
        }
        // Before the first token that lives longer: the key must stay for that one too.
        let short = active.filter(|key| key.longest_token < longest);
        steps.extend(short.map(|key| Step::Lengthen(key.kid.clone())));
    }
    steps
}

/// The steps of a rotation that the operator asks for. `at_once`: new keys sign now, those that wait before others.
#[must_use]
pub fn rotation(keys: &[SealedKey], policy: &KeyPolicy, at_once: bool) -> Vec<Step> {
    let of = |algorithm: &Algorithm| {
        let waiting = keys.iter().find(|key| key.state == KeyState::Published && key.algorithm == algorithm.as_str());
        match (waiting, at_once) {
            // It waits already, and this changes nothing of that.
            (Some(_), false) => None,
            (None, false) => Some(Step::Publish(*algorithm)),
            // Some verifiers know it.
            (Some(key), true) => Some(Step::Activate(key.kid.clone())),
            (None, true) => Some(Step::Begin(*algorithm)),
        }
    };
    policy.algorithms().iter().filter_map(of).collect()
}

/// The steps that take a compromised key away at once; none if there is no such key.
#[must_use]
pub fn revocation(keys: &[SealedKey], policy: &KeyPolicy, kid: &str) -> Vec<Step> {
    let Some(key) = keys.iter().find(|key| key.kid == kid) else {
        return Vec::new();
    };
    let algorithm = policy.algorithms().iter().find(|algorithm| algorithm.as_str() == key.algorithm);
    let successor = match (key.state, algorithm) {
        (KeyState::Active, Some(algorithm)) => {
            let waiting =
                keys.iter().find(|other| other.state == KeyState::Published && other.algorithm == key.algorithm);
            Some(waiting.map_or(Step::Begin(*algorithm), |waiting| Step::Activate(waiting.kid.clone())))
        }
        _ => None,
    };
    std::iter::once(Step::Revoke(kid.to_owned())).chain(successor).collect()
}

/// What the timeline says of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// What happened.
    pub kind: EventKind,
    /// To which key.
    pub kid: String,
    /// Of which algorithm.
    pub algorithm: String,
}

/// The ring after `steps`. `made` are the new keys, in the order of the steps that make one.
#[must_use]
pub fn after(
    keys: &[SealedKey],
    steps: &[Step],
    made: Vec<SealedKey>,
    longest: Seconds,
    now: Time,
) -> (Vec<SealedKey>, Vec<Told>) {
    let mut ring = keys.to_vec();
    let mut told = Vec::new();
    let mut made = made.into_iter();
    for step in steps {
        match step {
            Step::Publish(_) | Step::Begin(_) => {
                // One was made for each such step.
                let Some(key) = made.next() else { continue };
                if key.state == KeyState::Active {
                    retire(&mut ring, &mut told, &key.algorithm, now);
                    told.push(key.told(EventKind::KeyActivated));
                } else {
                    told.push(key.told(EventKind::KeyPublished));
                }
                ring.push(key);
            }
            Step::Activate(kid) => {
                let Some(algorithm) = ring.iter().find(|key| key.kid == *kid).map(|key| key.algorithm.clone()) else {
                    continue;
                };
                retire(&mut ring, &mut told, &algorithm, now);
                for key in ring.iter_mut().filter(|key| key.kid == *kid) {
                    *key = SealedKey { state: KeyState::Active, since: now, longest_token: longest, ..key.clone() };
                    told.push(key.told(EventKind::KeyActivated));
                }
            }
            Step::Retire(kid) => {
                for key in ring.iter_mut().filter(|key| key.kid == *kid) {
                    (key.state, key.since) = (KeyState::Retiring, now);
                    told.push(key.told(EventKind::KeyRetiring));
                }
            }
            Step::Remove(kid) | Step::Revoke(kid) => {
                let kind =
                    if matches!(step, Step::Revoke(_)) { EventKind::KeyCompromised } else { EventKind::KeyRemoved };
                told.extend(ring.iter().filter(|key| key.kid == *kid).map(|key| key.told(kind)));
                ring.retain(|key| key.kid != *kid);
            }
            Step::Lengthen(kid) => {
                for key in ring.iter_mut().filter(|key| key.kid == *kid) {
                    key.longest_token = key.longest_token.max(longest);
                }
            }
        }
    }
    (ring, told)
}

/// One key of an algorithm signs at a time.
fn retire(ring: &mut [SealedKey], told: &mut Vec<Told>, algorithm: &str, now: Time) {
    for key in ring.iter_mut().filter(|key| key.state == KeyState::Active && key.algorithm == algorithm) {
        (key.state, key.since) = (KeyState::Retiring, now);
        told.push(key.told(EventKind::KeyRetiring));
    }
}

impl SealedKey {
    fn told(&self, kind: EventKind) -> Told {
        Told { kind, kid: self.kid.clone(), algorithm: self.algorithm.clone() }
    }
}

#[cfg(test)]
mod tests;
