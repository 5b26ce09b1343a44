//! The signature algorithms that this crate knows, by their registered names.

use std::fmt;

/// A signature algorithm (RFC 7518 §3.1). There is no variant for `none`, so it can never be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
}

impl Algorithm {
    /// Every algorithm that this crate can sign and verify with.
    pub const ALL: &'static [Algorithm] = &[Algorithm::Es256];

    /// The registered name, as it stands in `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
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
