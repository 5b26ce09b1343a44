//! `/device` (RFC 8628 §3.3): a person types the code that a device shows, and allows what it asks for, or does not.
//!
//! 1. The code is typed, or stands in the address (`user_code`) and is sent off by hand all the same: nothing happens to whoever
//!    only follows a link (§5.4).
//! 2. Nobody learns anything of a code before they signed in: whoever is not goes to `/login` and comes back. Then it is looked
//!    up, once; wrong ones are counted (§5.1).
//! 3. Who found it is asked, whatever they allowed before: nobody but they knows whether the device is theirs.
//! 4. Each step is a 303 to the next, with what is known so far sealed in `request`.

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use regrant_engine::{
    client::Client,
    device::{self, UserCode},
    id::ClientId,
    interaction::{Interaction, Kind},
    ports::Guessed,
    refresh::GrantKind,
    resource::audiences,
    scope,
    single_sign_on::{self, SignedIn},
};

use super::{App, Shared, authorize::see_other, caller::Peer, parameters::Parameters, protocol_error::page::Told};
use crate::pages::{self, Application, DevicePage, Look, Page, WrongCode};

/// The most that is shown again of what somebody typed.
const LONGEST: usize = 32;

/// `GET /device`
pub(super) async fn show(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Told> {
    let look = app.look(&headers, None);
    let asked = Parameters::parse(&query.unwrap_or_default())?;
    let Some(request) = asked.get("request") else {
        return Ok(form(look, asked.get("user_code").unwrap_or_default(), None));
    };
    let interaction = Interaction::open(&app.engine, request, Kind::Device).ok_or(Told::Over)?;
    let known = Parameters::parse(&interaction.query)?;
    if let Some(said) = known.get("said") {
        return done(&app, look, known.get("client_id").unwrap_or_default(), said == "allow").await;
    }
    let Some(signed_in) = app.signed_in(&headers).await? else {
        return Ok(see_other(&format!("/login?request={request}")));
    };
    let typed = known.get("user_code").and_then(UserCode::parse).ok_or(Told::Over)?;
    let (done, session) = (interaction.done(), Some(signed_in.record.session.id));
    if done.consent != session {
        // Whoever has just signed in for it sent it off before; for anybody else it is a link, and waits for a hand (§5.4).
        return match done.login == session {
            true => look_up(&app, &typed, &signed_in, &peer, &headers).await,
            false => Ok(form(look, &typed.shown(), None)),
        };
    }
    // It was found by whoever is signed in, and may have run out since.
    let Some((device, client)) = found(&app, &typed).await? else {
        return Ok(form(look, &typed.shown(), Some(WrongCode::Unknown)));
    };
    let lifetime = client.lifetime(app.engine.settings.lifetimes.of(GrantKind::Offline));
    let (registry, targets) = (app.engine.registry().await?, audiences(&device.audience));
    let words = |part: &str| Some((part.to_owned(), registry.words(&targets, part)?.to_owned()));
    let described: Vec<_> = device.scope.split(' ').filter_map(words).collect();
    let page = DevicePage::Confirm {
        application: &Application::of(&client),
        request,
        user: signed_in.record.identifier.as_deref().unwrap_or_default(),
        code: &typed.shown(),
        scope: &device.scope,
        described: &described,
        offline: scope::has(&device.scope, scope::OFFLINE_ACCESS).then_some(lifetime.idle),
    };
    Ok(pages::respond(StatusCode::OK, &Page::Device(page), look, None))
}

/// `POST /device`
pub(super) async fn post(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    // Another site must not allow anything in somebody's name. (It does not get the cookie sent, either.)
    app.origins.check(&headers)?;
    let look = app.look(&headers, None);
    let posted = Parameters::read(&headers, body).await?;
    if let Some(request) = posted.get("request") {
        return decide(&app, request, posted.get("decision"), &peer, &headers).await;
    }
    let text = posted.get("user_code").unwrap_or_default();
    // What can be no code is told at once, and is no attempt.
    let Some(typed) = UserCode::parse(text) else {
        return Ok(form(look, text, Some(WrongCode::Malformed)));
    };
    match app.signed_in(&headers).await? {
        Some(signed_in) => look_up(&app, &typed, &signed_in, &peer, &headers).await,
        None => Ok(see_other(&format!("/login?request={}", waiting(&app, &typed).seal(&app.engine)))),
    }
}

/// Somebody who has typed this code.
fn waiting(app: &App, typed: &UserCode) -> Interaction {
    Interaction::new(Kind::Device, format!("user_code={}", *typed.shown()), app.engine.now())
}

async fn look_up(
    app: &App,
    typed: &UserCode,
    signed_in: &SignedIn,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Response, Told> {
    let (context, look) = (app.context(peer, headers), app.look(headers, None));
    match device::find(&app.engine, typed, signed_in, peer.address, &context).await? {
        Guessed::Found(_) => {
            let next = waiting(app, typed).consented(signed_in.record.session.id).seal(&app.engine);
            Ok(see_other(&format!("/device?request={next}")))
        }
        Guessed::Wrong => Ok(form(look, &typed.shown(), Some(WrongCode::Unknown))),
        Guessed::Limited(retry_after) => Ok(form(look, &typed.shown(), Some(WrongCode::Limited(retry_after)))),
    }
}

/// What was found, with the client whose device it is.
async fn found(app: &App, typed: &UserCode) -> Result<Option<(device::DeviceCode, std::sync::Arc<Client>)>, Told> {
    let Some(device) = device::again(&app.engine, typed).await? else {
        return Ok(None);
    };
    let client = app.engine.client(&device.client).await?;
    Ok(client.map(|client| (device, client)))
}

async fn decide(
    app: &App,
    request: &str,
    decision: Option<&str>,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Response, Told> {
    let look = app.look(headers, None);
    let interaction = Interaction::open(&app.engine, request, Kind::Device).ok_or(Told::Over)?;
    let known = Parameters::parse(&interaction.query)?;
    let typed = known.get("user_code").and_then(UserCode::parse).ok_or(Told::Over)?;
    // Only who found the code has seen what it is for. Signed out meanwhile, or somebody else: from the beginning.
    let signed_in = app.signed_in(headers).await?;
    let Some(signed_in) = signed_in.filter(|now| interaction.done().consent == Some(now.record.session.id)) else {
        return Ok(see_other(&format!("/device?request={request}")));
    };
    let Some((_, client)) = found(app, &typed).await? else {
        return Ok(form(look, &typed.shown(), Some(WrongCode::Unknown)));
    };
    // Whatever is not "allow" is not allowed.
    let allows = decision == Some("allow");
    single_sign_on::touch(&app.engine, &signed_in).await?;
    if !device::answer(&app.engine, &typed, &client, &signed_in, allows, &app.context(peer, headers)).await? {
        return Ok(form(look, &typed.shown(), Some(WrongCode::Unknown)));
    }
    let said = if allows { "allow" } else { "deny" };
    let said = format!("said={said}&client_id={}", super::parameters::encoded(&client.id.0));
    let next = Interaction::new(Kind::Device, said, app.engine.now()).seal(&app.engine);
    Ok(see_other(&format!("/device?request={next}")))
}

async fn done(app: &App, look: Look<'_>, client: &str, allowed: bool) -> Result<Response, Told> {
    let client = app.engine.client(&ClientId::from(client)).await?.ok_or(Told::Over)?;
    let page = DevicePage::Done { application: &Application::of(&client), allowed };
    Ok(pages::respond(StatusCode::OK, &Page::Device(page), look, None))
}

/// The form, with what was typed.
fn form(look: Look<'_>, typed: &str, wrong: Option<WrongCode>) -> Response {
    let typed: String = typed.chars().take(LONGEST).collect();
    let status = match wrong {
        None => StatusCode::OK,
        Some(WrongCode::Malformed | WrongCode::Unknown) => StatusCode::BAD_REQUEST,
        Some(WrongCode::Limited(_)) => StatusCode::TOO_MANY_REQUESTS,
    };
    let page = Page::Device(DevicePage::Enter { typed: &typed, wrong });
    let mut response = pages::respond(status, &page, look, None);
    if let Some(WrongCode::Limited(after)) = wrong {
        response.headers_mut().insert(header::RETRY_AFTER, after.0.into());
    }
    response
}
