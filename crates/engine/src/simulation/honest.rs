//! Honest clients: nobody stole anything, so each sign-out is the protocol's mistake.
//!
//! 1. A device wakes when its access token wants renewing, or when its owner comes back to it.
//! 2. All its tabs send the token that is stored, at the same moment; a rendering server adds peeks with the same token.
//! 3. The network loses requests and replies; the machine is suspended, changes its network or crashes before the reply is
//!    stored. Each tab loses its own reply, but what happens to the machine happens to all of them.
//! 4. If no reply was stored, the device comes back with the old token: soon, or much later and from somewhere else.
//! 5. When the family ends, its owner signs in again, and one sign-out is counted.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    chance::{Chance, Span},
    protocol::{Answer, Family, Protocol},
};
use crate::{
    context::{AddressDigest, Context, Network, Prefix, UserAgentFamily},
    id::Generation,
    time::Time,
};

/// Who uses a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Model {
    /// One tab on a good line.
    OneTab,
    /// Five tabs that all wake at the same moment.
    FiveTabs,
    /// A telephone between home Wi-Fi and a mobile network that loses one reply in twenty.
    LossyMobile,
    /// Suspended before the reply, resumed hours later, perhaps on another network that it knows.
    SleepingLaptop,
    /// Home, work, the mobile network between them and a café: as many networks as a grant remembers. Some renewals fall
    /// into a change.
    NetworkChanger,
    /// A process that crashes after the reply and before it saved the token.
    CrashingProcess,
    /// Beyond the promise: a [`Model::LossyMobile`] on which no lost reply is ever retried within seconds.
    NoPromptRetry,
    /// Beyond the promise: a [`Model::NetworkChanger`] with three cafés, which are more networks than a grant remembers.
    ThreeCafes,
    /// Beyond the promise: the carrier has several address blocks too, and hardly a café is visited twice.
    Wanderer,
    /// Beyond the promise: a rendering server peeks nineteen times around each renewal, in its browser's name. So each
    /// generation has bursts, and what a lost reply costs is never wiped out.
    ServerRendering,
    /// Beyond the promise, for the same reason: five tabs on a [`Model::SleepingLaptop`].
    SleepingTabs,
    /// Beyond the promise: a [`Model::ServerRendering`] whose server does not forward its browser's address.
    UnforwardedRendering,
}

impl Model {
    /// Those that the defaults must not sign out: at most 2 in 100,000 refreshes.
    pub const PROMISED: [Self; 6] = [
        Self::OneTab,
        Self::FiveTabs,
        Self::LossyMobile,
        Self::SleepingLaptop,
        Self::NetworkChanger,
        Self::CrashingProcess,
    ];
    /// Those that show where the promise ends, so that better rules can be measured.
    pub const BEYOND: [Self; 6] = [
        Self::NoPromptRetry,
        Self::ThreeCafes,
        Self::Wanderer,
        Self::ServerRendering,
        Self::SleepingTabs,
        Self::UnforwardedRendering,
    ];

    /// What the tables call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneTab => "one tab",
            Self::FiveTabs => "five tabs",
            Self::LossyMobile => "lossy mobile",
            Self::SleepingLaptop => "sleeping laptop",
            Self::NetworkChanger => "network changer",
            Self::ServerRendering => "(server rendering)",
            Self::ThreeCafes => "(three cafés)",
            Self::CrashingProcess => "crashing process",
            Self::NoPromptRetry => "(no prompt retry)",
            Self::SleepingTabs => "(laptop, five tabs)",
            Self::Wanderer => "(wanderer)",
            Self::UnforwardedRendering => "(rendering, unforwarded)",
        }
    }

    fn habits(self) -> Habits {
        match self {
            Self::OneTab => Habits::STEADY,
            Self::FiveTabs => Habits { tabs: 5, ..Habits::STEADY },
            Self::LossyMobile => Habits {
                places: Places::Telephone,
                request_lost: 0.03,
                reply_lost: 0.05,
                pause: 0.15,
                // Most lost replies are noticed by a closed connection and retried while the program is awake.
                retry: Retry { within_10_s: 0.6, within_30_s: 0.14 },
                ..Habits::STEADY
            },
            Self::SleepingLaptop => {
                Habits { places: Places::Laptop, reply_lost: 0.003, suspended: 0.01, pause: 0.1, ..Habits::STEADY }
            }
            Self::NetworkChanger => Habits {
                places: Places::Commuter { cafes: 1, blocks: 1 },
                request_lost: 0.01,
                reply_lost: 0.01,
                moved: 0.02,
                pause: 0.05,
                ..Habits::STEADY
            },
            Self::ServerRendering => Habits { peeks: 19, ..Habits::STEADY },
            Self::CrashingProcess => Habits { crash: 0.02, ..Habits::STEADY },
            Self::NoPromptRetry => {
                Habits { retry: Retry { within_10_s: 0.0, within_30_s: 0.0 }, ..Self::LossyMobile.habits() }
            }
            Self::SleepingTabs => Habits { tabs: 5, ..Self::SleepingLaptop.habits() },
            Self::ThreeCafes => {
                Habits { places: Places::Commuter { cafes: 3, blocks: 1 }, ..Self::NetworkChanger.habits() }
            }
            Self::Wanderer => {
                Habits { places: Places::Commuter { cafes: 20, blocks: 3 }, ..Self::NetworkChanger.habits() }
            }
            Self::UnforwardedRendering => Habits { forwarded: false, ..Self::ServerRendering.habits() },
        }
    }
}

/// What came of one model's refreshes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignOuts {
    /// Uses that reached the server, without peeks.
    pub refreshes: u32,
    /// Families that ended.
    pub sign_outs: u32,
}

impl SignOuts {
    /// Sign-outs in 100,000 refreshes.
    #[must_use]
    pub fn per_100_000(&self) -> f64 {
        f64::from(self.sign_outs) * 100_000.0 / f64::from(self.refreshes.max(1))
    }
}

/// Plays `model` under `protocol` until its uses have reached the server `refreshes` times.
#[must_use]
pub fn sign_outs(protocol: &Protocol, model: Model, refreshes: u32, seed: u64) -> SignOuts {
    let mut device = Device::new(protocol, model.habits(), Chance::new(seed, model as u64));
    while device.count.refreshes < refreshes {
        let next = match device.wake() {
            Woken::Stored(token) => {
                device.stored = token;
                device.until_renewal()
            }
            Woken::NothingStored(retry) => retry,
            Woken::SignedOut => {
                device.count.sign_outs += 1;
                device.sign_in();
                device.until_renewal()
            }
        };
        device.now = after(device.now, next);
    }
    device.count
}

/// A client's machine with the one token that it stores.
struct Device<'a> {
    protocol: &'a Protocol,
    habits: Habits,
    chance: Chance,
    whereabouts: Whereabouts,
    rendering_server: Context,
    family: Box<dyn Family>,
    stored: Generation,
    now: Time,
    count: SignOuts,
}

/// What a wake came to.
enum Woken {
    Stored(Generation),
    /// Comes back with the old token after so long.
    NothingStored(Span),
    SignedOut,
}

impl<'a> Device<'a> {
    fn new(protocol: &'a Protocol, habits: Habits, chance: Chance) -> Self {
        let now = Time::from_millis(0);
        let whereabouts = Whereabouts::new(habits.places);
        Self {
            family: protocol.issue(&whereabouts.here, now),
            protocol,
            habits,
            chance,
            whereabouts,
            rendering_server: context("node", 200, 1),
            stored: Generation::FIRST,
            now,
            count: SignOuts { refreshes: 0, sign_outs: 0 },
        }
    }

    fn sign_in(&mut self) {
        self.now = after(self.now, Span::minutes(1));
        self.whereabouts.at(self.now, &mut self.chance);
        self.family = self.protocol.issue(&self.whereabouts.here, self.now);
        self.stored = Generation::FIRST;
    }

    /// One renewal, with everything that is in flight at the same time.
    fn wake(&mut self) -> Woken {
        self.whereabouts.at(self.now, &mut self.chance);
        let fate = self.fate();
        let mut in_flight: Vec<(Span, bool)> = Vec::new();
        for _ in 0..self.habits.tabs {
            if !self.chance.happens(self.habits.request_lost) {
                in_flight.push((self.chance.between(Span::millis(20), Span::millis(500)), false));
            }
        }
        for _ in 0..self.habits.peeks {
            in_flight.push((self.chance.between(Span::millis(20), Span::seconds(2)), true));
        }
        in_flight.sort_unstable();

        let mut stored = None;
        let started = self.now;
        for (latency, peek) in in_flight {
            let from = if peek && !self.habits.forwarded { &self.rendering_server } else { &self.whereabouts.here };
            self.now = after(started, latency);
            self.count.refreshes += u32::from(!peek);
            match self.family.present(self.stored, from, peek, self.now) {
                Answer::Over => return Woken::SignedOut,
                Answer::Tokens { newest, .. } if !self.chance.happens(self.habits.reply_lost) => stored = Some(newest),
                Answer::Tokens { .. } | Answer::Access { .. } | Answer::Wait => {}
            }
        }
        match (fate, stored) {
            (None, Some(token)) => Woken::Stored(token),
            (Some(retry), _) => Woken::NothingStored(retry),
            (None, None) => Woken::NothingStored(self.habits.retry.draw(&mut self.chance)),
        }
    }

    /// What keeps the whole machine from storing any reply, and when it comes back.
    fn fate(&mut self) -> Option<Span> {
        if self.chance.happens(self.habits.suspended) {
            return Some(self.chance.magnitude(Span::seconds(20), Span::hours(16)));
        }
        if self.chance.happens(self.habits.moved) {
            // This use still comes from here; the retry will come from there.
            self.whereabouts.leave_after(self.now);
            return Some(self.chance.magnitude(Span::seconds(2), Span::minutes(2)));
        }
        if self.chance.happens(self.habits.crash) {
            return Some(self.chance.magnitude(Span::seconds(2), Span::minutes(5)));
        }
        None
    }

    /// `refresh_in`, or until the owner takes the machine up again.
    fn until_renewal(&mut self) -> Span {
        let refresh_in = refresh_in(&mut self.chance);
        if self.chance.happens(self.habits.pause) {
            refresh_in.max(self.chance.magnitude(Span::minutes(10), Span::hours(12)))
        } else {
            refresh_in
        }
    }
}

/// How a device is used, and what befalls it. Chances are for one renewal.
#[derive(Clone, Copy)]
struct Habits {
    tabs: u8,
    peeks: u8,
    /// The rendering server forwards its browser's address and user agent.
    forwarded: bool,
    places: Places,
    request_lost: f64,
    reply_lost: f64,
    suspended: f64,
    moved: f64,
    crash: f64,
    /// The owner puts the machine away after this renewal.
    pause: f64,
    retry: Retry,
}

impl Habits {
    const STEADY: Self = Self {
        tabs: 1,
        peeks: 0,
        forwarded: true,
        places: Places::Home,
        request_lost: 0.0005,
        reply_lost: 0.0006,
        suspended: 0.0,
        moved: 0.0,
        crash: 0.0,
        pause: 0.0,
        retry: Retry { within_10_s: 0.8, within_30_s: 0.1 },
    };
}

/// When a program that is awake retries after a lost reply: the shares of quick retries; the rest comes at the next wake-up.
#[derive(Clone, Copy)]
struct Retry {
    within_10_s: f64,
    within_30_s: f64,
}

impl Retry {
    fn draw(self, chance: &mut Chance) -> Span {
        let patience = chance.unit();
        if patience < self.within_10_s {
            chance.between(Span::seconds(1), Span::seconds(9))
        } else if patience < self.within_10_s + self.within_30_s {
            chance.between(Span::seconds(11), Span::seconds(29))
        } else {
            chance.magnitude(Span::seconds(31), Span::hours(8))
        }
    }
}

/// Between which networks a device moves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Places {
    Home,
    Telephone,
    Laptop,
    /// With so many cafés, and so many address blocks of the carrier.
    Commuter {
        cafes: u8,
        blocks: u8,
    },
}

/// The kinds of place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Home,
    Work,
    Mobile,
    Cafe,
    Parents,
}

/// Where a device is, and until when.
struct Whereabouts {
    places: Places,
    kind: Kind,
    here: Context,
    until: Time,
}

impl Whereabouts {
    fn new(places: Places) -> Self {
        Self { places, kind: Kind::Home, here: context(BROWSER, HOME, 1), until: Time::from_millis(0) }
    }

    fn leave_after(&mut self, now: Time) {
        self.until = now;
    }

    /// Moves on if the stay is over at `now`.
    fn at(&mut self, now: Time, chance: &mut Chance) {
        if self.places == Places::Home || now < self.until {
            return;
        }
        self.kind = self.next_kind(chance);
        let (cafes, blocks) = match self.places {
            Places::Commuter { cafes, blocks } => (cafes, blocks),
            Places::Home | Places::Telephone | Places::Laptop => (1, 1),
        };
        let (network, address, stay) = match self.kind {
            Kind::Home => (HOME, 1, Span::hours(5)),
            Kind::Work => (WORK, 1, Span::hours(4)),
            // A carrier hands out another address at each attachment.
            Kind::Mobile => (MOBILE + chance.below(blocks), chance.below(250), Span::minutes(50)),
            Kind::Cafe => (CAFES + chance.below(cafes), chance.below(250), Span::hours(1)),
            Kind::Parents => (PARENTS, 1, Span::hours(8)),
        };
        self.here = context(BROWSER, network, address);
        self.until = after(now, chance.about(stay));
    }

    fn next_kind(&self, chance: &mut Chance) -> Kind {
        let turn = chance.unit();
        match (self.places, self.kind) {
            (Places::Home, _) => Kind::Home,
            (Places::Telephone | Places::Commuter { .. }, Kind::Home) => Kind::Mobile,
            (Places::Telephone, _) => Kind::Home,
            (Places::Commuter { .. }, Kind::Work) if turn < 0.3 => Kind::Cafe,
            (Places::Commuter { .. }, Kind::Work | Kind::Cafe) => Kind::Mobile,
            (Places::Commuter { .. }, _) if turn < 0.45 => Kind::Home,
            (Places::Commuter { .. }, _) if turn < 0.9 => Kind::Work,
            (Places::Commuter { .. }, _) => Kind::Cafe,
            (Places::Laptop, _) if turn < 0.5 => Kind::Home,
            (Places::Laptop, _) if turn < 0.85 => Kind::Work,
            (Places::Laptop, _) if turn < 0.95 => Kind::Mobile,
            (Places::Laptop, _) => Kind::Parents,
        }
    }
}

/// The engine's `refresh_in`: two thirds of an access token's 15 minutes, ± 20 %.
pub(super) fn refresh_in(chance: &mut Chance) -> Span {
    chance.between(Span::seconds(480), Span::seconds(720))
}

/// A context in the network 10.`network`/16.
pub(super) fn context(program: &str, network: u8, address: u8) -> Context {
    let ip = IpAddr::V4(Ipv4Addr::new(10, network, 0, address));
    Context {
        user_agent: UserAgentFamily::from_stored(program.to_owned()),
        network: Network::of(ip),
        address: AddressDigest([network, address, 0, 0, 0, 0, 0, 0]),
        prefix: Prefix::of(ip),
    }
}

pub(super) fn after(now: Time, span: Span) -> Time {
    Time::from_millis(now.millis().saturating_add(span.0))
}

/// What every honest client here is; thieves choose.
pub(super) const BROWSER: &str = "Firefox on Linux";
/// The network of every victim.
pub(super) const HOME: u8 = 1;
const WORK: u8 = 2;
const PARENTS: u8 = 3;
/// Three of them.
const MOBILE: u8 = 10;
/// Twenty of them.
const CAFES: u8 = 20;
