//! `[clients.ID]`: clients that the configuration looks after. `serve` keeps the store in step with them at each start.
//!
//! A secret is never written here: `secrets` says where it is, as `env:NAME` or `file:PATH`.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
};

use regrant_engine::{
    client::{
        self, ApplicationType, AuthMethod, Client, ClientSecret, ClientType, Draft, GrantType, ManagedBy, Requirement,
        SecretId, secret,
    },
    time::Time,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Config, ConfigError, section::Duration, setting::section};

section! {
    /// A client, by its id: an application that may ask for tokens. Kept in step at each start: one that is not here any more is
    /// removed, and everything that was granted to it ends. Clients of the command line are another matter, and stay.
    ClientTable {
        /// Whether it can keep a secret, and whether people use it. Must be said.
        r#type: Option<ClientType> = None => "none";
        /// Where it runs.
        kind: ApplicationKind = ApplicationKind::Browser;
        /// What people are shown.
        name: Option<String> = None => "the id";
        /// Where people may be sent back to: `https://`, `http://` on a loopback host, or a native application's own scheme.
        /// Compared letter by letter; only a native application's loopback port may vary.
        redirect_uris: Vec<String> = Vec::new();
        /// Where people may be sent back to after they signed out.
        post_logout_redirect_uris: Vec<String> = Vec::new();
        /// Where it hears that a session ended (OpenID Connect Back-Channel Logout): a public `https://` address.
        backchannel_logout_uri: Option<String> = None => "none";
        /// How it may get tokens.
        grants: Vec<GrantType> = Vec::new() => "by its type: code and refresh token, or client credentials";
        /// What it may ask for.
        scopes: Vec<String> = Vec::new() => "`openid profile email`; a service's: none";
        /// How it says who it is. The two ways of sending a secret are equally good: both are accepted.
        auth_method: Option<AuthMethod> = None => "by its type: `none`, else `client_secret_basic`";
        /// A file with its public keys, a JWK set, for `private_key_jwt`.
        jwks_file: Option<PathBuf> = None => "none";
        /// Where its public keys are, instead: a public `https://` address. Asked for when it is needed, at most every five minutes.
        jwks_uri: Option<String> = None => "none";
        /// Where its secrets are: `"env:NAME"` or `"file:PATH"`, at most two, the newest first; each 32 bytes or more.
        secrets: Vec<String> = Vec::new();
        /// Whether a request without PKCE is refused. Always required of public clients.
        pkce: Requirement = Requirement::Required;
        /// Whether its tokens are bound to a key (DPoP): a request without a proof of it is refused.
        dpop: Requirement = Requirement::Optional;
        /// It belongs to whoever runs this server: nobody is asked for consent.
        first_party: bool = false;
        /// Its logo, for the pages.
        logo_uri: Option<String> = None => "none";
        /// Its privacy policy.
        policy_uri: Option<String> = None => "none";
        /// Its terms of service.
        tos_uri: Option<String> = None => "none";
        /// What its access tokens, ID tokens and userinfo tell of users besides, as in `[tokens.claims]`.
        claims: BTreeMap<String, String> = BTreeMap::new();
        /// How long its access tokens live; at most a day.
        access_lifetime: Option<Duration> = None => "`tokens.access_lifetime`";
        /// Its grants end when they are not used for so long.
        idle: Option<Duration> = None => "the kind's, of `[session]`";
        /// They end whatever happens after so long; online ones with their session at the latest.
        absolute: Option<Duration> = None => "the kind's, of `[session]`";
    }
}

/// Where a client runs, in the words of the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApplicationKind {
    /// In a browser, or on a server that browsers talk to
    Browser,
    /// On the device itself
    Native,
}

impl ApplicationKind {
    pub(crate) fn application_type(self) -> ApplicationType {
        match self {
            Self::Browser => ApplicationType::Web,
            Self::Native => ApplicationType::Native,
        }
    }
}

impl ClientTable {
    fn draft(&self, id: &str) -> Result<Draft, ConfigError> {
        let client_type = self.r#type.ok_or_else(|| {
            ConfigError(format!("clients.{id}.type must be said: \"public\", \"confidential\" or \"service\""))
        })?;
        let jwks = self.jwks_file.as_deref().map(|file| read_keys(id, file)).transpose()?;
        Ok(Draft {
            jwks,
            application_type: Some(self.kind.application_type()),
            name: self.name.clone(),
            redirect_uris: self.redirect_uris.clone(),
            post_logout_redirect_uris: self.post_logout_redirect_uris.clone(),
            backchannel_logout_uri: self.backchannel_logout_uri.clone(),
            grants: self.grants.clone(),
            scopes: self.scopes.clone(),
            auth_method: self.auth_method,
            jwks_uri: self.jwks_uri.clone(),
            pkce: Some(self.pkce),
            dpop: Some(self.dpop),
            first_party: self.first_party,
            logo_uri: self.logo_uri.clone(),
            policy_uri: self.policy_uri.clone(),
            tos_uri: self.tos_uri.clone(),
            claims: self.claims.clone(),
            access_lifetime: self.access_lifetime.map(Duration::seconds),
            idle: self.idle.map(Duration::seconds),
            absolute: self.absolute.map(Duration::seconds),
            ..Draft::new(id, client_type)
        })
    }
}

impl Config {
    /// The clients as far as the configuration says them: all but their secrets.
    pub(super) fn client_drafts(&self) -> Result<Vec<Client>, ConfigError> {
        let prepared = |(id, table): (&String, &ClientTable)| {
            let client = client::prepare(table.draft(id)?, ManagedBy::Configuration, Time::from_millis(0))
                .map_err(|why| ConfigError(format!("clients.{id}: {why}")))?;
            match (client::needs_secret(&client), table.secrets.len()) {
                (true, 0) => Err(ConfigError(format!(
                    "clients.{id}.secrets must say where its secret is, as \"env:NAME\" or \"file:PATH\""
                ))),
                (false, 1..) => Err(ConfigError(format!("clients.{id}.secrets: a client of this type has none"))),
                (_, 0..=secret::MOST) => Ok(client),
                (_, _) => Err(ConfigError(format!("clients.{id}.secrets: a client has at most {}", secret::MOST))),
            }
        };
        self.clients.iter().map(prepared).collect()
    }

    /// The clients with their secrets, which are read now.
    pub(crate) fn clients(&self, now: Time) -> Result<Vec<Client>, ConfigError> {
        let mut clients = self.client_drafts()?;
        for client in &mut clients {
            client.created_at = now;
            let places = self.clients.get(&*client.id.0).map(|table| table.secrets.as_slice()).unwrap_or_default();
            // Ids count up with age, so that the newest has the largest.
            for (id, place) in (1..).zip(places.iter().rev()) {
                let key = format!("clients.{}.secrets", client.id.0);
                client.secrets.insert(0, read_secret(&key, place)?.stored(SecretId(id), now));
            }
        }
        Ok(clients)
    }
}

fn read_keys(id: &str, file: &Path) -> Result<Value, ConfigError> {
    let wrong =
        |why: &dyn Display| ConfigError(format!("clients.{id}.jwks_file: cannot read {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    serde_json::from_str(&text).map_err(|_| wrong(&"it is not JSON"))
}

fn read_secret(key: &str, place: &str) -> Result<ClientSecret, ConfigError> {
    let text = match place.split_once(':') {
        Some(("env", name)) => std::env::var(name)
            .map(Zeroizing::new)
            .map_err(|_| ConfigError(format!("{key}: there is no environment variable {name}")))?,
        Some(("file", path)) => std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| ConfigError(format!("{key}: cannot read {path}: {error}")))?,
        // What stands there may be the secret itself, and is not repeated.
        _ => {
            return Err(ConfigError(format!(
                "{key}: a secret does not stand here; say where it is, as \"env:NAME\" or \"file:PATH\""
            )));
        }
    };
    ClientSecret::brought(text.trim_end_matches(['\r', '\n'])).ok_or_else(|| {
        ConfigError(format!(
            "{key}: the secret is shorter than {} bytes: make one with openssl rand -hex 32",
            secret::SHORTEST
        ))
    })
}
