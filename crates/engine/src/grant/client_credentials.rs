//! `grant_type=client_credentials` (RFC 6749 §4.4): a client that acts for itself. There is no user, no session and no refresh
//! token: it comes back with its secret.

use crate::{
    Engine,
    client::Client,
    mint::{ADMIN_SCOPE, AccessToken},
    ports::Broken,
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
}

/// Gives a client a token of its own.
///
/// # Errors
/// [`Broken`] if the machine is.
pub fn issue(engine: &Engine, client: &Client, asked: Option<&str>, resource: Option<&str>) -> Result<Issued, Broken> {
    let Some(audience) = engine.settings.audience_for(resource) else {
        return Ok(Issued::Audience);
    };
    // What is about people means nothing without one.
    let registered: Vec<&str> =
        client.metadata.scope.split(' ').filter(|part| !part.is_empty() && !scope::KNOWN.contains(part)).collect();
    let granted = match asked {
        // Power over the server is never had by not saying anything.
        None => registered.iter().filter(|part| **part != ADMIN_SCOPE).copied().collect::<Vec<_>>().join(" "),
        Some(asked) if asked.split(' ').all(|part| registered.contains(&part)) => scope::each_once(asked),
        Some(_) => return Ok(Issued::Scope),
    };
    let expires_in = client.metadata.access_token_lifetime.unwrap_or(engine.settings.access_token);
    let now = engine.now();
    let made = engine.mint.service_token(&client.id, &audience, &granted, expires_in, now, &*engine.random);
    let access_token =
        made.ok_or_else(|| Broken::Store("the cryptographic library could not make a token".to_owned()))?;
    Ok(Issued::Token { access_token, expires_in, scope: granted })
}
