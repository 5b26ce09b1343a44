//! Grants in memory, packed, in the order of their ids: pages of bytes, so that a grant takes little more than its bytes, and
//! neighbours in the file are neighbours here.
//!
//! With a million grants what counts is how many cache lines a look-up touches. So the ids that lead to a shelf of pages stand
//! together, those that lead to a page on it, and the tags that lead to a grant within that.

use regrant_engine::token::GrantId;

/// The longest that a state and its renewals together may be, in bytes.
pub(super) const LONGEST: usize = 32 * 1024;
/// Grants in a page at most; a full one becomes two.
const PAGE: usize = if cfg!(test) { 4 } else { 24 };
/// Pages on a shelf at most; a full one becomes two.
const SHELF: usize = if cfg!(test) { 4 } else { 128 };
/// The smallest id.
const FIRST: GrantId = GrantId([0; 16]);
/// A page grows by so much more than it needs, or it would move with every change.
const SLACK: usize = 128;
/// What a page costs beside its bytes: its place in the lists, its tags, and in the allocator.
const PAGE_COST: usize = 224;
/// Id, mark, and the length of the state.
const HEAD: usize = 16 + 1 + 2;

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
    /// The id that each shelf begins at, or a smaller one.
    keys: Vec<GrantId>,
    shelves: Vec<Shelf>,
    pages: usize,
    bytes: usize,
}

/// Pages side by side: few enough that one more among them is soon made room for.
#[derive(Default)]
struct Shelf {
    /// The id that each page begins at, or a smaller one.
    keys: Vec<GrantId>,
    pages: Vec<Page>,
}

/// Some grants, in no order.
#[derive(Default)]
struct Page {
    /// Where to look for a grant.
    tags: Vec<Tag>,
    /// Their records one after the other.
    bytes: Vec<u8>,
}

/// A part of a grant's id, and the length of its record.
#[derive(Clone, Copy)]
struct Tag {
    id: u16,
    length: u16,
}

impl Hot {
    /// How many bytes it takes, near enough.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.pages * PAGE_COST
    }

    /// What is there of `id`.
    pub(super) fn held(&self, id: &GrantId) -> Option<Held<'_>> {
        let shelf = self.shelves.get(place(&self.keys, id)?)?;
        let page = shelf.pages.get(place(&shelf.keys, id)?)?;
        page.record(page.find(id)?).map(held)
    }

    /// Brings what is there of `ids` near. One look waits for memory several times, for each step until the one before has come;
    /// many looks that take each step together wait together.
    pub(super) fn fetch<'a>(&self, ids: impl Iterator<Item = &'a GrantId>) {
        let shelves = ids.filter_map(|id| Some((id, self.shelves.get(place(&self.keys, id)?)?)));
        let shelves: Vec<_> = shelves.collect();
        let pages = shelves.iter().filter_map(|(id, shelf)| Some((*id, shelf.pages.get(place(&shelf.keys, id)?)?)));
        let pages: Vec<_> = pages.collect();
        let begins = |page: &Page| Some(page.tags.first()?.length ^ u16::from(*page.bytes.first()?));
        std::hint::black_box(pages.iter().filter_map(|(_, page)| begins(page)).fold(0, |all, bits| all ^ bits));
        let ends = |record: &[u8]| Some(record.first()? ^ record.last()?);
        let records = pages.iter().filter_map(|(id, page)| ends(page.record(page.find(id)?)?));
        std::hint::black_box(records.fold(0, |all, bits| all ^ bits));
    }

    /// Puts a grant in, or in the place of what was there of it, which it gives back. Both together may not be longer than
    /// [`LONGEST`].
    pub(super) fn put(&mut self, id: GrantId, now: Held<'_>) -> Option<Box<[u8]>> {
        if self.shelves.is_empty() {
            self.keys.push(FIRST);
            self.shelves.push(Shelf { keys: vec![FIRST], pages: vec![Page::default()] });
            self.pages += 1;
        }
        let nth = place(&self.keys, &id)?;
        let shelf = self.shelves.get_mut(nth)?;
        let index = place(&shelf.keys, &id)?;
        let page = shelf.pages.get_mut(index)?;
        let capacity = page.bytes.capacity();
        let before = page.put(&id, now);
        self.bytes = (self.bytes + page.bytes.capacity()).saturating_sub(capacity);
        if page.tags.len() > PAGE {
            let capacity = page.bytes.capacity();
            let (middle, high) = page.split(&id);
            self.bytes = (self.bytes + page.bytes.capacity() + high.bytes.capacity()).saturating_sub(capacity);
            self.pages += 1;
            shelf.keys.insert(index + 1, middle);
            shelf.pages.insert(index + 1, high);
            if shelf.keys.len() > SHELF {
                let half = shelf.keys.len() / 2;
                let high = Shelf { keys: shelf.keys.split_off(half), pages: shelf.pages.split_off(half) };
                if let Some(middle) = high.keys.first() {
                    self.keys.insert(nth + 1, *middle);
                    self.shelves.insert(nth + 1, high);
                }
            }
        }
        before
    }

    /// Takes a grant out; what was there of it.
    pub(super) fn remove(&mut self, id: &GrantId) -> Option<Box<[u8]>> {
        let nth = place(&self.keys, id)?;
        let shelf = self.shelves.get_mut(nth)?;
        let index = place(&shelf.keys, id)?;
        let page = shelf.pages.get_mut(index)?;
        let at = page.find(id)?;
        let before = page.record(at).map(Box::from);
        page.cut(at);
        if page.tags.is_empty() {
            self.bytes = self.bytes.saturating_sub(page.bytes.capacity());
            self.pages -= 1;
            shelf.pages.remove(index);
            // What would have been in it is now for the page before, of which there must be one: the first keeps its key.
            shelf.keys.remove(if index == 0 && shelf.keys.len() > 1 { 1 } else { index });
            if shelf.pages.is_empty() {
                self.shelves.remove(nth);
                self.keys.remove(if nth == 0 && self.keys.len() > 1 { 1 } else { nth });
                self.lower_first(nth);
            }
        }
        before
    }

    /// A shelf that others' ids now lead to must take them on its first page.
    fn lower_first(&mut self, nth: usize) {
        if let (Some(key), Some(first)) =
            (self.keys.get(nth), self.shelves.get_mut(nth).and_then(|s| s.keys.first_mut()))
        {
            *first = (*first).min(*key);
        }
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

    /// Grants after `after` in the order of their ids, as many as one page has of them; `None` at the end.
    pub(super) fn page_after(&self, after: Option<&GrantId>) -> Option<Vec<(GrantId, Held<'_>)>> {
        // Pages split, vanish, and take over the ids of one that vanished: only the ids say what was seen.
        let (mut nth, mut index) = match after {
            None => (0, 0),
            Some(id) => {
                let nth = place(&self.keys, id)?;
                (nth, place(&self.shelves.get(nth)?.keys, id).unwrap_or(0))
            }
        };
        loop {
            let shelf = self.shelves.get(nth)?;
            let Some(page) = shelf.pages.get(index) else {
                (nth, index) = (nth + 1, 0);
                continue;
            };
            let mut all: Vec<_> = page.records().map(|record| (id_of(record), held(record))).collect();
            all.retain(|(id, _)| after.is_none_or(|after| id > after));
            if !all.is_empty() {
                all.sort_unstable_by_key(|(id, _)| *id);
                return Some(all);
            }
            index += 1;
        }
    }
}

/// The last of `keys` that is not beyond `id`.
fn place(keys: &[GrantId], id: &GrantId) -> Option<usize> {
    keys.partition_point(|key| key <= id).checked_sub(1)
}

impl Page {
    fn of(records: &[(GrantId, &[u8])]) -> Self {
        let mut page = Self {
            tags: Vec::with_capacity(PAGE + 1),
            bytes: Vec::with_capacity(records.iter().map(|(_, record)| record.len()).sum::<usize>() + SLACK),
        };
        for (id, record) in records {
            page.tags.push(Tag::of(id, record.len()));
            page.bytes.extend(*record);
        }
        page
    }

    /// Makes two of it, of which the second one begins at the id. Where grants come in the order of their ids, `newest` the last
    /// of them, the first one stays full.
    fn split(&mut self, newest: &GrantId) -> (GrantId, Self) {
        let whole = std::mem::take(self);
        let mut all: Vec<_> = whole.records().map(|record| (id_of(record), record)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        let in_order = all.last().is_some_and(|(id, _)| id == newest);
        let (low, high) = all.split_at(if in_order { all.len() - 1 } else { all.len() / 2 });
        *self = Self::of(low);
        (high.first().map_or(*newest, |(id, _)| *id), Self::of(high))
    }

    /// Which of the page's grants it is, and where its bytes are.
    fn find(&self, id: &GrantId) -> Option<(usize, usize)> {
        let tag = Tag::of(id, 0).id;
        let mut at = 0;
        for (nth, known) in self.tags.iter().enumerate() {
            if known.id == tag && self.record((nth, at)).is_some_and(|record| id_of(record) == *id) {
                return Some((nth, at));
            }
            at += usize::from(known.length);
        }
        None
    }

    fn record(&self, (nth, at): (usize, usize)) -> Option<&[u8]> {
        let length = usize::from(self.tags.get(nth)?.length);
        self.bytes.get(at..at + length)
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        self.tags.iter().map_while(move |tag| {
            let (record, after) = rest.split_at_checked(usize::from(tag.length))?;
            rest = after;
            Some(record)
        })
    }

    fn put(&mut self, id: &GrantId, now: Held<'_>) -> Option<Box<[u8]>> {
        let length = HEAD + now.state.len() + now.renewals.len();
        let parts = [
            id.0.as_slice(),
            &[u8::from(now.dirty)],
            &u16::try_from(now.state.len()).unwrap_or(u16::MAX).to_le_bytes(),
            now.state,
            now.renewals,
        ];
        let place = self.find(id);
        let before: Option<Box<[u8]>> = place.and_then(|place| self.record(place).map(Box::from));
        let fits = before.as_ref().is_some_and(|record| record.len() == length);
        match place {
            Some((_, mut at)) if fits => {
                for part in parts {
                    if let Some(bytes) = self.bytes.get_mut(at..at + part.len()) {
                        bytes.copy_from_slice(part);
                    }
                    at += part.len();
                }
                return before;
            }
            Some(place) => self.cut(place),
            None => {}
        }
        if self.bytes.capacity() < self.bytes.len() + length {
            self.bytes.reserve_exact(length + SLACK);
        }
        self.tags.push(Tag::of(id, length));
        parts.into_iter().for_each(|part| self.bytes.extend_from_slice(part));
        before
    }

    fn cut(&mut self, (nth, at): (usize, usize)) {
        let length = usize::from(self.tags.remove(nth).length);
        self.bytes.drain(at..at + length);
    }
}

impl Tag {
    fn of(GrantId([.., a, b]): &GrantId, length: usize) -> Self {
        Self { id: u16::from_le_bytes([*a, *b]), length: u16::try_from(length).unwrap_or(u16::MAX) }
    }
}

fn id_of(record: &[u8]) -> GrantId {
    GrantId(record.first_chunk().copied().unwrap_or_default())
}

fn held(record: &[u8]) -> Held<'_> {
    let Some(([_id @ .., mark, low, high], body)) = record.split_first_chunk::<HEAD>() else {
        return Held { dirty: false, state: &[], renewals: &[] };
    };
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let (state, renewals) = body.split_at_checked(length).unwrap_or((body, &[]));
    Held { dirty: *mark != 0, state, renewals }
}
