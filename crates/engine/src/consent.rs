//! What a user allowed an application: remembered, so that nobody is asked twice, and taken back whenever the user wants.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Engine,
    client::Client,
    context::Context,
    event::{Actor, Event, EventKind},
    id::{ClientId, SessionId, UserId},
    ports::{Access, Broken, End, Loaded},
    reason::Reason,
    refresh::Terms,
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

/// An application with access to a user's account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Application {
    /// Which.
    pub client: Arc<Client>,
    /// What it may do: what was allowed, or, where nobody was asked, what it has.
    pub scope: String,
    /// Since when: the newest consent, or the oldest of its grants.
    pub since: Time,
    /// When it last renewed a token, if it has any.
    pub last_used_at: Option<Time>,
    /// It has tokens that end with the session.
    pub online: bool,
    /// It has tokens that outlive the session.
    pub offline: bool,
}

/// Grants that are looked at for the list. Nobody has so many that live.
const MOST_GRANTS: u32 = 200;

/// The applications that a user has allowed something, and those that have living tokens of the user; by their ids.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn applications(engine: &Engine, user: UserId) -> Result<Vec<Application>, Broken> {
    let Access { consents, grants } = engine.store.access(user, MOST_GRANTS).await?;
    let now = engine.now();
    let mut grants_of: BTreeMap<ClientId, Vec<Loaded>> = BTreeMap::new();
    for loaded in grants {
        grants_of.entry(loaded.state.grant.client.clone()).or_default().push(loaded);
    }
    let mut consent_of: BTreeMap<ClientId, Consent> =
        consents.into_iter().map(|consent| (consent.client.clone(), consent)).collect();
    let mut ids: Vec<ClientId> = consent_of.keys().chain(grants_of.keys()).cloned().collect();
    ids.sort();
    ids.dedup();
    let mut applications = Vec::new();
    for id in ids {
        let Some(client) = engine.client(&id).await? else { continue };
        let terms = Terms::of(&client);
        let mut grants = grants_of.remove(&id).unwrap_or_default();
        // A deadline that passed is an end, although nobody has written it yet.
        grants.retain(|Loaded { state, .. }| {
            let is_over = state.grant.expired(&terms.policy(engine, state.grant.kind), now).is_some();
            !is_over && state.session_until.is_none_or(|until| now < until)
        });
        let consent = consent_of.remove(&id);
        let issued = grants.iter().map(|loaded| loaded.state.grant.issued_at).min();
        let Some(since) = consent.as_ref().map(|consent| consent.given_at).or(issued) else { continue };
        applications.push(Application {
            client,
            scope: consent.map_or_else(|| all_of(&grants), |consent| consent.scope),
            since,
            last_used_at: grants.iter().map(|loaded| loaded.state.grant.rotated_at).max(),
            online: grants.iter().any(|loaded| loaded.state.grant.session.is_some()),
            offline: grants.iter().any(|loaded| loaded.state.grant.session.is_none()),
        });
    }
    Ok(applications)
}

/// The scopes of all grants, each once.
fn all_of(grants: &[Loaded]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in grants.iter().flat_map(|loaded| loaded.state.grant.scope.split(' ')).filter(|part| !part.is_empty()) {
        if !kept.contains(&part) {
            kept.push(part);
        }
    }
    kept.join(" ")
}
