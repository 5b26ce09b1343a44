//! The demo's pages: one person plays both sides in a browser.
//!
//! 1. `GET /demo` shows where things stand: signed out, signed in or over. It asks the engine like `regrant explain` does,
//!    by the cookie or by the access token that the script holds, and that is no use of either.
//! 2. Signing in, renewing and signing out are the session API's own calls, made by the script; `POST /demo/sign-in` is for
//!    browsers without it.
//! 3. What a browser cannot do to itself, the demo does for it with a small client of its own: lose a reply, be four more tabs,
//!    and be a thief, who comes from another address with another browser.
//! 4. Whatever was done, the script asks for the page again, and shows its new timeline and what the server decided.
//!
//! Only `regrant demo` serves these, and only its throw-away store is behind them.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Form, Json, Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use regrant_engine::{
    Engine,
    explain::{Explanation, Subject, explain},
    id::SessionId,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinSet};
use zeroize::Zeroizing;

use super::{
    CHROME, EMAIL, PASSWORD,
    browser::{Answer, Browser, COOKIE},
};
use crate::{
    http::is_loopback,
    timeline::{self, Timeline, escaped},
};

/// Where the thief sits: another network of the loopback range.
const HIDEOUT: [u8; 4] = [127, 66, 6, 6];
/// The tabs that renew at once.
const TABS: usize = 5;

/// What the handlers share.
struct Theatre {
    engine: Arc<Engine>,
    server: SocketAddr,
    /// The thief's copy, and whose session it is of. There is one thief, so one at a time.
    loot: Mutex<Option<(SessionId, String)>>,
}

type Shared = Arc<Theatre>;

/// The routes, for the demo's server at `server`.
pub(super) fn router(engine: &Arc<Engine>, server: SocketAddr) -> Router {
    let theatre = Arc::new(Theatre { engine: Arc::clone(engine), server, loot: Mutex::new(None) });
    let asset = |kind: &'static str, text: &'static str| get(async move || ([(header::CONTENT_TYPE, kind)], text));
    Router::new()
        .route("/demo", get(show))
        .route("/demo/sign-in", post(sign_in))
        .route("/demo/lose", post(lose))
        .route("/demo/tabs", post(tabs))
        .route("/demo/thief", post(thief))
        .route("/demo/style.css", asset("text/css; charset=utf-8", include_str!("assets/style.css")))
        .route("/demo/script.js", asset("text/javascript; charset=utf-8", include_str!("assets/script.js")))
        .route("/demo/icon.svg", asset("image/svg+xml", include_str!("assets/icon.svg")))
        .layer(middleware::from_fn(guard))
        .with_state(theatre)
}

/// Own pages only, and the headers that a page needs and an API does not.
async fn guard(request: Request, next: Next) -> Response {
    if request.method() != "GET" && request.method() != "HEAD" && !comes_from_here(request.headers()) {
        return (StatusCode::FORBIDDEN, "This call comes from another site.\n").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    );
    // With no-referrer browsers send `Origin: null` with a form, and nobody could tell where it comes from.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// A form or a call of our own page. All ports of this machine are one site to SameSite cookies, so those do not suffice.
fn comes_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    text(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")) == Some(host) && is_loopback(host)
}

/// `GET /demo`
async fn show(State(theatre): State<Shared>, headers: HeaderMap) -> Response {
    theatre.page(StatusCode::OK, &headers, None).await
}

#[derive(Deserialize)]
struct SignIn {
    identifier: String,
    password: Zeroizing<String>,
}

/// `POST /demo/sign-in`: the session API's own sign-in, for browsers without script.
async fn sign_in(
    State(theatre): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(asked): Form<SignIn>,
) -> Response {
    let visitor = theatre.visitor(peer, &headers);
    match visitor.sign_in(&asked.identifier, &asked.password).await {
        Ok(answer) if answer.status == 200 => {
            let to_the_page = (StatusCode::SEE_OTHER, [(header::LOCATION, "/demo")]);
            with_cookie_of(&answer, to_the_page.into_response())
        }
        Ok(answer) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_REQUEST);
            let wrong = Wrong { identifier: asked.identifier, sentence: turned_away(&answer) };
            theatre.page(status, &headers, Some(wrong)).await
        }
        Err(why) => broken(&why),
    }
}

/// `POST /demo/lose`: the server renews, and the reply gets lost here: the browser is not told of its new cookie.
async fn lose(
    State(theatre): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let Some(token) = cookie(&headers) else { return not_signed_in() };
    match theatre.visitor(peer, &headers).refresh(token).await {
        Ok(answer) if answer.status == 200 => {
            told("The reply was lost on the way. The browser still had the old refresh token, and tried again with it.")
        }
        Ok(answer) => told(&turned_away(&answer)),
        Err(why) => broken(&why),
    }
}

/// `POST /demo/tabs`: five tabs renew at once. They share one cookie jar, so it does not matter whose cookie stays.
async fn tabs(
    State(theatre): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let Some(token) = cookie(&headers) else { return not_signed_in() };
    let visitor = theatre.visitor(peer, &headers);
    let mut all = JoinSet::new();
    for _ in 0..TABS {
        let (visitor, token) = (visitor.clone(), token.to_owned());
        all.spawn(async move { visitor.refresh(&token).await });
    }
    let mut cookies = Vec::new();
    let mut newest = None;
    while let Some(tab) = all.join_next().await {
        match tab.map_err(|error| error.to_string()).and_then(|answer| answer) {
            Ok(answer) if answer.status == 200 => {
                cookies.extend(answer.cookie());
                newest = Some(answer);
            }
            Ok(answer) => return told(&turned_away(&answer)),
            Err(why) => return broken(&why),
        }
    }
    cookies.sort();
    cookies.dedup();
    match (newest, cookies.len()) {
        (Some(answer), 1) => {
            let tokens: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let played = "Five tabs renewed with the same refresh token at the same moment.";
            with_cookie_of(&answer, Json(json!({"played": played, "tokens": tokens})).into_response())
        }
        (_, many) => broken(&format!("{TABS} refreshes of one token made {many} successors")),
    }
}

/// `POST /demo/thief`: uses the copy, and makes one first if there is none of this session. The browser is not told.
async fn thief(State(theatre): State<Shared>, headers: HeaderMap) -> Response {
    let Some(token) = cookie(&headers) else { return not_signed_in() };
    let session = theatre.explain(token).await.and_then(|explanation| explanation.session);
    let Some(session) = session.map(|session| session.id) else { return not_signed_in() };
    // Held until the answer is there: one thief is never in two places.
    let mut loot = theatre.loot.lock().await;
    let held = loot.as_ref().filter(|(of, _)| *of == session).map(|(_, token)| token.clone());
    let is_new = held.is_none();
    let used = held.unwrap_or_else(|| token.to_owned());
    match Browser::new(theatre.server, HIDEOUT, CHROME).refresh(&used).await {
        Ok(answer) if answer.status == 200 => {
            let Ok(next) = answer.cookie() else { return broken("the thief got no cookie") };
            *loot = Some((session, next));
            told(if is_new {
                "You copied the refresh token and used it before Ada. You hold the next one now, and her browser does not \
                 know. Let it renew: what will the server notice?"
            } else {
                "You used what you had stolen once more, and it worked. Now let Ada's browser renew."
            })
        }
        Ok(answer) => {
            // A caught thief may come back with another copy; one who was only too fast keeps the one at hand.
            let caught = answer.status == 401;
            *loot = if caught { None } else { Some((session, used)) };
            told(&match caught {
                true => "You used what you had stolen, and were turned away.".to_owned(),
                false => turned_away(&answer),
            })
        }
        Err(why) => broken(&why),
    }
}

impl Theatre {
    /// The visitor's own browser, as the server sees it.
    fn visitor(&self, peer: SocketAddr, headers: &HeaderMap) -> Browser {
        let from = match peer {
            SocketAddr::V4(v4) => v4.ip().octets(),
            SocketAddr::V6(_) => [127, 0, 0, 1],
        };
        let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Browser::new(self.server, from, user_agent.to_owned())
    }

    /// What is known of a refresh token or an access token. Ids are not taken: knowing one proves nothing.
    async fn explain(&self, token: &str) -> Option<Explanation> {
        let explanation = explain(&self.engine, token).await.ok()?.ok()?;
        let by_token = matches!(explanation.subject, Subject::RefreshToken { .. } | Subject::AccessToken);
        (by_token && explanation.session.is_some()).then_some(explanation)
    }

    async fn page(&self, status: StatusCode, headers: &HeaderMap, wrong: Option<Wrong>) -> Response {
        let token = cookie(headers).or_else(|| bearer(headers));
        let explanation = match token {
            Some(token) => self.explain(token).await,
            None => None,
        };
        let form = || sign_in_form(wrong.as_ref());
        let (title, main) = match explanation {
            None => ("Sign in", format!(include_str!("assets/signed_out.html"), form = form())),
            Some(explanation) => {
                let timeline = Timeline::of(&explanation, &timeline::ENGLISH);
                let (drawing, sentences) = (timeline.drawing("timeline"), timeline.sentences());
                let verdict = escaped(timeline.verdict());
                let session = explanation.session.map(|session| session.id.to_string()).unwrap_or_default();
                match explanation.reason {
                    None => {
                        let whose = escaped(explanation.identifier.as_deref().unwrap_or_default());
                        let main = format!(
                            include_str!("assets/signed_in.html"),
                            whose = whose,
                            drawing = drawing,
                            sentences = sentences,
                            verdict = verdict
                        );
                        ("Signed in", main)
                    }
                    Some(reason) => (
                        "The session ended",
                        format!(
                            include_str!("assets/ended.html"),
                            because = reason.sentence(),
                            next = what_comes_next(reason),
                            session = session,
                            form = form(),
                            drawing = drawing,
                            sentences = sentences,
                            verdict = verdict
                        ),
                    ),
                }
            }
        };
        let html = format!(include_str!("assets/page.html"), title = title, main = main);
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
    }
}

/// What was typed, and why it did not do.
struct Wrong {
    identifier: String,
    sentence: String,
}

fn sign_in_form(wrong: Option<&Wrong>) -> String {
    let (described, hidden) = if wrong.is_some() { (" aria-invalid=\"true\"", "") } else { ("", " hidden") };
    format!(
        include_str!("assets/sign_in.html"),
        identifier = escaped(wrong.map_or(EMAIL, |wrong| &wrong.identifier)),
        password = escaped(PASSWORD),
        described = described,
        hidden = hidden,
        sentence = escaped(wrong.map_or("", |wrong| &wrong.sentence)),
    )
}

const fn what_comes_next(reason: regrant_engine::reason::Reason) -> &'static str {
    use regrant_engine::reason::Reason;
    match reason {
        Reason::Reused => {
            "Whoever held a copy holds nothing now. Ada signs in again, and a mail that tells her why waits to be sent. Her other \
             devices stay signed in."
        }
        Reason::SignedOut => "The refresh token works no more, wherever it is. Sign in to play again.",
        _ => "Sign in to play again.",
    }
}

/// The browser's refresh token.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == COOKIE && !value.is_empty()).map(|(_, value)| value)
}

/// The script's access token: after a sign-out, all that still names the session.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Hands the cookie on to the browser that it is meant for.
fn with_cookie_of(answer: &Answer, mut response: Response) -> Response {
    if let Some(cookie) = answer.cookie_line().ok().and_then(|line| HeaderValue::from_str(line).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The sentence of the answer's problem document, in a page's words.
fn turned_away(answer: &Answer) -> String {
    if answer.text("/code").is_ok_and(|code| code == "invalid_credentials") {
        return "The e-mail address or the password is wrong. Correct it and sign in again.".to_owned();
    }
    answer.text("/detail").unwrap_or_else(|_| format!("The server answered {}.", answer.status))
}

fn told(played: &str) -> Response {
    Json(json!({ "played": played })).into_response()
}

fn not_signed_in() -> Response {
    (StatusCode::UNAUTHORIZED, Json(json!({"played": "Nobody is signed in here any more. Sign in first."})))
        .into_response()
}

fn broken(why: &str) -> Response {
    tracing::error!(why, "the demo could not play this");
    let played = "The demo could not play this. Its terminal says why.";
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "played": played }))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::{comes_from_here, cookie};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_page_may_act() {
        let host = ("host", "127.0.0.1:4000");
        assert!(comes_from_here(&headers(&[host, ("origin", "http://127.0.0.1:4000")])));
        assert!(comes_from_here(&headers(&[("host", "localhost:4000"), ("origin", "http://localhost:4000")])));
        for origin in ["null", "http://127.0.0.1:3000", "https://127.0.0.1:4000", "http://evil.example", ""] {
            assert!(!comes_from_here(&headers(&[host, ("origin", origin)])), "{origin}");
        }
        assert!(!comes_from_here(&headers(&[host])), "a browser's POST has an origin");
        let rebound = headers(&[("host", "evil.example:4000"), ("origin", "http://evil.example:4000")]);
        assert!(!comes_from_here(&rebound));
    }

    #[test]
    fn the_cookie_is_found_among_others_and_an_empty_one_is_none() {
        assert_eq!(cookie(&headers(&[("cookie", "a=b; regrant-dev=rg1_x; c=d")])), Some("rg1_x"));
        assert_eq!(cookie(&headers(&[("cookie", "a=b; regrant-dev=")])), None);
        assert_eq!(cookie(&headers(&[])), None);
    }
}
