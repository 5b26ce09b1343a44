//! What a user allowed an application: remembered, so that nobody is asked twice, and taken back whenever the user wants.

use crate::{
    Engine,
    context::Context,
    event::{Actor, Event, EventKind},
    id::{ClientId, SessionId, UserId},
    ports::{Broken, End},
    reason::Reason,
    time::Time,
};

/// What a user allowed an application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consent {
    /// Who.
    pub user: UserId,
    /// Which application.
    pub client: ClientId,
    /// What, with a space between.
    pub scope: String,
    /// When, the last time.
    pub given_at: Time,
}

/// Remembers what a user allowed, together with what they allowed before.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn give(
    engine: &Engine,
    user: UserId,
    session: SessionId,
    client: &ClientId,
    scope: &str,
    context: &Context,
) -> Result<(), Broken> {
    let now = engine.now();
    let mut event = Event::new(EventKind::ConsentGiven, now, Actor::User, &*engine.random).user(user).session(session);
    event.client = Some(client.clone());
    let event = event.from(context).with("scope", scope);
    let consent = Consent { user, client: client.clone(), scope: scope.to_owned(), given_at: now };
    engine.store.give_consent(consent, event).await
}

/// Takes back what a user allowed; every grant of the application for this user ends. Whether there was anything.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn withdraw(engine: &Engine, user: UserId, client: &ClientId, actor: Actor) -> Result<bool, Broken> {
    let end = End { at: engine.now(), reason: Reason::ConsentRevoked, actor };
    let mut event = Event::new(EventKind::ConsentWithdrawn, end.at, end.actor, &*engine.random).user(user);
    event.client = Some(client.clone());
    engine.store.withdraw_consent(user, client.clone(), end, event).await
}
