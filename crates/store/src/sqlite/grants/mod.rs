//! Where the grants are: the newest state in memory, appended to the journal, folded into the rows.
//!
//! ```text
//!   a use ──▶ load ─────▶ hot.rs ◀──── the row and its neighbours, at the first use
//!              │            ▲
//!            judge          │ at start: read again
//!              ▼            │
//!            write ──▶ one row of `journal` a transaction ──▶ commit ──▶ answer
//!                                                     ┆ later, in the order of the ids
//!                                                     ▼
//!                                          the rows of `grants`; the journal is forgotten
//! ```
//!
//! 1. A grant is one packed record (`packed.rs`), the same in memory, journal and row. Its newest state is in memory if it was
//!    used lately, otherwise in its row.
//! 2. [`Desk::write`] puts the new state into memory and appends it to what the transaction under way will write to the
//!    journal, as one row ([`Desk::seal`]). So a commit writes few pages, one after the other, however many grants there are.
//!    A transaction that is rolled back puts memory back as it was ([`Desk::undo`]).
//! 3. [`Desk::fold`] (`journal.rs`) writes states that are newer than their rows into them, page by page in the order of the file. When it
//!    has been through all, what the journal had at its beginning is in the rows, and is removed. It begins when the journal
//!    or memory is full, and when there is nothing else to do.
//! 4. [`Desk::new`] reads the journal again after a stop or a crash. A record may be folded already: it is put on top once
//!    more, and nothing changes.
//!
//! Where a state is newer than its row, no statement may ask the row's columns; there are none to ask.

mod hot;
mod journal;
pub(super) mod old_rows;
mod packed;
mod travel;
mod words;

use std::{borrow::Borrow, cell::RefCell, ops::Deref};

use regrant_engine::{
    event::Renewal,
    id::{ClientId, GrantRef, SessionId, UserId},
    refresh::Grant,
    token::{Endpoint, GrantId},
};
use rusqlite::{Connection, OptionalExtension, Params, params};

use self::{
    hot::{Held, Hot},
    journal::{Fold, mark},
    words::Words,
};
use super::fault::Fault;

pub(super) use self::packed::Record;

/// Renewals that are kept of a grant at most: a day of them, where access tokens live a quarter of an hour.
const MOST_RENEWALS: usize = 100;
/// Grants that are loaded with one that is not in memory: their rows are on the same page of the file.
const NEIGHBOURS: u32 = 16;
/// The writer's desk: its connection, and what it has in memory of the grants.
pub(super) struct Desk {
    db: Connection,
    memory: RefCell<Memory>,
}

impl Deref for Desk {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.db
    }
}

struct Memory {
    hot: Hot,
    words: Words,
    /// How many bytes [`Hot`] may have.
    most: usize,
    /// What the transaction under way will append to the journal.
    staged: Vec<u8>,
    /// Room for a state and its renewals while they are put together.
    spare: (Vec<u8>, Vec<u8>),
    /// What it found in memory, in the order in which it changed it.
    undo: Vec<(GrantId, Option<Box<[u8]>>)>,
    /// Bytes in the journal, near enough.
    journal: usize,
    /// The number of the newest row of the journal. Given here, and not by SQLite, which begins anew once there are no rows.
    newest: i64,
    /// In which state the roles are; `None` until it is asked, or asked again.
    roles_as_of: Option<u64>,
    fold: Fold,
    /// Up to where rows have been read ahead of their use; `None` once that is over.
    warmed: Option<Vec<u8>>,
}

impl Desk {
    /// Reads words and journal. `most` bytes of memory are for grants.
    pub(super) fn new(db: Connection, most: usize) -> Result<Self, Fault> {
        let words = Words::read(&db)?;
        let memory = Memory {
            hot: Hot::default(),
            words,
            most,
            staged: Vec::new(),
            spare: Default::default(),
            undo: Vec::new(),
            journal: 0,
            newest: 0,
            roles_as_of: None,
            fold: Fold::Rests,
            // Before the first id there is the empty one.
            warmed: Some(Vec::new()),
        };
        let desk = Self { db, memory: RefCell::new(memory) };
        desk.read_journal()?;
        Ok(desk)
    }

    /// The connection alone.
    pub(super) fn into_connection(self) -> Connection {
        self.db
    }

    /// Looks at grants that the next jobs begin with.
    pub(super) fn fetch<'a>(&self, ids: impl Iterator<Item = &'a GrantId>) {
        self.memory.borrow().hot.fetch(ids);
    }

    /// The grant `id` as it is now, for a use: it stays in memory, and so do its neighbours.
    pub(super) fn load(&self, id: &GrantId) -> Result<Option<Record>, Fault> {
        let memory = &mut *self.memory.borrow_mut();
        if let Some(held) = memory.hot.held(id) {
            return packed::unpack(*id, held.state, &memory.words).map(Some);
        }
        let neighbours = if memory.hot.bytes() < memory.most { NEIGHBOURS } else { 1 };
        let mut statement =
            self.db.prepare_cached("SELECT id, state FROM grants WHERE id >= ?1 ORDER BY id LIMIT ?2")?;
        let mut rows = statement.query(params![id.0, neighbours])?;
        let mut loaded = None;
        while let Some(row) = rows.next()? {
            let found = GrantId(row.get(0)?);
            let state = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            if loaded.is_none() {
                if found != *id {
                    break;
                }
                loaded = Some(packed::unpack(found, state, &memory.words)?);
            }
            if memory.hot.held(&found).is_none() {
                let before = memory.hot.put(found, Held { dirty: false, state, renewals: &[] });
                memory.undo.push((found, before));
            }
        }
        Ok(loaded)
    }

    /// Reads the next `rows` ahead of their use: after a start everybody comes back, and in the order of the file they are read
    /// at a fraction of what each would cost alone. Whether there are more, and room for them.
    pub(super) fn warm(&self, rows: u32) -> Result<bool, Fault> {
        let memory = &mut *self.memory.borrow_mut();
        let Some(after) = memory.warmed.take_if(|_| memory.hot.bytes() < memory.most / 8 * 7) else {
            memory.warmed = None;
            return Ok(false);
        };
        let mut statement =
            self.db.prepare_cached("SELECT id, state FROM grants WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let mut found = statement.query(params![after, rows])?;
        while let Some(row) = found.next()? {
            let id = GrantId(row.get(0)?);
            if memory.hot.held(&id).is_none() {
                let state = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
                memory.hot.put(id, Held { dirty: false, state, renewals: &[] });
            }
            memory.warmed = Some(id.0.to_vec());
        }
        Ok(memory.warmed.is_some())
    }

    /// The grant `id` as it is now, for a look at it.
    pub(super) fn read(&self, id: &GrantId) -> Result<Option<Record>, Fault> {
        let memory = self.memory.borrow();
        if let Some(held) = memory.hot.held(id) {
            return packed::unpack(*id, held.state, &memory.words).map(Some);
        }
        self.row(id)?.map(|state| packed::unpack(*id, &state, &memory.words)).transpose()
    }

    /// The same, of one that must be there.
    pub(super) fn read_known(&self, id: &GrantId) -> Result<Record, Fault> {
        self.read(id)?.ok_or_else(|| Fault::damaged("a session without its grant"))
    }

    /// Grants after `after` in the order of their ids, `limit` at most.
    pub(super) fn read_after(&self, after: Option<GrantId>, limit: u32) -> Result<Vec<Record>, Fault> {
        // Before the first id there is the empty one.
        let after = after.map_or_else(Vec::new, |GrantId(id)| id.to_vec());
        let mut statement = self.db.prepare_cached("SELECT id FROM grants WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let ids = statement.query_map(params![after, limit], |row| row.get(0).map(GrantId))?;
        ids.map(|id| self.read_known(&id?)).collect()
    }

    fn row(&self, id: &GrantId) -> Result<Option<Vec<u8>>, Fault> {
        let mut statement = self.db.prepare_cached("SELECT state FROM grants WHERE id = ?")?;
        Ok(statement.query_row(params![id.0], |row| row.get(0)).optional()?)
    }

    /// The last renewals of a grant, oldest first.
    pub(super) fn renewals(&self, id: &GrantId) -> Result<Vec<Renewal>, Fault> {
        let memory = self.memory.borrow();
        let mut renewals = packed::unpack_renewals(&self.folded_renewals(id)?, &memory.words)?;
        if let Some(held) = memory.hot.held(id) {
            append(&mut renewals, packed::unpack_renewals(held.renewals, &memory.words)?);
        }
        Ok(renewals)
    }

    fn folded_renewals(&self, id: &GrantId) -> Result<Vec<u8>, Fault> {
        let mut statement = self.db.prepare_cached("SELECT renewals FROM grants WHERE id = ?")?;
        Ok(statement.query_row(params![id.0], |row| row.get(0)).optional()?.unwrap_or_default())
    }

    /// Writes a new grant: a row.
    pub(super) fn insert<G: Borrow<Grant>>(&self, record: &Record<G>) -> Result<(), Fault> {
        self.insert_renewed(record, &[])
    }

    /// The same for one that was renewed so before.
    fn insert_renewed<G: Borrow<Grant>>(&self, record: &Record<G>, renewals: &[Renewal]) -> Result<(), Fault> {
        let grant: &Grant = record.grant.borrow();
        let words = &mut self.memory.borrow_mut().words;
        let (state, renewals) = (packed::pack(record, words), packed::pack_renewals(renewals, words));
        check_length(state.len() + renewals.len())?;
        self.db
            .prepare_cached("INSERT INTO grants (id, state, renewals) VALUES (?, ?, ?)")?
            .execute(params![grant.id.0, state, renewals])?;
        if !is_own(grant) {
            self.db
                .prepare_cached(
                    "INSERT INTO other_grants (public_id, id, user_id, client_id, session_id) VALUES (?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    grant.public_id.as_bytes(),
                    grant.id.0,
                    grant.user.as_bytes(),
                    &*grant.client.0,
                    grant.session.as_ref().map(SessionId::as_bytes)
                ])?;
        }
        Ok(())
    }

    /// Writes the new state of a grant that was loaded or read.
    pub(super) fn write<G: Borrow<Grant>>(&self, record: &Record<G>, renewed: Option<&Renewal>) -> Result<(), Fault> {
        let memory = &mut *self.memory.borrow_mut();
        let id = record.grant.borrow().id;
        let (mut state, mut renewals) = std::mem::take(&mut memory.spare);
        state.clear();
        packed::pack_into(record, &mut state, &mut memory.words);
        renewals.clear();
        renewals.extend_from_slice(memory.hot.held(&id).map(|held| held.renewals).unwrap_or_default());
        if let Some(renewed) = renewed {
            packed::append_renewal(&mut renewals, renewed, MOST_RENEWALS, &mut memory.words)?;
        }
        memory.put(id, &state, &renewals)?;
        memory.stage(id, if renewed.is_some() { mark::RENEWED } else { mark::STATE }, &state);
        memory.spare = (state, renewals);
        Ok(())
    }

    /// Removes a grant.
    pub(super) fn remove(&self, id: &GrantId) -> Result<(), Fault> {
        self.db.prepare_cached("DELETE FROM other_grants WHERE id = ?")?.execute(params![id.0])?;
        self.db.prepare_cached("DELETE FROM grants WHERE id = ?")?.execute(params![id.0])?;
        let memory = &mut *self.memory.borrow_mut();
        if let Some(before) = memory.hot.remove(id) {
            memory.undo.push((*id, Some(before)));
        }
        memory.stage(*id, mark::REMOVED, &[]);
        Ok(())
    }

    /// Forgets as many of a grant's renewals, the oldest, as `outdated` says of all of them; how many went. A crash may bring
    /// back those that the journal has: the next sweep forgets them again.
    pub(super) fn forget_renewals(&self, id: &GrantId, outdated: impl Fn(&[Renewal]) -> usize) -> Result<u64, Fault> {
        let memory = &mut *self.memory.borrow_mut();
        let folded = packed::unpack_renewals(&self.folded_renewals(id)?, &memory.words)?;
        let (state, held) = match memory.hot.held(id) {
            Some(held) => (Some(held), packed::unpack_renewals(held.renewals, &memory.words)?),
            None => (None, Vec::new()),
        };
        let mut all = folded.clone();
        append(&mut all, held);
        let gone = outdated(&all);
        if gone == 0 {
            return Ok(0);
        }
        if let (Some(Held { dirty, state, .. }), true) = (state, gone > folded.len()) {
            let state = state.to_vec();
            let renewals = packed::pack_renewals(all.get(gone..).unwrap_or_default(), &mut memory.words);
            let before = memory.hot.put(*id, Held { dirty, state: &state, renewals: &renewals });
            memory.undo.push((*id, before));
        }
        let kept = packed::pack_renewals(folded.get(gone..).unwrap_or_default(), &mut memory.words);
        self.db.prepare_cached("UPDATE grants SET renewals = ?2 WHERE id = ?1")?.execute(params![id.0, kept])?;
        Ok(gone as u64)
    }

    /// All grants of a session: its own, and those for other clients.
    pub(super) fn of_session(&self, session: SessionId) -> Result<Vec<GrantId>, Fault> {
        self.ids(
            "SELECT grant_id FROM sessions WHERE id = ?1 UNION SELECT id FROM other_grants WHERE session_id = ?1",
            params![session.as_bytes()],
        )
    }

    /// What was granted to a client, by one user or by all: never a session's own grant.
    pub(super) fn of_client(&self, client: &ClientId, user: Option<UserId>) -> Result<Vec<GrantId>, Fault> {
        match user {
            None => self.ids("SELECT id FROM other_grants WHERE client_id = ?", params![&*client.0]),
            Some(user) => self.ids(
                "SELECT id FROM other_grants WHERE user_id = ? AND client_id = ?",
                params![user.as_bytes(), &*client.0],
            ),
        }
    }

    /// The grant with this public id that is not a session's own.
    pub(super) fn by_public_id(&self, of: GrantRef) -> Result<Option<GrantId>, Fault> {
        let found = self.ids("SELECT id FROM other_grants WHERE public_id = ?", params![of.as_bytes()])?;
        Ok(found.first().copied())
    }

    /// The newest grants of a user that applications hold, `limit` at most: ids sort by time.
    pub(super) fn of_applications(&self, user: UserId, limit: u32) -> Result<Vec<GrantId>, Fault> {
        self.ids(
            "SELECT id FROM other_grants WHERE user_id = ? ORDER BY public_id DESC LIMIT ?",
            params![user.as_bytes(), limit],
        )
    }

    /// The grants of a user that belong to no session.
    pub(super) fn without_session(&self, user: UserId) -> Result<Vec<GrantId>, Fault> {
        self.ids("SELECT id FROM other_grants WHERE user_id = ? AND session_id IS NULL", params![user.as_bytes()])
    }

    /// The next of everybody's grants that belong to no session, by their public ids.
    pub(super) fn without_session_after(
        &self,
        after: &[u8; 16],
        limit: u32,
    ) -> Result<Vec<([u8; 16], GrantId)>, Fault> {
        let mut statement = self.db.prepare_cached(
            "SELECT public_id, id FROM other_grants WHERE session_id IS NULL AND public_id > ? ORDER BY public_id LIMIT ?",
        )?;
        let found = statement.query_map(params![after, limit], |row| Ok((row.get(0)?, GrantId(row.get(1)?))))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Everybody's grants that belong to no session.
    pub(super) fn all_without_session(&self) -> Result<Vec<GrantId>, Fault> {
        self.ids("SELECT id FROM other_grants WHERE session_id IS NULL", [])
    }

    fn ids(&self, sql: &str, of: impl Params) -> Result<Vec<GrantId>, Fault> {
        let mut statement = self.db.prepare_cached(sql)?;
        let ids = statement.query_map(of, |row| row.get(0).map(GrantId))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// In which state the roles of all users are: it changes whenever one of them does.
    pub(super) fn roles_as_of(&self) -> Result<u64, Fault> {
        let memory = &mut *self.memory.borrow_mut();
        if let Some(state) = memory.roles_as_of {
            return Ok(state);
        }
        let mut statement = self.db.prepare_cached("SELECT value FROM meta WHERE name = 'roles.state'")?;
        let stored: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
        let state = stored.and_then(|text| text.parse().ok()).unwrap_or(0);
        memory.roles_as_of = Some(state);
        Ok(state)
    }

    /// Somebody's roles have changed: what grants remember of roles is read again when they are used next.
    pub(super) fn roles_changed(&self) -> Result<(), Fault> {
        let next = self.roles_as_of()? + 1;
        super::sweep::remember(self, "roles.state", &next.to_string())?;
        self.memory.borrow_mut().roles_as_of = Some(next);
        Ok(())
    }
}

impl Memory {
    fn put(&mut self, id: GrantId, state: &[u8], renewals: &[u8]) -> Result<(), Fault> {
        check_length(state.len() + renewals.len())?;
        let before = self.hot.put(id, Held { dirty: true, state, renewals });
        self.undo.push((id, before));
        Ok(())
    }
}

fn check_length(bytes: usize) -> Result<(), Fault> {
    if bytes > hot::LONGEST { Err(Fault::damaged("a grant is larger than any can be")) } else { Ok(()) }
}

/// Puts newer renewals behind older ones. One that is there already is not put there again: a fold that was not finished is
/// begun anew after a crash.
fn append(renewals: &mut Vec<Renewal>, newer: Vec<Renewal>) {
    for renewal in newer {
        if renewals.last().is_none_or(|last| last.issued < renewal.issued) {
            renewals.push(renewal);
        }
    }
    let over = renewals.len().saturating_sub(MOST_RENEWALS);
    renewals.drain(..over);
}

/// Whether it is the grant that serves the session API for its session, which then leads to it.
fn is_own(grant: &Grant) -> bool {
    grant.endpoint == Endpoint::Session && grant.session.map(GrantRef::own_of) == Some(grant.public_id)
}

#[cfg(test)]
mod tests;
