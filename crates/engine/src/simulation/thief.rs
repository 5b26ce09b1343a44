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
    /// Peeks every 5 seconds with the token it holds; a peek's idle deadline tells when the victim has rotated, and then it
    /// renews within the burst window.
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
            Tactic::InStepBlind => "in step, blind",
            Tactic::InStepWatching => "in step, peeking",
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
    let mut hunt = Hunt {
        tokens: Vec::new(),
        minutes: Vec::new(),
        by_victim: 0,
    };
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

    thief: Thief,
    thief_at: Context,
    thief_holds: Generation,
    /// `None` while it waits for the victim.
    thief_next: Option<Time>,
    /// When the blind thief believes that the victim last renewed.
    believed: Time,
    /// The rotation that the watching thief knows of.
    known_rotation: Time,
    last_token: Option<Time>,
    tokens: u32,
}

impl<'a> Chase<'a> {
    /// A sign-in, some honest renewals, and the theft.
    fn begin(protocol: &Protocol, thief: Thief, hours: VictimHours, chance: &'a mut Chance) -> Self {
        let now = Time::from_millis(0);
        let victim = context(BROWSER, HOME, 1);
        let mut chase = Self {
            family: protocol.issue(&victim, now),
            hours,
            stolen_at: now,
            victim_holds: Generation::FIRST,
            victim_next: after(now, refresh_in(chance)),
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
            // An honest start: nothing can end here but by a protocol without any grace, and then the theft begins early.
            if chase.victim_acts().is_some() {
                chase.family = protocol.issue(&chase.victim, chase.victim_next);
                chase.victim_holds = Generation::FIRST;
                break;
            }
        }
        chase.steal();
        chase
    }

    fn steal(&mut self) {
        // `victim_next` is still the time of an act to come, so the last one lies before it; the copy is made right after.
        let renewed = self.believed;
        self.stolen_at = after(renewed, Span::seconds(1));
        self.thief_holds = self.victim_holds;
        self.known_rotation = renewed;
        self.thief_next = match self.thief.tactic {
            Tactic::AtOnce => Some(after(
                self.stolen_at,
                self.chance.between(Span::seconds(1), Span::seconds(450)),
            )),
            Tactic::InStep => None,
            Tactic::InStepBlind => Some(self.next_guess()),
            Tactic::InStepWatching | Tactic::PeeksOnCopy => Some(after(self.stolen_at, Span::seconds(5))),
            Tactic::Delayed => Some(after(self.stolen_at, Span::hours(24))),
            Tactic::TakesEach | Tactic::PeeksOnEach => Some(after(self.stolen_at, Span::seconds(2))),
        };
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

    /// The victim renews, until a reply comes through; the time if that ended the family.
    fn victim_acts(&mut self) -> Option<Time> {
        let now = self.victim_next;
        if self.family.present(self.victim_holds, &self.victim, false, now).keeps(&mut self.victim_holds, self.chance) {
            let next = after(now, refresh_in(self.chance));
            self.victim_next = self.hours.not_before(next);
        } else if self.family.present(self.victim_holds, &self.victim, true, now) == Answer::Over {
            return Some(now);
        } else {
            self.victim_next = after(now, Span::seconds(3));
        }
        None
    }

    fn thief_acts(&mut self, now: Time) -> Option<Time> {
        let _ = now;
        None
    }

    fn next_guess(&mut self) -> Time {
        self.believed
    }
}
