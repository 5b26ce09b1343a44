//! Token introspection (RFC 7662): whether a token lives and what it says, told to whom it concerns only: the client that has it,
//! and whoever it is for.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Engine,
    client::Client,
    context::Context,
    ports::Broken,
    refresh::{Intent, Refreshed, Use, refresh},
    token::Endpoint,
    userinfo::lives,
};

/// What is told of `token` to `client`.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn introspect(
    engine: &Arc<Engine>,
    client: &Arc<Client>,
    token: &str,
    context: Context,
) -> Result<Value, Broken> {
    // RFC 7662 §2.2: nothing is said of why a token is not active.
    let inactive = || json!({"active": false});
    if let Ok(presented) = engine.refresh_keys.open(Endpoint::OAuth, token) {
        // A read is a peek, by the one table: an old token of a public client ends its family here, too.
        let used = Use::of_client(presented, client, context, Intent::Peek);
        return Ok(match refresh(engine, used).await? {
            Refreshed::Tokens(tokens) => json!({
                "active": true,
                "client_id": client.id,
                "sub": tokens.user,
                "scope": tokens.scope,
                "iss": engine.settings.issuer,
            }),
            _ => inactive(),
        });
    }
    let Some(own) = engine.mint.check_own(token, engine.now()) else {
        return Ok(inactive());
    };
    let concerns = own.client == client.id
        || own.audience.iter().any(|audience| **audience == *client.id.0)
        || engine.registry().await?.is_of_client(&own.audience, &client.id);
    if !concerns || !lives(engine, &own).await? {
        return Ok(inactive());
    }
    let mut told = json!({
        "active": true,
        // RFC 9449 §6.2.
        "token_type": if own.key.is_some() { "DPoP" } else { "Bearer" },
        "iss": engine.settings.issuer,
        "sub": own.subject,
        "client_id": own.client,
        "scope": own.scope,
        "iat": own.issued_at,
        "exp": own.expires_at,
        "aud": match own.audience.as_slice() {
            [only] => json!(only),
            several => json!(several),
        },
    });
    if let Some(told) = told.as_object_mut() {
        let optional = [
            ("sid", own.session.map(|sid| json!(sid))),
            ("jti", own.id.map(|id| json!(id))),
            ("cnf", own.key.map(|key| json!({"jkt": key.to_string()}))),
        ];
        for (name, value) in optional.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            told.insert(name.to_owned(), value);
        }
    }
    Ok(told)
}
