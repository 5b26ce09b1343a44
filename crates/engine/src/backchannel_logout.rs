//! OpenID Connect Back-Channel Logout 1.0: an application hears from server to server that a session ended.
//!
//! 1. Whatever ends a session writes, in the same transaction, a row for each client that has an address for it and got tokens
//!    of that session (§2.3). So an end that was acknowledged is told, whatever happens to this process.
//! 2. [`claim`] takes what is due for [`LEASE`]. A server that stops meanwhile leaves it to whoever claims next.
//! 3. [`request`] makes a token for each attempt (§2.4): what somebody recorded is worthless two minutes later, and no two have
//!    the same `jti`.
//! 4. [`settle`] notes what came of it: delivered, again later, or given up. The last two attempts lie within a day, and attempts
//!    are counted, not hours: a wild clock gives nothing up.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Engine,
    event::{Actor, Event, EventKind},
    id::{ClientId, SessionId, UserId},
    mint::{LogoutToken, jti},
    ports::{Broken, LogoutClaim},
    time::{Seconds, Time},
};

/// The event that makes a JWT a logout token (§2.4).
pub const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How long a logout token is good. §2.4: at most two minutes are recommended, so that a captured one cannot be replayed.
pub const LIFETIME: Seconds = Seconds::minutes(2);
/// How long a claim holds; an attempt takes less.
pub const LEASE: Seconds = Seconds::MINUTE;
/// How long to wait after each attempt that failed. There is one attempt more than that: 23 hours after the first.
pub const BACK_OFF: [Seconds; 9] = [
    Seconds(5),
    Seconds(30),
    Seconds::minutes(2),
    Seconds::minutes(10),
    Seconds::HOUR,
    Seconds::minutes(2 * 60),
    Seconds::minutes(4 * 60),
    Seconds::minutes(8 * 60),
    Seconds::minutes(8 * 60),
];
/// The longest wait. What waits longer was written under a clock that was wrong, and is due.
const LONGEST: Seconds = Seconds::minutes(8 * 60);
/// So many of one client at once: one that does not answer holds up itself and nobody else.
const AT_ONCE: u32 = 8;
/// What is kept of why an attempt failed, in characters.
const LONGEST_ERROR: usize = 200;

/// A client that is to be told that a session ended, claimed for one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Whom.
    pub client: ClientId,
    /// Which session.
    pub session: SessionId,
    /// Whose it was.
    pub user: UserId,
    /// Which attempt this is, from 1. It fences: a later claim has a later one.
    pub attempt: u32,
}

/// One attempt, ready to be sent.
#[derive(Debug)]
pub struct Request {
    /// Where to.
    pub uri: String,
    /// What to post there, as `logout_token` (§2.5).
    pub token: LogoutToken,
}

/// What the client said to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answered {
    /// It is done.
    Done,
    /// It will not be done, however often it is asked.
    Refused(String),
    /// The client did not answer, or has some trouble.
    Failed(String),
}

impl Answered {
    /// By the status of a response.
    #[must_use]
    pub fn status(status: u16) -> Self {
        match status {
            // §2.8: 200; some frameworks make a 204 of an empty one, which counts as well.
            200 | 204 => Self::Done,
            // §2.8: the request was invalid, or the logout failed. §2.5 asks not to repeat what no repetition mends.
            400 => Self::Refused("it answers 400".to_owned()),
            other => Self::Failed(format!("it answers {other}")),
        }
    }
}

/// What became of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The client knows.
    Delivered,
    /// Once more.
    Later {
        /// Not before then.
        at: Time,
        /// Why it failed.
        why: String,
    },
    /// The client will not be told.
    GaveUp {
        /// Why the last attempt failed.
        why: String,
    },
}

/// One line of the log of deliveries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logout {
    /// Who was to be told.
    pub client: ClientId,
    /// When the session ended.
    pub at: Time,
    /// How many attempts were begun.
    pub attempts: u32,
    /// How it stands.
    pub standing: Standing,
}

/// How it stands with telling a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is tried, or tried again.
    Waiting {
        /// Not before then.
        next: Time,
        /// Why the last attempt failed, if there was one.
        last_error: Option<String>,
    },
    /// The client knows.
    Delivered {
        /// Since when.
        at: Time,
    },
    /// It is not tried any more.
    GaveUp {
        /// Since when.
        at: Time,
        /// Why.
        why: String,
    },
}

/// Takes what is due, but for clients that others are telling things just now; of `clients` clients at most.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn claim(engine: &Engine, clients: u32, busy: Vec<ClientId>) -> Result<Vec<Notice>, Broken> {
    let now = engine.now();
    let claim = LogoutClaim { now, until: now.plus(LEASE), wild: now.plus(LONGEST), busy, clients, of_each: AT_ONCE };
    engine.store.claim_logouts(claim).await
}

/// What to send for `notice`; `None` if the client has no address for it any more.
///
/// # Errors
/// [`Broken`] if the store is, without an RS256 key, or if the library fails.
pub async fn request(engine: &Engine, notice: &Notice) -> Result<Option<Request>, Broken> {
    // As of now: an address that was corrected is used by the next attempt.
    let client = engine.client(&notice.client).await?;
    let Some(uri) = client.and_then(|client| client.metadata.backchannel_logout_uri.clone()) else {
        return Ok(None);
    };
    let claims = claims(&engine.settings.issuer, notice, jti(&*engine.random), engine.now());
    let failed = || Broken::Store("a logout token could not be signed: is there an RS256 key?".to_owned());
    let token = engine.mint.sign_logout_token(&claims).ok_or_else(failed)?;
    Ok(Some(Request { uri, token }))
}

/// Notes what came of `notice`, and tells the timeline if that is the end of it.
///
/// # Errors
/// [`Broken`] if the store is: the claim runs out then, and it is tried again.
pub async fn settle(engine: &Engine, notice: Notice, answered: Answered) -> Result<Outcome, Broken> {
    let now = engine.now();
    let outcome = outcome(answered, notice.attempt, now);
    let event = match &outcome {
        Outcome::Delivered => Some(event(engine, EventKind::LogoutDelivered, &notice, now)),
        Outcome::GaveUp { why } => {
            Some(event(engine, EventKind::LogoutGaveUp, &notice, now).with("error", why.as_str()))
        }
        Outcome::Later { .. } => None,
    };
    engine.store.settle_logout(notice, outcome.clone(), now, event).await?;
    Ok(outcome)
}

/// What follows from the answer to the `attempt`th attempt.
fn outcome(answered: Answered, attempt: u32, now: Time) -> Outcome {
    let short = |why: String| why.chars().take(LONGEST_ERROR).collect();
    let wait = usize::try_from(attempt).ok().and_then(|attempt| BACK_OFF.get(attempt.checked_sub(1)?));
    match (answered, wait) {
        (Answered::Done, _) => Outcome::Delivered,
        (Answered::Refused(why), _) | (Answered::Failed(why), None) => Outcome::GaveUp { why: short(why) },
        (Answered::Failed(why), Some(wait)) => Outcome::Later { at: now.plus(*wait), why: short(why) },
    }
}

/// §2.4. Never a `nonce`, so that it never passes for an ID token.
#[derive(Serialize)]
struct LogoutClaims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    events: Value,
    sid: String,
}

fn claims<'a>(issuer: &'a str, notice: &'a Notice, jti: String, now: Time) -> LogoutClaims<'a> {
    LogoutClaims {
        iss: issuer,
        sub: notice.user.to_string(),
        aud: &notice.client.0,
        iat: now.seconds(),
        exp: now.plus(LIFETIME).seconds(),
        jti,
        events: json!({ EVENT: {} }),
        sid: notice.session.to_string(),
    }
}

fn event(engine: &Engine, kind: EventKind, notice: &Notice, now: Time) -> Event {
    let mut event = Event::new(kind, now, Actor::System, &*engine.random).user(notice.user).session(notice.session);
    event.client = Some(notice.client.clone());
    event.with("attempts", notice.attempt)
}

#[cfg(test)]
mod tests;
