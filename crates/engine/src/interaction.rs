//! A request of an application that waits while a person signs in or consents. It travels with the person, in the address of the
//! page, sealed: so nothing has to be kept for strangers who only ever begin.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    Engine,
    authorize::Done,
    id::SessionId,
    time::{Seconds, Time},
};

/// How long somebody may take.
const LIFETIME: Seconds = Seconds::HOUR;
/// The longest that is looked at, in bytes.
const LONGEST: usize = 12 * 1024;

/// What waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interaction {
    /// What for.
    #[serde(rename = "k")]
    pub kind: Kind,
    /// The request's parameters, as a query.
    #[serde(rename = "q")]
    pub query: String,
    #[serde(rename = "t")]
    began: i64,
    #[serde(rename = "l", skip_serializing_if = "Option::is_none", default)]
    login: Option<SessionId>,
    #[serde(rename = "c", skip_serializing_if = "Option::is_none", default)]
    consent: Option<SessionId>,
}

/// What waits for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// A request at the authorization endpoint.
    #[serde(rename = "a")]
    Authorize,
    /// A person at the page for devices: the code that they typed.
    #[serde(rename = "d")]
    Device,
    /// A request at the logout endpoint.
    #[serde(rename = "o")]
    Logout,
}

impl Interaction {
    /// Of a request that has just come.
    #[must_use]
    pub fn new(kind: Kind, query: String, now: Time) -> Self {
        Self { kind, query, began: now.millis(), login: None, consent: None }
    }

    /// What the person has done for it.
    #[must_use]
    pub fn done(&self) -> Done {
        Done { login: self.login, consent: self.consent }
    }

    /// After they signed in, with this session.
    #[must_use]
    pub fn signed_in(self, session: SessionId) -> Self {
        Self { login: Some(session), consent: None, ..self }
    }

    /// After they consented.
    #[must_use]
    pub fn consented(self, session: SessionId) -> Self {
        Self { consent: Some(session), ..self }
    }

    /// As it travels.
    #[must_use]
    pub fn seal(&self, engine: &Engine) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mac = engine.digests.interaction(&json);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(mac))
    }

    /// Reads one that we sealed and that is not too old. The MAC is compared before anything is read.
    #[must_use]
    pub fn open(engine: &Engine, text: &str, kind: Kind) -> Option<Self> {
        Self::open_any(engine, text).filter(|open| open.kind == kind)
    }

    /// The same, of whatever kind.
    #[must_use]
    pub fn open_any(engine: &Engine, text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (json, mac) = text.split_once('.')?;
        let (json, mac) = (URL_SAFE_NO_PAD.decode(json).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
        let expected = engine.digests.interaction(&json);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, &mac).ok()?;
        let open: Self = serde_json::from_slice(&json).ok()?;
        let began = Time::from_millis(open.began);
        let now = engine.now();
        (now < began.plus(LIFETIME)).then_some(open)
    }
}
