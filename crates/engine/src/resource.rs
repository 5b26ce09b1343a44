//! Resources: the APIs that access tokens are for (RFC 8707), what can be done there, who may, and the form of their tokens.
//!
//! 1. An operator says what a resource is ([`Draft`]): on the command line, or in `regrant.toml`. [`prepare`] makes a [`Resource`]
//!    of it, or says what is wrong; [`fits`] holds it against this server.
//! 2. The store keeps it. [`Resources`] (`resource/cache.rs`) remembers all of them for a second.
//! 3. `resource/registry.rs` has the rules: whom a token is for, what it may allow there, how it is signed and encrypted. They are
//!    asked when an application asks, and again for every token: a role taken away is gone at the next refresh.

mod cache;
mod registry;

use std::fmt;

use regrant_jose::{
    Algorithm, Jwk,
    jwe::{ContentEncryption, Encrypter, KeyManagement},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    By, Engine,
    client::{ManagedBy, is_hidden, is_scope, redirect_uri::Parts, redirect_uri::UriError},
    event::{Actor, Event, EventKind},
    id::ClientId,
    mint::ADMIN_SCOPE,
    ports::{Broken, End, ResourceAdded, ResourceRemoved, ResourcesKept},
    reason::{Reason, named},
    scope::KNOWN,
    settings::Settings,
    time::Time,
    user::is_role_name,
};

pub use cache::Resources;
pub use registry::{Form, Registry, Target, Untargeted, audiences};

/// An API that access tokens can be for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its name in requests, and the `aud` of its tokens: an absolute URI.
    pub id: String,
    /// What it is, and what can be done there.
    pub metadata: Metadata,
    /// Who looks after it.
    pub managed_by: ManagedBy,
    /// When it was added.
    pub created_at: Time,
}

/// What a resource is: in a store, on the command line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// What people are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What can be done there.
    pub scopes: Vec<Scope>,
    /// How its tokens are signed.
    pub signing_alg: SigningAlg,
    /// How they are encrypted, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The client that the API itself is: it may ask about tokens for it (RFC 7662).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
}

/// Something that can be done at a resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scope {
    /// RFC 6749 §3.3.
    pub name: String,
    /// In words, for the consent page: as in "see your orders".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whoever has one of these may get it; with none of them said, everybody may.
    #[serde(default)]
    pub roles: Vec<String>,
}

named! {
    /// How a resource's tokens are signed.
    SigningAlg {
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// RSA, for libraries that know nothing else.
        Rs256 = "RS256",
        /// Ed25519, by its name since RFC 9864 §2.2: the published key has it too.
        Ed25519 = "Ed25519",
    }
}

impl SigningAlg {
    /// By its name; `EdDSA` is what Ed25519 was called before.
    fn of(name: &str) -> Option<Self> {
        if name == "EdDSA" { Some(Self::Ed25519) } else { name.parse().ok() }
    }

    /// As the library has it.
    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::Rs256 => Algorithm::Rs256,
            Self::Ed25519 => Algorithm::Ed25519,
        }
    }
}

/// How a resource's tokens are encrypted (RFC 7516): to its public key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Encryption {
    /// The public half, as a JWK.
    pub key: Value,
    /// RFC 7518 §4.1.
    pub alg: String,
    /// RFC 7518 §5.1.
    pub enc: String,
}

impl Encryption {
    fn encrypter(&self) -> Option<Encrypter> {
        let (alg, enc) = (KeyManagement::from_name(&self.alg)?, ContentEncryption::from_name(&self.enc)?);
        let key = Jwk::parse(&serde_json::to_vec(&self.key).ok()?).ok()?;
        Encrypter::new(&key, alg, enc).ok()
    }
}

/// What somebody says of a resource to be. What is `None` gets the default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Draft {
    /// Its URI.
    pub id: String,
    /// See [`Metadata::name`]; so the others.
    pub name: Option<String>,
    /// What can be done there.
    pub scopes: Vec<Scope>,
    /// By the name of its algorithm.
    pub signing_alg: Option<String>,
    /// A public key, or a JWK set with one.
    pub encryption_key: Option<Value>,
    /// By its name; what the key says, or what fits it.
    pub encryption_alg: Option<String>,
    /// By its name.
    pub encryption_enc: Option<String>,
    /// Its own client.
    pub client: Option<String>,
}

/// Why a draft is no resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DraftError {
    /// The id is no absolute URI.
    Id(String, UriError),
    /// The id is longer than [`LONGEST_ID`].
    LongId,
    /// The id is the issuer.
    Issuer,
    /// The name is empty, too long or has a hidden character.
    Name,
    /// A scope has a character that is not allowed (RFC 6749 §3.3).
    Scope(String),
    /// A scope means something everywhere.
    ReservedScope(String),
    /// A scope is said twice.
    ScopeTwice(String),
    /// More than [`MOST_SCOPES`].
    TooManyScopes,
    /// A scope's words are empty, too long or have a hidden character.
    Words(String),
    /// No role can have this name.
    Role(String),
    /// There is no such signature algorithm here.
    SigningAlg(String),
    /// There is no Ed25519 key.
    NoEd25519,
    /// An encryption's algorithm without a key.
    NoKey,
    /// The key is not one public key that can be encrypted to, or has private parts.
    Key,
    /// The key does not serve these algorithms, or there are none of these names.
    Encryption(String),
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id, UriError::NotAbsolute) => {
                write!(f, "\"{id}\" is no resource: it is an absolute URI, as https://api.example.com/orders (RFC 8707)")
            }
            Self::Id(id, why) => write!(f, "\"{id}\" is no resource (RFC 8707): {why}"),
            Self::LongId => write!(f, "a resource's URI has at most {LONGEST_ID} bytes"),
            Self::Issuer => f.write_str("the issuer itself needs no registration: tokens for it are always ES256, and in the clear"),
            Self::Name => write!(f, "a resource's name is 1 to {LONGEST_WORDS} characters, none of them hidden"),
            Self::Scope(scope) => {
                write!(f, "\"{scope}\" is no scope: printable ASCII without spaces, quotes and backslashes (RFC 6749 §3.3)")
            }
            Self::ReservedScope(scope) => write!(f, "the scope \"{scope}\" means something else at every server: choose another name"),
            Self::ScopeTwice(scope) => write!(f, "the scope \"{scope}\" is said twice"),
            Self::TooManyScopes => write!(f, "a resource has at most {MOST_SCOPES} scopes"),
            Self::Words(scope) => {
                write!(f, "the words for \"{scope}\" are 1 to {LONGEST_WORDS} characters, none of them hidden")
            }
            Self::Role(role) => write!(f, "\"{role}\" cannot be a role: use 1 to 64 letters, digits and - _ . :"),
            Self::SigningAlg(name) => write!(f, "tokens are signed by ES256, RS256 or Ed25519 (EdDSA), not \"{name}\""),
            Self::NoEd25519 => f.write_str("there is no Ed25519 key: set ed25519 = true in [keys] first, and start anew"),
            Self::NoKey => f.write_str("an encryption needs the resource's public key"),
            Self::Key => f.write_str(
                "the encryption key is not a public JWK of type RSA, EC or OKP (X25519), or has private parts: give the public \
                 half only",
            ),
            Self::Encryption(what) => write!(f, "the encryption key cannot be used by {what}"),
        }
    }
}

impl std::error::Error for DraftError {}

/// The longest id, in bytes: it stands in every token.
pub const LONGEST_ID: usize = 512;
/// The longest name, and the longest words for a scope, in characters.
pub const LONGEST_WORDS: usize = 200;
/// Scopes of one resource.
pub const MOST_SCOPES: usize = 200;

/// Makes a resource of a draft.
///
/// # Errors
/// [`DraftError`]
pub fn prepare(draft: Draft, managed_by: ManagedBy, now: Time) -> Result<Resource, DraftError> {
    if draft.id.len() > LONGEST_ID {
        return Err(DraftError::LongId);
    }
    // RFC 8707 §2: an absolute URI without a fragment.
    Parts::of(&draft.id).map_err(|why| DraftError::Id(draft.id.clone(), why))?;
    if draft.name.as_deref().is_some_and(|name| !is_words(name)) {
        return Err(DraftError::Name);
    }
    let signing_alg = match &draft.signing_alg {
        None => SigningAlg::Es256,
        Some(name) => SigningAlg::of(name).ok_or_else(|| DraftError::SigningAlg(name.clone()))?,
    };
    let metadata = Metadata {
        name: draft.name,
        scopes: scopes(draft.scopes)?,
        signing_alg,
        encryption: encryption(draft.encryption_key, draft.encryption_alg, draft.encryption_enc)?,
        client: draft.client.map(ClientId::from),
    };
    Ok(Resource { id: draft.id, metadata, managed_by, created_at: now })
}

/// Whether this server can make tokens for it.
///
/// # Errors
/// [`DraftError`]
pub fn fits(resource: &Resource, settings: &Settings) -> Result<(), DraftError> {
    // What the provider itself is asked with must be readable here: it has nobody's private keys.
    if resource.id == settings.issuer {
        return Err(DraftError::Issuer);
    }
    let has_key = settings.keys.algorithms().contains(&resource.metadata.signing_alg.algorithm());
    if has_key { Ok(()) } else { Err(DraftError::NoEd25519) }
}

fn is_words(text: &str) -> bool {
    (1..=LONGEST_WORDS).contains(&text.chars().count()) && !text.trim().is_empty() && !text.chars().any(is_hidden)
}

/// By their names, as a store and a page have them.
fn scopes(mut scopes: Vec<Scope>) -> Result<Vec<Scope>, DraftError> {
    if scopes.len() > MOST_SCOPES {
        return Err(DraftError::TooManyScopes);
    }
    for scope in &mut scopes {
        if !is_scope(&scope.name) {
            return Err(DraftError::Scope(scope.name.clone()));
        }
        if KNOWN.contains(&scope.name.as_str()) || scope.name == ADMIN_SCOPE {
            return Err(DraftError::ReservedScope(scope.name.clone()));
        }
        if scope.description.as_deref().is_some_and(|words| !is_words(words)) {
            return Err(DraftError::Words(scope.name.clone()));
        }
        if let Some(role) = scope.roles.iter().find(|role| !is_role_name(role)) {
            return Err(DraftError::Role(role.clone()));
        }
        scope.roles.sort();
        scope.roles.dedup();
    }
    scopes.sort_by(|one, other| one.name.cmp(&other.name));
    match scopes
        .windows(2)
        .find_map(|pair| pair.first().filter(|one| pair.last().is_some_and(|two| two.name == one.name)))
    {
        Some(twice) => Err(DraftError::ScopeTwice(twice.name.clone())),
        None => Ok(scopes),
    }
}

fn encryption(key: Option<Value>, alg: Option<String>, enc: Option<String>) -> Result<Option<Encryption>, DraftError> {
    let Some(given) = key else {
        return if alg.is_some() || enc.is_some() { Err(DraftError::NoKey) } else { Ok(None) };
    };
    let one = match given.get("keys").and_then(Value::as_array).map(Vec::as_slice) {
        None => &given,
        Some([only]) => only,
        Some(_) => return Err(DraftError::Key),
    };
    // Whoever has the private half reads the tokens, and a shared secret has no public half.
    if ["d", "k", "priv"].iter().any(|private| one.get(private).is_some()) {
        return Err(DraftError::Key);
    }
    let parsed = serde_json::to_vec(one).ok().and_then(|json| Jwk::parse(&json).ok()).ok_or(DraftError::Key)?;
    let key: Value = serde_json::from_str(&parsed.to_json()).map_err(|_| DraftError::Key)?;
    let enc = enc.unwrap_or_else(|| ContentEncryption::A256Gcm.as_str().to_owned());
    // What is asked for, what the key says itself, or what fits its type.
    let said = alg.or_else(|| one.get("alg").and_then(Value::as_str).map(str::to_owned));
    let tried: Vec<String> = match &said {
        Some(alg) => vec![alg.clone()],
        None => [KeyManagement::RsaOaep256, KeyManagement::EcdhEsA256Kw].iter().map(ToString::to_string).collect(),
    };
    let usable = tried
        .into_iter()
        .map(|alg| Encryption { key: key.clone(), alg, enc: enc.clone() })
        .find(|encryption| encryption.encrypter().is_some());
    match (usable, said) {
        (Some(usable), _) => Ok(Some(usable)),
        (None, Some(alg)) => Err(DraftError::Encryption(format!("{alg} with {enc}"))),
        (None, None) if ContentEncryption::from_name(&enc).is_none() => Err(DraftError::Encryption(enc)),
        (None, None) => Err(DraftError::Key),
    }
}

/// Adds a resource. `replaces`: in the place of the one before, without a moment in which there is none and its scopes would be
/// anybody's.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn add<'e>(by: impl Into<By<'e>>, resource: Resource, replaces: bool) -> Result<ResourceAdded, Broken> {
    let By { engine, actor } = by.into();
    let event = Event::new(EventKind::ResourceAdded, engine.now(), actor, &*engine.random)
        .with("resource", resource.id.clone());
    let added = engine.store.add_resource(resource, replaces, event).await?;
    engine.resources.forget();
    Ok(added)
}

/// Removes a resource: no more tokens are made for it. Grants go on, for whatever else they are.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn remove<'e>(by: impl Into<By<'e>>, id: &str) -> Result<ResourceRemoved, Broken> {
    let By { engine, actor } = by.into();
    let event =
        Event::new(EventKind::ResourceRemoved, engine.now(), actor, &*engine.random).with("resource", id.to_owned());
    let removed = engine.store.remove_resource(id.to_owned(), event).await?;
    engine.resources.forget();
    Ok(removed)
}

/// Makes the resources of the configuration those of the store.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn keep(engine: &Engine, wanted: Vec<Resource>) -> Result<ResourcesKept, Broken> {
    let end = End { at: engine.now(), reason: Reason::RevokedByAdmin, actor: Actor::Operator };
    let kept = engine.store.keep_resources(wanted, end).await?;
    engine.resources.forget();
    Ok(kept)
}

#[cfg(test)]
mod tests;
