//! One keep-alive connection that carries its chains: send, wait, check, keep the successor, next.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::UnboundedReceiver,
};

use crate::{
    chains::Chains,
    clock,
    histogram::Histogram,
    http::{self, Garbage, Parsed, Reply, Target},
};

/// A server that has not answered by then is counted as one that does not.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a chain rests after a reply that says "later" without saying when, and a connection after it failed.
const REST: Duration = Duration::from_millis(200);

/// When a connection sends.
pub(crate) enum Starts {
    /// When it has the reply to the one before: as much as the server can do.
    Closed,
    /// When the pacer says so.
    Open(UnboundedReceiver<Instant>),
}

/// What is measured, after the warm-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    /// From here.
    pub(crate) begins: Instant,
    /// To here.
    pub(crate) ends: Instant,
}

impl Phase {
    fn contains(&self, at: Instant) -> bool {
        (self.begins..self.ends).contains(&at)
    }
}

/// What came of it.
#[derive(Clone)]
pub(crate) struct Tally {
    /// Of the good replies whose intended start lies in the phase.
    pub(crate) latencies: Histogram,
    /// Good replies that came within the phase.
    pub(crate) renewed: u64,
    /// All others, within the phase or not, by what they were.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Connections that the server had closed while they were idle, and that were opened again.
    pub(crate) reopened: u64,
    /// How often a chain had to wait until it could be used again.
    pub(crate) waits: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { latencies: Histogram::new(), renewed: 0, errors: BTreeMap::new(), reopened: 0, waits: 0 }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.renewed += other.renewed;
        self.reopened += other.reopened;
        self.waits += other.waits;
        for (what, count) in &other.errors {
            *self.errors.entry(what.clone()).or_default() += count;
        }
    }

    fn error(&mut self, what: impl Into<String>) {
        *self.errors.entry(what.into()).or_default() += 1;
    }
}

/// Carries `chains` over a connection to `target` until the phase ends; they come back as they are then.
pub(crate) async fn carry(
    target: Arc<Target>,
    mut chains: Chains,
    mut starts: Starts,
    phase: Phase,
) -> (Tally, Chains) {
    let mut tally = Tally::new();
    let mut line = Line::new();
    while let Some(due) = starts.next(phase.ends).await {
        let Some(turn) = chains.turn() else {
            tally.error("no grant left");
            break;
        };
        let slot = turn.slot();
        let mut intended = due;
        if let Some(not_before) = turn.not_before.filter(|not_before| *not_before > clock::now()) {
            tally.waits += 1;
            if not_before >= phase.ends {
                break;
            }
            clock::until(not_before).await;
            // In a closed loop nobody wanted to send before. In an open one somebody did, and waited.
            if matches!(starts, Starts::Closed) {
                intended = clock::now();
            }
        }
        target.write_refresh(turn.token, &mut line.request);
        let outcome = tokio::time::timeout(PATIENCE, line.exchange(&target, &mut tally.reopened)).await;
        let now = clock::now();
        match outcome {
            Ok(Ok(reply)) if reply.status == 200 => {
                match http::successor(line.received.get(reply.body).unwrap_or_default(), turn.token) {
                    Ok(successor) => {
                        chains.renewed(slot, successor, now);
                        if phase.contains(intended) {
                            tally.latencies.record(now.saturating_duration_since(intended));
                        }
                        tally.renewed += u64::from(phase.contains(now));
                    }
                    Err(Garbage(why)) => {
                        tally.error(format!("a wrong reply: {why}"));
                        chains.ended(slot);
                    }
                }
            }
            Ok(Ok(Reply { status, retry_after, .. })) => {
                tally.error(status.to_string());
                if matches!(status, 429 | 500..) {
                    chains.put_off(slot, now, retry_after.map_or(REST, Duration::from_secs));
                } else {
                    chains.ended(slot);
                }
            }
            // Nobody knows whether the token was renewed; the protocol lets it be used again.
            Ok(Err(broken)) => {
                tally.error(broken.to_string());
                line.stream = None;
                clock::until(now + REST).await;
            }
            Err(_) => {
                tally.error("no reply in 30 s");
                line.stream = None;
            }
        }
    }
    (tally, chains)
}

impl Starts {
    /// When the next request was meant to be sent; `None` when it is over.
    async fn next(&mut self, end: Instant) -> Option<Instant> {
        match self {
            Self::Closed => Some(clock::now()).filter(|now| *now < end),
            Self::Open(due) => due.recv().await,
        }
    }
}

/// A connection that can be opened again, with its buffers.
struct Line {
    stream: Option<TcpStream>,
    request: Vec<u8>,
    received: Vec<u8>,
}

/// Why an exchange brought no reply.
enum Broken {
    Io(io::Error),
    /// It was closed before a reply, although it was new.
    Closed,
    Garbage(Garbage),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "connection: {error}"),
            Self::Closed => f.write_str("connection: closed without a reply"),
            Self::Garbage(Garbage(why)) => write!(f, "no reply of HTTP/1.1: {why}"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Line {
    fn new() -> Self {
        Self { stream: None, request: Vec::with_capacity(512), received: Vec::with_capacity(4096) }
    }

    /// Sends the request and reads the reply into `received`. A connection that went away while it was idle is opened once
    /// more: servers may do that at any time (RFC 9112 §9.3.1).
    async fn exchange(&mut self, target: &Target, reopened: &mut u64) -> Result<Reply, Broken> {
        if let Some(mut stream) = self.stream.take() {
            match self.once(&mut stream).await {
                Ok(reply) => return Ok(self.keep(stream, reply)),
                Err(Broken::Closed | Broken::Io(_)) if self.received.is_empty() => *reopened += 1,
                Err(broken) => return Err(broken),
            }
        }
        let mut stream = TcpStream::connect(&target.authority).await?;
        stream.set_nodelay(true)?;
        let reply = self.once(&mut stream).await?;
        Ok(self.keep(stream, reply))
    }

    fn keep(&mut self, stream: TcpStream, reply: Reply) -> Reply {
        self.stream = Some(stream).filter(|_| !reply.closes);
        reply
    }

    async fn once(&mut self, stream: &mut TcpStream) -> Result<Reply, Broken> {
        self.received.clear();
        stream.write_all(&self.request).await?;
        loop {
            if stream.read_buf(&mut self.received).await? == 0 {
                return Err(Broken::Closed);
            }
            match http::parse(&self.received).map_err(Broken::Garbage)? {
                Parsed::Partial => {}
                Parsed::Whole(reply) => return Ok(reply),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::Dialect;

    /// Answers each request with the next of `replies`, in pieces of `piece` bytes, and closes after the last.
    async fn server(dialect: Dialect, replies: Vec<String>, piece: usize) -> Arc<Target> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Arc::new(Target { authority: listener.local_addr().unwrap().to_string(), dialect });
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for reply in replies {
                let mut seen = Vec::new();
                while !is_whole(&seen) {
                    assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "the client went away");
                }
                for piece in reply.as_bytes().chunks(piece) {
                    stream.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        target
    }

    /// The length is the last header that is written.
    fn is_whole(request: &[u8]) -> bool {
        let text = std::str::from_utf8(request).unwrap();
        text.split_once("\r\n\r\n").is_some_and(|(head, body)| head.ends_with(&format!(" {}", body.len())))
    }

    fn reply(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn tokens(refresh: &str) -> String {
        reply("200 OK", &format!(r#"{{"access_token":"a.b.c","refresh_token":"{refresh}"}}"#))
    }

    /// One request for each grant that is due, then over.
    async fn carried(replies: Vec<String>, piece: usize, grants: &[&str]) -> Tally {
        carried_in(Dialect::Session, replies, piece, grants).await
    }

    async fn carried_in(dialect: Dialect, replies: Vec<String>, piece: usize, grants: &[&str]) -> Tally {
        let (due, starts) = tokio::sync::mpsc::unbounded_channel();
        let now = clock::now();
        for _ in grants {
            due.send(now).unwrap();
        }
        drop(due);
        let target = server(dialect, replies, piece).await;
        let phase = Phase { begins: now, ends: now + Duration::from_secs(60) };
        carry(target, Chains::new(grants.iter().map(|token| (*token).into())), Starts::Open(starts), phase).await.0
    }

    #[tokio::test]
    async fn replies_in_single_bytes_are_whole_replies() {
        let tally = carried(vec![tokens("a2"), tokens("b2")], 1, &["a1", "b1"]).await;
        assert_eq!((tally.renewed, tally.latencies.total(), tally.errors.len()), (2, 2, 0));
    }

    #[tokio::test]
    async fn what_is_wrong_is_counted_by_what_it_is() {
        let replies =
            vec![tokens("a1"), reply("401 Unauthorized", "{}"), reply("503 Busy", ""), reply("200 OK", "hello")];
        let tally = carried(replies, 4096, &["a1", "b1", "c1", "d1"]).await;
        assert_eq!(tally.renewed, 0);
        let found: Vec<_> = tally.errors.iter().map(|(what, count)| (what.as_str(), *count)).collect();
        assert_eq!(
            found,
            [
                ("401", 1),
                ("503", 1),
                ("a wrong reply: its body is not the two tokens", 1),
                ("a wrong reply: its refresh token is not a new one", 1)
            ]
        );
    }

    #[tokio::test]
    async fn a_token_endpoint_is_carried_alike_and_its_refusals_are_counted() {
        let refused = reply("400 Bad Request", r#"{"error":"invalid_grant"}"#);
        let opaque = reply("200 OK", r#"{"access_token":"opaque","refresh_token":"c2"}"#);
        let replies = vec![tokens("a2"), refused, opaque, tokens("d1")];
        let tally = carried_in(Dialect::TokenEndpoint, replies, 7, &["a1", "b1", "c1", "d1"]).await;
        assert_eq!((tally.renewed, tally.latencies.total()), (1, 1));
        let found: Vec<_> = tally.errors.iter().map(|(what, count)| (what.as_str(), *count)).collect();
        assert_eq!(
            found,
            [
                ("400", 1),
                ("a wrong reply: its access token is none", 1),
                ("a wrong reply: its refresh token is not a new one", 1)
            ]
        );
    }

    #[tokio::test]
    async fn a_server_that_speaks_something_else_is_said_to() {
        let tally = carried(vec!["SSH-2.0 hello\r\n".to_owned()], 4096, &["a1"]).await;
        assert_eq!(
            tally.errors.into_keys().collect::<Vec<_>>(),
            ["no reply of HTTP/1.1: it does not begin with HTTP/1.1"]
        );
    }
}
