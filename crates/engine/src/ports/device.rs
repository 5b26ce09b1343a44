//! What the store is asked about devices (RFC 8628), and what it answers.

use super::{Judge, Loaded};
use crate::{
    consent::Consent,
    device::{Answer, DeviceCode, LoadedDeviceCode},
    event::Event,
    login::FailureKey,
    refresh::Authentication,
    time::{Seconds, Time},
    token::GrantId,
};

/// How many of something may be in a while, by what they have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    /// What is counted, and how many of each may be.
    pub keys: Vec<(FailureKey, u32)>,
    /// In so long a time.
    pub window: Seconds,
    /// Now.
    pub at: Time,
}

/// Codes to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDeviceCode {
    /// They.
    pub code: DeviceCode,
    /// Counted, where there may not be any number of them.
    pub quota: Option<Quota>,
}

/// What became of [`NewDeviceCode`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceCodeAdded {
    /// They are kept.
    Added,
    /// The user code is another device's.
    Taken,
    /// There were too many; again after this.
    Limited(Seconds),
}

/// Somebody tries a user code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guess {
    /// How many wrong ones may be. They are counted only if this one is wrong.
    pub quota: Quota,
    /// To be written to the timeline if it is.
    pub event: Event,
}

/// What a user code is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Guessed {
    /// A device's that waits for an answer.
    Found(Box<DeviceCode>),
    /// None, or not any more.
    Wrong,
    /// There were too many wrong ones; nothing was looked up. Again after this.
    Limited(Seconds),
}

/// Decides about an answer inside the store's transaction. Pure, so that a store may run it again.
pub type AnswerJudge = Box<dyn Fn(Option<&DeviceCode>) -> Answering + Send + Sync>;

/// What is said of an answer. The store carries it out, commits, and returns it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answering {
    /// It is too late, or nothing was asked; nothing changes.
    Over,
    /// It stands.
    Answered(Box<Answered>),
}

/// An answer that stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// It.
    pub answer: Answer,
    /// To be written to the timeline.
    pub event: Event,
    /// To be remembered with it, and its event.
    pub consent: Option<(Consent, Event)>,
}

/// Decides about a device's question inside the store's transaction. Pure, so that a store may run it again.
pub type PollJudge = Box<dyn Fn(Option<&LoadedDeviceCode>) -> Polling + Send + Sync>;

/// What is said of a device's question. The store carries it out, commits, and returns it.
pub enum Polling {
    /// The code is good for nothing here; nothing changes.
    Refused,
    /// It came too late; nothing changes.
    Expired,
    /// The person said no; nothing changes.
    Denied,
    /// Nobody has answered yet.
    Wait {
        /// When it asked.
        at: Time,
        /// It waits so long before it asks again.
        interval: Seconds,
        /// It did not wait this time.
        too_fast: bool,
    },
    /// It has its tokens already.
    Reused {
        /// The grant that it got, and the judge that ends it.
        ends: (GrantId, Judge),
        /// To be written to the timeline.
        event: Event,
    },
    /// It gets this grant.
    Granted {
        /// The grant, new, with its facts.
        loaded: Box<Loaded>,
        /// The proof that it comes from: kept as long as the grant.
        authentication: Authentication,
        /// To be written to the timeline.
        event: Event,
    },
}
