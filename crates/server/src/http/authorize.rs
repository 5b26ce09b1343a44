//! `/oauth2/authorize` (RFC 6749 §3.1, OpenID Connect Core §3.1.2).
//!
//! 1. A POST is answered by 303 to the same request as GET: only so does the sign-in cookie come from another site.
//! 2. Whose request it is and where the answer goes is found out first. While that is not sure, nobody is sent anywhere: the
//!    person is told, on a page of our own.
//! 3. `engine/src/authorize.rs` says what is next. Whatever a person has to do is done on pages (`login.rs`, `consent.rs`), which
//!    send the browser back here with the request sealed in `resume`.
//! 4. An answer is a redirect, or a form that posts itself. It always says who we are (`iss`, RFC 9207).

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use regrant_engine::{
    authorize::{self, Authorization, Destination, Done, Refused, Request, ResponseMode, Step},
    code,
    id::ClientId,
    id_token,
    interaction::{Interaction, Kind},
    single_sign_on,
};

use super::{
    App, Shared,
    parameters::{Parameters, encoded},
    protocol_error::{oauth::refused, page::Told},
};
use crate::pages::{self, Application, Look, Page};

/// The longest query that is read, in bytes: it has to fit into an address once more, sealed.
const LONGEST: usize = 6 * 1024;

/// `GET /oauth2/authorize`
pub(super) async fn show(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Told> {
    let query = query.unwrap_or_default();
    let asked = Parameters::parse(&query)?;
    let (interaction, asked) = match asked.get("resume") {
        Some(sealed) => {
            let interaction = Interaction::open(&app.engine, sealed, Kind::Authorize).ok_or(Told::Over)?;
            let asked = Parameters::parse(&interaction.query)?;
            (Some(interaction), asked)
        }
        None if query.len() > LONGEST => return Err(Told::TooLong),
        None => (None, asked),
    };
    let waiting = || {
        let fresh = || Interaction::new(Kind::Authorize, asked.to_query(), app.engine.now());
        interaction.clone().unwrap_or_else(fresh).seal(&app.engine)
    };
    let look = app.look(&headers, asked.get("ui_locales"));
    let signed_in = app.signed_in(&headers).await?;
    let authorization = match asked_for(&app, &asked).await? {
        Ok(authorization) => authorization,
        // RFC 9700 §4.11.2: nobody is redirected before they signed in, errors included; but `prompt=none` asks for just that.
        Err(_) if signed_in.is_none() && asked.get("prompt") != Some("none") => {
            return Ok(see_other(&format!("/login?request={}", waiting())));
        }
        Err((to, error)) => return Ok(refuse(&app, &to, error, look)),
    };
    let done = interaction.as_ref().map_or(Done::default(), Interaction::done);
    if let Some(signed_in) = &signed_in {
        single_sign_on::touch(&app.engine, signed_in).await?;
    }
    let client = &authorization.to.client;
    let present = signed_in.as_ref().map(single_sign_on::SignedIn::present);
    let consent = match &present {
        Some(present) => app.engine.store.consent(present.user, client.id.clone()).await?,
        None => None,
    };
    let allowed = match &present {
        Some(present) => authorize::for_user(&app.engine, &authorization, present.user).await?,
        None => None,
    };
    let asked = allowed.as_ref().unwrap_or(&authorization);
    let step = authorize::step(asked, present.as_ref(), consent.as_ref(), done, app.engine.now());
    match (step, &signed_in) {
        // RFC 6749 §4.1.2.1: nothing of it is this person's to allow.
        (Step::Issue | Step::Consent, Some(_)) if allowed.is_none() => {
            Ok(refuse(&app, &authorization.to, Refused::AccessDenied, look))
        }
        (Step::Issue, Some(signed_in)) => match code::issue(&app.engine, asked, signed_in).await {
            Ok(code) => Ok(answer(&app, &authorization.to, vec![("code", code.to_string())], look)),
            Err(broken) => {
                tracing::error!(%broken, "a code could not be made");
                Ok(refuse(&app, &authorization.to, Refused::ServerError, look))
            }
        },
        (Step::Refuse(error), _) => Ok(refuse(&app, &authorization.to, error, look)),
        (Step::Consent, Some(_)) => Ok(see_other(&format!("/consent?request={}", waiting()))),
        (Step::Login, _) | (Step::Issue | Step::Consent, None) => {
            Ok(see_other(&format!("/login?request={}", waiting())))
        }
    }
}

/// `POST /oauth2/authorize`
pub(super) async fn post(headers: HeaderMap, body: Body) -> Result<Response, Told> {
    let asked = Parameters::read(&headers, body).await?.to_query();
    // RFC 9700 §4.12: 303, so that the body goes nowhere else.
    if asked.len() > LONGEST { Err(Told::TooLong) } else { Ok(see_other(&format!("/oauth2/authorize?{asked}"))) }
}

/// What is asked for, or whom to tell what is wrong with it.
pub(super) async fn asked_for(
    app: &App,
    asked: &Parameters,
) -> Result<Result<Authorization, (Destination, Refused)>, Told> {
    let client = match asked.get("client_id") {
        Some(id) => app.engine.client(&ClientId::from(id)).await?,
        None => None,
    };
    let hint = asked.get("id_token_hint").map(|token| id_token::hint(&app.engine, token));
    // A hint that was told another client says nothing here.
    let hint = hint.map(|hint| hint.filter(|hint| client.as_ref().is_some_and(|client| client.id == hint.client)));
    let request = Request {
        response_type: asked.get("response_type"),
        redirect_uri: asked.get("redirect_uri"),
        scope: asked.get("scope"),
        state: asked.get("state"),
        response_mode: asked.get("response_mode"),
        code_challenge: asked.get("code_challenge"),
        code_challenge_method: asked.get("code_challenge_method"),
        nonce: asked.get("nonce"),
        prompt: asked.get("prompt"),
        max_age: asked.get("max_age"),
        login_hint: asked.get("login_hint"),
        hinted_user: hint.as_ref().and_then(Option::as_ref).map(|hint| hint.user),
        hint_is_foreign: matches!(hint, Some(None)),
        resources: &asked.resources(),
        dpop_jkt: asked.get("dpop_jkt"),
        request: asked.get("request").is_some(),
        request_uri: asked.get("request_uri").is_some(),
        registration: asked.get("registration").is_some(),
    };
    let to = authorize::destination(client, &request).map_err(Told::Nowhere)?;
    let registry = app.engine.registry().await?;
    Ok(authorize::check(to.clone(), &request, &app.engine.settings, &registry).map_err(|error| (to, error)))
}

/// Tells the client why not.
pub(super) fn refuse(app: &App, to: &Destination, error: Refused, look: Look<'_>) -> Response {
    let (code, sentence) = refused(error);
    answer(app, to, vec![("error", code.to_owned()), ("error_description", sentence.to_owned())], look)
}

fn answer(app: &App, to: &Destination, mut fields: Vec<(&'static str, String)>, look: Look<'_>) -> Response {
    fields.extend(to.state.iter().map(|state| ("state", state.clone())));
    // RFC 9207 §2: whose answer it is, errors too.
    fields.push(("iss", app.engine.settings.issuer.clone()));
    match to.mode {
        ResponseMode::Query => see_other(&with_query(&to.redirect_uri, &fields)),
        ResponseMode::FormPost => {
            let application = Application::of(&to.client);
            let page = Page::FormPost { action: &to.redirect_uri, application: &application, fields: &fields };
            pages::respond(StatusCode::OK, &page, look, Some(&to.redirect_uri))
        }
    }
}

/// An address with more in its query. What stands there already stays (RFC 6749 §3.1.2).
pub(super) fn with_query(uri: &str, fields: &[(&'static str, String)]) -> String {
    let mut out = uri.to_owned();
    for (name, value) in fields {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(&format!("{name}={}", encoded(value)));
    }
    out
}

/// 303 and never 307: what was posted here is posted nowhere else (RFC 9700 §4.12).
pub(super) fn see_other(uri: &str) -> Response {
    match HeaderValue::from_str(uri) {
        Ok(uri) => (StatusCode::SEE_OTHER, [(header::LOCATION, uri)]).into_response(),
        Err(_) => Told::TooLong.into_response(),
    }
}
