//! What travels from one store to another: cells, and what all rows of a table add up to.

use aws_lc_rs::digest::{Context, SHA256};
use regrant_engine::ports::Broken;

/// A value on its way. Each store knows the column that it came from, or goes to, in a form of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    /// Nothing.
    Null,
    /// The 16 bytes of an id.
    Id([u8; 16]),
    /// The shard of a user.
    Shard([u8; 4]),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Text.
    Text(String),
    /// A number, or a time in milliseconds.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

/// A row, in the order of its table's columns.
pub type Row = Vec<Cell>;

impl Cell {
    /// Appends the one form that a digest is made of and a position is written in: what it is, and how long.
    fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, bytes: &[u8]| {
            out.push(kind);
            out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend(bytes);
        };
        match self {
            Self::Null => put(0, &[]),
            Self::Id(id) => put(1, id),
            Self::Shard(shard) => put(2, shard),
            Self::Bytes(bytes) => put(3, bytes),
            Self::Text(text) => put(4, text.as_bytes()),
            Self::Number(number) => put(5, &number.to_le_bytes()),
            Self::Flag(flag) => put(6, &[u8::from(*flag)]),
        }
    }

    fn decode(kind: u8, bytes: &[u8]) -> Option<Self> {
        Some(match kind {
            0 => Self::Null,
            1 => Self::Id(bytes.try_into().ok()?),
            2 => Self::Shard(bytes.try_into().ok()?),
            3 => Self::Bytes(bytes.to_owned()),
            4 => Self::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
            5 => Self::Number(i64::from_le_bytes(bytes.try_into().ok()?)),
            6 => Self::Flag(bytes != [0]),
            _ => return None,
        })
    }
}

/// Cells as text, for the destination's note of how far a table is.
pub(super) fn to_text(cells: &[Cell]) -> String {
    let mut bytes = Vec::new();
    cells.iter().for_each(|cell| cell.encode(&mut bytes));
    hex(&bytes)
}

/// The cells of such a text.
pub(super) fn of_text(text: &str) -> Result<Row, Broken> {
    let damaged = || Broken::Damaged("the note of how far the move is cannot be read".to_owned());
    let bytes = unhex(text).ok_or_else(damaged)?;
    let (mut rest, mut cells) = (bytes.as_slice(), Vec::new());
    while let Some(([kind, length @ ..], behind)) = rest.split_first_chunk::<5>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (bytes, behind) = behind.split_at_checked(length).ok_or_else(damaged)?;
        cells.push(Cell::decode(*kind, bytes).ok_or_else(damaged)?);
        rest = behind;
    }
    if rest.is_empty() { Ok(cells) } else { Err(damaged()) }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(pair).collect()
}

/// How many rows a table has, and the sum of their SHA-256 digests: whatever order they are read in, the same rows give the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Total {
    /// How many.
    pub rows: u64,
    sum: [u64; 4],
}

impl Total {
    /// Adds a row, of which these cells count.
    pub(super) fn add<'a>(&mut self, cells: impl Iterator<Item = &'a Cell>) {
        let mut bytes = Vec::with_capacity(512);
        cells.for_each(|cell| cell.encode(&mut bytes));
        let mut digest = Context::new(&SHA256);
        digest.update(&bytes);
        let digest = digest.finish();
        self.rows += 1;
        let mut carry = false;
        for (limb, bytes) in self.sum.iter_mut().zip(digest.as_ref().chunks_exact(8)) {
            let added = bytes.try_into().map_or(0, u64::from_le_bytes);
            let (sum, over) = limb.overflowing_add(added);
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over || over_by_carry);
        }
    }

    /// The sum, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        self.sum.iter().map(|limb| hex(&limb.to_le_bytes())).collect()
    }
}
