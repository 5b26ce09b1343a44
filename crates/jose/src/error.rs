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
    /// Not three parts divided by dots.
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
    /// The token names a key that is not in the set.
    KeyUnknown,
    /// No key of the set may verify this token.
    KeyUnusable,
    /// More keys fit than may be tried, and those tried do not match.
    KeyAmbiguous,
    /// The signature does not match.
    SignatureInvalid,

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
    /// The RSA key is shorter than 2048 bits, or has an exponent that nobody should use.
    KeyTooWeak,
    /// The private key cannot be read, or is not of the algorithm.
    PrivateKeyInvalid,
    /// The cryptographic library failed.
    CryptoFailed,

    /// The payload is not a JSON object of claims.
    ClaimsInvalid,
    /// The token is not of the kind that is asked for (`typ`).
    TypeWrong,
    /// This claim is required and missing.
    ClaimMissing(&'static str),
    /// This claim has a value of the wrong JSON type.
    ClaimInvalid(&'static str),
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
            Error::ClaimMissing(claim) | Error::ClaimInvalid(claim) => Some(claim),
            _ => None,
        }
    }

    const fn code_and_sentence(&self) -> (&'static str, &'static str) {
        match self {
            Error::TokenEmpty => ("token_empty", "There is no token."),
            Error::TokenTooLong => ("token_too_long", "The token is too long."),
            Error::JsonSerialization => (
                "json_serialization",
                "The token is in the JSON serialisation; only the compact one (three parts divided by dots) is accepted.",
            ),
            Error::TokenEncrypted => {
                ("token_encrypted", "The token is encrypted (five parts), and a signed one (three parts) is needed.")
            }
            Error::TokenMalformed => ("token_malformed", "The token is not three parts divided by dots."),
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
            Error::KeyUnknown => ("key_unknown", "The token names a key that is not in the key set."),
            Error::KeyUnusable => ("key_unusable", "No key of the key set can be used for this token."),
            Error::KeyAmbiguous => {
                ("key_ambiguous", "Too many keys fit this token, and it does not say which one signed it.")
            }
            Error::SignatureInvalid => ("signature_invalid", "The signature does not match."),
            Error::JwksTooLarge => ("jwks_too_large", "The key set is too large."),
            Error::JwksTooManyKeys => ("jwks_too_many_keys", "The key set has too many keys."),
            Error::JwksInvalid => ("jwks_invalid", "The key set is not a JSON object with one array named `keys`."),
            Error::JwkInvalid => ("jwk_invalid", "The key is not a valid JSON object of a JSON web key."),
            Error::JwkUnsupported => ("jwk_unsupported", "The key's type, curve or algorithm is not supported."),
            Error::PointInvalid => ("point_invalid", "The public key is not a point of its curve."),
            Error::KeyTooWeak => ("key_too_weak", "The RSA key is shorter than 2048 bits, or its exponent is unsafe."),
            Error::PrivateKeyInvalid => {
                ("private_key_invalid", "The private key cannot be read, or is not of this algorithm.")
            }
            Error::CryptoFailed => ("crypto_failed", "The cryptographic library failed."),
            Error::ClaimsInvalid => ("claims_invalid", "The token's payload is not a valid JSON object of claims."),
            Error::TypeWrong => ("type_wrong", "The token is not of the kind that is needed (`typ`)."),
            Error::ClaimMissing(_) => ("claim_missing", "A required claim is missing."),
            Error::ClaimInvalid(_) => ("claim_invalid", "A claim has a value of the wrong type or form."),
            Error::Expired => ("expired", "The token has expired."),
            Error::NotYetValid => ("not_yet_valid", "The token is not valid yet."),
            Error::IssuedInFuture => ("issued_in_future", "The token was issued in the future."),
            Error::TooOld => ("too_old", "The token was issued too long ago."),
            Error::IssuerWrong => ("issuer_wrong", "The token comes from another issuer."),
            Error::AudienceWrong => ("audience_wrong", "The token is meant for another audience."),
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
