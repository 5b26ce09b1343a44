//! HTTP: what goes over the wire, and nothing of the rules.
//!
//! A request passes: the listener's caps (`listener.rs`), the router here, a handler that parses (`session.rs`,
//! `verify.rs`, …), the engine, and back through the success reply or `protocol_error.rs`, the only map to wire errors.

mod account;
mod admin;
mod authorize;
mod body;
mod caller;
mod client_authentication;
mod connections;
mod consent;
mod contexts;
mod cookie;
mod cors;
mod device;
mod device_authorization;
mod discovery;
mod dpop;
mod forwarded;
mod health;
mod introspect;
mod lanes;
mod language;
mod listener;
mod login;
mod logout;
mod observe;
mod on_behalf;
mod openapi;
mod parameters;
mod password;
mod protocol_error;
mod revoke;
mod same_origin;
mod sent;
mod session;
mod sessions;
mod sign_in_cookie;
pub(crate) mod tls;
mod token;
mod userinfo;
mod verify;
mod well_known;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, Method, Version, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use regrant_engine::Engine;
use tokio::sync::Mutex;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    contexts::Contexts,
    cookie::CookieRules,
    forwarded::Proxies,
    protocol_error::{ApiError, page},
    same_origin::Origins,
    sign_in_cookie::SignInCookie,
};
use crate::{
    config::Config,
    keeper::Keeper,
    pages::{self, Brand},
};

pub(crate) use cookie::is_loopback;
pub(crate) use lanes::Lanes;
pub(crate) use listener::{Limits, Site, breathe, serve};
use observe::Observer;
pub(crate) use observe::Seen;

/// What handlers share.
pub(crate) struct App {
    engine: Arc<Engine>,
    cookies: CookieRules,
    sign_in_cookie: SignInCookie,
    origins: Origins,
    proxies: Proxies,
    contexts: Contexts,
    document: Bytes,
    brand: Brand,
    keeper: Arc<Keeper>,
    /// Held by whoever changes something by the admin API (`admin/entity.rs`).
    admin_turn: Mutex<()>,
}

type Shared = Arc<App>;

impl App {
    /// For the engine's issuer.
    pub(crate) fn new(engine: Arc<Engine>, keeper: Arc<Keeper>, config: &Config, brand: Brand) -> Arc<Self> {
        let issuer = engine.settings.issuer.clone();
        let cookies = CookieRules::new(&issuer, config.session.same_site);
        Arc::new(Self {
            document: openapi::document(&routes().into_openapi(), &issuer, cookies.name()),
            cookies,
            sign_in_cookie: SignInCookie::new(&issuer),
            origins: Origins::new(&issuer, &config.server.allowed_origins),
            proxies: Proxies::new(&config.server.trusted_proxies),
            contexts: Contexts::new(),
            brand,
            keeper,
            admin_turn: Mutex::new(()),
            engine,
        })
    }
}

/// The way in: the router with every route, and a shorter way to the one that is asked more than all others together. Layers
/// and extractors are the same on both.
#[derive(Clone)]
pub(crate) struct Entrance {
    app: Shared,
    observer: Arc<Observer>,
    router: Router,
}

impl Entrance {
    /// Every route, and those of `more`, which keep their own security headers where they set some.
    pub(crate) fn new(app: Shared, more: Router, seen: Seen) -> Self {
        let observer = Arc::new(Observer::new(seen));
        let guard = async |State(app): State<Shared>, mut request: Request, next: Next| {
            guarded(&app, &mut request, |request| next.run(std::mem::take(request))).await
        };
        let router = Router::from(routes())
            .merge(provider().layer(middleware::from_fn_with_state(Arc::clone(&app), page::told_in_a_page)))
            .merge(more.with_state(()))
            .fallback(async || ApiError::NotFound)
            .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
            .layer(DefaultBodyLimit::max(body::LARGEST))
            .layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
            .with_state(Arc::clone(&app));
        Self { app, router: observe::observed(router, &observer), observer }
    }
}

impl Site for Entrance {
    async fn answer(&self, peer: SocketAddr, mut request: Request) -> Response {
        if request.method() != Method::POST || request.uri().path() != session::REFRESH {
            return self.router.answer(peer, request).await;
        }
        // Half of what the router costs is allocated and boxed on the way: layers in layers, each for any route.
        let app = &self.app;
        // The request stays where it is: it is large, and would be copied from each layer into the next.
        observe::observe(&self.observer, session::REFRESH, &mut request, |request, _| {
            guarded(app, request, async |request| session::renew(app, peer, request).await.into_response())
        })
        .await
    }
}

/// The API: its routes, and what `openapi.rs` makes a document of. Methods and paths stand at the handlers.
fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(session::create, session::show, session::end))
        .routes(routes!(session::refresh))
        .routes(routes!(sessions::list, sessions::end_others))
        .routes(routes!(sessions::end_one))
        .routes(routes!(password::change))
        .routes(routes!(verify::verify))
        .routes(routes!(well_known::jwks))
        .routes(routes!(openapi::show))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .merge(admin::routes())
}

/// The OAuth endpoints and the pages. They are not in the document: their RFCs describe the ones, and `discovery.rs` says which
/// there are; the others are for people.
fn provider() -> Router<Shared> {
    let discovery = get(discovery::show);
    Router::new()
        .route("/.well-known/openid-configuration", discovery.clone())
        .route("/.well-known/oauth-authorization-server", discovery)
        .route("/oauth2/authorize", get(authorize::show).post(authorize::post))
        .route(token::PATH, post(token::token))
        .route("/oauth2/device_authorization", post(device_authorization::begin))
        .route(userinfo::PATH, get(userinfo::show).post(userinfo::show))
        .route("/oauth2/introspect", post(introspect::show))
        .route("/oauth2/revoke", post(revoke::end))
        .route("/oauth2/logout", get(logout::begin).post(logout::post))
        .route("/login", get(login::show).post(login::sign_in))
        .route("/consent", get(consent::show).post(consent::decide))
        .route("/device", get(device::show).post(device::post))
        .route("/logout", get(logout::show).post(logout::confirm))
        .route("/error", get(page::show))
        .route(pages::account::PATH, get(account::show).post(account::act))
        .route(pages::STYLE_PATH, get(style))
        .route(pages::LOGO_PATH, get(logo))
}

async fn style(State(app): State<Shared>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, STYLE_AGE)];
    (headers, app.brand.style.clone()).into_response()
}

/// The operator's logo, where it is a file. An SVG is a document too: opened by itself it may do nothing.
async fn logo(State(app): State<Shared>) -> Response {
    let Some((bytes, kind)) = app.brand.served_logo() else {
        return ApiError::NotFound.into_response();
    };
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";
    let headers =
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, STYLE_AGE), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, bytes).into_response()
}

pub(crate) use parameters::encoded;

/// Style sheet and logo change at a start only.
const STYLE_AGE: &str = "public, max-age=300";

/// What every request passes, and headers that every reply carries.
async fn guarded<'r, A: Future<Output = Response> + Send>(
    app: &App,
    request: &'r mut Request,
    inner: impl FnOnce(&'r mut Request) -> A + Send,
) -> Response {
    // RFC 9112 §3.2: without Host, or with several, nobody knows whom the request is for.
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let mut response = if hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11) {
        cors::tell(app, request, inner).await
    } else {
        ApiError::InvalidRequest("The request needs one Host header.".to_owned()).into_response()
    };
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
