//! What runs beside the requests: the sweep.

use std::{sync::Arc, time::Duration};

use regrant_engine::Engine;

/// Small and often: no clean-up is ever large enough to be felt.
const EVERY: Duration = Duration::from_secs(30);

/// Sweeps until it is dropped.
pub(crate) async fn sweep(engine: Arc<Engine>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match engine.store.sweep(engine.now(), engine.settings.retention).await {
            Ok(swept) if swept == regrant_engine::ports::Swept::default() => {}
            Ok(swept) => {
                tracing::debug!(expired = swept.expired, removed = swept.removed, "swept");
                // A full batch means that more is waiting: go on, between the requests.
                if swept.removed + swept.expired >= u64::from(engine.settings.retention.batch) {
                    tick.reset_immediately();
                }
            }
            Err(broken) => tracing::error!(%broken, "the sweep failed; it is tried again"),
        }
    }
}
