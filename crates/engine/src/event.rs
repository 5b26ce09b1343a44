//! The timeline: what happened, to whom, from where and why. Written in the transaction that it tells of.

use std::{fmt, str::FromStr};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    context::{Context, Prefix, UserAgentFamily},
    id::{ClientId, EventId, Generation, GrantRef, SessionId, UserId},
    ports::Random,
    reason::{Reason, UnknownName, named},
    time::Time,
};

/// One line of the timeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Event {
    /// Its name; sorts by time.
    pub id: EventId,
    /// When.
    pub at: Time,
    /// What.
    pub kind: EventKind,
    /// Who caused it.
    pub actor: Actor,
    /// Whom it concerns.
    pub user: Option<UserId>,
    /// Which session.
    pub session: Option<SessionId>,
    /// Which grant.
    pub grant: Option<GrantRef>,
    /// Through which client.
    pub client: Option<ClientId>,
    /// Why, where something ended.
    pub reason: Option<Reason>,
    /// From where.
    pub context: Option<Origin>,
    /// What else belongs to this kind. Never a secret.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// The part of a context that the timeline keeps: no whole address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub struct Origin {
    /// Network prefix, /24 or /48.
    pub network: String,
    /// Browser and operating system without versions.
    pub user_agent: String,
}

impl From<&Context> for Origin {
    fn from(context: &Context) -> Self {
        Self { network: context.prefix.to_string(), user_agent: context.user_agent.as_str().to_owned() }
    }
}

named! {
    /// What happened. Closed: new kinds are added here and nowhere else.
    EventKind {
        /// A user was made.
        UserCreated = "user.created",
        /// A user can no longer sign in.
        UserDisabled = "user.disabled",
        /// A user can sign in again.
        UserEnabled = "user.enabled",
        /// A user and all that belongs to it was removed.
        UserDeleted = "user.deleted",
        /// A password was set or changed.
        PasswordChanged = "user.password_changed",
        /// A user got a role.
        RoleGranted = "role.granted",
        /// A user lost a role.
        RoleRevoked = "role.revoked",
        /// A sign-in failed.
        SignInFailed = "sign_in.failed",
        /// A user signed in.
        SessionCreated = "session.created",
        /// A session ended.
        SessionEnded = "session.ended",
        /// A refresh token was renewed.
        Rotated = "refresh.rotated",
        /// A predecessor was used again, and got the same successor.
        Replayed = "refresh.replayed",
        /// An old refresh token was used: the family ended.
        Reused = "refresh.reused",
        /// The store had lost its tail and believed the holder.
        Healed = "refresh.healed",
        /// A use ended the family for another reason.
        GrantEnded = "refresh.ended",
        /// A change of privilege issued a token beyond the next.
        Raised = "refresh.raised",
        /// A client was added.
        ClientAdded = "client.added",
        /// A client is another one than before: the configuration says so.
        ClientChanged = "client.changed",
        /// A client got a new secret.
        ClientSecretRotated = "client.secret_rotated",
        /// A client was removed, with all that was granted to it.
        ClientRemoved = "client.removed",
        /// A resource was added.
        ResourceAdded = "resource.added",
        /// A resource is another than before, by the configuration.
        ResourceChanged = "resource.changed",
        /// A resource was removed: no more tokens are made for it.
        ResourceRemoved = "resource.removed",
        /// A user proved who they are once more, in a session that goes on.
        Reauthenticated = "session.reauthenticated",
        /// An application got tokens of its own for a user.
        GrantIssued = "grant.issued",
        /// A code was redeemed a second time: what the first time gave ended.
        CodeReused = "code.reused",
        /// A user allowed an application what it asked for.
        ConsentGiven = "consent.given",
        /// A user took that back.
        ConsentWithdrawn = "consent.withdrawn",
        /// A user allowed a device what it asked for.
        DeviceAllowed = "device.allowed",
        /// A user did not.
        DeviceDenied = "device.denied",
        /// A user typed a code that is no device's.
        DeviceCodeWrong = "device.wrong_code",
        /// An application was told that a session ended.
        LogoutDelivered = "logout.delivered",
        /// An application could not be told, and will not be.
        LogoutGaveUp = "logout.gave_up",
        /// A refresh key was made; before 0.2 a signing key.
        KeyCreated = "key.created",
        /// A signing key was made and published; it signs later.
        KeyPublished = "key.published",
        /// A key signs, or makes refresh tokens, from now on.
        KeyActivated = "key.activated",
        /// A signing key signs no more; it is published as long as tokens of it live.
        KeyRetiring = "key.retiring",
        /// A key is gone.
        KeyRemoved = "key.removed",
        /// A key is gone at once, with all that it made: somebody else may have it.
        KeyCompromised = "key.compromised",
    }
}

/// Who caused an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Actor {
    /// The holder of a token, or somebody who signs in.
    User,
    /// The operator, by the command line.
    Operator,
    /// Regrant itself.
    System,
    /// A user with the role `admin`, by the admin API: told by the id.
    Admin(UserId),
    /// A client with the scope `regrant:admin`, by the admin API.
    Service,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Operator => f.write_str("operator"),
            Self::System => f.write_str("system"),
            Self::Admin(user) => user.fmt(f),
            Self::Service => f.write_str("service"),
        }
    }
}

impl FromStr for Actor {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "user" => Ok(Self::User),
            "operator" => Ok(Self::Operator),
            "system" => Ok(Self::System),
            "service" => Ok(Self::Service),
            other => other.parse().map(Self::Admin).map_err(|_| UnknownName),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Event {
    /// An event of `kind` at `at` that concerns nobody yet.
    #[must_use]
    pub fn new(kind: EventKind, at: Time, actor: Actor, random: &dyn Random) -> Self {
        Self {
            id: EventId::new(at, random),
            at,
            kind,
            actor,
            user: None,
            session: None,
            grant: None,
            client: None,
            reason: None,
            context: None,
            data: Map::new(),
        }
    }

    /// About this user.
    #[must_use]
    pub fn user(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// About this session.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// For this reason.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// From there.
    #[must_use]
    pub fn from(mut self, context: &Context) -> Self {
        self.context = Some(context.into());
        self
    }

    /// With one more fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// About this grant, its session, user and client.
    #[must_use]
    pub fn of(mut self, grant: &crate::refresh::Grant) -> Self {
        self.user = Some(grant.user);
        self.session = grant.session;
        self.grant = Some(grant.public_id);
        self.client = Some(grant.client.clone());
        self
    }
}

/// One renewal of a grant, as far as it is not said by the grant itself. Stores keep the last ones of each grant beside it:
/// there are more of them than of all other events together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// When.
    pub at: Time,
    /// The generation that it issued; the one before was presented.
    pub issued: Generation,
    /// By what program.
    pub user_agent: UserAgentFamily,
    /// From where.
    pub prefix: Prefix,
}

impl Renewal {
    /// The line of the timeline that tells of it.
    #[must_use]
    pub fn told(&self, grant: &crate::refresh::Grant) -> Event {
        let event = Event {
            id: EventId::of_renewal(self.at, grant.public_id, self.issued),
            at: self.at,
            kind: EventKind::Rotated,
            actor: Actor::User,
            user: None,
            session: None,
            grant: None,
            client: None,
            reason: None,
            context: Some(Origin { network: self.prefix.to_string(), user_agent: self.user_agent.as_str().to_owned() }),
            data: Map::new(),
        };
        event.of(grant).with("presented", self.issued.0.saturating_sub(1)).with("issued", self.issued.0)
    }
}

/// A mail that waits in the outbox: a row, written with the event that it tells of. Sending it is another's work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// To whom.
    pub user: UserId,
    /// Which text.
    pub kind: MailKind,
    /// When it was written.
    pub at: Time,
    /// What the text needs.
    pub data: Map<String, Value>,
}

named! {
    /// The mails that Regrant writes.
    MailKind {
        /// "Somebody used an old token of yours; we ended that session."
        SessionReused = "session_reused",
    }
}
