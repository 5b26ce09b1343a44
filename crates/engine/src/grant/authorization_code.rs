//! `grant_type=authorization_code` (RFC 6749 §4.1.3): a code for tokens.
//!
//! 1. [`redeem`] hands the store a judge. The store loads the code with its session, user and client in one transaction.
//! 2. `code.rs` decides. A good code becomes a grant in that transaction; one that comes a second time ends what it gave.
//! 3. The tokens are minted after the commit.

use std::sync::Arc;

use super::Granted;
use crate::{
    Engine,
    client::{ApplicationType, Client, GrantType},
    code::{self, Code, Decision, LoadedCode, Shown},
    context::{Context, Networks},
    event::{Actor, Event, EventKind},
    id::{Generation, GrantRef},
    id_token,
    ports::{Broken, Loaded, Redemption},
    reason::{Life, Reason},
    refresh::{Authentication, Grant, GrantKind, Holding, Owner, Pace, State, Suspicion, Terms, Tokens, ending},
    scope,
    session::SessionRecord,
    single_sign_on::hash,
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{Endpoint, GrantId, Salt},
};

/// Redeems a code. `None`: it is good for nothing here, for whatever reason.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn redeem(
    engine: &Arc<Engine>,
    client: &Arc<Client>,
    code: &str,
    redirect_uri: Option<&str>,
    verifier: Option<&str>,
    context: Context,
) -> Result<Option<Granted>, Broken> {
    let now = engine.now();
    let shown = Shown {
        client: client.id.clone(),
        redirect_uri: redirect_uri.map(str::to_owned),
        verifier: verifier.map(str::to_owned),
    };
    let judge = {
        let (engine, client) = (Arc::clone(engine), Arc::clone(client));
        Box::new(move |loaded: Option<&LoadedCode>| match (code::decide(loaded, &shown, now), loaded) {
            (Decision::Good, Some(loaded)) => good(&engine, &client, loaded, &context, now),
            (Decision::Reused(grant), Some(loaded)) => reused(&engine, grant, loaded, &context, now),
            _ => Redemption::Refused,
        })
    };
    let (loaded, authentication, nonce) = match engine.store.redeem_code(hash(code), judge).await? {
        Redemption::Granted { loaded, authentication, nonce, .. } => (loaded, authentication, nonce),
        Redemption::Refused | Redemption::Reused { .. } => return Ok(None),
    };
    granted(engine, client, &loaded, authentication, nonce.as_deref()).map(Some)
}

/// The tokens of a new grant.
pub(super) fn granted(
    engine: &Engine,
    client: &Client,
    loaded: &Loaded,
    authentication: Authentication,
    nonce: Option<&str>,
) -> Result<Granted, Broken> {
    let terms = Terms { authentication: Some(authentication), ..Terms::of(client) };
    let renews = client.may(GrantType::RefreshToken);
    let tokens = Box::new(Tokens::fresh(engine, loaded, &terms, engine.now(), renews)?);
    let id_token = match scope::has(&tokens.scope, scope::OPENID) {
        true => Some(id_token::of(engine, &client.id, &tokens, nonce)?),
        false => None,
    };
    Ok(Granted { tokens, id_token })
}

/// The grant that a good code becomes.
pub(super) fn good(engine: &Engine, client: &Client, loaded: &LoadedCode, context: &Context, now: Time) -> Redemption {
    let (Some(session), code) = (&loaded.session, &loaded.code) else {
        return Redemption::Refused;
    };
    let grant = grant_of(engine, client, code, session, context, now);
    let event = Event::new(EventKind::GrantIssued, now, Actor::User, &*engine.random)
        .of(&grant)
        // An offline grant belongs to no session, but it came from one.
        .session(code.session)
        .from(context)
        .with("scope", grant.scope.clone())
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
        loaded: Box::new(Loaded { state, facts: Arc::new(loaded.facts.clone()) }),
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
        // RFC 6749 §6: whoever can authenticate does so at each use.
        holding: if client.authenticates() { Holding::ClientBound } else { Holding::Bearer },
        kind,
        generation: Generation::FIRST,
        fence: None,
        newest_used: false,
        scope: code.scope.clone(),
        audience: code.audience.clone(),
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
