//! What runs beside the requests: the sweep, and the upkeep of the keys.

use std::{sync::Arc, time::Duration};

use regrant_engine::Engine;

use crate::{keeper::Keeper, system::Stopwatch, telemetry::Metrics};

/// Small and often: no clean-up is ever large enough to be felt.
const EVERY: Duration = Duration::from_secs(30);
/// Batches at most each time: a walk through a large table is spread over many.
const BATCHES: usize = 50;

/// How soon a due change of the keys is made, and another node's is noticed. Nearly always it is two small reads.
const KEYS_EVERY: Duration = Duration::from_secs(2);

/// Looks after the keys until it is dropped.
pub(crate) async fn keys(engine: Arc<Engine>, keeper: Arc<Keeper>) {
    let mut tick = tokio::time::interval(KEYS_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        keeper.tend(&engine).await;
    }
}

/// How often the sessions are counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// Between two counts is so many times what one takes: however large the store is, readers have nearly all of their time.
const COUNT_REST: u32 = 50;

/// Counts the live sessions for the metrics, until it is dropped.
pub(crate) async fn count_sessions(engine: Arc<Engine>, metrics: Arc<Metrics>) {
    loop {
        let began = Stopwatch::start();
        match engine.store.count_sessions().await {
            Ok(live) => metrics.sessions(live),
            Err(broken) => tracing::warn!(%broken, "the sessions could not be counted; it is tried again"),
        }
        let every = COUNT_EVERY.max(began.elapsed().saturating_mul(COUNT_REST));
        let mut tick = tokio::time::interval(every);
        // The first one is now.
        tick.tick().await;
        tick.tick().await;
    }
}

/// Sweeps until it is dropped.
pub(crate) async fn sweep(engine: Arc<Engine>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for _ in 0..BATCHES {
            // Each batch is a job among the requests', so that none waits for more than one.
            match engine.store.sweep(engine.now(), engine.settings.retention).await {
                Ok(swept) => {
                    if swept.expired + swept.removed > 0 {
                        tracing::debug!(expired = swept.expired, removed = swept.removed, "swept");
                    }
                    if !swept.more {
                        break;
                    }
                }
                Err(broken) => {
                    tracing::error!(%broken, "the sweep failed; it is tried again");
                    break;
                }
            }
        }
    }
}
