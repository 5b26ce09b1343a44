//! `/login`: somebody signs in at the provider, for an application that waits or for none.

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use regrant_engine::{
    interaction::{Interaction, Kind},
    login::Credentials,
    refresh::GrantKind,
    single_sign_on::{self, Outcome},
};

use super::{
    App, Shared,
    authorize::{asked_for, see_other},
    caller::Peer,
    parameters::Parameters,
    protocol_error::page::Told,
};
use crate::pages::{self, Application, Page, Problem, account::PATH};

/// `GET /login`
pub(super) async fn show(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Told> {
    let asked = Parameters::parse(&query.unwrap_or_default())?;
    let request = asked.get("request").unwrap_or_default();
    // Nothing waits, so there is nothing to sign in for.
    if request.is_empty() && app.signed_in(&headers).await?.is_some() {
        return Ok(see_other(PATH));
    }
    form(&app, &headers, request, None, None).await
}

/// `POST /login`
pub(super) async fn sign_in(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    // Another site could sign somebody in as somebody else.
    app.origins.check(&headers)?;
    app.cookies.check_host(&peer, &headers)?;
    let posted = Parameters::read(&headers, body).await?;
    let request = posted.get("request").unwrap_or_default();
    let interaction = match request {
        "" => None,
        sealed => Some(open(&app, sealed)?),
    };
    let identifier = posted.get("identifier").unwrap_or_default();
    let credentials = Credentials {
        identifier,
        password: posted.get("password").unwrap_or_default(),
        kind: GrantKind::Cookie,
        device: None,
        audience: None,
        scope: None,
        address: peer.address,
        context: app.context(&peer, &headers),
        replaces: None,
    };
    let current = app.signed_in(&headers).await?;
    let problem = match single_sign_on::sign_in(&app.engine, credentials, current).await? {
        Outcome::Done { reference, session, until } => {
            let next = match interaction {
                Some(interaction) => {
                    let back =
                        if interaction.kind == Kind::Device { "/device?request" } else { "/oauth2/authorize?resume" };
                    format!("{back}={}", interaction.signed_in(session).seal(&app.engine))
                }
                None => PATH.to_owned(),
            };
            let mut response = see_other(&next);
            response.headers_mut().extend(app.keep_sign_in(&reference, until));
            return Ok(response);
        }
        Outcome::Wrong => Problem::Wrong,
        Outcome::Limited(retry_after) => Problem::Limited(retry_after),
        Outcome::Busy => Problem::Busy,
    };
    form(&app, &headers, request, Some(identifier), Some(problem)).await
}

/// What waits for a sign-in: an application, or somebody with the code of a device.
fn open(app: &App, sealed: &str) -> Result<Interaction, Told> {
    let open = Interaction::open_any(&app.engine, sealed);
    open.filter(|open| matches!(open.kind, Kind::Authorize | Kind::Device)).ok_or(Told::Over)
}

/// The form, for the application that waits. What was typed stays, but for the password.
async fn form(
    app: &App,
    headers: &HeaderMap,
    request: &str,
    typed: Option<&str>,
    problem: Option<Problem>,
) -> Result<Response, Told> {
    let (mut application, mut leads_to, mut hint) = (None, None, String::new());
    let mut look = app.look(headers, None);
    let interaction = if request.is_empty() { None } else { Some(open(app, request)?) };
    // Whose device it is, nobody is told before they signed in.
    if let Some(interaction) = interaction.filter(|interaction| interaction.kind == Kind::Authorize) {
        let asked = Parameters::parse(&interaction.query)?;
        asked.get("login_hint").unwrap_or_default().clone_into(&mut hint);
        look = app.look(headers, asked.get("ui_locales"));
        // What is wrong with it is told where the browser goes next.
        let to = asked_for(app, &asked).await?.map_or_else(|(to, _)| to, |authorization| authorization.to);
        application = Some(Application::of(&to.client));
        leads_to = Some(to.redirect_uri);
    }
    let identifier = typed.unwrap_or(&hint);
    let status = match problem {
        None => StatusCode::OK,
        Some(Problem::Wrong) => StatusCode::FORBIDDEN,
        Some(Problem::Limited(_)) => StatusCode::TOO_MANY_REQUESTS,
        Some(Problem::Busy) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let page = Page::Login { application: application.as_ref(), request, identifier, problem };
    let mut response = pages::respond(status, &page, look, leads_to.as_deref());
    let retry_after = match problem {
        Some(Problem::Limited(after)) => Some(after.0),
        Some(Problem::Busy) => Some(1),
        Some(Problem::Wrong) | None => None,
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}
