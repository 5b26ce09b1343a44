//! What only this store promises: its statements, its faults. The rest is the contract's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail by panicking"
)]

mod agreement;
pub(crate) mod cluster;
mod faults;
mod migrations;
mod plans;
mod rate;
pub(crate) mod spread;

use std::sync::Arc;

use regrant_engine::ports::Store;

use self::cluster::Cluster;
use super::{Address, Environment, Options, PostgresStore};
use crate::contract::world::{Place, RealRandom};

/// A database of its own.
pub(crate) struct Database {
    url: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self { url: Cluster::shared().database() }
    }

    pub(super) fn store(&self, options: Options) -> PostgresStore {
        let address = Address::parse(&self.url, &Environment::default()).unwrap();
        let store = PostgresStore::new(address, Arc::new(RealRandom), options);
        wait(store.migrate()).unwrap();
        store
    }

    pub(crate) fn address(&self) -> Address {
        Address::parse(&self.url, &Environment::default()).unwrap()
    }

    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap()
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        Cluster::shared().sql(self.name(), sql)
    }
}

/// A place is asked for its store where nobody can wait.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

impl Place for Database {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store(Options { connections: 8, ..Options::default() }))
    }

    fn after_a_crash(&self) -> Box<dyn Place> {
        Box::new(Self { url: Cluster::shared().copy(&self.url) })
    }

    fn beside(&self) -> Box<dyn Place> {
        Box::new(Self::new())
    }

    fn mails(&self) -> usize {
        self.sql("SELECT count(*) FROM outbox").trim().parse().unwrap()
    }
}
