//! Configuration: flags over environment over `regrant.toml` over defaults.
//!
//! 1. The file is read as a TOML table (`--config`, else `regrant.toml` in the data directory, else in the current one).
//! 2. `REGRANT_SECTION__KEY` variables are laid over it. A value that reads as TOML (`15`, `true`, `["a"]`) is that, any other
//!    is text.
//! 3. The whole is parsed into one struct per section. Unknown keys are refused, so that a typing error is not a default.

mod duration;
mod section;

use std::{fmt, path::PathBuf};

use regrant_engine::{
    factor::password::{Cost, PasswordRules},
    ports::Retention,
    session::{Lifetime, Lifetimes},
    settings::{Settings, SignInLimits},
};

pub(crate) use section::{Config, LogFormat, SameSite};

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

/// Reads the configuration. `candidates` are tried in their order; the first one that exists is read. `named` is the file that
/// the user named, which must exist.
pub(crate) fn load(
    named: Option<&PathBuf>,
    candidates: &[PathBuf],
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let file = named.or_else(|| candidates.iter().find(|path| path.exists()));
    let mut table = match file {
        None => toml::Table::new(),
        Some(path) => {
            let shown = path.display();
            let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            if size > LARGEST_FILE {
                return Err(ConfigError(format!("{shown} is larger than {LARGEST_FILE} bytes: is it the right file?")));
            }
            let text =
                std::fs::read_to_string(path).map_err(|error| ConfigError(format!("cannot read {shown}: {error}")))?;
            text.parse().map_err(|error| ConfigError(format!("{shown} is not TOML: {error}")))?
        }
    };
    overlay(&mut table, environment)?;
    let source = file.map_or_else(|| "the environment".to_owned(), |path| path.display().to_string());
    let config: Config = toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| {
        ConfigError(format!("in {source} or a REGRANT_… variable: {}", error.message()))
    })?;
    config.check()?;
    Ok(config)
}

fn overlay(table: &mut toml::Table, environment: impl Iterator<Item = (String, String)>) -> Result<(), ConfigError> {
    for (name, value) in environment {
        let Some((section, key)) = name.strip_prefix("REGRANT_").and_then(|rest| rest.split_once("__")) else {
            continue;
        };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let parsed = format!("value = {value}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
        let value = parsed.unwrap_or(toml::Value::String(value));
        let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let Some(section) = section.as_table_mut() else {
            return Err(ConfigError(format!("{name}: the configuration file has a value where a section should be")));
        };
        section.insert(key, value);
    }
    Ok(())
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
            ("session.per_user", self.session.per_user),
            ("limits.sign_in_window", self.limits.sign_in_window.seconds().0),
            ("limits.per_account_and_address", self.limits.per_account_and_address),
            ("limits.per_account", self.limits.per_account),
            ("limits.per_network", self.limits.per_network),
            ("limits.connections", self.limits.connections),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError(format!("{name} must be more than 0")));
        }
        if self.tokens.access_lifetime.seconds().0 > 24 * 60 * 60 {
            return Err(ConfigError(
                "tokens.access_lifetime must be at most a day: a signed token cannot be taken back".to_owned(),
            ));
        }
        if !(8..=64).contains(&self.passwords.min_length) {
            return Err(ConfigError("passwords.min_length must be between 8 and 64".to_owned()));
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
        if let Some(origin) = self.server.allowed_origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError(format!(
                "server.allowed_origins: \"{origin}\" is not an origin; write it like \"https://app.example.com\""
            )));
        }
        Ok(())
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
                ..defaults.lifetimes
            },
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
