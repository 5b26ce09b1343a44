//! What a client's tokens have of their own.

use std::sync::Arc;

use super::{Grant, GrantKind, KeyThumbprint, Policy};
use crate::{
    Engine,
    claims::ClaimMapping,
    client::Client,
    mint::scope_now,
    resource::{Registry, Resources, Target},
    time::{Seconds, Time},
    token::Endpoint,
};

/// What a client's tokens have of their own; what is `None` is as the server has it.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// How long access tokens live.
    pub access_token: Option<Seconds>,
    /// The idle lifetime of its grants.
    pub idle: Option<Seconds>,
    /// Their absolute lifetime.
    pub absolute: Option<Seconds>,
    /// The scope that is asked for, no wider than granted (RFC 6749 §6).
    pub scope: Option<String>,
    /// When and how the user proved who they are for this grant (OpenID Connect Core §12.2: not for a later one).
    pub authentication: Option<Authentication>,
    /// The key whose possession was proven with this request: the access token is bound to it (RFC 9449 §5).
    pub proof: Option<KeyThumbprint>,
    /// What they tell of users besides.
    pub claims: ClaimMapping,
    /// Those of the grant's resources that a token is asked for (RFC 8707 §2.2); none for whatever suits them.
    pub resources: Vec<String>,
    /// The resources by which this use is judged and answered; `None` for those of lately.
    pub registry: Option<Arc<Registry>>,
}

/// A proof of who somebody is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authentication {
    /// When.
    pub auth_time: Time,
    /// How (RFC 8176).
    pub amr: Vec<String>,
}

impl Terms {
    /// Of a client.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        let metadata = &client.metadata;
        Self {
            access_token: metadata.access_token_lifetime,
            idle: metadata.idle_lifetime,
            absolute: metadata.absolute_lifetime,
            claims: metadata.claims.clone(),
            ..Self::default()
        }
    }

    /// Whether a token of `grant` can be had for the resources that are asked for.
    pub(super) fn has_target(&self, engine: &Engine, grant: &Grant) -> bool {
        let registry = || self.registry.clone().unwrap_or_else(|| engine.resources.lately());
        grant.endpoint == Endpoint::Session
            || registry()
                .pick(&engine.settings, &grant.audience, &self.resources)
                .is_some_and(|(_, form)| engine.mint.can_sign(form.signing))
    }

    /// Whether tokens are for whatever was granted, since there were never resources.
    pub(super) fn is_for_any(&self, resources: &Resources) -> bool {
        let registry = self.registry.clone().unwrap_or_else(|| resources.lately());
        self.resources.is_empty() && !registry.was_ever_any()
    }

    /// Whom the next token of `grant` is for, and what it allows there with these roles; `None` where that cannot be had.
    pub(super) fn target<'g>(&self, engine: &Engine, grant: &'g Grant, roles: &[String]) -> Option<Target<'g>> {
        let scope = self.scope.as_deref().unwrap_or(&grant.scope);
        if grant.endpoint == Endpoint::OAuth {
            let registry = self.registry.clone().unwrap_or_else(|| engine.resources.lately());
            return registry.target(&engine.settings, &grant.audience, &self.resources, scope, roles);
        }
        // A session is for one audience, and goes on whatever becomes of that.
        let form = engine.resources.form_of(&grant.audience);
        Some(Target { audience: vec![&grant.audience], scope: scope_now(scope, roles), form })
    }

    /// The policy for grants of `kind`. A change acts at the next use.
    #[must_use]
    pub fn policy(&self, engine: &Engine, kind: GrantKind) -> Policy {
        let policy = engine.settings.policy(kind);
        Policy { idle: self.idle.unwrap_or(policy.idle), absolute: self.absolute.or(policy.absolute), ..policy }
    }
}
