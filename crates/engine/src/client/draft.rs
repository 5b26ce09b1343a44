//! What somebody says of a client to be ([`Draft`]), and the client that it makes ([`prepare`]), with the safe defaults.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ApplicationType, AuthMethod, Client, ClientType, GrantType, ManagedBy, Metadata,
    redirect_uri::{self, UriError},
};
use crate::{
    claims::{ClaimMapping, MappingError},
    id::{ClientId, EventId, GrantRef, SessionId, UserId},
    reason::named,
    time::{Seconds, Time},
};

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
