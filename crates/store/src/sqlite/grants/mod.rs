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
//! 3. [`Desk::fold`] writes states that are newer than their rows into them, page by page in the order of the file. When it
//!    has been through all, what the journal had at its beginning is in the rows, and is removed. It begins when the journal
//!    or memory is full, and when there is nothing else to do.
//! 4. [`Desk::new`] reads the journal again after a stop or a crash. A record may be folded already: it is put on top once
//!    more, and nothing changes.
//!
//! Where a state is newer than its row, no statement may ask the row's columns; there are none to ask.

mod hot;
pub(super) mod old_rows;
mod packed;
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
    words::Words,
};
use super::fault::Fault;

pub(super) use self::packed::Record;

/// Renewals that are kept of a grant at most: a day of them, where access tokens live a quarter of an hour.
const MOST_RENEWALS: usize = 100;
/// Grants that are loaded with one that is not in memory: their rows are on the same page of the file.
const NEIGHBOURS: u32 = 16;
/// A fold begins when the journal has grown to so many bytes: as much is read again at start.
const JOURNAL: usize = 64 << 20;
/// Rows of the journal that are removed in one step.
const FORGOTTEN_AT_ONCE: i64 = 64;

/// What a record of the journal says.
mod mark {
    /// The newest state.
    pub(super) const STATE: u8 = 0;
    /// The newest state, by a renewal.
    pub(super) const RENEWED: u8 = 1;
    /// The grant is no more.
    pub(super) const REMOVED: u8 = 2;
}

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

/// How far a fold is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fold {
    /// There is none.
    Rests,
    /// States are written. Once through, the journal is forgotten up to `until`.
    Writes { until: i64, after: Option<GrantId> },
    /// The journal is forgotten up to `until`.
    Forgets { until: i64 },
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
        let grant: &Grant = record.grant.borrow();
        let state = packed::pack(record, &mut self.memory.borrow_mut().words);
        self.db
            .prepare_cached("INSERT INTO grants (id, state, renewals) VALUES (?, ?, x'')")?
            .execute(params![grant.id.0, state])?;
        if !is_own(grant) {
            self.db
                .prepare_cached(
                    "INSERT INTO other_grants (public_id, id, user_id, client_id, session_id) VALUES (?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    grant.public_id.as_bytes(),
                    grant.id.0,
                    grant.user.as_bytes(),
                    grant.client.0,
                    grant.session.as_ref().map(SessionId::as_bytes)
                ])?;
        }
        Ok(())
    }

    /// Writes the new state of a grant that was loaded or read.
    pub(super) fn write<G: Borrow<Grant>>(&self, record: &Record<G>, renewed: Option<&Renewal>) -> Result<(), Fault> {
        let memory = &mut *self.memory.borrow_mut();
        let id = record.grant.borrow().id;
        let state = packed::pack(record, &mut memory.words);
        let mut renewals = Vec::new();
        if let Some(held) = memory.hot.held(&id) {
            renewals.extend(held.renewals);
        }
        if let Some(renewed) = renewed {
            let mut all = packed::unpack_renewals(&renewals, &memory.words)?;
            append(&mut all, vec![renewed.clone()]);
            renewals = packed::pack_renewals(&all, &mut memory.words);
        }
        memory.put(id, &state, &renewals)?;
        memory.stage(id, if renewed.is_some() { mark::RENEWED } else { mark::STATE }, &state);
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
            None => self.ids("SELECT id FROM other_grants WHERE client_id = ?", params![client.0]),
            Some(user) => self.ids(
                "SELECT id FROM other_grants WHERE user_id = ? AND client_id = ?",
                params![user.as_bytes(), client.0],
            ),
        }
    }

    /// The grant with this public id that is not a session's own.
    pub(super) fn by_public_id(&self, of: GrantRef) -> Result<Option<GrantId>, Fault> {
        let found = self.ids("SELECT id FROM other_grants WHERE public_id = ?", params![of.as_bytes()])?;
        Ok(found.first().copied())
    }

    /// The grants of a user that belong to no session.
    pub(super) fn without_session(&self, user: UserId) -> Result<Vec<GrantId>, Fault> {
        self.ids("SELECT id FROM other_grants WHERE user_id = ? AND session_id IS NULL", params![user.as_bytes()])
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

    /// Writes what the transaction under way did to grants into the journal: the last thing before it commits.
    pub(super) fn seal(&self) -> Result<(), Fault> {
        let memory = &mut *self.memory.borrow_mut();
        memory.words.save(&self.db)?;
        if !memory.staged.is_empty() {
            self.db
                .prepare_cached("INSERT INTO journal (seq, records) VALUES (?, ?)")?
                .execute(params![memory.newest + 1, memory.staged])?;
        }
        Ok(())
    }

    /// The transaction is on disk.
    pub(super) fn sealed(&self) {
        let memory = &mut *self.memory.borrow_mut();
        memory.words.saved();
        memory.undo.clear();
        if !memory.staged.is_empty() {
            memory.newest += 1;
            memory.journal += memory.staged.len();
            memory.staged.clear();
        }
    }

    /// The transaction was rolled back.
    pub(super) fn undo(&self) {
        let memory = &mut *self.memory.borrow_mut();
        memory.staged.clear();
        memory.roles_as_of = None;
        while let Some((id, before)) = memory.undo.pop() {
            memory.hot.restore(id, before.as_deref());
        }
    }

    /// Whether a fold should go on now: memory or journal is full, or there is time for it.
    pub(super) fn is_to_fold(&self, idle: bool) -> bool {
        let memory = self.memory.borrow();
        memory.fold != Fold::Rests
            || memory.hot.bytes() > memory.most
            || memory.journal > JOURNAL
            || (idle && memory.journal > 0)
    }

    /// One step of a fold, in a transaction of its own: some `states` are written, or a part of the journal is forgotten.
    pub(super) fn fold(&self, states: usize) -> Result<(), Fault> {
        let memory = &mut *self.memory.borrow_mut();
        if memory.fold == Fold::Rests {
            memory.fold = Fold::Writes { until: memory.newest, after: None };
        }
        match memory.fold {
            Fold::Rests => Ok(()),
            Fold::Writes { until, after } => {
                self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
                let (next, folded) = self.fold_states(memory, after, states)?;
                memory.words.save(&self.db)?;
                self.db.prepare_cached("COMMIT")?.execute([])?;
                memory.words.saved();
                memory.folded(&folded);
                memory.fold = match next {
                    Some(next) => Fold::Writes { until, after: Some(next) },
                    None => Fold::Forgets { until },
                };
                Ok(())
            }
            Fold::Forgets { until } => {
                let gone = self
                    .db
                    .prepare_cached(
                        "DELETE FROM journal WHERE seq <= ?1 AND seq < (SELECT min(seq) FROM journal) + ?2",
                    )?
                    .execute(params![until, FORGOTTEN_AT_ONCE])?;
                if gone == 0 {
                    memory.fold = Fold::Rests;
                    memory.journal = self.journal_length()?;
                }
                Ok(())
            }
        }
    }

    /// Writes the states of the next pages; where to go on, and which they were.
    fn fold_states(
        &self,
        memory: &mut Memory,
        mut after: Option<GrantId>,
        states: usize,
    ) -> Result<(Option<GrantId>, Vec<GrantId>), Fault> {
        let mut folded = Vec::new();
        let mut written = 0;
        let Memory { hot, words, .. } = memory;
        while written < states {
            let Some(page) = hot.page_after(after.as_ref()) else {
                return Ok((None, folded));
            };
            after = page.last().map(|(id, _)| *id);
            for (id, held) in page {
                folded.push(id);
                if !held.dirty {
                    continue;
                }
                written += 1;
                if held.renewals.is_empty() {
                    self.db
                        .prepare_cached("UPDATE grants SET state = ?2 WHERE id = ?1")?
                        .execute(params![id.0, held.state])?;
                    continue;
                }
                let mut renewals = packed::unpack_renewals(&self.folded_renewals(&id)?, words)?;
                append(&mut renewals, packed::unpack_renewals(held.renewals, words)?);
                self.db
                    .prepare_cached("UPDATE grants SET state = ?2, renewals = ?3 WHERE id = ?1")?
                    .execute(params![id.0, held.state, packed::pack_renewals(&renewals, words)])?;
            }
            // A long way through clean pages is a step, too.
            written += 1;
        }
        Ok((after, folded))
    }

    fn journal_length(&self) -> Result<usize, Fault> {
        let length: i64 =
            self.db.query_row("SELECT coalesce(sum(length(records)), 0) FROM journal", [], |row| row.get(0))?;
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Puts what the journal has on top of the rows.
    fn read_journal(&self) -> Result<(), Fault> {
        let mut statement = self.db.prepare("SELECT seq, records FROM journal ORDER BY seq")?;
        let mut rows = statement.query([])?;
        let memory = &mut *self.memory.borrow_mut();
        while let Some(row) = rows.next()? {
            memory.newest = row.get(0)?;
            let mut records = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            memory.journal += records.len();
            while let Some((id, mark, state)) = next_record(&mut records)? {
                memory.again(id, mark, state)?;
            }
        }
        memory.undo.clear();
        Ok(())
    }
}

impl Memory {
    fn put(&mut self, id: GrantId, state: &[u8], renewals: &[u8]) -> Result<(), Fault> {
        if state.len() + renewals.len() > hot::LONGEST {
            return Err(Fault::damaged("a grant is larger than any can be"));
        }
        let before = self.hot.put(id, Held { dirty: true, state, renewals });
        self.undo.push((id, before));
        Ok(())
    }

    /// Appends a record: id, mark, length, state.
    fn stage(&mut self, id: GrantId, mark: u8, state: &[u8]) {
        self.staged.extend(id.0);
        self.staged.push(mark);
        self.staged.extend(u16::try_from(state.len()).unwrap_or(u16::MAX).to_le_bytes());
        self.staged.extend(state);
    }

    /// Does once more what a record of the journal says.
    fn again(&mut self, id: GrantId, mark: u8, state: &[u8]) -> Result<(), Fault> {
        if mark == mark::REMOVED {
            self.hot.remove(&id);
            return Ok(());
        }
        let mut renewals = self.hot.held(&id).map(|held| held.renewals.to_vec()).unwrap_or_default();
        if mark == mark::RENEWED {
            let grant = packed::unpack(id, state, &self.words)?.grant;
            let mut all = packed::unpack_renewals(&renewals, &self.words)?;
            append(&mut all, vec![renewal_of(&grant)]);
            renewals = packed::pack_renewals(&all, &mut self.words);
        }
        self.put(id, state, &renewals)?;
        self.undo.clear();
        Ok(())
    }

    /// These are in their rows now. If memory is full they go.
    fn folded(&mut self, ids: &[GrantId]) {
        let full = self.hot.bytes() > self.most;
        for id in ids {
            if full {
                self.hot.remove(id);
            } else {
                self.hot.clean(id);
            }
        }
    }
}

/// The newest renewal of a grant that was just renewed: the journal does not say it twice.
fn renewal_of(grant: &Grant) -> Renewal {
    Renewal {
        at: grant.rotated_at,
        issued: grant.generation,
        user_agent: grant.context.user_agent.clone(),
        prefix: grant.context.prefix,
    }
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

type JournalRecord<'a> = (GrantId, u8, &'a [u8]);

fn next_record<'a>(records: &mut &'a [u8]) -> Result<Option<JournalRecord<'a>>, Fault> {
    if records.is_empty() {
        return Ok(None);
    }
    let damaged = || Fault::damaged("the journal of the grants cannot be read");
    let ([id @ .., mark, low, high], rest) = records.split_first_chunk::<19>().ok_or_else(damaged)?;
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let (state, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
    *records = rest;
    Ok(Some((GrantId(*id), *mark, state)))
}

/// Whether it is the grant that serves the session API for its session, which then leads to it.
fn is_own(grant: &Grant) -> bool {
    grant.endpoint == Endpoint::Session && grant.session.map(GrantRef::own_of) == Some(grant.public_id)
}

#[cfg(test)]
mod tests;
