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
//! [`decide`] is pure: no I/O, no clock, no randomness. Its rows stand in the order of the protocol's table, and the first
//! match wins. What it reads and says, the grant first of all, is in `refresh/state.rs`.

mod state;
mod swift;

use std::sync::Arc;

use crate::{
    Engine,
    claims::ClaimMapping,
    client::Client,
    context::Context,
    event::{Actor, Event, EventKind, Mail, MailKind, Renewal},
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    mint::{ADMIN_SCOPE, AccessToken, Wish, scope_now},
    ports::{Broken, End, Facts, Judge, Loaded, Random, Verdict, Wanted},
    reason::{Life, Reason, WireReason},
    resource::{Registry, Resources, Target},
    scope,
    time::{AbsoluteDeadline, IdleDeadline, Seconds, Time},
    token::{Endpoint, Presented, RefreshToken},
};

pub use state::{
    Attempt, Decision, Grant, GrantKind, Holding, KeyThumbprint, Owner, Pace, Policy, Refusal, Replay, ReplayPolicy,
    Risk, Rotation, State, Suspicion, Window,
};
pub use swift::Swift;

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

/// What a client's tokens have of their own; what is `None` is as the server has it.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// How long access tokens live.
    pub access_token: Option<Seconds>,
    /// The idle lifetime of its grants.
    pub idle: Option<Seconds>,
    /// Their absolute lifetime.
    pub absolute: Option<Seconds>,
    /// The scope that is asked for, no wider than granted (RFC 6749 §6).
    pub scope: Option<String>,
    /// When and how the user proved who they are for this grant (OpenID Connect Core §12.2: not for a later one).
    pub authentication: Option<Authentication>,
    /// The key whose possession was proven with this request: the access token is bound to it (RFC 9449 §5).
    pub proof: Option<KeyThumbprint>,
    /// What they tell of users besides.
    pub claims: ClaimMapping,
    /// Those of the grant's resources that a token is asked for (RFC 8707 §2.2); none for whatever suits them.
    pub resources: Vec<String>,
    /// The resources by which this use is judged and answered; `None` for those of lately.
    pub registry: Option<Arc<Registry>>,
}

/// A proof of who somebody is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authentication {
    /// When.
    pub auth_time: Time,
    /// How (RFC 8176).
    pub amr: Vec<String>,
}

impl Terms {
    /// Of a client.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        let metadata = &client.metadata;
        Self {
            access_token: metadata.access_token_lifetime,
            idle: metadata.idle_lifetime,
            absolute: metadata.absolute_lifetime,
            claims: metadata.claims.clone(),
            ..Self::default()
        }
    }

    /// Whether a token of `grant` can be had for the resources that are asked for.
    fn has_target(&self, engine: &Engine, grant: &Grant) -> bool {
        let registry = || self.registry.clone().unwrap_or_else(|| engine.resources.lately());
        grant.endpoint == Endpoint::Session
            || registry()
                .pick(&engine.settings, &grant.audience, &self.resources)
                .is_some_and(|(_, form)| engine.mint.can_sign(form.signing))
    }

    /// Whether tokens are for whatever was granted, since there were never resources.
    fn is_for_any(&self, resources: &Resources) -> bool {
        let registry = self.registry.clone().unwrap_or_else(|| resources.lately());
        self.resources.is_empty() && !registry.was_ever_any()
    }

    /// Whom the next token of `grant` is for, and what it allows there with these roles; `None` where that cannot be had.
    fn target<'g>(&self, engine: &Engine, grant: &'g Grant, roles: &[String]) -> Option<Target<'g>> {
        let lately = || engine.resources.lately();
        let scope = self.scope.as_deref().unwrap_or(&grant.scope);
        if grant.endpoint == Endpoint::OAuth {
            let registry = self.registry.clone().unwrap_or_else(lately);
            return registry.target(&engine.settings, &grant.audience, &self.resources, scope, roles);
        }
        // A session is for one audience, and goes on whatever becomes of that.
        let form = lately().form_of(&grant.audience);
        Some(Target { audience: vec![&grant.audience], scope: scope_now(scope, roles), form })
    }

    /// The policy for grants of `kind`. A change acts at the next use.
    #[must_use]
    pub fn policy(&self, engine: &Engine, kind: GrantKind) -> Policy {
        let policy = engine.settings.policy(kind);
        Policy { idle: self.idle.unwrap_or(policy.idle), absolute: self.absolute.or(policy.absolute), ..policy }
    }
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

/// What the holder of a token gets.
#[derive(Debug)]
pub struct Tokens {
    /// The new access token.
    pub access_token: AccessToken,
    /// Its lifetime.
    pub expires_in: Seconds,
    /// When to come back: two thirds of that, ± 20 %.
    pub refresh_in: Seconds,
    /// The refresh token to keep; `None` for a peek.
    pub refresh_token: Option<RefreshToken>,
    /// How it travels.
    pub kind: GrantKind,
    /// Which grant.
    pub grant: GrantRef,
    /// What the access token allows.
    pub scope: String,
    /// The key that the access token is bound to.
    pub key: Option<KeyThumbprint>,
    /// Whose session.
    pub user: UserId,
    /// Which session; `None` for an offline grant.
    pub session: Option<SessionId>,
    /// What an authenticating proxy passes on.
    pub facts: Arc<Facts>,
    /// What is told of the user besides, in an ID token too.
    pub told: ClaimMapping,
    /// When the session ends if it is not used. `None` for a replay and for a peek: it would tell when the rotation was.
    pub idle: Option<IdleDeadline>,
    /// How long the refresh token can be kept, for the cookie; tells nothing about when a rotation was.
    pub keep: Seconds,
    /// When the session ends whatever happens.
    pub absolute: AbsoluteDeadline,
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

impl Tokens {
    /// The first tokens of a grant.
    pub(crate) fn fresh(
        engine: &Engine,
        loaded: &Loaded,
        terms: &Terms,
        now: Time,
        renews: bool,
    ) -> Result<Self, Broken> {
        Self::make(engine, loaded, terms, now, renews, false)
    }

    fn make(
        engine: &Engine,
        loaded: &Loaded,
        terms: &Terms,
        now: Time,
        renews: bool,
        is_replay: bool,
    ) -> Result<Self, Broken> {
        let grant = &loaded.state.grant;
        let lifetime = terms.access_token.unwrap_or(engine.mint.lifetime());
        let mut facts = Arc::clone(&loaded.facts);
        if let Some(Authentication { auth_time, amr }) = terms.authentication.clone() {
            let facts = Arc::make_mut(&mut facts);
            (facts.auth_time, facts.amr) = (auth_time, amr.into());
        }
        let failed = || Broken::Store("a token could not be made: is there a key for its algorithm?".to_owned());
        let target = match terms.target(engine, grant, &facts.roles) {
            Some(target) => target,
            // Introspection and revocation read, and hand the token to nobody.
            None if !renews => Target::default(),
            None => return Err(failed()),
        };
        let told = engine.settings.told_for(&terms.claims, &target.scope);
        let wish = Wish { target: &target, told: Some(&told), lifetime, key: terms.proof };
        let access_token = engine.mint.access_token(grant, &facts, wish, now, &*engine.random).ok_or_else(failed)?;
        let scope = target.scope;
        let issue = || {
            engine
                .refresh_keys
                .issue(grant.endpoint, grant.key, &grant.id, grant.generation, &grant.salt)
                .ok_or_else(failed)
        };
        // A reader is never told the idle deadline: its change, or its absence after a replay, would tell a thief who keeps
        // asking when the holder renews (`docs/adr/0005-what-the-simulation-taught.md`).
        let idle = (renews && !is_replay).then_some(grant.idle);
        let full = IdleDeadline::sliding(now, engine.settings.lifetimes.of(grant.kind).idle, grant.absolute);
        let kept_until = idle.unwrap_or(full).0;
        Ok(Self {
            access_token,
            expires_in: lifetime,
            refresh_in: jittered(lifetime, &*engine.random),
            refresh_token: renews.then(issue).transpose()?,
            kind: grant.kind,
            grant: grant.public_id,
            scope,
            key: terms.proof,
            user: grant.user,
            session: grant.session,
            facts,
            told,
            idle,
            keep: Seconds(u32::try_from(kept_until.seconds_from(now)).unwrap_or(u32::MAX)),
            absolute: grant.absolute,
        })
    }
}

/// Two thirds of the access token's lifetime, ± 20 %, so that a crowd that signed in together does not come back together.
fn jittered(lifetime: Seconds, random: &dyn Random) -> Seconds {
    let mut bytes = [0; 2];
    random.fill(&mut bytes);
    let base = u64::from(lifetime.0) * 2 / 3;
    let spread = base * 2 / 5;
    let jitter = spread * u64::from(u16::from_be_bytes(bytes)) / u64::from(u16::MAX);
    Seconds(u32::try_from(base - spread / 2 + jitter).unwrap_or(lifetime.0))
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
        loaded: Some(Box::new(Loaded { state, facts: Arc::clone(&loaded.facts) })),
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

/// The decision table, rows in its order, first match wins.
///
/// `state` is `None` where the store has no such grant. `now` may be before the grant's last event, which then stands for it.
#[must_use]
pub fn decide(state: Option<&State>, attempt: &Attempt, policy: &Policy, now: Time) -> Decision {
    // Row 1 is `RefreshKeys::open`: it needs no state.
    // Row 2: no such grant, or one that this token is not of.
    let Some(State { grant, session, session_until, user, client_exists, consent_stands }) =
        state.filter(|_| attempt.genuine)
    else {
        return Decision::Unknown;
    };
    // The minute of the limits is the clock's own: pinned to the last event it would not end until a wild clock is caught up.
    let clock = now;
    let now = now.max(grant.last_event);
    let (n, g) = (attempt.generation, grant.generation);
    let behind = g.0.saturating_sub(n.0);
    let ahead = n.0.saturating_sub(g.0);

    // Row 3, RFC 6749 §10.4: the token must have been issued to this client.
    if attempt.client != grant.client || attempt.endpoint != grant.endpoint {
        return Decision::Refused(Refusal::Client);
    }
    // Row 4, RFC 9449 §5: a bound token needs the proof of its key.
    let proven = grant.proven_by(attempt);
    if let Holding::Bound { from, .. } = grant.holding
        && n >= from
        && !proven
    {
        return Decision::Refused(Refusal::Proof);
    }
    // Row 5.
    if let Life::Ended { reason, .. } = grant.life {
        return Decision::Ended(reason);
    }
    // Row 6: what the grant hangs on.
    if let Some(Life::Ended { reason, .. }) = session {
        let own = grant.endpoint == Endpoint::Session;
        return Decision::Ended(if own { *reason } else { Reason::SessionEnded });
    }
    if session_until.is_some_and(|until| now >= until) {
        return Decision::Ended(Reason::SessionEnded);
    }
    match user {
        Owner::Gone => return Decision::Ended(Reason::UserDeleted),
        Owner::Disabled => return Decision::Ended(Reason::UserDisabled),
        Owner::Active(epoch) if *epoch != grant.epoch => return Decision::Ended(Reason::EpochRaised),
        Owner::Active(_) => {}
    }
    if !client_exists {
        return Decision::Ended(Reason::ClientRemoved);
    }
    if !consent_stands {
        return Decision::Ended(Reason::ConsentRevoked);
    }
    if let Some((reason, _)) = grant.expired(policy, now) {
        return Decision::Ended(reason);
    }
    // Row 7: the token before a change of privilege, whose new token nobody has used: its reply was lost, or it is the
    // holder's other tab. No theft, but not the stronger session either.
    if behind == 2 && grant.fence == Some(g) && !grant.newest_used {
        return Decision::Refused(Refusal::Superseded);
    }
    // Rows 8 and 9.
    if behind >= 2 {
        return if proven { Decision::Refused(Refusal::Stale) } else { Decision::Reused };
    }
    // Rows 10 and 11: newer than the store knows.
    if ahead >= 1 {
        let believed = ahead <= 2 && (proven || attempt.context.is_like(&grant.context));
        return match n.next() {
            Some(next) if believed => Decision::Healed { next },
            _ => Decision::Ends(Reason::StoreRecovered),
        };
    }
    // Row 12, RFC 6749 §6: the scope must not include any that was not granted.
    if attempt.asks_for_more {
        return Decision::Refused(Refusal::Scope);
    }
    // Row 13.
    match attempt.risk {
        Risk::High => return Decision::Ends(Reason::RiskHigh),
        Risk::Medium => return Decision::Refused(Refusal::StepUp),
        Risk::Low => {}
    }
    if n == g {
        // Row 14.
        if attempt.peek || grant.rotation_is_off(policy) {
            return Decision::Kept;
        }
        // Row 15.
        let Some(next) = g.next() else {
            return Decision::Ends(Reason::GenerationExhausted);
        };
        return match grant.pace.rotations.count_one(clock, policy.rotations_per_minute) {
            Ok(_) => Decision::Rotated { next },
            Err(retry_after) => Decision::Limited { retry_after },
        };
    }
    match grant.replay(attempt, proven, policy, now) {
        // Row 21.
        None => Decision::Reused,
        Some(replay) => match grant.pace.replays.count_one(clock, policy.replays_per_minute) {
            Ok(_) => Decision::Replayed(replay),
            Err(retry_after) => Decision::Limited { retry_after },
        },
    }
}

impl Grant {
    /// Whether the attempt comes from the one who holds the key, or from the authenticated client.
    fn proven_by(&self, attempt: &Attempt) -> bool {
        match self.holding {
            Holding::Bearer => false,
            Holding::Bound { key, .. } => attempt.proof == Some(key),
            // Row 3 has compared the client, and the endpoint has authenticated it.
            Holding::ClientBound => true,
        }
    }

    /// Rows 16 to 20: what a use of g−1 is, `None` where it is theft.
    fn replay(&self, attempt: &Attempt, proven: bool, policy: &Policy, now: Time) -> Option<Replay> {
        match self.holding {
            // Row 16: g was bound when g−1 was rotated, so the rightful holder has the key. Row 17 otherwise.
            Holding::Bound { .. } => return proven.then_some(Replay::Proven),
            Holding::ClientBound => return Some(Replay::Proven),
            Holding::Bearer => {}
        }
        let forgiven = |replay: Replay| self.suspicion.points.saturating_add(replay.weight()) < Suspicion::LIMIT;
        // Row 18.
        let same_place = attempt.context.is_like(&self.context) && attempt.context.address == self.context.address;
        if same_place && now <= self.rotated_at.plus(policy.burst) {
            return Some(Replay::Burst);
        }
        // Row 19.
        let same_program = attempt.context.user_agent == self.context.user_agent;
        if same_program && self.networks.contains(attempt.context.network) {
            return Some(Replay::Late).filter(|replay| forgiven(*replay));
        }
        // Row 20.
        Some(Replay::Foreign).filter(|replay| policy.replay == ReplayPolicy::Balanced && forgiven(*replay))
    }

    fn rotation_is_off(&self, policy: &Policy) -> bool {
        policy.rotation == Rotation::Off && self.holding != Holding::Bearer
    }

    /// The absolute deadline under `policy`: a shorter lifetime acts at the next use, a longer one never does.
    fn absolute_under(&self, policy: &Policy) -> AbsoluteDeadline {
        policy
            .absolute
            .map_or(self.absolute, |lifetime| self.absolute.min(AbsoluteDeadline(self.issued_at.plus(lifetime))))
    }

    /// Which deadline has passed at `now`, if one has, and when: the one that passed first.
    #[must_use]
    pub fn expired(&self, policy: &Policy, now: Time) -> Option<(Reason, Time)> {
        let absolute = self.absolute_under(policy);
        if now >= self.idle.0 && self.idle.0 < absolute.0 {
            Some((Reason::ExpiredIdle, self.idle.0))
        } else if now >= absolute.0 {
            Some((Reason::ExpiredAbsolute, absolute.0))
        } else {
            None
        }
    }
}

/// What becomes of the grant's row: `None` where `decision` changes nothing.
///
/// Pure, like [`decide`], whose decision about this grant and attempt it carries out.
#[must_use]
pub fn apply(decision: &Decision, grant: &Grant, attempt: &Attempt, policy: &Policy, now: Time) -> Option<Grant> {
    let clock = now;
    let now = now.max(grant.last_event);
    match decision {
        Decision::Unknown | Decision::Refused(_) | Decision::Ended(_) | Decision::Limited { .. } => None,
        Decision::Reused => Some(ended(grant, Reason::Reused, now)),
        Decision::Ends(reason) => Some(ended(grant, *reason, now)),
        Decision::Healed { next } | Decision::Rotated { next } => Some(rotated(grant, *next, attempt, policy, clock)),
        Decision::Kept => {
            let slides = !attempt.peek && grant.rotation_is_off(policy);
            let mut next = grant.clone();
            // Only row 7 asks whether the newest generation was used, so only a fenced one is marked: a peek is otherwise free.
            next.newest_used = grant.newest_used || grant.fence == Some(grant.generation);
            if slides {
                next.absolute = grant.absolute_under(policy);
                next.idle = IdleDeadline::sliding(now, policy.idle, next.absolute);
                next.last_event = now;
            }
            (next != *grant).then_some(next)
        }
        Decision::Replayed(replay) => {
            let mut next = grant.clone();
            let worse = grant.suspicion.worst.is_none_or(|worst| replay.gravity() > worst.gravity());
            if worse {
                next.suspicion.worst = Some(*replay);
            }
            next.pace.replays = grant.pace.replays.count_one(clock, u32::MAX).unwrap_or(grant.pace.replays);
            next.last_event = now;
            Some(next)
        }
    }
}

/// The grant after a change of privilege whose reply goes to its holder: the generation jumps by two, so that no token from
/// before reaches the stronger session, and the user's new epoch is stamped.
///
/// `None` near 2³².
#[must_use]
pub fn raise(grant: &Grant, epoch: Epoch, now: Time) -> Option<Grant> {
    let now = now.max(grant.last_event);
    let generation = grant.generation.skip(2)?;
    Some(Grant {
        generation,
        fence: Some(generation),
        newest_used: false,
        epoch,
        rotated_at: now,
        last_event: now,
        suspicion: grant.suspicion.closed(),
        pace: Pace { replays: Window::default(), ..grant.pace },
        ..grant.clone()
    })
}

fn ended(grant: &Grant, reason: Reason, now: Time) -> Grant {
    Grant { life: Life::Ended { at: now, reason }, last_event: now, ..grant.clone() }
}

fn rotated(grant: &Grant, generation: Generation, attempt: &Attempt, policy: &Policy, clock: Time) -> Grant {
    let now = clock.max(grant.last_event);
    let absolute = grant.absolute_under(policy);
    let mut networks = grant.networks.clone();
    networks.note(attempt.context.network);
    // A public client that proves a key from now on is bound to it from the successor on; a binding never changes.
    let holding = match (grant.holding, attempt.proof) {
        (Holding::Bearer, Some(key)) => Holding::Bound { key, from: generation },
        (holding, _) => holding,
    };
    Grant {
        holding,
        generation,
        fence: None,
        newest_used: false,
        rotated_at: now,
        last_event: now,
        idle: IdleDeadline::sliding(now, policy.idle, absolute),
        absolute,
        context: attempt.context.clone(),
        networks,
        suspicion: grant.suspicion.closed(),
        pace: Pace {
            rotations: grant.pace.rotations.count_one(clock, u32::MAX).unwrap_or(grant.pace.rotations),
            replays: Window::default(),
        },
        ..grant.clone()
    }
}

#[cfg(test)]
mod tests;
