//! The form that a grant has in its row, in the journal and in memory: some hundred bytes.
//!
//! Numbers take as few bytes as they need (LEB128), times are told by their distance from one another, texts that many
//! grants share by their number in the dictionary (`words.rs`). The first byte is the version of the form.

use std::borrow::Borrow;

use regrant_engine::{
    common::Common,
    context::{AddressDigest, Context, Network, Networks, Prefix, UserAgentFamily},
    event::Renewal,
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    reason::{Life, UnknownName},
    refresh::{Grant, Holding, KeyThumbprint, Pace, Replay, Suspicion, Window},
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{Endpoint, GrantId, KeyId, Salt},
};

use super::{
    super::fault::Fault,
    words::{self, Words},
};

const VERSION: u8 = 1;

/// A grant, and what else a use of it needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Record<G = Grant> {
    /// The grant.
    pub(in super::super) grant: G,
    /// When the user last proved who they are.
    pub(in super::super) auth_time: Time,
    /// How.
    pub(in super::super) amr: Common<[String]>,
    /// The user's roles, sorted.
    pub(in super::super) roles: Common<[String]>,
    /// The state of all roles that they were read in: in a later one they are read again.
    pub(in super::super) roles_as_of: u64,
}

/// What a bit of the second and third byte says.
mod flag {
    pub(super) const OAUTH: u16 = 1;
    pub(super) const CLIENT_BOUND: u16 = 1 << 1;
    pub(super) const BOUND: u16 = 1 << 2;
    pub(super) const SESSION: u16 = 1 << 3;
    /// The public id is the session's.
    pub(super) const OWN: u16 = 1 << 4;
    pub(super) const FENCE: u16 = 1 << 5;
    pub(super) const NEWEST_USED: u16 = 1 << 6;
    pub(super) const WORST: u16 = 1 << 7;
    pub(super) const ENDED: u16 = 1 << 8;
    /// It rotated from the one network that it was last used from.
    pub(super) const ONE_NETWORK: u16 = 1 << 9;
    pub(super) const REPLAYS: u16 = 1 << 10;
}

/// Packs a grant. Its id is not part of it: it is the key wherever this is kept.
pub(super) fn pack<G: Borrow<Grant>>(record: &Record<G>, words: &mut Words) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    pack_into(record, &mut bytes, words);
    bytes
}

/// The same behind what is in `bytes`.
pub(super) fn pack_into<G: Borrow<Grant>>(record: &Record<G>, bytes: &mut Vec<u8>, words: &mut Words) {
    let Record { grant, auth_time, amr, roles, roles_as_of } = record;
    let grant: &Grant = grant.borrow();
    let own = grant.session.map(GrantRef::own_of) == Some(grant.public_id);
    let one_network = grant.networks == Networks::starting_with(grant.context.network);
    let mut flags = 0;
    let mut set = |bit: u16, is: bool| flags |= if is { bit } else { 0 };
    set(flag::OAUTH, grant.endpoint == Endpoint::OAuth);
    set(flag::CLIENT_BOUND, grant.holding == Holding::ClientBound);
    set(flag::BOUND, matches!(grant.holding, Holding::Bound { .. }));
    set(flag::SESSION, grant.session.is_some());
    set(flag::OWN, own);
    set(flag::FENCE, grant.fence.is_some());
    set(flag::NEWEST_USED, grant.newest_used);
    set(flag::WORST, grant.suspicion.worst.is_some());
    set(flag::ENDED, !grant.life.is_alive());
    set(flag::ONE_NETWORK, one_network);
    set(flag::REPLAYS, grant.pace.replays != Window::default());

    let mut out = Packer { bytes, words };
    out.bytes.push(VERSION);
    out.bytes.extend(flags.to_le_bytes());
    out.bytes.extend(grant.salt.0);
    out.bytes.extend(grant.user.as_bytes());
    if let Some(session) = &grant.session {
        out.bytes.extend(session.as_bytes());
    }
    if !own {
        out.bytes.extend(grant.public_id.as_bytes());
    }
    out.text(&grant.client.0);
    out.text(grant.kind.as_str());
    out.text(&grant.scope);
    out.text(&grant.audience);
    out.list(amr);
    out.list(roles);
    out.number(*roles_as_of);
    out.bytes.push(grant.key.0);
    out.number(grant.epoch.0.into());
    out.number(grant.generation.0.into());
    if let Some(fence) = grant.fence {
        out.number(fence.0.into());
    }
    if let Holding::Bound { key, from } = grant.holding {
        out.bytes.extend(key.0);
        out.number(from.0.into());
    }
    out.time(grant.issued_at, Time::from_millis(0));
    out.time(*auth_time, grant.issued_at);
    out.time(grant.rotated_at, grant.issued_at);
    out.time(grant.last_event, grant.rotated_at);
    out.time(grant.idle.0, grant.rotated_at);
    out.time(grant.absolute.0, grant.issued_at);
    out.window(grant.pace.rotations, grant.rotated_at);
    if grant.pace.replays != Window::default() {
        out.window(grant.pace.replays, grant.rotated_at);
    }
    out.bytes.push(grant.suspicion.points);
    if let Some(worst) = grant.suspicion.worst {
        out.text(worst.as_str());
    }
    out.place(&grant.context.user_agent, grant.context.prefix);
    out.bytes.extend(grant.context.address.0);
    out.bytes.extend(grant.context.network.to_bytes());
    if !one_network {
        out.short(&grant.networks.to_bytes());
    }
    if let Life::Ended { at, reason } = grant.life {
        out.time(at, grant.last_event);
        out.text(reason.as_str());
    }
}

/// Unpacks the grant `id`.
pub(super) fn unpack(id: GrantId, bytes: &[u8], words: &Words) -> Result<Record, Fault> {
    let mut from = Unpacker { bytes, words };
    if from.byte()? != VERSION {
        return Err(Fault::damaged("a grant was written in a form that this version does not know"));
    }
    let flags = u16::from_le_bytes(from.array()?);
    let is = |bit: u16| flags & bit != 0;
    let salt = Salt(from.array()?);
    let user = UserId::from_bytes(from.array()?);
    let session = if is(flag::SESSION) { Some(SessionId::from_bytes(from.array()?)) } else { None };
    let public_id = match session {
        Some(session) if is(flag::OWN) => GrantRef::own_of(session),
        _ => GrantRef::from_bytes(from.array()?),
    };
    let client = ClientId(from.text()?);
    let kind = from.name()?;
    let (scope, audience, amr, roles) = (from.text()?, from.text()?, from.list()?, from.list()?);
    let roles_as_of = from.number()?;
    let key = KeyId(from.byte()?);
    let epoch = Epoch(from.small()?);
    let generation = Generation(from.small()?);
    let fence = if is(flag::FENCE) { Some(Generation(from.small()?)) } else { None };
    let holding = match (is(flag::BOUND), is(flag::CLIENT_BOUND)) {
        (true, _) => Holding::Bound { key: KeyThumbprint(from.array()?), from: Generation(from.small()?) },
        (false, true) => Holding::ClientBound,
        (false, false) => Holding::Bearer,
    };
    let issued_at = from.time(Time::from_millis(0))?;
    let auth_time = from.time(issued_at)?;
    let rotated_at = from.time(issued_at)?;
    let last_event = from.time(rotated_at)?;
    let idle = IdleDeadline(from.time(rotated_at)?);
    let absolute = AbsoluteDeadline(from.time(issued_at)?);
    let rotations = from.window(rotated_at)?;
    let replays = if is(flag::REPLAYS) { from.window(rotated_at)? } else { Window::default() };
    let points = from.byte()?;
    let worst = if is(flag::WORST) { Some(from.name::<Replay>()?) } else { None };
    let (user_agent, prefix) = from.place()?;
    let address = AddressDigest(from.array()?);
    let unreadable = || Fault::damaged("a grant's networks cannot be read");
    let network = Network::from_bytes(from.array()?).ok_or_else(unreadable)?;
    let networks = if is(flag::ONE_NETWORK) {
        Networks::starting_with(network)
    } else {
        Networks::from_bytes(from.short()?).ok_or_else(unreadable)?
    };
    let life =
        if is(flag::ENDED) { Life::Ended { at: from.time(last_event)?, reason: from.name()? } } else { Life::Alive };
    let grant = Grant {
        id,
        public_id,
        salt,
        key,
        endpoint: if is(flag::OAUTH) { Endpoint::OAuth } else { Endpoint::Session },
        client,
        user,
        session,
        epoch,
        holding,
        kind,
        generation,
        fence,
        newest_used: is(flag::NEWEST_USED),
        scope,
        audience,
        issued_at,
        rotated_at,
        last_event,
        idle,
        absolute,
        context: Context { user_agent, network, address, prefix },
        networks,
        suspicion: Suspicion { points, worst },
        pace: Pace { rotations, replays },
        life,
    };
    if from.bytes.is_empty() {
        Ok(Record { grant, auth_time, amr, roles, roles_as_of })
    } else {
        Err(Fault::damaged("a grant has more bytes than belong to it"))
    }
}

/// Packs renewals, oldest first.
pub(super) fn pack_renewals(renewals: &[Renewal], words: &mut Words) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + 6 * renewals.len());
    let mut out = Packer { bytes: &mut bytes, words };
    let mut before: Option<&Renewal> = None;
    for renewal in renewals {
        let same_place =
            before.is_some_and(|before| before.user_agent == renewal.user_agent && before.prefix == renewal.prefix);
        let step = renewal.issued.0.wrapping_sub(before.map_or(0, |before| before.issued.0));
        out.number(u64::from(step) << 1 | u64::from(!same_place));
        out.time(renewal.at, before.map_or(Time::from_millis(0), |before| before.at));
        if !same_place {
            out.place(&renewal.user_agent, renewal.prefix);
        }
        before = Some(renewal);
    }
    bytes
}

/// Appends one more to packed renewals, of which there are at most `most`. They are not unpacked for it: this is a part of
/// every refresh.
pub(super) fn append_renewal(
    packed: &mut Vec<u8>,
    renewal: &Renewal,
    most: usize,
    words: &mut Words,
) -> Result<(), Fault> {
    let mut from = Unpacker { bytes: packed, words };
    let (mut count, mut issued, mut at, mut place) = (0, Generation(0), Time::from_millis(0), 0..0);
    while !from.bytes.is_empty() {
        let head = from.number()?;
        issued = Generation(issued.0.wrapping_add(u32::try_from(head >> 1).map_err(|_| damaged())?));
        at = from.time(at)?;
        if head & 1 == 1 {
            let begins = packed.len() - from.bytes.len();
            from.place()?;
            place = begins..packed.len() - from.bytes.len();
        }
        count += 1;
    }
    if count > 0 && renewal.issued <= issued {
        return Ok(());
    }
    if count >= most {
        let mut all = unpack_renewals(packed, words)?;
        all.drain(..=count - most);
        all.push(renewal.clone());
        *packed = pack_renewals(&all, words);
        return Ok(());
    }
    let mut here = Vec::with_capacity(16);
    Packer { bytes: &mut here, words }.place(&renewal.user_agent, renewal.prefix);
    let elsewhere = packed.get(place) != Some(&here);
    let mut out = Packer { bytes: packed, words };
    out.number(u64::from(renewal.issued.0.wrapping_sub(issued.0)) << 1 | u64::from(elsewhere));
    out.time(renewal.at, at);
    if elsewhere {
        out.bytes.extend(here);
    }
    Ok(())
}

/// Unpacks renewals, oldest first.
pub(super) fn unpack_renewals(bytes: &[u8], words: &Words) -> Result<Vec<Renewal>, Fault> {
    let mut from = Unpacker { bytes, words };
    let mut renewals: Vec<Renewal> = Vec::new();
    while !from.bytes.is_empty() {
        let head = from.number()?;
        let step = u32::try_from(head >> 1).map_err(|_| damaged())?;
        let before = renewals.last();
        let issued = Generation(before.map_or(0, |before| before.issued.0).wrapping_add(step));
        let at = from.time(before.map_or(Time::from_millis(0), |before| before.at))?;
        let (user_agent, prefix) = match before {
            Some(before) if head & 1 == 0 => (before.user_agent.clone(), before.prefix),
            _ => from.place()?,
        };
        renewals.push(Renewal { at, issued, user_agent, prefix });
    }
    Ok(renewals)
}

struct Packer<'a> {
    bytes: &'a mut Vec<u8>,
    words: &'a mut Words,
}

impl Packer<'_> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            // The low seven bits, and that more follow.
            self.bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        self.bytes.push(u8::try_from(number).unwrap_or_default());
    }

    /// Near ones, before or after, take few bytes: 0, -1, 1, -2, … become 0, 1, 2, 3, ….
    fn time(&mut self, time: Time, from: Time) {
        let distance = time.millis().wrapping_sub(from.millis());
        self.number(((distance << 1) ^ (distance >> 63)).cast_unsigned());
    }

    fn window(&mut self, window: Window, from: Time) {
        self.time(window.since, from);
        self.number(window.count.into());
    }

    fn short(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend(bytes);
    }

    /// The number of a word, or 0 and the text.
    fn text(&mut self, text: &str) {
        match self.words.number(text) {
            Some(number) => self.number(number.into()),
            None => {
                self.number(0);
                self.short(text.as_bytes());
            }
        }
    }

    /// Words of which none has a space, as one text.
    fn list(&mut self, list: &[String]) {
        match list {
            [] => self.text(""),
            [only] => self.text(only),
            several => self.text(&several.join(" ")),
        }
    }

    fn place(&mut self, user_agent: &UserAgentFamily, prefix: Prefix) {
        self.text(user_agent.as_str());
        self.short(&prefix.to_bytes());
    }
}

struct Unpacker<'a> {
    bytes: &'a [u8],
    words: &'a Words,
}

fn damaged() -> Fault {
    Fault::damaged("a grant cannot be read")
}

impl<'a> Unpacker<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.bytes.split_first_chunk().ok_or_else(damaged)?;
        self.bytes = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, Fault> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged())
    }

    fn small(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.number()?).map_err(|_| damaged())
    }

    fn time(&mut self, from: Time) -> Result<Time, Fault> {
        let coded = self.number()?;
        let distance = (coded >> 1).cast_signed() ^ -(coded & 1).cast_signed();
        Ok(Time::from_millis(from.millis().wrapping_add(distance)))
    }

    fn window(&mut self, from: Time) -> Result<Window, Fault> {
        Ok(Window { since: self.time(from)?, count: self.small()? })
    }

    fn short(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.number()?).map_err(|_| damaged())?;
        let (head, rest) = self.bytes.split_at_checked(length).ok_or_else(damaged)?;
        self.bytes = rest;
        Ok(head)
    }

    fn text(&mut self) -> Result<Common<str>, Fault> {
        match self.small()? {
            0 => std::str::from_utf8(self.short()?).map(Common::from).map_err(|_| damaged()),
            number => self.words.text(number).map(Common::Kept).ok_or_else(damaged),
        }
    }

    fn list(&mut self) -> Result<Common<[String]>, Fault> {
        match self.small()? {
            0 => std::str::from_utf8(self.short()?).map(words::list_of).map_err(|_| damaged()),
            number => self.words.list(number).map(Common::Kept).ok_or_else(damaged),
        }
    }

    fn name<T: std::str::FromStr<Err = UnknownName>>(&mut self) -> Result<T, Fault> {
        Ok(self.with_text(str::parse)??)
    }

    fn with_text<T>(&mut self, read: impl FnOnce(&str) -> T) -> Result<T, Fault> {
        match self.small()? {
            0 => std::str::from_utf8(self.short()?).map(read).map_err(|_| damaged()),
            number => self.words.text(number).map(read).ok_or_else(damaged),
        }
    }

    fn place(&mut self) -> Result<(UserAgentFamily, Prefix), Fault> {
        let user_agent = UserAgentFamily::from_stored(self.text()?);
        let prefix = Prefix::from_bytes(self.short()?).ok_or_else(damaged)?;
        Ok((user_agent, prefix))
    }
}
