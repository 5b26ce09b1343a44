//! The two algorithms of an encrypted token, by their registered names: how its key comes (`alg`), how its content is locked
//! (`enc`).

use std::fmt;

/// How the content encryption key comes to the recipient: `alg` (RFC 7518 §4.1, RFC 8037 §3.2).
///
/// There is no variant for `RSA1_5`, whose padding has been an oracle for 25 years (RFC 8725 §3.2), nor for the wraps with
/// AES-192, so they can never be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyManagement {
    /// RSAES-OAEP with SHA-1 and MGF1 with SHA-1 (RFC 7518 §4.3). SHA-1's collisions do not matter to OAEP.
    RsaOaep,
    /// RSAES-OAEP with SHA-256 and MGF1 with SHA-256 (RFC 7518 §4.3).
    RsaOaep256,
    /// ECDH-ES, the agreed secret being the content encryption key (RFC 7518 §4.6; X25519: RFC 8037 §3.2).
    EcdhEs,
    /// ECDH-ES, the agreed secret wrapping it by AES-128 Key Wrap.
    EcdhEsA128Kw,
    /// ECDH-ES, the agreed secret wrapping it by AES-256 Key Wrap.
    EcdhEsA256Kw,
    /// AES-128 Key Wrap with a shared key (RFC 7518 §4.4, RFC 3394).
    A128Kw,
    /// AES-256 Key Wrap with a shared key.
    A256Kw,
    /// AES-128-GCM with a shared key (RFC 7518 §4.7).
    A128GcmKw,
    /// AES-256-GCM with a shared key.
    A256GcmKw,
    /// The shared key is the content encryption key (RFC 7518 §4.5).
    Dir,
    /// PBKDF2 with HMAC SHA-256, then AES-128 Key Wrap (RFC 7518 §4.8). Not in [`KeyManagement::ALL`].
    Pbes2Hs256A128Kw,
    /// PBKDF2 with HMAC SHA-512, then AES-256 Key Wrap (RFC 7518 §4.8). Not in [`KeyManagement::ALL`].
    Pbes2Hs512A256Kw,
}

impl KeyManagement {
    /// Every way that this crate encrypts and decrypts by, but for those with a password.
    pub const ALL: &'static [KeyManagement] = &[
        KeyManagement::RsaOaep,
        KeyManagement::RsaOaep256,
        KeyManagement::EcdhEs,
        KeyManagement::EcdhEsA128Kw,
        KeyManagement::EcdhEsA256Kw,
        KeyManagement::A128Kw,
        KeyManagement::A256Kw,
        KeyManagement::A128GcmKw,
        KeyManagement::A256GcmKw,
        KeyManagement::Dir,
    ];

    /// The ways with a password (PBES2). Whoever writes the token says how much work it costs to open, up to a cap, and
    /// passwords can be guessed: so these are apart, and accepted only by a caller who names them.
    pub const PASSWORD_BASED: &'static [KeyManagement] =
        &[KeyManagement::Pbes2Hs256A128Kw, KeyManagement::Pbes2Hs512A256Kw];

    /// The registered name, as it stands in `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyManagement::RsaOaep => "RSA-OAEP",
            KeyManagement::RsaOaep256 => "RSA-OAEP-256",
            KeyManagement::EcdhEs => "ECDH-ES",
            KeyManagement::EcdhEsA128Kw => "ECDH-ES+A128KW",
            KeyManagement::EcdhEsA256Kw => "ECDH-ES+A256KW",
            KeyManagement::A128Kw => "A128KW",
            KeyManagement::A256Kw => "A256KW",
            KeyManagement::A128GcmKw => "A128GCMKW",
            KeyManagement::A256GcmKw => "A256GCMKW",
            KeyManagement::Dir => "dir",
            KeyManagement::Pbes2Hs256A128Kw => "PBES2-HS256+A128KW",
            KeyManagement::Pbes2Hs512A256Kw => "PBES2-HS512+A256KW",
        }
    }

    /// The algorithm of this registered name, those with a password included; `None` for a name that this crate does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Option<KeyManagement> {
        // RFC 7516 §4.1.1: `alg` is case-sensitive.
        Self::ALL.iter().chain(Self::PASSWORD_BASED).copied().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for KeyManagement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the content is encrypted and authenticated: `enc` (RFC 7518 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentEncryption {
    /// AES-128 in Galois/Counter Mode (RFC 7518 §5.3).
    A128Gcm,
    /// AES-256 in Galois/Counter Mode.
    A256Gcm,
    /// AES-128 in CBC mode, and HMAC SHA-256 cut to 128 bits (RFC 7518 §5.2.3).
    A128CbcHs256,
    /// AES-192 in CBC mode, and HMAC SHA-384 cut to 192 bits (RFC 7518 §5.2.4).
    A192CbcHs384,
    /// AES-256 in CBC mode, and HMAC SHA-512 cut to 256 bits (RFC 7518 §5.2.5).
    A256CbcHs512,
}

impl ContentEncryption {
    /// Every content encryption that this crate has.
    pub const ALL: &'static [ContentEncryption] = &[
        ContentEncryption::A128Gcm,
        ContentEncryption::A256Gcm,
        ContentEncryption::A128CbcHs256,
        ContentEncryption::A192CbcHs384,
        ContentEncryption::A256CbcHs512,
    ];

    /// The registered name, as it stands in `enc`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ContentEncryption::A128Gcm => "A128GCM",
            ContentEncryption::A256Gcm => "A256GCM",
            ContentEncryption::A128CbcHs256 => "A128CBC-HS256",
            ContentEncryption::A192CbcHs384 => "A192CBC-HS384",
            ContentEncryption::A256CbcHs512 => "A256CBC-HS512",
        }
    }

    /// The algorithm of this registered name; `None` for a name that this crate does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ContentEncryption> {
        // RFC 7516 §4.1.2: `enc` is case-sensitive.
        Self::ALL.iter().copied().find(|algorithm| algorithm.as_str() == name)
    }

    /// The length of its key in bytes: exactly this, never more or less (RFC 7518 §5.1).
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            ContentEncryption::A128Gcm => 16,
            ContentEncryption::A256Gcm | ContentEncryption::A128CbcHs256 => 32,
            ContentEncryption::A192CbcHs384 => 48,
            ContentEncryption::A256CbcHs512 => 64,
        }
    }

    /// The length of its initialization vector in bytes (RFC 7518 §5.2.2.1, §5.3).
    pub(crate) const fn iv_len(self) -> usize {
        match self {
            ContentEncryption::A128Gcm | ContentEncryption::A256Gcm => 12,
            ContentEncryption::A128CbcHs256 | ContentEncryption::A192CbcHs384 | ContentEncryption::A256CbcHs512 => 16,
        }
    }

    /// The length of its authentication tag in bytes (RFC 7518 §5.2.3 to §5.3).
    pub(crate) const fn tag_len(self) -> usize {
        match self {
            ContentEncryption::A128Gcm | ContentEncryption::A256Gcm | ContentEncryption::A128CbcHs256 => 16,
            ContentEncryption::A192CbcHs384 => 24,
            ContentEncryption::A256CbcHs512 => 32,
        }
    }
}

impl fmt::Display for ContentEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
