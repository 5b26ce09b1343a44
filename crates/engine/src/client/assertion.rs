//! `private_key_jwt` (RFC 7523 §3, OpenID Connect Core §9): a client signs who it is, with a key whose public half was registered.

use std::sync::Arc;

use regrant_jose::{
    Algorithm, Jwks, jws,
    jwt::{self, Expect, Rules},
};

use super::{AuthMethod, Client};
use crate::{
    Engine,
    ports::Broken,
    single_sign_on::hash,
    time::{Seconds, Time},
};

/// RFC 7523 §2.2.
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest that an assertion may be good for: its name is remembered for so long.
const LONGEST: Seconds = Seconds::HOUR;
/// How far the clocks may differ, in seconds.
const LEEWAY: u32 = 10;

/// Whose assertion it claims to be. Nothing is verified.
#[must_use]
pub fn claimed(assertion: &str) -> Option<String> {
    let payload = jws::danger_unverified(assertion).ok()?.payload;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

/// Whether the client made this assertion, for us, now, and for the first time.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn is_good(engine: &Engine, client: &Client, assertion: &str) -> Result<bool, Broken> {
    let Some(keys) = keys_of(engine, client, assertion).await else {
        return Ok(false);
    };
    match name_and_end(engine, client, &keys, assertion) {
        // RFC 7523 §3, 7: once.
        Some((name, until)) => engine.store.use_once(hash(&name), until).await,
        None => Ok(false),
    }
}

/// The client's public keys: registered with it, or at its address.
async fn keys_of(engine: &Engine, client: &Client, assertion: &str) -> Option<Arc<Jwks>> {
    let metadata = &client.metadata;
    if metadata.token_endpoint_auth_method != AuthMethod::PrivateKeyJwt {
        return None;
    }
    if let Some(jwks) = &metadata.jwks {
        return Jwks::parse(&serde_json::to_vec(jwks).ok()?).ok().map(Arc::new);
    }
    let kid = jws::danger_unverified(assertion).ok()?.header.kid;
    engine.clients.keys.at(metadata.jwks_uri.as_deref()?, kid.as_deref(), engine.now()).await
}

/// The name of a good assertion, and until when it is good.
fn name_and_end(engine: &Engine, client: &Client, keys: &Jwks, assertion: &str) -> Option<(String, Time)> {
    let verified = jws::verify(assertion, keys, Algorithm::ALL).ok()?;
    let id = &*client.id.0;
    let rules = Rules {
        required: &["iss", "sub", "aud", "exp", "jti"],
        issuer: Expect::Exactly(id),
        exp_required: true,
        leeway_seconds: LEEWAY,
        ..Rules::ANY
    };
    let now = engine.now();
    let claims = jwt::check(&verified, &rules, now.seconds()).ok()?;
    // RFC 7523 §3, 3: for us. The issuer is what it should be; many libraries still write the token endpoint.
    let issuer = engine.settings.issuer.as_str();
    let is_ours = |audience: &str| audience == issuer || audience.strip_prefix(issuer) == Some("/oauth2/token");
    let until = claims.expires_at()?.seconds();
    let is_near = until <= now.plus(LONGEST).seconds() + i64::from(LEEWAY);
    if claims.subject()? != id || !claims.audience().any(is_ours) || !is_near {
        return None;
    }
    // Each client's names are its own.
    let name = format!("assertion\n{id}\n{}", claims.id()?);
    Some((name, Time::from_millis((until + i64::from(LEEWAY)).saturating_mul(1000))))
}
