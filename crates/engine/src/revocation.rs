//! Token revocation (RFC 7009): a client gives back what it has. The whole grant ends with either token of it (§2.1), since an
//! access token cannot be taken back alone.

use std::sync::Arc;

use crate::{
    Engine,
    client::Client,
    context::Context,
    ports::{Broken, Loaded, Wanted},
    reason::Reason,
    refresh::{Intent, Refreshed, Refusal, Use, ending, refresh},
    token::Endpoint,
    userinfo::granted,
};

/// Ends the grant of `token`, if it is this client's. What is no token of this client's is none to it (§2.2).
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn revoke(engine: &Arc<Engine>, client: &Arc<Client>, token: &str, context: Context) -> Result<(), Broken> {
    let now = engine.now();
    if let Ok(presented) = engine.refresh_keys.open(Endpoint::OAuth, token) {
        let (grant, generation) = (presented.grant, presented.generation);
        let used = Use::of_client(presented, client, context, Intent::Peek);
        // Read by the one table first: whether it is genuine, and whether it is theft.
        match refresh(engine, used).await? {
            Refreshed::Tokens(_) => {
                engine.store.refresh(grant, Wanted::Roles, ending(engine, Reason::SignedOut, now)).await?;
            }
            // RFC 7009 §2.1 asks for the token and no proof of its key, and libraries send none. It is genuine and this client's
            // (rows 2 and 3 came before): its holder may give it back, but for one that is too old to be a retry (row 8).
            Refreshed::Refused(Refusal::Proof) => {
                let end = ending(engine, Reason::SignedOut, now);
                let is_recent =
                    move |loaded: &&Loaded| loaded.state.grant.generation.0.saturating_sub(generation.0) <= 1;
                let judge = Box::new(move |loaded: Option<&Loaded>| end(loaded.filter(is_recent)));
                engine.store.refresh(grant, Wanted::Roles, judge).await?;
            }
            _ => {}
        }
        return Ok(());
    }
    if let Some(own) = engine.mint.check_own(token, now).filter(|own| own.client == client.id)
        && let Some(grant) = own.grant
        && let Some(loaded) = granted(engine, &own, grant).await?
    {
        engine.store.refresh(loaded.state.grant.id, Wanted::Roles, ending(engine, Reason::SignedOut, now)).await?;
    }
    Ok(())
}
