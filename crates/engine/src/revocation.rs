//! Token revocation (RFC 7009): a client gives back what it has. The whole grant ends with either token of it (§2.1), since an
//! access token cannot be taken back alone.

use std::sync::Arc;

use crate::{
    Engine,
    client::Client,
    context::Context,
    ports::{Broken, Wanted},
    reason::Reason,
    refresh::{Intent, Refreshed, Use, ending, refresh},
    token::Endpoint,
};

/// Ends the grant of `token`, if it is this client's. What is no token of this client's is none to it (§2.2).
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn revoke(engine: &Arc<Engine>, client: &Arc<Client>, token: &str, context: Context) -> Result<(), Broken> {
    let now = engine.now();
    if let Ok(presented) = engine.refresh_keys.open(Endpoint::OAuth, token) {
        let grant = presented.grant;
        let used = Use::of_client(presented, client, context, Intent::Peek);
        // Read by the one table first: whether it is genuine, and whether it is theft.
        if let Refreshed::Tokens(_) = refresh(engine, used).await? {
            engine.store.refresh(grant, Wanted::Roles, ending(engine, Reason::SignedOut, now)).await?;
        }
        return Ok(());
    }
    if let Some(own) = engine.mint.check_own(token, now).filter(|own| own.client == client.id)
        && let Some(grant) = own.grant
        && let Some(loaded) = engine.store.grant(grant).await?
    {
        engine.store.refresh(loaded.state.grant.id, Wanted::Roles, ending(engine, Reason::SignedOut, now)).await?;
    }
    Ok(())
}
