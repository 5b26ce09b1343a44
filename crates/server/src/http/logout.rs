//! `/oauth2/logout` (OpenID Connect RP-Initiated Logout) and the page `/logout`.
//!
//! 1. A POST is answered by 303 to the same request as GET: only so does the sign-in cookie come from another site.
//! 2. An application that shows an ID token of the very session, expired or not, ends it at once. Otherwise the person is asked:
//!    nobody is signed out by a link (§2, §6).
//! 3. Afterwards the browser goes where the application registered, or to a page that says so. It is never a dead end.

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use regrant_engine::{
    event::Actor,
    id::ClientId,
    id_token::{self, Hint},
    interaction::{Interaction, Kind},
    reason::Reason,
    session,
    single_sign_on::SignedIn,
};

use super::{
    App, Shared,
    authorize::{see_other, with_query},
    parameters::Parameters,
    protocol_error::page::Told,
};
use crate::pages::{self, Look, Page};

/// The longest query that is read, in bytes.
const LONGEST: usize = 6 * 1024;

/// `GET /oauth2/logout`
pub(super) async fn begin(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Told> {
    let query = query.unwrap_or_default();
    if query.len() > LONGEST {
        return Err(Told::TooLong);
    }
    let asked = Parameters::parse(&query)?;
    let (hint, target) = target(&app, &asked).await?;
    let look = app.look(&headers, asked.get("ui_locales"));
    let Some(signed_in) = app.signed_in(&headers).await? else {
        // Nothing to end here. What the application wants is so.
        return Ok(after(target.as_deref(), look));
    };
    let session = &signed_in.record.session;
    let is_its_own =
        hint.is_some_and(|hint| hint.user == session.user && hint.session.is_none_or(|id| id == session.id));
    if is_its_own {
        return end(&app, &signed_in, target.as_deref(), look).await;
    }
    // The hint is not needed any more, and it is long.
    let waiting = Interaction::new(Kind::Logout, asked.without("id_token_hint").to_query(), app.engine.now());
    Ok(see_other(&format!("/logout?request={}", waiting.seal(&app.engine))))
}

/// `POST /oauth2/logout`
pub(super) async fn post(headers: HeaderMap, body: Body) -> Result<Response, Told> {
    let asked = Parameters::read(&headers, body).await?.to_query();
    if asked.len() > LONGEST { Err(Told::TooLong) } else { Ok(see_other(&format!("/oauth2/logout?{asked}"))) }
}

/// `GET /logout`: do you want to?
pub(super) async fn show(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Told> {
    let asked = Parameters::parse(&query.unwrap_or_default())?;
    let request = asked.get("request").unwrap_or_default();
    let (target, locales) = waiting_for(&app, request)?;
    let look = app.look(&headers, locales.as_deref().or_else(|| asked.get("ui_locales")));
    let Some(signed_in) = app.signed_in(&headers).await? else {
        return Ok(after(target.as_deref(), look));
    };
    let user = signed_in.record.identifier.as_deref().unwrap_or_default();
    Ok(pages::respond(StatusCode::OK, &Page::Logout { user, request }, look, target.as_deref()))
}

/// `POST /logout`: yes.
pub(super) async fn confirm(State(app): State<Shared>, headers: HeaderMap, body: Body) -> Result<Response, Told> {
    // RP-Initiated Logout §6: another site must not sign anybody out.
    app.origins.check(&headers)?;
    let posted = Parameters::read(&headers, body).await?;
    let (target, locales) = waiting_for(&app, posted.get("request").unwrap_or_default())?;
    let look = app.look(&headers, locales.as_deref());
    match app.signed_in(&headers).await? {
        Some(signed_in) => end(&app, &signed_in, target.as_deref(), look).await,
        None => Ok(after(target.as_deref(), look)),
    }
}

/// Who asks, and where the browser is to go; refused on a page of our own if the address is not the application's.
async fn target(app: &App, asked: &Parameters) -> Result<(Option<Hint>, Option<String>), Told> {
    let hint = asked.get("id_token_hint").and_then(|token| id_token::hint(&app.engine, token));
    let client = match (&hint, asked.get("client_id")) {
        (Some(hint), Some(id)) if *hint.client.0 != *id => return Err(Told::LogoutClient),
        (Some(hint), _) => Some(hint.client.clone()),
        (None, id) => id.map(ClientId::from),
    };
    let Some(uri) = asked.get("post_logout_redirect_uri") else {
        return Ok((hint, None));
    };
    let client = match client {
        Some(id) => app.engine.client(&id).await?,
        None => None,
    };
    // §3: exactly one that is registered, or nobody is redirected.
    let is_registered =
        client.is_some_and(|client| client.metadata.post_logout_redirect_uris.iter().any(|known| known == uri));
    if !is_registered {
        return Err(Told::LogoutUri);
    }
    let state: Vec<(&'static str, String)> =
        asked.get("state").map(|state| ("state", state.to_owned())).into_iter().collect();
    Ok((hint, Some(with_query(uri, &state))))
}

/// Where a request leads that was checked when it came, and in which language it wants to be answered.
fn waiting_for(app: &App, request: &str) -> Result<(Option<String>, Option<String>), Told> {
    if request.is_empty() {
        return Ok((None, None));
    }
    let interaction = Interaction::open(&app.engine, request, Kind::Logout).ok_or(Told::Over)?;
    let asked = Parameters::parse(&interaction.query)?;
    let state: Vec<(&'static str, String)> =
        asked.get("state").map(|state| ("state", state.to_owned())).into_iter().collect();
    let target = asked.get("post_logout_redirect_uri").map(|uri| with_query(uri, &state));
    Ok((target, asked.get("ui_locales").map(str::to_owned)))
}

async fn end(app: &App, signed_in: &SignedIn, target: Option<&str>, look: Look<'_>) -> Result<Response, Told> {
    let ended = &signed_in.record.session;
    session::end(&app.engine, ended.id, Some(ended.user), Reason::SignedOut, Actor::User).await?;
    let mut response = after(target, look);
    response.headers_mut().extend(app.forget_sign_in());
    Ok(response)
}

fn after(target: Option<&str>, look: Look<'_>) -> Response {
    match target {
        Some(uri) => see_other(uri),
        None => pages::respond(StatusCode::OK, &Page::SignedOut, look, None),
    }
}
