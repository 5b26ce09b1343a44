//! `grant_type=authorization_code` (RFC 6749 §4.1.3): a code for tokens.
//!
//! 1. [`redeem`] hands the store a judge. The store loads the code with its session, user and client in one transaction.
//! 2. `code.rs` decides. A good code becomes a grant in that transaction; one that comes a second time ends what it gave.
//! 3. The tokens are minted after the commit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::Granted;
use crate::{
    Engine,
    client::{ApplicationType, Client, GrantType},
    code::{self, Code, Decision, LoadedCode, Shown},
    context::{Context, Networks},
    dpop::{self, Proof},
    event::{Actor, Event, EventKind},
    id::{Generation, GrantRef},
    id_token,
    ports::{Broken, Loaded, Redemption, Wanted},
    reason::{Life, Reason},
    refresh::{Grant, GrantKind, Holding, Owner, Pace, State, Suspicion, Terms, Tokens, ending},
    scope,
    session::SessionRecord,
    single_sign_on::hash,
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{Endpoint, GrantId, Salt},
};

/// What became of a code.
#[derive(Debug)]
pub enum Redeemed {
    /// The client gets tokens.
    Granted(Granted),
    /// It is good for nothing here, for whatever reason.
    Refused,
    /// It was given for other resources than are asked for now; it is as good as before (RFC 8707 §2.2).
    Elsewhere,
}

impl Redeemed {
    /// What the client gets, if it gets something.
    #[must_use]
    pub fn granted(self) -> Option<Granted> {
        match self {
            Self::Granted(granted) => Some(granted),
            Self::Refused | Self::Elsewhere => None,
        }
    }
}

/// What a client brings.
#[derive(Clone, Copy)]
pub struct Brought<'b> {
    /// The code.
    pub code: &'b str,
    /// Where it was sent to, as the client says (RFC 6749 §4.1.3).
    pub redirect_uri: Option<&'b str>,
    /// RFC 7636 §4.5.
    pub verifier: Option<&'b str>,
}

/// Redeems a code, for `resources` of those that it was given for.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn redeem(
    engine: &Arc<Engine>,
    client: &Arc<Client>,
    Brought { code, redirect_uri, verifier }: Brought<'_>,
    resources: &[&str],
    proof: Option<&Proof>,
    context: Context,
) -> Result<Redeemed, Broken> {
    let now = engine.now();
    let registry = engine.registry().await?;
    let resources: Vec<String> = resources.iter().map(|resource| (*resource).to_owned()).collect();
    let elsewhere = Arc::new(AtomicBool::new(false));
    let shown = Shown {
        client: client.id.clone(),
        redirect_uri: redirect_uri.map(str::to_owned),
        verifier: verifier.map(str::to_owned),
        key: proof.map(|proof| proof.key),
    };
    let judge = {
        let (engine, client) = (Arc::clone(engine), Arc::clone(client));
        let (registry, resources, elsewhere) = (Arc::clone(&registry), resources.clone(), Arc::clone(&elsewhere));
        let holding = dpop::holding(&client, proof);
        Box::new(move |loaded: Option<&LoadedCode>| match (code::decide(loaded, &shown, now), loaded) {
            // Told to the one who could have redeemed it, and to nobody else.
            (Decision::Good, Some(loaded))
                if registry.pick(&engine.settings, &loaded.code.audience, &resources).is_none() =>
            {
                elsewhere.store(true, Ordering::Relaxed);
                Redemption::Refused
            }
            (Decision::Good, Some(loaded)) => good(&engine, &client, loaded, holding, &context, now),
            (Decision::Reused(grant), Some(loaded)) => reused(&engine, grant, loaded, &context, now),
            _ => Redemption::Refused,
        })
    };
    let (loaded, authentication, nonce) = match engine.store.redeem_code(hash(code), judge).await? {
        Redemption::Granted { loaded, authentication, nonce, .. } => (loaded, authentication, nonce),
        Redemption::Refused if elsewhere.load(Ordering::Relaxed) => return Ok(Redeemed::Elsewhere),
        Redemption::Refused | Redemption::Reused { .. } => return Ok(Redeemed::Refused),
    };
    // RFC 9449 §11.1: after the code, which is good once by itself, so that nobody without one writes rows. A proof that comes
    // a second time has spent the code: nobody has what came of it, and nobody will.
    if let Some(proof) = proof
        && !dpop::first_use(engine, proof).await?
    {
        let grant = loaded.state.grant.id;
        engine.store.refresh(grant, Wanted::Roles, ending(engine, Reason::SignedOut, now)).await?;
        return Ok(Redeemed::Refused);
    }
    let (authentication, proof) = (Some(authentication), proof.map(|proof| proof.key));
    let terms = Terms { authentication, proof, resources, registry: Some(registry), ..Terms::of(client) };
    granted(engine, client, &loaded, &terms, nonce.as_deref()).map(Redeemed::Granted)
}

/// The tokens of a new grant.
pub(super) fn granted(
    engine: &Engine,
    client: &Client,
    loaded: &Loaded,
    terms: &Terms,
    nonce: Option<&str>,
) -> Result<Granted, Broken> {
    let renews = client.may(GrantType::RefreshToken);
    let tokens = Box::new(Tokens::fresh(engine, loaded, terms, engine.now(), renews)?);
    let id_token = match scope::has(&tokens.scope, scope::OPENID) {
        true => Some(id_token::of(engine, &client.id, &tokens, nonce)?),
        false => None,
    };
    Ok(Granted { tokens, id_token })
}

/// The grant that a good code becomes.
pub(super) fn good(
    engine: &Engine,
    client: &Client,
    loaded: &LoadedCode,
    holding: Holding,
    context: &Context,
    now: Time,
) -> Redemption {
    let (Some(session), code) = (&loaded.session, &loaded.code) else {
        return Redemption::Refused;
    };
    let grant = Grant { holding, ..grant_of(engine, client, code, session, context, now) };
    let event = Event::new(EventKind::GrantIssued, now, Actor::User, &*engine.random)
        .of(&grant)
        // An offline grant belongs to no session, but it came from one.
        .session(code.session)
        .from(context)
        .with("scope", &*grant.scope)
        .with("kind", grant.kind.as_str());
    let state = State {
        session: grant.session.map(|_| Life::Alive),
        user: Owner::Active(code.epoch),
        session_until: None,
        client_exists: true,
        consent_stands: true,
        grant,
    };
    Redemption::Granted {
        loaded: Box::new(Loaded { state, facts: loaded.facts.clone() }),
        authentication: code.authentication.clone(),
        nonce: code.nonce.clone(),
        event,
    }
}

fn grant_of(
    engine: &Engine,
    client: &Client,
    code: &Code,
    session: &SessionRecord,
    context: &Context,
    now: Time,
) -> Grant {
    let kind = match (scope::has(&code.scope, scope::OFFLINE_ACCESS), client.metadata.application_type) {
        (true, _) => GrantKind::Offline,
        (false, ApplicationType::Web) => GrantKind::Browser,
        (false, ApplicationType::Native) => GrantKind::Native,
    };
    let lifetime = client.lifetime(engine.settings.lifetimes.of(kind));
    let own = lifetime.absolute.map_or(AbsoluteDeadline::NEVER, |absolute| AbsoluteDeadline(now.plus(absolute)));
    let (absolute, of_session) = match kind {
        GrantKind::Offline => (own, None),
        // An online grant never outlives its session.
        _ => (own.min(session.grant.absolute), Some(code.session)),
    };
    let mut salt = [0; 16];
    engine.random.fill(&mut salt);
    Grant {
        id: GrantId::new(engine.digests.shard(code.user), &*engine.random),
        public_id: GrantRef::new(now, &*engine.random),
        salt: Salt(salt),
        key: engine.refresh_keys.active(),
        endpoint: Endpoint::OAuth,
        client: client.id.clone(),
        user: code.user,
        session: of_session,
        epoch: code.epoch,
        holding: dpop::holding(client, None),
        kind,
        generation: Generation::FIRST,
        fence: None,
        newest_used: false,
        scope: code.scope.as_str().into(),
        audience: code.audience.as_str().into(),
        issued_at: now,
        rotated_at: now,
        last_event: now,
        idle: IdleDeadline::sliding(now, lifetime.idle, absolute),
        absolute,
        context: context.clone(),
        networks: Networks::starting_with(context.network),
        suspicion: Suspicion::default(),
        pace: Pace::default(),
        life: Life::Alive,
    }
}

/// Somebody has a copy of the code: what it gave ends, whoever holds it.
pub(super) fn reused(
    engine: &Arc<Engine>,
    grant: GrantId,
    loaded: &LoadedCode,
    context: &Context,
    now: Time,
) -> Redemption {
    let code = &loaded.code;
    let mut event = Event::new(EventKind::CodeReused, now, Actor::User, &*engine.random)
        .user(code.user)
        .session(code.session)
        .from(context)
        .because(Reason::Reused);
    event.client = Some(code.client.clone());
    Redemption::Reused { ends: (grant, ending(engine, Reason::Reused, now)), event }
}
