//! Signing keys at rest: in the store, sealed under a key from the key file, so that the database alone signs nothing.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf,
};
use regrant_jose::{Algorithm, SigningKey};
use zeroize::Zeroizing;

use crate::{
    event::{Actor, Event, EventKind},
    ports::{Broken, Random, Store},
    reason::named,
    time::Time,
};

/// A signing key as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The RFC 7638 thumbprint of its public half.
    pub kid: String,
    /// The JOSE name of its algorithm.
    pub algorithm: String,
    /// What it does now.
    pub state: KeyState,
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

    fn seal(&self, key: &SigningKey, state: KeyState, created_at: Time) -> Option<SealedKey> {
        let kid = key.kid().to_owned();
        let algorithm = key.algorithm().as_str().to_owned();
        let mut secret = key.to_pkcs8();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(label(&kid, &algorithm)), &mut *secret).ok()?;
        let sealed = [nonce.as_ref().as_slice(), secret.as_slice()].concat();
        Some(SealedKey { kid, algorithm, state, created_at, sealed })
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

/// Loads the signing keys, the active one first; makes the first one on a new store.
///
/// # Errors
/// [`Broken::Damaged`] if a key does not open: the key file is not the one that the store was made with.
pub async fn load(
    store: &dyn Store,
    vault: &Vault,
    now: Time,
    random: &dyn Random,
) -> Result<Vec<(KeyState, SigningKey)>, Broken> {
    let mut sealed = store.signing_keys().await?;
    if sealed.is_empty() {
        let failed = || Broken::Store("the cryptographic library could not make a signing key".to_owned());
        let key = SigningKey::generate(Algorithm::Es256).map_err(|_| failed())?;
        let first = vault.seal(&key, KeyState::Active, now).ok_or_else(failed)?;
        let event = Event::new(EventKind::KeyCreated, now, Actor::System, random).with("kid", first.kid.clone());
        sealed = store.add_first_signing_key(first, event).await?;
    }
    let mut keys = Vec::with_capacity(sealed.len());
    for key in sealed {
        let opened = vault.open(&key).ok_or_else(|| {
            Broken::Damaged(format!("signing key {} does not open with the key file's sealing secret", key.kid))
        })?;
        keys.push((key.state, opened));
    }
    keys.sort_by_key(|(state, _)| *state != KeyState::Active);
    Ok(keys)
}

#[cfg(test)]
mod tests;
