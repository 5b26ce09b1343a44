//! The metrics: what is counted, and the page that tells it (OpenMetrics text).
//!
//! Labels are bounded: route templates and not paths, the methods that HTTP has, classes of status codes, closed enums. What is
//! counted on a request's way costs an atomic and an uncontended lock; what can be asked for is read when the page is.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use regrant_engine::{
    Engine,
    ports::{Clock, Observer},
    refresh::{Decision, Intent, Refusal, Replay},
};

use super::{events::Counts, process};
use crate::system::SystemClock;

use std::sync::atomic::AtomicU64;

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<EndpointLabels, Histogram>,
    decisions: Family<DecisionLabels, Counter>,
    commit_jobs: Histogram,
    commit_durations: Histogram,
    jobs_waiting: Family<QueueLabels, Gauge>,
    connection_waits: Histogram,
    hashing: Gauge,
    hashes_waiting: Gauge,
    hashes_refused: Counter,
    sessions: Gauge,
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    descriptors: Gauge,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    endpoint: String,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct DecisionLabels {
    intent: &'static str,
    decision: &'static str,
    detail: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

impl Metrics {
    /// `events`: what became of the events of a stream, where there is one.
    pub(crate) fn new(events: Option<&Counts>) -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(duration_histogram),
            decisions: Family::default(),
            commit_jobs: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            commit_durations: duration_histogram(),
            jobs_waiting: Family::default(),
            connection_waits: duration_histogram(),
            hashing: Gauge::default(),
            hashes_waiting: Gauge::default(),
            hashes_refused: Counter::default(),
            sessions: Gauge::default(),
            cpu: Counter::default(),
            resident: Gauge::default(),
            descriptors: Gauge::default(),
            registry: Registry::default(),
        };
        // What has not happened yet is a 0 and not a hole: else the first theft looks like none.
        for decision in FROM_THE_START {
            let _ = metrics.decisions.get_or_create(&DecisionLabels::of(Intent::Rotate, decision));
        }
        let regrant = registry.sub_registry_with_prefix("regrant");
        regrant.register("build", "This version", Info::new(BuildLabels { version: env!("CARGO_PKG_VERSION") }));
        regrant.register(
            "http_requests",
            "Answered requests by route, method and class of the status code",
            metrics.requests.clone(),
        );
        regrant.register_with_unit(
            "http_request_duration",
            "From the request's headers to the answer's, by route",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        regrant.register(
            "refresh_decisions",
            "Uses of refresh tokens, by what they were for and what was decided",
            metrics.decisions.clone(),
        );
        regrant.register("store_commit_jobs", "Jobs in one commit of the store", metrics.commit_jobs.clone());
        regrant.register_with_unit(
            "store_commit_duration",
            "One commit, its jobs and the disk's answer included",
            Unit::Seconds,
            metrics.commit_durations.clone(),
        );
        regrant.register("store_jobs_waiting", "Jobs that wait for the store", metrics.jobs_waiting.clone());
        regrant.register_with_unit(
            "store_connection_wait",
            "Until a transaction had a connection to the database, one that had to be made included",
            Unit::Seconds,
            metrics.connection_waits.clone(),
        );
        regrant.register("argon2_running", "Passwords that are hashed now", metrics.hashing.clone());
        regrant.register("argon2_waiting", "Passwords that wait for being hashed", metrics.hashes_waiting.clone());
        regrant.register(
            "argon2_refused",
            "Passwords that were sent away, too many waiting",
            metrics.hashes_refused.clone(),
        );
        regrant.register("sessions_live", "Sessions that live, counted every minute", metrics.sessions.clone());
        if let Some(Counts { written, dropped }) = events {
            regrant.register("events_streamed", "Events written to the stream", written.clone());
            regrant.register("events_dropped", "Events left out of the stream", dropped.clone());
        }
        let process = registry.sub_registry_with_prefix("process");
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in 53 bits")]
        started.set(SystemClock.now().millis() as f64 / 1000.0);
        process.register_with_unit("start_time", "When it started, since 1970", Unit::Seconds, started);
        process.register_with_unit("cpu", "Processor time in user and kernel mode", Unit::Seconds, metrics.cpu.clone());
        process.register_with_unit("resident_memory", "Memory in use", Unit::Bytes, metrics.resident.clone());
        process.register("open_fds", "Open files, sockets and the like", metrics.descriptors.clone());
        Self { registry, ..metrics }
    }

    /// A request was answered. `endpoint` is the route's template.
    pub(crate) fn answered(&self, endpoint: &str, method: &'static str, status: u16, took: Duration) {
        let labels = RequestLabels { endpoint: endpoint.to_owned(), method, status: class(status) };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&EndpointLabels { endpoint: labels.endpoint }).observe(took.as_secs_f64());
    }

    /// The store committed.
    pub(super) fn committed(&self, jobs: usize, took: Duration) {
        self.commit_jobs.observe(f64::from(u32::try_from(jobs).unwrap_or(u32::MAX)));
        self.commit_durations.observe(took.as_secs_f64());
    }

    /// Somebody waited so long for a connection to the database.
    pub(super) fn waited(&self, how_long: Duration) {
        self.connection_waits.observe(how_long.as_secs_f64());
    }

    /// So many sessions live.
    pub(crate) fn sessions(&self, live: u64) {
        self.sessions.set(signed(live));
    }

    /// The page. What can be asked for is asked now.
    pub(crate) fn page(&self, engine: &Engine) -> Result<String, fmt::Error> {
        let (writes, reads) = engine.store.waiting();
        for (queue, waiting) in [("write", writes), ("read", reads)] {
            self.jobs_waiting.get_or_create(&QueueLabels { queue }).set(signed(waiting));
        }
        let load = engine.hasher.load();
        self.hashing.set(signed(load.running));
        self.hashes_waiting.set(signed(load.waiting));
        self.hashes_refused.inner().store(load.refused, std::sync::atomic::Ordering::Relaxed);
        if let Some(usage) = process::usage() {
            self.cpu.inner().store(usage.cpu_seconds.to_bits(), std::sync::atomic::Ordering::Relaxed);
            self.resident.set(signed(usage.resident_bytes));
            self.descriptors.set(signed(usage.descriptors));
        }
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl Observer for Metrics {
    fn decided(&self, intent: Intent, decision: &Decision) {
        self.decisions.get_or_create(&DecisionLabels::of(intent, decision)).inc();
    }
}

/// Somebody who counts decisions, or nobody.
pub(crate) fn observer(metrics: Option<&Arc<Metrics>>) -> Arc<dyn Observer> {
    match metrics {
        Some(metrics) => Arc::<Metrics>::clone(metrics),
        None => Arc::new(regrant_engine::ports::Unobserved),
    }
}

impl DecisionLabels {
    fn of(intent: Intent, decision: &Decision) -> Self {
        let intent = match intent {
            Intent::Rotate | Intent::RotateAfter(_) => "renew",
            Intent::Peek => "read",
            Intent::SignOut | Intent::Replace => "end",
        };
        let (decision, detail) = match decision {
            Decision::Unknown => ("unknown", ""),
            Decision::Refused(refusal) => ("refused", refusal_name(*refusal)),
            Decision::Ended(reason) => ("ended", reason.as_str()),
            Decision::Ends(reason) => ("ends", reason.as_str()),
            Decision::Reused => ("reused", ""),
            Decision::Healed { .. } => ("healed", ""),
            Decision::Kept => ("kept", ""),
            Decision::Rotated { .. } => ("rotated", ""),
            Decision::Replayed(replay) => ("replayed", replay.as_str()),
            Decision::Limited { .. } => ("limited", ""),
        };
        Self { intent, decision, detail }
    }
}

fn refusal_name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Client => "client",
        Refusal::Proof => "proof",
        Refusal::Superseded => "superseded",
        Refusal::Stale => "stale",
        Refusal::Scope => "scope",
        Refusal::StepUp => "step_up",
    }
}

fn class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

fn signed(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// From a tenth of a millisecond to some seconds.
fn duration_histogram() -> Histogram {
    Histogram::new([
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    ])
}

const FROM_THE_START: &[&Decision] = &[
    &Decision::Unknown,
    &Decision::Reused,
    &Decision::Healed { next: regrant_engine::id::Generation(0) },
    &Decision::Kept,
    &Decision::Rotated { next: regrant_engine::id::Generation(0) },
    &Decision::Replayed(Replay::Proven),
    &Decision::Replayed(Replay::Burst),
    &Decision::Replayed(Replay::Late),
    &Decision::Replayed(Replay::Foreign),
    &Decision::Limited { retry_after: regrant_engine::time::Seconds(0) },
];
