//! Why is somebody signed out? `regrant explain` asks here: state, deadlines, timeline.

use serde::Serialize;

use crate::{
    Engine,
    event::Event,
    id::{ClientId, EventId, Generation, GrantRef, SessionId, UserId},
    ports::{Broken, Judge, Loaded, TimelineOf, UserSelector, Verdict, Wanted},
    reason::{Life, Reason},
    refresh::{Attempt, Decision, Grant, GrantKind, Holding, Risk, Terms, decide},
    session::SessionRecord,
    time::{AbsoluteDeadline, Time},
    token::{Endpoint, Stopped},
};

/// How many of the newest events are told.
const TIMELINE: u32 = 500;

/// What is known of one session or user.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation {
    /// What was asked about.
    pub subject: Subject,
    /// The session, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionFacts>,
    /// The application's grant, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantFacts>,
    /// The user.
    pub user: Option<UserId>,
    /// What the user signs in with.
    pub identifier: Option<String>,
    /// `alive` or `ended`; `recorded` for an event that concerns no session and no user.
    pub state: &'static str,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<&'static str>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// What happened, oldest first.
    pub timeline: Vec<Event>,
}

/// What was asked about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// A session, by its id.
    Session {
        /// The id.
        id: SessionId,
    },
    /// A grant, by its public id.
    Grant {
        /// The id.
        id: GrantRef,
    },
    /// A user, by its id.
    User {
        /// The id.
        id: UserId,
    },
    /// A line of the timeline.
    Event {
        /// The id.
        id: EventId,
    },
    /// A refresh token.
    RefreshToken {
        /// The generation that it carries.
        generation: u32,
        /// Where that stands: `newest`, `predecessor`, `old`, or `ahead` of what the store knows.
        standing: &'static str,
    },
    /// An access token.
    AccessToken,
}

/// A session's deadlines and place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SessionFacts {
    /// Its id.
    pub id: SessionId,
    /// Its own grant.
    pub grant: GrantRef,
    /// The newest generation.
    pub generation: u32,
    /// How its token travels.
    pub delivery: &'static str,
    /// What the device is called.
    pub device: Option<String>,
    /// When the user signed in.
    pub created_at: Time,
    /// When its token was last renewed.
    pub last_used_at: Time,
    /// When it ends if it is not used.
    pub idle_expires_at: Time,
    /// When it ends whatever happens.
    pub absolute_expires_at: Option<Time>,
    /// What its replays add up to, of 3.
    pub points: u8,
}

/// What an application was granted, and until when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GrantFacts {
    /// Its id.
    pub id: GrantRef,
    /// Whose client holds it.
    pub client: ClientId,
    /// What the holder may ask for.
    pub scope: String,
    /// The newest generation.
    pub generation: u32,
    /// What lifetimes it has.
    pub kind: GrantKind,
    /// When it was issued.
    pub issued_at: Time,
    /// When its token was last renewed.
    pub last_used_at: Time,
    /// When it ends if it is not used.
    pub idle_expires_at: Time,
    /// When it ends whatever happens.
    pub absolute_expires_at: Option<Time>,
    /// What its replays add up to, of 3.
    pub points: u8,
}

impl From<&Grant> for GrantFacts {
    fn from(grant: &Grant) -> Self {
        Self {
            id: grant.public_id,
            client: grant.client.clone(),
            scope: (*grant.scope).to_owned(),
            generation: grant.generation.0,
            kind: grant.kind,
            issued_at: grant.issued_at,
            last_used_at: grant.rotated_at,
            idle_expires_at: grant.idle.0,
            absolute_expires_at: (grant.absolute != AbsoluteDeadline::NEVER).then_some(grant.absolute.0),
            points: grant.suspicion.points,
        }
    }
}

/// Why there is no explanation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unexplained {
    /// The text is neither an id nor a token of ours.
    NotOurs,
    /// It is, but nothing is known of it (any more).
    NotFound,
}

/// Explains `text`: an id (`ses_`, `grt_`, `usr_`, `evt_`), a refresh token or an access token. Only reads: explaining a
/// token is no use of it.
///
/// # Errors
/// [`Broken`] if the store is.
pub async fn explain(engine: &Engine, text: &str) -> Result<Result<Explanation, Unexplained>, Broken> {
    let text = text.trim();
    if text.starts_with(crate::token::PREFIX) {
        return refresh_token(engine, text).await;
    }
    if let Ok(id) = text.parse::<SessionId>() {
        let record = engine.store.session(id).await?;
        return of_session(engine, Subject::Session { id }, record, TimelineOf::Session(id)).await;
    }
    if let Ok(id) = text.parse::<GrantRef>() {
        if let Some(loaded) = engine.store.grant(id).await?.filter(is_of_application) {
            return of_grant(engine, Subject::Grant { id }, loaded).await;
        }
        let record = engine.store.session_of(id).await?;
        return of_session(engine, Subject::Grant { id }, record, TimelineOf::Grant(id)).await;
    }
    if let Ok(id) = text.parse::<UserId>() {
        return of_user(engine, id).await;
    }
    if let Ok(id) = text.parse::<EventId>() {
        return of_event(engine, id).await;
    }
    match engine.mint.session_named_by(text) {
        Some(id) => {
            let record = engine.store.session(id).await?;
            of_session(engine, Subject::AccessToken, record, TimelineOf::Session(id)).await
        }
        None => Ok(Err(Unexplained::NotOurs)),
    }
}

async fn refresh_token(engine: &Engine, text: &str) -> Result<Result<Explanation, Unexplained>, Broken> {
    let opened = [Endpoint::Session, Endpoint::OAuth].map(|endpoint| engine.refresh_keys.open(endpoint, text));
    if opened.contains(&Err(Stopped::Unavailable)) {
        return Ok(Err(Unexplained::NotFound));
    }
    let Some(presented) = opened.into_iter().find_map(Result::ok) else {
        return Ok(Err(Unexplained::NotOurs));
    };
    if presented.endpoint == Endpoint::OAuth {
        let read: Judge = Box::new(|loaded| Verdict {
            decision: Decision::Unknown,
            loaded: loaded.cloned().map(Box::new),
            write: false,
            ends: None,
            renewed: None,
            events: vec![],
            mail: None,
        });
        let Some(loaded) = engine.store.refresh(presented.grant, Wanted::Roles, read).await?.loaded else {
            return Ok(Err(Unexplained::NotFound));
        };
        let grant = &loaded.state.grant;
        if !engine.refresh_keys.is_genuine(&presented, &grant.salt) {
            return Ok(Err(Unexplained::NotOurs));
        }
        let standing = standing(presented.generation, grant.generation);
        let subject = Subject::RefreshToken { generation: presented.generation.0, standing };
        return of_grant(engine, subject, *loaded).await;
    }
    let Some(record) = engine.store.session_by_secret(presented.grant).await? else {
        return Ok(Err(Unexplained::NotFound));
    };
    // A gate alone is 64 bits; what an operator acts on is the whole MAC.
    if !engine.refresh_keys.is_genuine(&presented, &record.grant.salt) {
        return Ok(Err(Unexplained::NotOurs));
    }
    let standing = standing(presented.generation, record.grant.generation);
    let subject = Subject::RefreshToken { generation: presented.generation.0, standing };
    let timeline = TimelineOf::Session(record.session.id);
    of_session(engine, subject, Some(record), timeline).await
}

fn standing(presented: Generation, newest: Generation) -> &'static str {
    match presented.cmp(&newest) {
        std::cmp::Ordering::Equal => "newest",
        std::cmp::Ordering::Greater => "ahead",
        std::cmp::Ordering::Less if presented.next() == Some(newest) => "predecessor",
        std::cmp::Ordering::Less => "old",
    }
}

/// Whether an application holds it, and not the session itself.
fn is_of_application(loaded: &Loaded) -> bool {
    loaded.state.grant.endpoint == Endpoint::OAuth
}

/// A grant of an application: what the table would say of its newest token now.
async fn of_grant(
    engine: &Engine,
    subject: Subject,
    loaded: Loaded,
) -> Result<Result<Explanation, Unexplained>, Broken> {
    let Loaded { state, facts } = loaded;
    let (grant, now) = (&state.grant, engine.now());
    let terms = engine.client(&grant.client).await?.map(|client| Terms::of(&client)).unwrap_or_default();
    let policy = terms.policy(engine, grant.kind);
    let newest = Attempt {
        generation: grant.generation,
        genuine: true,
        endpoint: grant.endpoint,
        client: grant.client.clone(),
        proof: match grant.holding {
            Holding::Bound { key, .. } => Some(key),
            Holding::Bearer | Holding::ClientBound => None,
        },
        asks_for_more: false,
        peek: true,
        context: grant.context.clone(),
        risk: Risk::Low,
    };
    let reason = match decide(Some(&state), &newest, &policy, now) {
        Decision::Ended(reason) => Some(reason),
        _ => None,
    };
    let ended_at = match grant.life {
        Life::Ended { at, .. } => Some(at),
        Life::Alive => grant.expired(&policy, now).map(|(_, at)| at),
    };
    let timeline = engine.store.timeline(TimelineOf::Grant(grant.public_id), TIMELINE).await?;
    Ok(Ok(Explanation {
        subject,
        session: None,
        grant: Some(GrantFacts::from(grant)),
        user: Some(grant.user),
        identifier: facts.identifier.clone(),
        state: if reason.is_none() { "alive" } else { "ended" },
        reason,
        because: reason.map(Reason::sentence),
        ended_at,
        timeline,
    }))
}

async fn of_session(
    engine: &Engine,
    subject: Subject,
    record: Option<SessionRecord>,
    timeline: TimelineOf,
) -> Result<Result<Explanation, Unexplained>, Broken> {
    let timeline = engine.store.timeline(timeline, TIMELINE).await?;
    let Some(record) = record else {
        // The row is past its retention; what the timeline still knows is better than nothing.
        let Some(last) = timeline.last() else {
            return Ok(Err(Unexplained::NotFound));
        };
        let (user, ended) = (last.user, timeline.iter().rev().find(|event| event.reason.is_some()));
        let (reason, ended_at) = (ended.and_then(|event| event.reason), ended.map(|event| event.at));
        let because = reason.map(Reason::sentence);
        let explanation = Explanation {
            subject,
            session: None,
            grant: None,
            user,
            identifier: None,
            state: "ended",
            reason,
            because,
            ended_at,
            timeline,
        };
        return Ok(Ok(explanation));
    };
    let life = record.life_at(engine, engine.now());
    let SessionRecord { session, grant, identifier } = record;
    let (reason, ended_at) = match life {
        Life::Alive => (None, None),
        Life::Ended { at, reason } => (Some(reason), Some(at)),
    };
    Ok(Ok(Explanation {
        subject,
        user: Some(session.user),
        identifier,
        state: if life.is_alive() { "alive" } else { "ended" },
        reason,
        because: reason.map(Reason::sentence),
        ended_at,
        grant: None,
        session: Some(SessionFacts {
            id: session.id,
            grant: grant.public_id,
            generation: grant.generation.0,
            delivery: grant.kind.as_str(),
            device: session.device,
            created_at: session.created_at,
            last_used_at: grant.rotated_at,
            idle_expires_at: grant.idle.0,
            absolute_expires_at: Some(grant.absolute).filter(|at| *at != AbsoluteDeadline::NEVER).map(|at| at.0),
            points: grant.suspicion.points,
        }),
        timeline,
    }))
}

async fn of_user(engine: &Engine, id: UserId) -> Result<Result<Explanation, Unexplained>, Broken> {
    let timeline = engine.store.timeline(TimelineOf::User(id), TIMELINE).await?;
    let user = engine.store.user(UserSelector::Id(id)).await?;
    if user.is_none() && timeline.is_empty() {
        return Ok(Err(Unexplained::NotFound));
    }
    let disabled_at = user.as_ref().and_then(|user| user.disabled_at);
    let reason = match &user {
        None => Some(Reason::UserDeleted),
        Some(_) => disabled_at.map(|_| Reason::UserDisabled),
    };
    Ok(Ok(Explanation {
        subject: Subject::User { id },
        session: None,
        grant: None,
        user: Some(id),
        identifier: user.and_then(|user| user.identifiers.into_iter().next()).map(|known| known.shown),
        state: if reason.is_none() { "alive" } else { "ended" },
        reason,
        because: reason.map(Reason::sentence),
        ended_at: disabled_at,
        timeline,
    }))
}

async fn of_event(engine: &Engine, id: EventId) -> Result<Result<Explanation, Unexplained>, Broken> {
    let Some(event) = engine.store.event(id).await? else {
        return Ok(Err(Unexplained::NotFound));
    };
    match (event.session, event.user) {
        (Some(session), _) => {
            let record = engine.store.session(session).await?;
            of_session(engine, Subject::Event { id }, record, TimelineOf::Session(session)).await
        }
        (None, Some(user)) => of_user(engine, user).await,
        // A key's event, say: it concerns nobody, and is all there is to tell.
        (None, None) => Ok(Ok(Explanation {
            subject: Subject::Event { id },
            session: None,
            grant: None,
            user: None,
            identifier: None,
            state: "recorded",
            reason: event.reason,
            because: event.reason.map(Reason::sentence),
            ended_at: None,
            timeline: vec![event],
        })),
    }
}
