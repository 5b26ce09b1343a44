//! Columns of many kinds, in one place for all verbs.

use regrant_engine::{
    common::Common,
    context::{AddressDigest, Context, Network, UserAgentFamily},
    reason::{Life, UnknownName},
    time::Time,
};
use tokio_postgres::{
    Row,
    types::{FromSql, ToSql},
};
use uuid::Uuid;

use super::fault::Fault;

/// Reads a row's columns one after the other, so that a list of columns and the reading of it stand side by side.
pub(super) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn new(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn take<T: FromSql<'r>>(&mut self) -> Result<T, Fault> {
        let column = self.next;
        self.next += 1;
        // What cannot be read is the row's fault, not the database's.
        self.row.try_get(column).map_err(|error| Fault::Damaged(format!("a row holds a value that cannot be: {error}")))
    }

    pub(super) fn time(&mut self) -> Result<Time, Fault> {
        self.take().map(Time::from_millis)
    }

    pub(super) fn time_or_none(&mut self) -> Result<Option<Time>, Fault> {
        Ok(self.take::<Option<i64>>()?.map(Time::from_millis))
    }

    /// A UUID's bytes.
    pub(super) fn id(&mut self) -> Result<[u8; 16], Fault> {
        Ok(self.take::<Uuid>()?.into_bytes())
    }

    pub(super) fn id_or_none(&mut self) -> Result<Option<[u8; 16]>, Fault> {
        Ok(self.take::<Option<Uuid>>()?.map(Uuid::into_bytes))
    }

    /// A number that another type is narrower for.
    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, Fault> {
        T::try_from(self.take::<i64>()?).map_err(|_| Fault::damaged("a row holds a number that cannot be"))
    }

    pub(super) fn small<T: TryFrom<i16>>(&mut self) -> Result<T, Fault> {
        T::try_from(self.take::<i16>()?).map_err(|_| Fault::damaged("a row holds a number that cannot be"))
    }

    pub(super) fn number_or_none<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Fault> {
        let number = self.take::<Option<i64>>()?;
        number.map(T::try_from).transpose().map_err(|_| Fault::damaged("a row holds a number that cannot be"))
    }

    /// Bytes of a length that is fixed.
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take::<&[u8]>()?.try_into().map_err(|_| Fault::damaged("a row holds bytes of another length"))
    }

    pub(super) fn bytes_or_none<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Fault> {
        let bytes = self.take::<Option<&[u8]>>()?.map(TryInto::try_into).transpose();
        bytes.map_err(|_| Fault::damaged("a row holds bytes of another length"))
    }

    /// Text that is shared.
    pub(super) fn shared(&mut self) -> Result<Common<str>, Fault> {
        Ok(self.take::<&str>()?.into())
    }

    pub(super) fn name<T: std::str::FromStr<Err = UnknownName>>(&mut self) -> Result<T, Fault> {
        Ok(self.take::<&str>()?.parse()?)
    }

    pub(super) fn name_or_none<T: std::str::FromStr<Err = UnknownName>>(&mut self) -> Result<Option<T>, Fault> {
        Ok(self.take::<Option<&str>>()?.map(str::parse).transpose()?)
    }

    /// A list that was written with a space between.
    pub(super) fn words(&mut self) -> Result<Vec<String>, Fault> {
        Ok(words(self.take::<Option<&str>>()?.unwrap_or_default()))
    }

    pub(super) fn life(&mut self) -> Result<Life, Fault> {
        let (at, reason): (Option<i64>, Option<&str>) = (self.take()?, self.take()?);
        match (at, reason) {
            (None, None) => Ok(Life::Alive),
            (Some(at), Some(reason)) => Ok(Life::Ended { at: Time::from_millis(at), reason: reason.parse()? }),
            _ => Err(Fault::damaged("a row ended without a reason, or has a reason without an end")),
        }
    }

    pub(super) fn context(&mut self) -> Result<Context, Fault> {
        Ok(Context {
            user_agent: UserAgentFamily::from_stored(self.take::<&str>()?),
            network: Network::from_bytes(self.bytes()?)
                .ok_or_else(|| Fault::damaged("a network that cannot be read"))?,
            address: AddressDigest(self.bytes()?),
            prefix: self.take::<&str>()?.parse().map_err(|_| Fault::damaged("an address that cannot be read"))?,
        })
    }
}

/// A list that was written with a space between.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// An id as a parameter.
pub(super) fn uuid(id: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*id)
}

/// The shard in an id of a grant.
pub(super) fn shard(grant: &regrant_engine::token::GrantId) -> i32 {
    let [a, b, c, d, ..] = grant.0;
    i32::from_be_bytes([a, b, c, d])
}

/// A number as a parameter.
pub(super) fn count(limit: u32) -> i64 {
    i64::from(limit)
}

/// A value of a row that is written.
pub(super) type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// Values as a statement takes them.
pub(super) fn borrowed<'a>(values: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
}

/// The columns that are written of a table's new rows, for one row and for many.
pub(super) struct Written {
    pub(super) table: &'static str,
    /// With a comma and a space between.
    pub(super) columns: &'static str,
}

impl Written {
    /// One row a statement.
    pub(super) fn insert(&self) -> String {
        let places: Vec<String> = (1..).zip(self.columns.split(", ")).map(|(place, _)| format!("${place}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.table, self.columns, places.join(", "))
    }

    /// Any number of rows.
    pub(super) fn copy(&self) -> String {
        format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.table, self.columns)
    }
}
