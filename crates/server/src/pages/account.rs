//! `/account`: a list of plain facts, and the way to end each.

use regrant_engine::time::{Seconds, Time};

use super::{Look, Words, button, form_with, password_field, put, scopes_in_words, show_typed};
use crate::timeline::escaped;

/// Where it is.
pub(crate) const PATH: &str = "/account";

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    pub(crate) user: String,
    /// Now, for what is told by how long ago it was.
    pub(crate) now: Time,
    pub(crate) devices: Vec<Device>,
    pub(crate) applications: Vec<Access>,
    /// Newest first.
    pub(crate) activity: Vec<Activity>,
    /// What was just done.
    pub(crate) done: Option<Done>,
}

/// A session, as its owner sees it.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: String,
    /// What an application calls it.
    pub(crate) name: Option<String>,
    /// "Firefox on Linux".
    pub(crate) program: String,
    pub(crate) network: String,
    pub(crate) signed_in_at: Time,
    /// By the hour.
    pub(crate) last_used_at: Time,
    pub(crate) is_current: bool,
}

/// An application with access.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scope: String,
    /// What parts of it mean, where somebody has said so.
    pub(crate) described: Vec<(String, String)>,
    pub(crate) since: Time,
    pub(crate) offline: bool,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) struct Activity {
    pub(crate) at: Time,
    /// What, with `{app}` in it.
    pub(crate) sentence: &'static str,
    pub(crate) application: String,
    pub(crate) reason: Option<&'static str>,
    pub(crate) program: Option<String>,
    pub(crate) network: Option<String>,
    /// Its session's history can be looked at.
    pub(crate) session: Option<String>,
}

/// What was just done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Done {
    Ended,
    EndedOthers,
    Withdrawn,
    Password,
    Gone,
}

/// What is asked before something is ended.
#[derive(Debug)]
pub(crate) enum Question {
    /// One device.
    End(Device),
    /// All others.
    EndOthers,
    /// What an application may do.
    Withdraw {
        /// Its id.
        client: String,
        /// Its name.
        name: String,
    },
}

/// A change of password.
#[derive(Debug)]
pub(crate) struct Password {
    pub(crate) user: String,
    /// At least so many characters.
    pub(crate) shortest: usize,
    /// The sentence under the field.
    pub(crate) problem: Option<Mistake>,
}

/// Which field is wrong, and why.
#[derive(Debug)]
pub(crate) enum Mistake {
    Current(String),
    New(String),
}

/// What happened to one device.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) device: String,
    pub(crate) drawing: String,
    pub(crate) sentences: String,
}

impl Done {
    /// As an address says it.
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("ended", Self::Ended),
        ("ended-others", Self::EndedOthers),
        ("withdrawn", Self::Withdrawn),
        ("password", Self::Password),
        ("gone", Self::Gone),
    ];

    const fn in_words(self, words: &Words) -> &'static str {
        let words = &words.account;
        match self {
            Self::Ended => words.done_ended,
            Self::EndedOthers => words.done_ended_others,
            Self::Withdrawn => words.done_withdrawn,
            Self::Password => words.done_password,
            Self::Gone => words.done_gone,
        }
    }
}

impl Device {
    /// What its owner knows it by.
    pub(crate) fn called(&self, words: &Words) -> String {
        self.name.clone().unwrap_or_else(|| program(&self.program, words))
    }
}

/// "Firefox on Linux" in the page's language.
pub(crate) fn program(family: &str, words: &Words) -> String {
    let words = &words.account;
    match family.rsplit_once(" on ") {
        Some(("unknown", system)) => system.to_owned(),
        Some((program, system)) => format!("{program} {} {system}", words.on),
        None if family == "unknown" || family.is_empty() => words.unknown_device.to_owned(),
        None => family.to_owned(),
    }
}

/// A point in time in a history: one at a full hour says which hour it was, and no more.
pub(crate) fn shown_in_history(at: Time, words: &Words) -> String {
    let text = shown(at, words);
    if at != at.hour() {
        return text;
    }
    let next = Time::from_millis(at.millis() + Seconds::HOUR.millis()).to_string();
    text.replace("</time>", &format!("\u{2013}{}</time>", next.get(11..16).unwrap_or_default()))
}

/// A point in time for people.
fn shown(at: Time, words: &Words) -> String {
    let machine = at.to_string();
    let part = |range| machine.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| words.account.months.get(month.checked_sub(1)?));
    let text = words
        .account
        .date
        .replace("{day}", part(8..10).trim_start_matches('0'))
        .replace("{month}", month.copied().unwrap_or_default())
        .replace("{year}", part(0..4))
        .replace("{time}", part(11..16));
    format!("<time datetime=\"{}\">{text}</time>", escaped(&machine))
}

/// How long ago, in whole hours: it tells no more than the hour.
fn ago(at: Time, now: Time, words: &Words) -> String {
    let hours = now.hour().millis_since(at.hour()) / Seconds::HOUR.millis();
    let words = &words.account;
    match hours {
        0 => words.this_hour.to_owned(),
        1 => words.an_hour_ago.to_owned(),
        2..24 => words.hours_ago.replace("{n}", &hours.to_string()),
        24..48 => words.a_day_ago.to_owned(),
        _ => words.days_ago.replace("{n}", &(hours / 24).to_string()),
    }
}

fn from(network: &str, words: &Words) -> String {
    put(words.account.from, "{network}", network)
}

/// An address of this page. What stands in it is of our own making, or encoded.
fn at(view: &str, name: &str, value: &str) -> String {
    let more = if name.is_empty() { String::new() } else { format!("&{name}={}", crate::http::encoded(value)) };
    escaped(&format!("{PATH}?view={view}{more}"))
}

/// A link that looks like a button; for whoever only hears it, with what it is about.
fn go(href: &str, text: &str, about: &str) -> String {
    let about = if about.is_empty() {
        String::new()
    } else {
        format!("<span class=\"unseen\">: {}</span>", escaped(&crate::text::printable(about)))
    };
    format!("<a class=\"button\" href=\"{href}\">{text}{about}</a>\n")
}

impl Overview {
    pub(super) fn html(&self, look: Look<'_>) -> String {
        let (words, all) = (&look.words.account, look.words);
        let done = self.done.map(|done| format!("<p class=\"notice\" role=\"status\">{}</p>\n", done.in_words(all)));
        let devices: String = self.devices.iter().map(|device| self.device(device, all)).collect();
        let others = if self.devices.iter().any(|device| !device.is_current) {
            go(&at("end-others", "", ""), words.end_others, "")
        } else {
            String::new()
        };
        let applications = if self.applications.is_empty() {
            format!("<p>{}</p>\n", words.no_applications)
        } else {
            let rows: String = self.applications.iter().map(|application| application.row(all)).collect();
            format!("<p>{}</p>\n<ul class=\"rows\">\n{rows}</ul>\n", words.applications_what)
        };
        let activity = if self.activity.is_empty() {
            format!("<p>{}</p>\n", words.no_activity)
        } else {
            let rows: String = self.activity.iter().map(|activity| activity.row(all)).collect();
            format!("<ol class=\"rows\">\n{rows}</ol>\n")
        };
        format!(
            "<p>{} <a href=\"/logout\">{}</a></p>\n{}{}{}{}{}<p class=\"quiet\">{}</p>\n",
            put(all.not_you, "{user}", &self.user),
            all.sign_out,
            done.unwrap_or_default(),
            section(
                "devices",
                words.devices,
                &format!("<p>{}</p>\n<ul class=\"rows\">\n{devices}</ul>\n{others}", words.devices_what)
            ),
            section("applications", words.applications, &applications),
            section(
                "password",
                words.password,
                &format!("<p>{}</p>\n{}", words.password_what, go(&at("password", "", ""), words.change_password, ""))
            ),
            section("activity", words.activity, &activity),
            words.times
        )
    }

    fn device(&self, device: &Device, all: &Words) -> String {
        let words = &all.account;
        let called = device.called(all);
        let badge = if device.is_current {
            format!(" <span class=\"badge\">{}</span>", words.this_device)
        } else {
            String::new()
        };
        // What an application calls a device stands beside what it is.
        let program = device.name.as_ref().map(|_| escaped(&program(&device.program, all)) + ", ").unwrap_or_default();
        let end = if device.is_current {
            go("/logout", words.end, &called)
        } else {
            go(&at("end", "session", &device.id), words.end, &called)
        };
        format!(
            "<li>\n<div><strong>{}</strong>{badge}<br>\n<span class=\"quiet\">{program}{}, {}, {}</span></div>\n<div class=\"ways\">\n{}{end}</div>\n\
             </li>\n",
            escaped(&crate::text::printable(&called)),
            from(&device.network, all),
            words.last_used.replace("{ago}", &ago(device.last_used_at, self.now, all)),
            words.signed_in_at.replace("{at}", &shown(device.signed_in_at, all)),
            go(&at("history", "session", &device.id), words.history, &called),
        )
    }
}

fn section(id: &str, title: &str, body: &str) -> String {
    format!("<section class=\"card\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{body}</section>\n")
}

impl Access {
    fn row(&self, all: &Words) -> String {
        let words = &all.account;
        let away = if self.offline { format!(", {}", words.while_away) } else { String::new() };
        format!(
            "<li>\n<div><strong>{}</strong><br>\n<span class=\"quiet\">{}{away}</span>\n<ul class=\"plain\">\n{}</ul></div>\n\
             <div class=\"ways\">\n{}</div>\n</li>\n",
            escaped(&crate::text::printable(&self.name)),
            words.since.replace("{at}", &shown(self.since, all)),
            scopes_in_words(all, &self.scope, &self.described),
            go(&at("withdraw", "client", &self.id), words.withdraw, &self.name)
        )
    }
}

impl Activity {
    fn row(&self, all: &Words) -> String {
        let words = &all.account;
        let reason = self.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let program = self.program.as_deref().map(|family| format!(", {}", escaped(&program(family, all))));
        let network = self.network.as_deref().map(|network| format!(" {}", from(network, all)));
        let history = self.session.as_deref().map(|session| {
            let about = if self.application.is_empty() { self.sentence } else { &self.application };
            format!(
                "<div class=\"ways\">\n<a href=\"{}\">{}<span class=\"unseen\">: {}</span></a>\n</div>\n",
                at("history", "session", session),
                words.history,
                escaped(about)
            )
        });
        format!(
            "<li>\n<div>{}{reason}<br>\n<span class=\"quiet\">{}{}{}</span></div>\n{}</li>\n",
            put(self.sentence, "{app}", &self.application),
            shown(self.at, all),
            program.unwrap_or_default(),
            network.unwrap_or_default(),
            history.unwrap_or_default()
        )
    }
}

impl Question {
    pub(super) fn title(&self, words: &Words) -> String {
        let account = &words.account;
        match self {
            Self::End(device) => put(account.end_question, "{device}", &device.called(words)),
            Self::EndOthers => account.end_others_question.to_owned(),
            Self::Withdraw { name, .. } => put(account.withdraw_question, "{app}", name),
        }
    }

    pub(super) fn html(&self, words: &Words) -> String {
        let account = &words.account;
        let (sentence, fields, yes) = match self {
            Self::End(device) => {
                let sentence = account.end_what.replace("{from}", &from(&device.network, words));
                (sentence, vec![("action", "end"), ("session", device.id.as_str())], account.end)
            }
            Self::EndOthers => (account.end_others_what.to_owned(), vec![("action", "end-others")], account.end_others),
            Self::Withdraw { client, name } => (
                put(account.withdraw_what, "{app}", name),
                vec![("action", "withdraw"), ("client", client.as_str())],
                account.withdraw,
            ),
        };
        let yes = button("submit-button", " class=\"primary\"", yes);
        format!(
            "<p>{sentence}</p>\n{}<a class=\"button\" href=\"{PATH}\">{}</a>\n",
            form_with("post", PATH, &fields, &yes),
            account.keep
        )
    }
}

impl Password {
    pub(super) fn html(&self, all: &Words) -> String {
        let words = &all.account;
        let (current, new) = match &self.problem {
            None => (None, None),
            Some(Mistake::Current(why)) => (Some(why.as_str()), None),
            Some(Mistake::New(why)) => (None, Some(why.as_str())),
        };
        let rules = words.password_rules.replace("{n}", &self.shortest.to_string());
        let fields = format!(
            "<input type=\"text\" name=\"username\" autocomplete=\"username\" value=\"{}\" hidden>\n{}{}{}{}",
            escaped(&self.user),
            password_field("current", "current-password", words.current_password, None, current, new.is_none()),
            password_field("new", "new-password", words.new_password, Some(&rules), new, new.is_some()),
            show_typed(all),
            button("submit-button", " class=\"primary\"", words.change_password)
        );
        format!(
            "<p>{}</p>\n{}<a class=\"button\" href=\"{PATH}\">{}</a>\n",
            words.password_ends,
            form_with("post", PATH, &[("action", "password")], &fields),
            words.keep
        )
    }
}

impl History {
    pub(super) fn html(&self, words: &Words) -> String {
        let account = &words.account;
        format!(
            "<section class=\"card\">\n<p>{}</p>\n{}{}</section>\n<p class=\"quiet\">{}</p>\n<p><a href=\"{PATH}\">{}</a></p>\n",
            account.history_what, self.drawing, self.sentences, account.times, account.back
        )
    }
}
