//! The store for many nodes: PostgreSQL, and what speaks its protocol.
//!
//! 1. A verb takes a connection from the pool (`pool.rs`) and runs one transaction on it (`transaction.rs`). A full pool is
//!    [`Broken::Overloaded`].
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
mod long;
mod meta;
mod migrate;
mod moving;
mod pool;
mod refresh;
pub(crate) mod renewals;
mod resource;
mod restored;
mod role;
mod row;
mod schema;
mod seed;
mod session;
mod single_sign_on;
pub mod spread;
mod stopwatch;
mod sweep;
mod swift;
mod tls;
mod transaction;
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
        Access, Answer, AnswerJudge, Answering, Broken, Carried, ClientAdded, ClientRemoved, ClientsKept, CodeJudge,
        DeviceCodeAdded, End, Foresight, GrantsEnded, Guess, Guessed, Identity, Judge, KeyMarked, Loaded, LogoutClaim,
        NewDeviceCode, NewSession, NewSignIn, Opened, PasswordChange, PasswordChanged, Places, PollJudge, Polling,
        Random, Redemption, ResourceAdded, ResourceRemoved, ResourcesKept, Retention, RingSwapped, RoleChanged,
        SecretRotated, SessionFilter, SignInRecord, Store, Swept, TimelineOf, UserChanged, UserSelector, UsersAdded,
        Verdict, Wanted,
    },
    refresh::{Authentication, Grant, Swift},
    refresh_key::{KeyMark, RefreshKeyRecord},
    resource::Resource,
    session::{Session, SessionRecord},
    time::{Seconds, Time},
    token::{GrantId, KeyId},
    user::{Identifier, NewUser, Role, User},
};

use self::{
    pool::{Pool, Surroundings},
    stopwatch::Stopwatch,
    swift::Swifts,
    transaction::{joined, read, transact, write, write_while_asked},
};
use crate::listener::Listener;

pub(crate) use self::grant::endpoint_name;
pub use self::{
    long::{Fill, Index, Long, LongState, LongWork},
    restored::{Contents, Durability},
    schema::{MIGRATIONS, Migration, OpenError},
    url::{Address, Environment},
};

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
    /// The migrations: other ones than this version's for tests of migrating.
    pub migrations: &'static [Migration],
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 16, batch: 256, listener: None, clock: None, migrations: &MIGRATIONS }
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
    migrations: &'static [Migration],
}

impl PostgresStore {
    /// A store at `address`. Nothing is connected yet.
    #[must_use]
    pub fn new(address: Address, random: Arc<dyn Random>, options: Options) -> Self {
        let Options { connections, batch, listener, clock, migrations } = options;
        let wants_events = listener.as_ref().is_some_and(|listener| listener.wants_events());
        let (foresight, places) = (OnceLock::new(), OnceLock::new());
        let surroundings = Surroundings { random, foresight, places, listener, wants_events };
        // Some of a node's connections belong to the statement that many refreshes share, for two kinds of them.
        let workers = if batch > 1 { (connections / 8).clamp(1, 4) } else { 0 };
        let rest = connections.saturating_sub(2 * workers).max(1);
        let pool = Arc::new(Pool::new(address, rest, Arc::new(surroundings)));
        let swifts = Swifts::new(Arc::clone(&pool), batch, workers);
        let holder = lease::holder(pool.surroundings());
        Self { inner: Arc::new(Inner { pool, swifts, holder, clock, migrations }) }
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

    /// What is still to be said to Citus, where the database is one of its: a statement for each table that is not spread over
    /// its machines yet. None on every other engine.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked.
    pub async fn unspread(&self) -> Result<Vec<String>, Broken> {
        let lease = self.inner.pool.take().await?;
        Ok(spread::due(&lease).await?)
    }

    /// What is in the store, counted row by row: for who has put a backup into the database.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked.
    pub async fn contents(&self) -> Result<Contents, Broken> {
        Ok(restored::contents(&*self.inner.pool.take().await?).await?)
    }

    /// What becomes of acknowledged commits when the primary is lost.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be asked; not every engine knows the words.
    pub async fn durability(&self) -> Result<Durability, Broken> {
        Ok(restored::durability(&*self.inner.pool.take().await?).await?)
    }
}

impl Store for PostgresStore {
    fn foresee(&self, foresight: Foresight) {
        // Once: there is one engine.
        let _ = self.inner.pool.surroundings().foresight.set(foresight);
    }

    fn place_users(&self, places: Places) {
        // Once, too.
        let _ = self.inner.pool.surroundings().places.set(places);
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

    fn session_of_user(&self, user: UserId, id: SessionId) -> Answer<'_, Option<SessionRecord>> {
        read!(self, db => session::by_user(db, user, id))
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

    fn grant_of_user(&self, user: UserId, of: GrantRef) -> Answer<'_, Option<Loaded>> {
        read!(self, db => code::grant_of_user(db, user, of))
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
        // Every node asks this every two seconds: so one that still runs on a store that moves stops working on it.
        Box::pin(async move {
            let moved: Answer<'_, _> = read!(self, db => moving::why_not(db));
            if let Some(why) = moved.await? {
                self.inner.pool.close(why);
            }
            let keys: Answer<'_, _> = read!(self, db => key::all(db));
            keys.await
        })
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

    fn carry_on(&self) -> Answer<'_, Carried> {
        // Given up, the batch is rolled back: whoever goes on finds where it was.
        Box::pin(long::carry_on(&self.inner))
    }

    fn ready(&self, now: Time) -> Answer<'_, ()> {
        let Inner { clock, holder, migrations, .. } = *self.inner;
        let asked = Stopwatch::start();
        write!(self, db => lease::ready(db, holder, now, asked, clock, migrations))
    }
}

#[cfg(test)]
pub(crate) mod tests;
