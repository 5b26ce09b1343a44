//! Which client speaks at an OAuth endpoint (RFC 6749 §2.3): in the Authorization header, or in the form. One of the two, never both.

use std::sync::Arc;

use axum::http::HeaderMap;
use regrant_engine::client::{
    Client, assertion,
    authentication::{Credentials, authenticate},
};

use super::{
    App,
    caller::Connection,
    forwarded::Peer,
    on_behalf::{Basic, on_behalf_of},
    parameters::Parameters,
    protocol_error::oauth::OAuthError,
};

/// A client that is known, and whom it speaks for.
pub(super) struct Speaker {
    pub(super) client: Arc<Client>,
    pub(super) peer: Peer,
}

impl App {
    /// RFC 7523 §2.2.
    async fn by_assertion(
        &self,
        assertion: &str,
        headers: &HeaderMap,
        form: &Parameters,
    ) -> Result<Option<Arc<Client>>, OAuthError> {
        if form.get("client_secret").is_some() || Basic::of(headers).is_some() {
            return Err(OAuthError::InvalidRequest("The client authenticates twice: once is right.".to_owned()));
        }
        if form.get("client_assertion_type") != Some(assertion::TYPE) {
            return Err(OAuthError::InvalidRequest(format!("client_assertion_type must be {}.", assertion::TYPE)));
        }
        let Some(id) = assertion::claimed(assertion) else {
            return Ok(None);
        };
        if form.get("client_id").is_some_and(|named| named != id) {
            return Err(OAuthError::InvalidRequest("client_id is another one than in client_assertion.".to_owned()));
        }
        Ok(authenticate(&self.engine, &Credentials::Assertion { id: &id, assertion }).await?)
    }

    /// The client of a request to an OAuth endpoint.
    pub(super) async fn speaker(
        &self,
        Connection(peer): Connection,
        headers: &HeaderMap,
        form: &Parameters,
    ) -> Result<Speaker, OAuthError> {
        let (named, in_form) = (form.get("client_id"), form.get("client_secret"));
        if let Some(assertion) = form.get("client_assertion") {
            let client = self.by_assertion(assertion, headers, form).await?.ok_or(OAuthError::InvalidClient)?;
            return Ok(Speaker { client, peer: on_behalf_of(peer, headers)? });
        }
        let client = match Basic::of(headers) {
            // RFC 6749 §2.3: not more than one method in a request.
            Some(_) if in_form.is_some() => {
                return Err(OAuthError::InvalidRequest("The client authenticates twice: once is right.".to_owned()));
            }
            Some(None) => None,
            Some(Some(Basic { id, .. })) if named.is_some_and(|named| named != id) => {
                return Err(OAuthError::InvalidRequest("client_id is another one than in Authorization.".to_owned()));
            }
            Some(Some(Basic { id, secret })) => {
                authenticate(&self.engine, &Credentials::Secret { id: &id, secret: &secret }).await?
            }
            None => match (named, in_form) {
                (Some(id), Some(secret)) => authenticate(&self.engine, &Credentials::Secret { id, secret }).await?,
                (Some(id), None) => authenticate(&self.engine, &Credentials::Named(id)).await?,
                (None, _) => None,
            },
        };
        let client = client.ok_or(OAuthError::InvalidClient)?;
        let peer = if client.authenticates() { on_behalf_of(peer, headers)? } else { peer };
        Ok(Speaker { client, peer })
    }
}
