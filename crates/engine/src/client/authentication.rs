//! Which client speaks (RFC 6749 §2.3): the one that authenticates, or that a public client says it is.

use std::sync::Arc;

use super::{AuthMethod, Client, assertion::is_good, secret};
use crate::{Engine, id::ClientId, ports::Broken, time::Seconds};

/// What a request says of its client.
pub enum Credentials<'r> {
    /// `client_id` and nothing to prove it.
    Named(&'r str),
    /// A secret, in the Authorization header or in the body.
    Secret {
        /// The client.
        id: &'r str,
        /// Its secret.
        secret: &'r str,
    },
    /// A JWT that it signed.
    Assertion {
        /// The client that it claims to be of.
        id: &'r str,
        /// It.
        assertion: &'r str,
    },
}

/// Uses of a secret are noted at most so often.
const NOTED_EVERY: Seconds = Seconds::HOUR;

/// The client that the credentials are of; `None` if there is none, or they are not right. Which one is not told.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn authenticate(engine: &Engine, credentials: &Credentials<'_>) -> Result<Option<Arc<Client>>, Broken> {
    let now = engine.now();
    let (id, presented) = match credentials {
        Credentials::Named(id) => (*id, None),
        Credentials::Secret { id, secret } => (*id, Some(*secret)),
        Credentials::Assertion { id, .. } => (*id, None),
    };
    let Some(client) = engine.client(&ClientId::from(id)).await? else {
        return Ok(None);
    };
    if let Credentials::Assertion { assertion, .. } = credentials {
        let good = is_good(engine, &client, assertion).await?;
        return Ok(good.then_some(client));
    }
    match (client.metadata.token_endpoint_auth_method, presented) {
        (AuthMethod::None, None) => Ok(Some(client)),
        // The two ways of sending a secret are equally good: whichever of them a library takes is fine.
        (AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost, Some(presented)) => {
            let Some(used) = secret::matching(&client.secrets, presented, now) else {
                return Ok(None);
            };
            let noted_lately = used.last_used_at.is_some_and(|at| at <= now && now < at.plus(NOTED_EVERY));
            if !noted_lately {
                engine.store.note_client_secret(client.id.clone(), used.id, now).await?;
                engine.clients.forget(&client.id);
            }
            Ok(Some(client))
        }
        // RFC 9700 §2.5: who can authenticate must; a secret for a client that has none is a mistake.
        (AuthMethod::None, Some(_)) | (AuthMethod::PrivateKeyJwt, _) | (_, None) => Ok(None),
    }
}
