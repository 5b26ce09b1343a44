//! What a store says of a move that it has a part in: one row of its `meta`, and whether it may be served.
//!
//! | the source | the destination | |
//! |---|---|---|
//! | – | – | nothing was begun |
//! | leaving | – or arriving | it is copied; neither is served |
//! | left | arriving | copied and compared; neither is served |
//! | left | arrived | done: the destination is served |
//!
//! A move goes down this table, one durable step after the other, and can be stopped between any two. At no line are both served,
//! and from each one the next is reached by running the move again. The way back up is `take_back`.

use regrant_engine::{ports::Broken, time::Time};
use serde_json::{Value, json};

/// Where a store came from by the last move into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Came {
    /// Which move.
    pub id: String,
    /// The store that it was.
    pub from: String,
    /// When.
    pub at: Time,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mark {
    /// It is being copied to another place, or was until the move was stopped.
    Leaving {
        /// Which move.
        id: String,
        /// Where to.
        to: String,
        /// Since when.
        at: Time,
        /// How it came here.
        came: Option<Came>,
    },
    /// It is at another place now.
    Left {
        /// By which move.
        id: String,
        /// Where.
        to: String,
        /// Since when.
        at: Time,
        /// How it came here.
        came: Option<Came>,
    },
    /// It is an unfinished copy.
    Arriving {
        /// Of which move.
        id: String,
        /// Which store is copied, by the id that it gave itself.
        store: String,
        /// Where that is.
        from: String,
        /// Since when.
        at: Time,
    },
    /// It is the store, and came from another place.
    Arrived {
        /// How.
        came: Came,
        /// Whether anybody has opened it here since.
        used: bool,
    },
}

/// Under which name it stands in `meta`.
pub(crate) const MARK: &str = "move";
/// Under which a store's own id does.
pub(crate) const STORE: &str = "store.id";
/// Under which the destination notes how far a table is, before the table's name.
pub(crate) const POSITION: &str = "move.at.";

impl Mark {
    /// Why a store with this mark is not to be opened, and what to do; `None` if it is.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        match self {
            Self::Leaving { to, at, .. } => Some(format!(
                "it is being moved to {to} (begun {at}): run the same \"regrant move\" again to finish that, or once more with \
                 --take-back to stay here"
            )),
            Self::Left { to, at, .. } => Some(format!(
                "it was moved to {to} ({at}), and what is here is old: use it there. To come back with all that happened since, \
                 \"regrant move --from {to}\" and --to this place; if nobody has used it there yet, the move that was made, once \
                 more with --take-back"
            )),
            Self::Arriving { from, at, .. } => Some(format!(
                "it is an unfinished copy of {from} (begun {at}): run the same \"regrant move\" again to finish it"
            )),
            Self::Arrived { .. } => None,
        }
    }

    /// As it stands in `meta`.
    pub(crate) fn text(&self) -> String {
        let came = |came: &Option<Came>| came.as_ref().map(Came::document);
        let document = match self {
            Self::Leaving { id, to, at, came: of } => {
                json!({"state": "leaving", "id": id, "to": to, "at": at.millis(), "came": came(of)})
            }
            Self::Left { id, to, at, came: of } => {
                json!({"state": "left", "id": id, "to": to, "at": at.millis(), "came": came(of)})
            }
            Self::Arriving { id, store, from, at } => {
                json!({"state": "arriving", "id": id, "store": store, "from": from, "at": at.millis()})
            }
            Self::Arrived { came, used } => json!({"state": "arrived", "came": came.document(), "used": used}),
        };
        document.to_string()
    }

    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self, Broken> {
        let document: Value = serde_json::from_str(text).unwrap_or_default();
        Self::of(&document)
            .ok_or_else(|| Broken::Damaged("what the store says of a move cannot be read by this version".to_owned()))
    }

    fn of(document: &Value) -> Option<Self> {
        let text = |name: &str| document.get(name)?.as_str().map(str::to_owned);
        let at = || document.get("at")?.as_i64().map(Time::from_millis);
        let came = || match document.get("came") {
            None | Some(Value::Null) => Some(None),
            Some(came) => Came::of(came).map(Some),
        };
        Some(match document.get("state")?.as_str()? {
            "leaving" => Self::Leaving { id: text("id")?, to: text("to")?, at: at()?, came: came()? },
            "left" => Self::Left { id: text("id")?, to: text("to")?, at: at()?, came: came()? },
            "arriving" => Self::Arriving { id: text("id")?, store: text("store")?, from: text("from")?, at: at()? },
            "arrived" => Self::Arrived { came: came()??, used: document.get("used")?.as_bool()? },
            _ => return None,
        })
    }
}

impl Came {
    fn document(&self) -> Value {
        json!({"id": self.id, "from": self.from, "at": self.at.millis()})
    }

    fn of(document: &Value) -> Option<Self> {
        let text = |name: &str| document.get(name)?.as_str().map(str::to_owned);
        let at = document.get("at")?.as_i64().map(Time::from_millis)?;
        Some(Self { id: text("id")?, from: text("from")?, at })
    }
}
