//! The audit stream: each event of the timeline as one line of JSON, to a file or to standard output, after its commit.
//!
//! 1. The store's writer hands the events of a commit to the [`Tap`], which puts them into a bounded queue and never waits.
//! 2. A thread takes them from there and writes them in order. If the place where they go is slow or fails, it waits or fails
//!    alone: what finds the queue full, or cannot be written, is counted, logged and left out.
//! 3. SIGHUP opens the file anew, for those who move it away. It is heard beside the TLS files' (`http/tls.rs`), by the one
//!    handler that tokio has for a process.
//!
//! The timeline in the store is the truth: what the stream left out stands there.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use regrant_engine::event::Event;
use rustix::fs::{OFlags, fcntl_setfl};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// So many events may wait to be written.
const QUEUE: usize = 16 * 1024;
/// So many are written at once.
const AT_ONCE: usize = 256;
/// How often the log is told of events that were left out.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How long what waits may take when the server stops.
const LAST_EVENTS: Duration = Duration::from_secs(2);
/// What stands for standard output in the configuration.
const STANDARD_OUTPUT: &str = "stdout";

/// What became of events.
#[derive(Clone, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) written: Counter,
    pub(crate) dropped: Counter,
}

/// A stream that is open.
pub(crate) struct EventStream {
    queue: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
    hang_up: Signal,
    done: oneshot::Receiver<()>,
    counts: Counts,
}

/// Where the store's writer puts events.
pub(crate) struct Tap {
    queue: SyncSender<Message>,
    dropped: Counter,
}

enum Message {
    Event(Box<Event>),
    /// Look at what is asked for.
    Wake,
    /// Nothing comes any more.
    End,
}

impl EventStream {
    /// Whether it could be opened, as far as that can be seen without making the file.
    ///
    /// # Errors
    /// A sentence that says what is wrong and how to mend it.
    pub(crate) fn check(to: &Path) -> Result<(), String> {
        let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let seen = match std::fs::metadata(directory) {
            Ok(_) if to == Path::new(STANDARD_OUTPUT) => Ok(()),
            Ok(found) if !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            Ok(_) if to.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            seen => seen.map(|_| ()),
        };
        seen.map_err(|error| cannot_open(to, &error))
    }

    /// Opens it. On the runtime, whose signals it hears.
    ///
    /// # Errors
    /// A sentence that says what is wrong and how to mend it.
    pub(crate) fn open(to: &Path) -> Result<Self, String> {
        let sink = Sink::open(to)?;
        // Asked for before anything is written: a signal that comes in between is not lost.
        let hang_up =
            signal(SignalKind::hangup()).map_err(|error| format!("events.stream: SIGHUP cannot be heard: {error}"))?;
        Ok(Self::to(sink, QUEUE, hang_up))
    }

    fn to(sink: Sink, places: usize, hang_up: Signal) -> Self {
        let (queue, lines) = sync_channel(places);
        let (end, done) = oneshot::channel();
        let (reopen, counts) = (Arc::<AtomicBool>::default(), Counts::default());
        let (asked, counted) = (Arc::clone(&reopen), counts.clone());
        thread::spawn(move || {
            write(sink, &lines, &asked, &counted);
            let _ = end.send(());
        });
        Self { queue, reopen, hang_up, done, counts }
    }

    /// Where events are put.
    pub(crate) fn tap(&self) -> Tap {
        Tap { queue: self.queue.clone(), dropped: self.counts.dropped.clone() }
    }

    /// What became of them.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Hears SIGHUP and tells the log what was left out, until `stop` is done and the last event is written.
    pub(crate) async fn keep(mut self, stop: oneshot::Receiver<()>) {
        let mut tick = tokio::time::interval(REPORT_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = 0;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                _ = &mut stop => break,
                _ = tick.tick() => self.report(&mut told),
                _ = self.hang_up.recv() => {
                    self.reopen.store(true, Ordering::Relaxed);
                    // A full queue wakes it just as well.
                    let _ = self.queue.try_send(Message::Wake);
                }
            }
        }
        let ended = self.queue.try_send(Message::End).is_ok();
        if !ended || tokio::time::timeout(LAST_EVENTS, &mut self.done).await.is_err() {
            tracing::warn!("the last events could not be written to the stream; the timeline has them");
        }
        self.report(&mut told);
    }

    fn report(&self, told: &mut u64) {
        let dropped = self.counts.dropped.get();
        if dropped > *told {
            let events = dropped - *told;
            tracing::warn!(
                events,
                "events were left out of the stream, which is too slow or fails; the timeline has them"
            );
            *told = dropped;
        }
    }
}

impl Tap {
    /// Puts events into the queue, or leaves them out where there is no room.
    pub(super) fn tell(&self, events: Vec<Event>) {
        for event in events {
            match self.queue.try_send(Message::Event(Box::new(event))) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.dropped.inc();
                }
            }
        }
    }
}

/// Writes what comes, until nothing comes any more.
fn write(mut sink: Sink, queue: &Receiver<Message>, reopen: &AtomicBool, counts: &Counts) {
    let mut text = Vec::new();
    let mut ends = false;
    while !ends && let Ok(first) = queue.recv() {
        text.clear();
        let mut lines = 0;
        for message in std::iter::once(first).chain(queue.try_iter().take(AT_ONCE - 1)) {
            match message {
                Message::Event(event) => match serde_json::to_vec(&event) {
                    Ok(line) => {
                        text.extend(line);
                        text.push(b'\n');
                        lines += 1;
                    }
                    Err(error) => {
                        counts.dropped.inc();
                        tracing::error!(%error, "an event could not be put into words");
                    }
                },
                Message::Wake => {}
                Message::End => ends = true,
            }
        }
        if reopen.swap(false, Ordering::Relaxed) {
            sink.reopen();
        }
        if lines > 0 {
            let counter = if sink.write(&text) { &counts.written } else { &counts.dropped };
            counter.inc_by(lines);
        }
    }
}

/// Where lines go.
struct Sink {
    file: File,
    /// `None` for standard output, which cannot be opened anew.
    path: Option<PathBuf>,
    /// The last write failed, so that half a line may stand at the end.
    failing: bool,
}

impl Sink {
    fn open(to: &Path) -> Result<Self, String> {
        let (file, path) = if to == Path::new(STANDARD_OUTPUT) {
            // A descriptor of our own: whoever prints does not wait for us, nor we for them.
            (io::stdout().as_fd().try_clone_to_owned().map(File::from), None)
        } else {
            (append(to), Some(to.to_owned()))
        };
        let file = file.map_err(|error| cannot_open(to, &error))?;
        Ok(Self { file, path, failing: false })
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match append(path) {
            Ok(file) => {
                self.file = file;
                self.failing = false;
                tracing::info!(file = %path.display(), "the event stream was opened anew");
            }
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "the event stream could not be opened anew; the old file goes on");
            }
        }
    }

    /// Whether all of `text` was written.
    fn write(&mut self, text: &[u8]) -> bool {
        let mended = if self.failing { self.file.write_all(b"\n") } else { Ok(()) };
        match mended.and_then(|()| self.file.write_all(text)) {
            Ok(()) => {
                self.failing = false;
                true
            }
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, "events cannot be written to the stream");
                }
                self.failing = true;
                false
            }
        }
    }
}

/// Events name people and places: for our own eyes.
fn cannot_open(to: &Path, error: &io::Error) -> String {
    format!(
        "events.stream: cannot open {}: {error}; name a file in a directory that exists and that we may write to, or \
         \"{STANDARD_OUTPUT}\"",
        to.display()
    )
}

fn append(path: &Path) -> io::Result<File> {
    let not_waiting = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    // A pipe that nobody has open to read would hold up the start, without a word: now it is an error.
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(not_waiting).open(path)?;
    // Written to it is as ever, by a thread that may wait.
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
