//! Why something ended or was refused: one closed enum inside, a smaller one on the wire.

use std::fmt;

/// Declares a closed enum with one stable name per variant, for stores, JSON and the command line.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable names, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::reason::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or($crate::reason::UnknownName)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(|_| serde::de::Error::unknown_variant(&text, Self::NAMES))
            }
        }
    };
}
pub(crate) use named;

/// A name that a closed enum does not have: the store was written by a newer version, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownName;

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unknown name")
    }
}

impl std::error::Error for UnknownName {}

named! {
    /// Why a grant or a session ended. Closed: the timeline and `regrant explain` know no other.
    Reason {
        /// Not used for the idle lifetime.
        ExpiredIdle = "expired_idle",
        /// The absolute lifetime is over.
        ExpiredAbsolute = "expired_absolute",
        /// The user signed out on this device.
        SignedOut = "signed_out",
        /// The session that the grant belongs to ended.
        SessionEnded = "session_ended",
        /// The user ended it from another device.
        RevokedByUser = "revoked_by_user",
        /// An administrator ended it.
        RevokedByAdmin = "revoked_by_admin",
        /// An old refresh token was used: two parties hold the family.
        Reused = "reused",
        /// Risk was too high.
        RiskHigh = "risk_high",
        /// The password was changed.
        PasswordChanged = "password_changed",
        /// The user was disabled.
        UserDisabled = "user_disabled",
        /// The user was deleted.
        UserDeleted = "user_deleted",
        /// The client was removed.
        ClientRemoved = "client_removed",
        /// The user withdrew the consent.
        ConsentRevoked = "consent_revoked",
        /// Everything that the user held was ended.
        EpochRaised = "epoch_raised",
        /// The user has too many sessions; this one had to go.
        SessionLimit = "session_limit",
        /// A new sign-in on the same device took its place.
        Replaced = "replaced",
        /// The store lost its newest writes and this grant could not be reconciled.
        StoreRecovered = "store_recovered",
        /// The key that made the token was compromised.
        KeyCompromised = "key_compromised",
        /// The generation counter reached its end.
        GenerationExhausted = "generation_exhausted",
    }
}

impl Reason {
    /// What the holder of the token is told, who may be anybody.
    #[must_use]
    pub const fn on_the_wire(self) -> WireReason {
        match self {
            Self::ExpiredIdle | Self::ExpiredAbsolute => WireReason::Expired,
            Self::SignedOut => WireReason::SignedOut,
            Self::Reused => WireReason::Reused,
            Self::SessionEnded
            | Self::RevokedByUser
            | Self::RevokedByAdmin
            | Self::RiskHigh
            | Self::PasswordChanged
            | Self::UserDisabled
            | Self::UserDeleted
            | Self::ClientRemoved
            | Self::ConsentRevoked
            | Self::EpochRaised
            | Self::SessionLimit
            | Self::Replaced
            | Self::StoreRecovered
            | Self::KeyCompromised
            | Self::GenerationExhausted => WireReason::Ended,
        }
    }

    /// The reason in words, for `regrant explain` and for pages.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ExpiredIdle => "it was not used for its whole idle lifetime",
            Self::ExpiredAbsolute => "its absolute lifetime is over",
            Self::SignedOut => "the user signed out on this device",
            Self::SessionEnded => "the session that it belongs to ended",
            Self::RevokedByUser => "the user ended it from another device",
            Self::RevokedByAdmin => "an administrator ended it",
            Self::Reused => "an old refresh token was used again, so two parties held it",
            Self::RiskHigh => "its use looked too little like the same person",
            Self::PasswordChanged => "the password was changed",
            Self::UserDisabled => "the user was disabled",
            Self::UserDeleted => "the user was deleted",
            Self::ClientRemoved => "the application was removed",
            Self::ConsentRevoked => "the user took the consent back",
            Self::EpochRaised => "everything that the user held was ended",
            Self::SessionLimit => "the user reached the limit of sessions, and this one was the least used",
            Self::Replaced => "a new sign-in on the same device took its place",
            Self::StoreRecovered => "the store lost its newest writes and this could not be reconciled",
            Self::KeyCompromised => "the key that made its token was compromised",
            Self::GenerationExhausted => "its generation counter reached the end",
        }
    }
}

named! {
    /// What is said on the wire, where the holder of a token may be anybody.
    WireReason {
        /// A deadline passed.
        Expired = "expired",
        /// The user signed out.
        SignedOut = "signed_out",
        /// An old token was used.
        Reused = "reused",
        /// Ended for a reason that only the operator and the user learn.
        Ended = "ended",
        /// A factor is needed to go on; nothing ended.
        StepUpRequired = "step_up_required",
        /// A newer token took this one's place after a change of privilege, or it is too old; nothing ended.
        Superseded = "superseded",
        /// The token is bound to a key, and the proof of it is missing or of another key.
        ProofRequired = "proof_required",
        /// Not a token of this server.
        Unknown = "unknown",
    }
}

/// Whether a grant or a session lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It can be used, if no deadline has passed.
    Alive,
    /// It is over for ever.
    Ended {
        /// Since when.
        at: crate::time::Time,
        /// And why.
        reason: Reason,
    },
}

impl Life {
    /// Whether it can still be used.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        matches!(self, Self::Alive)
    }
}
