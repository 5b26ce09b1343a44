//! `grant_type=urn:ietf:params:oauth:grant-type:device_code` (RFC 8628 §3.4): a device asks whether its user has allowed it.
//!
//! 1. [`poll`] hands the store a judge. The store loads the codes and, once they are allowed, what an authorization code hangs on.
//! 2. `device.rs` decides. What was allowed becomes a grant in that transaction, as an authorization code does.
//! 3. The tokens are minted after the commit.

use std::sync::Arc;

use super::{
    Granted,
    authorization_code::{good, granted, reused},
};
use crate::{
    Engine,
    client::Client,
    context::Context,
    device::{Decision, LoadedDeviceCode, decide},
    dpop::{self, Proof},
    ports::{Broken, Polling, Redemption, Wanted},
    reason::Reason,
    refresh::{Holding, Terms, ending},
    single_sign_on::hash,
    time::Time,
};

/// What a device is told (RFC 8628 §3.5).
#[derive(Debug)]
pub enum Polled {
    /// It gets tokens.
    Granted(Granted),
    /// The code is good for nothing here, for whatever reason.
    Refused,
    /// It came too late.
    Expired,
    /// The person said no.
    Denied,
    /// Nobody has answered yet.
    Pending,
    /// Nobody has, and it asks too often.
    SlowDown,
}

/// Answers a device's question.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn poll(
    engine: &Arc<Engine>,
    client: &Arc<Client>,
    device_code: &str,
    proof: Option<&Proof>,
    context: Context,
) -> Result<Polled, Broken> {
    let now = engine.now();
    let judge = {
        let (engine, client) = (Arc::clone(engine), Arc::clone(client));
        let holding = dpop::holding(&client, proof);
        Box::new(move |loaded: Option<&LoadedDeviceCode>| judged(&engine, &client, loaded, holding, &context, now))
    };
    Ok(match engine.store.poll_device_code(hash(device_code), judge).await? {
        Polling::Granted { loaded, authentication, .. } => {
            // RFC 9449 §11.1, as at `authorization_code.rs`: the code is spent.
            if let Some(proof) = proof
                && !dpop::first_use(engine, proof).await?
            {
                let judge = ending(engine, Reason::SignedOut, now);
                engine.store.refresh(loaded.state.grant.id, Wanted::Roles, judge).await?;
                return Ok(Polled::Refused);
            }
            let terms = Terms {
                authentication: Some(authentication),
                proof: proof.map(|proof| proof.key),
                registry: Some(engine.registry().await?),
                ..Terms::of(client)
            };
            Polled::Granted(granted(engine, client, &loaded, &terms, None)?)
        }
        Polling::Refused | Polling::Reused { .. } => Polled::Refused,
        Polling::Expired => Polled::Expired,
        Polling::Denied => Polled::Denied,
        Polling::Wait { too_fast: false, .. } => Polled::Pending,
        Polling::Wait { too_fast: true, .. } => Polled::SlowDown,
    })
}

fn judged(
    engine: &Arc<Engine>,
    client: &Client,
    loaded: Option<&LoadedDeviceCode>,
    holding: Holding,
    context: &Context,
    now: Time,
) -> Polling {
    let code = loaded.and_then(|loaded| loaded.code.as_ref());
    let interval = loaded.map_or(crate::device::INTERVAL, |loaded| loaded.device.interval);
    match (decide(loaded, &client.id, now), code) {
        (Decision::Expired, _) => Polling::Expired,
        (Decision::Denied, _) => Polling::Denied,
        (Decision::Pending, _) => Polling::Wait { at: now, interval, too_fast: false },
        (Decision::SlowDown(interval), _) => Polling::Wait { at: now, interval, too_fast: true },
        (Decision::Reused(grant), Some(code)) => match reused(engine, grant, code, context, now) {
            Redemption::Reused { ends, event } => Polling::Reused { ends, event },
            Redemption::Refused | Redemption::Granted { .. } => Polling::Refused,
        },
        (Decision::Good, Some(code)) => match good(engine, client, code, holding, context, now) {
            Redemption::Granted { loaded, authentication, event, .. } => {
                Polling::Granted { loaded, authentication, event }
            }
            Redemption::Refused | Redemption::Reused { .. } => Polling::Refused,
        },
        (Decision::Refused | Decision::Reused(_) | Decision::Good, _) => Polling::Refused,
    }
}
