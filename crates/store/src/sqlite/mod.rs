//! The embedded store: one SQLite file, one writer with group commit, readers beside it.
//!
//! 1. A verb becomes a job and goes to the writer's queue (`worker.rs`); a full queue is [`Broken::Overloaded`].
//! 2. The writer takes all jobs that wait, up to a limit, and runs them in one transaction.
//! 3. It commits. WAL with synchronous=FULL: the commit returns when every record is on disk. Only then are the jobs
//!    answered: durable before said.
//! 4. A failed fsync ends the process, by the callback given to [`SqliteStore::open`]: after one, nobody knows what the disk
//!    holds, and asking it again would be told a lie.
//!
//! The verbs' SQL stands in the files that are named like the engine's: `refresh.rs`, `session.rs`, `user.rs`, …. Where grants are
//! kept, and why a use writes no row of its own, is in `grants/mod.rs`.

mod backchannel_logout;
pub mod backup;
mod client;
mod code;
mod consent;
mod device;
mod event;
mod fault;
mod file;
mod grants;
mod key;
mod login;
pub mod moving;
mod refresh;
mod resource;
mod role;
mod row;
mod session;
mod single_sign_on;
mod sweep;
mod user;
mod worker;

use std::{collections::BTreeMap, path::Path, sync::Arc};

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
        DeviceCodeAdded, End, Facts, GrantsEnded, Guess, Guessed, Identity, Judge, KeyMarked, Loaded, LogoutClaim,
        NewDeviceCode, NewSession, NewSignIn, Opened, PasswordChange, PasswordChanged, PollJudge, Polling, Random,
        Redemption, ResourceAdded, ResourceRemoved, ResourcesKept, Retention, RingSwapped, RoleChanged, SecretRotated,
        SessionFilter, SignInRecord, Store, Swept, TimelineOf, UserChanged, UserSelector, UsersAdded, Verdict, Wanted,
    },
    refresh::{Authentication, Grant},
    refresh_key::{KeyMark, RefreshKeyRecord},
    resource::Resource,
    session::{Session, SessionRecord},
    time::{Seconds, Time},
    token::{GrantId, KeyId},
    user::{Identifier, NewUser, Role, User},
};
use rusqlite::Connection;

pub use crate::listener::Listener;
pub use file::OpenError;
use worker::{Job, Workers, Writer};

use fault::Fault;
use grants::Desk;

/// How many jobs may wait for the writer, and for the readers.
const QUEUE: usize = 16 * 1024;
/// How many connections read beside the writer.
const READERS: usize = 2;

/// What is done when the disk fails to keep what it was given. It does not return to the store's work: it ends the process.
pub type OnLostDisk = Box<dyn Fn(&str) + Send + Sync>;

/// What the operator may choose.
pub struct Options {
    /// Who hears of the writer's work.
    pub listener: Option<Arc<dyn Listener>>,
    /// How many bytes of memory are for grants. Those beyond it are read from the file when they are used.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { listener: None, memory: DEFAULT_MEMORY }
    }
}

/// Room for more than a million grants.
pub const DEFAULT_MEMORY: usize = 192 << 20;

/// The embedded store.
pub struct SqliteStore {
    // Dropped in this order: whoever closes last writes the WAL back, and a reader may not.
    readers: Workers<Connection>,
    writer: Workers<Writer>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SqliteStore {
    /// Opens the store in `file`, makes it if it is not there, and migrates it.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the file and how to mend it.
    pub fn open(file: &Path, random: Arc<dyn Random>, on_lost_disk: OnLostDisk) -> Result<Self, OpenError> {
        Self::open_with(file, random, on_lost_disk, Options::default())
    }

    /// The same, as the operator wants it.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(
        file: &Path,
        random: Arc<dyn Random>,
        on_lost_disk: OnLostDisk,
        options: Options,
    ) -> Result<Self, OpenError> {
        let db = file::open_for_writing(file)?;
        moving::admit(&db)?;
        let desk = Desk::new(db, options.memory)?;
        let checkpoints = file::open_for_checkpoints(file)?;
        let readers = (0..READERS).map(|_| file::open_for_reading(file)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            writer: Workers::writer(Writer { desk, random }, checkpoints, QUEUE, on_lost_disk, options.listener),
            readers: Workers::readers(readers, QUEUE),
        })
    }

    /// Puts sessions with their own grants into the store as they are, without rules or events: for load tests, which need a
    /// full store sooner than people could sign in.
    pub fn seed(&self, sessions: Vec<(Session, Grant)>) -> Answer<'_, ()> {
        self.write(move |db| {
            sessions.iter().try_for_each(|(session, grant)| {
                let (auth_time, amr) = (session.auth_time, session.amr.as_slice().into());
                let facts = Facts { auth_time, amr, roles: [].into(), identifier: None, attributes: None };
                session::insert(db, session, grant, &facts)
            })
        })
    }

    /// Runs `job` in the next group commit.
    fn write<'a, T, F>(&'a self, mut job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnMut(&Desk) -> Result<T, Fault> + Send + 'static,
    {
        self.submit(Job::new(move |writer: &Writer| job(writer)))
    }

    fn submit<'a, T, F>(&'a self, job: Job<T, F>) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnMut(&Writer) -> Result<T, Fault> + Send + 'static,
    {
        let answer = self.writer.submit(job);
        Box::pin(async move { answer?.await.unwrap_or_else(|_| Err(stopped())) })
    }

    /// Runs `job` on a reader, on what was committed before it began. Not for grants: their newest state is on the writer's desk.
    fn read<'a, T, F>(&'a self, job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let answer = self.readers.submit(Job::new(job));
        Box::pin(async move { answer?.await.unwrap_or_else(|_| Err(stopped())) })
    }

    /// Runs `job`, which writes nothing, where the newest state of the grants is.
    fn look<'a, T, F>(&'a self, mut job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnMut(&Desk) -> Result<T, Fault> + Send + 'static,
    {
        self.submit(Job::reading(move |writer: &Writer| job(writer)))
    }

    /// A job that needs randomness, for the events that it writes.
    fn write_with<'a, T, F>(&'a self, mut job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnMut(&Desk, &dyn Random) -> Result<T, Fault> + Send + 'static,
    {
        self.submit(Job::new(move |writer: &Writer| job(writer, &*writer.random)))
    }
}

fn stopped() -> Broken {
    Broken::Store("the store is stopping".to_owned())
}

impl Store for SqliteStore {
    fn waiting(&self) -> (usize, usize) {
        (self.writer.waiting(), self.readers.waiting())
    }

    fn refresh(&self, id: GrantId, wanted: Wanted, judge: Judge) -> Answer<'_, Verdict> {
        self.submit(Job::on(id, move |writer: &Writer| refresh::refresh(writer, &*writer.random, &id, wanted, &judge)))
    }

    fn change_password(&self, id: GrantId, judge: Judge, change: PasswordChange) -> Answer<'_, PasswordChanged> {
        self.write_with(move |db, random| login::change_password(db, random, &id, &judge, &change))
    }

    fn open_session(&self, new: NewSession) -> Answer<'_, Opened> {
        self.write_with(move |db, random| session::open(db, random, &new))
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<SessionRecord>> {
        self.look(move |db| session::by_id(db, id))
    }

    fn session_of(&self, grant: GrantRef) -> Answer<'_, Option<SessionRecord>> {
        self.look(move |db| session::by_grant(db, grant))
    }

    fn session_by_secret(&self, id: GrantId) -> Answer<'_, Option<SessionRecord>> {
        self.look(move |db| session::by_secret(db, &id))
    }

    fn sessions(&self, filter: SessionFilter) -> Answer<'_, Vec<SessionRecord>> {
        self.look(move |db| session::list(db, filter))
    }

    fn end_session(&self, id: SessionId, owner: Option<UserId>, end: End) -> Answer<'_, bool> {
        self.write_with(move |db, random| session::end_one(db, random, id, owner, end))
    }

    fn end_sessions(&self, user: UserId, except: Option<SessionId>, end: End) -> Answer<'_, u64> {
        self.write_with(move |db, random| session::end_of_user(db, random, user, except, end))
    }

    fn account(&self, identifier: Identifier) -> Answer<'_, Option<Account>> {
        self.read(move |db| login::account(db, &identifier))
    }

    fn failures(&self, keys: Vec<FailureKey>) -> Answer<'_, Vec<FailureCount>> {
        self.read(move |db| login::failures(db, &keys))
    }

    fn note_failure(&self, keys: Vec<FailureKey>, at: Time, window: Seconds, event: Event) -> Answer<'_, ()> {
        self.write(move |db| login::note_failure(db, &keys, at, window, &event))
    }

    fn add_users(&self, users: Vec<NewUser>, event: Event) -> Answer<'_, UsersAdded> {
        self.write_with(move |db, random| user::add(db, random, &users, &event))
    }

    fn user(&self, selector: UserSelector) -> Answer<'_, Option<User>> {
        self.read(move |db| user::find(db, &selector))
    }

    fn users(&self, after: Option<UserId>, limit: u32) -> Answer<'_, Vec<User>> {
        self.read(move |db| user::list(db, after, limit))
    }

    fn password_hash(&self, user: UserId) -> Answer<'_, Option<String>> {
        self.read(move |db| login::password_hash(db, user))
    }

    fn set_password(&self, user: UserSelector, hash: String, end: End) -> Answer<'_, UserChanged> {
        self.write_with(move |db, random| user::set_password(db, random, &user, &hash, end))
    }

    fn upgrade_password(&self, user: UserId, expected: String, hash: String) -> Answer<'_, ()> {
        self.write(move |db| login::upgrade_password(db, user, &expected, &hash))
    }

    fn set_disabled(&self, user: UserSelector, disabled: bool, end: End) -> Answer<'_, UserChanged> {
        self.write_with(move |db, random| user::set_disabled(db, random, &user, disabled, end))
    }

    fn delete_user(&self, user: UserSelector, end: End) -> Answer<'_, UserChanged> {
        self.write_with(move |db, random| user::delete(db, random, &user, end))
    }

    fn add_role(&self, name: String, description: Option<String>, at: Time) -> Answer<'_, bool> {
        self.write(move |db| role::add(db, &name, description.as_deref(), at))
    }

    fn roles(&self) -> Answer<'_, Vec<Role>> {
        self.read(role::list)
    }

    fn remove_role(&self, name: String) -> Answer<'_, bool> {
        self.write(move |db| role::remove(db, &name))
    }

    fn set_role(&self, role: String, user: UserSelector, has: bool, end: End) -> Answer<'_, RoleChanged> {
        self.write_with(move |db, random| role::set(db, random, &role, &user, has, end))
    }

    fn add_client(&self, client: Client, event: Event) -> Answer<'_, ClientAdded> {
        self.write(move |db| client::add(db, &client, &event))
    }

    fn client(&self, id: ClientId) -> Answer<'_, Option<Client>> {
        self.read(move |db| client::find(db, &id))
    }

    fn clients(&self) -> Answer<'_, Vec<Client>> {
        self.read(client::list)
    }

    fn rotate_client_secret(
        &self,
        id: ClientId,
        hash: [u8; 32],
        keep_until: Time,
        event: Event,
    ) -> Answer<'_, SecretRotated> {
        self.write(move |db| client::rotate_secret(db, &id, &hash, keep_until, &event))
    }

    fn note_client_secret(&self, id: ClientId, secret: SecretId, at: Time) -> Answer<'_, ()> {
        self.write(move |db| client::note_secret(db, &id, secret, at))
    }

    fn remove_client(&self, id: ClientId, end: End, event: Event) -> Answer<'_, ClientRemoved> {
        self.write(move |db| client::remove(db, &id, end, &event))
    }

    fn keep_clients(&self, wanted: Vec<Client>, end: End) -> Answer<'_, ClientsKept> {
        self.write_with(move |db, random| client::keep(db, random, &wanted, end))
    }

    fn add_resource(&self, resource: Resource, replaces: bool, event: Event) -> Answer<'_, ResourceAdded> {
        self.write(move |db| resource::add(db, &resource, replaces, &event))
    }

    fn resources(&self) -> Answer<'_, Vec<Resource>> {
        self.read(resource::list)
    }

    fn had_resources(&self) -> Answer<'_, bool> {
        self.read(resource::had)
    }

    fn remove_resource(&self, id: String, event: Event) -> Answer<'_, ResourceRemoved> {
        self.write(move |db| resource::remove(db, &id, &event))
    }

    fn keep_resources(&self, wanted: Vec<Resource>, end: End) -> Answer<'_, ResourcesKept> {
        self.write_with(move |db, random| resource::keep(db, random, &wanted, end))
    }

    fn add_sign_in(&self, new: NewSignIn) -> Answer<'_, bool> {
        self.write(move |db| single_sign_on::add(db, &new))
    }

    fn sign_in(&self, hash: [u8; 32]) -> Answer<'_, Option<SignInRecord>> {
        self.look(move |db| single_sign_on::find(db, &hash))
    }

    fn add_code(&self, code: Code) -> Answer<'_, ()> {
        self.write(move |db| code::add(db, &code))
    }

    fn redeem_code(&self, hash: [u8; 32], judge: CodeJudge) -> Answer<'_, Redemption> {
        self.write_with(move |db, random| code::redeem(db, random, &hash, &judge))
    }

    fn add_device_code(&self, new: NewDeviceCode) -> Answer<'_, DeviceCodeAdded> {
        self.write(move |db| device::add(db, &new))
    }

    fn find_device_code(&self, user_code: [u8; 16], guess: Option<Guess>) -> Answer<'_, Guessed> {
        match guess {
            None => self.read(move |db| device::find(db, &user_code, None)),
            Some(guess) => self.write(move |db| device::find(db, &user_code, Some(&guess))),
        }
    }

    fn answer_device_code(&self, user_code: [u8; 16], judge: AnswerJudge) -> Answer<'_, Answering> {
        self.write(move |db| device::answer(db, &user_code, &judge))
    }

    fn poll_device_code(&self, hash: [u8; 32], judge: PollJudge) -> Answer<'_, Polling> {
        self.write_with(move |db, random| device::poll(db, random, &hash, &judge))
    }

    fn authentication(&self, grant: GrantId) -> Answer<'_, Option<Authentication>> {
        self.read(move |db| code::authentication(db, &grant))
    }

    fn grant(&self, of: GrantRef) -> Answer<'_, Option<Loaded>> {
        self.look(move |db| code::grant(db, of))
    }

    fn use_once(&self, hash: [u8; 32], until: Time) -> Answer<'_, bool> {
        self.write(move |db| code::use_once(db, &hash, until))
    }

    fn consent(&self, user: UserId, client: ClientId) -> Answer<'_, Option<Consent>> {
        self.read(move |db| consent::find(db, user, &client))
    }

    fn give_consent(&self, consent: Consent, event: Event) -> Answer<'_, ()> {
        self.write(move |db| consent::give(db, &consent, &event))
    }

    fn withdraw_consent(&self, user: UserId, client: ClientId, end: End, event: Event) -> Answer<'_, bool> {
        self.write(move |db| consent::withdraw(db, user, &client, end, &event))
    }

    fn access(&self, user: UserId, limit: u32) -> Answer<'_, Access> {
        self.look(move |db| consent::access(db, user, limit))
    }

    fn claim_logouts(&self, claim: LogoutClaim) -> Answer<'_, Vec<Notice>> {
        // It is asked every second, and nearly always there is nothing: the writer is not troubled by that.
        Box::pin(async move {
            let asked = claim.clone();
            match self.read(move |db| backchannel_logout::is_any_due(db, &asked)).await? {
                true => self.write(move |db| backchannel_logout::claim(db, &claim)).await,
                false => Ok(vec![]),
            }
        })
    }

    fn settle_logout(&self, notice: Notice, outcome: Outcome, at: Time, event: Option<Event>) -> Answer<'_, bool> {
        self.write(move |db| backchannel_logout::settle(db, &notice, &outcome, at, event.as_ref()))
    }

    fn logouts(&self, session: SessionId) -> Answer<'_, Vec<Logout>> {
        self.read(move |db| backchannel_logout::of_session(db, session))
    }

    fn timeline(&self, of: TimelineOf, limit: u32) -> Answer<'_, Vec<Event>> {
        self.look(move |db| event::timeline(db, of, limit))
    }

    fn event(&self, id: EventId) -> Answer<'_, Option<Event>> {
        self.read(move |db| event::by_id(db, id))
    }

    fn signing_keys(&self) -> Answer<'_, Vec<SealedKey>> {
        self.read(key::all)
    }

    fn swap_signing_keys(
        &self,
        expected: Vec<SealedKey>,
        next: Vec<SealedKey>,
        events: Vec<Event>,
    ) -> Answer<'_, RingSwapped> {
        self.write(move |db| key::swap(db, &expected, &next, &events))
    }

    fn refresh_keys(&self) -> Answer<'_, Vec<RefreshKeyRecord>> {
        self.read(key::refresh_keys)
    }

    fn add_refresh_key(&self, id: KeyId, check_value: [u8; 16], event: Event) -> Answer<'_, ()> {
        self.write(move |db| key::add_refresh_key(db, id, &check_value, &event))
    }

    fn refresh_key_uses(&self, now: Time) -> Answer<'_, Vec<(KeyId, u64)>> {
        // Step by step: nobody waits for all of it.
        Box::pin(async move {
            let (mut uses, mut after) = (BTreeMap::new(), None);
            loop {
                let (some, next) = self.look(move |db| key::uses(db, now, after, key::AT_ONCE)).await?;
                some.into_iter().for_each(|(key, count)| *uses.entry(key).or_default() += count);
                after = next;
                if after.is_none() {
                    return Ok(uses.into_iter().collect());
                }
            }
        })
    }

    fn retire_refresh_key(&self, id: KeyId, mark: KeyMark, event: Event) -> Answer<'_, KeyMarked> {
        self.write(move |db| key::retire_refresh_key(db, id, mark, &event))
    }

    fn end_grants_of_key(&self, id: KeyId, after: Option<GrantId>, batch: u32, end: End) -> Answer<'_, GrantsEnded> {
        self.write_with(move |db, random| key::end_grants(db, random, id, after, batch, end))
    }

    fn identity(&self) -> Answer<'_, Identity> {
        self.read(key::identity)
    }

    fn remember(&self, identity: Identity) -> Answer<'_, ()> {
        self.write(move |db| key::remember(db, &identity))
    }

    fn end_sessions_of_all(&self, end: End, after: Option<SessionId>, limit: u32) -> Answer<'_, Option<SessionId>> {
        self.write_with(move |db, random| session::end_next(db, random, end, after, limit))
    }

    fn count_sessions(&self) -> Answer<'_, u64> {
        self.read(session::count)
    }

    fn has_live_sessions(&self, now: Time) -> Answer<'_, bool> {
        Box::pin(async move {
            let mut after = None;
            loop {
                let (uses, next) = self.look(move |db| key::uses(db, now, after, key::AT_ONCE)).await?;
                after = next;
                if !uses.is_empty() || after.is_none() {
                    return Ok(!uses.is_empty());
                }
            }
        })
    }

    fn sweep(&self, now: Time, retention: Retention) -> Answer<'_, Swept> {
        self.write_with(move |db, random| {
            let more = code::sweep(db, now, retention)?;
            device::sweep(db, now, retention)?;
            backchannel_logout::sweep(db, now, retention)?;
            let swept = sweep::sweep(db, random, now, retention)?;
            Ok(Swept { more: swept.more || more, ..swept })
        })
    }

    fn ready(&self, now: Time) -> Answer<'_, ()> {
        self.write(move |db| sweep::remember(db, "ready", &now.millis().to_string()))
    }
}

#[cfg(test)]
pub(crate) mod tests;
