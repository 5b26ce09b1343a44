//! `/account`: whoever is signed in at the provider sees their devices, the applications with access and what happened lately, ends
//! what they like, and changes their password.
//!
//! 1. One path. `?view=` asks for a part of it; whatever ends something is asked about there, once, and then posted.
//! 2. A post comes from our own pages, is answered by 303, and its result stands on the page that follows.
//! 3. Nothing tells more of other devices than `GET /sessions` does: when they renewed is told by the hour, and not while the hour
//!    runs. To the second, whoever reads along with a copied token would learn whether its holder is ahead.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use regrant_engine::{
    consent,
    event::{Actor, EventKind, Origin},
    explain,
    id::{ClientId, SessionId, UserId},
    password_change::{self, ChangedOnPage},
    ports::{Broken, TimelineOf},
    reason::Reason,
    session::{self, SessionRecord},
    single_sign_on::{self, SignedIn},
    user::PasswordRefused,
};

use super::{App, Shared, authorize::see_other, caller::Peer, parameters::Parameters, protocol_error::page::Told};
use crate::{
    pages::{
        self, Look, Page,
        account::{Access, Activity, Device, Done, History, Mistake, Overview, PATH, Password, Question},
    },
    timeline::Timeline,
};

/// Events that are read for the list of what happened lately, and those that are told.
const EVENTS: u32 = 300;
/// See above.
const TOLD: usize = 20;

/// `GET /account`
pub(super) async fn show(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Told> {
    let asked = Parameters::parse(&query.unwrap_or_default())?;
    let Some(signed_in) = app.signed_in(&headers).await? else {
        return Ok(see_other("/login"));
    };
    single_sign_on::touch(&app.engine, &signed_in).await?;
    let look = app.look(&headers, asked.get("ui_locales"));
    let page = |page: &Page<'_>| Ok(pages::respond(StatusCode::OK, page, look, None));
    match asked.get("view") {
        Some("password") => {
            let form =
                Password { user: name(&signed_in), shortest: app.engine.settings.passwords.shortest, problem: None };
            page(&Page::AccountPassword(&form))
        }
        Some("end-others") => page(&Page::AccountQuestion(&Question::EndOthers)),
        Some("end") => match device(&app, &signed_in, asked.get("session")).await? {
            Some(device) => page(&Page::AccountQuestion(&Question::End(device))),
            None => Ok(done(Done::Gone)),
        },
        Some("withdraw") => {
            let applications = consent::applications(&app.engine, user(&signed_in)).await?;
            let found = applications.into_iter().find(|found| Some(&*found.client.id.0) == asked.get("client"));
            match found {
                Some(found) => {
                    let name = found.client.shown_name().to_owned();
                    page(&Page::AccountQuestion(&Question::Withdraw { client: found.client.id.0.to_string(), name }))
                }
                None => Ok(done(Done::Gone)),
            }
        }
        Some("history") => match history(&app, &signed_in, asked.get("session"), look).await? {
            Some(history) => page(&Page::AccountHistory(&history)),
            None => Ok(done(Done::Gone)),
        },
        _ => {
            // Another site's link must not have us say that something was done.
            let done = asked.get("done").filter(|_| app.origins.check(&headers).is_ok());
            page(&Page::Account(&overview(&app, &signed_in, done, look).await?))
        }
    }
}

/// `POST /account`
pub(super) async fn act(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    // Another site must not end or change anything. (It does not get the cookie sent, either.)
    app.origins.check(&headers)?;
    let posted = Parameters::read(&headers, body).await?;
    let Some(signed_in) = app.signed_in(&headers).await? else {
        return Ok(see_other("/login"));
    };
    let (engine, user) = (&app.engine, user(&signed_in));
    let current = signed_in.record.session.id;
    match posted.get("action") {
        Some("end") => {
            let Some(id) = posted.get("session").and_then(|id| id.parse::<SessionId>().ok()) else {
                return Ok(done(Done::Gone));
            };
            if id == current {
                return Ok(see_other("/logout"));
            }
            let ended = session::end(engine, id, Some(user), Reason::RevokedByUser, Actor::User).await?;
            Ok(done(if ended { Done::Ended } else { Done::Gone }))
        }
        Some("end-others") => {
            session::end_all(engine, user, Some(current), Reason::RevokedByUser, Actor::User).await?;
            Ok(done(Done::EndedOthers))
        }
        Some("withdraw") => {
            let client = ClientId::from(posted.get("client").unwrap_or_default());
            let withdrawn = consent::withdraw(engine, user, &client, Actor::User).await?;
            Ok(done(if withdrawn { Done::Withdrawn } else { Done::Gone }))
        }
        Some("password") => change_password(&app, &peer, &headers, &signed_in, &posted).await,
        _ => Err(Told::Over),
    }
}

/// Changes the password; the current one proves once more who it is.
async fn change_password(
    app: &App,
    peer: &Peer,
    headers: &HeaderMap,
    signed_in: &SignedIn,
    posted: &Parameters,
) -> Result<Response, Told> {
    let look = app.look(headers, None);
    let words = look.words;
    let context = app.context(peer, headers);
    let (current, new) = (posted.get("current").unwrap_or_default(), posted.get("new").unwrap_or_default());
    let changed = password_change::change_on_page(&app.engine, signed_in, context, current, new).await?;
    let mut retry_after = None;
    let (status, mistake) = match changed {
        ChangedOnPage::Done { reference, until } => {
            let mut response = done(Done::Password);
            response.headers_mut().extend(app.keep_sign_in(&reference, until));
            return Ok(response);
        }
        ChangedOnPage::Over => return Ok(see_other("/login")),
        ChangedOnPage::Wrong => (StatusCode::FORBIDDEN, Mistake::Current(words.account.password_wrong.to_owned())),
        ChangedOnPage::Refused(PasswordRefused::Weak(weakness)) => {
            (StatusCode::BAD_REQUEST, Mistake::New((words.account.weakness)(weakness)))
        }
        ChangedOnPage::Refused(PasswordRefused::Busy) => {
            retry_after = Some(1);
            (StatusCode::SERVICE_UNAVAILABLE, Mistake::Current(words.is_busy()))
        }
        ChangedOnPage::Limited(after) => {
            retry_after = Some(after.0);
            (StatusCode::TOO_MANY_REQUESTS, Mistake::Current(words.is_limited(after)))
        }
    };
    let shortest = app.engine.settings.passwords.shortest;
    let form = Password { user: name(signed_in), shortest, problem: Some(mistake) };
    let mut response = pages::respond(status, &Page::AccountPassword(&form), look, None);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

fn done(done: Done) -> Response {
    let name = Done::ALL.into_iter().find(|(_, known)| *known == done).map_or("", |(name, _)| name);
    see_other(&format!("{PATH}?done={name}"))
}

fn user(signed_in: &SignedIn) -> UserId {
    signed_in.record.session.user
}

fn name(signed_in: &SignedIn) -> String {
    signed_in.record.identifier.clone().unwrap_or_default()
}

fn of_record(record: SessionRecord, current: SessionId) -> Device {
    let SessionRecord { session, grant, .. } = record;
    Device {
        id: session.id.to_string(),
        name: session.device,
        program: grant.context.user_agent.as_str().to_owned(),
        network: grant.context.prefix.to_string(),
        signed_in_at: session.created_at,
        last_used_at: grant.rotated_at.hour(),
        is_current: session.id == current,
    }
}

/// One of the user's devices. Somebody else's, and one that never was, are told alike.
async fn device(app: &App, signed_in: &SignedIn, id: Option<&str>) -> Result<Option<Device>, Broken> {
    let Some(id) = id.and_then(|id| id.parse::<SessionId>().ok()) else { return Ok(None) };
    let record = session::alive(&app.engine, user(signed_in), id).await?;
    Ok(record.map(|record| of_record(record, signed_in.record.session.id)))
}

async fn overview(app: &App, signed_in: &SignedIn, done: Option<&str>, look: Look<'_>) -> Result<Overview, Broken> {
    let (user, current) = (user(signed_in), signed_in.record.session.id);
    let mut devices: Vec<Device> =
        session::devices(&app.engine, user).await?.into_iter().map(|record| of_record(record, current)).collect();
    // This one first; the others stay newest first.
    devices.sort_by_key(|device| !device.is_current);
    let applications = consent::applications(&app.engine, user).await?;
    let registry = app.engine.registry().await?;
    let applications = applications.into_iter().map(|found| Access {
        described: found.scope.split(' ').filter_map(|part| registry.allowed_in_words(part)).collect(),
        id: found.client.id.0.to_string(),
        name: found.client.shown_name().to_owned(),
        scope: found.scope,
        since: found.since,
        offline: found.offline,
    });
    Ok(Overview {
        user: name(signed_in),
        now: app.engine.now(),
        devices,
        applications: applications.collect(),
        activity: activity(app, user, look).await?,
        done: Done::ALL.into_iter().find(|(known, _)| Some(*known) == done).map(|(_, done)| done),
    })
}

/// What happened to a user lately, newest first.
async fn activity(app: &App, user: UserId, look: Look<'_>) -> Result<Vec<Activity>, Broken> {
    let words = &look.words.account;
    let mut names: BTreeMap<ClientId, String> = BTreeMap::new();
    let (mut told, mut failed) = (Vec::new(), false);
    let events = app.engine.store.timeline(TimelineOf::User(user), EVENTS).await?;
    // An end does not say of which device; its beginning does, if that is not too long ago.
    let began = events.iter().filter(|event| event.kind == EventKind::SessionCreated);
    let began: BTreeMap<SessionId, Origin> =
        began.filter_map(|event| Some((event.session?, event.context.clone()?))).collect();
    for event in events.into_iter().rev() {
        let Some(sentence) = words.events.of(event.kind) else { continue };
        // Anybody can fail to sign in as somebody: in a row they are told once, and push nothing else off the list.
        let fails_again = std::mem::replace(&mut failed, event.kind == EventKind::SignInFailed) && failed;
        if fails_again {
            continue;
        }
        if told.len() == TOLD {
            break;
        }
        let application = match &event.client {
            // The session API is no application.
            None => String::new(),
            Some(client) if *client == ClientId::session_api() => String::new(),
            Some(client) => match names.get(client) {
                Some(name) => name.clone(),
                None => {
                    let found = app.engine.client(client).await?;
                    let name = found.map_or_else(|| client.0.to_string(), |client| client.shown_name().to_owned());
                    names.insert(client.clone(), name.clone());
                    name
                }
            },
        };
        let is_end = event.kind == EventKind::SessionEnded;
        let of_device = event.session.filter(|_| is_end).and_then(|session| began.get(&session).cloned());
        let (program, network) = match event.context.or(of_device) {
            Some(origin) => (Some(origin.user_agent), Some(origin.network)),
            None => (None, None),
        };
        let is_of_device =
            matches!(event.kind, EventKind::SessionCreated | EventKind::SessionEnded | EventKind::Reused);
        told.push(Activity {
            at: event.at,
            sentence,
            application,
            reason: event.reason.filter(|_| is_end).map(|reason| (words.reason)(reason)),
            program,
            network,
            session: event.session.filter(|_| is_of_device).map(|session| session.to_string()),
        });
    }
    Ok(told)
}

/// The timeline of one of the user's sessions, ended ones too.
async fn history(app: &App, signed_in: &SignedIn, id: Option<&str>, look: Look<'_>) -> Result<Option<History>, Broken> {
    let Some(id) = id.and_then(|id| id.parse::<SessionId>().ok()) else { return Ok(None) };
    let Ok(mut explanation) = explain::explain(&app.engine, &id.to_string()).await? else { return Ok(None) };
    if explanation.user != Some(user(signed_in)) {
        return Ok(None);
    }
    let now = app.engine.now();
    explanation.timeline.retain_mut(|event| {
        // Of one that has ended there is nothing left to learn.
        let is_open = matches!(event.kind, EventKind::Rotated | EventKind::Replayed | EventKind::Healed)
            && explanation.ended_at.is_none();
        let is_over = event.at.hour() < now.hour();
        if is_open {
            event.at = event.at.hour();
        }
        !is_open || is_over
    });
    let program = explanation.timeline.iter().find_map(|event| event.context.as_ref()).map(|origin| &origin.user_agent);
    let called = explanation.session.as_ref().and_then(|session| session.device.clone());
    let program = program.map(|family| pages::account::program(family, look.words));
    let device = called.or(program).unwrap_or_else(|| look.words.account.unknown_device.to_owned());
    let timeline = Timeline::of(&explanation, look.words.timeline);
    let sentences = timeline.sentences_at(|at| pages::account::shown_in_history(at, look.words));
    Ok(Some(History { device, drawing: timeline.drawing("history"), sentences }))
}
