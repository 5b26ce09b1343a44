//! What the engine needs of the world: a store, a clock, randomness.
//!
//! One store verb is one transaction and one invariant, and it returns its outcome as a value. `Err` is a broken machine:
//! nothing was acknowledged, and the caller may try again.
//!
//! [`Store`] has the verbs; what they take and answer stands in the files of `ports/`, which are named like the rules'.

mod backchannel_logout;
mod client;
mod code;
mod consent;
mod device;
mod event;
mod key;
mod refresh;
mod resource;
mod session;
mod single_sign_on;
mod sweep;
mod user;

use std::{fmt, future::Future, pin::Pin};

use crate::{
    backchannel_logout::{Logout, Notice, Outcome},
    client::{Client, SecretId},
    code::Code,
    consent::Consent,
    event::{Actor, Event},
    id::{ClientId, EventId, GrantRef, SessionId, UserId},
    keyring::SealedKey,
    login::{Account, FailureCount, FailureKey},
    reason::Reason,
    refresh::{Authentication, Decision, Intent, Swift},
    refresh_key::{KeyMark, RefreshKeyRecord},
    resource::Resource,
    session::SessionRecord,
    time::{Seconds, Time},
    token::{GrantId, KeyId},
    user::{Identifier, NewUser, Role, User},
};

pub use backchannel_logout::LogoutClaim;
pub use client::{ClientAdded, ClientRemoved, ClientsKept, SecretRotated};
pub use code::{CodeJudge, Redemption};
pub use consent::Access;
pub use device::{
    AnswerJudge, Answered, Answering, DeviceCodeAdded, Guess, Guessed, NewDeviceCode, PollJudge, Polling, Quota,
};
pub use event::TimelineOf;
pub use key::{GrantsEnded, Identity, KeyMarked, RingSwapped};
pub use refresh::{Facts, Foresight, Judge, Loaded, Tags, Verdict, Wanted};
pub use resource::{ResourceAdded, ResourceRemoved, ResourcesKept};
pub use session::{NewSession, Opened, SessionFilter};
pub use single_sign_on::{NewSignIn, SignInRecord};
pub use sweep::{Carried, Retention, Swept};
pub use user::{PasswordChange, PasswordChanged, Places, RoleChanged, UserChanged, UserSelector, UsersAdded};

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

/// Where Regrant keeps its truth.
///
/// Every verb is one transaction, durable before its answer is given.
pub trait Store: Send + Sync {
    /// Tells the store how the next tokens of a grant are foreseen. Who loads and decides in one place needs nothing of it.
    fn foresee(&self, foresight: Foresight) {
        drop(foresight);
    }
    /// Tells the store where users live. Who has all on one machine needs nothing of it.
    fn place_users(&self, places: Places) {
        drop(places);
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
    /// The same for who knows whose it is, and checks that: a store that spreads over machines asks one of them.
    fn session_of_user(&self, user: UserId, id: SessionId) -> Answer<'_, Option<SessionRecord>> {
        let _ = user;
        self.session(id)
    }
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

    /// Adds a client with its secrets. No resource may have its id.
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
    /// Makes the clients of the configuration just these. No resource of the operator's may have the id of one.
    fn keep_clients(&self, wanted: Vec<Client>, end: End) -> Answer<'_, ClientsKept>;

    /// Adds a resource; `replaces`: also in the place of another one of this id that the operator looks after. No client may have
    /// its id.
    fn add_resource(&self, resource: Resource, replaces: bool, event: Event) -> Answer<'_, ResourceAdded>;
    /// All resources, by their ids.
    fn resources(&self) -> Answer<'_, Vec<Resource>>;
    /// Whether there was ever one.
    fn had_resources(&self) -> Answer<'_, bool>;
    /// Removes a resource that the operator looks after.
    fn remove_resource(&self, id: String, event: Event) -> Answer<'_, ResourceRemoved>;
    /// Makes the resources of the configuration just these; `end` says when and by whom. No client may have the id of one: those of
    /// the configuration are kept before.
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
    /// The same for who knows whose it is, from a token that this server signed.
    fn grant_of_user(&self, user: UserId, of: GrantRef) -> Answer<'_, Option<Loaded>> {
        let _ = user;
        self.grant(of)
    }
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
