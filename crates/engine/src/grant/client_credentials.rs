//! `grant_type=client_credentials` (RFC 6749 §4.4): a client that acts for itself. There is no user, no session and no refresh
//! token: it comes back with its secret.

use crate::{
    Engine,
    client::Client,
    dpop::{self, Proof},
    mint::{ADMIN_SCOPE, AccessToken, Wish},
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
    resource: Option<&str>,
    proof: Option<&Proof>,
) -> Result<Issued, Broken> {
    let Some(audience) = engine.settings.audience_for(resource) else {
        return Ok(Issued::Audience);
    };
    // What is about people means nothing without one.
    let of_people = |part: &&str| scope::KNOWN.contains(part) || *part == ADMIN_SCOPE;
    let registered: Vec<&str> =
        client.metadata.scope.split(' ').filter(|part| !part.is_empty() && !of_people(part)).collect();
    let granted = match asked {
        None => registered.join(" "),
        Some(asked) if asked.split(' ').all(|part| registered.contains(&part)) => scope::each_once(asked),
        Some(_) => return Ok(Issued::Scope),
    };
    if let Some(proof) = proof
        && !dpop::first_use(engine, proof).await?
    {
        return Ok(Issued::Proof);
    }
    let expires_in = client.metadata.access_token_lifetime.unwrap_or(engine.settings.access_token);
    let now = engine.now();
    let wish = Wish { scope: &granted, lifetime: expires_in, key: proof.map(|proof| proof.key) };
    let made = engine.mint.service_token(&client.id, &audience, wish, now, &*engine.random);
    let access_token =
        made.ok_or_else(|| Broken::Store("the cryptographic library could not make a token".to_owned()))?;
    Ok(Issued::Token { access_token, expires_in, scope: granted })
}
