//! The pages for people: server-rendered, without script, one hand-made style sheet.
//!
//! 1. Each page is a type with what it shows ([`Page`]); the handlers in `http/` fill it in. Whatever comes from outside is escaped
//!    where it is put in.
//! 2. The words are in `words.rs`, apart from the pages, one set for each language; the operator's name, logo and colour are in
//!    `brand.rs`. A [`Look`] is both.
//! 3. [`respond`] adds the headers. Nothing is loaded but the style sheet and the logos, nothing runs but a few lines of our own that
//!    the policy names by their hash and that no page needs, and no other site can frame a page (RFC 9700 §4.16).

pub(crate) mod account;
mod brand;
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
pub(crate) use brand::{Brand, LOGO_PATH};
pub(crate) use device::{DevicePage, WrongCode};
pub(crate) use words::{ENGLISH, ErrorWords, GERMAN, LANGUAGES, Words};

/// The one style sheet.
pub(crate) const STYLE: &str = include_str!("style.css");
/// Where it is.
pub(crate) const STYLE_PATH: &str = "/assets/style.css";

/// How pages look to somebody: in which language, and whose they are.
#[derive(Clone, Copy)]
pub(crate) struct Look<'l> {
    pub(crate) words: &'static Words,
    pub(crate) brand: &'l Brand,
}

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
        /// Those scopes that their resource has words for.
        described: &'p [(String, String)],
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
        /// The number of the request, which the log knows too.
        number: &'p str,
    },
    /// Where errors are told, and there is none.
    NoError,
    /// Somebody's account.
    Account(&'p account::Overview),
    /// Something of it is to be ended.
    AccountQuestion(&'p account::Question),
    /// Its password.
    AccountPassword(&'p account::Password),
    /// What happened to one of its devices.
    AccountHistory(&'p account::History),
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
pub(crate) fn respond(status: StatusCode, page: &Page<'_>, look: Look<'_>, leads_to: Option<&str>) -> Response {
    let html = page.html(look);
    let of_application = match page {
        Page::Login { application: Some(application), .. } | Page::Consent { application, .. } => {
            application.logo.as_deref()
        }
        _ => None,
    };
    // Ours is "self" if we serve it.
    let of_brand = look.brand.logo().map(|logo| origin(logo).unwrap_or_else(|| "'self'".to_owned()));
    let logos: Vec<String> = of_brand.into_iter().chain(of_application.and_then(origin)).collect();
    let img = if logos.is_empty() { String::new() } else { format!("img-src {}; ", logos.join(" ")) };
    let script = page.script().map(|script| {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, script.as_bytes()));
        format!("script-src 'sha256-{hash}'; ")
    });
    let script = script.unwrap_or_default();
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
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(look.words.language));
    headers.append(header::VARY, HeaderValue::from_static("accept-language"));
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

/// Lets passwords be seen while they are typed; without script they are not. They are hidden again before they are sent, so that
/// no browser keeps them as what one types into a text field.
const SHOW_TYPED: &str = "for(const l of document.querySelectorAll(\".show\")){const b=l.firstElementChild,f=l.closest(\"form\"),\
s=t=>{for(const i of f.querySelectorAll(\"[autocomplete$=-password]\"))i.type=t?\"text\":\"password\"};l.hidden=false;\
b.checked=false;b.onchange=()=>s(b.checked);f.addEventListener(\"submit\",()=>s(false))}";

impl Page<'_> {
    /// The whole document.
    pub(crate) fn html(&self, look: Look<'_>) -> String {
        let words = look.words;
        let (title, application, body) = self.parts(look);
        let head = application.map(|application| header_of(application, words)).unwrap_or_default();
        let links = application.map(|application| links_of(application, words)).unwrap_or_default();
        let (wide, card) = match self {
            Self::Account(_) | Self::AccountHistory(_) => (" class=\"wide\"", ""),
            _ => ("", " class=\"card\""),
        };
        let brand = brand_of(look);
        let name = look.brand.name.as_deref().map(|name| format!(" \u{2013} {}", escaped(name))).unwrap_or_default();
        let script = self.script().map(|script| format!("<script>{script}</script>\n")).unwrap_or_default();
        format!(
            "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <title>{title}{name}</title>\n<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">\n</head>\n<body{wide}>\n{brand}<main{card}>\n\
             {head}<h1>{title}</h1>\n{body}{links}</main>\n{script}</body>\n</html>\n",
            words.language
        )
    }

    /// What runs on it.
    const fn script(&self) -> Option<&'static str> {
        match self {
            Self::FormPost { .. } => Some(SUBMIT),
            Self::Login { .. } | Self::AccountPassword(_) => Some(SHOW_TYPED),
            _ => None,
        }
    }

    fn parts(&self, look: Look<'_>) -> (String, Option<&Application>, String) {
        let words = look.words;
        match self {
            Self::Login { application, request, identifier, problem } => {
                let title = words.sign_in.to_owned();
                (title, *application, login(words, request, identifier, *problem))
            }
            Self::Consent { application, request, user, scope, described, offline } => {
                let title = put(words.consent, "{app}", &application.name);
                (title, Some(application), consent(words, application, request, user, (scope, described), *offline))
            }
            Self::Logout { user, request } => {
                let sentence = put(words.sign_out_everywhere, "{user}", user);
                let form =
                    form("post", "/logout", request, &button("submit-button", " class=\"primary\"", words.sign_out));
                (words.sign_out_question.to_owned(), None, format!("<p>{sentence}</p>\n{form}"))
            }
            Self::SignedOut => (words.signed_out.to_owned(), None, format!("<p>{}</p>\n", words.signed_out_what)),
            Self::Error { sentence, number } => {
                let number = put(words.error.number, "{number}", number);
                let body =
                    format!("<p>{}</p>\n{}<p class=\"quiet\">{number}</p>\n", escaped(sentence), to_account(words));
                (words.failed.to_owned(), None, body)
            }
            Self::NoError => {
                let body = format!("<p>{}</p>\n{}", words.error.none_what, to_account(words));
                (words.error.none.to_owned(), None, body)
            }
            Self::Device(page) => {
                let (title, body) = page.parts(words);
                (title, None, body)
            }
            Self::FormPost { action, application, fields } => {
                let title = put(words.going_on, "{app}", &application.name);
                let button = button("submit-button", " class=\"primary\"", words.go_on);
                let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                (title, None, form_with("post", action, &fields, &button))
            }
            Self::Account(overview) => (words.account.title.to_owned(), None, overview.html(look)),
            Self::AccountQuestion(question) => (question.title(words), None, question.html(words)),
            Self::AccountPassword(password) => (words.account.change_password.to_owned(), None, password.html(words)),
            Self::AccountHistory(history) => {
                (put(words.account.history_of, "{device}", &history.device), None, history.html(words))
            }
        }
    }
}

/// Whose pages these are.
fn brand_of(look: Look<'_>) -> String {
    let (name, logo) = (look.brand.name.as_deref(), look.brand.logo());
    if name.is_none() && logo.is_none() {
        return String::new();
    }
    let logo = logo.map(|logo| format!("<img src=\"{}\" alt=\"\" referrerpolicy=\"no-referrer\">\n", escaped(logo)));
    let name = name.map(|name| format!("<span>{}</span>\n", escaped(name))).unwrap_or_default();
    format!("<header class=\"brand\">\n{}{name}</header>\n", logo.unwrap_or_default())
}

/// The way out that there always is.
fn to_account(words: &Words) -> String {
    format!("<p><a href=\"{}\">{}</a></p>\n", account::PATH, words.error.to_account)
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
        Problem::Limited(after) => words.is_limited(after),
        Problem::Busy => words.is_busy(),
    });
    // The cursor stands where something is to be typed.
    let first = if identifier.is_empty() { " autofocus" } else { "" };
    let fields = format!(
        "<div class=\"field\">\n<label for=\"identifier\">{}</label>\n<input id=\"identifier\" name=\"identifier\" type=\"text\" \
         inputmode=\"email\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required value=\"{}\"{first}>\n\
         </div>\n{}{}{}",
        words.identifier,
        escaped(identifier),
        password_field(
            "password",
            "current-password",
            words.password,
            None,
            problem.as_deref(),
            !identifier.is_empty()
        ),
        show_typed(words),
        button("submit-button", " class=\"primary\"", words.sign_in)
    );
    form("post", "/login", request, &fields)
}

/// A field for a password: what is asked of it before it, what is wrong with it behind it. `has_cursor`: something is to be typed
/// there first.
fn password_field(
    name: &str,
    autocomplete: &str,
    label: &str,
    hint: Option<&str>,
    problem: Option<&str>,
    has_cursor: bool,
) -> String {
    let hinted = hint.map(|hint| format!("<p class=\"hint\" id=\"{name}-hint\">{hint}</p>\n")).unwrap_or_default();
    // Only one field is wrong at a time, so the id is the only one of the page.
    let told = problem.map(|problem| format!("<p class=\"error\" id=\"problem\" role=\"alert\">{problem}</p>\n"));
    let mut described: Vec<String> = hint.map(|_| format!("{name}-hint")).into_iter().collect();
    described.extend(problem.map(|_| "problem".to_owned()));
    let described =
        if described.is_empty() { String::new() } else { format!(" aria-describedby=\"{}\"", described.join(" ")) };
    let invalid = if problem.is_some() { " aria-invalid=\"true\"" } else { "" };
    let cursor = if has_cursor { " autofocus" } else { "" };
    format!(
        "<div class=\"field\">\n<label for=\"{name}\">{label}</label>\n{hinted}<input id=\"{name}\" name=\"{name}\" type=\"password\" \
         autocomplete=\"{autocomplete}\" autocapitalize=\"none\" spellcheck=\"false\" required{invalid}{described}{cursor}>\n{}</div>\n",
        told.unwrap_or_default()
    )
}

/// Shows what is typed into the passwords of the same form. Hidden until the script is there that does so.
fn show_typed(words: &Words) -> String {
    format!("<label class=\"show\" hidden><input type=\"checkbox\"> {}</label>\n", words.show_password)
}

fn consent(
    words: &Words,
    application: &Application,
    request: &str,
    user: &str,
    (granted, described): (&str, &[(String, String)]),
    offline: Option<Seconds>,
) -> String {
    let (items, lasts) = list_of(words, application, (granted, described), offline);
    let buttons = button("allow", " class=\"primary\" name=\"decision\" value=\"allow\"", words.allow)
        + &button("deny", " name=\"decision\" value=\"deny\"", words.deny);
    format!(
        "<p>{}</p>\n<ul class=\"granted\">\n{items}</ul>\n<p>{lasts} {}</p>\n{}<p class=\"quiet\">{}</p>\n",
        put(words.consent_intro, "{app}", &application.name),
        words.consent_for_ever.replace("{account}", &account_link(words)),
        form("post", "/consent", request, &buttons),
        put(words.not_you, "{user}", user)
    )
}

/// What is allowed, as items of a list, and how long it lasts.
fn list_of(
    words: &Words,
    application: &Application,
    (granted, described): (&str, &[(String, String)]),
    offline: Option<Seconds>,
) -> (String, String) {
    let items = scopes_in_words(words, granted, described);
    let lasts = match offline {
        None => words.consent_session.to_owned(),
        Some(idle) => {
            let days = match idle.0 / Seconds::DAY.0 {
                0 | 1 => words.one_day.to_owned(),
                days => words.days.replace("{n}", &days.to_string()),
            };
            put(&words.consent_offline.replace("{days}", &days), "{app}", &application.name)
        }
    };
    (items, lasts)
}

/// The way to one's account, within a sentence.
fn account_link(words: &Words) -> String {
    format!("<a href=\"{}\">{}</a>", account::PATH, words.your_account)
}

/// What scopes mean, as items of a list.
fn scopes_in_words(words: &Words, scopes: &str, described: &[(String, String)]) -> String {
    let parts = scopes.split(' ').filter(|part| !part.is_empty());
    parts.map(|part| format!("<li>{}</li>\n", in_words(words, part, described))).collect()
}

/// What a scope means, for somebody who has never heard of scopes.
fn in_words(words: &Words, part: &str, described: &[(String, String)]) -> String {
    if let Some((_, said)) = described.iter().find(|(name, _)| name == part) {
        return escaped(&crate::text::printable(said));
    }
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

fn form_with(method: &str, action: &str, fields: &[(&str, &str)], within: &str) -> String {
    let fields: String = fields.iter().map(|(name, value)| hidden(name, value)).collect();
    format!("<form method=\"{method}\" action=\"{}\">\n{fields}{within}</form>\n", escaped(action))
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escaped(name), escaped(value))
}

fn button(id: &str, more: &str, text: &str) -> String {
    format!("<button type=\"submit\" id=\"{id}\"{more}>{text}</button>\n")
}

#[cfg(test)]
mod tests;
