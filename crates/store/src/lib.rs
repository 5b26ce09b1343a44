//! Where Regrant keeps its truth: implementations of `regrant_engine::ports::Store`.
//!
//! [`sqlite`] is the embedded store. `contract` is the one suite that every store must pass; it is compiled for tests only.

pub mod sqlite;

#[cfg(test)]
mod contract;
