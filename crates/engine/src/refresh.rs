//! THE ROTATION: how a refresh token renews itself, and how a stolen one is found out.
//!
//! ```text
//!              issue                        the holder of g uses it: Rotated, g := g+1
//!                │                ┌──────────────────────────────────────────────┐
//!                ▼                ▼                                              │
//!          ┌───────────┐   ┌─────────────┐  g−1 again, from where it belongs: ┌──┴──────────┐
//!          │ g = 1     ├──▶│ g, unused   ├───────── Replayed (g again) ──────▶│ g, unused,  │
//!          └───────────┘   └──────┬──────┘◀───────────────────────────────────┤ with points │
//!                                 │                                           └──┬──────────┘
//!       older than g−1, or too many points: Reused     deadlines, sign-out,      │
//!                                 │                    disable, …: Ended         │
//!                                 ▼                                              ▼
//!                          ┌──────────────────────── over for ever ─────────────────┐
//!                          └────────────────────────────────────────────────────────┘
//! ```
//!
//! 1. The caller opens the token (`token.rs`), which needs no I/O, and authenticates the client if it has to.
//! 2. [`refresh`] reads the clock once and hands the store a judge.
//! 3. The store loads the one row in its transaction and asks the judge: is the token genuine, and what does [`decide`] say?
//!    [`apply`] says what becomes of the row. The store writes that, commits, and only then gives the verdict back.
//! 4. `mint.rs` makes the access token; the successor is computed, never stored.
//!
//! [`decide`] is pure: no I/O, no clock, no randomness (`refresh/table.rs`). Its rows stand in the order of the protocol's table,
//! and the first match wins. What it reads and says, the grant first of all, is in `refresh/state.rs`; what clients have of their
//! own in `refresh/terms.rs`; what the holder gets in `refresh/tokens.rs`.

mod state;
mod swift;
mod table;
mod terms;
mod tokens;

use std::sync::Arc;

use crate::{
    Engine,
    client::Client,
    context::Context,
    event::{Actor, Event, EventKind, Mail, MailKind, Renewal},
    id::ClientId,
    mint::ADMIN_SCOPE,
    ports::{Broken, End, Judge, Loaded, Verdict, Wanted},
    reason::{Reason, WireReason},
    scope,
    time::{Seconds, Time},
    token::{Endpoint, Presented},
};

pub use state::{
    Attempt, Decision, Grant, GrantKind, Holding, KeyThumbprint, Owner, Pace, Policy, Refusal, Replay, ReplayPolicy,
    Risk, Rotation, State, Suspicion, Window,
};
pub use swift::Swift;
pub use table::{apply, decide, raise};
pub use terms::{Authentication, Terms};
pub use tokens::Tokens;

use table::ended;

/// Why a token is read: what is to happen if the table lets its holder through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    /// Renew it.
    Rotate,
    /// Read it: the caller cannot keep a successor.
    Peek,
    /// Read it, or renew it once this long has passed since it was issued.
    RotateAfter(Seconds),
    /// End its session: the user signs out.
    SignOut,
    /// End its session: a new sign-in takes its place.
    Replace,
}

/// One use of a token whose gate is right.
#[derive(Clone, Debug)]
pub struct Use {
    /// The token.
    pub presented: Presented,
    /// Who presents it.
    pub client: ClientId,
    /// More scope or another resource than granted is asked for.
    pub asks_for_more: bool,
    /// From where.
    pub context: Context,
    /// What for.
    pub intent: Intent,
    /// What its client has of its own, and what it shows.
    pub terms: Terms,
}

impl Use {
    /// Of a session's own token.
    #[must_use]
    pub fn of_session(presented: Presented, context: Context, intent: Intent) -> Self {
        Self {
            presented,
            client: ClientId::session_api(),
            asks_for_more: false,
            context,
            intent,
            terms: Terms::default(),
        }
    }

    /// Of a grant of the OAuth endpoints, by the client that it was issued to.
    #[must_use]
    pub fn of_client(presented: Presented, client: &Client, context: Context, intent: Intent) -> Self {
        Self { client: client.id.clone(), terms: Terms::of(client), ..Self::of_session(presented, context, intent) }
    }
}

/// What became of a use.
#[derive(Debug)]
pub enum Refreshed {
    /// The holder gets tokens.
    Tokens(Box<Tokens>),
    /// The session was ended, as was asked.
    Ended,
    /// It is over, or it was never ours.
    Over(WireReason),
    /// Not now, or not so; nothing ended.
    Refused(Refusal),
    /// Another resource is asked for than was granted, or one that is none any more; nothing ended.
    Elsewhere,
    /// Too fast.
    Limited(Seconds),
}

/// Uses a token: the whole way through the table, the store and the mint.
///
/// # Errors
/// [`Broken`] if the store is: nothing was acknowledged, and the same token may be used again.
pub async fn refresh(engine: &Arc<Engine>, mut used: Use) -> Result<Refreshed, Broken> {
    let now = engine.now();
    if used.presented.endpoint == Endpoint::OAuth {
        // One and the same for judge and answer.
        used.terms.registry.get_or_insert_with(|| engine.resources.lately());
    }
    let (intent, terms) = (used.intent, used.terms.clone());
    let of_scopes = &engine.settings.scope_claims;
    let tells_more = match used.presented.endpoint {
        Endpoint::OAuth => !of_scopes.is_empty() || !terms.claims.is_empty(),
        // A session has no other scopes.
        Endpoint::Session => of_scopes.contains_key(scope::OPENID) || of_scopes.contains_key(ADMIN_SCOPE),
    };
    let wanted = match intent {
        // A proxy is told who it is.
        Intent::RotateAfter(_) => Wanted::Person,
        _ if tells_more => Wanted::Person,
        _ => engine.mint.wanted(),
    };
    let grant = used.presented.grant;
    let swift = if engine.store.is_swift() { Swift::of(engine, &used, now) } else { None };
    let judge = judge(engine, used, now);
    let verdict = match swift {
        Some(swift) => engine.store.renew(swift, wanted, judge).await?,
        None => engine.store.refresh(grant, wanted, judge).await?,
    };
    engine.observer.decided(intent, &verdict.decision);
    let renews = match (intent, &verdict.decision) {
        (Intent::Rotate, _) => true,
        (Intent::Peek | Intent::SignOut | Intent::Replace, _) => false,
        (Intent::RotateAfter(_), Decision::Kept) => false,
        // The successor is given again when this reader would have renewed. Sooner it is a peek: else whoever keeps reading
        // with a copy would be handed the successor the moment its holder renews.
        (Intent::RotateAfter(age), Decision::Replayed(_)) => {
            verdict.loaded.as_ref().is_some_and(|loaded| now >= loaded.state.grant.rotated_at.plus(age))
        }
        (Intent::RotateAfter(_), _) => true,
    };
    settle(engine, &verdict, &terms, renews, now)
}

/// Turns a committed verdict into the answer for the token's holder. `renews`: with the refresh token to keep.
pub(crate) fn settle(
    engine: &Engine,
    verdict: &Verdict,
    terms: &Terms,
    renews: bool,
    now: Time,
) -> Result<Refreshed, Broken> {
    let Some(loaded) = &verdict.loaded else {
        return Ok(Refreshed::Over(WireReason::Unknown));
    };
    match &verdict.decision {
        // Row 3 must not tell another client that the token exists.
        Decision::Unknown | Decision::Refused(Refusal::Client) => Ok(Refreshed::Over(WireReason::Unknown)),
        // RFC 8707 §2: told apart from a scope that is too wide.
        Decision::Refused(Refusal::Scope) if !terms.has_target(engine, &loaded.state.grant) => Ok(Refreshed::Elsewhere),
        Decision::Refused(refusal) => Ok(Refreshed::Refused(*refusal)),
        Decision::Ended(reason) | Decision::Ends(reason) => Ok(Refreshed::Over(reason.on_the_wire())),
        Decision::Reused => Ok(Refreshed::Over(WireReason::Reused)),
        Decision::Limited { retry_after } => Ok(Refreshed::Limited(*retry_after)),
        Decision::Kept | Decision::Rotated { .. } | Decision::Healed { .. } | Decision::Replayed(_)
            if verdict.ends.is_some() =>
        {
            Ok(Refreshed::Ended)
        }
        Decision::Kept | Decision::Rotated { .. } | Decision::Healed { .. } => {
            Tokens::make(engine, loaded, terms, now, renews, false).map(Box::new).map(Refreshed::Tokens)
        }
        Decision::Replayed(_) => {
            Tokens::make(engine, loaded, terms, now, renews, true).map(Box::new).map(Refreshed::Tokens)
        }
    }
}

/// Makes the judge of one use, to be run inside the store's transaction.
pub(crate) fn judge(engine: &Arc<Engine>, used: Use, now: Time) -> Judge {
    let engine = Arc::clone(engine);
    Box::new(move |loaded| sentence(&engine, &used, loaded, now))
}

/// Ends a grant of the OAuth endpoints, whatever its token is: by its client, or because a code of it came twice. The holder is
/// told nothing by this judge; a grant that is over stays as it ended.
pub(crate) fn ending(engine: &Arc<Engine>, reason: Reason, now: Time) -> Judge {
    let engine = Arc::clone(engine);
    Box::new(move |loaded| {
        let mut verdict = Verdict {
            decision: Decision::Unknown,
            loaded: loaded.cloned().map(Box::new),
            write: false,
            ends: None,
            renewed: None,
            events: vec![],
            mail: None,
        };
        if let Some(loaded) = &mut verdict.loaded
            && loaded.state.grant.life.is_alive()
        {
            let at = now.max(loaded.state.grant.last_event);
            loaded.state.grant = ended(&loaded.state.grant, reason, at);
            let told = Event::new(EventKind::GrantEnded, at, Actor::User, &*engine.random);
            verdict.events.push(told.of(&loaded.state.grant).because(reason));
            verdict.decision = Decision::Ends(reason);
            verdict.ends = Some(End { at, reason, actor: Actor::User });
            verdict.write = true;
        }
        verdict
    })
}

/// Whether a token is of a grant that lives as far as its record says. Nothing is decided by it, and nothing written.
pub(crate) async fn is_alive(engine: &Arc<Engine>, presented: &Presented) -> Result<bool, Broken> {
    let judge = Box::new(|loaded: Option<&Loaded>| Verdict {
        decision: Decision::Unknown,
        loaded: loaded.cloned().map(Box::new),
        write: false,
        ends: None,
        renewed: None,
        events: vec![],
        mail: None,
    });
    let found = engine.store.refresh(presented.grant, Wanted::Roles, judge).await?.loaded;
    let lives = |grant: &Grant| grant.life.is_alive() && engine.refresh_keys.is_genuine(presented, &grant.salt);
    Ok(found.is_some_and(|loaded| lives(&loaded.state.grant)))
}

/// Decides, and says what becomes of the grant, its session, the timeline and the outbox.
fn sentence(engine: &Engine, used: &Use, loaded: Option<&Loaded>, now: Time) -> Verdict {
    let Some(loaded) = loaded else {
        return Verdict {
            decision: Decision::Unknown,
            loaded: None,
            write: false,
            ends: None,
            renewed: None,
            events: vec![],
            mail: None,
        };
    };
    let grant = &loaded.state.grant;
    let policy = used.terms.policy(engine, grant.kind);
    let is_granted = |scope: &str| grant.scope.split(' ').any(|granted| granted == scope);
    let attempt = Attempt {
        generation: used.presented.generation,
        genuine: engine.refresh_keys.is_genuine(&used.presented, &grant.salt),
        endpoint: used.presented.endpoint,
        client: used.client.clone(),
        proof: used.terms.proof,
        asks_for_more: used.asks_for_more
            || used.terms.scope.as_ref().is_some_and(|asked| !asked.split(' ').all(is_granted))
            // A reader needs none: what is over can still be looked at, and ended.
            || (used.intent == Intent::Rotate && !used.terms.has_target(engine, grant)),
        peek: match used.intent {
            Intent::Rotate => false,
            Intent::Peek | Intent::SignOut | Intent::Replace => true,
            Intent::RotateAfter(age) => now < grant.rotated_at.plus(age),
        },
        context: used.context.clone(),
        // The risk model observes from its own issue on; until then nothing raises a use above low.
        risk: Risk::Low,
    };
    let decision = decide(Some(&loaded.state), &attempt, &policy, now);
    let mut next = apply(&decision, grant, &attempt, &policy, now);
    if let Some(next) = &mut next
        && next.generation != grant.generation
    {
        next.key = engine.refresh_keys.active();
    }
    let asked_to_end = match (used.intent, &decision) {
        (Intent::SignOut, Decision::Kept | Decision::Replayed(_) | Decision::Healed { .. }) => Some(Reason::SignedOut),
        (Intent::Replace, Decision::Kept | Decision::Replayed(_) | Decision::Healed { .. }) => Some(Reason::Replaced),
        _ => None,
    };
    let ends = match &decision {
        Decision::Reused => Some(Reason::Reused),
        Decision::Ends(reason) => Some(*reason),
        _ => asked_to_end,
    };
    let ends = ends.map(|reason| End { at: now.max(grant.last_event), reason, actor: Actor::User });
    let write = next.is_some();
    let State { session, session_until, user, client_exists, consent_stands, .. } = loaded.state;
    let grant_now = next.unwrap_or_else(|| grant.clone());
    let state = State { grant: grant_now, session, session_until, user, client_exists, consent_stands };
    let renewed = match decision {
        Decision::Rotated { next: issued } => Some(Renewal {
            at: state.grant.rotated_at,
            issued,
            user_agent: state.grant.context.user_agent.clone(),
            prefix: state.grant.context.prefix,
        }),
        _ => None,
    };
    Verdict {
        renewed,
        events: told(engine, grant, &attempt, &decision, now),
        mail: (decision == Decision::Reused).then(|| warning(grant, &attempt, now)),
        decision,
        loaded: Some(Box::new(Loaded { state, facts: loaded.facts.clone() })),
        write,
        ends,
    }
}

/// What the timeline says of a decision. Refusals and uses of ended grants change nothing and are not written: else anybody
/// with an old token could fill the store.
fn told(engine: &Engine, grant: &Grant, attempt: &Attempt, decision: &Decision, now: Time) -> Vec<Event> {
    let event = |kind| {
        Event::new(kind, now.max(grant.last_event), Actor::User, &*engine.random)
            .of(grant)
            .from(&attempt.context)
            .with("presented", attempt.generation.0)
    };
    let told = match decision {
        Decision::Unknown | Decision::Refused(_) | Decision::Ended(_) | Decision::Limited { .. } | Decision::Kept => {
            None
        }
        // A renewal is told by `Verdict::renewed`.
        Decision::Rotated { .. } => None,
        Decision::Healed { next } => Some(event(EventKind::Healed).with("issued", next.0)),
        Decision::Replayed(replay) => {
            let told = event(EventKind::Replayed).with("issued", grant.generation.0).with("replay", replay.as_str());
            Some(told.with("points", grant.suspicion.points))
        }
        Decision::Reused => Some(
            event(EventKind::Reused)
                .because(Reason::Reused)
                .with("newest", grant.generation.0)
                .with("points", grant.suspicion.points)
                // Both contexts: the reader judges who was who.
                .with("held_by", serde_json::json!(crate::event::Origin::from(&grant.context))),
        ),
        Decision::Ends(reason) => {
            Some(event(EventKind::GrantEnded).because(*reason).with("newest", grant.generation.0))
        }
    };
    told.into_iter().collect()
}

fn warning(grant: &Grant, attempt: &Attempt, now: Time) -> Mail {
    let mut data = serde_json::Map::new();
    data.insert("seen".to_owned(), serde_json::json!(crate::event::Origin::from(&attempt.context)));
    data.insert("usual".to_owned(), serde_json::json!(crate::event::Origin::from(&grant.context)));
    Mail { user: grant.user, kind: MailKind::SessionReused, at: now, data }
}

#[cfg(test)]
mod tests;
