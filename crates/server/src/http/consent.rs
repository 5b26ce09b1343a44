//! `/consent`: a person allows an application what it asks for, or does not.

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use regrant_engine::{
    authorize::{self, Authorization, Refused},
    consent,
    interaction::{Interaction, Kind},
    refresh::GrantKind,
    resource::audiences,
    scope,
    single_sign_on::SignedIn,
};

use super::{
    App, Shared,
    authorize::{asked_for, refuse, see_other},
    caller::Peer,
    parameters::Parameters,
    protocol_error::page::Told,
};
use crate::pages::{self, Application, Look, Page};

/// What waits, and who is asked.
struct Waiting<'l> {
    look: Look<'l>,
    interaction: Interaction,
    asked: Authorization,
    signed_in: SignedIn,
}

/// `GET /consent`
pub(super) async fn show(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Told> {
    let parameters = Parameters::parse(&query.unwrap_or_default())?;
    let request = parameters.get("request").unwrap_or_default();
    let Waiting { asked, signed_in, look, .. } = match waiting(&app, &headers, request).await? {
        Ok(waiting) => waiting,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let client = &asked.to.client;
    let lifetime = client.lifetime(app.engine.settings.lifetimes.of(GrantKind::Offline));
    let (registry, targets) = (app.engine.registry().await?, audiences(&asked.audience));
    let words = |part: &str| Some((part.to_owned(), registry.words(&targets, part)?.to_owned()));
    let described: Vec<_> = asked.scope.split(' ').filter_map(words).collect();
    let page = Page::Consent {
        application: &Application::of(client),
        request,
        user: signed_in.record.identifier.as_deref().unwrap_or_default(),
        scope: &asked.scope,
        described: &described,
        offline: scope::has(&asked.scope, scope::OFFLINE_ACCESS).then_some(lifetime.idle),
    };
    Ok(pages::respond(StatusCode::OK, &page, look, Some(&asked.to.redirect_uri)))
}

/// `POST /consent`
pub(super) async fn decide(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    // Another site must not consent in somebody's name. (It does not get the cookie sent, either.)
    app.origins.check(&headers)?;
    let posted = Parameters::read(&headers, body).await?;
    let Waiting { interaction, asked, signed_in, look } =
        match waiting(&app, &headers, posted.get("request").unwrap_or_default()).await? {
            Ok(waiting) => waiting,
            Err(elsewhere) => return Ok(elsewhere),
        };
    // Whatever is not "allow" is not allowed.
    if posted.get("decision") != Some("allow") {
        return Ok(refuse(&app, &asked.to, Refused::AccessDenied, look));
    }
    let session = &signed_in.record.session;
    let context = app.context(&peer, &headers);
    consent::give(&app.engine, session.user, session.id, &asked.to.client.id, &asked.to_allow, &context).await?;
    let next = interaction.consented(session.id).seal(&app.engine);
    Ok(see_other(&format!("/oauth2/authorize?resume={next}")))
}

/// The request that waits, for whoever is signed in; or where the browser goes instead.
async fn waiting<'a>(app: &'a App, headers: &HeaderMap, request: &str) -> Result<Result<Waiting<'a>, Response>, Told> {
    let interaction = Interaction::open(&app.engine, request, Kind::Authorize).ok_or(Told::Over)?;
    let parameters = Parameters::parse(&interaction.query)?;
    let look = app.look(headers, parameters.get("ui_locales"));
    // Signed out meanwhile: from the beginning.
    let Some(signed_in) = app.signed_in(headers).await? else {
        return Ok(Err(see_other(&format!("/oauth2/authorize?resume={request}"))));
    };
    Ok(match asked_for(app, &parameters).await? {
        Ok(asked) => match authorize::for_user(&app.engine, &asked, signed_in.record.session.user).await? {
            Some(asked) => Ok(Waiting { look, interaction, asked, signed_in }),
            None => Err(refuse(app, &asked.to, Refused::AccessDenied, look)),
        },
        Err((to, error)) => Err(refuse(app, &to, error, look)),
    })
}
