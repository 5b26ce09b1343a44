//! A grant on its way: what both stores keep of it, in the order of its table's columns.

use regrant_engine::{
    common::Common,
    context::{AddressDigest, Context, Network, Networks, UserAgentFamily},
    event::Renewal,
    id::{ClientId, Epoch, Generation, GrantRef, SessionId, UserId},
    ports::Broken,
    reason::{Life, UnknownName},
    refresh::{Grant, Holding, KeyThumbprint, Pace, Suspicion, Window},
    time::{AbsoluteDeadline, IdleDeadline, Time},
    token::{Endpoint, GrantId, KeyId, Salt},
};

use super::cell::{Cell, Row};
use crate::postgres::{endpoint_name, renewals};

/// A grant with what tokens tell of the proof that it comes from, its user's roles, and its last renewals, oldest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Travelling {
    pub(crate) grant: Grant,
    pub(crate) auth_time: Time,
    pub(crate) amr: Common<[String]>,
    /// Sorted.
    pub(crate) roles: Common<[String]>,
    pub(crate) renewals: Vec<Renewal>,
}

impl Travelling {
    /// As cells.
    pub(crate) fn row(self) -> Row {
        let Self { grant, auth_time, amr, roles, mut renewals } = self;
        if let Some(newest) = renewals.last_mut() {
            newest.user_agent.clone_from(&grant.context.user_agent);
            newest.prefix = grant.context.prefix;
        }
        let text = |text: &str| Cell::Text(text.replace('\0', "\u{fffd}"));
        let time = |time: Time| Cell::Number(time.millis());
        let number = |number: u32| Cell::Number(number.into());
        let or_null = |cell: Option<Cell>| cell.unwrap_or(Cell::Null);
        let (held, key, from) = match &grant.holding {
            Holding::Bearer => ("bearer", None, None),
            Holding::ClientBound => ("client", None, None),
            Holding::Bound { key, from } => ("bound", Some(Cell::Bytes(key.0.to_vec())), Some(number(from.0))),
        };
        let (ended_at, reason) = match grant.life {
            Life::Alive => (None, None),
            Life::Ended { at, reason } => (Some(time(at)), Some(text(reason.as_str()))),
        };
        let [a, b, c, d, ..] = grant.id.0;
        let context = &grant.context;
        vec![
            Cell::Shard([a, b, c, d]),
            Cell::Id(grant.id.0),
            Cell::Id(*grant.public_id.as_bytes()),
            Cell::Id(*grant.user.as_bytes()),
            or_null(grant.session.map(|session| Cell::Id(*session.as_bytes()))),
            text(&grant.client.0),
            text(endpoint_name(grant.endpoint)),
            text(grant.kind.as_str()),
            Cell::Bytes(grant.salt.0.to_vec()),
            text(&grant.scope),
            text(&grant.audience),
            time(grant.issued_at),
            time(auth_time),
            text(&amr.join(" ")),
            text(&roles.join(" ")),
            number(grant.epoch.0),
            text(held),
            or_null(key),
            or_null(from),
            or_null(grant.fence.map(|fence| number(fence.0))),
            or_null(ended_at),
            or_null(reason),
            number(grant.key.0.into()),
            number(grant.generation.0),
            Cell::Flag(grant.newest_used),
            time(grant.rotated_at),
            time(grant.last_event),
            time(grant.idle.0),
            time(grant.absolute.0),
            text(context.user_agent.as_str()),
            Cell::Bytes(context.network.to_bytes().to_vec()),
            Cell::Bytes(context.address.0.to_vec()),
            text(&context.prefix.to_string()),
            Cell::Bytes(grant.networks.to_bytes()),
            number(grant.suspicion.points.into()),
            or_null(grant.suspicion.worst.map(|worst| text(worst.as_str()))),
            time(grant.pace.rotations.since),
            number(grant.pace.rotations.count),
            time(grant.pace.replays.since),
            number(grant.pace.replays.count),
            // In PostgreSQL's form, which begins at the place of the last rotation: the newest renewal was there.
            Cell::Bytes(renewals::packed(&renewals)),
        ]
    }

    /// Of cells.
    pub(crate) fn of(row: Row) -> Result<Self, Broken> {
        let mut cells = Cells(row.into_iter());
        cells.next()?;
        let id = GrantId(cells.id()?);
        let public_id = GrantRef::from_bytes(cells.id()?);
        let user = UserId::from_bytes(cells.id()?);
        let session = cells.maybe(Cells::id)?.map(SessionId::from_bytes);
        let client = ClientId(cells.text()?);
        let named = cells.text()?;
        let is_named = |endpoint: &Endpoint| endpoint_name(*endpoint) == &*named;
        let endpoint = [Endpoint::Session, Endpoint::OAuth].into_iter().find(is_named).ok_or_else(damaged)?;
        let kind = cells.name()?;
        let salt = Salt(cells.bytes()?);
        let (scope, audience) = (cells.text()?, cells.text()?);
        let (issued_at, auth_time) = (cells.time()?, cells.time()?);
        let (amr, roles) = (cells.words()?, cells.words()?);
        let epoch = Epoch(cells.number()?);
        let held = cells.text()?;
        let (key, from) = (cells.maybe(Cells::bytes)?, cells.maybe(Cells::number)?);
        let holding = match (&*held, key, from) {
            ("bearer", None, None) => Holding::Bearer,
            ("client", None, None) => Holding::ClientBound,
            ("bound", Some(key), Some(from)) => Holding::Bound { key: KeyThumbprint(key), from: Generation(from) },
            _ => return Err(damaged()),
        };
        let fence = cells.maybe(Cells::number)?.map(Generation);
        let life = match (cells.maybe(Cells::time)?, cells.maybe(Cells::name)?) {
            (None, None) => Life::Alive,
            (Some(at), Some(reason)) => Life::Ended { at, reason },
            _ => return Err(damaged()),
        };
        let key = KeyId(cells.number()?);
        let generation = Generation(cells.number()?);
        let newest_used = cells.flag()?;
        let (rotated_at, last_event) = (cells.time()?, cells.time()?);
        let (idle, absolute) = (IdleDeadline(cells.time()?), AbsoluteDeadline(cells.time()?));
        let user_agent = UserAgentFamily::from_stored(cells.text()?);
        let network = Network::from_bytes(cells.bytes()?).ok_or_else(damaged)?;
        let address = AddressDigest(cells.bytes()?);
        let prefix = cells.text()?.parse().map_err(|_| damaged())?;
        let networks = Networks::from_bytes(&cells.any_bytes()?).ok_or_else(damaged)?;
        let suspicion = Suspicion { points: cells.number()?, worst: cells.maybe(Cells::name)? };
        let mut window = || Ok::<_, Broken>(Window { since: cells.time()?, count: cells.number()? });
        let pace = Pace { rotations: window()?, replays: window()? };
        let renewals = renewals::all(&cells.any_bytes()?, &user_agent, prefix);
        let context = Context { user_agent, network, address, prefix };
        let grant = Grant {
            id,
            public_id,
            salt,
            key,
            endpoint,
            client,
            user,
            session,
            epoch,
            holding,
            kind,
            generation,
            fence,
            newest_used,
            scope,
            audience,
            issued_at,
            rotated_at,
            last_event,
            idle,
            absolute,
            context,
            networks,
            suspicion,
            pace,
            life,
        };
        Ok(Self { grant, auth_time, amr, roles, renewals })
    }

    /// Whether it has a proof of its own, and not its session's.
    pub(crate) fn has_own_proof(&self) -> bool {
        self.grant.endpoint == Endpoint::OAuth
    }
}

fn damaged() -> Broken {
    Broken::Damaged("a grant on its way cannot be read".to_owned())
}

/// A row's cells one after the other.
struct Cells(std::vec::IntoIter<Cell>);

impl Cells {
    fn next(&mut self) -> Result<Cell, Broken> {
        self.0.next().ok_or_else(damaged)
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Broken>) -> Result<Option<T>, Broken> {
        if self.0.as_slice().first() == Some(&Cell::Null) { self.next().map(|_| None) } else { read(self).map(Some) }
    }

    fn id(&mut self) -> Result<[u8; 16], Broken> {
        if let Cell::Id(id) = self.next()? { Ok(id) } else { Err(damaged()) }
    }

    fn text(&mut self) -> Result<Common<str>, Broken> {
        if let Cell::Text(text) = self.next()? { Ok(text.into()) } else { Err(damaged()) }
    }

    fn name<T: std::str::FromStr<Err = UnknownName>>(&mut self) -> Result<T, Broken> {
        self.text()?.parse().map_err(|_| damaged())
    }

    fn words(&mut self) -> Result<Common<[String]>, Broken> {
        Ok(self.text()?.split_whitespace().map(str::to_owned).collect())
    }

    fn any_bytes(&mut self) -> Result<Vec<u8>, Broken> {
        if let Cell::Bytes(bytes) = self.next()? { Ok(bytes) } else { Err(damaged()) }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        self.any_bytes()?.try_into().map_err(|_| damaged())
    }

    fn number<T: TryFrom<i64>>(&mut self) -> Result<T, Broken> {
        let Cell::Number(number) = self.next()? else { return Err(damaged()) };
        T::try_from(number).map_err(|_| damaged())
    }

    fn time(&mut self) -> Result<Time, Broken> {
        self.number().map(Time::from_millis)
    }

    fn flag(&mut self) -> Result<bool, Broken> {
        if let Cell::Flag(flag) = self.next()? { Ok(flag) } else { Err(damaged()) }
    }
}
