//! Lists, a page at a time: the documents are those of the whole lists. What a page ends with is where the next one begins.

use std::str::FromStr;

use regrant_engine::{
    Engine,
    id::{ClientId, EventId, GrantRef, UserId},
    ports::{Access, SessionFilter, TimelineOf},
    refresh::{Grant, GrantKind},
    time::{AbsoluteDeadline, Time},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Refused, client, resource, session, user};

/// Which part of a list.
pub(crate) struct Part {
    /// What comes after this one; the beginning without.
    pub(crate) after: Option<String>,
    /// At most so many.
    pub(crate) limit: u32,
}

/// A part of a list.
pub(crate) struct Page {
    /// Documents.
    pub(crate) items: Vec<Value>,
    /// What the next part comes after, if there is one.
    pub(crate) next: Option<String>,
}

/// Grants and consents of one user that are looked at.
const MOST_GRANTS: u32 = 1000;
/// Events of one session or user that are looked at: the newest.
const MOST_EVENTS: u32 = 10_000;

impl Part {
    /// The place where it begins.
    fn after<T: FromStr>(&self) -> Result<Option<T>, Refused> {
        let wrong = |_| Refused::Usage("this page does not begin where another one of the same list ended".to_owned());
        self.after.as_deref().map(str::parse).transpose().map_err(wrong)
    }

    /// One more than fits tells that there is a next page.
    fn looked_at(&self) -> u32 {
        self.limit.saturating_add(1)
    }

    /// Of things that come one more than fit, each with its place.
    fn page(&self, mut things: Vec<(String, Value)>) -> Page {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let is_more = things.len() > limit;
        things.truncate(limit);
        let next = things.last().map(|(place, _)| place.clone()).filter(|_| is_more);
        Page { items: things.into_iter().map(|(_, document)| document).collect(), next }
    }

    /// Of all things there are, in the order of their places.
    fn of_all(&self, mut things: Vec<(String, Value)>) -> Page {
        if let Some(after) = &self.after {
            things.retain(|(place, _)| place > after);
        }
        self.page(things)
    }
}

fn document(view: impl Serialize) -> Result<Value, Refused> {
    serde_json::to_value(view).map_err(|error| Refused::Broken(error.to_string()))
}

/// Users, in the order of their creation.
pub(crate) async fn users(engine: &Engine, part: &Part) -> Result<Page, Refused> {
    let users = engine.store.users(part.after::<UserId>()?, part.looked_at()).await?;
    let views = users.into_iter().map(|user| Ok((user.id.to_string(), document(user::View::of(user))?)));
    Ok(part.page(views.collect::<Result<_, Refused>>()?))
}

/// Roles, by their names.
pub(crate) async fn roles(engine: &Engine, part: &Part) -> Result<Page, Refused> {
    let views = user::role_views(engine).await?.into_iter().map(|role| Ok((role.name.clone(), document(role)?)));
    Ok(part.of_all(views.collect::<Result<_, Refused>>()?))
}

/// One role.
pub(crate) async fn role(engine: &Engine, name: &str) -> Result<Value, Refused> {
    let found = user::role_views(engine).await?.into_iter().find(|role| role.name == name);
    document(found.ok_or_else(|| Refused::NotFound("there is no such role".to_owned()))?)
}

/// Clients, by their ids.
pub(crate) async fn clients(engine: &Engine, part: &Part) -> Result<Page, Refused> {
    let clients = engine.store.clients().await?;
    let views = clients.iter().map(|known| Ok((known.id.0.to_string(), document(client::View::of(known, None))?)));
    Ok(part.of_all(views.collect::<Result<_, Refused>>()?))
}

/// Resources, by their ids.
pub(crate) async fn resources(engine: &Engine, part: &Part) -> Result<Page, Refused> {
    let mut resources = engine.store.resources().await?;
    resources.sort_by(|one, other| one.id.cmp(&other.id));
    let views = resources.iter().map(|known| Ok((known.id.clone(), document(resource::View::of(known))?)));
    Ok(part.of_all(views.collect::<Result<_, Refused>>()?))
}

/// Sessions, the newest first; without `ended`, those that live.
pub(crate) async fn sessions(engine: &Engine, user: Option<UserId>, ended: bool, part: &Part) -> Result<Page, Refused> {
    let filter = SessionFilter { user, after: part.after()?, limit: part.looked_at(), ended };
    let now = engine.now();
    let records = engine.store.sessions(filter).await?;
    let views = records
        .into_iter()
        .map(|record| Ok((record.session.id.to_string(), document(session::View::of(engine, record, now))?)));
    let mut page = part.page(views.collect::<Result<_, Refused>>()?);
    // A deadline that has passed is an end, although nobody has written it yet; the page is the shorter for it.
    page.items.retain(|view| ended || view.get("state").is_some_and(|state| state == "alive"));
    Ok(page)
}

#[derive(Serialize)]
struct GrantView {
    id: GrantRef,
    user_id: UserId,
    client_id: ClientId,
    session_id: Option<regrant_engine::id::SessionId>,
    kind: GrantKindName,
    scope: String,
    audience: String,
    generation: u32,
    issued_at: Time,
    last_used_at: Time,
    idle_expires_at: Time,
    absolute_expires_at: Option<Time>,
}

struct GrantKindName(GrantKind);

impl Serialize for GrantKindName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

fn grant_view(grant: Grant) -> GrantView {
    GrantView {
        id: grant.public_id,
        user_id: grant.user,
        client_id: grant.client,
        session_id: grant.session,
        kind: GrantKindName(grant.kind),
        scope: (*grant.scope).to_owned(),
        audience: (*grant.audience).to_owned(),
        generation: grant.generation.0,
        issued_at: grant.issued_at,
        last_used_at: grant.rotated_at,
        idle_expires_at: grant.idle.0,
        absolute_expires_at: Some(grant.absolute).filter(|at| *at != AbsoluteDeadline::NEVER).map(|at| at.0),
    }
}

/// The grants of a user that applications hold and nobody has ended, the oldest first.
pub(crate) async fn grants(engine: &Engine, user: UserId, client: Option<&str>, part: &Part) -> Result<Page, Refused> {
    let Access { grants, .. } = engine.store.access(user, MOST_GRANTS).await?;
    let grants = grants.into_iter().map(|loaded| loaded.state.grant);
    let wanted = grants.filter(|grant| client.is_none_or(|client| *grant.client.0 == *client));
    let mut views = wanted
        .map(|grant| Ok((grant.public_id.to_string(), document(grant_view(grant))?)))
        .collect::<Result<Vec<_>, Refused>>()?;
    views.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(part.of_all(views))
}

/// What a user allowed applications, by their ids.
pub(crate) async fn consents(engine: &Engine, user: UserId, part: &Part) -> Result<Page, Refused> {
    let Access { consents, .. } = engine.store.access(user, 0).await?;
    let views = consents.into_iter().map(|consent| {
        let document = json!({
            "user_id": consent.user,
            "client_id": consent.client,
            "scope": consent.scope,
            "given_at": consent.given_at,
        });
        (consent.client.into(), document)
    });
    Ok(part.of_all(views.collect()))
}

/// A timeline, the newest first.
pub(crate) async fn events(engine: &Engine, of: TimelineOf, part: &Part) -> Result<Page, Refused> {
    let mut events = engine.store.timeline(of, MOST_EVENTS).await?;
    events.reverse();
    if let Some(after) = part.after::<EventId>()? {
        events.retain(|event| event.id.as_bytes() < after.as_bytes());
    }
    events.truncate(usize::try_from(part.looked_at()).unwrap_or(usize::MAX));
    let views = events.into_iter().map(|event| Ok((event.id.to_string(), document(event)?)));
    Ok(part.page(views.collect::<Result<_, Refused>>()?))
}
