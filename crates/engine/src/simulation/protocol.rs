//! The rules that are compared, each as a [`Family`]: one grant of one sign-in.
//!
//! 1. [`Ours`] hands every use to the engine's own `decide` and `apply`.
//! 2. [`Grace`] is what others do: the predecessor is accepted for a while, whoever brings it.
//! 3. [`Tuned`] is our table for bearer grants with the figures as variables, so that better ones can be looked for. The
//!    engine has some of them as constants; a test holds that with the engine's own figures both decide alike.

use crate::{
    context::{Context, Network, Networks},
    id::{ClientId, Epoch, Generation, GrantRef, UserId},
    reason::Life,
    refresh::{
        Attempt, Decision, Grant, GrantKind, Holding, Owner, Pace, Policy, ReplayPolicy, Risk, State, Suspicion, apply,
        decide,
    },
    time::{AbsoluteDeadline, IdleDeadline, Seconds, Time},
    token::{Endpoint, GrantId, KeyId, Salt},
};

/// A set of rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// The engine's own code under this replay policy.
    Ours(ReplayPolicy),
    /// Our table with other figures.
    Tuned(Figures),
    /// The predecessor is accepted within the time, from anywhere; `None`: for ever.
    Grace(Option<Seconds>),
}

/// The figures of our table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// At this many points the family ends.
    pub limit: u8,
    /// What a late replay weighs.
    pub late: u8,
    /// What a foreign replay weighs.
    pub foreign: u8,
    /// How long after a rotation a replay from the same address costs nothing.
    pub burst: Seconds,
    /// Within this time a burst does not even keep the slate from being wiped: tabs that wake together.
    pub twins: Seconds,
    /// How many networks are remembered.
    pub networks: usize,
}

impl Figures {
    /// What the engine has.
    pub const DEFAULT: Self = Self {
        limit: Suspicion::LIMIT,
        late: 1,
        foreign: 2,
        burst: LIFETIMES.burst,
        twins: Seconds(0),
        networks: Networks::KEPT,
    };
}

impl Protocol {
    /// The policies of the comparison, ours last.
    pub const COMPARED: [Self; 6] = [
        Self::Grace(Some(Seconds(0))),
        Self::Grace(Some(Seconds(10))),
        Self::Grace(Some(Seconds(30))),
        Self::Grace(None),
        Self::Ours(ReplayPolicy::Balanced),
        Self::Ours(ReplayPolicy::Strict),
    ];

    /// What the tables call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Ours(ReplayPolicy::Balanced) => "balanced (default)".to_owned(),
            Self::Ours(ReplayPolicy::Strict) => "strict".to_owned(),
            Self::Tuned(figures) => format!(
                "limit {}, late {}, foreign {}, burst {} s, twins {} s, networks {}",
                figures.limit, figures.late, figures.foreign, figures.burst.0, figures.twins.0, figures.networks
            ),
            Self::Grace(Some(Seconds(0))) => "no grace".to_owned(),
            Self::Grace(Some(window)) => format!("{} s window", window.0),
            Self::Grace(None) => "one behind for ever".to_owned(),
        }
    }

    /// Somebody signs in: a new family, whose holder has [`Generation::FIRST`].
    pub(super) fn issue(&self, to: &Context, now: Time) -> Box<dyn Family> {
        match *self {
            Self::Ours(replay) => Box::new(Ours::issue(replay, to, now)),
            Self::Tuned(figures) => Box::new(Tuned {
                figures,
                newest: Generation::FIRST,
                rotated_at: now,
                context: to.clone(),
                networks: vec![to.network],
                points: 0,
                worst: None,
                over: false,
            }),
            Self::Grace(window) => Box::new(Grace { window, newest: Generation::FIRST, rotated_at: now, over: false }),
        }
    }
}

/// One grant under some rules.
pub trait Family {
    /// Somebody at `from` presents the token of generation `shown`. A `peek` reads and does not rotate.
    fn present(&mut self, shown: Generation, from: &Context, peek: bool, now: Time) -> Answer;
}

/// What the presenter hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// An access token and a refresh token.
    Tokens {
        /// The generation of the refresh token.
        newest: Generation,
        /// This use rotated it. The presenter knows: only then does the reply tell the idle deadline.
        rotated: bool,
    },
    /// An access token only: it was a peek.
    Access {
        /// What a peeker can tell from the idle deadline in the reply; where it is left out, from that.
        rotated_at: Time,
    },
    /// Too fast: later.
    Wait,
    /// The family has ended, now or before.
    Over,
}

/// The engine's own code.
struct Ours {
    state: State,
    attempt: Attempt,
    policy: Policy,
}

impl Ours {
    fn issue(replay: ReplayPolicy, to: &Context, now: Time) -> Self {
        let grant = Grant {
            id: GrantId([1; 16]),
            public_id: GrantRef::from_bytes([2; 16]),
            salt: Salt([3; 16]),
            key: KeyId(1),
            endpoint: Endpoint::Session,
            client: ClientId::session_api(),
            user: UserId::from_bytes([4; 16]),
            session: None,
            epoch: Epoch(0),
            holding: Holding::Bearer,
            kind: GrantKind::Cookie,
            generation: Generation::FIRST,
            fence: None,
            newest_used: false,
            scope: String::new().into(),
            audience: String::new().into(),
            issued_at: now,
            rotated_at: now,
            last_event: now,
            idle: IdleDeadline::sliding(now, LIFETIMES.idle, AbsoluteDeadline::NEVER),
            absolute: AbsoluteDeadline::NEVER,
            context: to.clone(),
            networks: Networks::starting_with(to.network),
            suspicion: Suspicion::default(),
            pace: Pace::default(),
            life: Life::Alive,
        };
        Self {
            attempt: Attempt {
                generation: grant.generation,
                genuine: true,
                endpoint: grant.endpoint,
                client: grant.client.clone(),
                proof: None,
                asks_for_more: false,
                peek: false,
                context: to.clone(),
                risk: Risk::Low,
            },
            state: State {
                grant,
                session: None,
                user: Owner::Active(Epoch(0)),
                session_until: None,
                client_exists: true,
                consent_stands: true,
            },
            policy: Policy { replay, ..LIFETIMES },
        }
    }
}

impl Family for Ours {
    fn present(&mut self, shown: Generation, from: &Context, peek: bool, now: Time) -> Answer {
        self.attempt.generation = shown;
        self.attempt.peek = peek;
        if self.attempt.context != *from {
            self.attempt.context = from.clone();
        }
        let before = self.state.grant.generation;
        let decision = decide(Some(&self.state), &self.attempt, &self.policy, now);
        if let Some(next) = apply(&decision, &self.state.grant, &self.attempt, &self.policy, now) {
            self.state.grant = next;
        }
        match decision {
            Decision::Rotated { .. } | Decision::Healed { .. } | Decision::Replayed(_) | Decision::Kept if peek => {
                Answer::Access { rotated_at: self.state.grant.rotated_at }
            }
            Decision::Rotated { .. } | Decision::Healed { .. } | Decision::Replayed(_) | Decision::Kept => {
                Answer::Tokens { newest: self.state.grant.generation, rotated: self.state.grant.generation != before }
            }
            Decision::Limited { .. } => Answer::Wait,
            Decision::Unknown | Decision::Refused(_) | Decision::Ended(_) | Decision::Ends(_) | Decision::Reused => {
                Answer::Over
            }
        }
    }
}

/// What others do.
struct Grace {
    window: Option<Seconds>,
    newest: Generation,
    rotated_at: Time,
    over: bool,
}

impl Family for Grace {
    fn present(&mut self, shown: Generation, _from: &Context, peek: bool, now: Time) -> Answer {
        let forgiven = |window: Option<Seconds>| match window {
            None => true,
            // "No grace" is none even within the same millisecond.
            Some(Seconds(0)) => false,
            Some(window) => now <= self.rotated_at.plus(window),
        };
        let behind = self.newest.0.saturating_sub(shown.0);
        match behind {
            _ if self.over => return Answer::Over,
            0 if peek => {}
            0 => {
                self.newest = Generation(self.newest.0.saturating_add(1));
                self.rotated_at = now;
            }
            1 if forgiven(self.window) => {}
            _ => {
                self.over = true;
                return Answer::Over;
            }
        }
        if peek {
            Answer::Access { rotated_at: self.rotated_at }
        } else {
            Answer::Tokens { newest: self.newest, rotated: behind == 0 }
        }
    }
}

/// Our table for bearer grants with other figures. The limits per minute are left out: no model comes near them.
struct Tuned {
    figures: Figures,
    newest: Generation,
    rotated_at: Time,
    context: Context,
    networks: Vec<Network>,
    points: u8,
    /// The weight of the worst replay of the newest generation's predecessor, 0 for a burst.
    worst: Option<u8>,
    over: bool,
}

impl Tuned {
    fn rotate(&mut self, from: &Context, now: Time) {
        self.points = self.worst.map_or(0, |worst| self.points.saturating_add(worst));
        self.worst = None;
        self.newest = Generation(self.newest.0.saturating_add(1));
        self.rotated_at = now;
        self.networks.retain(|known| *known != from.network);
        self.networks.insert(0, from.network);
        self.networks.truncate(self.figures.networks);
        if self.context != *from {
            self.context = from.clone();
        }
    }

    /// Rows 18 to 21: the worst replay of this generation with this one, `None` where it is theft.
    fn replayed(&self, from: &Context, now: Time) -> Option<Option<u8>> {
        let same_place = from.is_like(&self.context) && from.address == self.context.address;
        if same_place && now < self.rotated_at.plus(self.figures.twins) {
            return Some(self.worst);
        }
        if same_place && now <= self.rotated_at.plus(self.figures.burst) {
            return Some(self.worst.max(Some(0)));
        }
        let known = from.user_agent == self.context.user_agent && self.networks.contains(&from.network);
        let weight = if known { self.figures.late } else { self.figures.foreign };
        (self.points.saturating_add(weight) < self.figures.limit).then_some(self.worst.max(Some(weight)))
    }
}

impl Family for Tuned {
    fn present(&mut self, shown: Generation, from: &Context, peek: bool, now: Time) -> Answer {
        let behind = self.newest.0.saturating_sub(shown.0);
        match behind {
            _ if self.over => return Answer::Over,
            0 if peek => {}
            0 => self.rotate(from, now),
            1 => match self.replayed(from, now) {
                Some(worst) => self.worst = worst,
                None => {
                    self.over = true;
                    return Answer::Over;
                }
            },
            _ => {
                self.over = true;
                return Answer::Over;
            }
        }
        if peek {
            Answer::Access { rotated_at: self.rotated_at }
        } else {
            Answer::Tokens { newest: self.newest, rotated: behind == 0 }
        }
    }
}

/// The engine's own figures, without deadlines that a simulated year would meet.
const LIFETIMES: Policy = Policy::with_lifetimes(Seconds(u32::MAX), None);
