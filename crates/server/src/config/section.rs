//! One struct per section of `regrant.toml`. The doc comments are what an operator reads.

use regrant_engine::{factor::password::Cost, refresh::ReplayPolicy, time::Seconds};
use serde::Deserialize;

/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) tokens: Tokens,
    pub(crate) session: Session,
    pub(crate) passwords: Passwords,
    pub(crate) limits: Limits,
    pub(crate) events: Events,
    pub(crate) log: Log,
}

/// `[server]`: where we listen and who we are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Address and port; `127.0.0.1:8080` by default.
    pub(crate) listen: Option<String>,
    /// The `iss` of every token: https, or http on a loopback host.
    pub(crate) issuer: Option<String>,
    /// Other origins whose pages may call the session API with the cookie.
    pub(crate) allowed_origins: Vec<String>,
}

/// `[tokens]`: access tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tokens {
    /// How long an access token lives.
    pub(crate) access_lifetime: Duration,
    /// The audience of session access tokens; the issuer by default.
    pub(crate) audience: Option<String>,
    /// The audiences that a sign-in may ask for; any by default.
    pub(crate) audiences: Option<Vec<String>>,
}

/// `[session]`: how long sessions live and how strict the rotation is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Session {
    /// A browser's session ends when it is not used for so long.
    pub(crate) browser_idle: Duration,
    /// It ends whatever happens after so long.
    pub(crate) browser_absolute: Duration,
    /// A native application's, likewise.
    pub(crate) native_idle: Duration,
    /// Likewise.
    pub(crate) native_absolute: Duration,
    /// What a replay from elsewhere is worth: `balanced` forgives one, `strict` none.
    pub(crate) replay: ReplayPolicy,
    /// Live sessions of one user.
    pub(crate) per_user: u32,
    /// The cookie's SameSite attribute: `strict` or `lax`.
    pub(crate) same_site: SameSite,
}

/// The cookie's SameSite attribute. `none` is not offered: the session API is first-party.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SameSite {
    Strict,
    Lax,
}

/// `[passwords]`: what is asked of them and what checking one costs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Passwords {
    /// At least so many characters.
    pub(crate) min_length: usize,
    /// Argon2id: KiB of memory.
    pub(crate) memory_kib: u32,
    /// Argon2id: passes.
    pub(crate) passes: u32,
    /// Argon2id: lanes.
    pub(crate) lanes: u32,
    /// So many are hashed at once; the number of processors by default.
    pub(crate) concurrency: Option<usize>,
    /// So many may wait; the next one is told to come back (503).
    pub(crate) queue: usize,
}

/// `[limits]`: failed sign-ins that are forgiven within a window, and connections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// The window.
    pub(crate) sign_in_window: Duration,
    /// Failures of one account from one address.
    pub(crate) per_account_and_address: u32,
    /// Failures of one account from everywhere.
    pub(crate) per_account: u32,
    /// Failures from one /24 (IPv4) or /64 (IPv6).
    pub(crate) per_network: u32,
    /// Open connections.
    pub(crate) connections: u32,
}

/// `[events]`: how long the timeline is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Events {
    /// Everything, and sessions after their end.
    pub(crate) keep: Duration,
    /// Each renewal of a token.
    pub(crate) keep_rotations: Duration,
    /// So many renewals of a session stay longer than that.
    pub(crate) last_rotations: u32,
}

/// `[log]`: what is written to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `auto` (text on a terminal, JSON otherwise), `text` or `json`.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or a filter of tracing's.
    pub(crate) level: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { access_lifetime: Duration(Seconds::minutes(15)), audience: None, audiences: None }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            browser_idle: Duration(Seconds::days(7)),
            browser_absolute: Duration(Seconds::days(30)),
            native_idle: Duration(Seconds::days(90)),
            native_absolute: Duration(Seconds::days(365)),
            replay: ReplayPolicy::Balanced,
            per_user: 100,
            same_site: SameSite::Strict,
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        let cost = Cost::default();
        Self {
            min_length: 12,
            memory_kib: cost.memory_kib,
            passes: cost.passes,
            lanes: cost.lanes,
            concurrency: None,
            queue: 64,
        }
    }
}

impl Passwords {
    pub(crate) fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes }
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }
}

impl Default for Limits {
    fn default() -> Self {
        let limits = regrant_engine::settings::SignInLimits::default();
        Self {
            sign_in_window: Duration(limits.window),
            per_account_and_address: limits.per_account_and_address,
            per_account: limits.per_account,
            per_network: limits.per_network,
            connections: 16 * 1024,
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self { keep: Duration(Seconds::days(90)), keep_rotations: Duration(Seconds::DAY), last_rotations: 10 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

/// A length of time: `"15m"`, `"7 days"`, or a number of seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Duration(Seconds);

impl Duration {
    pub(crate) fn seconds(self) -> Seconds {
        self.0
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Seconds(u64),
            Text(String),
        }
        let parsed = match Written::deserialize(deserializer)? {
            Written::Seconds(seconds) => {
                super::duration::seconds(seconds).ok_or_else(|| format!("{seconds} seconds are longer than ten years"))
            }
            Written::Text(text) => super::duration::parse(&text),
        };
        parsed.map(Self).map_err(serde::de::Error::custom)
    }
}
