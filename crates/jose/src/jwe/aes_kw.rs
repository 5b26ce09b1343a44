//! AES Key Wrap (RFC 3394; RFC 7518 §4.4): with a shared key, or with one that was agreed or made from a password.

use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap as _};
use zeroize::Zeroizing;

/// Unwraps a key of exactly `length` bytes with a `kek` of 16 or 32. `None` for every failure.
pub(super) fn unwrap(kek: &[u8], wrapped: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
    // RFC 3394 §2.2.1: eight bytes more than the key. Asked first, because the library reckons with it.
    if wrapped.len() != length.checked_add(CHECK_BYTES)? {
        return None;
    }
    let mut key = Zeroizing::new(vec![0; length]);
    let unwrapped = prepared(kek)?.unwrap(wrapped, &mut key).ok()?.len();
    (unwrapped == length).then_some(key)
}

/// Wraps `key` with a `kek` of 16 or 32 bytes. `None` if a length is wrong, or the library fails.
pub(super) fn wrap(kek: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut wrapped = vec![0; key.len().checked_add(CHECK_BYTES)?];
    let length = prepared(kek)?.wrap(key, &mut wrapped).ok()?.len();
    wrapped.truncate(length);
    Some(wrapped)
}

fn prepared(kek: &[u8]) -> Option<AesKek> {
    let cipher = match kek.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return None,
    };
    AesKek::new(cipher, kek).ok()
}

/// The integrity check value that the wrapping adds.
const CHECK_BYTES: usize = 8;
