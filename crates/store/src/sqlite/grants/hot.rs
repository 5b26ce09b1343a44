//! Grants in memory, packed, in the order of their ids: a tree whose leaves are pages of bytes, so that a grant takes little
//! more than its bytes, and neighbours in the file are neighbours here.

use std::collections::BTreeMap;

use regrant_engine::token::GrantId;

/// Grants in a page at most; a full one becomes two.
const PAGE: usize = 32;
/// What a page costs beside its bytes: its place in the tree, and in the allocator.
const PAGE_COST: usize = 80;
/// The longest that a state or renewals may be, in bytes.
pub(super) const LONGEST: usize = u16::MAX as usize;
/// Id, mark, and the lengths of state and renewals.
const HEAD: usize = 16 + 1 + 2 + 2;

/// What memory has of a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held<'a> {
    /// Newer than the row.
    pub(super) dirty: bool,
    /// The newest state.
    pub(super) state: &'a [u8],
    /// Renewals that the row does not have yet.
    pub(super) renewals: &'a [u8],
}

/// See the module.
#[derive(Default)]
pub(super) struct Hot {
    /// Each under the id of its first grant, or a smaller one.
    pages: BTreeMap<GrantId, Vec<u8>>,
    bytes: usize,
}

impl Hot {
    /// How many bytes it takes, near enough.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.pages.len() * PAGE_COST
    }

    /// What is there of `id`.
    pub(super) fn held(&self, id: &GrantId) -> Option<Held<'_>> {
        let page = self.pages.range(..=id).next_back()?.1;
        records(page).find(|(found, _)| *found == id.0).map(|(_, record)| held(record))
    }

    /// Puts a grant in, or in the place of what was there of it, which it gives back. Neither part may be longer than
    /// [`LONGEST`].
    pub(super) fn put(&mut self, id: GrantId, now: Held<'_>) -> Option<Box<[u8]>> {
        let before = self.remove(&id);
        let key = self.pages.range(..=id).next_back().map_or(GrantId([0; 16]), |(key, _)| *key);
        let page = self.pages.entry(key).or_default();
        let capacity = page.capacity();
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
        page.reserve_exact(HEAD + now.state.len() + now.renewals.len());
        page.extend(id.0);
        page.push(u8::from(now.dirty));
        page.extend(length(now.state));
        page.extend(length(now.renewals));
        page.extend(now.state);
        page.extend(now.renewals);
        self.bytes = (self.bytes + page.capacity()).saturating_sub(capacity);
        if records(page).count() > PAGE {
            self.split(key);
        }
        before
    }

    /// Takes a grant out; what was there of it.
    pub(super) fn remove(&mut self, id: &GrantId) -> Option<Box<[u8]>> {
        let (key, page) = self.pages.range_mut(..=id).next_back()?;
        let key = *key;
        let mut at = 0;
        let mut found = None;
        for (of, record) in records(page) {
            if of == id.0 {
                found = Some((at, Box::from(record)));
                break;
            }
            at += record.len();
        }
        let (at, record): (usize, Box<[u8]>) = found?;
        page.drain(at..at + record.len());
        if page.is_empty() {
            self.bytes = self.bytes.saturating_sub(page.capacity());
            self.pages.remove(&key);
        }
        Some(record)
    }

    /// The row has it now.
    pub(super) fn clean(&mut self, id: &GrantId) {
        if self.held(id).is_some_and(|held| held.dirty)
            && let Some(record) = self.remove(id)
        {
            self.put(*id, Held { dirty: false, state: held(&record).state, renewals: &[] });
        }
    }

    /// Makes it again as it was before [`Self::put`] or [`Self::remove`] gave this back.
    pub(super) fn restore(&mut self, id: GrantId, before: Option<&[u8]>) {
        match before {
            Some(record) => self.put(id, held(record)),
            None => self.remove(&id),
        };
    }

    /// The grants of the first page after the one that `after` is in, in the order of their ids; `None` at the end.
    pub(super) fn page_after(&self, after: Option<&GrantId>) -> Option<Vec<(GrantId, Held<'_>)>> {
        let from = match after {
            None => std::ops::Bound::Unbounded,
            // The page of `after` begins at or before it; one that was split off meanwhile begins later, and is looked at again.
            Some(id) => std::ops::Bound::Excluded(*id),
        };
        let page = self.pages.range((from, std::ops::Bound::Unbounded)).next()?.1;
        Some(sorted(page))
    }

    fn split(&mut self, key: GrantId) {
        let Some(page) = self.pages.remove(&key) else { return };
        self.bytes = self.bytes.saturating_sub(page.capacity());
        let mut all: Vec<_> = records(&page).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        let (low, high) = all.split_at(all.len() / 2);
        let join = |half: &[([u8; 16], &[u8])]| {
            let mut joined = Vec::with_capacity(half.iter().map(|(_, record)| record.len()).sum());
            half.iter().for_each(|(_, record)| joined.extend(*record));
            joined
        };
        let (low, middle, high) = (join(low), high.first().map(|(id, _)| GrantId(*id)), join(high));
        self.bytes += low.capacity() + high.capacity();
        self.pages.insert(key, low);
        if let Some(middle) = middle {
            self.pages.insert(middle, high);
        }
    }
}

fn sorted(page: &[u8]) -> Vec<(GrantId, Held<'_>)> {
    let mut all: Vec<_> = records(page).map(|(id, record)| (GrantId(id), held(record))).collect();
    all.sort_unstable_by_key(|(id, _)| *id);
    all
}

/// The records of a page: id, and the bytes with their head.
fn records(page: &[u8]) -> impl Iterator<Item = ([u8; 16], &[u8])> {
    let mut rest = page;
    std::iter::from_fn(move || {
        let (head, _) = rest.split_first_chunk::<HEAD>()?;
        let [id @ .., _, a, b, c, d] = head;
        let length = HEAD + usize::from(u16::from_le_bytes([*a, *b])) + usize::from(u16::from_le_bytes([*c, *d]));
        let (record, after) = rest.split_at_checked(length)?;
        rest = after;
        Some((*id, record))
    })
}

fn held(record: &[u8]) -> Held<'_> {
    let Some(([_id @ .., mark, a, b, _, _], body)) = record.split_first_chunk::<HEAD>() else {
        return Held { dirty: false, state: &[], renewals: &[] };
    };
    let (state, renewals) = body.split_at_checked(usize::from(u16::from_le_bytes([*a, *b]))).unwrap_or((body, &[]));
    Held { dirty: *mark != 0, state, renewals }
}
