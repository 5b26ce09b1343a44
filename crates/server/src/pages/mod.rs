//! The pages for people: server-rendered, without script, one hand-made style sheet.
//!
//! 1. Each page is a type with what it shows ([`Page`]); the handlers in `http/` fill it in. Whatever comes from outside is escaped
//!    where it is put in.
//! 2. The words are in `words.rs`, apart from the pages: a second language is a second set of them.
//! 3. [`respond`] adds the headers. Nothing runs and nothing is loaded but the style sheet and the application's own logo, and no
//!    other site can frame a page (RFC 9700 §4.16).

mod device;
mod words;

use aws_lc_rs::digest;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use regrant_engine::{
    client::{Client, redirect_uri::Parts},
    mint::ADMIN_SCOPE,
    scope,
    time::Seconds,
};

use crate::timeline::escaped;
pub(crate) use device::{DevicePage, WrongCode};
pub(crate) use words::{ENGLISH, Words};

/// The one style sheet.
pub(crate) const STYLE: &str = include_str!("style.css");
/// Where it is.
pub(crate) const STYLE_PATH: &str = "/assets/style.css";

/// The application that somebody comes from, as pages show it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Application {
    name: String,
    logo: Option<String>,
    policy: Option<String>,
    terms: Option<String>,
}

impl Application {
    pub(crate) fn of(client: &Client) -> Self {
        let metadata = &client.metadata;
        Self {
            name: client.shown_name().to_owned(),
            logo: metadata.logo_uri.clone(),
            policy: metadata.policy_uri.clone(),
            terms: metadata.tos_uri.clone(),
        }
    }
}

/// What stands on a page.
#[derive(Debug)]
pub(crate) enum Page<'p> {
    /// Sign in.
    Login {
        /// For whom; `None` if somebody just came.
        application: Option<&'p Application>,
        /// The sealed request that waits.
        request: &'p str,
        /// What was typed before, or hinted.
        identifier: &'p str,
        /// What went wrong.
        problem: Option<Problem>,
    },
    /// Somebody is signed in, and nothing waits.
    SignedIn {
        /// Who.
        user: &'p str,
    },
    /// Allow an application what it asks for.
    Consent {
        /// Which.
        application: &'p Application,
        /// The sealed request that waits.
        request: &'p str,
        /// Who is asked.
        user: &'p str,
        /// What for.
        scope: &'p str,
        /// How long it lasts without use, if it outlives the session.
        offline: Option<Seconds>,
    },
    /// Sign out?
    Logout {
        /// Who.
        user: &'p str,
        /// The sealed request that waits.
        request: &'p str,
    },
    /// Signed out, and nowhere to go.
    SignedOut,
    /// Connect a device.
    Device(DevicePage<'p>),
    /// Something went wrong that no application can be told.
    Error {
        /// What, why, and the way out.
        sentence: &'p str,
    },
    /// An answer that travels in a form (OAuth 2.0 Form Post Response Mode).
    FormPost {
        /// Where to.
        action: &'p str,
        /// For whom.
        application: &'p Application,
        /// What.
        fields: &'p [(&'static str, String)],
    },
}

/// What went wrong at a sign-in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Problem {
    Wrong,
    Limited(Seconds),
    Busy,
}

/// The page as a reply. `leads_to` is where its form may lead in the end, beside our own pages.
pub(crate) fn respond(status: StatusCode, page: &Page<'_>, words: &Words, leads_to: Option<&str>) -> Response {
    let html = page.html(words);
    let logo = match page {
        Page::Login { application: Some(application), .. } | Page::Consent { application, .. } => {
            application.logo.as_deref()
        }
        _ => None,
    };
    let img = logo.and_then(origin).map(|origin| format!("img-src {origin}; ")).unwrap_or_default();
    let script = match page {
        Page::FormPost { .. } => {
            let hash = STANDARD.encode(digest::digest(&digest::SHA256, SUBMIT.as_bytes()));
            format!("script-src 'sha256-{hash}'; ")
        }
        _ => String::new(),
    };
    // Browsers hold every redirect after a form against form-action, and an application may send people on to pages of its own:
    // its scheme is allowed, whatever the host.
    let target = leads_to
        .and_then(|uri| Parts::of(uri).ok())
        .map(|parts| format!(" https: {}:", parts.scheme))
        .unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; {img}{script}form-action 'self'{target}; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // With no-referrer browsers send `Origin: null` with a form, and nobody could tell where it comes from.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// The origin of an address, for a policy. What could end the policy's directive is no address of ours (`redirect_uri.rs`).
fn origin(uri: &str) -> Option<String> {
    let parts = Parts::of(uri).ok()?;
    let port = parts.port.map(|port| format!(":{port}")).unwrap_or_default();
    let is_plain = parts.host.chars().all(|c| c.is_ascii_alphanumeric() || "-.[]:".contains(c));
    is_plain.then(|| format!("{}://{}{port}", parts.scheme, parts.host))
}

/// Posts the form at once; whoever runs no script has the button.
const SUBMIT: &str = "document.forms[0].submit()";

impl Page<'_> {
    /// The whole document.
    pub(crate) fn html(&self, words: &Words) -> String {
        let (title, application, body) = self.parts(words);
        let head = application.map(|application| header_of(application, words)).unwrap_or_default();
        let links = application.map(|application| links_of(application, words)).unwrap_or_default();
        format!(
            "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <title>{title}</title>\n<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">\n</head>\n<body>\n<main class=\"card\">\n\
             {head}<h1>{title}</h1>\n{body}{links}</main>\n</body>\n</html>\n",
            words.language
        )
    }

    fn parts(&self, words: &Words) -> (String, Option<&Application>, String) {
        match self {
            Self::Login { application, request, identifier, problem } => {
                let title = words.sign_in.to_owned();
                (title, *application, login(words, request, identifier, *problem))
            }
            Self::SignedIn { user } => {
                let sentence = put(words.signed_in_as, "{user}", user);
                let form = form("get", "/logout", "", &button("submit-button", "", words.sign_out));
                (words.signed_in.to_owned(), None, format!("<p>{sentence}</p>\n{form}"))
            }
            Self::Consent { application, request, user, scope, offline } => {
                let title = put(words.consent, "{app}", &application.name);
                (title, Some(application), consent(words, application, request, user, scope, *offline))
            }
            Self::Logout { user, request } => {
                let sentence = put(words.sign_out_everywhere, "{user}", user);
                let form =
                    form("post", "/logout", request, &button("submit-button", " class=\"primary\"", words.sign_out));
                (words.sign_out_question.to_owned(), None, format!("<p>{sentence}</p>\n{form}"))
            }
            Self::SignedOut => (words.signed_out.to_owned(), None, format!("<p>{}</p>\n", words.signed_out_what)),
            Self::Device(page) => {
                let (title, body) = page.parts(words);
                (title, None, body)
            }
            Self::Error { sentence } => (words.failed.to_owned(), None, format!("<p>{}</p>\n", escaped(sentence))),
            Self::FormPost { action, application, fields } => {
                let title = put(words.going_on, "{app}", &application.name);
                let hidden: String = fields.iter().map(|(name, value)| hidden(name, value)).collect();
                let button = button("submit-button", " class=\"primary\"", words.go_on);
                let body = format!(
                    "<form method=\"post\" action=\"{}\">\n{hidden}{button}</form>\n<script>{SUBMIT}</script>\n",
                    escaped(action)
                );
                (title, None, body)
            }
        }
    }
}

fn header_of(application: &Application, words: &Words) -> String {
    let logo = application.logo.as_deref().map(|logo| {
        format!("<img class=\"logo\" src=\"{}\" alt=\"\" referrerpolicy=\"no-referrer\">\n", escaped(logo))
    });
    let line = put(words.to_go_on, "{app}", &application.name);
    format!("{}<p class=\"application\">{line}</p>\n", logo.unwrap_or_default())
}

fn links_of(application: &Application, words: &Words) -> String {
    let link = |uri: &Option<String>, text: &str| {
        let uri = uri.as_deref().map(escaped);
        uri.map(|uri| format!("<a href=\"{uri}\" rel=\"noreferrer\">{text}</a>\n")).unwrap_or_default()
    };
    let links = link(&application.policy, words.policy) + &link(&application.terms, words.terms);
    if links.is_empty() { links } else { format!("<p class=\"links\">\n{links}</p>\n") }
}

fn login(words: &Words, request: &str, identifier: &str, problem: Option<Problem>) -> String {
    let problem = problem.map(|problem| match problem {
        Problem::Wrong => words.wrong.to_owned(),
        Problem::Limited(after) => words.limited.replace("{seconds}", &after.0.to_string()),
        Problem::Busy => words.busy.to_owned(),
    });
    let told = problem.map(|problem| format!("<p class=\"error\" id=\"problem\" role=\"alert\">{problem}</p>\n"));
    let invalid = if told.is_some() { " aria-invalid=\"true\" aria-describedby=\"problem\"" } else { "" };
    // The cursor stands where something is to be typed.
    let (first, second) = if identifier.is_empty() { (" autofocus", "") } else { ("", " autofocus") };
    let fields = format!(
        "<div class=\"field\">\n<label for=\"identifier\">{}</label>\n<input id=\"identifier\" name=\"identifier\" type=\"text\" \
         inputmode=\"email\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required value=\"{}\"{first}>\n\
         </div>\n<div class=\"field\">\n<label for=\"password\">{}</label>\n<input id=\"password\" name=\"password\" \
         type=\"password\" autocomplete=\"current-password\" required{invalid}{second}>\n{}</div>\n{}",
        words.identifier,
        escaped(identifier),
        words.password,
        told.unwrap_or_default(),
        button("submit-button", " class=\"primary\"", words.sign_in)
    );
    form("post", "/login", request, &fields)
}

fn consent(
    words: &Words,
    application: &Application,
    request: &str,
    user: &str,
    granted: &str,
    offline: Option<Seconds>,
) -> String {
    let (items, lasts) = list_of(words, application, granted, offline);
    let buttons = button("allow", " class=\"primary\" name=\"decision\" value=\"allow\"", words.allow)
        + &button("deny", " name=\"decision\" value=\"deny\"", words.deny);
    format!(
        "<p>{}</p>\n<ul class=\"granted\">\n{items}</ul>\n<p>{lasts} {}</p>\n{}<p class=\"quiet\">{}</p>\n",
        put(words.consent_intro, "{app}", &application.name),
        words.consent_for_ever,
        form("post", "/consent", request, &buttons),
        put(words.not_you, "{user}", user)
    )
}

/// What is allowed, as items of a list, and how long it lasts.
fn list_of(words: &Words, application: &Application, granted: &str, offline: Option<Seconds>) -> (String, String) {
    let items: String = granted
        .split(' ')
        .filter(|part| !part.is_empty())
        .map(|part| format!("<li>{}</li>\n", in_words(words, part)))
        .collect();
    let lasts = match offline {
        None => words.consent_session.to_owned(),
        Some(idle) => {
            let days = words.days.replace("{n}", &(idle.0 / Seconds::DAY.0).max(1).to_string());
            put(&words.consent_offline.replace("{days}", &days), "{app}", &application.name)
        }
    };
    (items, lasts)
}

/// What a scope means, for somebody who has never heard of scopes.
fn in_words(words: &Words, part: &str) -> String {
    match part {
        scope::OPENID => words.scope_openid.to_owned(),
        scope::PROFILE => words.scope_profile.to_owned(),
        scope::EMAIL => words.scope_email.to_owned(),
        scope::ADDRESS => words.scope_address.to_owned(),
        scope::PHONE => words.scope_phone.to_owned(),
        scope::OFFLINE_ACCESS => words.scope_offline.to_owned(),
        ADMIN_SCOPE => words.scope_admin.to_owned(),
        other => put(words.scope_other, "{scope}", other),
    }
}

/// A sentence with what comes from outside in its place.
fn put(sentence: &str, place: &str, value: &str) -> String {
    sentence.replace(place, &escaped(&crate::text::printable(value)))
}

fn form(method: &str, action: &str, request: &str, within: &str) -> String {
    let waiting = if request.is_empty() { String::new() } else { hidden("request", request) };
    format!("<form method=\"{method}\" action=\"{action}\">\n{waiting}{within}</form>\n")
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escaped(name), escaped(value))
}

fn button(id: &str, more: &str, text: &str) -> String {
    format!("<button type=\"submit\" id=\"{id}\"{more}>{text}</button>\n")
}

#[cfg(test)]
mod tests;
