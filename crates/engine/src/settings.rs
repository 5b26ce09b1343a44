//! What the operator decides, as the rules read it. The server parses it (`crates/server/src/config/`).

use std::collections::BTreeMap;

use crate::{
    claims::ClaimMapping,
    client::Requirement,
    factor::password::PasswordRules,
    keyring::lifecycle::KeyPolicy,
    ports::Retention,
    refresh::{GrantKind, Policy, ReplayPolicy},
    scope,
    session::Lifetimes,
    time::Seconds,
};

/// Every rule's settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Who we are: the `iss` of every token.
    pub issuer: String,
    /// The audience of session access tokens for which none was asked.
    pub audience: String,
    /// The audiences that may be asked for; `None` for any.
    pub audiences: Option<Vec<String>>,
    /// How long access tokens live.
    pub access_token: Seconds,
    /// How long grants live.
    pub lifetimes: Lifetimes,
    /// What a replay from elsewhere is worth.
    pub replay: ReplayPolicy,
    /// Live sessions of one user.
    pub sessions_per_user: u32,
    /// What is asked of passwords.
    pub passwords: PasswordRules,
    /// When failed sign-ins are too many.
    pub sign_in: SignInLimits,
    /// How long things are remembered.
    pub retention: Retention,
    /// How signing keys are published and replaced.
    pub keys: KeyPolicy,
    /// What access tokens tell of users.
    pub claims: ClaimMapping,
    /// Whether proofs of possession must hold a nonce of ours.
    pub dpop_nonce: Requirement,
    /// What is told of users besides, by the scope that has to be granted for it.
    pub scope_claims: BTreeMap<String, ClaimMapping>,
}

/// Failures that are forgiven within a window, by what they have in common. Successes never count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignInLimits {
    /// Counts older than this begin anew.
    pub window: Seconds,
    /// Of one account from one address.
    pub per_account_and_address: u32,
    /// Of one account from everywhere (NIST SP 800-63B-4 §3.2.2: at most 100).
    pub per_account: u32,
    /// Of one /24 (IPv4) or /64 (IPv6).
    pub per_network: u32,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self { window: Seconds::minutes(15), per_account_and_address: 10, per_account: 100, per_network: 1000 }
    }
}

impl Settings {
    /// The defaults for `issuer`.
    #[must_use]
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: issuer.to_owned(),
            audiences: None,
            access_token: Seconds::minutes(15),
            lifetimes: Lifetimes::default(),
            replay: ReplayPolicy::Balanced,
            sessions_per_user: 100,
            passwords: PasswordRules::default(),
            sign_in: SignInLimits::default(),
            retention: Retention {
                events: Seconds::days(90),
                rotations: Seconds::DAY,
                rotations_kept: 10,
                failures: SignInLimits::default().window,
                settle: Seconds::days(7),
                pace: Seconds::MINUTE,
                batch: 500,
            },
            keys: KeyPolicy::default(),
            claims: ClaimMapping::default(),
            dpop_nonce: Requirement::Optional,
            scope_claims: BTreeMap::new(),
        }
    }

    /// How long the longest-lived token lives that is signed: its key stays published for so long.
    #[must_use]
    pub fn longest_token(&self) -> Seconds {
        self.access_token
    }

    /// The audience of access tokens when `asked` is asked for; `None` if that is refused.
    #[must_use]
    pub fn audience_for(&self, asked: Option<&str>) -> Option<String> {
        let Some(asked) = asked else {
            return Some(self.audience.clone());
        };
        let listed = self.audiences.as_ref().is_none_or(|allowed| allowed.iter().any(|known| known == asked));
        (listed || asked == self.audience).then(|| asked.to_owned())
    }

    /// What is told of a user besides what all access tokens tell: by the client, and by what was granted to it.
    #[must_use]
    pub fn told_for(&self, client: &ClaimMapping, granted: &str) -> ClaimMapping {
        let of_scopes = self.scope_claims.iter().filter(|(name, _)| scope::has(granted, name));
        of_scopes.fold(client.clone(), |told, (_, of_scope)| told.before(of_scope))
    }

    /// The policy for grants of `kind`.
    #[must_use]
    pub fn policy(&self, kind: GrantKind) -> Policy {
        let lifetime = self.lifetimes.of(kind);
        Policy { replay: self.replay, ..Policy::with_lifetimes(lifetime.idle, lifetime.absolute) }
    }
}
