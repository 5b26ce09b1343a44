//! Configuration: flags over environment over `regrant.toml` over defaults.
//!
//! 1. The file is read as a TOML table (`--config`, else `regrant.toml` in the data directory, else in the current one).
//! 2. `REGRANT_SECTION__KEY` variables are laid over it. A value that reads as TOML (`15`, `true`, `["a"]`) is that, any other
//!    is text.
//! 3. The whole is parsed into one struct per section. Unknown keys are refused, so that a typing error is not a default.

mod address_range;
mod client;
mod doubt;
mod duration;
mod reference;
mod resource;
mod section;
mod setting;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use regrant_engine::{
    claims::ClaimMapping,
    client::is_scope,
    factor::password::{Cost, PasswordRules},
    keyring::lifecycle::KeyPolicy,
    ports::Retention,
    resource::fits,
    session::{Lifetime, Lifetimes},
    settings::{Settings, SignInLimits},
    time::Time,
};

pub(crate) use address_range::AddressRange;
pub(crate) use client::{ApplicationKind, ClientTable};
pub(crate) use doubt::Doubt;
pub(crate) use duration::parse as duration;
pub(crate) use reference::reference;
pub(crate) use resource::{ResourceTable, ScopeTable};
pub(crate) use section::{Config, DatabaseUrl, LogFormat, SameSite, TokenScope};
pub(crate) use setting::{Section, Setting};

/// Why the configuration cannot be used.
#[derive(Debug)]
pub(crate) struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The largest configuration file that is read.
const LARGEST_FILE: u64 = 1024 * 1024;

/// The configuration, and who said what of it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// The keys that somebody set, as `section.key`.
    sources: BTreeMap<String, Source>,
}

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Nobody said it.
    Default,
    /// The file.
    File(PathBuf),
    /// This variable.
    Environment(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => f.write_str(name),
        }
    }
}

impl Loaded {
    /// Who set `section.key`.
    pub(crate) fn source(&self, section: &str, key: &str) -> &Source {
        let exactly = self.sources.get(&format!("{section}.{key}"));
        // A variable says a client's table as a whole.
        exactly.or_else(|| self.sources.get(section)).unwrap_or(&Source::Default)
    }
}

/// Reads the configuration. `candidates` are tried in their order; the first one that exists is read. `named` is the file that
/// the user named, which must exist.
pub(crate) fn load(
    named: Option<&PathBuf>,
    candidates: &[PathBuf],
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let file = named.or_else(|| candidates.iter().find(|path| path.exists())).cloned();
    let text = file.as_deref().map_or_else(|| Ok(String::new()), read)?;
    let mut table: toml::Table = text.parse().map_err(|error| match &file {
        Some(path) => ConfigError(format!("{}, {}", path.display(), place(&text, "not TOML: ", &error))),
        None => ConfigError(error.to_string()),
    })?;
    let mut sources = BTreeMap::new();
    if let Some(path) = &file {
        sources.extend(keys_of(&table).into_iter().map(|key| (key, Source::File(path.clone()))));
    }
    let variables: Vec<Variable> = environment.filter_map(Variable::of).collect();
    for variable in &variables {
        variable.lay_over(&mut table)?;
        let replaced = format!("{}.{}.", variable.section, variable.key);
        sources.retain(|key, _| !key.starts_with(&replaced));
        sources.insert(format!("{}.{}", variable.section, variable.key), Source::Environment(variable.name.clone()));
    }
    let config: Config =
        toml::Value::Table(table).try_into().map_err(|error| found(&error, file.as_deref(), &text, &variables))?;
    let loaded = Loaded { config, file, sources };
    match loaded.config.check() {
        Ok(()) => Ok(loaded),
        // The sentence begins with the key that is wrong.
        Err(ConfigError(why)) => Err(match why.split([' ', ':']).next().and_then(|key| loaded.sources.get(key)) {
            Some(source) => ConfigError(format!("{why} (set by {source})")),
            None => ConfigError(why),
        }),
    }
}

/// The keys that a file says, as `section.key`; those of a client as `clients.id.key`, and of a resource likewise.
fn keys_of(table: &toml::Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (section, within) in table.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
        for (key, value) in within {
            match value.as_table().filter(|_| ["clients", "resources"].contains(&section.as_str())) {
                Some(client) => keys.extend(client.keys().map(|of_client| format!("{section}.{key}.{of_client}"))),
                None => keys.push(format!("{section}.{key}")),
            }
        }
    }
    keys
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size > LARGEST_FILE {
        return Err(ConfigError(format!("{shown} is larger than {LARGEST_FILE} bytes: is it the right file?")));
    }
    std::fs::read_to_string(path).map_err(|error| ConfigError(format!("cannot read {shown}: {error}")))
}

/// A `REGRANT_SECTION__KEY` variable.
struct Variable {
    name: String,
    section: String,
    key: String,
    value: toml::Value,
}

impl Variable {
    fn of((name, value): (String, String)) -> Option<Self> {
        let (section, key) = name.strip_prefix("REGRANT_")?.split_once("__")?;
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let parsed = format!("value = {value}").parse::<toml::Table>().ok();
        // A value of several lines may read as several keys; then it is text.
        let parsed = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
        Some(Self { section, key, value: parsed.unwrap_or(toml::Value::String(value)), name })
    }

    fn lay_over(&self, table: &mut toml::Table) -> Result<(), ConfigError> {
        let section = table.entry(&self.section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let Some(section) = section.as_table_mut() else {
            return Err(ConfigError(format!(
                "{}: the configuration file (regrant.toml) has a value where the section [{}] should be",
                self.name, self.section
            )));
        };
        section.insert(self.key.clone(), self.value.clone());
        Ok(())
    }
}

/// Looks for the place of what does not parse: a line of the file, or the variable that is wrong by itself.
fn found(error: &toml::de::Error, file: Option<&Path>, text: &str, variables: &[Variable]) -> ConfigError {
    let wrong_alone = |variable: &&Variable| {
        let mut table = toml::Table::new();
        let laid = variable.lay_over(&mut table).is_ok();
        let parsed: Result<Config, _> = toml::Value::Table(table).try_into();
        laid && parsed.is_err_and(|alone| alone.message() == error.message())
    };
    if let Some(variable) = variables.iter().find(wrong_alone) {
        return ConfigError(format!("in the environment variable {}: {}", variable.name, error.message()));
    }
    match (file, toml::from_str::<Config>(text)) {
        (Some(file), Err(error)) => ConfigError(format!("{}, {}", file.display(), place(text, "", &error))),
        (Some(file), Ok(_)) => {
            ConfigError(format!("in {} or a REGRANT_… variable: {}", file.display(), error.message()))
        }
        (None, _) => ConfigError(format!("in the environment: {}", error.message())),
    }
}

/// The line of `text` where an error is, and what it is, on one line.
fn place(text: &str, prefix: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    format!("line {}: {prefix}{message}", before.matches('\n').count() + 1)
}

impl Config {
    /// What one field's type cannot say.
    fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("tokens.access_lifetime", self.tokens.access_lifetime.seconds().0),
            ("session.browser_idle", self.session.browser_idle.seconds().0),
            ("session.browser_absolute", self.session.browser_absolute.seconds().0),
            ("session.native_idle", self.session.native_idle.seconds().0),
            ("session.native_absolute", self.session.native_absolute.seconds().0),
            ("session.offline_idle", self.session.offline_idle.seconds().0),
            ("session.offline_absolute", self.session.offline_absolute.map_or(1, |absolute| absolute.seconds().0)),
            ("session.per_user", self.session.per_user),
            ("keys.jwks_max_age", self.keys.jwks_max_age.seconds().0),
            ("keys.rotate_every", self.keys.rotate_every.seconds().0),
            ("limits.sign_in_window", self.limits.sign_in_window.seconds().0),
            ("limits.per_account_and_address", self.limits.per_account_and_address),
            ("limits.per_account", self.limits.per_account),
            ("limits.per_network", self.limits.per_network),
            ("limits.connections", self.limits.connections),
            ("limits.grants_memory_mib", self.limits.grants_memory_mib),
            ("database.connections", self.database.connections),
            ("database.refreshes_per_statement", self.database.refreshes_per_statement),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError(format!("{name} must be more than 0")));
        }
        if self.tokens.access_lifetime.seconds().0 > 24 * 60 * 60 {
            return Err(ConfigError(
                "tokens.access_lifetime must be at most a day: a signed token cannot be taken back".to_owned(),
            ));
        }
        if self.keys.jwks_max_age.seconds().0 > 24 * 60 * 60 {
            return Err(ConfigError(
                "keys.jwks_max_age must be at most a day: for so long a withdrawn key may still be believed".to_owned(),
            ));
        }
        // Else more and more keys would be published at once.
        let shortest = self.key_policy().lead().0.max(self.tokens.access_lifetime.seconds().0);
        if self.keys.rotate_every.seconds().0 <= shortest {
            return Err(ConfigError(format!(
                "keys.rotate_every must be more than {shortest} seconds: twice keys.jwks_max_age, and tokens.access_lifetime"
            )));
        }
        ClaimMapping::new(&self.tokens.claims).map_err(|why| ConfigError(format!("tokens.claims: {why}")))?;
        for (name, TokenScope { claims }) in &self.tokens.scopes {
            let wrong = |why: &dyn fmt::Display| ConfigError(format!("tokens.scopes.{name}: {why}"));
            if !is_scope(name) {
                return Err(wrong(
                    &"this is no scope: printable ASCII without spaces, quotes and backslashes (RFC 6749 §3.3)",
                ));
            }
            ClaimMapping::new(claims).map_err(|why| wrong(&format!("claims: {why}")))?;
        }
        if !(8..=64).contains(&self.passwords.min_length) {
            return Err(ConfigError("passwords.min_length must be between 8 and 64".to_owned()));
        }
        if self.database.connections > 1000 {
            return Err(ConfigError("database.connections must be at most 1000".to_owned()));
        }
        if self.database.refreshes_per_statement > 1024 {
            return Err(ConfigError("database.refreshes_per_statement must be at most 1024".to_owned()));
        }
        if self.session.per_user > 1000 {
            return Err(ConfigError("session.per_user must be at most 1000".to_owned()));
        }
        let cost = self.passwords.cost();
        let within = cost.memory_kib >= 8 * 1024 && cost.memory_kib <= Cost::MOST.memory_kib;
        if !within || !(1..=Cost::MOST.passes).contains(&cost.passes) || !(1..=Cost::MOST.lanes).contains(&cost.lanes) {
            return Err(ConfigError(format!(
                "passwords: memory_kib must be 8192 to {}, passes 1 to {}, lanes 1 to {}",
                Cost::MOST.memory_kib,
                Cost::MOST.passes,
                Cost::MOST.lanes
            )));
        }
        if self.passwords.concurrency == Some(0) || self.passwords.concurrency.is_some_and(|most| most > 256) {
            return Err(ConfigError("passwords.concurrency must be 1 to 256".to_owned()));
        }
        if self.passwords.queue > 65_536 {
            return Err(ConfigError("passwords.queue must be at most 65536".to_owned()));
        }
        if self.server.tls_certificate.is_some() != self.server.tls_key.is_some() {
            return Err(ConfigError(
                "server.tls_certificate and server.tls_key belong together: set both, or neither for plain HTTP"
                    .to_owned(),
            ));
        }
        self.client_drafts()?;
        let settings = self.settings(self.server.issuer.as_deref().unwrap_or_default());
        for resource in self.resources(Time::default())? {
            let name = self.resource_key(&resource.id);
            fits(&resource, &settings).map_err(|why| ConfigError(format!("{name}: {why}")))?;
        }
        if let Some(origin) = self.server.allowed_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError(format!(
                "server.allowed_origins: \"{origin}\" is not an origin; write it like \"https://app.example.com\""
            )));
        }
        Ok(())
    }

    fn key_policy(&self) -> KeyPolicy {
        KeyPolicy {
            jwks_max_age: self.keys.jwks_max_age.seconds(),
            rotate_every: self.keys.rotate_every.seconds(),
            ed25519: self.keys.ed25519,
        }
    }

    /// The rules' settings for `issuer`.
    pub(crate) fn settings(&self, issuer: &str) -> Settings {
        let lifetime = |idle: section::Duration, absolute: section::Duration| Lifetime {
            idle: idle.seconds(),
            absolute: Some(absolute.seconds()),
        };
        let defaults = Settings::new(issuer);
        Settings {
            audience: self.tokens.audience.clone().unwrap_or_else(|| issuer.to_owned()),
            audiences: self.tokens.audiences.clone(),
            access_token: self.tokens.access_lifetime.seconds(),
            lifetimes: Lifetimes {
                browser: lifetime(self.session.browser_idle, self.session.browser_absolute),
                native: lifetime(self.session.native_idle, self.session.native_absolute),
                offline: Lifetime {
                    idle: self.session.offline_idle.seconds(),
                    absolute: self.session.offline_absolute.map(section::Duration::seconds),
                },
            },
            // `check` has refused what cannot be.
            claims: ClaimMapping::new(&self.tokens.claims).unwrap_or_default(),
            dpop_nonce: self.tokens.dpop_nonce,
            scope_claims: self
                .tokens
                .scopes
                .iter()
                .map(|(name, TokenScope { claims })| (name.clone(), ClaimMapping::new(claims).unwrap_or_default()))
                .collect(),
            keys: self.key_policy(),
            replay: self.session.replay,
            sessions_per_user: self.session.per_user,
            passwords: PasswordRules { shortest: self.passwords.min_length },
            sign_in: SignInLimits {
                window: self.limits.sign_in_window.seconds(),
                per_account_and_address: self.limits.per_account_and_address,
                per_account: self.limits.per_account,
                per_network: self.limits.per_network,
            },
            retention: Retention {
                events: self.events.keep.seconds(),
                rotations: self.events.keep_rotations.seconds(),
                rotations_kept: self.events.last_rotations,
                failures: self.limits.sign_in_window.seconds(),
                ..defaults.retention
            },
            ..defaults
        }
    }
}

/// Scheme and host, perhaps a port, nothing else.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<hyper::Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("https" | "http"))
        && uri.host().is_some()
        && !text.ends_with('/')
        && uri.path() == "/"
        && uri.query().is_none()
}

#[cfg(test)]
mod tests;
