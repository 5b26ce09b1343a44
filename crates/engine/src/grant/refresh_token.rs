//! `grant_type=refresh_token` (RFC 6749 §6): through the one rotation, like every refresh token.

use std::sync::Arc;

use super::Granted;
use crate::{
    Engine,
    client::Client,
    context::Context,
    dpop::{self, Proof},
    id_token,
    ports::Broken,
    refresh::{Intent, Refreshed, Refusal, Use, is_alive, refresh},
    scope,
    token::Presented,
};

/// What became of it.
#[derive(Debug)]
pub enum Renewed {
    /// The client gets tokens.
    Granted(Granted),
    /// It does not, for this reason.
    Not(Refreshed),
}

/// Renews a client's tokens; `asked` is a scope no wider than granted, `resources` are some of those that were.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn renew(
    engine: &Arc<Engine>,
    client: &Arc<Client>,
    presented: Presented,
    asked: Option<&str>,
    resources: &[&str],
    proof: Option<&Proof>,
    context: Context,
) -> Result<Renewed, Broken> {
    // RFC 9449 §11.1: else whoever saw one request could renew on and on with its proof, until its holder is too far behind.
    // Not for a grant that is over: its token is good for nothing, and must not write rows.
    if let Some(proof) = proof
        && is_alive(engine, &presented).await?
        && !dpop::first_use(engine, proof).await?
    {
        return Ok(Renewed::Not(Refreshed::Refused(Refusal::Proof)));
    }
    let registry = engine.registry().await?;
    let authentication = engine.store.authentication(presented.grant).await?;
    let mut used = Use::of_client(presented, client, context, Intent::Rotate);
    (used.terms.scope, used.terms.authentication) = (asked.map(scope::each_once), authentication);
    used.terms.resources = resources.iter().map(|resource| (*resource).to_owned()).collect();
    used.terms.registry = Some(registry);
    used.terms.proof = proof.map(|proof| proof.key);
    match refresh(engine, used).await? {
        Refreshed::Tokens(tokens) => {
            // OpenID Connect Core §12.2: without a nonce, with the first authentication's time.
            let id_token = match scope::has(&tokens.scope, scope::OPENID) {
                true => Some(id_token::of(engine, &client.id, &tokens, None)?),
                false => None,
            };
            Ok(Renewed::Granted(Granted { tokens, id_token }))
        }
        other => Ok(Renewed::Not(other)),
    }
}
