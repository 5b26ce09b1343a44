//! Access tokens: the claims of RFC 9068 §2.2, signed; and the check of our own.

use std::sync::{Arc, PoisonError, RwLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use regrant_jose::{Algorithm, Jwks, Signer, SigningKey, jws, jwt};
use serde::Serialize;

use crate::{
    claims::ClaimMapping,
    id::{SessionId, UserId},
    keyring::{KeyState, SealedKey},
    ports::{Facts, Random, Wanted},
    refresh::Grant,
    time::{Seconds, Time},
};

/// The role whose holders may ask for [`ADMIN_SCOPE`].
pub const ADMIN_ROLE: &str = "admin";
/// The scope of the admin API.
pub const ADMIN_SCOPE: &str = "regrant:admin";

/// Makes and checks this issuer's access tokens.
pub struct Mint {
    issuer: String,
    lifetime: Seconds,
    claims: ClaimMapping,
    /// Replaced whole when the ring changes; a token takes one share of it and holds no lock while it signs.
    keys: RwLock<Arc<KeySet>>,
}

/// What the signing keys are at one moment.
struct KeySet {
    ring: Vec<SealedKey>,
    signer: Signer,
    public: Jwks,
    json: Arc<str>,
}

impl KeySet {
    fn new(keys: &[(SealedKey, SigningKey)]) -> Option<Self> {
        // Session access tokens are ES256. The RS256 key is published for ID tokens.
        let signs = |key: &SealedKey| key.state == KeyState::Active && key.algorithm == Algorithm::Es256.as_str();
        let (_, active) = keys.iter().find(|(key, _)| signs(key))?;
        let public = Jwks::from_keys(keys.iter().map(|(_, key)| key.public()).collect());
        Some(Self {
            ring: keys.iter().map(|(key, _)| key.clone()).collect(),
            signer: Signer::new(active, "at+jwt"),
            json: public.to_json().into(),
            public,
        })
    }
}

impl std::fmt::Debug for Mint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mint({}, key {})", self.issuer, self.keys().signer.kid())
    }
}

/// An access token on its way to its holder. Silent in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(pub String);

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken(secret)")
    }
}

/// What one of our own access tokens says, once it is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bearer {
    /// Whose it is.
    pub user: UserId,
    /// Of which session; `None` for a grant without one.
    pub session: Option<SessionId>,
    /// What it allows.
    pub scope: String,
}

#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    client_id: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    auth_time: i64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    amr: &'a [String],
    scope: String,
    // RFC 9068 §2.2.3.1.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [String],
}

impl Mint {
    /// From the store's keys, in the order in which they are to be published. `None` without an active ES256 key.
    #[must_use]
    pub fn new(issuer: &str, lifetime: Seconds, keys: &[(SealedKey, SigningKey)]) -> Option<Self> {
        let keys = RwLock::new(Arc::new(KeySet::new(keys)?));
        Some(Self { issuer: issuer.to_owned(), lifetime, claims: ClaimMapping::default(), keys })
    }

    /// The same, telling these claims of users.
    #[must_use]
    pub fn telling(self, claims: ClaimMapping) -> Self {
        Self { claims, ..self }
    }

    /// Uses these keys from now on. `false`, and nothing changes, without an active ES256 key among them.
    #[must_use]
    pub fn replace(&self, keys: &[(SealedKey, SigningKey)]) -> bool {
        let Some(keys) = KeySet::new(keys) else {
            return false;
        };
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        true
    }

    /// Whether it uses just these keys, in whatever order.
    #[must_use]
    pub fn holds(&self, keys: &[SealedKey]) -> bool {
        let held = self.keys();
        held.ring.len() == keys.len() && keys.iter().all(|key| held.ring.contains(key))
    }

    /// The keys that it uses, those that sign first.
    #[must_use]
    pub fn ring(&self) -> Vec<SealedKey> {
        self.keys().ring.clone()
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The public keys, as `/.well-known/jwks.json` gives them.
    #[must_use]
    pub fn jwks(&self) -> Arc<str> {
        Arc::clone(&self.keys().json)
    }

    /// Which facts its tokens tell.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        if self.claims.is_empty() { Wanted::Roles } else { Wanted::Person }
    }

    /// How long access tokens live.
    #[must_use]
    pub fn lifetime(&self) -> Seconds {
        self.lifetime
    }

    /// Makes an access token of `grant` at `now`, which is the clock's time and not the grant's: a token must not outlive
    /// its lifetime on the clocks of those who check it.
    ///
    /// `None` only if the cryptographic library fails.
    #[must_use]
    pub fn access_token(&self, grant: &Grant, facts: &Facts, now: Time, random: &dyn Random) -> Option<AccessToken> {
        let mut jti = [0; 16];
        random.fill(&mut jti);
        let claims = AccessClaims {
            iss: &self.issuer,
            sub: grant.user.to_string(),
            aud: &grant.audience,
            client_id: &grant.client.0,
            exp: now.plus(self.lifetime).seconds(),
            iat: now.seconds(),
            jti: URL_SAFE_NO_PAD.encode(jti),
            sid: grant.session.map(|id| id.to_string()),
            auth_time: facts.auth_time.seconds(),
            amr: &facts.amr,
            scope: scope_now(&grant.scope, &facts.roles),
            roles: &facts.roles,
        };
        let mut payload = serde_json::to_vec(&claims).ok()?;
        self.claims.append(&mut payload, facts, grant.user);
        self.keys().signer.sign(&payload).ok().map(AccessToken)
    }

    /// Checks one of our own access tokens, meant for this issuer itself. Signature and claims only: whether its session
    /// still lives is the store's to say.
    #[must_use]
    pub fn check(&self, token: &str, now: Time) -> Option<Bearer> {
        let verified = jws::verify(token, &self.keys().public, &[Algorithm::Es256]).ok()?;
        let rules = jwt::Rules::ACCESS_TOKEN.issuer(&self.issuer).audience(&self.issuer);
        let claims = jwt::check(&verified, &rules, now.seconds()).ok()?;
        let session = match claims.text("sid") {
            Some(sid) => Some(sid.parse().ok()?),
            None => None,
        };
        Some(Bearer {
            user: claims.subject()?.parse().ok()?,
            session,
            scope: claims.scope().unwrap_or_default().to_owned(),
        })
    }

    /// The session that one of our own access tokens names, expired or not, for `regrant explain`.
    #[must_use]
    pub fn session_named_by(&self, token: &str) -> Option<SessionId> {
        let verified = jws::verify(token, &self.keys().public, &[Algorithm::Es256]).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&verified.payload).ok()?;
        claims.get("sid")?.as_str()?.parse().ok()
    }
}

/// A role taken away is gone at the next refresh, and so is the scope that came with it.
fn scope_now(granted: &str, roles: &[String]) -> String {
    let is_admin = roles.iter().any(|role| role == ADMIN_ROLE);
    let allowed = granted.split(' ').filter(|scope| *scope != ADMIN_SCOPE || is_admin);
    allowed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
