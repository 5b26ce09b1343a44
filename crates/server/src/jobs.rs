//! What runs beside the requests: the sweep, and the upkeep of the keys.

use std::{sync::Arc, time::Duration};

use regrant_engine::Engine;

use crate::keeper::Keeper;

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
