//! The refresh token: what is in it, and how one that we never issued is refused before any I/O.
//!
//! ```text
//! rg1_<base64url, 60 characters: key_id:1 ‖ grant_id:16 ‖ generation:4 BE ‖ gate:8 ‖ mac:16>
//! ```
//!
//! 1. [`RefreshKeys::open`] decodes the text and checks the *gate*, a MAC that needs only the key. Garbage ends here.
//! 2. The store loads the grant's row, which holds a random salt.
//! 3. [`RefreshKeys::is_genuine`] checks the *mac*, which needs the key and the salt. So neither the database alone nor the
//!    key file alone makes a token.
//! 4. [`RefreshKeys::issue`] computes the token of any generation: that is why a retry can be given the same successor, and
//!    why no token is ever stored.

use std::{collections::BTreeMap, fmt, sync::Arc};

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::{constant_time, digest, hkdf, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{id::Generation, ports::Tags, refresh::Grant};

/// What every refresh token begins with, so that secret scanners can find one.
pub const PREFIX: &str = "rg1_";
/// The length of every refresh token in characters.
pub const LENGTH: usize = PREFIX.len() + 60;

const BODY: usize = 1 + 16 + 4;
const GATE: usize = 8;
const MAC: usize = 16;
/// What is hashed: a label, of which the session's is the longest, a zero, the body and the salt.
const LONGEST_MESSAGE: usize = Endpoint::Session.label().len() + 1 + BODY + 16;
const _: () = assert!(Endpoint::OAuth.label().len() <= Endpoint::Session.label().len());

/// The secret identifier of a grant: 4 bytes of shard, 96 random bits. Never shown, logged or listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub [u8; 16]);

impl GrantId {
    /// Joins the shard of the user (or service client) with 12 random bytes.
    #[must_use]
    pub fn new(shard: Shard, random: &dyn crate::ports::Random) -> Self {
        let mut bytes = [0; 16];
        let (head, tail) = bytes.split_at_mut(4);
        head.copy_from_slice(&shard.0);
        random.fill(tail);
        Self(bytes)
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantId(secret)")
    }
}

/// A keyed hash of the user: on a distributed engine all rows of a user live together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard(pub [u8; 4]);

/// The random half of a grant's MAC that lives in its row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(secret)")
    }
}

/// Which master key made a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub u8);

/// Where a refresh token may be used. The kinds have different keys: one's token is garbage at the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// The first-party session API, `/session/refresh`.
    Session,
    /// The OAuth token endpoint, `/oauth2/token`.
    OAuth,
}

impl Endpoint {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"regrant/refresh/session/v1",
            Self::OAuth => b"regrant/refresh/oauth/v1",
        }
    }
}

/// A presented token whose gate is right. Whether it is genuine is known once the grant's salt is.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// Where it was presented; the gate was made for this endpoint.
    pub endpoint: Endpoint,
    /// The master that made it.
    pub key: KeyId,
    /// The grant that it claims.
    pub grant: GrantId,
    /// The generation that it claims.
    pub generation: Generation,
    mac: [u8; MAC],
}

impl Presented {
    /// What a store may have kept of it ([`RefreshKeys::tags`]).
    #[must_use]
    pub fn tag(&self) -> [u8; Tags::LENGTH as usize] {
        tag_of(&self.mac)
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented(generation {}, key {})", self.generation, self.key.0)
    }
}

/// Why a presented token went no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// Row 1 of the table: malformed, a wrong gate, or made by a key that is retired.
    Unknown,
    /// Row 1 of the table: made by a key newer than this node knows. Another node can answer it; this one must not refuse it.
    Unavailable,
}

/// A master key's bytes. Zeroed when dropped, silent in `Debug`.
#[derive(Clone)]
pub struct Master(Zeroizing<[u8; 32]>);

impl Master {
    /// From 32 secret bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// What the store keeps to notice that the key file is another one. One-way, and bound to the key's id.
    #[must_use]
    pub fn check_value(&self, id: KeyId) -> [u8; 16] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let mut context = hmac::Context::with_key(&key);
        context.update(b"regrant/refresh/check/v1");
        context.update(&[0, id.0]);
        cut(context.sign().as_ref())
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master(secret)")
    }
}

/// The keys of one issuer's refresh tokens, derived once from the masters. They may be replaced while it is used.
pub struct RefreshKeys {
    issuer: String,
    /// Replaced whole. Every refresh reads it several times, on every processor: a lock, even one that is never waited for, would
    /// go to and fro between them.
    held: ArcSwap<Held>,
}

#[derive(Clone)]
struct Held {
    active: KeyId,
    /// The newest that was ever used, retired or not: a token of a newer one is another node's.
    newest: KeyId,
    keys: BTreeMap<KeyId, Derived>,
}

impl Held {
    fn new(masters: &BTreeMap<KeyId, Master>, active: KeyId, newest: KeyId, issuer: &str) -> Option<Self> {
        let derive_both = |master| {
            Some(Derived {
                session: derive(master, Endpoint::Session, issuer)?,
                oauth: derive(master, Endpoint::OAuth, issuer)?,
            })
        };
        let keys: BTreeMap<_, _> =
            masters.iter().filter_map(|(id, master)| Some((*id, derive_both(master)?))).collect();
        let newest = keys.last_key_value().map_or(newest, |(id, _)| newest.max(*id));
        (keys.contains_key(&active) && keys.len() == masters.len()).then_some(Self { active, newest, keys })
    }
}

#[derive(Clone)]
struct Derived {
    session: hmac::Key,
    oauth: hmac::Key,
}

impl fmt::Debug for RefreshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshKeys(active {})", self.active().0)
    }
}

impl RefreshKeys {
    /// Derives the keys of `issuer`. `active` makes new tokens; `None` if it is not among the masters.
    #[must_use]
    pub fn new(masters: &BTreeMap<KeyId, Master>, active: KeyId, issuer: &str) -> Option<Self> {
        let held = Held::new(masters, active, active, issuer)?;
        Some(Self { issuer: issuer.to_owned(), held: ArcSwap::from_pointee(held) })
    }

    /// Uses these masters from now on; tokens of all others are refused. `newest` is the newest id ever used, that of a
    /// retired key too. `false`, and nothing changes, if `active` is not among the masters.
    #[must_use]
    pub fn replace(&self, masters: &BTreeMap<KeyId, Master>, active: KeyId, newest: KeyId) -> bool {
        let Some(held) = Held::new(masters, active, newest, &self.issuer) else {
            return false;
        };
        self.held.store(Arc::new(held));
        true
    }

    /// Believes no token of this key from now on.
    pub fn forget(&self, id: KeyId) {
        self.held.rcu(|held| {
            let mut held = Held::clone(held);
            held.keys.remove(&id);
            held
        });
    }

    fn held(&self) -> Guard<Arc<Held>> {
        self.held.load()
    }

    /// The key that new tokens are made with.
    #[must_use]
    pub fn active(&self) -> KeyId {
        self.held().active
    }

    /// The keys whose tokens are believed.
    #[must_use]
    pub fn ids(&self) -> Vec<KeyId> {
        self.held().keys.keys().copied().collect()
    }

    /// Decodes `text` and checks its gate for `endpoint`. No I/O: a token that we never issued costs one MAC.
    ///
    /// # Errors
    /// [`Stopped`], row 1 of the decision table.
    pub fn open(&self, endpoint: Endpoint, text: &str) -> Result<Presented, Stopped> {
        if text.len() != LENGTH {
            return Err(Stopped::Unknown);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(Stopped::Unknown)?;
        let mut bytes = [0u8; BODY + GATE + MAC];
        // Sixty characters are exactly 45 bytes, so there are no left-over bits: the encoding is canonical or refused.
        if URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes) != Ok(bytes.len()) {
            return Err(Stopped::Unknown);
        }
        let (body, rest) = bytes.split_first_chunk::<BODY>().ok_or(Stopped::Unknown)?;
        let (gate, mac) = rest.split_at(GATE);
        let [key, grant_and_generation @ ..] = body;
        let (grant, generation) = grant_and_generation.split_at(16);
        let key = KeyId(*key);
        let held = self.held();
        let Some(derived) = held.keys.get(&key) else {
            return Err(if key > held.newest { Stopped::Unavailable } else { Stopped::Unknown });
        };
        if constant_time::verify_slices_are_equal(&gate_of(derived.of(endpoint), endpoint, body), gate).is_err() {
            return Err(Stopped::Unknown);
        }
        Ok(Presented {
            endpoint,
            key,
            grant: GrantId(cut(grant)),
            generation: Generation(u32::from_be_bytes(cut(generation))),
            mac: cut(mac),
        })
    }

    /// Whether this server made `presented`, given the salt of the grant's row. Constant time.
    #[must_use]
    pub fn is_genuine(&self, presented: &Presented, salt: &Salt) -> bool {
        let held = self.held();
        let Some(derived) = held.keys.get(&presented.key) else {
            return false;
        };
        let body = body_of(presented.key, &presented.grant, presented.generation);
        let expected = mac_of(derived.of(presented.endpoint), presented.endpoint, &body, salt);
        constant_time::verify_slices_are_equal(&expected, &presented.mac).is_ok()
    }

    /// What a store may keep of a grant's next tokens, from its newest on. A quarter of a hash of each MAC: nobody makes the token of
    /// it, and whoever presents another one meets it once in four thousand million times, and the MAC then.
    ///
    /// `None` if the grant's key is not among this server's.
    #[must_use]
    pub fn tags(&self, grant: &Grant) -> Option<Tags> {
        let held = self.held();
        let derived = held.keys.get(&grant.key)?.of(grant.endpoint);
        let mut tags = Tags(vec![0; (Tags::AHEAD * Tags::LENGTH) as usize]);
        for step in 0..Tags::AHEAD {
            let generation = Generation(grant.generation.0.wrapping_add(step));
            let body = body_of(grant.key, &grant.id, generation);
            let tag = tag_of(&mac_of(derived, grant.endpoint, &body, &grant.salt));
            let places = tags.0.iter_mut().skip(Tags::place(generation) as usize);
            places.zip(tag).for_each(|(place, byte)| *place = byte);
        }
        Some(tags)
    }

    /// Computes the token of `generation` of a grant: the same one however often it is asked for.
    ///
    /// `None` if `key` is not among this server's keys.
    #[must_use]
    pub fn issue(
        &self,
        endpoint: Endpoint,
        key: KeyId,
        grant: &GrantId,
        generation: Generation,
        salt: &Salt,
    ) -> Option<RefreshToken> {
        let held = self.held();
        let derived = held.keys.get(&key)?.of(endpoint);
        let mut bytes = [0u8; BODY + GATE + MAC];
        let body = body_of(key, grant, generation);
        let (head, rest) = bytes.split_at_mut(BODY);
        let (gate, mac) = rest.split_at_mut(GATE);
        head.copy_from_slice(&body);
        gate.copy_from_slice(&gate_of(derived, endpoint, &body));
        mac.copy_from_slice(&mac_of(derived, endpoint, &body, salt));
        let mut text = String::with_capacity(LENGTH);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        Some(RefreshToken(text))
    }
}

impl Derived {
    const fn of(&self, endpoint: Endpoint) -> &hmac::Key {
        match endpoint {
            Endpoint::Session => &self.session,
            Endpoint::OAuth => &self.oauth,
        }
    }
}

/// A refresh token on its way to its holder. Silent in `Debug`, so that no log can show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

impl RefreshToken {
    /// The token itself, for the reply and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(secret)")
    }
}

/// K = HKDF-SHA-256(master, label ‖ issuer), RFC 5869: another issuer's or endpoint's tokens have another key.
fn derive(master: &Master, endpoint: Endpoint, issuer: &str) -> Option<hmac::Key> {
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(master.0.as_slice());
    let info = [endpoint.label(), issuer.as_bytes()];
    secret.expand(&info, hmac::HMAC_SHA256).ok().map(hmac::Key::from)
}

fn body_of(key: KeyId, grant: &GrantId, generation: Generation) -> [u8; BODY] {
    let mut body = [0; BODY];
    let (head, rest) = body.split_at_mut(1);
    let (middle, tail) = rest.split_at_mut(16);
    head.copy_from_slice(&[key.0]);
    middle.copy_from_slice(&grant.0);
    tail.copy_from_slice(&generation.0.to_be_bytes());
    body
}

fn gate_of(key: &hmac::Key, endpoint: Endpoint, body: &[u8; BODY]) -> [u8; GATE] {
    cut(sign(key, endpoint, body, None).as_ref())
}

fn mac_of(key: &hmac::Key, endpoint: Endpoint, body: &[u8; BODY], salt: &Salt) -> [u8; MAC] {
    cut(sign(key, endpoint, body, Some(salt)).as_ref())
}

fn tag_of(mac: &[u8; MAC]) -> [u8; Tags::LENGTH as usize] {
    cut(digest::digest(&digest::SHA256, mac).as_ref())
}

fn sign(key: &hmac::Key, endpoint: Endpoint, body: &[u8; BODY], salt: Option<&Salt>) -> hmac::Tag {
    // In one piece: for the library each piece is as much work as hashing it.
    let mut message = [0; LONGEST_MESSAGE];
    let mut room = message.as_mut_slice();
    let salt = salt.map_or(&[][..], |salt| &salt.0);
    for part in [endpoint.label(), &[0], body, salt] {
        let (here, after) = std::mem::take(&mut room).split_at_mut(part.len());
        here.copy_from_slice(part);
        room = after;
    }
    let unused = room.len();
    hmac::sign(key, message.split_at(LONGEST_MESSAGE - unused).0)
}

/// The first `N` bytes. Shorter input, which no caller here has, is padded with zeros.
fn cut<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests;
