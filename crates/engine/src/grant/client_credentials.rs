//! `grant_type=client_credentials` (RFC 6749 §4.4): a client that acts for itself. There is no user, no session and no refresh
//! token: it comes back with its secret.

use crate::{
    Engine,
    client::Client,
    dpop::{self, Proof},
    mint::{ADMIN_SCOPE, AccessToken, Wish},
    ports::Broken,
    resource::{Target, Untargeted},
    scope,
    time::Seconds,
};

/// What became of it.
#[derive(Debug)]
pub enum Issued {
    /// The token.
    Token {
        /// It.
        access_token: AccessToken,
        /// Its lifetime.
        expires_in: Seconds,
        /// What it allows.
        scope: String,
    },
    /// The client may not ask for this scope.
    Scope,
    /// It may not ask for this audience.
    Audience,
    /// The proof was used before.
    Proof,
}

/// Gives a client a token of its own.
///
/// # Errors
/// [`Broken`] if the machine is.
pub async fn issue(
    engine: &Engine,
    client: &Client,
    asked: Option<&str>,
    resources: &[&str],
    proof: Option<&Proof>,
) -> Result<Issued, Broken> {
    // What is about people means nothing without one.
    let registered: Vec<&str> =
        client.metadata.scope.split(' ').filter(|part| !part.is_empty() && !scope::KNOWN.contains(part)).collect();
    let granted = match asked {
        // Power over the server is never had by not saying anything.
        None => registered.iter().filter(|part| **part != ADMIN_SCOPE).copied().collect::<Vec<_>>().join(" "),
        Some(asked) if asked.split(' ').all(|part| registered.contains(&part)) => scope::each_once(asked),
        Some(_) => return Ok(Issued::Scope),
    };
    let (registry, settings) = (engine.registry().await?, &engine.settings);
    let targets = match registry.targets(settings, resources, &granted, asked.is_some()) {
        Ok(targets) => targets.join(" "),
        Err(Untargeted::Target) => return Ok(Issued::Audience),
        Err(Untargeted::Scope) => return Ok(Issued::Scope),
    };
    let asked_for: Vec<String> = resources.iter().map(|resource| (*resource).to_owned()).collect();
    let Some((audience, form)) = registry.pick(settings, &targets, &asked_for) else {
        return Ok(Issued::Audience);
    };
    // Roles are people's. What a service may, its operator has said with its scopes.
    let scope = registry.scope_for(&audience, &granted, None);
    // RFC 6749 §5.2: nothing of what is asked for, or was registered, can be had there.
    if scope.is_empty() && !granted.is_empty() {
        return Ok(Issued::Scope);
    }
    if let Some(proof) = proof
        && !dpop::first_use(engine, proof).await?
    {
        return Ok(Issued::Proof);
    }
    let target = Target { audience, scope, form };
    let expires_in = client.metadata.access_token_lifetime.unwrap_or(engine.settings.access_token);
    let now = engine.now();
    let wish = Wish { target: &target, told: None, lifetime: expires_in, key: proof.map(|proof| proof.key) };
    let made = engine.mint.service_token(&client.id, wish, now, &*engine.random);
    let failed = || Broken::Store("a token could not be made: is there a key for its algorithm?".to_owned());
    Ok(Issued::Token { access_token: made.ok_or_else(failed)?, expires_in, scope: target.scope })
}
