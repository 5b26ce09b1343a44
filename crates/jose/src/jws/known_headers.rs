//! Headers that were read before. An issuer writes the same header on token after token, so it is read once.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::header::Header;
use crate::Algorithm;

/// The first few headers of tokens whose signature was good, by their encoded text. What a header means depends on its text
/// alone; whether it is accepted is decided anew for each token. Nobody without a key can fill it, and it never grows.
#[derive(Default)]
pub(crate) struct KnownHeaders {
    slots: [OnceLock<Known>; SLOTS],
}

struct Known {
    encoded: Box<str>,
    header: Arc<Header>,
    algorithm: Algorithm,
}

impl KnownHeaders {
    /// The header that this token begins with, its algorithm, and how long it is, encoded.
    pub(super) fn find(&self, token: &str) -> Option<(&Arc<Header>, Algorithm, usize)> {
        let begins = |known: &Known| token.strip_prefix(&*known.encoded).is_some_and(|rest| rest.starts_with('.'));
        let known = self.slots.iter().map_while(OnceLock::get).find(|known| begins(known))?;
        Some((&known.header, known.algorithm, known.encoded.len()))
    }

    /// Remembers a header, if there is still room and it is not too long.
    pub(super) fn remember(&self, encoded: &str, header: &Arc<Header>, algorithm: Algorithm) {
        if encoded.len() > MOST_BYTES {
            return;
        }
        let mut known = Known { encoded: encoded.into(), header: Arc::clone(header), algorithm };
        for slot in &self.slots {
            // Two threads may remember the same header: it then stands twice, which does no harm.
            match slot.set(known) {
                Ok(()) => return,
                Err(back) => known = back,
            }
        }
    }
}

/// A copy knows nothing yet.
impl Clone for KnownHeaders {
    fn clone(&self) -> KnownHeaders {
        KnownHeaders::default()
    }
}

impl fmt::Debug for KnownHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownHeaders")
    }
}

const SLOTS: usize = 8;
const MOST_BYTES: usize = 512;
