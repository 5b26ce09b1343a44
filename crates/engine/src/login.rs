//! Signing in with a password.
//!
//! 1. Look at the failures counted for the account, the account with this address, and the network. Too many is
//!    [`SignIn::Limited`], before anything is hashed.
//! 2. Wait for a turn to hash; too many waiting is [`SignIn::Busy`]. Look at the failures again: the turn is held from here
//!    on, so no more attempts slip between this look and the count than hash at once.
//! 3. Check the password; for an unknown user a decoy's, so that neither the answer nor its time tells who exists.
//! 4. Open the session: the store re-reads the user, keeps the limit of sessions, ends the one that this replaces.

use std::{net::IpAddr, sync::Arc};

use crate::{
    Engine,
    context::Context,
    event::{Actor, Event, EventKind},
    factor::password::Checked,
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    mint::{ADMIN_ROLE, ADMIN_SCOPE},
    ports::{Broken, Loaded, NewSession, Opened},
    reason::Life,
    refresh::{Grant, GrantKind, Holding, Intent, Owner, Pace, State, Suspicion, Terms, Tokens, Use, judge},
    session::Session,
    time::{AbsoluteDeadline, IdleDeadline, Seconds, Time},
    token::{Endpoint, GrantId, Presented, Salt, Shard},
    user::Identifier,
};

/// Who may sign in by an identifier, as the store knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: UserId,
    /// Its shard.
    pub shard: Shard,
    /// Whether it may sign in.
    pub active: bool,
    /// Its epoch: the session is opened under this one or not at all.
    pub epoch: Epoch,
    /// The hash of its password.
    pub password: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.user)
    }
}

/// A keyed name for the failures of one account, address or network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FailureKey(pub [u8; 16]);

/// How many failures there were since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FailureCount {
    /// When the window began.
    pub since: Time,
    /// How many.
    pub count: u32,
}

impl FailureCount {
    /// How long it is until a window of this length is over, `None` if it is. One that begins in the future was begun by a
    /// clock that has been put right since, and counts for nothing.
    #[must_use]
    pub fn wait(self, window: Seconds, now: Time) -> Option<Seconds> {
        let left = self.since.plus(window).seconds_from(now);
        let runs = self.since <= now && left > 0;
        runs.then(|| Seconds(u32::try_from(left).unwrap_or(window.0)))
    }
}

/// What somebody who signs in says.
pub struct Credentials<'a> {
    /// An e-mail address or a username.
    pub identifier: &'a str,
    /// The password.
    pub password: &'a str,
    /// How the refresh token is to travel.
    pub kind: GrantKind,
    /// What the device is called.
    pub device: Option<String>,
    /// Whom the access tokens are for; `None` for the default.
    pub audience: Option<String>,
    /// What they allow; `None` for the default.
    pub scope: Option<String>,
    /// From where.
    pub address: IpAddr,
    /// And with what.
    pub context: Context,
    /// The refresh token in the caller's cookie, whose session this one takes the place of.
    pub replaces: Option<Presented>,
}

/// What became of a sign-in.
#[derive(Debug)]
pub enum SignIn {
    /// It succeeded.
    Granted(Box<Tokens>),
    /// Identifier or password is wrong, or the user may not sign in: which one is not told.
    Wrong,
    /// Too many failures; try again after this.
    Limited(Seconds),
    /// Too many sign-ins wait already.
    Busy,
    /// This audience may not be asked for.
    Audience,
    /// This scope may not be asked for.
    Scope,
}

/// Somebody who has proven who they are.
pub(crate) struct Proven {
    /// Who.
    pub(crate) account: Account,
    /// The failures that are forgiven with it.
    pub(crate) keys: [FailureKey; 3],
}

/// What became of the wish to prove who one is.
pub(crate) enum Proof {
    /// It is proven.
    Proven(Box<Proven>),
    /// Identifier or password is wrong, or the user may not sign in.
    Wrong,
    /// Too many failures.
    Limited(Seconds),
    /// Too many are waiting.
    Busy,
}

/// Signs somebody in.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn sign_in(engine: &Arc<Engine>, credentials: Credentials<'_>) -> Result<SignIn, Broken> {
    let registry = engine.registry().await?;
    let Some(audience) = registry.audience_for(&engine.settings, credentials.audience.as_deref()) else {
        return Ok(SignIn::Audience);
    };
    // A sign-in through the session API is OpenID's own business; nothing else is granted here but the admin API's scope.
    let Some(scope) = known_scopes(credentials.scope.as_deref().unwrap_or("openid")) else {
        return Ok(SignIn::Scope);
    };
    let Proven { account, keys } = match prove(engine, &credentials).await? {
        Proof::Proven(proven) => *proven,
        Proof::Wrong => return Ok(SignIn::Wrong),
        Proof::Limited(retry_after) => return Ok(SignIn::Limited(retry_after)),
        Proof::Busy => return Ok(SignIn::Busy),
    };
    // Told only to those who have proven who they are: roles are nobody else's business.
    if scope.split(' ').any(|part| part == ADMIN_SCOPE) && !account.roles.iter().any(|role| role == ADMIN_ROLE) {
        return Ok(SignIn::Scope);
    }
    open(engine, account, credentials, audience, scope, &keys).await
}

/// Steps 1 to 3: whoever says so is who they say they are.
pub(crate) async fn prove(engine: &Arc<Engine>, credentials: &Credentials<'_>) -> Result<Proof, Broken> {
    let keys = failure_keys(engine, credentials);
    // Asked before the queue, so that those who are over their limit take nobody's place in it, and again within it.
    if let Some(retry_after) = limited(engine, &keys).await? {
        return Ok(Proof::Limited(retry_after));
    }
    let Ok(turn) = engine.hasher.turn().await else {
        return Ok(Proof::Busy);
    };
    if let Some(retry_after) = limited(engine, &keys).await? {
        return Ok(Proof::Limited(retry_after));
    }
    let account = match Identifier::parse(credentials.identifier) {
        Ok(identifier) => engine.store.account(identifier).await?,
        Err(_) => None,
    };
    let hash = account.as_ref().and_then(|account| account.password.as_deref());
    let Ok(checked) = engine.hasher.check(turn, hash, credentials.password).await else {
        return Ok(Proof::Busy);
    };
    let (account, outdated) = match (account, checked) {
        (Some(account), Checked::Right { outdated }) if account.active => (account, outdated),
        (account, _) => {
            let mut event = Event::new(EventKind::SignInFailed, engine.now(), Actor::User, &*engine.random);
            event.user = account.map(|account| account.user);
            let event = event.from(&credentials.context);
            engine.store.note_failure(keys.to_vec(), engine.now(), engine.settings.sign_in.window, event).await?;
            return Ok(Proof::Wrong);
        }
    };
    if outdated {
        upgrade(engine, &account, credentials.password).await?;
    }
    Ok(Proof::Proven(Box::new(Proven { account, keys })))
}

/// The scopes asked for, each once; `None` if one of them cannot be had here. A token repeats nothing, however often it was said.
fn known_scopes(asked: &str) -> Option<String> {
    let known = ["openid", ADMIN_SCOPE];
    let all_known = asked.split(' ').all(|part| known.contains(&part));
    let kept = known.into_iter().filter(|scope| asked.split(' ').any(|part| part == *scope));
    all_known.then(|| kept.collect::<Vec<_>>().join(" "))
}

/// Opens a session for somebody who has just proven who they are.
pub(crate) async fn open(
    engine: &Arc<Engine>,
    account: Account,
    credentials: Credentials<'_>,
    audience: String,
    scope: String,
    keys: &[FailureKey; 3],
) -> Result<SignIn, Broken> {
    let now = engine.now();
    let kind = credentials.kind;
    let lifetime = engine.settings.lifetimes.of(kind);
    let absolute = lifetime.absolute.map_or(AbsoluteDeadline::NEVER, |absolute| AbsoluteDeadline(now.plus(absolute)));
    let mut salt = [0; 16];
    engine.random.fill(&mut salt);
    let session_id = SessionId::new(now, &*engine.random);
    let grant = Grant {
        id: GrantId::new(account.shard, &*engine.random),
        public_id: GrantRef::own_of(session_id),
        salt: Salt(salt),
        key: engine.refresh_keys.active(),
        endpoint: Endpoint::Session,
        client: ClientId::session_api(),
        user: account.user,
        session: Some(session_id),
        epoch: account.epoch,
        holding: Holding::Bearer,
        kind,
        generation: Generation::FIRST,
        fence: None,
        newest_used: false,
        scope: scope.into(),
        audience: audience.into(),
        issued_at: now,
        rotated_at: now,
        last_event: now,
        idle: IdleDeadline::sliding(now, lifetime.idle, absolute),
        absolute,
        context: credentials.context.clone(),
        networks: crate::context::Networks::starting_with(credentials.context.network),
        suspicion: Suspicion::default(),
        pace: Pace::default(),
        life: Life::Alive,
    };
    let session = Session {
        id: session_id,
        user: account.user,
        grant: grant.public_id,
        created_at: now,
        auth_time: now,
        amr: vec!["pwd".to_owned()],
        device: credentials.device,
        context: credentials.context.clone(),
        life: Life::Alive,
    };
    let event = Event::new(EventKind::SessionCreated, now, Actor::User, &*engine.random)
        .of(&grant)
        .from(&credentials.context)
        .with("delivery", kind.as_str());
    let replaces = credentials.replaces.map(|presented| {
        let grant = presented.grant;
        let replaced = Use {
            presented,
            client: ClientId::session_api(),
            asks_for_more: false,
            context: credentials.context.clone(),
            intent: Intent::Replace,
            terms: Terms::default(),
        };
        (grant, judge(engine, replaced, now))
    });
    let new = NewSession {
        session,
        grant: grant.clone(),
        limit: engine.settings.sessions_per_user,
        replaces,
        event,
        // The account's own counts are forgiven. The network's are not: one right password does not excuse a thousand others.
        forgive: keys.iter().take(2).copied().collect(),
    };
    let facts = match engine.store.open_session(new).await? {
        Opened::Opened { facts } => facts,
        Opened::UserChanged => return Ok(SignIn::Wrong),
    };
    let state = State {
        session: Some(Life::Alive),
        user: Owner::Active(account.epoch),
        session_until: None,
        client_exists: true,
        consent_stands: true,
        grant,
    };
    Tokens::fresh(engine, &Loaded { state, facts }, &Terms::default(), engine.now(), true)
        .map(|tokens| SignIn::Granted(Box::new(tokens)))
}

/// The account with this address, the account, the network: in this order.
fn failure_keys(engine: &Engine, credentials: &Credentials<'_>) -> [FailureKey; 3] {
    // Unknown identifiers are counted like known ones: a limit must not tell who exists.
    let account = match Identifier::parse(credentials.identifier) {
        Ok(identifier) => identifier.value,
        Err(_) => credentials.identifier.chars().take(Identifier::LONGEST).collect(),
    };
    let network = neighbourhood(credentials.address);
    let key = |parts: &[&[u8]]| FailureKey(engine.digests.failure(parts));
    [
        key(&[b"account and address", account.as_bytes(), &credentials.context.address.0]),
        key(&[b"account", account.as_bytes()]),
        key(&[b"network", &network]),
    ]
}

/// The addresses that failures are counted for together: a /24 (IPv4) or /64 (IPv6).
pub(crate) fn neighbourhood(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().into_iter().take(3).collect(),
        IpAddr::V6(v6) => v6.octets().into_iter().take(8).collect(),
    }
}

async fn limited(engine: &Engine, keys: &[FailureKey; 3]) -> Result<Option<Seconds>, Broken> {
    let limits = engine.settings.sign_in;
    let now = engine.now();
    let most = [limits.per_account_and_address, limits.per_account, limits.per_network];
    let counts = engine.store.failures(keys.to_vec()).await?;
    let waits = counts.into_iter().zip(most).filter(|(failures, most)| failures.count >= *most);
    let waits = waits.filter_map(|(failures, _)| failures.wait(limits.window, now));
    Ok(waits.max())
}

/// Hashes the right password again at today's cost. Skipped when hashing is busy: the next sign-in will do.
async fn upgrade(engine: &Engine, account: &Account, password: &str) -> Result<(), Broken> {
    let Some(expected) = account.password.clone() else {
        return Ok(());
    };
    match engine.hasher.hash(password).await {
        Ok(hash) => engine.store.upgrade_password(account.user, expected, hash).await,
        Err(_) => Ok(()),
    }
}
