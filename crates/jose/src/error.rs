//! Everything that can be said about a token or a key that is refused. One enum, one stable code and one sentence each.

use std::fmt;

/// Why a token, a key or a key set was refused.
///
/// [`Error::code`] is stable and for machines; [`Error::sentence`] is for people and safe to show to anyone: it holds
/// nothing that came from the token. The enum is exhaustive on purpose, so that a map of it shows what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no token.
    TokenEmpty,
    /// The token is longer than [`crate::jws::MAX_TOKEN_BYTES`].
    TokenTooLong,
    /// The JWS JSON serialisation (RFC 7515 §7.2), which is refused.
    JsonSerialization,
    /// Five parts: a JWE (RFC 7516 §3.1), which is not a signed token.
    TokenEncrypted,
    /// Three parts: a JWS (RFC 7516 §9), which is not an encrypted token.
    TokenNotEncrypted,
    /// Neither three parts divided by dots nor five.
    TokenMalformed,
    /// A part is not canonical base64url without padding.
    Base64Invalid,
    /// The header is not a JSON object with proper members.
    HeaderInvalid,
    /// `crit` names extensions; none is understood.
    CriticalUnsupported,
    /// `b64` (RFC 7797) is not supported.
    UnencodedPayload,
    /// `alg` is `none`.
    AlgorithmNone,
    /// `alg` is not an algorithm that this crate knows.
    AlgorithmUnknown,
    /// `alg` is known, but the caller does not accept it.
    AlgorithmRefused,
    /// `alg` is `RSA1_5`, which nobody should accept any more (RFC 8725 §3.2).
    AlgorithmInsecure,
    /// `enc` is not a content encryption algorithm that this crate knows.
    EncryptionUnknown,
    /// `enc` is known, but the caller does not accept it.
    EncryptionRefused,
    /// `zip`: the content was compressed before it was encrypted (RFC 8725 §3.6).
    CompressionRefused,
    /// `p2c` or `p2s` are outside the bounds for passwords (RFC 7518 §4.8.1).
    PasswordWorkRefused,
    /// The token names a key that is not in the set.
    KeyUnknown,
    /// No key of the set may verify this token.
    KeyUnusable,
    /// More keys fit than may be tried, and those tried do not match; or different keys have the name that the token says.
    KeyAmbiguous,
    /// The signature does not match.
    SignatureInvalid,
    /// The token cannot be decrypted. There is one error for every reason, on purpose (RFC 7516 §11.5).
    DecryptionFailed,
    /// What was encrypted is not the signed token that is asked for (`cty`).
    ContentTypeWrong,

    /// The key set is longer than [`crate::MAX_JWKS_BYTES`].
    JwksTooLarge,
    /// The key set has more keys than [`crate::MAX_JWKS_KEYS`].
    JwksTooManyKeys,
    /// The key set is not a JSON object with one array `keys`.
    JwksInvalid,
    /// The key is not a JSON object with proper members.
    JwkInvalid,
    /// The key's type, curve or algorithm is not supported, or they do not fit together.
    JwkUnsupported,
    /// The public key is not a point of its curve.
    PointInvalid,
    /// The RSA key is shorter than 2048 bits, or has an exponent that nobody should use; the secret is too short for its
    /// algorithm.
    KeyTooWeak,
    /// The private key cannot be read, or is not of the algorithm.
    PrivateKeyInvalid,
    /// The cryptographic library failed.
    CryptoFailed,

    /// The token holds another token (`cty` is `JWT`), not claims.
    NestedToken,
    /// The payload is not a JSON object of claims.
    ClaimsInvalid,
    /// The token is not of the kind that is asked for (`typ`).
    TypeWrong,
    /// This claim is required and missing.
    ClaimMissing(&'static str),
    /// This claim has a value of the wrong JSON type.
    ClaimInvalid(&'static str),
    /// This claim makes it a token of another kind.
    ClaimForbidden(&'static str),
    /// `exp` has passed.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
    /// `iat` is still to come, where the age is limited.
    IssuedInFuture,
    /// `iat` is longer ago than the rules allow.
    TooOld,
    /// `iss` is another issuer.
    IssuerWrong,
    /// `aud` does not hold the audience that is asked for.
    AudienceWrong,
    /// `sub` is not whom the token may be about.
    SubjectWrong,
    /// `exp` is further ahead than the rules allow.
    ExpiresTooLate,
    /// The rules leave open which issuer or audience is expected: a mistake of the caller.
    RulesIncomplete,
}

impl Error {
    /// A stable name for machines, logs and tests. Never changes its meaning.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code_and_sentence().0
    }

    /// One sentence for people. Holds nothing from the token, so it is safe in any log and any reply.
    #[must_use]
    pub const fn sentence(&self) -> &'static str {
        self.code_and_sentence().1
    }

    /// The claim that the error is about, if it is about one.
    #[must_use]
    pub const fn claim(&self) -> Option<&'static str> {
        match *self {
            Error::ClaimMissing(claim) | Error::ClaimInvalid(claim) | Error::ClaimForbidden(claim) => Some(claim),
            _ => None,
        }
    }

    const fn code_and_sentence(&self) -> (&'static str, &'static str) {
        match self {
            Error::TokenEmpty => ("token_empty", "There is no token."),
            Error::TokenTooLong => ("token_too_long", "The token is too long."),
            Error::JsonSerialization => (
                "json_serialization",
                "The token is in the JSON serialisation; only the compact one (parts divided by dots) is accepted.",
            ),
            Error::TokenEncrypted => {
                ("token_encrypted", "The token is encrypted (five parts), and a signed one (three parts) is needed.")
            }
            Error::TokenNotEncrypted => (
                "token_not_encrypted",
                "The token is not encrypted (three parts), and an encrypted one (five parts) is needed.",
            ),
            Error::TokenMalformed => {
                ("token_malformed", "The token is neither three parts (signed) nor five (encrypted) divided by dots.")
            }
            Error::Base64Invalid => {
                ("base64_invalid", "A part of the token is not canonical base64url without padding.")
            }
            Error::HeaderInvalid => ("header_invalid", "The token's header is not a valid JSON object."),
            Error::CriticalUnsupported => {
                ("critical_unsupported", "The token demands an extension (`crit`) that is not understood.")
            }
            Error::UnencodedPayload => ("b64_unsupported", "Unencoded payloads (`b64`) are not supported."),
            Error::AlgorithmNone => ("algorithm_none", "The token is not signed (`alg` is `none`)."),
            Error::AlgorithmUnknown => ("algorithm_unknown", "The token's algorithm is not supported."),
            Error::AlgorithmRefused => ("algorithm_refused", "The token's algorithm is not among the accepted ones."),
            Error::AlgorithmInsecure => {
                ("algorithm_insecure", "The token's algorithm (`RSA1_5`) is not secure and never accepted.")
            }
            Error::EncryptionUnknown => {
                ("encryption_unknown", "The token's content encryption (`enc`) is not supported.")
            }
            Error::EncryptionRefused => {
                ("encryption_refused", "The token's content encryption (`enc`) is not among the accepted ones.")
            }
            Error::CompressionRefused => {
                ("compression_refused", "The token's content is compressed (`zip`), which is never accepted.")
            }
            Error::PasswordWorkRefused => (
                "password_work_refused",
                "The token's password parameters (`p2c`, `p2s`) are outside the bounds that are accepted.",
            ),
            Error::KeyUnknown => ("key_unknown", "The token names a key that is not in the key set."),
            Error::KeyUnusable => ("key_unusable", "No key of the key set can be used for this token."),
            Error::KeyAmbiguous => {
                ("key_ambiguous", "Too many keys fit this token, and it does not say which one is meant.")
            }
            Error::SignatureInvalid => ("signature_invalid", "The signature does not match."),
            Error::DecryptionFailed => ("decryption_failed", "The token cannot be decrypted."),
            Error::ContentTypeWrong => {
                ("content_type_wrong", "What was encrypted is not a signed token (`cty` must be `JWT`).")
            }
            Error::JwksTooLarge => ("jwks_too_large", "The key set is too large."),
            Error::JwksTooManyKeys => ("jwks_too_many_keys", "The key set has too many keys."),
            Error::JwksInvalid => ("jwks_invalid", "The key set is not a JSON object with one array named `keys`."),
            Error::JwkInvalid => ("jwk_invalid", "The key is not a valid JSON object of a JSON web key."),
            Error::JwkUnsupported => ("jwk_unsupported", "The key's type, curve or algorithm is not supported."),
            Error::PointInvalid => ("point_invalid", "The public key is not a point of its curve."),
            Error::KeyTooWeak => (
                "key_too_weak",
                "The key is too weak: too short for its algorithm, or an RSA key with an unsafe exponent.",
            ),
            Error::PrivateKeyInvalid => {
                ("private_key_invalid", "The private key cannot be read, or is not of this algorithm.")
            }
            Error::CryptoFailed => ("crypto_failed", "The cryptographic library failed."),
            Error::NestedToken => {
                ("nested_token", "The token holds another token (`cty` is `JWT`), which has to be opened by itself.")
            }
            Error::ClaimsInvalid => ("claims_invalid", "The token's payload is not a valid JSON object of claims."),
            Error::TypeWrong => ("type_wrong", "The token is not of the kind that is needed (`typ`)."),
            Error::ClaimMissing(_) => ("claim_missing", "A required claim is missing."),
            Error::ClaimInvalid(_) => ("claim_invalid", "A claim has a value of the wrong type or form."),
            Error::ClaimForbidden(_) => {
                ("claim_forbidden", "The token has a claim that makes it a token of another kind.")
            }
            Error::Expired => ("expired", "The token has expired."),
            Error::NotYetValid => ("not_yet_valid", "The token is not valid yet."),
            Error::IssuedInFuture => ("issued_in_future", "The token was issued in the future."),
            Error::TooOld => ("too_old", "The token was issued too long ago."),
            Error::IssuerWrong => ("issuer_wrong", "The token comes from another issuer."),
            Error::AudienceWrong => ("audience_wrong", "The token is meant for another audience."),
            Error::SubjectWrong => ("subject_wrong", "The token is about somebody that it may not be about."),
            Error::ExpiresTooLate => ("expires_too_late", "The token's end lies further ahead than is allowed."),
            Error::RulesIncomplete => {
                ("rules_incomplete", "The rules do not say which issuer and audience are expected.")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())?;
        match self.claim() {
            Some(claim) => write!(f, " (`{claim}`)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
