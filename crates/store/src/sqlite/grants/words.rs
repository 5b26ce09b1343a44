//! Texts that many grants share — scopes, audiences, browsers, reasons —, each written once and named by a number.

use std::{cell::OnceCell, collections::HashMap};

use foldhash::fast::RandomState;
use rusqlite::{Connection, params};

use super::super::fault::Fault;

/// No more than so many, and none longer: whoever signs in has a say in some of them. What finds no place is written where it
/// is used.
const MOST: usize = 10_000;
const LONGEST: usize = 256;

struct Word {
    text: &'static str,
    /// It as [`list_of`] has it, once somebody asked.
    list: OnceCell<&'static [String]>,
}

/// The dictionary. A word never changes and never goes, not even with the store: grants that are on their way to those who asked
/// for them have its words, and need not count them. There are few, and few stores are opened.
#[derive(Default)]
pub(super) struct Words {
    /// Word n stands at n - 1.
    words: Vec<Word>,
    /// A record is packed with eight of them. There are no more than [`MOST`], so the standard library's hash, which withstands
    /// whoever chooses the keys, is not needed.
    numbers: HashMap<&'static str, u32, RandomState>,
    /// How many of them are in the file.
    saved: usize,
}

impl Words {
    /// Those of a file.
    pub(super) fn read(db: &Connection) -> Result<Self, Fault> {
        let mut words = Self::default();
        let mut statement = db.prepare("SELECT id, text FROM words ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, u32>(0)? != words.add(row.get::<_, String>(1)?) {
                return Err(Fault::damaged("the words are not numbered as they should be"));
            }
        }
        words.saved = words.words.len();
        Ok(words)
    }

    /// The number of `text`, which is noted if it is new; `None` if it is not to be one of the words.
    pub(super) fn number(&mut self, text: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        (text.len() <= LONGEST && self.words.len() < MOST).then(|| self.add(text.into()))
    }

    /// The word of this number.
    pub(super) fn text(&self, number: u32) -> Option<&'static str> {
        self.word(number).map(|word| word.text)
    }

    /// The same as a list.
    pub(super) fn list(&self, number: u32) -> Option<&'static [String]> {
        let word = self.word(number)?;
        Some(word.list.get_or_init(|| Vec::leak(list_of(word.text))))
    }

    fn word(&self, number: u32) -> Option<&Word> {
        self.words.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    fn add(&mut self, text: String) -> u32 {
        let text = &*String::leak(text);
        self.words.push(Word { text, list: OnceCell::new() });
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text, number);
        number
    }

    /// Writes what is new, within the transaction that uses it.
    pub(super) fn save(&self, db: &Connection) -> Result<(), Fault> {
        for (number, Word { text, .. }) in (1..).zip(&self.words).skip(self.saved) {
            db.prepare_cached("INSERT INTO words (id, text) VALUES (?, ?)")?.execute(params![number, text])?;
        }
        Ok(())
    }

    /// The transaction that saved them is on disk. Otherwise the next one saves them again.
    pub(super) fn saved(&mut self) {
        self.saved = self.words.len();
    }
}

/// What a text is that was written with a space between.
pub(super) fn list_of<L: FromIterator<String>>(text: &str) -> L {
    text.split_whitespace().map(str::to_owned).collect()
}
