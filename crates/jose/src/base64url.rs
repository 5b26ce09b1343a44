//! base64url without padding, in the one canonical form (RFC 7515 §2, RFC 4648 §5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// Decodes `text`. Padding, white space, other alphabets and left-over bits that are not zero are refused
/// ([`Error::Base64Invalid`]): each would give a second spelling of the same token.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Error> {
    // RFC 4648 §3.5: URL_SAFE_NO_PAD is strict about padding and about the tail's pad bits.
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Base64Invalid)
}

/// Encodes `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Encodes `bytes` at the end of `out`; allocates only if `out` has no room.
pub(crate) fn encode_into(bytes: &[u8], out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, out);
}

/// The length of `bytes` bytes once encoded; `None` when that does not fit a `usize`.
pub(crate) fn encoded_len(bytes: usize) -> Option<usize> {
    base64::encoded_len(bytes, false)
}
