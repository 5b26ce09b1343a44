//! Behind proxies: who the client is, and whether it came in the clear.
//!
//! 1. Headers are believed only if the connection itself comes from an address in `[server] trusted_proxies`. From anybody
//!    else they are what an attacker writes into them (RFC 7239 §8.1, RFC 9700 §4.13).
//! 2. The hops are walked from the newest, which the trusted proxy itself wrote, to the oldest, which anybody may have written.
//!    The walk goes on as long as the hop is a trusted proxy's address; the first other one is the client. A hop that is
//!    hidden (`unknown`, `_name`) or unreadable ends the walk at the hop before it: what is behind it was not vouched for.
//! 3. The hops are those of `Forwarded` (RFC 7239 §4) or of `X-Forwarded-For`. If a request has both and they lead to different
//!    clients, one of them was sent by the client and passed on by a proxy that knows the other only. Which one, nobody can
//!    say: the connection's own address counts, and the log says once what to mend.
//! 4. Scheme and host of the outermost connection (`proto=`, `host=`, `X-Forwarded-Proto`, `-Host`) can only make us stricter.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use axum::http::{HeaderMap, HeaderName, header};

use super::cookie::is_loopback;
use crate::config::AddressRange;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The proxies that are believed.
pub(super) struct Proxies {
    trusted: Vec<AddressRange>,
    told_ignored: AtomicBool,
    told_contradiction: AtomicBool,
}

/// The other end: of the connection, or of the proxies that are trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Peer {
    /// The client's address.
    pub(super) address: IpAddr,
    /// What trusted proxies say of the outermost connection.
    pub(super) outside: Outside,
    /// The browser's user agent, as an authenticated client says it (`on_behalf.rs`); otherwise the request's own counts.
    pub(super) user_agent: Option<String>,
}

/// The outermost connection, `None` where nobody speaks of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Outside {
    /// It was encrypted.
    pub(super) https: Option<bool>,
    /// It was made to a name of the client's own machine.
    pub(super) loopback_host: Option<bool>,
}

impl Proxies {
    pub(super) fn new(trusted: &[AddressRange]) -> Self {
        Self {
            trusted: trusted.to_vec(),
            told_ignored: AtomicBool::new(false),
            told_contradiction: AtomicBool::new(false),
        }
    }

    /// The other end of a request that came on a connection from `peer`.
    pub(super) fn past(&self, peer: IpAddr, headers: &HeaderMap) -> Peer {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            self.ignore(peer, headers);
            return Peer { address: peer, outside: Outside::default(), user_agent: None };
        }
        let forwarded = self.walk(peer, forwarded_hops(headers));
        let unofficial = self.walk(peer, x_forwarded_for_hops(headers));
        let address = match (&forwarded, &unofficial) {
            (None, None) => peer,
            (Some(walk), None) | (None, Some(walk)) => walk.address,
            (Some(one), Some(other)) if one.address == other.address => one.address,
            (Some(one), Some(other)) => {
                if !self.told_contradiction.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        proxy = %peer, forwarded = %one.address, x_forwarded_for = %other.address,
                        "Forwarded and X-Forwarded-For name different clients, so neither is believed: let the proxy set one \
                         of them and remove the other (told once)"
                    );
                }
                peer
            }
        };
        let depth = unofficial.as_ref().map_or(1, |walk| walk.hops);
        let outside = forwarded.map(|walk| walk.outside).unwrap_or_default();
        Peer { address, outside: outside.stricter(x_outside(headers, depth)), user_agent: None }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(address))
    }

    fn walk(&self, peer: IpAddr, hops: impl Iterator<Item = Hop>) -> Option<Walk> {
        let mut walk = Walk { address: peer, hops: 0, outside: Outside::default() };
        for hop in hops.take(MOST_HOPS) {
            walk.hops += 1;
            walk.outside = hop.outside.or(walk.outside);
            let Some(address) = hop.address else { break };
            walk.address = address;
            if !self.trusts(address) {
                break;
            }
        }
        (walk.hops > 0).then_some(walk)
    }

    /// The first time that somebody's headers are ignored, the log says so: it may be the operator's own proxy.
    fn ignore(&self, peer: IpAddr, headers: &HeaderMap) {
        let claims = headers.contains_key(header::FORWARDED) || headers.contains_key(X_FORWARDED_FOR);
        if claims && !self.told_ignored.swap(true, Ordering::Relaxed) {
            tracing::info!(
                %peer,
                "a forwarding header was ignored: its sender is not in server.trusted_proxies. If it is your proxy, list it \
                 (told once)"
            );
        }
    }
}

impl Outside {
    /// What `self` says, and where it says nothing, what `inner` does.
    fn or(self, inner: Self) -> Self {
        Self { https: self.https.or(inner.https), loopback_host: self.loopback_host.or(inner.loopback_host) }
    }

    /// The worse of what both say.
    fn stricter(self, other: Self) -> Self {
        let worse = |one: Option<bool>, other: Option<bool>| match (one, other) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        };
        Self { https: worse(self.https, other.https), loopback_host: worse(self.loopback_host, other.loopback_host) }
    }
}

/// One element of a forwarding header: whom a proxy had the request from, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Hop {
    /// `None` if it is hidden or unreadable.
    address: Option<IpAddr>,
    outside: Outside,
}

/// How far a header led.
struct Walk {
    address: IpAddr,
    /// How many of its elements were looked at; each was written by a trusted proxy.
    hops: usize,
    outside: Outside,
}

/// The hops of all `Forwarded` lines, newest first. Several lines are one list (RFC 9110 §5.3).
fn forwarded_hops(headers: &HeaderMap) -> impl Iterator<Item = Hop> {
    let lines: Vec<_> = headers.get_all(header::FORWARDED).iter().collect();
    lines.into_iter().rev().flat_map(|line| {
        let line = line.to_str().ok().filter(|line| line.len() <= LONGEST_LINE);
        // Quotes make the parts of a line depend on what stands left of them, so a line is readable as a whole or not at all.
        let hops = line.and_then(forwarded_elements).unwrap_or_else(|| vec![Hop::default()]);
        hops.into_iter().rev()
    })
}

/// One `Forwarded` line, `None` if it is not one (RFC 7239 §4).
fn forwarded_elements(line: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut rest = line;
    loop {
        let (hop, after) = forwarded_element(rest)?;
        // Empty elements are allowed in lists (RFC 9110 §5.6.1.2).
        hops.extend(hop);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(hops),
        }
    }
}

/// The first element of `rest`, `None` in it if it is empty, and what stands behind it.
fn forwarded_element(mut rest: &str) -> Option<(Option<Hop>, &str)> {
    let (mut node, mut proto, mut host) = (None, None, None);
    let mut is_empty = true;
    loop {
        rest = rest.trim_start_matches(BLANK);
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = forwarded_value(after)?;
            let kept = match name.to_ascii_lowercase().as_str() {
                "for" => &mut node,
                "proto" => &mut proto,
                "host" => &mut host,
                name if is_token(name) => &mut None,
                _ => return None,
            };
            // RFC 7239 §4: each parameter at most once in an element.
            if kept.replace(value).is_some() {
                return None;
            }
            is_empty = false;
            rest = after.trim_start_matches(BLANK);
        }
        match rest.strip_prefix(';') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let hop = Hop {
        address: node.as_deref().and_then(forwarded_node),
        outside: Outside {
            https: proto.map(|proto| proto.eq_ignore_ascii_case("https")),
            loopback_host: host.map(|host| is_loopback(&host)),
        },
    };
    Some(((!is_empty).then_some(hop), rest))
}

/// A token or a quoted string (RFC 9110 §5.6.4) at the beginning of `rest`, and what stands behind it.
fn forwarded_value(rest: &str) -> Option<(String, &str)> {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(|c: char| BLANK.contains(&c) || ",;".contains(c)).unwrap_or(rest.len());
        let (value, after) = rest.split_at(end);
        return is_token(value).then(|| (value.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

/// The address of a node (RFC 7239 §6): IPv4, or IPv6 in brackets, each perhaps with a port. `None` for `unknown` (§6.2), for an
/// obfuscated name (§6.3), and for what is neither.
fn forwarded_node(node: &str) -> Option<IpAddr> {
    let (address, port) = match node.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let end = node.find(':').unwrap_or(node.len());
            let (address, port) = node.split_at(end);
            (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    let is_port = |port: &str| {
        let digits = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
        digits || port.strip_prefix('_').is_some_and(is_token)
    };
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| address.to_canonical())
}

/// The hops of all `X-Forwarded-For` lines, newest first. No standard: an address, and from some proxies a port behind it.
fn x_forwarded_for_hops(headers: &HeaderMap) -> impl Iterator<Item = Hop> {
    newest_first(headers, X_FORWARDED_FOR)
        .map(|entry| Hop { address: entry.and_then(x_forwarded_for_node), outside: Outside::default() })
}

fn x_forwarded_for_node(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let address = text.parse().ok().or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    address.or_else(bare).map(|address: IpAddr| address.to_canonical())
}

/// What `X-Forwarded-Proto` and `-Host` say. A proxy that appends to a list does so to all of them, so the entry as deep as the
/// client's address is about the client's connection; most proxies write one value.
fn x_outside(headers: &HeaderMap, depth: usize) -> Outside {
    let entry = |name| newest_first(headers, name).take(depth).last().flatten();
    Outside {
        https: entry(X_FORWARDED_PROTO).map(|proto| proto.eq_ignore_ascii_case("https")),
        loopback_host: entry(X_FORWARDED_HOST).map(is_loopback),
    }
}

/// The entries of all lines of a simple list, the last one first; `None` for one that is too long or no text. It can be read
/// from its end, so that garbage at its beginning, which anybody can send, spoils nothing.
fn newest_first(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Option<&str>> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
        .map(|entry| std::str::from_utf8(entry).ok().filter(|entry| entry.len() <= LONGEST_ENTRY))
}

const BLANK: [char; 2] = [' ', '\t'];
/// Whoever has more proxies than this in a row walks no further.
const MOST_HOPS: usize = 32;
/// The longest `Forwarded` line that is read, in bytes. (All headers together: `listener.rs`.)
const LONGEST_LINE: usize = 4096;
/// The longest entry of the other lists, in bytes: a host name fits.
const LONGEST_ENTRY: usize = 262;

#[cfg(test)]
mod tests;
