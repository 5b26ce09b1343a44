//! What the store is asked about the use of a refresh token, and what it answers.

use std::sync::Arc;

use super::End;
use crate::{
    common::Common,
    event::{Event, Mail, Renewal},
    id::Generation,
    refresh::{Decision, Grant, State},
    time::Time,
};

/// What a store loads for one use of a grant: the state that is decided on, and the facts that tokens tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// What is decided on.
    pub state: State,
    /// What access tokens tell.
    pub facts: Facts,
}

/// What access tokens tell of a session and its user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// When the user last proved who they are.
    pub auth_time: Time,
    /// How (RFC 8176).
    pub amr: Common<[String]>,
    /// The user's roles, sorted.
    pub roles: Common<[String]>,
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
    pub const fn place(generation: Generation) -> u32 {
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
