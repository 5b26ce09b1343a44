//! Where Regrant keeps its truth: implementations of `regrant_engine::ports::Store`.
//!
//! [`sqlite`] is the embedded store, [`postgres`] the one for many nodes, and [`moving`] leads from one to the other. `contract` is the one suite that every store must pass;
//! it is compiled for tests only.

mod listener;
pub mod moving;
pub mod postgres;
pub mod sqlite;

pub use listener::Listener;

#[cfg(test)]
mod contract;
