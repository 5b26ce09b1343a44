//! Signing keys: in the store, sealed under a key from the key file, so that the database alone signs nothing.
//!
//! 1. [`load`] opens the keys when a process starts, and makes the first ones on a new store. Those sign at once: nobody knows
//!    other ones yet.
//! 2. [`Keyring::tend`] is asked every few seconds. It reads the ring, and [`lifecycle::due`] says what is to be done. Nearly
//!    always that is nothing.
//! 3. A change is made by one verb that compares the whole ring with what the decision was made on. Of two nodes one does it,
//!    and the other reads what came of it.
//! 4. Whoever changed the ring, or finds it changed, gives it to the mint, which uses it from the next token on.

pub mod lifecycle;

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf,
};
use regrant_jose::{Algorithm, SigningKey};
use zeroize::Zeroizing;

use crate::{
    By, Engine,
    event::{Actor, Event},
    ports::{Broken, Random, RingSwapped, Store},
    reason::named,
    time::{Seconds, Time},
};
use lifecycle::{Step, Told};

/// A signing key as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The RFC 7638 thumbprint of its public half.
    pub kid: String,
    /// The JOSE name of its algorithm.
    pub algorithm: String,
    /// What it does now.
    pub state: KeyState,
    /// Since when.
    pub since: Time,
    /// How long the longest-lived token lives that it ever signed; of no meaning before it signs.
    pub longest_token: Seconds,
    /// When it was made.
    pub created_at: Time,
    /// Nonce, then the PKCS#8 document under AES-256-GCM; kid and algorithm are authenticated with it.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedKey({} {} {})", self.kid, self.algorithm, self.state)
    }
}

named! {
    /// What a signing key does.
    KeyState {
        /// In the JWKS, signs nothing yet.
        Published = "published",
        /// Signs.
        Active = "active",
        /// In the JWKS until the last token that it signed has expired.
        Retiring = "retiring",
    }
}

/// Seals signing keys and opens them again.
pub struct Vault(RandomizedNonceKey);

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(secret)")
    }
}

impl Vault {
    /// Derives the key from the key file's sealing secret. `None` only if the library fails.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
        let mut key = Zeroizing::new([0; 32]);
        secret.expand(&[b"regrant/signing-keys/v1"], hkdf::HKDF_SHA256).ok()?.fill(key.as_mut_slice()).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).ok().map(Self)
    }

    fn seal(&self, key: &SigningKey, state: KeyState, longest_token: Seconds, created_at: Time) -> Option<SealedKey> {
        let kid = key.kid().to_owned();
        let algorithm = key.algorithm().as_str().to_owned();
        let mut secret = key.to_pkcs8()?;
        let nonce = self.0.seal_in_place_append_tag(Aad::from(label(&kid, &algorithm)), &mut *secret).ok()?;
        let sealed = [nonce.as_ref().as_slice(), secret.as_slice()].concat();
        Some(SealedKey { kid, algorithm, state, since: created_at, longest_token, created_at, sealed })
    }

    /// Opens a key. `None` if it was sealed under another secret, altered, or is of an algorithm that this version lacks.
    #[must_use]
    pub fn open(&self, key: &SealedKey) -> Option<SigningKey> {
        let (nonce, sealed) = key.sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let pkcs8 = self.0.open_in_place(nonce, Aad::from(label(&key.kid, &key.algorithm)), &mut sealed).ok()?;
        SigningKey::from_pkcs8(Algorithm::from_name(&key.algorithm)?, pkcs8).ok()
    }
}

fn label(kid: &str, algorithm: &str) -> Vec<u8> {
    [algorithm.as_bytes(), b"\0", kid.as_bytes()].concat()
}

/// A ring with its keys opened.
pub type OpenRing = Vec<(SealedKey, SigningKey)>;

/// Opens the signing keys; makes a first ES256 key on a new store. Enough for a mint of session tokens.
///
/// # Errors
/// See [`load_for`].
pub async fn load(store: &dyn Store, vault: &Vault, now: Time, random: &dyn Random) -> Result<OpenRing, Broken> {
    load_for(&[Algorithm::Es256], Seconds::DAY, store, vault, now, random).await
}

/// Opens the signing keys; makes the first ones, of these algorithms, on a new store.
///
/// # Errors
/// [`Broken::Damaged`] if a key does not open: the key file is not the one that the store was made with.
pub async fn load_for(
    algorithms: &[Algorithm],
    longest: Seconds,
    store: &dyn Store,
    vault: &Vault,
    now: Time,
    random: &dyn Random,
) -> Result<OpenRing, Broken> {
    let mut keys = store.signing_keys().await?;
    if keys.is_empty() {
        let steps: Vec<Step> = algorithms.iter().copied().map(Step::Begin).collect();
        let made = make(vault, &steps, longest, now).await?;
        let (first, told) = lifecycle::after(&[], &steps, made, longest, now);
        let events = told.into_iter().map(|told| event(told, now, Actor::System, random)).collect();
        keys = match store.swap_signing_keys(vec![], first.clone(), events).await? {
            RingSwapped::Swapped => first,
            // Another process was quicker.
            RingSwapped::Moved(keys) => keys,
        };
    }
    open_all(vault, keys)
}

fn open_all(vault: &Vault, keys: Vec<SealedKey>) -> Result<OpenRing, Broken> {
    let mut ring = Vec::with_capacity(keys.len());
    for key in keys {
        let opened = vault.open(&key).ok_or_else(|| {
            Broken::Damaged(format!(
                "signing key {} does not open with the key file's sealing secret: put back the right key file",
                key.kid
            ))
        })?;
        ring.push((key, opened));
    }
    // For people, and for verifiers that try one after the other.
    let place = |opened: &SigningKey| Algorithm::ALL.iter().position(|algorithm| *algorithm == opened.algorithm());
    ring.sort_by_key(|(key, opened)| (key.state != KeyState::Active, place(opened), key.created_at));
    Ok(ring)
}

/// Makes and seals the keys that `steps` need.
async fn make(vault: &Vault, steps: &[Step], longest: Seconds, now: Time) -> Result<Vec<SealedKey>, Broken> {
    let failed = || Broken::Store("the cryptographic library could not make a signing key".to_owned());
    let mut made = Vec::new();
    for (algorithm, state) in steps.iter().filter_map(Step::makes) {
        // An RSA key takes a good while: not on a thread that requests wait for.
        let key = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await;
        let key = key.map_err(|_| failed())?.map_err(|_| failed())?;
        made.push(vault.seal(&key, state, longest, now).ok_or_else(failed)?);
    }
    Ok(made)
}

fn event(told: Told, now: Time, actor: Actor, random: &dyn Random) -> Event {
    Event::new(told.kind, now, actor, random).with("kid", told.kid).with("algorithm", told.algorithm)
}

/// Keeps an engine's signing keys as they are due, and changes them as the operator asks.
pub struct Keyring {
    vault: Vault,
    /// One change at a time in this process; the store sees to the others.
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

/// What became of a wish to take a key away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyRetired {
    /// It is gone. `successor` signs in its place, if it signed.
    Gone {
        /// The key that signs from now on.
        successor: Option<String>,
    },
    /// It signs, and needs a successor first: a rotation.
    Signs,
    /// It signs no more and goes at this time by itself; tokens of it live until then.
    Retiring {
        /// When.
        until: Time,
    },
    /// There is no such key.
    Unknown,
}

impl Keyring {
    /// Of the store that `vault` opens.
    #[must_use]
    pub fn new(vault: Vault) -> Self {
        Self { vault, turn: tokio::sync::Mutex::new(()) }
    }

    /// Does what is due, and takes over what other nodes did. The steps that were taken here.
    ///
    /// # Errors
    /// [`Broken`] if the store is; it is asked again in a few seconds.
    pub async fn tend(&self, engine: &Engine) -> Result<Vec<Step>, Broken> {
        let policy = engine.settings.keys;
        let longest = engine.longest_token();
        self.change(engine, Actor::System, |keys, now| lifecycle::due(keys, &policy, longest, now)).await
    }

    /// Publishes new keys, which sign once every verifier knows them; `at_once`: which sign now.
    ///
    /// Without steps there was nothing to do: keys wait already.
    ///
    /// # Errors
    /// [`Broken`] if the store is.
    pub async fn rotate<'e>(&self, by: impl Into<By<'e>>, at_once: bool) -> Result<Vec<Step>, Broken> {
        let By { engine, actor } = by.into();
        let policy = engine.settings.keys;
        self.change(engine, actor, |keys, _| lifecycle::rotation(keys, &policy, at_once)).await
    }

    /// Takes a key away: one that only waits, or any that is `compromised`, whatever it signed.
    ///
    /// # Errors
    /// [`Broken`] if the store is.
    pub async fn retire<'e>(&self, by: impl Into<By<'e>>, kid: &str, compromised: bool) -> Result<KeyRetired, Broken> {
        let By { engine, actor } = by.into();
        let policy = engine.settings.keys;
        let state = |keys: &[SealedKey]| keys.iter().find(|key| key.kid == kid).map(|key| key.state);
        let steps = self
            .change(engine, actor, |keys, _| match (state(keys), compromised) {
                (_, true) => lifecycle::revocation(keys, &policy, kid),
                (Some(KeyState::Published), false) => vec![Step::Remove(kid.to_owned())],
                (_, false) => vec![],
            })
            .await?;
        let keys = engine.mint.ring();
        if let Some(step) = steps.get(1) {
            let algorithm = step.makes().map(|(algorithm, _)| algorithm.as_str());
            let signs = |key: &&SealedKey| match step {
                Step::Activate(kid) => key.kid == *kid,
                _ => key.state == KeyState::Active && Some(key.algorithm.as_str()) == algorithm,
            };
            return Ok(KeyRetired::Gone { successor: keys.iter().find(signs).map(|key| key.kid.clone()) });
        }
        if !steps.is_empty() {
            return Ok(KeyRetired::Gone { successor: None });
        }
        Ok(match keys.iter().find(|key| key.kid == kid) {
            None => KeyRetired::Unknown,
            Some(key) if key.state == KeyState::Retiring => KeyRetired::Retiring { until: key.until(&policy) },
            Some(_) => KeyRetired::Signs,
        })
    }

    /// Reads the ring, takes the steps that `plan` says, and gives the ring to the mint.
    async fn change(
        &self,
        engine: &Engine,
        actor: Actor,
        plan: impl Fn(&[SealedKey], Time) -> Vec<Step>,
    ) -> Result<Vec<Step>, Broken> {
        let _turn = self.turn.lock().await;
        let longest = engine.longest_token();
        let mut keys = engine.store.signing_keys().await?;
        for _ in 0..ATTEMPTS {
            let now = engine.now();
            let steps = plan(&keys, now);
            if steps.is_empty() {
                self.adopt(engine, keys)?;
                return Ok(steps);
            }
            let made = make(&self.vault, &steps, longest, now).await?;
            let (next, told) = lifecycle::after(&keys, &steps, made, longest, now);
            let events = told.into_iter().map(|told| event(told, now, actor, &*engine.random)).collect();
            match engine.store.swap_signing_keys(keys, next.clone(), events).await? {
                RingSwapped::Swapped => {
                    self.adopt(engine, next)?;
                    return Ok(steps);
                }
                // Another node was quicker: what is to be done may be another thing now.
                RingSwapped::Moved(theirs) => keys = theirs,
            }
        }
        Err(Broken::Store("the signing keys are being changed by somebody else all the time; try again".to_owned()))
    }

    fn adopt(&self, engine: &Engine, keys: Vec<SealedKey>) -> Result<(), Broken> {
        if engine.mint.holds(&keys) {
            return Ok(());
        }
        let ring = open_all(&self.vault, keys)?;
        if engine.mint.replace(&ring) {
            Ok(())
        } else {
            Err(Broken::Damaged("the store has no signing key that is active".to_owned()))
        }
    }
}

/// How often a change is tried when other nodes make theirs at the same time.
const ATTEMPTS: usize = 8;

#[cfg(test)]
pub(crate) mod tests;
