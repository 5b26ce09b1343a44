//! Clients: the applications that may ask for tokens (RFC 6749 §2), and what each may do.
//!
//! 1. An operator says what a client is, in RFC 7591's words where it has some ([`Draft`]): on the command line, or in
//!    `regrant.toml`.
//! 2. [`prepare`] (`client/draft.rs`) makes a [`Client`] of it, or says what is wrong. What is left out gets the safe default.
//! 3. The store keeps it. [`Clients`] (`client/cache.rs`) remembers what it said for a second: every request names a client.
//! 4. A request authenticates its client by `client/authentication.rs`; whether an address may be redirected to says
//!    `client/redirect_uri.rs`. Keys that it keeps elsewhere come by `client/keys.rs`.

pub mod assertion;
pub mod authentication;
mod cache;
mod draft;
pub mod keys;
pub mod redirect_uri;
pub mod secret;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    By, Engine,
    claims::ClaimMapping,
    event::{Event, EventKind},
    id::ClientId,
    ports::{Broken, ClientAdded, ClientRemoved, ClientsKept, End, SecretRotated},
    reason::{Reason, named},
    session::Lifetime,
    time::{Seconds, Time},
};

pub use cache::Clients;
pub(crate) use draft::is_hidden;
pub use draft::{Draft, DraftError, LONGEST_ID, LONGEST_NAME, MOST_URIS, Requirement, is_scope, prepare};
pub use redirect_uri::UriError;
pub use secret::{ClientSecret, SecretId, StoredSecret};

/// An application that may ask for tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// Its name in requests and tokens.
    pub id: ClientId,
    /// What it is and may do.
    pub metadata: Metadata,
    /// Who looks after it.
    pub managed_by: ManagedBy,
    /// What it authenticates with, the newest first; at most [`secret::MOST`].
    pub secrets: Vec<StoredSecret>,
    /// When it was added.
    pub created_at: Time,
}

/// What a client is and may do: in a store, on the command line, in a configuration. RFC 7591 §2 and OpenID Connect
/// Registration §2 have the names; those that they do not have are ours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// Whether it can keep a secret, and whether people use it.
    pub client_type: ClientType,
    /// Where it runs.
    pub application_type: ApplicationType,
    /// What people are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Where people may be sent back to with an answer.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent back to after they signed out.
    #[serde(default)]
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it hears that a session ended (OpenID Connect Back-Channel Logout §2.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// How it may get tokens.
    pub grant_types: Vec<GrantType>,
    /// What it may ask for, with a space between.
    pub scope: String,
    /// How it says who it is.
    pub token_endpoint_auth_method: AuthMethod,
    /// Its public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Where its public keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Whether a request without PKCE is refused (RFC 7636).
    pub require_pkce: bool,
    /// Whether its tokens are bound to a key (RFC 9449 §5.2).
    pub dpop_bound_access_tokens: bool,
    /// It belongs to whoever runs this server: nobody is asked for consent.
    pub first_party: bool,
    /// Its logo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its privacy policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Its terms of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// What its tokens and userinfo tell of users, besides what all tell.
    #[serde(default, skip_serializing_if = "ClaimMapping::is_empty")]
    pub claims: ClaimMapping,
    /// How long its access tokens live, in seconds; the server's own lifetime if it does not say. So the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime: Option<Seconds>,
    /// How long its grants live without use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_lifetime: Option<Seconds>,
    /// How long they live at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute_lifetime: Option<Seconds>,
}

named! {
    /// Whether a client can keep a secret (RFC 6749 §2.1), and whether people use it.
    ClientType {
        /// It runs where its users can look into it: a page, an application on a telephone.
        Public = "public",
        /// It runs on a server and keeps a secret.
        Confidential = "confidential",
        /// It acts for itself, without people.
        Service = "service",
    }
}

named! {
    /// Where a client runs (OpenID Connect Registration §2).
    ApplicationType {
        /// In a browser, or on a server that browsers talk to.
        Web = "web",
        /// On the device itself.
        Native = "native",
    }
}

named! {
    /// How a client may get tokens (RFC 7591 §2).
    GrantType {
        /// By a code that the browser brings (RFC 6749 §4.1).
        AuthorizationCode = "authorization_code",
        /// By a refresh token (RFC 6749 §6).
        RefreshToken = "refresh_token",
        /// By itself (RFC 6749 §4.4).
        ClientCredentials = "client_credentials",
        /// For a device without a keyboard (RFC 8628).
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
    }
}

named! {
    /// How a client says who it is at the token endpoint (RFC 7591 §2).
    AuthMethod {
        /// It only says so: it can keep no secret.
        None = "none",
        /// Its secret in the Authorization header (RFC 6749 §2.3.1).
        ClientSecretBasic = "client_secret_basic",
        /// Its secret in the body.
        ClientSecretPost = "client_secret_post",
        /// A JWT that it signs (RFC 7523 §2.2).
        PrivateKeyJwt = "private_key_jwt",
    }
}

named! {
    /// Who looks after a client, and so who may change it.
    ManagedBy {
        /// The command line.
        Operator = "operator",
        /// `[clients]` of the configuration, kept in step at each start.
        Configuration = "configuration",
    }
}

impl Client {
    /// Whether it may get tokens so.
    #[must_use]
    pub fn may(&self, grant: GrantType) -> bool {
        self.metadata.grant_types.contains(&grant)
    }

    /// Whether it may ask for this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.metadata.scope.split(' ').any(|known| known == scope)
    }

    /// Whether it proves who it is.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.metadata.token_endpoint_auth_method != AuthMethod::None
    }

    /// What people are shown.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        self.metadata.client_name.as_deref().unwrap_or(&self.id.0)
    }

    /// How long its own grants live where the server says `usual`.
    #[must_use]
    pub fn lifetime(&self, usual: Lifetime) -> Lifetime {
        Lifetime {
            idle: self.metadata.idle_lifetime.unwrap_or(usual.idle),
            absolute: self.metadata.absolute_lifetime.or(usual.absolute),
        }
    }
}

/// Adds a client; with a secret if it needs one, which is given once.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn add<'e>(by: impl Into<By<'e>>, mut client: Client) -> Result<(ClientAdded, Option<ClientSecret>), Broken> {
    let by = by.into();
    let engine = by.engine;
    let secret = needs_secret(&client).then(|| ClientSecret::new(&*engine.random));
    if let Some(secret) = &secret {
        client.secrets = vec![secret.stored(SecretId::FIRST, engine.now())];
    }
    let id = client.id.clone();
    let event = event(by, EventKind::ClientAdded, &id);
    let added = engine.store.add_client(client, event).await?;
    engine.clients.forget(&id);
    Ok((added, secret.filter(|_| added == ClientAdded::Added)))
}

/// Whether a client authenticates by a secret.
#[must_use]
pub fn needs_secret(client: &Client) -> bool {
    match client.metadata.token_endpoint_auth_method {
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => true,
        AuthMethod::None | AuthMethod::PrivateKeyJwt => false,
    }
}

/// Gives a client a new secret. The one before works for `keep` more; any older one no longer.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn rotate_secret<'e>(
    by: impl Into<By<'e>>,
    id: &ClientId,
    keep: Seconds,
) -> Result<(SecretRotated, ClientSecret), Broken> {
    let by = by.into();
    let engine = by.engine;
    let (now, secret) = (engine.now(), ClientSecret::new(&*engine.random));
    let event = event(by, EventKind::ClientSecretRotated, id);
    let rotated = engine.store.rotate_client_secret(id.clone(), secret.hash(), now.plus(keep), event).await?;
    engine.clients.forget(id);
    Ok((rotated, secret))
}

/// Removes a client. Every grant of it ends.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn remove<'e>(by: impl Into<By<'e>>, id: &ClientId) -> Result<ClientRemoved, Broken> {
    let by = by.into();
    let engine = by.engine;
    let event = event(by, EventKind::ClientRemoved, id);
    let removed = engine.store.remove_client(id.clone(), end(by), event).await?;
    engine.clients.forget(id);
    Ok(removed)
}

/// Makes the clients of the configuration those of the store: adds, changes, and removes what is not there any more.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn keep(engine: &Engine, wanted: Vec<Client>) -> Result<ClientsKept, Broken> {
    engine.store.keep_clients(wanted, end(engine.into())).await
}

fn end(By { engine, actor }: By<'_>) -> End {
    End { at: engine.now(), reason: Reason::ClientRemoved, actor }
}

fn event(By { engine, actor }: By<'_>, kind: EventKind, id: &ClientId) -> Event {
    let mut event = Event::new(kind, engine.now(), actor, &*engine.random);
    event.client = Some(id.clone());
    event
}

#[cfg(test)]
mod tests;
