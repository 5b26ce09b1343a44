//! What the tests share: a home with its data directory, a server process on it, a client, a clock, a broken disk.

mod again;
mod client;
mod clock;
#[path = "../../../../store/src/postgres/tests/cluster.rs"]
pub(crate) mod cluster;
mod disk;
pub(crate) mod document;
mod home;
mod poll;
mod server;

#[allow(unused_imports, reason = "other test binaries use this module too, and not all of it")]
pub(crate) use again::on_postgres_too;
#[allow(unused_imports, reason = "other test binaries use this module too, and not all of it")]
pub(crate) use client::Wire;
pub(crate) use client::{Answer, Call, Client, raw};
pub(crate) use clock::MovedClock;
pub(crate) use disk::FaultyDisk;
pub(crate) use home::{Home, ON_POSTGRES};
pub(crate) use poll::eventually;
pub(crate) use server::Server;

use serde_json::Value;

pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "the difference engine, 1822";

pub(crate) const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0";
pub(crate) const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// Seconds between two of our times, which are RFC 3339 in UTC.
pub(crate) fn seconds_between(from: &Value, to: &Value) -> i64 {
    let read = |value: &Value| -> jiff::Timestamp { value.as_str().expect("a time").parse().expect("RFC 3339") };
    assert!(to.as_str().expect("a time").ends_with('Z'), "times are told in UTC: {to}");
    (read(to) - read(from)).total(jiff::Unit::Second).expect("a number of seconds").round() as i64
}

/// Whether the members of an object are just these.
#[track_caller]
pub(crate) fn assert_members(object: &Value, names: &[&str]) {
    let mut found: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut wanted = names.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "in {object}");
}
