//! Sessions: one sign-in on one device.
//!
//! A session is opened by `login.rs`. Its *own* grant carries its deadlines and slides them; the row here holds what does
//! not change while it lives. Listing and ending are here.

use crate::{
    Engine,
    context::Context,
    event::Actor,
    id::{GrantRef, SessionId, UserId},
    ports::{Broken, End, SessionFilter},
    reason::{Life, Reason},
    refresh::{Grant, GrantKind},
    time::{Seconds, Time},
};

/// One sign-in on one device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// Who signed in.
    pub user: UserId,
    /// Its own grant.
    pub grant: GrantRef,
    /// When it was opened.
    pub created_at: Time,
    /// When the user last proved who they are (OpenID Connect Core §2, `auth_time`).
    pub auth_time: Time,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// What the user or the application calls the device.
    pub device: Option<String>,
    /// Where it was opened.
    pub context: Context,
    /// Whether it lives; its grant's deadlines aside.
    pub life: Life,
}

/// A session with its own grant, as lists show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRecord {
    /// The session.
    pub session: Session,
    /// Its own grant.
    pub grant: Grant,
    /// The first identifier of its user, `None` where the user is gone.
    pub identifier: Option<String>,
}

/// How long grants of each kind live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetimes {
    /// Of cookies.
    pub browser: Lifetime,
    /// Of tokens in bodies.
    pub native: Lifetime,
    /// Of grants that outlive the session.
    pub offline: Lifetime,
}

/// The two lifetimes of a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetime {
    /// Slides.
    pub idle: Seconds,
    /// Does not; `None` for no end.
    pub absolute: Option<Seconds>,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            browser: Lifetime { idle: Seconds::days(7), absolute: Some(Seconds::days(30)) },
            native: Lifetime { idle: Seconds::days(90), absolute: Some(Seconds::days(365)) },
            offline: Lifetime { idle: Seconds::days(90), absolute: None },
        }
    }
}

impl Lifetimes {
    /// Of grants of `kind`.
    #[must_use]
    pub const fn of(&self, kind: GrantKind) -> Lifetime {
        match kind {
            GrantKind::Cookie | GrantKind::TransientCookie | GrantKind::Browser => self.browser,
            GrantKind::Native => self.native,
            GrantKind::Offline => self.offline,
        }
    }
}

impl SessionRecord {
    /// Whether it can be used at `now`; a passed deadline counts although nobody has written it yet.
    #[must_use]
    pub fn life_at(&self, engine: &Engine, now: Time) -> Life {
        if let Life::Ended { .. } = self.session.life {
            return self.session.life;
        }
        let policy = engine.settings.policy(self.grant.kind);
        match self.grant.expired(&policy, now) {
            Some((reason, at)) => Life::Ended { at, reason },
            None => Life::Alive,
        }
    }
}

/// The live sessions of `user`, newest first.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn devices(engine: &Engine, user: UserId) -> Result<Vec<SessionRecord>, Broken> {
    let now = engine.now();
    let filter = SessionFilter { user: Some(user), after: None, limit: 1000, ended: false };
    let mut records = engine.store.sessions(filter).await?;
    records.retain(|record| record.life_at(engine, now).is_alive());
    Ok(records)
}

/// A live session of `user`, if `id` is one.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn alive(engine: &Engine, user: UserId, id: SessionId) -> Result<Option<SessionRecord>, Broken> {
    let now = engine.now();
    let record = engine.store.session_of_user(user, id).await?;
    Ok(record.filter(|record| record.session.user == user && record.life_at(engine, now).is_alive()))
}

/// Ends `id` with all its grants. `owner` restricts it to a session of that user. Whether there was one to end.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn end(
    engine: &Engine,
    id: SessionId,
    owner: Option<UserId>,
    reason: Reason,
    actor: Actor,
) -> Result<bool, Broken> {
    engine.store.end_session(id, owner, End { at: engine.now(), reason, actor }).await
}

/// Ends the sessions of `user`, but for `except`. How many.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn end_all(
    engine: &Engine,
    user: UserId,
    except: Option<SessionId>,
    reason: Reason,
    actor: Actor,
) -> Result<u64, Broken> {
    engine.store.end_sessions(user, except, End { at: engine.now(), reason, actor }).await
}
