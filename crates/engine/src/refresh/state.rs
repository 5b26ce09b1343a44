//! What the rotation decides on and what it says: a grant with its surroundings, one use of its token, the operator's policy,
//! the decisions. No rules: they are in `refresh.rs`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    common::Common,
    context::{Context, Networks},
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    reason::{Life, Reason, named},
    time::{AbsoluteDeadline, IdleDeadline, Seconds, Time},
    token::{Endpoint, GrantId, KeyId, Salt},
};

/// A grant with all that its use depends on: what the store loads, and what [`decide`](super::decide) reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// The grant itself.
    pub grant: Grant,
    /// The session that it belongs to, `None` for an offline grant.
    pub session: Option<Life>,
    /// When that session's own grant passes its deadline, where it is another than this one: an online grant ends with its
    /// session, also where nobody has written that end yet.
    pub session_until: Option<Time>,
    /// The user that it belongs to.
    pub user: Owner,
    /// Whether its client still exists.
    pub client_exists: bool,
    /// Whether the user's consent to it still stands.
    pub consent_stands: bool,
}

/// The user of a grant, as far as the rotation cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// May use what was issued under this epoch.
    Active(Epoch),
    /// Was disabled.
    Disabled,
    /// Is no more.
    Gone,
}

/// One refresh-token family: one row for its whole life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The secret id that its tokens carry.
    pub id: GrantId,
    /// The id that is shown.
    pub public_id: GrantRef,
    /// The random half of its MAC.
    pub salt: Salt,
    /// The master that made its newest token.
    pub key: KeyId,
    /// Where its tokens may be used.
    pub endpoint: Endpoint,
    /// Whose client holds it.
    pub client: ClientId,
    /// Whose it is.
    pub user: UserId,
    /// The session that it belongs to; `None` for an offline grant.
    pub session: Option<SessionId>,
    /// The user's epoch when it was issued or last re-authenticated.
    pub epoch: Epoch,
    /// How it is held.
    pub holding: Holding,
    /// What lifetimes and reply it has.
    pub kind: GrantKind,
    /// The newest generation issued.
    pub generation: Generation,
    /// The generation that a change of privilege issued, while it is the newest.
    pub fence: Option<Generation>,
    /// Whether the newest generation was used without being rotated (a peek, or rotation switched off).
    pub newest_used: bool,
    /// What the holder may ask for.
    pub scope: Common<str>,
    /// The audience of its access tokens; several of an application's with a space between (`resource/registry.rs`).
    pub audience: Common<str>,
    /// When it was issued.
    pub issued_at: Time,
    /// When its newest generation was issued.
    pub rotated_at: Time,
    /// The last time that something about it was decided; `now` is never before.
    pub last_event: Time,
    /// Ends it if it is not used.
    pub idle: IdleDeadline,
    /// Ends it whatever happens.
    pub absolute: AbsoluteDeadline,
    /// The context of its issue or last rotation.
    pub context: Context,
    /// The networks that it rotated from.
    pub networks: Networks,
    /// What its replays add up to.
    pub suspicion: Suspicion,
    /// How fast it is used.
    pub pace: Pace,
    /// Whether it lives.
    pub life: Life,
}

/// How a grant is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holding {
    /// Whoever has the token.
    Bearer,
    /// A public client proves possession of a key at each use (RFC 9449 §5), from a generation on.
    Bound {
        /// The key's thumbprint.
        key: KeyThumbprint,
        /// The first generation that needs the proof (`bound_from`).
        from: Generation,
    },
    /// A confidential client authenticates at each use (RFC 6749 §6, RFC 9449 §5).
    ClientBound,
}

/// A SHA-256 JWK thumbprint (RFC 7638), the `jkt` of RFC 9449 §6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyThumbprint(pub [u8; 32]);

impl KeyThumbprint {
    /// From base64url, as `jkt` and `dpop_jkt` have it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

named! {
    /// What lifetimes a grant has, and how its token travels.
    GrantKind {
        /// A browser's: the token lives in a cookie that outlives the browser.
        Cookie = "cookie",
        /// A browser's: the cookie goes with the browser.
        TransientCookie = "transient_cookie",
        /// An application's in a browser, or on a server that browsers talk to: the token travels in the body, to the application.
        Browser = "browser",
        /// A native application's: the token travels in the body.
        Native = "native",
        /// Outlives the session (`offline_access`).
        Offline = "offline",
    }
}

/// Points: what replays of several generations add up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Suspicion {
    /// Of the generations before the one that can be replayed now.
    pub points: u8,
    /// The worst replay of the generation that can be replayed now.
    pub worst: Option<Replay>,
}

impl Suspicion {
    /// At this many points the family ends.
    pub const LIMIT: u8 = 3;

    /// A generation is closed by a rotation: one without a replay wipes the slate, one with bursts only leaves it.
    #[must_use]
    pub(super) fn closed(self) -> Self {
        let points = match self.worst {
            None => 0,
            Some(replay) => self.points.saturating_add(replay.weight()),
        };
        Self { points, worst: None }
    }
}

named! {
    /// How a predecessor was replayed. The order is that of gravity.
    Replay {
        /// By the holder of the key, or by the client itself.
        Proven = "proven",
        /// Tabs and prefetches: at once, from the same address.
        Burst = "burst",
        /// A lost reply: later, from where this grant rotated before.
        Late = "late",
        /// From elsewhere.
        Foreign = "foreign",
    }
}

impl Replay {
    pub(super) const fn weight(self) -> u8 {
        match self {
            Self::Proven | Self::Burst => 0,
            Self::Late => 1,
            Self::Foreign => 2,
        }
    }

    pub(super) const fn gravity(self) -> u8 {
        match self {
            Self::Proven => 0,
            Self::Burst => 1,
            Self::Late => 2,
            Self::Foreign => 3,
        }
    }
}

/// How often a grant rotated, and its predecessor was replayed, in the current minute of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pace {
    /// Rotations.
    pub rotations: Window,
    /// Replays of the generation that can be replayed now.
    pub replays: Window,
}

/// A count within one minute that begins with the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// When the minute began.
    pub since: Time,
    /// How many there were.
    pub count: u32,
}

impl Window {
    /// One more at `now`, or the seconds to wait where `limit` a minute is reached.
    pub(super) fn count_one(self, now: Time, limit: u32) -> Result<Self, Seconds> {
        let ends = self.since.plus(Seconds::MINUTE);
        // A window that begins in the future was begun by a clock that has been put right since.
        if self.count == 0 || now >= ends || now < self.since {
            Ok(Self { since: now, count: 1 })
        } else if self.count < limit {
            Ok(Self { since: self.since, count: self.count.saturating_add(1) })
        } else {
            Err(Seconds(u32::try_from(ends.seconds_from(now)).unwrap_or(60).max(1)))
        }
    }
}

/// One use of a token, as the protocol sees it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The generation that the token carries.
    pub generation: Generation,
    /// Whether its mac is right.
    pub genuine: bool,
    /// Where it was presented.
    pub endpoint: Endpoint,
    /// Who presented it: the client that authenticated, or that a public client says it is.
    pub client: ClientId,
    /// The key whose possession was proven with this request.
    pub proof: Option<KeyThumbprint>,
    /// The request asks for more scope or another resource than granted.
    pub asks_for_more: bool,
    /// Do not rotate: the caller cannot keep a successor (`rotate: false`), or only reads.
    pub peek: bool,
    /// From where.
    pub context: Context,
    /// What the risk model says of it.
    pub risk: Risk,
}

/// The risk model's word on a use (`risk.md`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Risk {
    /// Go on.
    Low,
    /// Ask for a factor.
    Medium,
    /// End it.
    High,
}

/// What the operator decides about a grant's use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Slides with each rotation.
    pub idle: Seconds,
    /// Counted from the issue; `None` for no end.
    pub absolute: Option<Seconds>,
    /// `rotation = off`, heeded for bound and client-bound grants only.
    pub rotation: Rotation,
    /// What a replay from elsewhere is worth.
    pub replay: ReplayPolicy,
    /// How long after a rotation a replay from the same address costs nothing.
    pub burst: Seconds,
    /// Rotations of one grant in a minute.
    pub rotations_per_minute: u32,
    /// Replays of one generation in a minute.
    pub replays_per_minute: u32,
}

impl Policy {
    /// The protocol's own figures with the given lifetimes.
    #[must_use]
    pub const fn with_lifetimes(idle: Seconds, absolute: Option<Seconds>) -> Self {
        Self {
            idle,
            absolute,
            rotation: Rotation::On,
            replay: ReplayPolicy::Balanced,
            burst: Seconds(10),
            rotations_per_minute: 60,
            replays_per_minute: 300,
        }
    }
}

/// Whether using a grant makes a new token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// Each use makes a successor.
    On,
    /// The token stays the same (FAPI 2.0 asks for that of sender-constrained ones).
    Off,
}

named! {
    /// What a replay from elsewhere is worth.
    ReplayPolicy {
        /// One is forgiven, at two points.
        Balanced = "balanced",
        /// None is.
        Strict = "strict",
    }
}

/// What the protocol says to one use. All of these commit; only a broken machine is an `Err`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Not a token of ours, or not this caller's business.
    Unknown,
    /// Refused; nothing changes.
    Refused(Refusal),
    /// It is over already, or a deadline has passed. Nothing is written: a wild clock destroys nothing.
    Ended(Reason),
    /// This use ends the family.
    Ends(Reason),
    /// An old generation: two parties hold the family, and it ends.
    Reused,
    /// The store had lost its tail; the holder's newer token is believed.
    Healed {
        /// The new newest generation.
        next: Generation,
    },
    /// The same generation goes on.
    Kept,
    /// The successor is issued.
    Rotated {
        /// The new newest generation.
        next: Generation,
    },
    /// The successor that was issued before is given again.
    Replayed(Replay),
    /// Too fast: try again later. Never a reason to end anything.
    Limited {
        /// How long to wait.
        retry_after: Seconds,
    },
}

/// Why a use was refused without any change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another client's token, or the wrong kind of endpoint. Told as [`Decision::Unknown`].
    Client,
    /// The proof of the key is missing or of another key.
    Proof,
    /// A change of privilege issued a newer token that nobody has used.
    Superseded,
    /// Too old, but presented by its rightful holder.
    Stale,
    /// More scope or another resource than granted.
    Scope,
    /// A factor is needed.
    StepUp,
}
