//! RFC 7638: a key's name is the hash of its required members, in one spelling.

use aws_lc_rs::digest::{SHA256, digest};

use crate::base64url;

/// The thumbprint of an elliptic-curve key; `x` and `y` in canonical base64url.
pub(super) fn ec(crv: &str, x: &str, y: &str) -> String {
    // RFC 7638 §3.2, §3.3: only the required members, in lexicographic order, without white space. None of these values
    // holds a character that JSON escapes.
    let canonical = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#);
    base64url::encode(digest(&SHA256, canonical.as_bytes()).as_ref())
}
