//! Tokens that have claims in common, which are written out once.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Error, Signer};

/// Signs tokens whose claims are partly the same each time, such as `iss` and `aud`: those are written out once, when the
/// template is made. Cheap to share between threads and to clone.
#[derive(Clone, Debug)]
pub struct Template {
    signer: Signer,
    /// `{"iss":"…","aud":"…"`, without the closing brace.
    shared: Box<[u8]>,
}

impl Template {
    /// A template of these claims, signed by `signer`.
    #[must_use]
    pub fn new(signer: &Signer, shared: &Map<String, Value>) -> Template {
        let mut text = Value::Object(shared.clone()).to_string().into_bytes();
        text.pop();
        Template { signer: signer.clone(), shared: text.into() }
    }

    /// The compact token of the shared claims and these. `claims` is a struct or a map; a name that is among the shared ones,
    /// too, makes a token that nobody accepts (RFC 7519 §4).
    ///
    /// # Errors
    /// [`Error::ClaimsInvalid`] for claims that are no JSON object, and those of [`Signer::sign`].
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        let start = self.shared.len();
        let mut payload = Vec::with_capacity(start.saturating_add(USUAL_BYTES));
        payload.extend_from_slice(&self.shared);
        serde_json::to_writer(&mut payload, claims).map_err(|_| Error::ClaimsInvalid)?;
        match payload.get_mut(start..) {
            // Nothing to add: the brace closes what is there.
            Some([b'{', b'}']) => _ = payload.remove(start),
            // Nothing was there: these are all.
            Some([b'{', ..]) if start == 1 => _ = payload.remove(0),
            Some([brace @ b'{', ..]) => *brace = b',',
            _ => return Err(Error::ClaimsInvalid),
        }
        self.signer.sign(&payload)
    }
}

/// Room for the claims of most tokens, so that they are written without moving.
const USUAL_BYTES: usize = 512;
