//! What every test of the contract stands on: a place where a store is, the engine wired to it, a clock that is set by hand,
//! and short ways to sign in and to use a token.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use regrant_engine::{
    Engine,
    client::Clients,
    context::Context,
    digest::Digests,
    event::{Event, EventKind},
    factor::password::{Cost, Hasher},
    id::{SessionId, UserId},
    keyring::{self, Vault},
    login::{Credentials, SignIn, sign_in},
    mint::Mint,
    ports::{Broken, Clock, Random, Store, TimelineOf, Unobserved, UsersAdded},
    reason::{Reason, WireReason},
    refresh::{GrantKind, Intent, Refreshed, Refusal, Tokens, Use, refresh},
    session::SessionRecord,
    settings::Settings,
    time::{Seconds, Time},
    token::{Endpoint, KeyId, Master, RefreshKeys},
    user::{self, UserDraft},
};
use tokio::{sync::Barrier, task::JoinSet};

/// Where a store is. Each store's tests bring one.
pub(crate) trait Place: Send + Sync {
    /// Opens the store that is here, or makes it.
    fn open(&self) -> Arc<dyn Store>;
    /// What would be found had the machine stopped at this moment. The open store goes on in its old place.
    fn after_a_crash(&self) -> Box<dyn Place>;
    /// A place where no store is yet.
    fn beside(&self) -> Box<dyn Place>;
    /// How many mails wait in the outbox. No verb reads it yet.
    fn mails(&self) -> usize;
}

/// A store with an engine on it.
pub(crate) struct World {
    place: Box<dyn Place>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) settings: Settings,
    engine: Option<Arc<Engine>>,
}

/// What everybody's password is.
pub(crate) const PASSWORD: &str = "every horse eats oats";
pub(crate) const HOME: &str = "192.0.2.7";
pub(crate) const ABROAD: &str = "198.51.100.9";
pub(crate) const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
pub(crate) const CURL: &str = "curl/8.14";

const SEALING_SECRET: &[u8] = b"the sealing secret of the contract's key file";
const ISSUER: &str = "https://id.example";
const START: i64 = 1_800_000_000_000;
/// As cheap as Argon2 can be: its strength is the engine's to test.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// The defaults, but for a sweep that follows a clock that a test sets as far as it is set.
fn settings() -> Settings {
    let mut settings = Settings::new(ISSUER);
    settings.retention.pace = Seconds::days(3650);
    settings
}

impl World {
    pub(crate) async fn at(place: Box<dyn Place>) -> Self {
        let mut world =
            Self { place, clock: Arc::new(ManualClock(AtomicI64::new(START))), settings: settings(), engine: None };
        world.engine = Some(world.wired().await);
        world
    }

    /// The same with other settings.
    pub(crate) async fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.reopen().await;
        self
    }

    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(self.engine.as_ref().unwrap())
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.engine.as_ref().unwrap().store)
    }

    /// Closes the store in order and opens it again.
    pub(crate) async fn reopen(&mut self) {
        let engine = Arc::into_inner(self.engine.take().unwrap()).expect("somebody still holds the engine");
        assert_eq!(Arc::strong_count(&engine.store), 1, "somebody still holds the store");
        drop(engine);
        self.engine = Some(self.wired().await);
    }

    /// Stops the machine and opens what it left.
    pub(crate) async fn crash(&mut self) {
        let left = self.snapshot();
        self.go_to(left).await;
    }

    pub(crate) fn snapshot(&self) -> Box<dyn Place> {
        self.place.after_a_crash()
    }

    /// Goes on with another store, such as one that lost what was written since.
    pub(crate) async fn go_to(&mut self, place: Box<dyn Place>) {
        self.engine = None;
        self.place = place;
        self.engine = Some(self.wired().await);
    }

    pub(crate) fn beside(&self) -> Box<dyn Place> {
        self.place.beside()
    }

    pub(crate) fn mails(&self) -> usize {
        self.place.mails()
    }

    async fn wired(&self) -> Arc<Engine> {
        let store = self.place.open();
        let random: Arc<dyn Random> = Arc::new(RealRandom);
        let vault = Vault::new(SEALING_SECRET).unwrap();
        let keys = keyring::load(&*store, &vault, self.clock.now(), &*random).await.unwrap();
        let masters = BTreeMap::from([(KeyId(1), Master::new([7; 32]))]);
        let engine = Arc::new(Engine {
            store,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            refresh_keys: RefreshKeys::new(&masters, KeyId(1), ISSUER).unwrap(),
            mint: Mint::new(ISSUER, self.settings.access_token, &keys).unwrap(),
            digests: Digests::new(SEALING_SECRET).unwrap(),
            hasher: Hasher::new(CHEAP, 8, 1000, Arc::clone(&random)).unwrap(),
            clients: Clients::default(),
            resources: regrant_engine::resource::Resources::default(),
            settings: self.settings.clone(),
            random,
            observer: Arc::new(Unobserved),
        });
        engine.share_foresight();
        engine
    }

    /// Adds a user with [`PASSWORD`].
    pub(crate) async fn user(&self, name: &str) -> UserId {
        let engine = self.engine();
        let hash = engine.hasher.hash(PASSWORD).await.unwrap();
        let new = user::prepare(&engine, draft(&[name]), Some(hash)).unwrap();
        let id = new.id;
        assert_eq!(user::add(&engine, vec![new]).await, Ok(UsersAdded::Added));
        id
    }

    /// Signs somebody in from home.
    pub(crate) async fn sign_in(&self, name: &str) -> Signed {
        match try_sign_in(&self.engine(), name, PASSWORD, HOME, None).await {
            SignIn::Granted(tokens) => Signed::new(&tokens),
            other => panic!("the sign-in failed: {other:?}"),
        }
    }

    /// Uses `token` from home.
    pub(crate) async fn refresh(&self, token: &str) -> Seen {
        use_token(self.engine(), token.to_owned(), Intent::Rotate, HOME, FIREFOX).await
    }

    pub(crate) async fn refresh_from(&self, address: &str, agent: &str, token: &str) -> Seen {
        use_token(self.engine(), token.to_owned(), Intent::Rotate, address, agent).await
    }

    pub(crate) async fn peek(&self, token: &str) -> Seen {
        use_token(self.engine(), token.to_owned(), Intent::Peek, HOME, FIREFOX).await
    }

    pub(crate) async fn sign_out(&self, token: &str) -> Seen {
        use_token(self.engine(), token.to_owned(), Intent::SignOut, HOME, FIREFOX).await
    }

    /// The successor of `token`, which must rotate.
    pub(crate) async fn rotate(&self, token: &str) -> String {
        match self.refresh(token).await {
            Seen::Rotated(next) => next,
            other => panic!("it did not rotate: {other:?}"),
        }
    }

    pub(crate) async fn record(&self, id: SessionId) -> SessionRecord {
        self.store().session(id).await.unwrap().unwrap()
    }

    pub(crate) async fn generation(&self, id: SessionId) -> u32 {
        self.record(id).await.grant.generation.0
    }

    pub(crate) async fn timeline(&self, id: SessionId) -> Vec<Event> {
        self.store().timeline(TimelineOf::Session(id), 1000).await.unwrap()
    }

    /// How many events of `kind` a session's timeline has.
    pub(crate) async fn told(&self, id: SessionId, kind: EventKind) -> usize {
        self.timeline(id).await.iter().filter(|event| event.kind == kind).count()
    }

    /// Why `id` ended: the session and its own grant agree, and so does whoever asks with the token later.
    pub(crate) async fn ended(&self, id: SessionId) -> Option<Reason> {
        use regrant_engine::reason::Life;
        let record = self.record(id).await;
        match (record.session.life, record.grant.life) {
            (Life::Alive, Life::Alive) => None,
            (Life::Ended { reason, .. }, Life::Ended { reason: of_grant, .. }) => {
                assert_eq!(reason, of_grant, "a session and its own grant end together");
                Some(reason)
            }
            (session, grant) => panic!("the session is {session:?}, its own grant {grant:?}"),
        }
    }

    pub(crate) fn pass(&self, time: Seconds) {
        self.clock.set(self.clock.now().plus(time));
    }
}

/// What a sign-in gave.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) token: String,
    pub(crate) access: String,
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

impl Signed {
    pub(crate) fn new(tokens: &Tokens) -> Self {
        Self {
            token: tokens.refresh_token.as_ref().unwrap().expose().to_owned(),
            access: tokens.access_token.0.clone(),
            user: tokens.user,
            session: tokens.session.unwrap(),
        }
    }
}

/// What the user of a token sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// The successor was issued.
    Rotated(String),
    /// The successor was given again.
    Replayed(String),
    /// An access token only.
    Peeked,
    SignedOut,
    Over(WireReason),
    Refused(Refusal),
    Limited,
}

impl Seen {
    pub(crate) fn of(refreshed: &Refreshed) -> Self {
        match refreshed {
            Refreshed::Tokens(tokens) => match &tokens.refresh_token {
                None => Self::Peeked,
                // A replay tells no idle deadline.
                Some(token) if tokens.idle.is_none() => Self::Replayed(token.expose().to_owned()),
                Some(token) => Self::Rotated(token.expose().to_owned()),
            },
            Refreshed::Ended => Self::SignedOut,
            Refreshed::Over(reason) => Self::Over(*reason),
            Refreshed::Refused(refusal) => Self::Refused(*refusal),
            Refreshed::Elsewhere => panic!("nobody asks for a resource"),
            Refreshed::Limited(_) => Self::Limited,
        }
    }

    pub(crate) fn token(&self) -> Option<&str> {
        match self {
            Self::Rotated(token) | Self::Replayed(token) => Some(token),
            _ => None,
        }
    }
}

pub(crate) async fn use_token(engine: Arc<Engine>, token: String, intent: Intent, address: &str, agent: &str) -> Seen {
    Seen::of(&try_token(&engine, &token, intent, address, agent).await.unwrap())
}

pub(crate) async fn try_token(
    engine: &Arc<Engine>,
    token: &str,
    intent: Intent,
    address: &str,
    agent: &str,
) -> Result<Refreshed, Broken> {
    let presented = engine.refresh_keys.open(Endpoint::Session, token).unwrap();
    let used = Use::of_session(presented, context(engine, address, agent), intent);
    refresh(engine, used).await
}

pub(crate) async fn try_sign_in(
    engine: &Arc<Engine>,
    name: &str,
    password: &str,
    address: &str,
    replaces: Option<&str>,
) -> SignIn {
    let credentials = Credentials {
        identifier: name,
        password,
        kind: GrantKind::Cookie,
        device: Some("a test's laptop".to_owned()),
        audience: None,
        scope: None,
        address: ip(address),
        context: context(engine, address, FIREFOX),
        replaces: replaces.map(|token| engine.refresh_keys.open(Endpoint::Session, token).unwrap()),
    };
    sign_in(engine, credentials).await.unwrap()
}

pub(crate) fn context(engine: &Engine, address: &str, agent: &str) -> Context {
    engine.digests.context(ip(address), agent)
}

pub(crate) fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

pub(crate) fn draft(identifiers: &[&str]) -> UserDraft {
    UserDraft { identifiers: identifiers.iter().map(|name| (*name).to_owned()).collect(), ..UserDraft::default() }
}

/// Runs all of `work` at once: each waits for all others before it begins.
pub(crate) async fn at_once<T, F>(work: Vec<F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(work.len()));
    let mut tasks = JoinSet::new();
    for (index, one) in work.into_iter().enumerate() {
        let barrier = Arc::clone(&barrier);
        tasks.spawn(async move {
            barrier.wait().await;
            (index, one.await)
        });
    }
    let mut done = tasks.join_all().await;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// A clock that stands until it is set.
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn set(&self, now: Time) {
        self.0.store(now.millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// The randomness that the server has.
pub(crate) struct RealRandom;

impl Random for RealRandom {
    #[allow(clippy::disallowed_methods, reason = "this is the port through which randomness is passed in")]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}
