//! The signature algorithms that this crate knows, by their registered names.

use std::fmt;

/// A signature algorithm (RFC 7518 §3.1, RFC 9864 §2.2). There is no variant for `none`, so it can never be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3), keys of 2048 bits and more.
    Rs256,
    /// `EdDSA` on Curve25519 under its own name (RFC 9864 §2.2). The name `EdDSA` itself leaves the curve open and is not known
    /// here (RFC 9864 §4.1.2 deprecates it).
    Ed25519,
}

impl Algorithm {
    /// Every algorithm that this crate can sign and verify with.
    pub const ALL: &'static [Algorithm] = &[Algorithm::Es256, Algorithm::Rs256, Algorithm::Ed25519];

    /// The registered name, as it stands in `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
            Algorithm::Ed25519 => "Ed25519",
        }
    }

    /// The algorithm of this registered name; `None` for a name that this crate does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Algorithm> {
        // RFC 7515 §4.1.1: `alg` is case-sensitive.
        Self::ALL.iter().copied().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
