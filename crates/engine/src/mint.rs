//! Access tokens: the claims of RFC 9068 §2.2, signed; and the check of our own.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use regrant_jose::{Algorithm, Jwks, Signer, SigningKey, jws, jwt};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    claims::ClaimMapping,
    id::{ClientId, GrantRef, SessionId, UserId},
    keyring::{KeyState, SealedKey},
    ports::{Facts, Random, Wanted},
    refresh::{Grant, KeyThumbprint},
    resource::{Form, SigningAlg, Target},
    time::{Seconds, Time},
    token::Endpoint,
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
    /// Replaced whole when the ring changes; nothing is locked while a token is signed.
    keys: ArcSwap<KeySet>,
}

/// What the signing keys are at one moment.
struct KeySet {
    ring: Vec<SealedKey>,
    signer: Signer,
    /// For resources that want another algorithm.
    others: Vec<Signer>,
    /// For ID tokens; `None` without an active RS256 key.
    id_signer: Option<Signer>,
    /// For logout tokens, with the same key.
    logout_signer: Option<Signer>,
    public: Jwks,
    json: Arc<str>,
}

impl KeySet {
    fn new(keys: &[(SealedKey, SigningKey)]) -> Option<Self> {
        let signs = |algorithm: Algorithm| {
            let is_it = |key: &SealedKey| key.state == KeyState::Active && key.algorithm == algorithm.as_str();
            keys.iter().find(|(key, _)| is_it(key)).map(|(_, key)| key)
        };
        let active = signs(Algorithm::Es256)?;
        let public = Jwks::from_keys(keys.iter().map(|(_, key)| key.public()).collect());
        Some(Self {
            ring: keys.iter().map(|(key, _)| key.clone()).collect(),
            signer: Signer::new(active, "at+jwt"),
            others: OTHERS.iter().filter_map(|other| signs(*other)).map(|key| Signer::new(key, "at+jwt")).collect(),
            // OpenID Connect Core §15.1: every client can check RS256.
            id_signer: signs(Algorithm::Rs256).map(|key| Signer::new(key, "JWT")),
            // OpenID Connect Back-Channel Logout §2.4: signed like ID tokens, and typed, so that they pass for nothing else.
            logout_signer: signs(Algorithm::Rs256).map(|key| Signer::new(key, "logout+jwt")),
            json: public.to_json().into(),
            public,
        })
    }
}

/// By which access tokens are signed besides ES256, where a resource wants it.
const OTHERS: [Algorithm; 2] = [Algorithm::Rs256, Algorithm::Ed25519];
/// By which our own access tokens are signed.
const ACCESS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ed25519];

impl KeySet {
    /// Signs an access token, and encrypts it where its resource wants that. `None` without a key, or if the library fails.
    fn access_token(&self, form: &Form, payload: &[u8]) -> Option<AccessToken> {
        let wanted = form.signing.algorithm();
        let signer = match wanted {
            Algorithm::Es256 => &self.signer,
            _ => self.others.iter().find(|signer| signer.algorithm() == wanted)?,
        };
        let signed = signer.sign(payload).ok()?;
        match &form.encrypter {
            None => Some(AccessToken(signed)),
            // RFC 7519 §5.2, §11.2; RFC 9068 §4: a signed token within, which `cty` says.
            Some(encrypter) => encrypter.encrypt_nested(&Zeroizing::new(signed)).ok().map(AccessToken),
        }
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

/// An ID token on its way to its client. Silent in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct IdToken(pub String);

impl std::fmt::Debug for IdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdToken(secret)")
    }
}

/// A logout token on its way to its client. Silent in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct LogoutToken(pub String);

impl std::fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogoutToken(secret)")
    }
}

/// What an access token is to be, beside whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'w> {
    /// Whom it is for, and what it allows there.
    pub target: &'w Target<'w>,
    /// What it tells of its user besides what every token does; nothing is told of a service.
    pub told: Option<&'w ClaimMapping>,
    /// How long it lives.
    pub lifetime: Seconds,
    /// The key that it is bound to.
    pub key: Option<KeyThumbprint>,
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
    /// Whose client has it.
    pub client: ClientId,
}

/// What any of our own access tokens says, whomever it is for, once it is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Own {
    /// A user, or the client itself.
    pub subject: String,
    /// Whose client has it.
    pub client: ClientId,
    /// Whom it is for.
    pub audience: Vec<String>,
    /// What it allows.
    pub scope: String,
    /// Of which session.
    pub session: Option<SessionId>,
    /// Of which grant of the OAuth endpoints.
    pub grant: Option<GrantRef>,
    /// The key that it is bound to.
    pub key: Option<KeyThumbprint>,
    /// Its name.
    pub id: Option<String>,
    /// When it was made, in seconds.
    pub issued_at: i64,
    /// When it ends, in seconds.
    pub expires_at: i64,
}

#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: UserId,
    #[serde(serialize_with = "one_or_more")]
    aud: &'a [&'a str],
    client_id: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
    // Ours: by it userinfo and introspection find out whether the grant still lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    grt: Option<GrantRef>,
    auth_time: i64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    amr: &'a [String],
    scope: &'a str,
    // RFC 9068 §2.2.3.1.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

#[derive(Serialize)]
struct ServiceClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    #[serde(serialize_with = "one_or_more")]
    aud: &'a [&'a str],
    client_id: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

/// RFC 9449 §6.1.
#[derive(Serialize)]
struct Confirmation {
    jkt: String,
}

impl Confirmation {
    fn of(key: KeyThumbprint) -> Self {
        Self { jkt: key.to_string() }
    }
}

impl Mint {
    /// From the store's keys, in the order in which they are to be published. `None` without an active ES256 key.
    #[must_use]
    pub fn new(issuer: &str, lifetime: Seconds, keys: &[(SealedKey, SigningKey)]) -> Option<Self> {
        let keys = ArcSwap::from_pointee(KeySet::new(keys)?);
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
        self.keys.store(Arc::new(keys));
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

    fn keys(&self) -> Guard<Arc<KeySet>> {
        self.keys.load()
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

    /// Whether there is a key for this algorithm now.
    #[must_use]
    pub fn can_sign(&self, signing: SigningAlg) -> bool {
        let (keys, wanted) = (self.keys(), signing.algorithm());
        wanted == Algorithm::Es256 || keys.others.iter().any(|signer| signer.algorithm() == wanted)
    }

    /// How long access tokens live.
    #[must_use]
    pub fn lifetime(&self) -> Seconds {
        self.lifetime
    }

    /// Makes an access token of `grant` at `now`, which is the clock's time and not the grant's: a token must not outlive
    /// its lifetime on the clocks of those who check it. Whom it is for comes with what it tells of the user besides.
    ///
    /// `None` only if the cryptographic library fails.
    #[must_use]
    pub fn access_token(
        &self,
        grant: &Grant,
        facts: &Facts,
        Wish { target, told, lifetime, key }: Wish<'_>,
        now: Time,
        random: &dyn Random,
    ) -> Option<AccessToken> {
        let claims = AccessClaims {
            iss: &self.issuer,
            sub: grant.user,
            aud: &target.audience,
            client_id: &grant.client.0,
            exp: now.plus(lifetime).seconds(),
            iat: now.seconds(),
            jti: jti(random),
            sid: grant.session,
            grt: (grant.endpoint == Endpoint::OAuth).then_some(grant.public_id),
            auth_time: facts.auth_time.seconds(),
            amr: &facts.amr,
            scope: &target.scope,
            roles: &facts.roles,
            cnf: key.map(Confirmation::of),
        };
        // Most need no more: a buffer that has to grow is copied each time.
        let mut payload = Vec::with_capacity(768);
        serde_json::to_writer(&mut payload, &claims).ok()?;
        match told.filter(|told| !told.is_empty()) {
            None => self.claims.append(&mut payload, facts, grant.user),
            Some(told) => told.clone().before(&self.claims).append(&mut payload, facts, grant.user),
        }
        self.keys().access_token(&target.form, &payload)
    }

    /// Makes an access token for a client that acts for itself (RFC 9068 §2.2: `sub` is the client).
    ///
    /// `None` only if the cryptographic library fails.
    #[must_use]
    pub fn service_token(
        &self,
        client: &ClientId,
        Wish { target, lifetime, key, .. }: Wish<'_>,
        now: Time,
        random: &dyn Random,
    ) -> Option<AccessToken> {
        let claims = ServiceClaims {
            iss: &self.issuer,
            sub: &client.0,
            aud: &target.audience,
            client_id: &client.0,
            exp: now.plus(lifetime).seconds(),
            iat: now.seconds(),
            jti: jti(random),
            scope: Some(target.scope.as_str()).filter(|scope| !scope.is_empty()),
            cnf: key.map(Confirmation::of),
        };
        self.keys().access_token(&target.form, &serde_json::to_vec(&claims).ok()?)
    }

    /// Signs an ID token's claims (`id_token.rs`). `None` without an RS256 key, or if the library fails.
    pub(crate) fn sign_id_token(&self, claims: &impl Serialize) -> Option<IdToken> {
        self.keys().id_signer.as_ref()?.sign(&serde_json::to_vec(claims).ok()?).ok().map(IdToken)
    }

    /// Signs a logout token's claims (`backchannel_logout.rs`). `None` without an RS256 key, or if the library fails.
    pub(crate) fn sign_logout_token(&self, claims: &impl Serialize) -> Option<LogoutToken> {
        self.keys().logout_signer.as_ref()?.sign(&serde_json::to_vec(claims).ok()?).ok().map(LogoutToken)
    }

    /// The claims of one of our own ID tokens, expired or not, whomever it is for.
    pub(crate) fn id_token_claims(&self, token: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
        let verified = jws::verify(token, &self.keys().public, &[Algorithm::Rs256]).ok()?;
        // RFC 8725 §3.11: a resource's access tokens may be of the same key, and are no ID tokens.
        if verified.header.typ.as_deref() != Some("JWT") {
            return None;
        }
        let claims: serde_json::Map<_, _> = serde_json::from_slice(&verified.payload).ok()?;
        // OpenID Connect Back-Channel Logout §4.1: a logout token, of the same key, is no ID token.
        let is_one = claims.get("iss")?.as_str()? == self.issuer && !claims.contains_key("events");
        is_one.then_some(claims)
    }

    /// Checks any of our own access tokens, whomever it is for: for userinfo, introspection and revocation. Signature and claims
    /// only.
    #[must_use]
    pub fn check_own(&self, token: &str, now: Time) -> Option<Own> {
        let verified = jws::verify(token, &self.keys().public, &ACCESS).ok()?;
        let rules = jwt::Rules::ACCESS_TOKEN.issuer(&self.issuer).any_audience();
        let claims = jwt::check(&verified, &rules, now.seconds()).ok()?;
        // One that is bound in a way that is not understood is not taken for an unbound one.
        let key = match claims.members().get("cnf") {
            None => None,
            Some(cnf) => Some(KeyThumbprint::parse(cnf.get("jkt")?.as_str()?)?),
        };
        Some(Own {
            key,
            subject: claims.subject()?.to_owned(),
            client: ClientId::from(claims.client_id()?),
            audience: claims.audience().map(str::to_owned).collect(),
            scope: claims.scope().unwrap_or_default().to_owned(),
            session: claims.text("sid").map(str::parse).transpose().ok()?,
            grant: claims.text("grt").map(str::parse).transpose().ok()?,
            id: claims.id().map(str::to_owned),
            issued_at: claims.issued_at()?.seconds(),
            expires_at: claims.expires_at()?.seconds(),
        })
    }

    /// Checks one of our own access tokens, meant for this issuer itself. Signature and claims only: whether its session
    /// still lives is the store's to say.
    #[must_use]
    pub fn check(&self, token: &str, now: Time) -> Option<Bearer> {
        let verified = jws::verify(token, &self.keys().public, &ACCESS).ok()?;
        let rules = jwt::Rules::ACCESS_TOKEN.issuer(&self.issuer).audience(&self.issuer);
        let claims = jwt::check(&verified, &rules, now.seconds()).ok()?;
        // RFC 9449 §7.2: a bound token is no bearer token.
        if claims.members().contains_key("cnf") {
            return None;
        }
        let session = match claims.text("sid") {
            Some(sid) => Some(sid.parse().ok()?),
            None => None,
        };
        Some(Bearer {
            user: claims.subject()?.parse().ok()?,
            session,
            scope: claims.scope().unwrap_or_default().to_owned(),
            client: ClientId::from(claims.client_id()?),
        })
    }

    /// The session that one of our own access tokens names, expired or not, for `regrant explain`.
    #[must_use]
    pub fn session_named_by(&self, token: &str) -> Option<SessionId> {
        let verified = jws::verify(token, &self.keys().public, &ACCESS).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&verified.payload).ok()?;
        claims.get("sid")?.as_str()?.parse().ok()
    }
}

/// RFC 7519 §4.1.3: a single audience stands by itself.
fn one_or_more<S: serde::Serializer>(audience: &&[&str], serializer: S) -> Result<S::Ok, S::Error> {
    match audience {
        [only] => serializer.serialize_str(only),
        several => several.serialize(serializer),
    }
}

/// A role taken away is gone at the next refresh, and so is the scope that came with it.
pub(crate) fn scope_now(granted: &str, roles: &[String]) -> String {
    if !granted.contains(ADMIN_SCOPE) || roles.iter().any(|role| role == ADMIN_ROLE) {
        return granted.to_owned();
    }
    let allowed = granted.split(' ').filter(|scope| *scope != ADMIN_SCOPE);
    allowed.collect::<Vec<_>>().join(" ")
}

pub(crate) fn jti(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests;
