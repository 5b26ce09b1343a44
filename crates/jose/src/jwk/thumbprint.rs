//! RFC 7638: a key's name is the hash of its required members, in one spelling.

use aws_lc_rs::digest::{SHA256, digest};

use crate::base64url;

/// The thumbprint of an RSA key; `n` and `e` in canonical base64url.
pub(super) fn rsa(n: &str, e: &str) -> String {
    // RFC 7638 §3.2.
    hash(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
}

/// The thumbprint of an octet key pair; `x` in canonical base64url.
pub(super) fn okp(crv: &str, x: &str) -> String {
    // RFC 8037 §2.
    hash(&format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#))
}

/// The thumbprint of an elliptic-curve key; `x` and `y` in canonical base64url.
pub(super) fn ec(crv: &str, x: &str, y: &str) -> String {
    // RFC 7638 §3.2, §3.3: only the required members, in lexicographic order, without white space. None of these values
    // holds a character that JSON escapes.
    hash(&format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#))
}

fn hash(canonical: &str) -> String {
    base64url::encode(digest(&SHA256, canonical.as_bytes()).as_ref())
}
