//! AES in Galois/Counter Mode (RFC 7518 §5.3): for content, and for keys (§4.7).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::Sealed;

/// Opens `sealed` with a key of 16 or 32 bytes. `None` for every failure.
pub(in crate::jwe) fn open(key: &[u8], aad: &[u8], sealed: Sealed) -> Option<Zeroizing<Vec<u8>>> {
    let nonce = Nonce::try_assume_unique_for_key(&sealed.iv).ok()?;
    let mut text = Zeroizing::new(sealed.ciphertext);
    prepared(key)?.open_in_place_separate_tag(nonce, Aad::from(aad), &sealed.tag, &mut text).ok()?;
    Some(text)
}

/// Locks `plaintext` with a key of 16 or 32 bytes. `None` if a length is wrong, or the library fails.
pub(in crate::jwe) fn seal(key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Sealed> {
    let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
    let mut text = plaintext.to_vec();
    let tag = prepared(key)?.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut text).ok()?;
    Some(Sealed { iv: iv.to_vec(), ciphertext: text, tag: tag.as_ref().to_vec() })
}

fn prepared(key: &[u8]) -> Option<LessSafeKey> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        32 => &AES_256_GCM,
        _ => return None,
    };
    UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
}
