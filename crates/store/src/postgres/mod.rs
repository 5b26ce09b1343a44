//! The store for many nodes: PostgreSQL, and what speaks its protocol.
//!
//! 1. A verb takes a connection from the pool (`pool.rs`) and runs one transaction on it. A full pool is [`Broken::Overloaded`].
//! 2. READ COMMITTED, and locks that are taken in one order: a user's row first, then what the user holds. Whoever adds to what a
//!    user holds, or ends several things of it, locks the user; a use of a token locks its one grant.
//! 3. A transaction that was rolled back for somebody else's sake is run again (`fault.rs`). A COMMIT without an answer
//!    is told as [`Broken`]: the caller may ask again, and is given the same.
//! 4. A refresh that only rotates is one statement without a transaction around it: `swift.rs`.
//!
//! Every row that belongs to a user has the user's shard, and every statement of a request that can names it. Only SQL that
//! PostgreSQL, Citus, CockroachDB and YugabyteDB share: no LISTEN, no advisory locks, no triggers, no foreign keys.
//!
//! The verbs' SQL stands in the files that are named like the engine's, as the embedded store's does.

mod backchannel_logout;
mod client;
mod code;
mod consent;
mod device;
mod event;
mod fault;
mod grant;
mod key;
mod lease;
mod login;
mod meta;
mod pool;
mod refresh;
mod renewals;
mod resource;
mod role;
mod row;
mod schema;
mod seed;
mod session;
mod single_sign_on;
mod sweep;
mod swift;
mod tls;
mod url;
mod user;

use std::sync::{Arc, OnceLock};

use regrant_engine::{
    backchannel_logout::{Logout, Notice, Outcome},
    client::{Client, SecretId},
    code::Code,
    consent::Consent,
    event::Event,
    id::{ClientId, EventId, GrantRef, SessionId, UserId},
    keyring::SealedKey,
    login::{Account, FailureCount, FailureKey},
    ports::{
        Access, Answer, AnswerJudge, Answering, Broken, ClientAdded, ClientRemoved, ClientsKept, CodeJudge,
        DeviceCodeAdded, End, Foresight, GrantsEnded, Guess, Guessed, Identity, Judge, KeyMarked, Loaded, LogoutClaim,
        NewDeviceCode, NewSession, NewSignIn, Opened, PasswordChange, PasswordChanged, PollJudge, Polling, Random,
        Redemption, ResourceAdded, ResourceRemoved, ResourcesKept, Retention, RingSwapped, RoleChanged, SecretRotated,
        SessionFilter, SignInRecord, Store, Swept, TimelineOf, UserChanged, UserSelector, UsersAdded, Verdict, Wanted,
    },
    refresh::{Authentication, Grant, Swift},
    refresh_key::{KeyMark, RefreshKeyRecord},
    resource::Resource,
    session::{Session, SessionRecord},
    time::{Seconds, Time},
    token::{GrantId, KeyId},
    user::{Identifier, NewUser, Role, User},
};
use tokio::task::JoinError;

use self::{
    fault::Fault,
    pool::{Lease, Pool, Surroundings},
    swift::Swifts,
};
use crate::listener::Listener;

pub use self::{
    schema::{MIGRATIONS, Migration, OpenError},
    url::{Address, Environment},
};

/// How often a transaction is tried that others made fail.
const TRIES: u32 = 12;

/// What the operator may choose.
pub struct Options {
    /// How many connections a node may have.
    pub connections: usize,
    /// How many refreshes may share a statement; 1 for engines that spread over machines.
    pub batch: usize,
    /// Who hears of commits.
    pub listener: Option<Arc<dyn Listener>>,
    /// How far this machine's clock may be from the database's; further, and the node is not ready.
    pub clock: Option<Seconds>,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 16, batch: 256, listener: None, clock: None }
    }
}

/// The store for many nodes.
pub struct PostgresStore {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresStore")
    }
}

/// What outlives a request that was given up.
struct Inner {
    pool: Arc<Pool>,
    swifts: Swifts,
    /// Who this node is where only one of them may do something.
    holder: uuid::Uuid,
    clock: Option<Seconds>,
}

/// Runs the verb on a transaction, as often as it takes, and gives its value or what broke.
macro_rules! transact {
    ($inner:expr, $db:ident => $verb:expr) => {{
        let mut tries = 0;
        loop {
            let lease = match $inner.pool.take().await {
                Ok(lease) => lease,
                Err(fault) => break Err($crate::postgres::Broken::from(fault)),
            };
            lease.begin();
            let done = {
                let $db: &$crate::postgres::pool::Db = &lease;
                $verb.await
            };
            tries += 1;
            if let Some(ended) = $crate::postgres::end(lease, done, tries).await {
                break ended;
            }
        }
    }};
}
use transact;

/// Commits or rolls back; `None` if it is to be tried again.
async fn end<T>(lease: Lease, done: Result<T, Fault>, tries: u32) -> Option<Result<T, Broken>> {
    let (lease, fault) = match done {
        Ok(value) => {
            // From here on it is not given up: what is committed is told to whoever listens.
            let committing = tokio::spawn(async move {
                let committed = lease.commit().await;
                (lease, committed)
            });
            match committing.await {
                Ok((_, Ok(()))) => return Some(Ok(value)),
                // Only an answer says that nothing was committed. Without one nobody knows, and the caller asks again: that is
                // safe.
                Ok((_, Err(fault))) if !fault.is_passing() => return Some(Err(fault.into())),
                Ok((lease, Err(fault))) => (lease, fault),
                Err(_) => return Some(Err(Broken::Store("the store is stopping".to_owned()))),
            }
        }
        Err(fault) => (lease, fault),
    };
    if fault.is_stale_plan() {
        lease.forget_statements();
    }
    let again = match fault.is_lost() {
        // The pool may hold more that are dead; it makes new ones then.
        true => tries < 3,
        false => fault.is_passing() && tries < TRIES,
    };
    lease.roll_back().await;
    drop(lease);
    if again {
        if tries > 3 {
            // Nobody is to meet the same others at the same moment again.
            tokio::task::yield_now().await;
        }
        None
    } else {
        Some(Err(fault.into()))
    }
}

/// A verb that writes: it goes on when the request that asked for it is given up.
macro_rules! write {
    ($self:ident, $db:ident => $verb:expr) => {{
        let inner = Arc::clone(&$self.inner);
        Box::pin(async move { joined(tokio::spawn(async move { transact!(inner, $db => $verb) }).await) })
    }};
}

/// A verb that uses a token: it goes no further than the request that asked for it. Later, when its holder has gone on, the same
/// token would be an old one, and who uses those is a thief.
macro_rules! write_while_asked {
    ($self:ident, $db:ident => $verb:expr) => {{
        let inner = Arc::clone(&$self.inner);
        Box::pin(async move { transact!(inner, $db => $verb) })
    }};
}

/// A verb that reads: no transaction.
macro_rules! read {
    ($self:ident, $db:ident => $verb:expr) => {{
        let inner = &$self.inner;
        Box::pin(async move {
            let mut tries = 0;
            loop {
                let lease = inner.pool.take().await?;
                let done = {
                    let $db: &pool::Db = &lease;
                    $verb.await
                };
                tries += 1;
                match done {
                    Err(fault) if tries < 3 && (fault.is_lost() || fault.is_stale_plan()) => lease.forget_statements(),
                    done => break done.map_err(Broken::from),
                }
            }
        })
    }};
}

fn joined<T>(ran: Result<Result<T, Broken>, JoinError>) -> Result<T, Broken> {
    ran.unwrap_or_else(|_| Err(Broken::Store("the store is stopping".to_owned())))
}

impl PostgresStore {
    /// A store at `address`. Nothing is connected yet.
    #[must_use]
    pub fn new(address: Address, random: Arc<dyn Random>, options: Options) -> Self {
        let Options { connections, batch, listener, clock } = options;
        let wants_events = listener.as_ref().is_some_and(|listener| listener.wants_events());
        let surroundings = Surroundings { random, foresight: OnceLock::new(), listener, wants_events };
        // Some of a node's connections belong to the statement that many refreshes share, for two kinds of them.
        let workers = if batch > 1 { (connections / 8).clamp(1, 4) } else { 0 };
        let rest = connections.saturating_sub(2 * workers).max(1);
        let pool = Arc::new(Pool::new(address, rest, Arc::new(surroundings)));
        let swifts = Swifts::new(Arc::clone(&pool), batch, workers);
        let holder = lease::holder(pool.surroundings());
        Self { inner: Arc::new(Inner { pool, swifts, holder, clock }) }
    }

    /// Puts sessions with their own grants into the store as they are, without rules or events: for load tests, which need a
    /// full store sooner than people could sign in. Begins at once, within a Tokio runtime.
    pub fn seed(&self, sessions: Vec<(Session, Grant)>) -> Answer<'_, ()> {
        let inner = Arc::clone(&self.inner);
        let ran = tokio::spawn(async move { transact!(inner, db => seed::sessions(db, &sessions)) });
        Box::pin(async move { joined(ran.await) })
    }

    /// The same for users, without roles and passwords.
    pub fn seed_users(&self, users: Vec<NewUser>) -> Answer<'_, ()> {
        let inner = Arc::clone(&self.inner);
        let ran = tokio::spawn(async move { transact!(inner, db => seed::users(db, &users)) });
        Box::pin(async move { joined(ran.await) })
    }

    /// Whether there is a store, and one that this version can work on.
    ///
    /// # Errors
    /// [`OpenError`] says what is to be done.
    pub async fn check(&self) -> Result<(), OpenError> {
        schema::check(&*self.inner.pool.take().await?).await
    }

    /// The version of the schema that is there, 0 for none, and the newest that this binary knows.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked.
    pub async fn version(&self) -> Result<(u32, u32), Broken> {
        let lease = self.inner.pool.take().await?;
        Ok((schema::version(&lease).await?, schema::newest()))
    }

    /// The version of the schema that is there, and the migrations that are due.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked.
    pub async fn due(&self) -> Result<(u32, Vec<Migration>), Broken> {
        let (found, _) = self.version().await?;
        Ok((found, MIGRATIONS.into_iter().filter(|migration| migration.version > found).collect()))
    }

    /// Carries out the migrations that are due; which they were.
    ///
    /// # Errors
    /// [`OpenError`]; what was done until then stays.
    pub async fn migrate(&self) -> Result<Vec<Migration>, OpenError> {
        let lease = self.inner.pool.take().await?;
        let (mut done, mut tries) = (Vec::new(), 0);
        loop {
            match schema::step(&lease).await {
                Ok(Some(migration)) => {
                    done.push(migration);
                    schema::tune(&lease).await?;
                }
                Ok(None) => return schema::check(&lease).await.map(|()| done),
                // Somebody else makes the same tables at this moment.
                Err(OpenError::Broken(Broken::Store(_))) if tries < 3 => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Store for PostgresStore {
    fn foresee(&self, foresight: Foresight) {
        // Once: there is one engine.
        let _ = self.inner.pool.surroundings().foresight.set(foresight);
    }

    fn waiting(&self) -> (usize, usize) {
        (self.inner.pool.waiting(), 0)
    }

    fn refresh(&self, id: GrantId, wanted: Wanted, judge: Judge) -> Answer<'_, Verdict> {
        write_while_asked!(self, db => refresh::refresh(db, &id, wanted, &judge))
    }

    fn is_swift(&self) -> bool {
        true
    }

    fn renew(&self, swift: Swift, wanted: Wanted, judge: Judge) -> Answer<'_, Verdict> {
        Box::pin(async move {
            match self.inner.swifts.rotate(&swift, wanted).await? {
                Some(verdict) => Ok(verdict),
                None => self.refresh(swift.presented.grant, wanted, judge).await,
            }
        })
    }

    fn change_password(&self, id: GrantId, judge: Judge, change: PasswordChange) -> Answer<'_, PasswordChanged> {
        write_while_asked!(self, db => login::change_password(db, &id, &judge, &change))
    }

    fn open_session(&self, new: NewSession) -> Answer<'_, Opened> {
        write!(self, db => session::open(db, &new))
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<SessionRecord>> {
        read!(self, db => session::by_id(db, id))
    }

    fn session_of(&self, grant: GrantRef) -> Answer<'_, Option<SessionRecord>> {
        read!(self, db => session::by_grant(db, grant))
    }

    fn session_by_secret(&self, id: GrantId) -> Answer<'_, Option<SessionRecord>> {
        read!(self, db => session::by_secret(db, &id))
    }

    fn sessions(&self, filter: SessionFilter) -> Answer<'_, Vec<SessionRecord>> {
        read!(self, db => session::list(db, filter))
    }

    fn end_session(&self, id: SessionId, owner: Option<UserId>, end: End) -> Answer<'_, bool> {
        write!(self, db => session::end_one(db, id, owner, end))
    }

    fn end_sessions(&self, user: UserId, except: Option<SessionId>, end: End) -> Answer<'_, u64> {
        write!(self, db => session::end_sessions(db, user, except, end))
    }

    fn account(&self, identifier: Identifier) -> Answer<'_, Option<Account>> {
        read!(self, db => login::account(db, &identifier))
    }

    fn failures(&self, keys: Vec<FailureKey>) -> Answer<'_, Vec<FailureCount>> {
        read!(self, db => login::failures(db, &keys))
    }

    fn note_failure(&self, keys: Vec<FailureKey>, at: Time, window: Seconds, event: Event) -> Answer<'_, ()> {
        write!(self, db => login::note_failure(db, &keys, at, window, &event))
    }

    fn add_users(&self, users: Vec<NewUser>, event: Event) -> Answer<'_, UsersAdded> {
        write!(self, db => user::add(db, &users, &event))
    }

    fn user(&self, selector: UserSelector) -> Answer<'_, Option<User>> {
        read!(self, db => user::find(db, &selector))
    }

    fn users(&self, after: Option<UserId>, limit: u32) -> Answer<'_, Vec<User>> {
        read!(self, db => user::list(db, after, limit))
    }

    fn password_hash(&self, user: UserId) -> Answer<'_, Option<String>> {
        read!(self, db => login::password_hash(db, user))
    }

    fn set_password(&self, user: UserSelector, hash: String, end: End) -> Answer<'_, UserChanged> {
        write!(self, db => user::set_password(db, &user, &hash, end))
    }

    fn upgrade_password(&self, user: UserId, expected: String, hash: String) -> Answer<'_, ()> {
        write!(self, db => login::upgrade_password(db, user, &expected, &hash))
    }

    fn set_disabled(&self, user: UserSelector, disabled: bool, end: End) -> Answer<'_, UserChanged> {
        write!(self, db => user::set_disabled(db, &user, disabled, end))
    }

    fn delete_user(&self, user: UserSelector, end: End) -> Answer<'_, UserChanged> {
        write!(self, db => user::delete(db, &user, end))
    }

    fn add_role(&self, name: String, description: Option<String>, at: Time) -> Answer<'_, bool> {
        write!(self, db => role::add(db, &name, description.as_deref(), at))
    }

    fn roles(&self) -> Answer<'_, Vec<Role>> {
        read!(self, db => role::list(db))
    }

    fn remove_role(&self, name: String) -> Answer<'_, bool> {
        write!(self, db => role::remove(db, &name))
    }

    fn set_role(&self, role: String, user: UserSelector, has: bool, end: End) -> Answer<'_, RoleChanged> {
        write!(self, db => role::set(db, &role, &user, has, end))
    }

    fn add_client(&self, client: Client, event: Event) -> Answer<'_, ClientAdded> {
        write!(self, db => client::add(db, &client, &event))
    }

    fn client(&self, id: ClientId) -> Answer<'_, Option<Client>> {
        read!(self, db => client::find(db, &id))
    }

    fn clients(&self) -> Answer<'_, Vec<Client>> {
        read!(self, db => client::list(db))
    }

    fn rotate_client_secret(
        &self,
        id: ClientId,
        hash: [u8; 32],
        keep_until: Time,
        event: Event,
    ) -> Answer<'_, SecretRotated> {
        write!(self, db => client::rotate_secret(db, &id, &hash, keep_until, &event))
    }

    fn note_client_secret(&self, id: ClientId, secret: SecretId, at: Time) -> Answer<'_, ()> {
        write!(self, db => client::note_secret(db, &id, secret, at))
    }

    fn remove_client(&self, id: ClientId, end: End, event: Event) -> Answer<'_, ClientRemoved> {
        write!(self, db => client::remove(db, &id, end, &event))
    }

    fn keep_clients(&self, wanted: Vec<Client>, end: End) -> Answer<'_, ClientsKept> {
        write!(self, db => client::keep(db, &wanted, end))
    }

    fn add_resource(&self, resource: Resource, replaces: bool, event: Event) -> Answer<'_, ResourceAdded> {
        write!(self, db => resource::add(db, &resource, replaces, &event))
    }

    fn resources(&self) -> Answer<'_, Vec<Resource>> {
        read!(self, db => resource::list(db))
    }

    fn had_resources(&self) -> Answer<'_, bool> {
        read!(self, db => resource::had(db))
    }

    fn remove_resource(&self, id: String, event: Event) -> Answer<'_, ResourceRemoved> {
        write!(self, db => resource::remove(db, &id, &event))
    }

    fn keep_resources(&self, wanted: Vec<Resource>, end: End) -> Answer<'_, ResourcesKept> {
        write!(self, db => resource::keep(db, &wanted, end))
    }

    fn add_sign_in(&self, new: NewSignIn) -> Answer<'_, bool> {
        write!(self, db => single_sign_on::add(db, &new))
    }

    fn sign_in(&self, hash: [u8; 32]) -> Answer<'_, Option<SignInRecord>> {
        read!(self, db => single_sign_on::find(db, &hash))
    }

    fn add_code(&self, code: Code) -> Answer<'_, ()> {
        write!(self, db => code::add(db, &code))
    }

    fn redeem_code(&self, hash: [u8; 32], judge: CodeJudge) -> Answer<'_, Redemption> {
        write_while_asked!(self, db => code::redeem(db, &hash, &judge))
    }

    fn add_device_code(&self, new: NewDeviceCode) -> Answer<'_, DeviceCodeAdded> {
        write!(self, db => device::add(db, &new))
    }

    fn find_device_code(&self, user_code: [u8; 16], guess: Option<Guess>) -> Answer<'_, Guessed> {
        match guess {
            None => read!(self, db => device::again(db, &user_code)),
            Some(guess) => write!(self, db => device::find(db, &user_code, &guess)),
        }
    }

    fn answer_device_code(&self, user_code: [u8; 16], judge: AnswerJudge) -> Answer<'_, Answering> {
        write!(self, db => device::answer(db, &user_code, &judge))
    }

    fn poll_device_code(&self, hash: [u8; 32], judge: PollJudge) -> Answer<'_, Polling> {
        write_while_asked!(self, db => device::poll(db, &hash, &judge))
    }

    fn authentication(&self, grant: GrantId) -> Answer<'_, Option<Authentication>> {
        read!(self, db => code::authentication(db, &grant))
    }

    fn grant(&self, of: GrantRef) -> Answer<'_, Option<Loaded>> {
        read!(self, db => code::grant(db, of))
    }

    fn use_once(&self, hash: [u8; 32], until: Time) -> Answer<'_, bool> {
        write!(self, db => code::use_once(db, &hash, until))
    }

    fn consent(&self, user: UserId, client: ClientId) -> Answer<'_, Option<Consent>> {
        read!(self, db => consent::find(db, user, &client))
    }

    fn give_consent(&self, consent: Consent, event: Event) -> Answer<'_, ()> {
        write!(self, db => consent::give(db, &consent, &event))
    }

    fn withdraw_consent(&self, user: UserId, client: ClientId, end: End, event: Event) -> Answer<'_, bool> {
        write!(self, db => consent::withdraw(db, user, &client, end, &event))
    }

    fn access(&self, user: UserId, limit: u32) -> Answer<'_, Access> {
        read!(self, db => consent::access(db, user, limit))
    }

    fn claim_logouts(&self, claim: LogoutClaim) -> Answer<'_, Vec<Notice>> {
        write!(self, db => backchannel_logout::claim(db, &claim))
    }

    fn settle_logout(&self, notice: Notice, outcome: Outcome, at: Time, event: Option<Event>) -> Answer<'_, bool> {
        write!(self, db => backchannel_logout::settle(db, &notice, &outcome, at, event.as_ref()))
    }

    fn logouts(&self, session: SessionId) -> Answer<'_, Vec<Logout>> {
        read!(self, db => backchannel_logout::of_session(db, session))
    }

    fn timeline(&self, of: TimelineOf, limit: u32) -> Answer<'_, Vec<Event>> {
        read!(self, db => event::timeline(db, of, limit))
    }

    fn event(&self, id: EventId) -> Answer<'_, Option<Event>> {
        read!(self, db => event::by_id(db, id))
    }

    fn signing_keys(&self) -> Answer<'_, Vec<SealedKey>> {
        read!(self, db => key::all(db))
    }

    fn swap_signing_keys(
        &self,
        expected: Vec<SealedKey>,
        next: Vec<SealedKey>,
        events: Vec<Event>,
    ) -> Answer<'_, RingSwapped> {
        write!(self, db => key::swap(db, &expected, &next, &events))
    }

    fn refresh_keys(&self) -> Answer<'_, Vec<RefreshKeyRecord>> {
        read!(self, db => key::refresh_keys(db))
    }

    fn add_refresh_key(&self, id: KeyId, check_value: [u8; 16], event: Event) -> Answer<'_, ()> {
        write!(self, db => key::add_refresh_key(db, id, &check_value, &event))
    }

    fn refresh_key_uses(&self, now: Time) -> Answer<'_, Vec<(KeyId, u64)>> {
        read!(self, db => key::uses(db, now))
    }

    fn retire_refresh_key(&self, id: KeyId, mark: KeyMark, event: Event) -> Answer<'_, KeyMarked> {
        write!(self, db => key::retire_refresh_key(db, id, mark, &event))
    }

    fn end_grants_of_key(&self, id: KeyId, after: Option<GrantId>, batch: u32, end: End) -> Answer<'_, GrantsEnded> {
        write!(self, db => key::end_grants(db, id, after, batch, end))
    }

    fn identity(&self) -> Answer<'_, Identity> {
        read!(self, db => key::identity(db))
    }

    fn remember(&self, identity: Identity) -> Answer<'_, ()> {
        write!(self, db => key::remember(db, &identity))
    }

    fn end_sessions_of_all(&self, end: End, after: Option<SessionId>, limit: u32) -> Answer<'_, Option<SessionId>> {
        write!(self, db => session::end_next(db, end, after, limit))
    }

    fn count_sessions(&self) -> Answer<'_, u64> {
        read!(self, db => session::count(db))
    }

    fn has_live_sessions(&self, now: Time) -> Answer<'_, bool> {
        read!(self, db => key::any_alive(db, now))
    }

    fn sweep(&self, now: Time, retention: Retention) -> Answer<'_, Swept> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { joined(tokio::spawn(async move { sweep::sweep(&inner, now, retention).await }).await) })
    }

    fn ready(&self, now: Time) -> Answer<'_, ()> {
        let (clock, holder) = (self.inner.clock, self.inner.holder);
        write!(self, db => lease::ready(db, holder, now, clock))
    }
}

#[cfg(test)]
pub(crate) mod tests;
