//! The signature algorithms that this crate knows, by their registered names.

use std::fmt;

/// A signature algorithm (RFC 7518 §3.1, RFC 9864 §2.2, RFC 9964 §3). There is no variant for `none`, so it can never be
/// accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// ECDSA on P-384 with SHA-384 (RFC 7518 §3.4).
    Es384,
    /// ECDSA on P-521 with SHA-512 (RFC 7518 §3.4).
    Es512,
    /// `EdDSA` on Curve25519 under its own name (RFC 9864 §2.2).
    Ed25519,
    /// The same under its older name, which leaves the curve open (RFC 8037 §3.1); RFC 9864 §4.1.2 deprecates it. Not in
    /// [`Algorithm::ALL`]: who still needs it says so.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3), keys of 2048 bits and more.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384 (RFC 7518 §3.3).
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512 (RFC 7518 §3.3).
    Rs512,
    /// RSASSA-PSS with SHA-256, the salt as long as the hash (RFC 7518 §3.5).
    Ps256,
    /// RSASSA-PSS with SHA-384 (RFC 7518 §3.5).
    Ps384,
    /// RSASSA-PSS with SHA-512 (RFC 7518 §3.5).
    Ps512,
    /// HMAC with SHA-256 (RFC 7518 §3.2), secrets of 32 octets and more.
    Hs256,
    /// HMAC with SHA-384 (RFC 7518 §3.2), secrets of 48 octets and more.
    Hs384,
    /// HMAC with SHA-512 (RFC 7518 §3.2), secrets of 64 octets and more.
    Hs512,
    /// ML-DSA-44 (FIPS 204; RFC 9964 §3).
    MlDsa44,
    /// ML-DSA-65 (FIPS 204; RFC 9964 §3).
    MlDsa65,
    /// ML-DSA-87 (FIPS 204; RFC 9964 §3).
    MlDsa87,
}

impl Algorithm {
    /// Every algorithm that this crate can sign and verify with, each under its present name.
    pub const ALL: &'static [Algorithm] = &[
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::Ed25519,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::MlDsa44,
        Algorithm::MlDsa65,
        Algorithm::MlDsa87,
    ];

    /// The registered name, as it stands in `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::Ed25519 => "Ed25519",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::MlDsa44 => "ML-DSA-44",
            Algorithm::MlDsa65 => "ML-DSA-65",
            Algorithm::MlDsa87 => "ML-DSA-87",
        }
    }

    /// The algorithm of this registered name, [`Algorithm::EdDsa`] among them; `None` for a name that this crate does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Algorithm> {
        // RFC 7515 §4.1.1: `alg` is case-sensitive.
        Self::ALL.iter().copied().chain([Algorithm::EdDsa]).find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether it signs with a shared secret: whoever can verify can sign, too.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
