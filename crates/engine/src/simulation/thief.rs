//! Thieves: one token is copied, and two parties live on one family until the protocol finds out, or for seven days.
//!
//! 1. The victim has one tab on a good line at home, and renews when its access token wants it.
//! 2. After some renewals the thief takes a copy of the newest token, and from then on acts by its [`Tactic`] from its
//!    [`Place`]. Unless the tactic says so, it sees nothing of the victim's traffic.
//! 3. Each access token that the thief gets counts; peeks count only when the last one has become old, because polling for
//!    news is not access to more.
//! 4. The family's end is the find. Who presented the token that ended it is noted: a thief who ends it is found even if
//!    the victim never comes back.

use super::{
    chance::{Chance, Span},
    honest::{BROWSER, HOME, after, context, refresh_in},
    protocol::{Answer, Family, Protocol},
};
use crate::{context::Context, id::Generation, time::Time};

/// From where a thief acts, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thief {
    /// From where.
    pub place: Place,
    /// How.
    pub tactic: Tactic,
}

/// From where a thief acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Another network, another browser.
    Elsewhere,
    /// The victim's /16 and browser family, another address.
    SameNetwork,
    /// Behind the victim's own address, with its browser family.
    SameAddress,
}

/// How a thief tries to live on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tactic {
    /// Uses the copy at once, and then renews as any client does.
    AtOnce,
    /// Knows when the victim renews, and presents the same token 1 to 13 seconds later, each time.
    InStep,
    /// Does not know, and aims at the middle of the time in which the victim is due, corrected by whether it came first.
    InStepBlind,
    /// Peeks every 5 seconds with the token it holds, as if the reply told when the victim has rotated, and then renews within
    /// the burst window. No reply tells readers that any more: this is what it would cost if one did.
    InStepWatching,
    /// Uses the copy a day later.
    Delayed,
    /// Copies once, never rotates: peeks whenever it needs an access token.
    PeeksOnCopy,
    /// Malware on the victim's machine: takes each new token and uses it before the victim does.
    TakesEach,
    /// Malware on the victim's machine: takes each new token and only peeks with it.
    PeeksOnEach,
}

impl Thief {
    /// The thieves of the tables.
    pub const COMPARED: [Self; 11] = [
        Self::new(Place::Elsewhere, Tactic::AtOnce),
        Self::new(Place::Elsewhere, Tactic::InStep),
        Self::new(Place::SameNetwork, Tactic::AtOnce),
        Self::new(Place::SameNetwork, Tactic::InStep),
        Self::new(Place::SameAddress, Tactic::InStepBlind),
        Self::new(Place::SameAddress, Tactic::InStep),
        Self::new(Place::Elsewhere, Tactic::Delayed),
        Self::new(Place::Elsewhere, Tactic::PeeksOnCopy),
        Self::new(Place::SameAddress, Tactic::TakesEach),
        Self::new(Place::SameAddress, Tactic::InStepWatching),
        Self::new(Place::SameAddress, Tactic::PeeksOnEach),
    ];

    /// This tactic from this place.
    #[must_use]
    pub const fn new(place: Place, tactic: Tactic) -> Self {
        Self { place, tactic }
    }

    /// What the tables call it.
    #[must_use]
    pub fn name(&self) -> String {
        let place = match self.place {
            Place::Elsewhere => "elsewhere",
            Place::SameNetwork => "same network",
            Place::SameAddress => "same address",
        };
        let tactic = match self.tactic {
            Tactic::AtOnce => "at once",
            Tactic::InStep => "in step",
            Tactic::InStepBlind => "blind",
            Tactic::InStepWatching => "peeking",
            Tactic::Delayed => "a day later",
            Tactic::PeeksOnCopy => "peeks on a copy",
            Tactic::TakesEach => return "malware, rotates each".to_owned(),
            Tactic::PeeksOnEach => return "malware, peeks on each".to_owned(),
        };
        format!("{place}, {tactic}")
    }

    fn context(self) -> Context {
        match self.place {
            Place::Elsewhere => context("curl", 100, 1),
            Place::SameNetwork => context(BROWSER, HOME, 99),
            Place::SameAddress => context(BROWSER, HOME, 1),
        }
    }
}

/// When the victim is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VictimHours {
    /// A tab that is always open.
    Always,
    /// Eight hours of each day.
    Office,
}

/// What came of a number of thefts.
#[derive(Clone, PartialEq, Debug)]
pub struct Hunt {
    tokens: Vec<u32>,
    minutes: Vec<f64>,
    by_victim: usize,
}

impl Hunt {
    /// The median number of access tokens that the thief got.
    #[must_use]
    pub fn median_tokens(&self) -> u32 {
        self.tokens.get(self.tokens.len() / 2).copied().unwrap_or(0)
    }

    /// The most that it got in any theft.
    #[must_use]
    pub fn most_tokens(&self) -> u32 {
        self.tokens.last().copied().unwrap_or(0)
    }

    /// The share of thefts that were found within seven days.
    #[must_use]
    pub fn found(&self) -> f64 {
        self.minutes.len() as f64 / self.tokens.len().max(1) as f64
    }

    /// The share of the found ones that took the victim's own use to be found.
    #[must_use]
    pub fn by_victim(&self) -> f64 {
        self.by_victim as f64 / self.minutes.len().max(1) as f64
    }

    /// The median minutes from the theft until it was found, of those that were.
    #[must_use]
    pub fn median_minutes(&self) -> Option<f64> {
        self.minutes.get(self.minutes.len() / 2).copied()
    }
}

/// Plays `thefts` thefts under `protocol`.
#[must_use]
pub fn hunt(protocol: &Protocol, thief: Thief, hours: VictimHours, thefts: u32, seed: u64) -> Hunt {
    let stream = (thief.place as u64) << 8 | thief.tactic as u64;
    let mut chance = Chance::new(seed, 1000 + stream);
    let mut hunt = Hunt { tokens: Vec::new(), minutes: Vec::new(), by_victim: 0 };
    for _ in 0..thefts {
        let mut chase = Chase::begin(protocol, thief, hours, &mut chance);
        let found = chase.run();
        hunt.tokens.push(chase.tokens);
        if let Some((minutes, who)) = found {
            hunt.minutes.push(minutes);
            hunt.by_victim += usize::from(who == Who::Victim);
        }
    }
    hunt.tokens.sort_unstable();
    hunt.minutes.sort_unstable_by(f64::total_cmp);
    hunt
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Victim,
    Thief,
}

/// One theft.
struct Chase<'a> {
    chance: &'a mut Chance,
    family: Box<dyn Family>,
    hours: VictimHours,
    stolen_at: Time,

    victim: Context,
    victim_holds: Generation,
    victim_next: Time,
    victim_renewed: Time,

    thief: Thief,
    thief_at: Context,
    thief_holds: Generation,
    /// `None` while it waits for the victim, and before the theft.
    thief_next: Option<Time>,
    /// When a blind thief believes that the victim last renewed.
    believed: Time,
    /// The rotation that a watching thief knows of.
    known_rotation: Time,
    last_token: Option<Time>,
    tokens: u32,
}

impl<'a> Chase<'a> {
    /// A sign-in, some honest renewals, and the theft.
    fn begin(protocol: &Protocol, thief: Thief, hours: VictimHours, chance: &'a mut Chance) -> Self {
        let now = after(Time::from_millis(0), Span::hours(9));
        let victim = context(BROWSER, HOME, 1);
        let mut chase = Self {
            family: protocol.issue(&victim, now),
            hours,
            stolen_at: now,
            victim_holds: Generation::FIRST,
            victim_next: after(now, refresh_in(chance)),
            victim_renewed: now,
            thief,
            thief_at: thief.context(),
            thief_holds: Generation::FIRST,
            thief_next: None,
            believed: now,
            known_rotation: now,
            last_token: None,
            tokens: 0,
            victim,
            chance,
        };
        for _ in 0..3 + chase.chance.below(20) {
            if let Some(at) = chase.victim_acts() {
                // A protocol without any grace has signed its owner out; the theft is of the next session.
                chase.family = protocol.issue(&chase.victim, at);
                chase.victim_holds = Generation::FIRST;
                chase.victim_renewed = at;
                chase.victim_next = hours.open(after(at, refresh_in(chase.chance)));
            }
        }
        chase.steal();
        chase
    }

    fn steal(&mut self) {
        self.thief_holds = self.victim_holds;
        self.believed = self.victim_renewed;
        self.known_rotation = self.victim_renewed;
        // The copy is made right after a renewal, but for the thief who comes by at any time.
        let lag = match self.thief.tactic {
            Tactic::AtOnce => self.chance.between(Span::seconds(1), Span::seconds(470)),
            _ => Span::seconds(1),
        };
        self.stolen_at = after(self.victim_renewed, lag);
        let first = match self.thief.tactic {
            Tactic::InStep => None,
            Tactic::InStepBlind => Some(self.guess()),
            Tactic::Delayed => Some(after(self.stolen_at, Span::hours(24))),
            Tactic::AtOnce | Tactic::InStepWatching | Tactic::PeeksOnCopy | Tactic::TakesEach | Tactic::PeeksOnEach => {
                Some(self.stolen_at)
            }
        };
        self.thief_next = first;
    }

    /// Both act in turn until the family ends, or seven days have passed: minutes after the theft, and by whom.
    fn run(&mut self) -> Option<(f64, Who)> {
        let end = after(self.stolen_at, Span::hours(7 * 24));
        loop {
            let (now, who) = match self.thief_next {
                Some(next) if next < self.victim_next => (next, Who::Thief),
                _ => (self.victim_next, Who::Victim),
            };
            if now > end {
                return None;
            }
            let over = match who {
                Who::Thief => self.thief_acts(now),
                Who::Victim => self.victim_acts(),
            };
            if let Some(at) = over {
                return Some((at.millis_since(self.stolen_at) as f64 / 60_000.0, who));
            }
        }
    }

    /// The victim renews; the time, if that ended the family.
    fn victim_acts(&mut self) -> Option<Time> {
        let now = self.victim_next;
        match self.family.present(self.victim_holds, &self.victim, false, now) {
            Answer::Over => return Some(now),
            Answer::Tokens { newest, .. } if !self.chance.happens(REPLY_LOST) => {
                self.victim_holds = newest;
                self.victim_renewed = now;
                self.victim_next = self.hours.open(after(now, refresh_in(self.chance)));
                self.thief_hears_of_it(now);
            }
            Answer::Tokens { .. } | Answer::Access { .. } | Answer::Wait => {
                self.victim_next = after(now, Span::seconds(3));
            }
        }
        None
    }

    /// What some thieves know: that the victim has renewed, or even what it was given.
    fn thief_hears_of_it(&mut self, now: Time) {
        match self.thief.tactic {
            Tactic::InStep => {
                self.thief_next = Some(after(now, self.chance.between(Span::seconds(1), Span::seconds(13))));
            }
            Tactic::TakesEach => {
                self.thief_holds = self.victim_holds;
                self.thief_next = Some(after(now, self.chance.between(Span::seconds(1), Span::seconds(5))));
            }
            Tactic::PeeksOnEach => self.thief_holds = self.victim_holds,
            Tactic::AtOnce | Tactic::InStepBlind | Tactic::InStepWatching | Tactic::Delayed | Tactic::PeeksOnCopy => {}
        }
    }

    /// The thief does what its tactic says; the time, if that ended the family.
    fn thief_acts(&mut self, now: Time) -> Option<Time> {
        let peek = match self.thief.tactic {
            Tactic::InStepWatching | Tactic::PeeksOnCopy | Tactic::PeeksOnEach => true,
            Tactic::AtOnce | Tactic::InStep | Tactic::InStepBlind | Tactic::Delayed | Tactic::TakesEach => false,
        };
        let mut answer = self.family.present(self.thief_holds, &self.thief_at, peek, now);
        if let (Tactic::InStepWatching, Answer::Access { rotated_at }) = (self.thief.tactic, answer)
            && rotated_at != self.known_rotation
        {
            self.known_rotation = rotated_at;
            answer = self.family.present(self.thief_holds, &self.thief_at, false, now);
        }
        match answer {
            Answer::Over => return Some(now),
            Answer::Tokens { newest, rotated } => {
                self.thief_holds = newest;
                self.gets_a_token(now);
                self.believe(now, rotated);
            }
            Answer::Access { .. } => {
                if self.last_token.is_none_or(|last| now >= after(last, Span::seconds(480))) {
                    self.gets_a_token(now);
                }
            }
            Answer::Wait => {}
        }
        let next = match self.thief.tactic {
            Tactic::InStep | Tactic::TakesEach => None,
            Tactic::InStepBlind => Some(self.guess()),
            Tactic::InStepWatching => Some(after(now, Span::seconds(5))),
            Tactic::AtOnce | Tactic::Delayed | Tactic::PeeksOnCopy | Tactic::PeeksOnEach => {
                Some(after(now, refresh_in(self.chance)))
            }
        };
        self.thief_next = next;
        None
    }

    fn gets_a_token(&mut self, now: Time) {
        self.tokens += 1;
        self.last_token = Some(now);
    }

    /// A reply says whether it was a rotation (it tells a deadline) or a replay. So a thief knows whether it came first, and
    /// puts the victim's own renewal in the middle of the time that is left for it.
    fn believe(&mut self, now: Time, came_first: bool) {
        let middle = |a: Time, b: Time| Time::from_millis(i64::midpoint(a.millis(), b.millis()));
        self.believed = if came_first {
            middle(now, after(self.believed, Span::seconds(720)))
        } else {
            middle(after(self.believed, Span::seconds(480)), now)
        };
    }

    /// The middle of the time in which the victim is due, as well as a program on another machine can hit it.
    fn guess(&mut self) -> Time {
        after(self.believed, self.chance.between(Span::seconds(598), Span::seconds(602)))
    }
}

impl VictimHours {
    /// The first time from `next` on at which the victim is there.
    fn open(self, next: Time) -> Time {
        const DAY: i64 = Span::hours(24).0;
        match self {
            Self::Always => next,
            Self::Office => {
                let into_the_day = next.millis().rem_euclid(DAY);
                if into_the_day < Span::hours(9).0 {
                    after(next, Span::millis(Span::hours(9).0 - into_the_day))
                } else if into_the_day < Span::hours(17).0 {
                    next
                } else {
                    after(next, Span::millis(Span::hours(24 + 9).0 - into_the_day))
                }
            }
        }
    }
}

/// The victim's line at home.
const REPLY_LOST: f64 = 0.0006;
