//! A store moves: from the embedded one to a database, back, or from one database to another.
//!
//! 1. [`carry`] asks both stores what they say of a move (`mark.rs`), and refuses what must not be: a source that somebody serves or
//!    that has gone elsewhere, a destination that has something of its own.
//! 2. The source is marked as leaving: from here on nobody serves it, and what is copied stays what it is. The destination is
//!    emptied of what earlier attempts left, and marked as arriving from that source by that move.
//! 3. Every table (`table.rs`) is copied in batches, in the order of an index. The destination notes in the transaction of each
//!    batch how far the table is. A move that was stopped goes on there.
//! 4. Both are read once more, and compared, table by table: how many rows, and what their digests add up to (`cell.rs`). If one
//!    differs, the source is given back to be served, and the error names the table.
//! 5. The source is marked as left, then the destination as arrived. Now it may be served.
//!
//! [`take_back`] goes the other way, as long as nobody has opened the destination: never are there two stores that live.
//!
//! The stores bring [`Movable`]: `crates/store/src/sqlite/moving.rs` and `crates/store/src/postgres/moving.rs`.

mod cell;
pub(crate) mod grant;
mod mark;
pub(crate) mod table;

use std::fmt;

use regrant_engine::{
    ports::{Answer, Broken, Random},
    time::Time,
};

pub use self::{
    cell::{Cell, Row, Total},
    mark::{Came, Mark},
    table::Table,
};
pub(crate) use self::{
    mark::{MARK, POSITION, STORE},
    table::TABLES,
};

/// Rows that are copied in one transaction.
pub const BATCH: u32 = 2000;

/// How far a table is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Position {
    /// Nothing of it is there.
    Begin,
    /// All up to here, in the order of the source.
    After(Row),
    /// All of it.
    End,
}

impl Position {
    /// As the destination notes it; `None` for the beginning.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Begin => None,
            Self::After(cells) => Some(cell::to_text(cells)),
            Self::End => Some("end".to_owned()),
        }
    }

    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Broken> {
        match text {
            None => Ok(Self::Begin),
            Some("end") => Ok(Self::End),
            Some(text) => cell::of_text(text).map(Self::After),
        }
    }

    fn after(&self) -> Option<Row> {
        if let Self::After(cells) = self { Some(cells.clone()) } else { None }
    }
}

/// Some rows of a table, in the order of the store that they are from.
pub struct Batch {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where the last of them stands in that order; `None` if there is none.
    pub last: Option<Row>,
}

/// A store that can be moved from, and into. Nobody else works on it.
pub trait Movable: Send + Sync {
    /// What it says of a move.
    fn mark(&self) -> Answer<'_, Option<Mark>>;

    /// Says something else, durably, if it says `expected`; whether it did.
    fn set_mark(&self, expected: Option<Mark>, next: Option<Mark>) -> Answer<'_, bool>;

    /// The id that the store gave itself: `fresh`, if it has none.
    fn id(&self, fresh: String) -> Answer<'_, String>;

    /// A table that has rows.
    fn occupied(&self) -> Answer<'_, Option<&'static str>>;

    /// Who works on it beside us, for people to read.
    fn in_use(&self, now: Time) -> Answer<'_, Option<String>>;

    /// Forgets everything, and says `mark`, in one step.
    fn clear(&self, mark: Mark) -> Answer<'_, ()>;

    /// The rows of a table that come after a position, in the store's own order.
    fn read(&self, table: &'static Table, after: Option<Row>, limit: u32) -> Answer<'_, Batch>;

    /// How far a table is that is copied here.
    fn position(&self, table: &'static Table) -> Answer<'_, Position>;

    /// Writes rows and how far the table is with them, in one step, if it was at `expected`; whether it was.
    fn write(&self, table: &'static Table, rows: Vec<Row>, expected: Position, next: Position) -> Answer<'_, bool>;

    /// Everything was written: what a store likes to do then.
    fn settle(&self) -> Answer<'_, ()>;
}

/// A store that takes part, and what people call it.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The store.
    pub store: &'a dyn Movable,
    /// Its name: where it is. It says no secret, and it is the same each time.
    pub name: &'a str,
}

/// Why nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveError {
    /// It must not be; the text says why, and what to do.
    Refused(String),
    /// The copy is another than the original. The original is as it was before.
    Differs {
        /// The table.
        table: &'static str,
        /// What the source has of it.
        source: Total,
        /// What the destination has.
        copy: Total,
    },
    /// A store failed. Run again, the move goes on.
    Broken {
        /// Which.
        name: String,
        /// How.
        broken: Broken,
    },
}

impl fmt::Display for MoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Differs { table, source, copy } => write!(
                f,
                "the copy differs from the original: table {table} has {} rows there (digest {:.12}) and {} here (digest {:.12}). \
                 The original was not changed and can be served; another attempt begins anew",
                source.rows,
                source.digest(),
                copy.rows,
                copy.digest()
            ),
            Self::Broken { name, broken } => {
                write!(f, "{name}: {broken}. Nothing is lost: run the same command again, and it goes on where it was")
            }
        }
    }
}

impl std::error::Error for MoveError {}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// Every table, with what both sides have of it.
    Now(Vec<(&'static str, Total)>),
    /// It had been moved by an earlier run, which was stopped at the very end, or which this one repeats.
    Before,
}

fn refused<T>(why: impl Into<String>) -> Result<T, MoveError> {
    Err(MoveError::Refused(why.into()))
}

impl<'a> Side<'a> {
    async fn ask<T>(self, asked: Answer<'a, T>) -> Result<T, MoveError> {
        asked.await.map_err(|broken| MoveError::Broken { name: self.name.to_owned(), broken })
    }

    async fn put(self, expected: Option<Mark>, next: Option<Mark>) -> Result<(), MoveError> {
        if self.ask(self.store.set_mark(expected, next)).await? {
            return Ok(());
        }
        refused(format!("somebody else began to move {} at this moment: nothing more was done here", self.name))
    }

    async fn must_rest(self, now: Time) -> Result<(), MoveError> {
        match self.ask(self.store.in_use(now)).await? {
            None => Ok(()),
            Some(by) => refused(format!("{} is in use ({by}): stop what uses it, and run this again", self.name)),
        }
    }
}

/// Moves a store; see the module. `batch` rows at a time: [`BATCH`].
///
/// # Errors
/// [`MoveError`] says what stands in the way, and that nothing is lost.
pub async fn carry(
    from: Side<'_>,
    to: Side<'_>,
    now: Time,
    random: &dyn Random,
    batch: u32,
) -> Result<Moved, MoveError> {
    let fresh = || {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        cell::hex(&bytes)
    };
    let (here, there) = (from.ask(from.store.mark()).await?, to.ask(to.store.mark()).await?);
    // 1. What the source says.
    let (id, came) = match &here {
        None => (None, None),
        Some(Mark::Arrived { came, .. }) => (None, Some(came.clone())),
        Some(Mark::Leaving { id, to: named, came, .. } | Mark::Left { id, to: named, came, .. }) => {
            if named != to.name {
                let why = here.as_ref().and_then(Mark::why_not).unwrap_or_default();
                return refused(format!("{} cannot be moved to {}: {why}", from.name, to.name));
            }
            (Some(id.clone()), came.clone())
        }
        Some(unfinished @ Mark::Arriving { .. }) => {
            return refused(format!("{} cannot be moved: {}", from.name, unfinished.why_not().unwrap_or_default()));
        }
    };
    let is_ours = |mark: &Option<Mark>| matches!(mark, Some(Mark::Arriving { id: of, .. }) if Some(of) == id.as_ref());
    if let Some(Mark::Left { id, .. }) = &here {
        return finish(to, there, id, now).await;
    }
    let store = from.ask(from.store.id(fresh())).await?;
    if !is_ours(&there) {
        may_be_filled(to, &there, &store, came.as_ref()).await?;
    }
    from.must_rest(now).await?;
    to.must_rest(now).await?;
    // 2. Nobody serves either from here on.
    let id = id.unwrap_or_else(fresh);
    let leaving = match here {
        Some(leaving @ Mark::Leaving { .. }) => leaving,
        here => {
            let leaving = Mark::Leaving { id: id.clone(), to: to.name.to_owned(), at: now, came: came.clone() };
            from.put(here, Some(leaving.clone())).await?;
            leaving
        }
    };
    if !matches!(&there, Some(Mark::Arriving { id: of, .. }) if *of == id) {
        let arriving = Mark::Arriving { id: id.clone(), store, from: from.name.to_owned(), at: now };
        to.ask(to.store.clear(arriving)).await?;
    }
    // 3. 4.
    for table in &TABLES {
        copy(from, to, table, batch).await?;
    }
    to.ask(to.store.settle()).await?;
    let mut totals = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        let (source, copy) = tokio::join!(total(from, table, batch), total(to, table, batch));
        let (source, copy) = (source?, copy?);
        if source != copy {
            from.put(Some(leaving), came.map(|came| Mark::Arrived { came, used: true })).await?;
            return Err(MoveError::Differs { table: table.name, source, copy });
        }
        totals.push((table.name, source));
    }
    from.must_rest(now).await?;
    // 5. First the one, then the other: in between nobody serves either.
    let left = Mark::Left { id: id.clone(), to: to.name.to_owned(), at: now, came };
    from.put(Some(leaving), Some(left)).await?;
    let there = to.ask(to.store.mark()).await?;
    finish(to, there, &id, now).await?;
    Ok(Moved::Now(totals))
}

/// The source says that it has left: the copy was compared before.
async fn finish(to: Side<'_>, there: Option<Mark>, of: &str, now: Time) -> Result<Moved, MoveError> {
    match &there {
        Some(Mark::Arriving { id, from, .. }) if id == of => {
            let came = Came { id: id.clone(), from: from.clone(), at: now };
            to.put(there, Some(Mark::Arrived { came, used: false })).await?;
            Ok(Moved::Before)
        }
        Some(Mark::Arrived { came, .. }) if came.id == of => Ok(Moved::Before),
        _ => refused(format!(
            "it was moved to {}, and what is there now did not come from here: look whether that is the right place",
            to.name
        )),
    }
}

/// Whether a store may be filled by this source, forgetting what is in it.
async fn may_be_filled(to: Side<'_>, there: &Option<Mark>, store: &str, came: Option<&Came>) -> Result<(), MoveError> {
    match there {
        // What an earlier attempt left, of the same store.
        Some(Mark::Arriving { store: of, .. }) if of == store => Ok(()),
        // It went from there to here, and comes back: what is there is an old state of the same.
        Some(Mark::Left { id, .. }) if came.is_some_and(|came| came.id == *id) => Ok(()),
        Some(mark @ (Mark::Arriving { .. } | Mark::Leaving { .. } | Mark::Left { .. })) => {
            refused(format!("{} cannot be moved into: {}", to.name, mark.why_not().unwrap_or_default()))
        }
        None | Some(Mark::Arrived { .. }) => match to.ask(to.store.occupied()).await? {
            None => Ok(()),
            Some(table) => refused(format!(
                "there is a store in {} already (its table {table} has rows), and two cannot become one: name a place that is \
                 empty, a new database or a directory without a store",
                to.name
            )),
        },
    }
}

/// Copies what is missing of a table.
async fn copy(from: Side<'_>, to: Side<'_>, table: &'static Table, batch: u32) -> Result<(), MoveError> {
    let mut position = to.ask(to.store.position(table)).await?;
    while position != Position::End {
        let Batch { rows, last } = from.ask(from.store.read(table, position.after(), batch)).await?;
        let is_last = rows.len() < usize::try_from(batch).unwrap_or(usize::MAX);
        let next = if is_last { Position::End } else { last.map_or(Position::End, Position::After) };
        position = if to.ask(to.store.write(table, rows, position, next.clone())).await? {
            next
        } else {
            // A batch of a run that was killed came through after all.
            to.ask(to.store.position(table)).await?
        };
    }
    Ok(())
}

/// What a store has of a table.
async fn total(side: Side<'_>, table: &'static Table, batch: u32) -> Result<Total, MoveError> {
    let (mut total, mut after) = (Total::default(), None);
    loop {
        let Batch { rows, last } = side.ask(side.store.read(table, after, batch)).await?;
        for row in &rows {
            total.add(row.iter().zip(table.columns).filter(|(_, column)| column.counts()).map(|(cell, _)| cell));
        }
        match last {
            Some(last) if rows.len() == usize::try_from(batch).unwrap_or(usize::MAX) => after = Some(last),
            _ => return Ok(total),
        }
    }
}

/// What a take-back found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenBack {
    /// The move had not been finished.
    Unfinished,
    /// It had, and nobody had opened the destination.
    Unused,
}

/// Gives a source back to be served, as it was when it left. The destination becomes an unfinished copy that nobody serves.
///
/// `to` is the destination's name, and `there` it, or why it cannot be opened: one that was not finished need not be there.
///
/// # Errors
/// [`MoveError`]: above all, that somebody has used the destination. Then what happened there must come along, by a move back.
pub async fn take_back(
    from: Side<'_>,
    to: &str,
    there: Result<&dyn Movable, String>,
    now: Time,
) -> Result<TakenBack, MoveError> {
    let here = from.ask(from.store.mark()).await?;
    let before = |came: &Option<Came>| came.clone().map(|came| Mark::Arrived { came, used: true });
    match &here {
        Some(Mark::Leaving { to: named, came, .. }) if named == to => {
            // Whatever is there can never be finished without a source that has left.
            let before = before(came);
            from.put(here, before).await?;
            Ok(TakenBack::Unfinished)
        }
        Some(Mark::Left { id, to: named, came, .. }) if named == to => {
            let to = match there {
                Ok(store) => Side { store, name: to },
                Err(why) => {
                    return refused(format!(
                        "whether somebody has used it at {to} cannot be known, and so it is not taken back: {why}"
                    ));
                }
            };
            let there = to.ask(to.store.mark()).await?;
            match &there {
                Some(Mark::Arriving { id: of, .. }) if of == id => {}
                Some(Mark::Arrived { came: of, used: false }) if of.id == *id => {
                    to.must_rest(now).await?;
                    let store = from.ask(from.store.id(String::new())).await?;
                    let back = Mark::Arriving { id: id.clone(), store, from: from.name.to_owned(), at: of.at };
                    // First the one that could be served, so that there are never two.
                    to.put(there, Some(back)).await?;
                }
                Some(Mark::Arrived { came: of, used: true }) if of.id == *id => {
                    return refused(format!(
                        "{to} was opened since the move, and what happened there would be lost: tokens renewed, people signed out. \
                         Move it back with that: \"regrant move --from {to} --to {from}\"",
                        to = to.name,
                        from = from.name
                    ));
                }
                _ => {
                    return refused(format!(
                        "{} was moved to {}, and what is there now is something else: look whether that is the right place",
                        from.name, to.name
                    ));
                }
            }
            let before = before(came);
            from.put(here, before).await?;
            Ok(TakenBack::Unused)
        }
        Some(mark @ (Mark::Leaving { .. } | Mark::Left { .. } | Mark::Arriving { .. })) => {
            refused(format!("{}: {}", from.name, mark.why_not().unwrap_or_default()))
        }
        None | Some(Mark::Arrived { .. }) => {
            refused(format!("{} was not moved: there is nothing to take back", from.name))
        }
    }
}

#[cfg(test)]
mod tests;
