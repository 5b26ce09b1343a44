//! Grants on their way to another store and from one: read in the order of their ids, from memory where that is newer, and written
//! as rows.

use regrant_engine::{
    event::Renewal,
    refresh::Authentication,
    token::{Endpoint, GrantId},
};
use rusqlite::params;

use super::{
    super::{code, fault::Fault, refresh},
    Desk, append,
    packed::{self, Record},
};
use crate::moving::grant::Travelling;

impl Desk {
    /// Grants after `after` with all that belongs to them, `limit` at most.
    pub(in super::super) fn departing(&self, after: Option<GrantId>, limit: u32) -> Result<Vec<Travelling>, Fault> {
        let roles_as_of = self.roles_as_of()?;
        let after = after.map_or_else(Vec::new, |GrantId(id)| id.to_vec());
        let mut found = Vec::new();
        {
            let memory = self.memory.borrow();
            let mut statement =
                self.prepare_cached("SELECT id, state, renewals FROM grants WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let mut rows = statement.query(params![after, limit])?;
            while let Some(row) = rows.next()? {
                let id = GrantId(row.get(0)?);
                let blob =
                    |column| row.get_ref(column)?.as_blob().map_err(|error| Fault::from(rusqlite::Error::from(error)));
                let mut renewals = packed::unpack_renewals(blob(2)?, &memory.words)?;
                let record = match memory.hot.held(&id) {
                    Some(held) => {
                        append(&mut renewals, packed::unpack_renewals(held.renewals, &memory.words)?);
                        packed::unpack(id, held.state, &memory.words)?
                    }
                    None => packed::unpack(id, blob(1)?, &memory.words)?,
                };
                found.push((record, renewals));
            }
        }
        let depart = |(record, renewals): (Record, Vec<Renewal>)| {
            let Record { grant, auth_time, amr, roles, roles_as_of: of } = record;
            // As its next use would read them.
            let roles = if of == roles_as_of { roles } else { refresh::roles_of(self, grant.user)?.into() };
            let mut travelling = Travelling { grant, auth_time, amr, roles, renewals };
            if travelling.has_own_proof()
                && let Some(Authentication { auth_time, amr }) = code::authentication(self, &travelling.grant.id)?
            {
                (travelling.auth_time, travelling.amr) = (auth_time, amr.into());
            }
            Ok(travelling)
        };
        found.into_iter().map(depart).collect()
    }

    /// Writes a grant that comes from another store.
    pub(in super::super) fn arrive(&self, travelling: Travelling) -> Result<(), Fault> {
        let Travelling { grant, auth_time, amr, roles, renewals } = travelling;
        let (roles_as_of, proof) = (self.roles_as_of()?, amr.join(" "));
        let record = Record { grant, auth_time, amr, roles, roles_as_of };
        self.insert_renewed(&record, &renewals)?;
        let grant = &record.grant;
        if grant.endpoint == Endpoint::OAuth {
            self.prepare_cached("INSERT INTO authentications (grant_id, auth_time, amr) VALUES (?, ?, ?)")?
                .execute(params![grant.id.0, auth_time.millis(), proof])?;
        }
        Ok(())
    }
}
