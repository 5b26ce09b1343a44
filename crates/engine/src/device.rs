//! Devices without a keyboard (RFC 8628): the device shows a short code, its user types it in where they are signed in.
//!
//! 1. [`begin`] makes two codes. The *device code* is a secret of 256 bits that stays between the device and us; the *user code* is
//!    eight letters that a person reads and types.
//! 2. The person types it at `/device`, signed in: [`find`] looks it up. Wrong ones are counted in the transaction that looks, so
//!    that nobody tries more of them than may be tried.
//! 3. They see what asks for what, and [`answer`]: the answer stands by the codes.
//! 4. The device asks again and again; `grant/device_code.rs` tells it by [`decide`] what it may know, and gives it a grant once.

use std::{fmt, net::IpAddr};

use zeroize::Zeroizing;

use crate::{
    Engine, authorize,
    client::Client,
    code::{Code, LoadedCode, Shown},
    consent::Consent,
    context::Context,
    event::{Actor, Event, EventKind},
    id::{ClientId, Epoch, SessionId, UserId},
    login::{FailureKey, neighbourhood},
    ports::{Answered, Answering, Broken, DeviceCodeAdded, Guess, Guessed, NewDeviceCode, Quota, Random},
    refresh::Authentication,
    resource::audiences,
    single_sign_on::{SignedIn, hash, secret},
    time::{Seconds, Time},
    token::GrantId,
};

/// How long somebody may take to fetch their telephone and sign in.
pub const LIFETIME: Seconds = Seconds::minutes(10);
/// RFC 8628 §3.2: how long a device waits between two questions.
pub const INTERVAL: Seconds = Seconds(5);
/// RFC 8628 §3.5: how much longer one that asked too soon waits from then on.
const SLOWER_BY: Seconds = Seconds(5);
/// A question may come so much before its time: the network does not carry each one equally fast.
const EARLY: Seconds = Seconds(1);

/// RFC 8628 §6.1: no vowels, so that no code is a word; no digits, which are not on every keyboard's first page.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 20⁸ is 34 bits.
const LENGTH: usize = 8;

/// RFC 8628 §5.1: wrong codes that one may type in a quarter of an hour: a user, an address, a /24 or /64.
const WRONG: [u32; 3] = [5, 20, 100];
const WINDOW: Seconds = Seconds::minutes(15);
/// Codes that clients which prove nothing get for one network in the same time.
const REQUESTS: u32 = 300;

/// What a person reads off a device. Silent in `Debug`: whoever knows it can answer in its owner's place.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode([u8; LENGTH]);

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(secret)")
    }
}

impl UserCode {
    fn new(random: &dyn Random) -> Self {
        let mut code = [0; LENGTH];
        let mut chance = [0; 32];
        let mut filled = 0;
        while filled < LENGTH {
            random.fill(&mut chance);
            // Bytes past the last multiple of 20 are passed over: each letter is as likely as the others.
            let fair = chance.iter().filter(|byte| usize::from(**byte) < 256 / LETTERS.len() * LETTERS.len());
            for byte in fair {
                let letter = LETTERS.get(usize::from(*byte) % LETTERS.len());
                if let (Some(place), Some(letter)) = (code.get_mut(filled), letter) {
                    (*place, filled) = (*letter, filled + 1);
                }
            }
        }
        Self(code)
    }

    /// Reads what a person typed: capitals or not, with whatever stands between the letters (RFC 8628 §6.1). `None` if it can be
    /// none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters = text.chars().filter(|c| {
            !(c.is_whitespace() || c.is_ascii_punctuation() || "\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}".contains(*c))
        });
        let mut code = [0; LENGTH];
        let mut places = code.iter_mut();
        for letter in letters.map(|c| c.to_ascii_uppercase()) {
            let byte = u8::try_from(letter).ok().filter(|byte| LETTERS.contains(byte))?;
            *places.next()? = byte;
        }
        places.next().is_none().then_some(Self(code))
    }

    /// As people read it: in two halves.
    #[must_use]
    pub fn shown(&self) -> Zeroizing<String> {
        let (first, second) = self.0.split_at(LENGTH / 2);
        let text = |half: &[u8]| half.iter().copied().map(char::from).collect::<String>();
        Zeroizing::new(format!("{}-{}", text(first), text(second)))
    }

    /// As the store knows it. It is too short for a plain hash: without the key file's secret nobody tries them all.
    #[must_use]
    pub fn digest(&self, engine: &Engine) -> [u8; 16] {
        engine.digests.failure(&[b"user code", &self.0])
    }
}

/// The two codes of a device, and what became of them, as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceCode {
    /// The SHA-256 of the device code.
    pub hash: [u8; 32],
    /// The keyed digest of the user code.
    pub user_code: [u8; 16],
    /// Whose device it is.
    pub client: ClientId,
    /// What it asks for and may.
    pub scope: String,
    /// Whom the access tokens are for.
    pub audience: String,
    /// How long it has to wait between two questions by now.
    pub interval: Seconds,
    /// When it last asked.
    pub polled_at: Option<Time>,
    /// When they were made.
    pub created_at: Time,
    /// When they are good no more.
    pub expires_at: Time,
    /// What the person said.
    pub answer: Answer,
}

/// What the person said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing yet.
    Open,
    /// No.
    Denied,
    /// Yes.
    Allowed(Allowed),
}

/// Who allowed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowed {
    /// When.
    pub at: Time,
    /// Who.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// The user's epoch then.
    pub epoch: Epoch,
    /// When and how they had proven who they are.
    pub authentication: Authentication,
}

impl DeviceCode {
    /// Whether somebody may still answer.
    #[must_use]
    pub fn is_open(&self, now: Time) -> bool {
        self.answer == Answer::Open && self.is_in_time(now)
    }

    /// A clock that was ahead by more than a moment, and is right again, lets none live on.
    fn is_in_time(&self, now: Time) -> bool {
        self.created_at <= now.plus(LIFETIME) && now < self.expires_at
    }

    /// What the store redeems like any code, once somebody has allowed it. It was sent nowhere, and has no challenge: only the
    /// device ever knew it.
    #[must_use]
    pub fn as_code(&self) -> Option<Code> {
        let Answer::Allowed(allowed) = &self.answer else {
            return None;
        };
        Some(Code {
            hash: self.hash,
            client: self.client.clone(),
            user: allowed.user,
            session: allowed.session,
            epoch: allowed.epoch,
            redirect_uri: String::new(),
            scope: self.scope.clone(),
            audience: self.audience.clone(),
            nonce: None,
            challenge: None,
            key: None,
            authentication: allowed.authentication.clone(),
            created_at: allowed.at,
            expires_at: self.expires_at,
        })
    }
}

/// Codes with all that their redemption depends on, as the store loads them.
#[derive(Clone, PartialEq, Debug)]
pub struct LoadedDeviceCode {
    /// The codes.
    pub device: DeviceCode,
    /// [`DeviceCode::as_code`] with what it hangs on, where it was allowed.
    pub code: Option<LoadedCode>,
}

/// What a device is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The code is good for nothing, or not for this client; nothing changes.
    Refused,
    /// It came too late.
    Expired,
    /// The person said no.
    Denied,
    /// The person has not said anything yet.
    Pending,
    /// Neither, and the device did not wait: it waits so long from now on.
    SlowDown(Seconds),
    /// The device has its tokens already: somebody has a copy of the code. What it gave ends.
    Reused(GrantId),
    /// It gets tokens.
    Good,
}

/// Decides about a device's question. First match wins.
#[must_use]
pub fn decide(loaded: Option<&LoadedDeviceCode>, client: &ClientId, now: Time) -> Decision {
    let Some(LoadedDeviceCode { device, code }) = loaded.filter(|loaded| loaded.device.client == *client) else {
        return Decision::Refused;
    };
    match (&device.answer, code) {
        (Answer::Allowed(_), Some(code)) => {
            let shown = Shown { client: client.clone(), redirect_uri: Some(String::new()), verifier: None, key: None };
            match crate::code::decide(Some(code), &shown, now) {
                // Like an authorization code's second time (RFC 6749 §4.1.2): it is for the device alone.
                crate::code::Decision::Reused(grant) => Decision::Reused(grant),
                _ if !device.is_in_time(now) => Decision::Expired,
                crate::code::Decision::Good => Decision::Good,
                crate::code::Decision::Refused => Decision::Refused,
            }
        }
        _ if !device.is_in_time(now) => Decision::Expired,
        (Answer::Denied, _) => Decision::Denied,
        (Answer::Open, _) => match device.polled_at {
            // RFC 8628 §3.5. A last question in the future was asked by a clock that was wrong.
            Some(last) if last <= now && now < last.plus(device.interval).minus(EARLY) => {
                Decision::SlowDown(Seconds(device.interval.0.saturating_add(SLOWER_BY.0)))
            }
            _ => Decision::Pending,
        },
        (Answer::Allowed(_), None) => Decision::Refused,
    }
}

/// A device's two codes, as it gets them. Silent in `Debug`.
pub struct Begun {
    /// For the device alone.
    pub device_code: Zeroizing<String>,
    /// For the person.
    pub user_code: UserCode,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun(secret)")
    }
}

/// What became of a device's wish.
#[derive(Debug)]
pub enum Beginning {
    /// It may ask its user.
    Begun(Box<Begun>),
    /// It may not ask for this.
    Refused(authorize::Refused),
    /// Too many such wishes came from its network; try again after this.
    Limited(Seconds),
}

/// Makes the codes for a device of `client`.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn begin(
    engine: &Engine,
    client: &Client,
    scope: Option<&str>,
    resources: &[&str],
    address: IpAddr,
) -> Result<Beginning, Broken> {
    let (scope, audience) =
        match authorize::wanted(client, scope, resources, &engine.settings, &*engine.registry().await?) {
            Ok(wanted) => wanted,
            Err(refused) => return Ok(Beginning::Refused(refused)),
        };
    let now = engine.now();
    let device_code = secret(engine);
    // Anybody can say that they are a public client.
    let quota = (!client.authenticates()).then(|| Quota {
        keys: vec![(key(engine, &[b"device code", &neighbourhood(address)]), REQUESTS)],
        window: WINDOW,
        at: now,
    });
    // That somebody else has the same one at this moment does not happen twice.
    for _ in 0..3 {
        let user_code = UserCode::new(&*engine.random);
        let code = DeviceCode {
            hash: hash(&device_code),
            user_code: user_code.digest(engine),
            client: client.id.clone(),
            scope: scope.clone(),
            audience: audience.clone(),
            interval: INTERVAL,
            polled_at: None,
            created_at: now,
            expires_at: now.plus(LIFETIME),
            answer: Answer::Open,
        };
        match engine.store.add_device_code(NewDeviceCode { code, quota: quota.clone() }).await? {
            DeviceCodeAdded::Added => return Ok(Beginning::Begun(Box::new(Begun { device_code, user_code }))),
            DeviceCodeAdded::Limited(retry_after) => return Ok(Beginning::Limited(retry_after)),
            DeviceCodeAdded::Taken => {}
        }
    }
    Err(Broken::Store("three random user codes were taken".to_owned()))
}

/// Looks for what a signed-in person typed.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn find(
    engine: &Engine,
    typed: &UserCode,
    signed_in: &SignedIn,
    address: IpAddr,
    context: &Context,
) -> Result<Guessed, Broken> {
    let session = &signed_in.record.session;
    let subjects: [&[u8]; 3] = [session.user.as_bytes(), &context.address.0, &neighbourhood(address)];
    let kinds: [&[u8]; 3] = [b"user code of user", b"user code of address", b"user code of network"];
    let keys = kinds.into_iter().zip(subjects).map(|(kind, subject)| key(engine, &[kind, subject]));
    let now = engine.now();
    let event = Event::new(EventKind::DeviceCodeWrong, now, Actor::User, &*engine.random)
        .user(session.user)
        .session(session.id)
        .from(context);
    let quota = Quota { keys: keys.zip(WRONG).collect(), window: WINDOW, at: now };
    engine.store.find_device_code(typed.digest(engine), Some(Guess { quota, event })).await
}

/// The codes whose user code this is, for somebody who has found them before.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn again(engine: &Engine, found: &UserCode) -> Result<Option<DeviceCode>, Broken> {
    Ok(match engine.store.find_device_code(found.digest(engine), None).await? {
        Guessed::Found(device) => Some(*device).filter(|device| device.is_open(engine.now())),
        Guessed::Wrong | Guessed::Limited(_) => None,
    })
}

/// Notes what a person said; `false` if it is too late for that, or was said before.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn answer(
    engine: &Engine,
    found: &UserCode,
    client: &Client,
    signed_in: &SignedIn,
    allows: bool,
    context: &Context,
) -> Result<bool, Broken> {
    let now = engine.now();
    let session = signed_in.record.session.clone();
    let told = |kind| {
        let mut event = Event::new(kind, now, Actor::User, &*engine.random).user(session.user).session(session.id);
        event.client = Some(client.id.clone());
        event.from(context)
    };
    let answer = if allows {
        Answer::Allowed(Allowed {
            at: now,
            user: session.user,
            session: session.id,
            epoch: signed_in.record.grant.epoch,
            authentication: signed_in.authentication.clone(),
        })
    } else {
        Answer::Denied
    };
    let event = told(if allows { EventKind::DeviceAllowed } else { EventKind::DeviceDenied });
    let consented = told(EventKind::ConsentGiven);
    // What is allowed here is remembered like any consent: it is listed, and can be taken back.
    let remembers = allows && !client.metadata.first_party;
    let (asked, user) = (client.id.clone(), session.user);
    let registry = engine.registry().await?;
    let judge = Box::new(move |device: Option<&DeviceCode>| {
        // The client that was shown is the one that is answered.
        let Some(device) = device.filter(|device| device.client == asked && device.is_open(now)) else {
            return Answering::Over;
        };
        let scope = registry.to_allow(&audiences(&device.audience), &device.scope);
        let consent = || Consent { user, client: asked.clone(), scope, given_at: now };
        Answering::Answered(Box::new(Answered {
            answer: answer.clone(),
            event: event.clone().with("scope", device.scope.clone()),
            consent: remembers.then(|| (consent(), consented.clone().with("scope", device.scope.clone()))),
        }))
    });
    let answered = engine.store.answer_device_code(found.digest(engine), judge).await?;
    Ok(matches!(answered, Answering::Answered(_)))
}

fn key(engine: &Engine, parts: &[&[u8]]) -> FailureKey {
    FailureKey(engine.digests.failure(parts))
}

#[cfg(test)]
mod tests;
