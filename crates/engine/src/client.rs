//! Clients: the applications that may ask for tokens (RFC 6749 §2), and what each may do.
//!
//! 1. An operator says what a client is, in RFC 7591's words where it has some ([`Draft`]): on the command line, or in
//!    `regrant.toml`.
//! 2. [`prepare`] makes a [`Client`] of it, or says what is wrong. What is left out gets the safe default.
//! 3. The store keeps it. [`Clients`] (`client/cache.rs`) remembers what it said for a second: every request names a client.
//! 4. A request authenticates its client by `client/authentication.rs`; whether an address may be redirected to says
//!    `client/redirect_uri.rs`. Keys that it keeps elsewhere come by `client/keys.rs`.

pub mod assertion;
pub mod authentication;
mod cache;
pub mod keys;
pub mod redirect_uri;
pub mod secret;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    By, Engine,
    claims::{ClaimMapping, MappingError},
    event::{Event, EventKind},
    id::ClientId,
    ports::{Broken, ClientAdded, ClientRemoved, ClientsKept, End, SecretRotated},
    reason::{Reason, named},
    session::Lifetime,
    time::{Seconds, Time},
};

pub use cache::Clients;
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

/// What somebody says of a client to be. What is `None` or empty gets the default of its type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Draft {
    /// Its name in requests and tokens.
    pub id: String,
    /// See [`Metadata::client_type`]; so the others.
    pub client_type: ClientType,
    /// Where it runs.
    pub application_type: Option<ApplicationType>,
    /// What people are shown.
    pub name: Option<String>,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// After they signed out.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it hears of ends.
    pub backchannel_logout_uri: Option<String>,
    /// How it may get tokens.
    pub grants: Vec<GrantType>,
    /// What it may ask for.
    pub scopes: Vec<String>,
    /// How it says who it is.
    pub auth_method: Option<AuthMethod>,
    /// Its public keys.
    pub jwks: Option<Value>,
    /// Where they are.
    pub jwks_uri: Option<String>,
    /// Whether PKCE is required.
    pub pkce: Option<Requirement>,
    /// Whether DPoP is.
    pub dpop: Option<Requirement>,
    /// Whether it is the operator's own.
    pub first_party: bool,
    /// Its logo.
    pub logo_uri: Option<String>,
    /// Its privacy policy.
    pub policy_uri: Option<String>,
    /// Its terms of service.
    pub tos_uri: Option<String>,
    /// What its tokens tell of users: names of claims, and what they are to tell.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// How long its access tokens live.
    pub access_lifetime: Option<Seconds>,
    /// How long its grants live without use.
    pub idle: Option<Seconds>,
    /// How long they live at all.
    pub absolute: Option<Seconds>,
}

named! {
    /// Whether something is asked of every request.
    Requirement {
        /// It is.
        Required = "required",
        /// It is not.
        Optional = "optional",
    }
}

impl Draft {
    /// Of a client of which nothing else is said.
    #[must_use]
    pub fn new(id: &str, client_type: ClientType) -> Self {
        Self {
            id: id.to_owned(),
            client_type,
            application_type: None,
            name: None,
            redirect_uris: vec![],
            post_logout_redirect_uris: vec![],
            backchannel_logout_uri: None,
            grants: vec![],
            scopes: vec![],
            auth_method: None,
            jwks: None,
            jwks_uri: None,
            pkce: None,
            dpop: None,
            first_party: false,
            logo_uri: None,
            policy_uri: None,
            tos_uri: None,
            claims: BTreeMap::new(),
            access_lifetime: None,
            idle: None,
            absolute: None,
        }
    }
}

/// Why a draft is no client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DraftError {
    /// The id is empty, too long or has a character that is not allowed.
    Id,
    /// The id is that of something else.
    ReservedId,
    /// The name is empty, too long or has a hidden character.
    Name,
    /// An address cannot be used for what it is to be used for.
    Uri {
        /// Which one.
        what: &'static str,
        /// It.
        uri: String,
        /// What is wrong.
        why: UriError,
    },
    /// A client with a code grant needs an address to be sent back to.
    NoRedirectUri,
    /// Nobody is sent anywhere by a client without a code grant.
    UselessRedirectUri,
    /// More than [`MOST_URIS`] of one kind.
    TooManyUris,
    /// This type of client cannot have this grant.
    Grant(GrantType),
    /// This is not built.
    NotBuilt(&'static str),
    /// A scope is empty or has a character that is not allowed (RFC 6749 §3.3).
    Scope(String),
    /// The method does not belong to the type.
    AuthMethod(AuthMethod),
    /// The method needs public keys, or the keys a method that uses them.
    Keys,
    /// The keys are no JWK set with a usable key, or have private parts.
    Jwks,
    /// PKCE is required of public clients (RFC 9700 §2.1.1).
    Pkce,
    /// A lifetime is 0, or that of access tokens over a day.
    Lifetime(&'static str),
    /// A claim cannot be told.
    Claims(MappingError),
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => write!(f, "a client's id is 1 to {LONGEST_ID} letters, digits and - . _ ~ : /"),
            Self::ReservedId => f.write_str(
                "this cannot be a client's id: \"regrant\" is the session API itself, and usr_…, ses_…, grt_… and evt_… name \
                 other things",
            ),
            Self::Name => write!(f, "a client's name is 1 to {LONGEST_NAME} characters, none of them hidden"),
            Self::Uri { what, uri, why } => write!(f, "the {what} \"{uri}\" cannot be used: {why}"),
            Self::NoRedirectUri => {
                f.write_str("a client with the grant authorization_code needs a --redirect-uri to send people back to")
            }
            Self::UselessRedirectUri => {
                f.write_str("a redirect URI belongs to the grant authorization_code, which this client does not have")
            }
            Self::TooManyUris => write!(f, "a client has at most {MOST_URIS} addresses of one kind"),
            Self::Grant(grant) => write!(f, "a client of this type cannot have the grant {grant}"),
            Self::NotBuilt(what) => write!(f, "{what} is not built yet"),
            Self::Scope(scope) => {
                write!(f, "\"{scope}\" is no scope: printable ASCII without spaces, quotes and backslashes (RFC 6749 §3.3)")
            }
            Self::AuthMethod(AuthMethod::None) => {
                f.write_str("only a public client has the method none; others authenticate")
            }
            Self::AuthMethod(method) => write!(f, "a public client cannot keep a secret, so its method is none, not {method}"),
            Self::Keys => f.write_str("the method private_key_jwt and public keys (jwks, here or at one address) belong together: say both or neither"),
            Self::Jwks => f.write_str(
                "the keys are no JWK set with a usable public key of RS256, ES256 or EdDSA, or have private parts: give the \
                 public half only",
            ),
            Self::Pkce => f.write_str("PKCE is always required of a public client (RFC 9700 §2.1.1)"),
            Self::Lifetime(which) => {
                write!(f, "the {which} must be more than 0, and that of access tokens at most a day")
            }
            Self::Claims(why) => write!(f, "the claim {why}"),
        }
    }
}

impl std::error::Error for DraftError {}

/// The longest id, in characters.
pub const LONGEST_ID: usize = 200;
/// The longest name, in characters.
pub const LONGEST_NAME: usize = 100;
/// Addresses of one kind.
pub const MOST_URIS: usize = 50;

/// Makes a client of a draft, without secrets.
///
/// # Errors
/// [`DraftError`]
pub fn prepare(draft: Draft, managed_by: ManagedBy, now: Time) -> Result<Client, DraftError> {
    let id = client_id(&draft.id)?;
    let client_type = draft.client_type;
    let application_type = draft.application_type.unwrap_or(ApplicationType::Web);
    let is_name = |name: &String| {
        (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.trim().is_empty() && !name.chars().any(is_hidden)
    };
    if draft.name.as_ref().is_some_and(|name| !is_name(name)) {
        return Err(DraftError::Name);
    }
    let grant_types = grants(client_type, draft.grants)?;
    uris(&draft.redirect_uris, "redirect URI", |uri| redirect_uri::check(uri, application_type))?;
    uris(&draft.post_logout_redirect_uris, "post-logout redirect URI", |uri| {
        redirect_uri::check(uri, application_type)
    })?;
    match (grant_types.contains(&GrantType::AuthorizationCode), draft.redirect_uris.is_empty()) {
        (true, true) => return Err(DraftError::NoRedirectUri),
        (false, false) => return Err(DraftError::UselessRedirectUri),
        _ => {}
    }
    for (what, uri) in [
        ("back-channel logout URI", &draft.backchannel_logout_uri),
        ("jwks URI", &draft.jwks_uri),
        ("logo URI", &draft.logo_uri),
        ("policy URI", &draft.policy_uri),
        ("terms URI", &draft.tos_uri),
    ] {
        uris(uri.as_slice(), what, redirect_uri::check_web)?;
    }
    let token_endpoint_auth_method = auth_method(client_type, draft.auth_method)?;
    let has_keys = draft.jwks.is_some() || draft.jwks_uri.is_some();
    if has_keys != (token_endpoint_auth_method == AuthMethod::PrivateKeyJwt)
        || (draft.jwks.is_some() && draft.jwks_uri.is_some())
    {
        return Err(DraftError::Keys);
    }
    if draft.jwks.as_ref().is_some_and(|jwks| !is_public_set(jwks)) {
        return Err(DraftError::Jwks);
    }
    let pkce_is_optional = draft.pkce == Some(Requirement::Optional);
    // RFC 9700 §2.1.1: public clients must use PKCE.
    if client_type == ClientType::Public && pkce_is_optional {
        return Err(DraftError::Pkce);
    }
    for (which, lifetime, most) in [
        ("access token's lifetime", draft.access_lifetime, Seconds::DAY.0),
        ("idle lifetime", draft.idle, u32::MAX),
        ("absolute lifetime", draft.absolute, u32::MAX),
    ] {
        if lifetime.is_some_and(|lifetime| lifetime.0 == 0 || lifetime.0 > most) {
            return Err(DraftError::Lifetime(which));
        }
    }
    let metadata = Metadata {
        client_type,
        application_type,
        client_name: draft.name,
        redirect_uris: draft.redirect_uris,
        post_logout_redirect_uris: draft.post_logout_redirect_uris,
        backchannel_logout_uri: draft.backchannel_logout_uri,
        scope: scopes(&grant_types, draft.scopes)?,
        grant_types,
        token_endpoint_auth_method,
        jwks: draft.jwks,
        jwks_uri: draft.jwks_uri,
        require_pkce: !pkce_is_optional,
        dpop_bound_access_tokens: draft.dpop == Some(Requirement::Required),
        first_party: draft.first_party,
        logo_uri: draft.logo_uri,
        policy_uri: draft.policy_uri,
        tos_uri: draft.tos_uri,
        claims: ClaimMapping::new(&draft.claims).map_err(DraftError::Claims)?,
        access_token_lifetime: draft.access_lifetime,
        idle_lifetime: draft.idle,
        absolute_lifetime: draft.absolute,
    };
    Ok(Client { id, metadata, managed_by, secrets: vec![], created_at: now })
}

/// RFC 9700 §4.15: a client's id must not be taken for a user's, and `regrant` is ours.
fn client_id(text: &str) -> Result<ClientId, DraftError> {
    use crate::id::{EventId, GrantRef, SessionId, UserId};
    let is_readable = text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/".contains(c));
    if !(1..=LONGEST_ID).contains(&text.len()) || !is_readable {
        return Err(DraftError::Id);
    }
    let lower = text.to_ascii_lowercase();
    let of_others = [UserId::PREFIX, SessionId::PREFIX, GrantRef::PREFIX, EventId::PREFIX];
    if *lower == *ClientId::session_api().0 || of_others.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(DraftError::ReservedId);
    }
    Ok(ClientId::from(text))
}

pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn grants(client_type: ClientType, asked: Vec<GrantType>) -> Result<Vec<GrantType>, DraftError> {
    let default = match client_type {
        ClientType::Public | ClientType::Confidential => vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        ClientType::Service => vec![GrantType::ClientCredentials],
    };
    let asked = if asked.is_empty() { default } else { asked };
    for grant in &asked {
        let fits = match (grant, client_type) {
            // A service acts for itself, and has nobody to ask.
            (GrantType::AuthorizationCode | GrantType::RefreshToken | GrantType::DeviceCode, kind) => {
                kind != ClientType::Service
            }
            // RFC 6749 §4.4: for confidential clients only.
            (GrantType::ClientCredentials, kind) => kind != ClientType::Public,
        };
        if !fits {
            return Err(DraftError::Grant(*grant));
        }
    }
    Ok(GrantType::ALL.iter().copied().filter(|grant| asked.contains(grant)).collect())
}

fn uris(uris: &[String], what: &'static str, check: impl Fn(&str) -> Result<(), UriError>) -> Result<(), DraftError> {
    if uris.len() > MOST_URIS {
        return Err(DraftError::TooManyUris);
    }
    uris.iter().try_for_each(|uri| check(uri).map_err(|why| DraftError::Uri { what, uri: uri.clone(), why }))
}

fn auth_method(client_type: ClientType, asked: Option<AuthMethod>) -> Result<AuthMethod, DraftError> {
    match (client_type, asked) {
        (ClientType::Public, None | Some(AuthMethod::None)) => Ok(AuthMethod::None),
        (ClientType::Public, Some(method)) => Err(DraftError::AuthMethod(method)),
        (_, Some(AuthMethod::None)) => Err(DraftError::AuthMethod(AuthMethod::None)),
        (_, asked) => Ok(asked.unwrap_or(AuthMethod::ClientSecretBasic)),
    }
}

fn is_public_set(jwks: &Value) -> bool {
    let Ok(text) = serde_json::to_vec(jwks) else { return false };
    let keys = jwks.get("keys").and_then(Value::as_array);
    let has_private = keys.into_iter().flatten().any(|key| key.get("d").is_some() || key.get("k").is_some());
    !has_private && regrant_jose::Jwks::parse(&text).is_ok_and(|set| !set.keys().is_empty())
}

/// Each once, in the order in which they were said.
fn scopes(grants: &[GrantType], asked: Vec<String>) -> Result<String, DraftError> {
    let of_people = grants.contains(&GrantType::AuthorizationCode) || grants.contains(&GrantType::DeviceCode);
    let asked = match (asked.is_empty(), of_people) {
        (true, true) => ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        _ => asked,
    };
    let mut kept: Vec<String> = Vec::new();
    for scope in asked {
        if !is_scope(&scope) {
            return Err(DraftError::Scope(scope));
        }
        if !kept.contains(&scope) {
            kept.push(scope);
        }
    }
    Ok(kept.join(" "))
}

/// RFC 6749 §3.3: `scope-token`.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
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
