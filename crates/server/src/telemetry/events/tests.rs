//! What a slow, a failing and a moved sink do to those who write to the timeline: nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail by panicking")]

use std::{
    io::{BufRead, BufReader},
    os::fd::OwnedFd,
};

use regrant_engine::{
    event::{Actor, EventKind},
    ports::Random,
    time::Time,
};

use super::*;

struct Same;

impl Random for Same {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn event(at: i64) -> Event {
    Event::new(EventKind::KeyCreated, Time::from_millis(at), Actor::System, &Same)
}

/// A stream with `places` into `file`, and the end of its upkeep.
fn stream(file: impl Into<OwnedFd>, places: usize) -> (Tap, Counts, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let sink = Sink { file: File::from(file.into()), path: None, failing: false };
    let stream = EventStream::to(sink, places, signal(SignalKind::user_defined2()).unwrap());
    let (tap, counts) = (stream.tap(), stream.counts().clone());
    let (stop, stopped) = oneshot::channel();
    (tap, counts, stop, tokio::spawn(stream.keep(stopped)))
}

#[tokio::test]
async fn a_sink_that_nobody_reads_blocks_nobody_and_what_found_no_room_is_counted() {
    let (reader, writer) = io::pipe().unwrap();
    let (tap, counts, stop, kept) = stream(writer, 10);
    // A pipe holds 64 KiB, which is less than a thousand of these; ten wait, and so many are in the writer's hands.
    let all: u64 = 2_000;
    let first = event(0);
    let shape = serde_json::to_string(&first).unwrap();
    tap.tell(vec![first]);
    for at in 1..all {
        tap.tell(vec![event(i64::try_from(at).unwrap())]);
    }
    assert!(counts.dropped.get() > 0);
    drop(tap);
    // Somebody reads at last: all that was not left out comes, in order.
    let lines = tokio::task::spawn_blocking(move || BufReader::new(reader).lines().collect::<Result<Vec<_>, _>>());
    // There is room again once lines were read, and the end finds it.
    while counts.written.get() + counts.dropped.get() < all {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    kept.await.unwrap();
    let lines = lines.await.unwrap().unwrap();
    assert_eq!(lines.len(), usize::try_from(counts.written.get()).unwrap());
    let times: Vec<String> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["at"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.is_sorted());
    assert_eq!(lines[0], shape);
}

#[tokio::test]
async fn what_cannot_be_written_is_counted() {
    let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let (tap, counts, stop, kept) = stream(full, 10);
    tap.tell(vec![event(1), event(2), event(3)]);
    stop.send(()).unwrap();
    kept.await.unwrap();
    assert_eq!((counts.written.get(), counts.dropped.get()), (0, 3));
}
