//! Signing keys under seal: what opens, and what does not.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use super::*;

const NOW: Time = Time::from_millis(1_700_000_000_000);

fn vault() -> Vault {
    Vault::new(b"the sealing secret of the key file").unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap()
}

fn sealed() -> SealedKey {
    seal(&key(), KeyState::Active)
}

fn seal(key: &SigningKey, state: KeyState) -> SealedKey {
    vault().seal(key, state, Seconds::DAY, NOW).unwrap()
}

/// A key as a ring has it, for tests of whoever uses rings.
pub(crate) fn standing(state: KeyState, key: SigningKey) -> (SealedKey, SigningKey) {
    (seal(&key, state), key)
}

#[test]
fn a_sealed_key_opens_to_the_same_key() {
    let key = key();
    let sealed = seal(&key, KeyState::Retiring);
    assert_eq!(sealed.kid, key.kid());
    assert_eq!(sealed.algorithm, "ES256");
    assert_eq!((sealed.state, sealed.created_at), (KeyState::Retiring, NOW));
    // Another vault of the same secret: the process was restarted.
    let opened = vault().open(&sealed).unwrap();
    assert_eq!(opened.kid(), key.kid());
    assert_eq!(opened.to_pkcs8().unwrap().as_slice(), key.to_pkcs8().unwrap().as_slice());
}

#[test]
fn another_secret_opens_nothing() {
    let sealed = sealed();
    for secret in [b"".as_slice(), b"the sealing secret of the key fil", b"another"] {
        assert!(Vault::new(secret).unwrap().open(&sealed).is_none());
    }
}

#[test]
fn any_flipped_bit_of_what_is_sealed_is_noticed() {
    let sealed = sealed();
    for bit in 0..sealed.sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered.sealed[bit / 8] ^= 1 << (bit % 8);
        assert!(vault().open(&altered).is_none(), "bit {bit}");
    }
}

#[test]
fn cut_or_lengthened_ciphertext_is_noticed() {
    let sealed = sealed();
    for length in 0..sealed.sealed.len() {
        let mut cut = sealed.clone();
        cut.sealed.truncate(length);
        assert!(vault().open(&cut).is_none(), "{length}");
    }
    let mut longer = sealed;
    longer.sealed.push(0);
    assert!(vault().open(&longer).is_none());
}

#[test]
fn a_key_opens_only_under_its_own_name_and_algorithm() {
    let one = sealed();
    let two = sealed();
    let swapped = SealedKey { kid: two.kid.clone(), ..one.clone() };
    assert!(vault().open(&swapped).is_none());
    for algorithm in ["", "es256", "ES384", "EdDSA", "none"] {
        let renamed = SealedKey { algorithm: algorithm.to_owned(), ..one.clone() };
        assert!(vault().open(&renamed).is_none(), "{algorithm}");
    }
    // The separator keeps the two names apart: nothing can move from one into the other.
    let moved = SealedKey { algorithm: "ES256\0".to_owned() + &one.kid[..1], kid: one.kid[1..].to_owned(), ..one };
    assert!(vault().open(&moved).is_none());
}

#[test]
fn the_state_may_change_without_a_new_seal() {
    let retiring = SealedKey { state: KeyState::Retiring, ..sealed() };
    assert!(vault().open(&retiring).is_some());
}

#[test]
fn two_seals_of_one_key_have_nothing_in_common() {
    let key = key();
    let [one, two] = [(); 2].map(|()| seal(&key, KeyState::Active).sealed);
    assert_ne!(one[..NONCE_LEN], two[..NONCE_LEN]);
    assert_ne!(one[NONCE_LEN..], two[NONCE_LEN..]);
    assert_eq!(one.len(), two.len());
}

#[test]
fn no_part_of_the_private_key_shows_in_the_seal() {
    let key = key();
    let sealed = seal(&key, KeyState::Active).sealed;
    let plain = key.to_pkcs8().unwrap();
    assert!(sealed.len() > plain.len());
    for part in plain.windows(8) {
        assert!(!sealed.windows(8).any(|window| window == part));
    }
}

#[test]
fn debug_output_names_the_key_and_shows_no_seal() {
    let sealed = sealed();
    let shown = format!("{sealed:?} {:?}", vault());
    assert_eq!(shown, format!("SealedKey({} ES256 active) Vault(secret)", sealed.kid));
}
