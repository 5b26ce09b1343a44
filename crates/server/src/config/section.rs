//! The sections of `regrant.toml`. The doc comments are what an operator reads: `regrant config reference` prints them, and
//! `docs/reference/configuration.md` is its output.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use regrant_engine::{
    client::Requirement, factor::password::Cost, keyring::lifecycle::KeyPolicy, refresh::ReplayPolicy,
    session::Lifetimes, settings::SignInLimits, time::Seconds,
};
use regrant_store::postgres::{Address, Environment};
use serde::{Deserialize, Serialize};

use super::{AddressRange, setting::sections};

sections! {
    /// Where we listen and who we are.
    server: Server {
        /// Address and port; port 0 takes a free one. Flag `--listen`.
        listen: Option<String> = None => "`\"127.0.0.1:8080\"`";
        /// The `iss` of every token: `https://host`, or `http://` on a loopback host; nothing behind the host. Flag `--issuer`.
        issuer: Option<String> = None => "the store's own";
        /// Other origins whose pages may call the session API with the cookie, as `"https://app.example.com"`.
        allowed_origins: Vec<String> = Vec::new();
        /// The reverse proxies and rendering servers (`"10.0.0.0/8"`, `"::1"`) whose `Forwarded` or `X-Forwarded-For`, `-Proto` and
        /// `-Host` headers are believed.
        trusted_proxies: Vec<AddressRange> = Vec::new();
        /// A PEM file with the certificate and its chain: the listener speaks TLS. Read again when it changes.
        tls_certificate: Option<PathBuf> = None => "plain HTTP";
        /// A PEM file with the certificate's private key.
        tls_key: Option<PathBuf> = None => "plain HTTP";
        /// Whose pages these are, above each of them.
        brand_name: Option<String> = None => "none";
        /// A logo beside the name: an `https://` address, or a file (`.svg`, `.png`, `.jpg`, `.webp`; 256 KiB) that is read at the start.
        brand_logo: Option<String> = None => "none";
        /// The colour of links and of the first button, as `"#0b57a4"`. Where it could not be read, its nearest shade that can.
        brand_accent: Option<String> = None => "ours";
    }

    /// A PostgreSQL database in the place of the data directory, for any number of nodes.
    database: Database {
        /// `postgres://user@host:5432/name`; several hosts with commas between. Flag `--database`. A password is better in `PGPASSWORD`
        /// or `PGPASSFILE`.
        url: Option<DatabaseUrl> = None => "none: the data directory";
        /// Connections that a node may have; 1 to 1,000.
        connections: u32 = 16;
        /// So many refreshes may share a statement where many come at once. 1 for an engine that spreads over machines.
        refreshes_per_statement: u32 = 256;
    }

    /// Access tokens.
    tokens: Tokens {
        /// How long an access token lives; at most a day.
        access_lifetime: Duration = Duration(Seconds::minutes(15));
        /// The `aud` of session access tokens for which none is asked.
        audience: Option<String> = None => "the issuer";
        /// The audiences that a sign-in or an application may ask for, besides the default and the resources.
        audiences: Option<Vec<String>> = None => "any, while no resource is registered";
        /// Whether DPoP proofs must hold a nonce of this server (RFC 9449 §8). `optional`: one that does must hold a good one.
        dpop_nonce: Requirement = Requirement::Optional;
        /// What access tokens tell of users; see below.
        claims: BTreeMap<String, String> = BTreeMap::new();
        /// `[tokens.scopes.NAME] claims`: what is told of users besides, where this scope was granted; see below.
        scopes: BTreeMap<String, TokenScope> = BTreeMap::new();
    }

    /// How long sessions live and how strict the rotation is.
    session: Session {
        /// A browser's session (cookie) ends when it is not used for so long.
        browser_idle: Duration = Duration(Lifetimes::default().browser.idle);
        /// It ends whatever happens after so long.
        browser_absolute: Duration = Duration(Seconds::days(30));
        /// A native application's (token in the body), when it is not used for so long.
        native_idle: Duration = Duration(Lifetimes::default().native.idle);
        /// It ends whatever happens after so long.
        native_absolute: Duration = Duration(Seconds::days(365));
        /// A grant that outlives its session (`offline_access`), when it is not used for so long.
        offline_idle: Duration = Duration(Lifetimes::default().offline.idle);
        /// It ends whatever happens after so long.
        offline_absolute: Option<Duration> = None => "never";
        /// What a replay from elsewhere is worth: `balanced` forgives one, `strict` none.
        replay: ReplayPolicy = ReplayPolicy::Balanced;
        /// Live sessions of one user; 1 to 1,000. Those that never refreshed go first, then the longest unused.
        per_user: u32 = 100;
        /// The cookie's SameSite attribute.
        same_site: SameSite = SameSite::Strict;
    }

    /// The signing keys, which are replaced by themselves.
    keys: Keys {
        /// How long a key signs until the next one does.
        rotate_every: Duration = Duration(KeyPolicy::default().rotate_every);
        /// How long verifiers may keep the published keys. A new key is published for twice that before it signs. Before you
        /// lower it, make sure that no rotation is due within the old time.
        jwks_max_age: Duration = Duration(KeyPolicy::default().jwks_max_age);
        /// Publish an Ed25519 key besides those for ES256 and RS256.
        ed25519: bool = KeyPolicy::default().ed25519;
    }

    /// What is asked of passwords and what checking one costs.
    passwords: Passwords {
        /// At least so many characters; 8 to 64.
        min_length: usize = 12;
        /// Argon2id: KiB of memory; 8,192 to 262,144. Older hashes are made anew at the next sign-in.
        memory_kib: u32 = Cost::default().memory_kib;
        /// Argon2id: passes; 1 to 16.
        passes: u32 = Cost::default().passes;
        /// Argon2id: lanes; 1 to 8.
        lanes: u32 = Cost::default().lanes;
        /// So many are hashed at once; 1 to 256.
        concurrency: Option<usize> = None => "processors";
        /// So many may wait; the next one is told to come back (503).
        queue: usize = 64;
    }

    /// Failed sign-ins that are forgiven within a window, connections, and memory.
    limits: Limits {
        /// The window.
        sign_in_window: Duration = Duration(SignInLimits::default().window);
        /// Failures of one account from one address; also of one account at `POST /password`.
        per_account_and_address: u32 = SignInLimits::default().per_account_and_address;
        /// Failures of one account from everywhere.
        per_account: u32 = SignInLimits::default().per_account;
        /// Failures from one /24 (IPv4) or /64 (IPv6).
        per_network: u32 = SignInLimits::default().per_network;
        /// Connections that are open at once; more wait in the kernel.
        connections: u32 = 16 * 1024;
        /// MiB of memory for the newest state of grants in the embedded store, some 150 bytes each. Those beyond it are read from
        /// the file when they are used.
        grants_memory_mib: u32 = (regrant_store::sqlite::DEFAULT_MEMORY >> 20) as u32;
    }

    /// How long the timeline is kept, and where else it goes.
    events: Events {
        /// Everything, and sessions after their end.
        keep: Duration = Duration(Seconds::days(90));
        /// Each renewal of a token, the last hundred of a grant at most.
        keep_rotations: Duration = Duration(Seconds::DAY);
        /// So many renewals of a session stay longer than that.
        last_rotations: u32 = 10;
        /// Each event as one line of JSON, besides: `"stdout"`, or a file, which is opened anew at SIGHUP.
        stream: Option<PathBuf> = None => "none";
    }

    /// What a monitoring system reads.
    metrics: Metrics {
        /// Address and port of a listener of its own for `GET /metrics`, as `"127.0.0.1:9464"`. Plain HTTP, open to whoever reaches it.
        listen: Option<String> = None => "none";
    }

    /// What is written to standard error, and spans.
    log: Log {
        /// `auto`: text on a terminal, JSON otherwise.
        format: LogFormat = LogFormat::Auto;
        /// `error`, `warn`, `info`, `debug` or a filter of tracing's.
        level: String = "info".to_owned();
        /// Send each request as a span to this OpenTelemetry collector, by OTLP/HTTP in plain HTTP, as `"http://127.0.0.1:4318"`.
        otlp: Option<String> = None => "none";
    }

    /// For development and tests, and nowhere else: requests that go out reach places where they must not get in production.
    development: Development {
        /// Requests to addresses that clients registered may go to this machine, by http too. Anybody who may register one could
        /// then have the server ask whatever listens here.
        allow_loopback: bool = false;
        /// A PEM file with certificate authorities that requests trust besides the machine's own. Read at the start.
        extra_ca: Option<PathBuf> = None => "none";
    }
}

/// A database's URL, which may have a password in it: it is shown without.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct DatabaseUrl(String);

impl DatabaseUrl {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = Address::parse(&self.0, &Environment::default());
        serializer.serialize_str(&shown.map_or_else(|_| "…".to_owned(), |address| address.to_string()))
    }
}

/// What a scope tells of users.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenScope {
    pub(super) claims: BTreeMap<String, String>,
}

/// The cookie's SameSite attribute. `none` is not offered: the session API is first-party.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SameSite {
    Strict,
    Lax,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}

impl Passwords {
    pub(crate) fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes }
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
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

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::duration::written(self.0))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Seconds(u64),
            Text(String),
            // Negative, broken, or no number at all: the sentence must say what is expected.
            Other(serde::de::IgnoredAny),
        }
        let parsed = match Written::deserialize(deserializer)? {
            Written::Seconds(seconds) => {
                super::duration::seconds(seconds).ok_or_else(|| format!("{seconds} seconds are longer than ten years"))
            }
            Written::Text(text) => super::duration::parse(&text),
            Written::Other(_) => {
                Err("this is not a length of time; write it like \"15m\", \"7 days\" or 900 (seconds)".to_owned())
            }
        };
        parsed.map(Self).map_err(serde::de::Error::custom)
    }
}
