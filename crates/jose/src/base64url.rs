//! base64url without padding, in the one canonical form (RFC 7515 §2, RFC 4648 §5).

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::NO_PAD;

use crate::Error;

/// Decodes `text`. Padding, white space, other alphabets and left-over bits that are not zero are refused
/// ([`Error::Base64Invalid`]): each would give a second spelling of the same token.
#[allow(
    clippy::slow_vector_initialization,
    reason = "`vec![0; …]` asks the allocator for zeros, which is its slow way for something this small"
)]
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let room = text.len().div_ceil(4).saturating_mul(3);
    let mut bytes = Vec::with_capacity(room);
    bytes.resize(room, 0);
    let length = decoded_in(&mut bytes, text)?.len();
    bytes.truncate(length);
    Ok(bytes)
}

/// Decodes `text` and gives the bytes to `take`; what is as short as most signatures costs no allocation.
pub(crate) fn with_decoded<T>(text: &str, take: impl FnOnce(&[u8]) -> T) -> Result<T, Error> {
    match text.len() {
        // 64 octets: P-256, Ed25519, HMAC.
        0..=86 => decoded_in(&mut [0; 66], text).map(take),
        // 132 octets: the other curves.
        87..=176 => decoded_in(&mut [0; 132], text).map(take),
        _ => decode(text).map(|bytes| take(&bytes)),
    }
}

fn decoded_in<'a>(space: &'a mut [u8], text: &str) -> Result<&'a [u8], Error> {
    // RFC 4648 §3.5: `NO_PAD` is strict about padding and about the tail's pad bits.
    let length = ENGINE.decode_slice(text, space).map_err(|_| Error::Base64Invalid)?;
    space.get(..length).ok_or(Error::Base64Invalid)
}

/// Encodes `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

/// Encodes `bytes` at the end of `out`; allocates only if `out` has no room.
pub(crate) fn encode_into(bytes: &[u8], out: &mut String) {
    ENGINE.encode_string(bytes, out);
}

/// Encodes `bytes` at the end of `out`, straight into its place; allocates only if `out` has no room. `None` when the length
/// does not fit a `usize`.
pub(crate) fn append(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.resize(start.checked_add(encoded_len(bytes.len())?)?, 0);
    ENGINE.encode_slice(bytes, out.get_mut(start..)?).ok().map(drop)
}

/// The length of `bytes` bytes once encoded; `None` when that does not fit a `usize`.
pub(crate) fn encoded_len(bytes: usize) -> Option<usize> {
    base64::encoded_len(bytes, false)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ENGINE: LazyLock<base64::engine::Simd> = LazyLock::new(|| base64::engine::Simd::url_safe(NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static ENGINE: LazyLock<base64::engine::GeneralPurpose> =
    LazyLock::new(|| base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD));

#[cfg(test)]
mod tests;
