//! What the engine needs of the world: a store, a clock, randomness.
//!
//! One store verb is one transaction and one invariant, and it returns its outcome as a value. `Err` is a broken machine:
//! nothing was acknowledged, and the caller may try again.

mod device;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    backchannel_logout::{Logout, Notice, Outcome},
    client::{Client, SecretId},
    code::{Code, LoadedCode},
    consent::Consent,
    event::{Actor, Event, Mail, Renewal},
    id::{ClientId, EventId, GrantRef, SessionId, UserId},
    keyring::SealedKey,
    login::{Account, FailureCount, FailureKey},
    reason::Reason,
    refresh::{Authentication, Decision, Grant, Intent, Owner, State, Swift},
    refresh_key::{KeyMark, RefreshKeyRecord},
    resource::Resource,
    session::{Session, SessionRecord},
    time::{Seconds, Time},
    token::{GrantId, KeyId},
    user::{Identifier, NewUser, Role, User},
};

pub use device::{
    AnswerJudge, Answered, Answering, DeviceCodeAdded, Guess, Guessed, NewDeviceCode, PollJudge, Polling, Quota,
};

/// The time of day. `SystemClock` in the server is the one that reads it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Time;
}

/// Randomness fit for secrets.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Hears what was decided, on the way of the request: it counts, and does not wait.
pub trait Observer: Send + Sync {
    /// A use of a token was decided so, and what follows from it is stored.
    fn decided(&self, intent: Intent, decision: &Decision);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn decided(&self, _: Intent, _: &Decision) {}
}

/// A store's answer on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Broken>> + Send + 'a>>;

/// The machine broke: nothing that was asked for is known to have happened, and nothing was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// Too much work waits already. Nothing was tried.
    Overloaded,
    /// The store failed; the text is for the operator.
    Store(String),
    /// The store holds something that this version cannot read; the text is for the operator.
    Damaged(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded => f.write_str("too much work is waiting already"),
            Self::Store(detail) => write!(f, "the store failed: {detail}"),
            Self::Damaged(detail) => write!(f, "the store holds something unreadable: {detail}"),
        }
    }
}

impl std::error::Error for Broken {}

/// What a store loads for one use of a grant: the state that is decided on, and the facts that tokens tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// What is decided on.
    pub state: State,
    /// What access tokens tell.
    pub facts: Arc<Facts>,
}

/// What access tokens tell of a session and its user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// When the user last proved who they are.
    pub auth_time: Time,
    /// How (RFC 8176).
    pub amr: Arc<[String]>,
    /// The user's roles, sorted.
    pub roles: Arc<[String]>,
    /// The user's first identifier; `None` too where it was not [`Wanted`].
    pub identifier: Option<String>,
    /// The user's claims, as the JSON object that the store has; `None` where there are none, or they were not [`Wanted`].
    /// Read only by what is mapped (`claims.rs`).
    pub attributes: Option<Arc<str>>,
}

/// Which facts of the user are read for a use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// What every access token tells: the roles. A store has them at hand.
    Roles,
    /// Identifier and claims too.
    Person,
}

/// Decides about a grant inside the store's transaction. Pure, so that a store may run it again.
pub type Judge = Box<dyn Fn(Option<&Loaded>) -> Verdict + Send + Sync>;

/// Four bytes each of the next tokens of a grant, in the places of their generations modulo [`Tags::AHEAD`]: a store that cannot
/// compute a token recognises it by them (`RefreshKeys::tags`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tags(pub Vec<u8>);

impl Tags {
    /// Of so many tokens: the newest and those to come.
    pub const AHEAD: u32 = 32;
    /// Bytes of each.
    pub const LENGTH: u32 = 4;

    /// Where the tag of a generation begins.
    #[must_use]
    pub const fn place(generation: crate::id::Generation) -> u32 {
        generation.0 % Self::AHEAD * Self::LENGTH
    }
}

/// Says what the next tokens of a grant will be, as far as a store may know.
pub type Foresight = Box<dyn Fn(&Grant) -> Option<Tags> + Send + Sync>;

/// What a judge says. The store carries it out, commits, and returns it.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// The decision of the table.
    pub decision: Decision,
    /// The grant as it is to be after this, with its facts; `None` where there is none.
    pub loaded: Option<Box<Loaded>>,
    /// The grant's row is to be written.
    pub write: bool,
    /// The grant's family ends so; if it is a session's own grant, with the session and all its grants.
    pub ends: Option<End>,
    /// The grant was renewed so: a line of the timeline, too.
    pub renewed: Option<Renewal>,
    /// To be written to the timeline.
    pub events: Vec<Event>,
    /// To be written to the outbox.
    pub mail: Option<Mail>,
}

/// When, why and by whom something is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// When.
    pub at: Time,
    /// Why.
    pub reason: Reason,
    /// By whom.
    pub actor: Actor,
}

/// A session to be opened.
pub struct NewSession {
    /// The session.
    pub session: Session,
    /// Its own grant. Its epoch is the one under which the user proved who they are.
    pub grant: Grant,
    /// How many live sessions the user may have, this one included.
    pub limit: u32,
    /// The grant in the caller's cookie, which this one takes the place of, with the judge of that use.
    pub replaces: Option<(GrantId, Judge)>,
    /// To be written to the timeline.
    pub event: Event,
    /// Failures to forget, since this sign-in succeeded.
    pub forgive: Vec<FailureKey>,
}

/// What became of a [`NewSession`].
#[derive(Clone, PartialEq, Debug)]
pub enum Opened {
    /// It is open; `facts` are the user's at that moment.
    Opened {
        /// For the first access token.
        facts: Facts,
    },
    /// The user was disabled, deleted or re-authenticated meanwhile: this sign-in counts for nothing.
    UserChanged,
}

/// A change of password by its owner.
#[derive(Clone)]
pub struct PasswordChange {
    /// The hash that the old password was compared with.
    pub expected: String,
    /// The new one.
    pub hash: String,
    /// To be written to the timeline.
    pub event: Event,
}

/// What became of a [`PasswordChange`].
#[derive(Clone, PartialEq, Debug)]
pub enum PasswordChanged {
    /// It holds; every other session of the user ended, and the verdict's grant was raised.
    Changed(Verdict),
    /// The grant may not do this now.
    NotAllowed(Verdict),
    /// Somebody changed the password meanwhile.
    Conflict,
}

/// Which sessions to list, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionFilter {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Those older than this one: the last of the page before.
    pub after: Option<SessionId>,
    /// At most so many.
    pub limit: u32,
    /// Ended ones too.
    pub ended: bool,
}

/// Which part of the timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimelineOf {
    /// All of a session.
    Session(SessionId),
    /// All of a user.
    User(UserId),
    /// One grant's.
    Grant(GrantRef),
}

/// What a sweep removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Sessions whose deadline had passed, now written as ended.
    pub expired: u64,
    /// Rows past their retention.
    pub removed: u64,
    /// A batch was full: another sweep finds more to look at.
    pub more: bool,
}

/// What became of going on with long work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried {
    /// Nothing is left to do.
    Done,
    /// A batch was done, and there may be more.
    More,
    /// Another node does it.
    Elsewhere,
}

/// What a sweep may remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Events, and sessions after their end.
    pub events: Seconds,
    /// Rotations in the timeline; the last [`Self::rotations_kept`] of a grant stay longer.
    pub rotations: Seconds,
    /// See [`Self::rotations`].
    pub rotations_kept: u32,
    /// Counts of failed sign-ins.
    pub failures: Seconds,
    /// A passed deadline is answered at once and written this much later, so that a wild clock destroys nothing.
    pub settle: Seconds,
    /// How far a sweep follows the clock beyond where the last one stood: one that is suddenly far ahead is not believed.
    pub pace: Seconds,
    /// At most so many rows of each kind in one transaction.
    pub batch: u32,
}

/// How to find a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserSelector {
    /// By its id.
    Id(UserId),
    /// By an identifier.
    Identifier(Identifier),
}

/// What became of a change to one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserChanged {
    /// It was made; so many sessions ended with it.
    Changed {
        /// How many.
        ended: u64,
    },
    /// There was nothing to change.
    Unchanged,
    /// There is no such user.
    NotFound,
}

/// What became of users to be added. All or none are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UsersAdded {
    /// All are there.
    Added,
    /// The `index`th one's identifier belongs to another user already.
    Taken {
        /// Counted from 0.
        index: usize,
    },
    /// The `index`th one has a role that does not exist.
    NoSuchRole {
        /// Counted from 0.
        index: usize,
        /// Its name.
        role: String,
    },
}

/// What became of a change to a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleChanged {
    /// It was made.
    Changed,
    /// It was so already.
    Unchanged,
    /// The user has as many as one can ([`crate::user::MOST_ROLES`]).
    TooMany,
    /// There is no such role.
    NoSuchRole,
    /// There is no such user.
    NoSuchUser,
}

/// What a store remembers of the keys and the issuer that it belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// The issuer, once one has served.
    pub issuer: Option<String>,
    /// The check value of each refresh key.
    pub refresh_keys: Vec<(KeyId, [u8; 16])>,
}

/// What became of a change of the signing keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RingSwapped {
    /// It was made.
    Swapped,
    /// The keys are not those that the change was decided on; nothing was done. These are there.
    Moved(Vec<SealedKey>),
}

/// What became of a refresh key that is to be retired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyMarked {
    /// It is marked: it can never be used again, whatever a key file says.
    Marked,
    /// It was marked before.
    Already,
    /// A live grant's newest token was made with it.
    InUse,
    /// The store never saw it.
    Unknown,
}

/// A sign-in of the provider's own pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSignIn {
    /// Of this session. A reference that it had before is worth nothing.
    pub session: SessionId,
    /// The SHA-256 of the reference.
    pub hash: [u8; 32],
    /// The proof.
    pub authentication: Authentication,
    /// The user's epoch when they gave it.
    pub epoch: crate::id::Epoch,
    /// To be written to the timeline.
    pub event: Option<Event>,
    /// Failures to forget.
    pub forgive: Vec<FailureKey>,
}

/// Whose reference it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignInRecord {
    /// The session.
    pub record: SessionRecord,
    /// The proof.
    pub authentication: Authentication,
    /// The user.
    pub user: Owner,
}

/// Decides about a code inside the store's transaction. Pure, so that a store may run it again.
pub type CodeJudge = Box<dyn Fn(Option<&LoadedCode>) -> Redemption + Send + Sync>;

/// What is said of a code. The store carries it out, commits, and returns it.
pub enum Redemption {
    /// It is good for nothing here; nothing changes.
    Refused,
    /// It comes a second time.
    Reused {
        /// The grant that it gave, and the judge that ends it.
        ends: (GrantId, Judge),
        /// To be written to the timeline.
        event: Event,
    },
    /// It is redeemed for this grant.
    Granted {
        /// The grant, new, with its facts.
        loaded: Box<Loaded>,
        /// The proof that it comes from: kept as long as the grant.
        authentication: Authentication,
        /// For the ID token.
        nonce: Option<String>,
        /// To be written to the timeline.
        event: Event,
    },
}

/// What applications may do for a user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// What the user allowed, by the clients' ids.
    pub consents: Vec<Consent>,
    /// The applications' grants that nobody has ended, newest first; a deadline may have passed.
    pub grants: Vec<Loaded>,
}

/// What became of a client to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientAdded {
    /// It is there.
    Added,
    /// There is one of this id already.
    Taken,
}

/// What became of a client's new secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretRotated {
    /// It works; the one before it for a while, too.
    Rotated,
    /// The client has no secret to be replaced.
    HasNone,
    /// The configuration looks after this client.
    Configured,
    /// There is no such client.
    NotFound,
}

/// What became of a client to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientRemoved {
    /// It is gone, and so many grants ended with it.
    Removed {
        /// How many.
        ended: u64,
    },
    /// The configuration looks after this client.
    Configured,
    /// There is no such client.
    NotFound,
}

/// What became of the clients of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientsKept {
    /// The store has them, and no other ones of the configuration.
    Kept {
        /// So many are new.
        added: u64,
        /// So many are others than before.
        changed: u64,
        /// So many are gone, with all their grants.
        removed: u64,
    },
    /// This one was added by the command line; nothing was done.
    Taken(ClientId),
}

/// What became of a resource to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceAdded {
    /// It is there.
    Added,
    /// It is there in the place of the one before.
    Replaced,
    /// There is one of this id already.
    Taken,
    /// There is one, and the configuration looks after it.
    Configured,
}

/// What became of a resource to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceRemoved {
    /// It is gone.
    Removed,
    /// The configuration looks after this resource.
    Configured,
    /// There is no such resource.
    NotFound,
}

/// What became of the resources of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResourcesKept {
    /// The store has them, and no other ones of the configuration.
    Kept {
        /// So many are new.
        added: u64,
        /// So many are others than before.
        changed: u64,
        /// So many are gone.
        removed: u64,
    },
    /// This one was added by the command line; nothing was done.
    Taken(String),
}

/// Which applications are to be told now that a session ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogoutClaim {
    /// What is due at this moment,
    pub now: Time,
    /// is claimed until then.
    pub until: Time,
    /// What is due only after this moment was written under a wild clock, and counts as due.
    pub wild: Time,
    /// Nothing of these clients.
    pub busy: Vec<ClientId>,
    /// Of so many clients at most.
    pub clients: u32,
    /// Of each so many at most.
    pub of_each: u32,
}

/// One step through all grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantsEnded {
    /// How many grants ended.
    pub ended: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<GrantId>,
}

/// Where Regrant keeps its truth.
///
/// Every verb is one transaction, durable before its answer is given.
pub trait Store: Send + Sync {
    /// Tells the store how the next tokens of a grant are foreseen. Who loads and decides in one place needs nothing of it.
    fn foresee(&self, foresight: Foresight) {
        drop(foresight);
    }
    /// How many jobs wait: those that write, and those that only read.
    fn waiting(&self) -> (usize, usize) {
        (0, 0)
    }
    /// Loads the grant `id` with the facts that are wanted, asks `judge`, carries its verdict out and returns it.
    fn refresh(&self, id: GrantId, wanted: Wanted, judge: Judge) -> Answer<'_, Verdict>;
    /// Whether [`renew`](Self::renew) is any faster.
    fn is_swift(&self) -> bool {
        false
    }
    /// Does what [`refresh`](Self::refresh) does, in one statement where that is sure to do the same.
    fn renew(&self, swift: Swift, wanted: Wanted, judge: Judge) -> Answer<'_, Verdict> {
        self.refresh(swift.presented.grant, wanted, judge)
    }
    /// Changes a password by its owner: judge, new hash, new epoch, everything else of the user ended, in one.
    fn change_password(&self, id: GrantId, judge: Judge, change: PasswordChange) -> Answer<'_, PasswordChanged>;
    /// Opens a session; re-reads the user, keeps the limit, ends what it replaces.
    fn open_session(&self, new: NewSession) -> Answer<'_, Opened>;
    /// One session.
    fn session(&self, id: SessionId) -> Answer<'_, Option<SessionRecord>>;
    /// The session that a grant belongs to.
    fn session_of(&self, grant: GrantRef) -> Answer<'_, Option<SessionRecord>>;
    /// The session that a grant belongs to, by its secret id: for `regrant explain`, which has a token.
    fn session_by_secret(&self, id: GrantId) -> Answer<'_, Option<SessionRecord>>;
    /// Many sessions.
    fn sessions(&self, filter: SessionFilter) -> Answer<'_, Vec<SessionRecord>>;
    /// Ends a session and all its grants; whether there was a live one (of `owner`).
    fn end_session(&self, id: SessionId, owner: Option<UserId>, end: End) -> Answer<'_, bool>;
    /// Ends a user's sessions but one; how many.
    fn end_sessions(&self, user: UserId, except: Option<SessionId>, end: End) -> Answer<'_, u64>;

    /// Who signs in by this identifier.
    fn account(&self, identifier: Identifier) -> Answer<'_, Option<Account>>;
    /// The failures counted under `keys`, in their order.
    fn failures(&self, keys: Vec<FailureKey>) -> Answer<'_, Vec<FailureCount>>;
    /// Counts one failure under each of `keys`; counts older than `window` begin anew.
    fn note_failure(&self, keys: Vec<FailureKey>, at: Time, window: Seconds, event: Event) -> Answer<'_, ()>;

    /// Adds users.
    fn add_users(&self, users: Vec<NewUser>, event: Event) -> Answer<'_, UsersAdded>;
    /// One user.
    fn user(&self, selector: UserSelector) -> Answer<'_, Option<User>>;
    /// Many users in the order of their creation, after one, at most `limit`.
    fn users(&self, after: Option<UserId>, limit: u32) -> Answer<'_, Vec<User>>;
    /// A user's password hash, for the export.
    fn password_hash(&self, user: UserId) -> Answer<'_, Option<String>>;
    /// Sets a password by the operator: new epoch, everything of the user ended.
    fn set_password(&self, user: UserSelector, hash: String, end: End) -> Answer<'_, UserChanged>;
    /// Replaces a hash of the same password by a better one. Nothing else changes.
    fn upgrade_password(&self, user: UserId, expected: String, hash: String) -> Answer<'_, ()>;
    /// Disables a user (everything it holds ends) or enables it.
    fn set_disabled(&self, user: UserSelector, disabled: bool, end: End) -> Answer<'_, UserChanged>;
    /// Deletes a user and all that belongs to it.
    fn delete_user(&self, user: UserSelector, end: End) -> Answer<'_, UserChanged>;

    /// Adds a role; whether it is new.
    fn add_role(&self, name: String, description: Option<String>, at: Time) -> Answer<'_, bool>;
    /// All roles, by their names.
    fn roles(&self) -> Answer<'_, Vec<Role>>;
    /// Removes a role from everybody; whether there was one.
    fn remove_role(&self, name: String) -> Answer<'_, bool>;
    /// Gives or takes a role.
    fn set_role(&self, role: String, user: UserSelector, has: bool, end: End) -> Answer<'_, RoleChanged>;

    /// Adds a client with its secrets.
    fn add_client(&self, client: Client, event: Event) -> Answer<'_, ClientAdded>;
    /// One client.
    fn client(&self, id: ClientId) -> Answer<'_, Option<Client>>;
    /// All clients, by their ids.
    fn clients(&self) -> Answer<'_, Vec<Client>>;
    /// Gives a client a new secret; the newest one before works until `keep_until`, older ones no more.
    fn rotate_client_secret(
        &self,
        id: ClientId,
        hash: [u8; 32],
        keep_until: Time,
        event: Event,
    ) -> Answer<'_, SecretRotated>;
    /// Notes when a secret was used.
    fn note_client_secret(&self, id: ClientId, secret: SecretId, at: Time) -> Answer<'_, ()>;
    /// Removes a client that the operator looks after; everything that was granted to it ends.
    fn remove_client(&self, id: ClientId, end: End, event: Event) -> Answer<'_, ClientRemoved>;
    /// Makes the clients of the configuration just these.
    fn keep_clients(&self, wanted: Vec<Client>, end: End) -> Answer<'_, ClientsKept>;

    /// Adds a resource; `replaces`: also in the place of another one of this id that the operator looks after.
    fn add_resource(&self, resource: Resource, replaces: bool, event: Event) -> Answer<'_, ResourceAdded>;
    /// All resources, by their ids.
    fn resources(&self) -> Answer<'_, Vec<Resource>>;
    /// Whether there was ever one.
    fn had_resources(&self) -> Answer<'_, bool>;
    /// Removes a resource that the operator looks after.
    fn remove_resource(&self, id: String, event: Event) -> Answer<'_, ResourceRemoved>;
    /// Makes the resources of the configuration just these; `end` says when and by whom.
    fn keep_resources(&self, wanted: Vec<Resource>, end: End) -> Answer<'_, ResourcesKept>;

    /// Keeps a sign-in of the provider's pages; `false` if its session or user is not what it was.
    fn add_sign_in(&self, new: NewSignIn) -> Answer<'_, bool>;
    /// Whose reference has this hash.
    fn sign_in(&self, hash: [u8; 32]) -> Answer<'_, Option<SignInRecord>>;
    /// Keeps a code.
    fn add_code(&self, code: Code) -> Answer<'_, ()>;
    /// Loads a code with what it hangs on, asks `judge`, carries out what it says and returns it.
    fn redeem_code(&self, hash: [u8; 32], judge: CodeJudge) -> Answer<'_, Redemption>;
    /// Keeps a device's codes, if there may be more of them.
    fn add_device_code(&self, new: NewDeviceCode) -> Answer<'_, DeviceCodeAdded>;
    /// Looks a user code up, as a guess that is counted if it is wrong, or for somebody who found it before.
    fn find_device_code(&self, user_code: [u8; 16], guess: Option<Guess>) -> Answer<'_, Guessed>;
    /// Loads a device's codes by the user code, asks `judge`, carries out what it says and returns it.
    fn answer_device_code(&self, user_code: [u8; 16], judge: AnswerJudge) -> Answer<'_, Answering>;
    /// Loads a device's codes with what they hang on, asks `judge`, carries out what it says and returns it.
    fn poll_device_code(&self, hash: [u8; 32], judge: PollJudge) -> Answer<'_, Polling>;
    /// The proof that a grant of the OAuth endpoints comes from.
    fn authentication(&self, grant: GrantId) -> Answer<'_, Option<Authentication>>;
    /// A grant by its public id, as of now.
    fn grant(&self, of: GrantRef) -> Answer<'_, Option<Loaded>>;
    /// Notes that something was used that may be used once, until then; whether this is the first time.
    fn use_once(&self, hash: [u8; 32], until: Time) -> Answer<'_, bool>;
    /// What a user allowed an application.
    fn consent(&self, user: UserId, client: ClientId) -> Answer<'_, Option<Consent>>;
    /// Remembers what a user allowed, together with what they allowed before.
    fn give_consent(&self, consent: Consent, event: Event) -> Answer<'_, ()>;
    /// Forgets it, and ends every grant of the application for this user; whether there was anything.
    fn withdraw_consent(&self, user: UserId, client: ClientId, end: End, event: Event) -> Answer<'_, bool>;
    /// What applications may do for a user, with `limit` of the grants at most, the newest.
    fn access(&self, user: UserId, limit: u32) -> Answer<'_, Access>;

    /// Claims what applications are to be told of ends of sessions, each for one attempt.
    fn claim_logouts(&self, claim: LogoutClaim) -> Answer<'_, Vec<Notice>>;
    /// Notes what became of an attempt, with its event. `false`, and nothing changes, if another one has settled it, or has begun
    /// since and this one did not succeed.
    fn settle_logout(&self, notice: Notice, outcome: Outcome, at: Time, event: Option<Event>) -> Answer<'_, bool>;
    /// What applications were told of the end of a session, by their ids.
    fn logouts(&self, session: SessionId) -> Answer<'_, Vec<Logout>>;

    /// The timeline, oldest first, at most `limit` of the newest.
    fn timeline(&self, of: TimelineOf, limit: u32) -> Answer<'_, Vec<Event>>;
    /// One event.
    fn event(&self, id: EventId) -> Answer<'_, Option<Event>>;

    /// The signing keys, sealed.
    fn signing_keys(&self) -> Answer<'_, Vec<SealedKey>>;
    /// Puts `next` in the place of the signing keys if they are still `expected`, in whatever order.
    fn swap_signing_keys(
        &self,
        expected: Vec<SealedKey>,
        next: Vec<SealedKey>,
        events: Vec<Event>,
    ) -> Answer<'_, RingSwapped>;

    /// The refresh keys that the store was ever used with.
    fn refresh_keys(&self) -> Answer<'_, Vec<RefreshKeyRecord>>;
    /// Remembers a new refresh key, unless it is remembered already.
    fn add_refresh_key(&self, id: KeyId, check_value: [u8; 16], event: Event) -> Answer<'_, ()>;
    /// How many live grants have their newest token from each refresh key.
    fn refresh_key_uses(&self, now: Time) -> Answer<'_, Vec<(KeyId, u64)>>;
    /// Marks a refresh key as never to be used again; unless it is compromised, only if no live grant's newest token is of it.
    fn retire_refresh_key(&self, id: KeyId, mark: KeyMark, event: Event) -> Answer<'_, KeyMarked>;
    /// Ends the grants after `after`, `batch` of them at most being looked at, whose newest token is of this key; if it is a
    /// session's own grant, with the session and all its grants.
    fn end_grants_of_key(&self, id: KeyId, after: Option<GrantId>, batch: u32, end: End) -> Answer<'_, GrantsEnded>;

    /// What the store remembers of keys and issuer.
    fn identity(&self) -> Answer<'_, Identity>;
    /// Remembers them. Check values are only ever added.
    fn remember(&self, identity: Identity) -> Answer<'_, ()>;
    /// Ends the next `limit` sessions of everybody after one; the last of them, `None` once all have ended, and with them the grants
    /// that have no session.
    fn end_sessions_of_all(&self, end: End, after: Option<SessionId>, limit: u32) -> Answer<'_, Option<SessionId>>;
    /// How many sessions live as far as the rows say: a passed deadline counts once it is written. Reads them all, so it is asked
    /// seldom, and is no part of a request.
    fn count_sessions(&self) -> Answer<'_, u64>;
    /// Whether any session is alive at `now` as far as the rows say.
    fn has_live_sessions(&self, now: Time) -> Answer<'_, bool>;

    /// Writes passed deadlines and removes what is past its retention, a batch of each.
    fn sweep(&self, now: Time, retention: Retention) -> Answer<'_, Swept>;
    /// Goes on by a batch with what a change of the tables left to be done beside the requests.
    fn carry_on(&self) -> Answer<'_, Carried> {
        Box::pin(async { Ok(Carried::Done) })
    }
    /// Whether the store can write: a row is written and on disk.
    fn ready(&self, now: Time) -> Answer<'_, ()>;
}
