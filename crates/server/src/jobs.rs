//! What runs beside the requests: the sweep, the upkeep of the keys, what applications are told, and the long work of migrations.

use std::{collections::HashMap, sync::Arc, time::Duration};

use regrant_engine::{
    Engine,
    backchannel_logout::{self, Answered, Notice, Outcome, Request},
    id::ClientId,
    ports::Carried,
};
use tokio::{
    sync::oneshot,
    task::{self, JoinSet},
};

use crate::{keeper::Keeper, outbound::Outbound, system::Stopwatch, telemetry::Metrics};

/// Small and often: no clean-up is ever large enough to be felt.
const EVERY: Duration = Duration::from_secs(30);
/// Batches at most each time: a walk through a large table is spread over many.
const BATCHES: usize = 50;

/// How soon a due change of the keys is made, and another node's is noticed: with what is remembered for a second (`Resources`), two
/// seconds at most. Nearly always it is three small reads.
const KEYS_EVERY: Duration = Duration::from_secs(1);

/// Looks after the keys until it is dropped.
pub(crate) async fn keys(engine: Arc<Engine>, keeper: Arc<Keeper>) {
    let mut tick = tokio::time::interval(KEYS_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        keeper.tend(&engine).await;
        // A session's refresh does not ask for the resources itself.
        if let Err(broken) = engine.registry().await {
            tracing::warn!(%broken, "the resources could not be read; it is tried again");
        }
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

/// How soon another node's death is noticed that was at long work, and how long is waited after a failure.
const LONG_WORK_EVERY: Duration = Duration::from_secs(10);
/// Between two batches is at least so much.
const LONG_WORK_REST: Duration = Duration::from_millis(20);

/// Does what the last change of the tables left to be done beside the requests, until nothing of it is left.
pub(crate) async fn long_work(engine: Arc<Engine>) {
    loop {
        let began = Stopwatch::start();
        let rest = match engine.store.carry_on().await {
            Ok(Carried::Done) => return,
            // As long as the batch took: the requests have the other half at least.
            Ok(Carried::More) => began.elapsed().clamp(LONG_WORK_REST, LONG_WORK_EVERY),
            Ok(Carried::Elsewhere) => LONG_WORK_EVERY,
            Err(broken) => {
                tracing::warn!(%broken, "the long work of a migration could not go on; it is tried again");
                LONG_WORK_EVERY
            }
        };
        let mut tick = tokio::time::interval(rest);
        // The first one is now.
        tick.tick().await;
        tick.tick().await;
    }
}

/// How soon applications are told that a session ended. Nearly always it is one small read.
const LOGOUTS_EVERY: Duration = Duration::from_secs(1);
/// Of so many clients things are claimed at once.
const CLIENTS_AT_ONCE: u32 = 64;
/// Nothing more is claimed while so much is on its way.
const MOST_ATTEMPTS: usize = 256;

/// Tells applications of ends of sessions, until `stopped`.
pub(crate) async fn logouts(engine: Arc<Engine>, outbound: Arc<Outbound>, mut stopped: oneshot::Receiver<()>) {
    let mut tick = tokio::time::interval(LOGOUTS_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A client is told some things at once, and the next ones after all of those: one that does not answer holds up itself and
    // nobody else.
    let (mut attempts, mut busy) = (JoinSet::new(), HashMap::<task::Id, ClientId>::new());
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = tick.tick() => {}
            Some(done) = attempts.join_next_with_id() => {
                let freed = busy.remove(&done.map_or_else(|error| error.id(), |(id, ())| id));
                if busy.values().any(|client| Some(client) == freed.as_ref()) {
                    continue;
                }
            }
        }
        if busy.len() >= MOST_ATTEMPTS {
            continue;
        }
        match backchannel_logout::claim(&engine, CLIENTS_AT_ONCE, busy.values().cloned().collect()).await {
            Ok(notices) => {
                for notice in notices {
                    let (engine, outbound) = (Arc::clone(&engine), Arc::clone(&outbound));
                    let client = notice.client.clone();
                    let attempt = attempts.spawn(async move { tell(&engine, &outbound, notice).await });
                    busy.insert(attempt.id(), client);
                }
            }
            Err(broken) => {
                tracing::error!(%broken, "applications could not be told of ends of sessions; it is tried again");
            }
        }
    }
    // What was claimed is claimed again once that runs out.
    attempts.shutdown().await;
}

/// One attempt to tell a client of the end of a session.
async fn tell(engine: &Engine, outbound: &Outbound, notice: Notice) {
    let answered = match backchannel_logout::request(engine, &notice).await {
        Ok(Some(Request { uri, token })) => {
            // A JWT is of characters that a form has as they are.
            match outbound.post_form(&uri, format!("logout_token={}", token.0)).await {
                Ok(status) => Answered::status(status),
                Err(error) => Answered::Failed(error.to_string()),
            }
        }
        Ok(None) => Answered::Refused("it has no address for it any more".to_owned()),
        Err(broken) => Answered::Failed(broken.to_string()),
    };
    let (client, session, attempt) = (notice.client.0.to_string(), notice.session, notice.attempt);
    match backchannel_logout::settle(engine, notice, answered).await {
        Ok(Outcome::Delivered) => tracing::debug!(client, %session, attempt, "the application was told of the end"),
        Ok(Outcome::Later { at, why }) => {
            tracing::info!(client, %session, attempt, why, next = %at, "the application could not be told of the end");
        }
        Ok(Outcome::GaveUp { why }) => {
            tracing::warn!(client, %session, attempt, why, "the application was not told of the end, and will not be");
        }
        Err(broken) => tracing::error!(%broken, client, %session, "what became of an attempt could not be written"),
    }
}
