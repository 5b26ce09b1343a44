//! The simulation that chose the defaults of the rotation: honest clients on bad networks, and thieves, against the real
//! [`decide`](crate::refresh::decide) and against what others do.
//!
//! 1. A [`Protocol`] is a set of rules. Ours run the engine's own code; the comparisons are a few lines each.
//! 2. An honest [`Model`] uses one token family for as many refreshes as asked for; each [`sign_outs`] is a mistake of the
//!    protocol, because nobody stole anything.
//! 3. A [`Thief`] copies a token once (or again and again) and tries to live on it beside its owner for seven days;
//!    [`hunt`] says how many access tokens it got, and whether it was found.
//! 4. `cargo xtask simulate` prints both as tables and draws them. The tests hold the defaults to their promises.
//!
//! Time is simulated, and chance is a seeded generator: the same seed gives the same figures on every machine. Deadlines play
//! no part: a session that expires is no mistake and finds no thief.

mod chance;
mod honest;
mod protocol;
mod thief;

pub use honest::{Model, SignOuts, sign_outs};
pub use protocol::{Answer, Family, Figures, Protocol};
pub use thief::{Hunt, Place, Tactic, Thief, VictimHours, hunt};

#[cfg(test)]
mod tests;
