//! Contexts and lives as columns, in one place for all verbs.

use regrant_engine::{
    context::{AddressDigest, Context, Network, UserAgentFamily},
    reason::Life,
    time::Time,
};
use rusqlite::{Row, types::FromSql};

use super::fault::Fault;

/// Reads a row's columns one after the other, so that a list of columns and the reading of it stand side by side.
pub(super) struct Columns<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl<'a, 'r> Columns<'a, 'r> {
    pub(super) fn new(row: &'a Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn take<T: FromSql>(&mut self) -> Result<T, Fault> {
        let column = self.next;
        self.next += 1;
        Ok(self.row.get(column)?)
    }

    /// Passes over columns that say nothing in this row.
    pub(super) const fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    pub(super) fn time(&mut self) -> Result<Time, Fault> {
        self.take().map(Time::from_millis)
    }

    pub(super) fn name<T: std::str::FromStr<Err = regrant_engine::reason::UnknownName>>(&mut self) -> Result<T, Fault> {
        Ok(self.take::<String>()?.parse()?)
    }

    pub(super) fn life(&mut self) -> Result<Life, Fault> {
        let (at, reason): (Option<i64>, Option<String>) = (self.take()?, self.take()?);
        match (at, reason) {
            (None, None) => Ok(Life::Alive),
            (Some(at), Some(reason)) => Ok(Life::Ended { at: Time::from_millis(at), reason: reason.parse()? }),
            _ => Err(Fault::damaged("a row ended without a reason, or has a reason without an end")),
        }
    }

    pub(super) fn context(&mut self) -> Result<Context, Fault> {
        Ok(Context {
            user_agent: UserAgentFamily::from_stored(self.take::<String>()?),
            network: Network::from_bytes(self.take()?)
                .ok_or_else(|| Fault::damaged("a network that cannot be read"))?,
            address: AddressDigest(self.take()?),
            prefix: self.take::<String>()?.parse().map_err(|_| Fault::damaged("an address that cannot be read"))?,
        })
    }
}
