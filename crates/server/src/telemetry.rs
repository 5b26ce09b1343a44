//! What can be seen from outside: the log here, the metrics (`metrics.rs`), the audit stream (`events.rs`) and
//! spans (`otlp.rs`), which `watch.rs` puts together for a running server.
//!
//! The log is for people on a terminal, JSON lines for machines. Secrets are never fields: their types have a silent `Debug`.

mod ears;
mod events;
mod metrics;
mod otlp;
mod process;
mod watch;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, ConfigError, LogFormat};

pub(crate) use metrics::Metrics;
pub(crate) use otlp::{Span, Spans, TraceContext};
pub(crate) use watch::{Watch, Watching};

/// What is written.
pub(crate) fn filter(config: &Config) -> Result<EnvFilter, ConfigError> {
    let level = &config.log.level;
    // A filter's bare word that is no level is a module's name to tracing: with a typo nothing would ever be logged.
    let bare = level.split(',').map(str::trim).filter(|part| !part.contains(['=', '[', ']', '}', ':']));
    if let Some(word) = bare.into_iter().find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(ConfigError(format!(
            "log.level: \"{word}\" is no level; there are error, warn, info, debug, trace and off, and filters as \
             \"info,regrant=debug\""
        )));
    }
    EnvFilter::try_new(level)
        .map_err(|error| ConfigError(format!("log.level: \"{level}\" is not a level or a filter: {error}")))
}

/// Begins to log to standard error.
pub(crate) fn start(config: &Config) -> Result<(), ConfigError> {
    let filter = filter(config)?;
    let terminal = std::io::stderr().is_terminal();
    let text = match config.log.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    // A second start within one process (tests do that) keeps the first one's log.
    let _ =
        if text { registry.with(layer.with_ansi(terminal)).try_init() } else { registry.with(layer.json()).try_init() };
    Ok(())
}
