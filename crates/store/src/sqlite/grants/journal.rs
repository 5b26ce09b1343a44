//! The journal and the fold: what a transaction did to grants goes to the end of a table, and from there into their rows.
//!
//! 1. [`Desk::seal`] writes what the transaction under way did, as its last statement; [`Desk::sealed`] or [`Desk::undo`] says
//!    what became of it.
//! 2. [`Desk::fold`] goes through memory in steps and writes what is newer than its row; then it forgets the journal as far as
//!    it went when the fold began. It goes by ids alone: pages split and vanish under it.
//! 3. [`Desk::read_journal`] puts the journal on top of the rows at start.

use regrant_engine::{event::Renewal, ports::Broken, refresh::Grant, token::GrantId};
use rusqlite::params;

use super::{super::fault::Fault, Desk, MOST_RENEWALS, Memory, append, packed};

/// A fold begins when the journal has grown to so many bytes: as much is read again at start.
const JOURNAL: usize = 64 << 20;
/// Rows of the journal that are removed in one step.
const FORGOTTEN_AT_ONCE: i64 = 64;

/// What a record of the journal says.
pub(super) mod mark {
    /// The newest state.
    pub(in super::super) const STATE: u8 = 0;
    /// The newest state, by a renewal.
    pub(in super::super) const RENEWED: u8 = 1;
    /// The grant is no more.
    pub(in super::super) const REMOVED: u8 = 2;
}

/// How far a fold is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fold {
    /// There is none.
    Rests,
    /// States are written. Once through, the journal is forgotten up to `until`.
    Writes { until: i64, after: Option<GrantId> },
    /// The journal is forgotten up to `until`.
    Forgets { until: i64 },
}

impl Desk {
    /// Writes what the transaction under way did to grants into the journal: the last thing before it commits.
    pub(in super::super) fn seal(&self) -> Result<(), Fault> {
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
    pub(in super::super) fn sealed(&self) {
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
    pub(in super::super) fn undo(&self) {
        let memory = &mut *self.memory.borrow_mut();
        memory.staged.clear();
        memory.roles_as_of = None;
        while let Some((id, before)) = memory.undo.pop() {
            memory.hot.restore(id, before.as_deref());
        }
    }

    /// Whether a fold should go on now: memory or journal is full, or there is time for it.
    pub(in super::super) fn is_to_fold(&self, idle: bool) -> bool {
        let memory = self.memory.borrow();
        memory.fold != Fold::Rests
            || memory.hot.bytes() > memory.most
            || memory.journal > JOURNAL
            || (idle && memory.journal > 0)
    }

    /// One step of a fold, in a transaction of its own: some `states` are written, or a part of the journal is forgotten.
    pub(in super::super) fn fold(&self, states: usize) -> Result<(), Fault> {
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
                // Those that cannot be read are lost, and keep nothing else from being written.
                let mut renewals =
                    packed::unpack_renewals(&self.folded_renewals(&id)?, words).unwrap_or_else(|fault| {
                        tracing::error!(broken = %Broken::from(fault), "a part of a timeline is lost");
                        Vec::new()
                    });
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
    pub(super) fn read_journal(&self) -> Result<(), Fault> {
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
    /// Appends a record: id, mark, length, state.
    pub(super) fn stage(&mut self, id: GrantId, mark: u8, state: &[u8]) {
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
            packed::append_renewal(&mut renewals, &renewal_of(&grant), MOST_RENEWALS, &mut self.words)?;
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
pub(super) fn renewal_of(grant: &Grant) -> Renewal {
    Renewal {
        at: grant.rotated_at,
        issued: grant.generation,
        user_agent: grant.context.user_agent.clone(),
        prefix: grant.context.prefix,
    }
}

pub(super) type JournalRecord<'a> = (GrantId, u8, &'a [u8]);

pub(super) fn next_record<'a>(records: &mut &'a [u8]) -> Result<Option<JournalRecord<'a>>, Fault> {
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
