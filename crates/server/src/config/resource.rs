//! `[resources.NAME]`: resources that the configuration looks after. `serve` keeps the store in step with them at each start.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use regrant_engine::{
    client::ManagedBy,
    resource::{self, Draft, Resource, Scope},
    time::Time,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Config, ConfigError, setting::section};

section! {
    /// A resource: an API that access tokens can be for (RFC 8707). The name is for this file only. Kept in step at each start: one that is
    /// not here any more is removed. Those of the command line are another matter, and stay.
    ResourceTable {
        /// Its URI, absolute and without a fragment: what requests name, and the `aud` of its tokens. Must be said.
        id: Option<String> = None => "none";
        /// What people are shown.
        name: Option<String> = None => "none";
        /// What can be done there; see below.
        scopes: BTreeMap<String, ScopeTable> = BTreeMap::new();
        /// How its tokens are signed: `"ES256"`, `"RS256"`, or `"Ed25519"` with `keys.ed25519`.
        signing_alg: Option<String> = None => "`\"ES256\"`";
        /// A file with its public key, a JWK: its tokens are encrypted to it, a signed token within.
        encryption_key_file: Option<PathBuf> = None => "in the clear";
        /// By which algorithm: `"RSA-OAEP-256"`, `"ECDH-ES"` and the like.
        encryption_alg: Option<String> = None => "the key's own, or what fits it";
        /// And their content.
        encryption_enc: Option<String> = None => "`\"A256GCM\"`";
        /// The client that the API itself is: it may ask about tokens for it (introspection).
        client: Option<String> = None => "none";
    }
}

/// What one scope of a resource is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScopeTable {
    /// What it means, for the consent page.
    description: Option<String>,
    /// Who may get it.
    roles: Vec<String>,
}

impl ResourceTable {
    fn draft(&self, name: &str) -> Result<Draft, ConfigError> {
        let id = self.id.clone().ok_or_else(|| {
            ConfigError(format!("resources.{name}.id must be said: its URI, as \"https://api.example.com/orders\""))
        })?;
        let scope = |(name, table): (&String, &ScopeTable)| Scope {
            name: name.clone(),
            description: table.description.clone(),
            roles: table.roles.clone(),
        };
        let key = self.encryption_key_file.as_deref().map(|file| read_key(name, file)).transpose()?;
        Ok(Draft {
            id,
            name: self.name.clone(),
            scopes: self.scopes.iter().map(scope).collect(),
            signing_alg: self.signing_alg.clone(),
            encryption_key: key,
            encryption_alg: self.encryption_alg.clone(),
            encryption_enc: self.encryption_enc.clone(),
            client: self.client.clone(),
        })
    }
}

impl Config {
    /// The resources as the configuration says them.
    pub(crate) fn resources(&self, now: Time) -> Result<Vec<Resource>, ConfigError> {
        let mut resources: Vec<Resource> = Vec::new();
        for (name, table) in &self.resources {
            let resource = resource::prepare(table.draft(name)?, ManagedBy::Configuration, now)
                .map_err(|why| ConfigError(format!("resources.{name}: {why}")))?;
            if resources.iter().any(|known| known.id == resource.id) {
                return Err(ConfigError(format!("resources.{name}.id is that of another one, too")));
            }
            // RFC 9068 §5: what an `aud` names is one thing, or an access token passes for an ID token.
            if self.clients.contains_key(&resource.id) {
                return Err(ConfigError(format!("resources.{name}.id is that of a client, too: choose another one")));
            }
            resources.push(resource);
        }
        Ok(resources)
    }

    /// The key of the resource of this id, to be told.
    pub(crate) fn resource_key(&self, id: &str) -> String {
        let found = self.resources.iter().find(|(_, table)| table.id.as_deref() == Some(id));
        format!("resources.{}", found.map(|(name, _)| name.as_str()).unwrap_or_default())
    }
}

fn read_key(name: &str, file: &Path) -> Result<Value, ConfigError> {
    let wrong = |why: &dyn std::fmt::Display| {
        ConfigError(format!("resources.{name}.encryption_key_file: cannot read {}: {why}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    serde_json::from_str(&text).map_err(|_| wrong(&"it is not JSON"))
}
