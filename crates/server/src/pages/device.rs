//! The page for devices without a keyboard: type the code, allow or do not, done.

use regrant_engine::time::Seconds;

use super::{Application, Words, account_link, button, escaped, form, links_of, list_of, put};

/// What stands on `/device`.
#[derive(Debug)]
pub(crate) enum DevicePage<'p> {
    /// Type the code.
    Enter {
        /// What was typed before, or stands in the address.
        typed: &'p str,
        /// What is wrong with it.
        wrong: Option<WrongCode>,
    },
    /// Allow it?
    Confirm {
        /// Whose device it is.
        application: &'p Application,
        /// The sealed request that waits.
        request: &'p str,
        /// Who is asked.
        user: &'p str,
        /// The code, to be compared.
        code: &'p str,
        /// What for.
        scope: &'p str,
        /// What parts of it mean, where somebody has said so.
        described: &'p [(String, String)],
        /// How long it lasts without use, if it outlives the session.
        offline: Option<Seconds>,
    },
    /// It was answered.
    Done {
        /// Whose device it is.
        application: &'p Application,
        /// Whether it was allowed.
        allowed: bool,
    },
}

/// What is wrong with a code.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WrongCode {
    /// It can be none.
    Malformed,
    /// No device waits with it.
    Unknown,
    /// Too many were wrong.
    Limited(Seconds),
}

/// What the page says.
pub(crate) struct DeviceWords {
    enter: &'static str,
    enter_intro: &'static str,
    code: &'static str,
    code_form: &'static str,
    malformed: &'static str,
    unknown: &'static str,
    limited: &'static str,
    confirm: &'static str,
    confirm_code: &'static str,
    confirm_own: &'static str,
    confirm_intro: &'static str,
    lasts: &'static str,
    allowed: &'static str,
    allowed_what: &'static str,
    denied: &'static str,
    denied_what: &'static str,
}

pub(super) const ENGLISH: DeviceWords = DeviceWords {
    enter: "Connect a device",
    enter_intro: "Type the code that your device shows.",
    code: "Code",
    code_form: "Eight letters, such as BCDF-GHJK.",
    malformed: "This is no whole code: it has eight letters, and no vowels. Look at your device and try again.",
    unknown: "No device waits with this code. Look at it once more; if your device shows another one by now, type that.",
    limited: "That went wrong too often. Wait {seconds} seconds and try again.",
    confirm: "Connect {app}?",
    confirm_code: "Your device must show this code:",
    confirm_own: "Go on only if you started this on your own device. If somebody sent you here or gave you the code, it is \
                  they who would get in.",
    confirm_intro: "On that device, {app} would like to:",
    lasts: "You can take it back at any time in {account}.",
    allowed: "Your device is connected",
    allowed_what: "{app} goes on by itself in a few seconds. You can close this page.",
    denied: "Your device is not connected",
    denied_what: "{app} gets nothing. You can close this page.",
};

pub(super) const GERMAN: DeviceWords = DeviceWords {
    enter: "Ein Gerät verbinden",
    enter_intro: "Geben Sie den Code ein, den Ihr Gerät anzeigt.",
    code: "Code",
    code_form: "Acht Buchstaben, etwa BCDF-GHJK.",
    malformed: "Das ist kein ganzer Code: Er hat acht Buchstaben, darunter keine Vokale. Sehen Sie auf Ihr Gerät und versuchen Sie \
                es noch einmal.",
    unknown: "Auf diesen Code wartet kein Gerät. Sehen Sie noch einmal nach; zeigt Ihr Gerät inzwischen einen anderen, nehmen Sie \
              den.",
    limited: "Das ging zu oft schief. Warten Sie {seconds} Sekunden und versuchen Sie es dann noch einmal.",
    confirm: "{app} verbinden?",
    confirm_code: "Ihr Gerät muss diesen Code anzeigen:",
    confirm_own: "Machen Sie nur weiter, wenn Sie das auf Ihrem eigenen Gerät begonnen haben. Hat jemand Sie hierher geschickt oder \
                  Ihnen den Code gegeben, bekäme er den Zugang.",
    confirm_intro: "Auf diesem Gerät möchte {app}:",
    lasts: "In {account} können Sie es jederzeit zurücknehmen.",
    allowed: "Ihr Gerät ist verbunden",
    allowed_what: "{app} macht in wenigen Sekunden von selbst weiter. Sie können diese Seite schließen.",
    denied: "Ihr Gerät ist nicht verbunden",
    denied_what: "{app} bekommt nichts. Sie können diese Seite schließen.",
};

impl DevicePage<'_> {
    /// Title and body.
    pub(super) fn parts(&self, words: &Words) -> (String, String) {
        let own = &words.device;
        match self {
            Self::Enter { typed, wrong } => (own.enter.to_owned(), enter(words, typed, *wrong)),
            Self::Confirm { application, .. } => {
                (put(own.confirm, "{app}", &application.name), self.confirm(words).unwrap_or_default())
            }
            Self::Done { application, allowed } => {
                let (title, what) =
                    if *allowed { (own.allowed, own.allowed_what) } else { (own.denied, own.denied_what) };
                (title.to_owned(), format!("<p>{}</p>\n", put(what, "{app}", &application.name)))
            }
        }
    }

    fn confirm(&self, words: &Words) -> Option<String> {
        let Self::Confirm { application, request, user, code, scope, described, offline } = self else {
            return None;
        };
        let own = &words.device;
        let buttons = button("allow", " class=\"primary\" name=\"decision\" value=\"allow\"", words.allow)
            + &button("deny", " name=\"decision\" value=\"deny\"", words.deny);
        let (items, lasts) = list_of(words, application, (scope, described), *offline);
        Some(format!(
            "<p>{}</p>\n<p class=\"code\">{}</p>\n<p><strong>{}</strong></p>\n<p>{}</p>\n<ul class=\"granted\">\n{items}</ul>\n\
             <p>{lasts} {}</p>\n{}<p class=\"quiet\">{}</p>\n{}",
            own.confirm_code,
            escaped(code),
            own.confirm_own,
            put(own.confirm_intro, "{app}", &application.name),
            own.lasts.replace("{account}", &account_link(words)),
            form("post", "/device", request, &buttons),
            put(words.not_you, "{user}", user),
            links_of(application, words),
        ))
    }
}

fn enter(words: &Words, typed: &str, wrong: Option<WrongCode>) -> String {
    let own = &words.device;
    let told = wrong.map(|wrong| match wrong {
        WrongCode::Malformed => own.malformed.to_owned(),
        WrongCode::Unknown => own.unknown.to_owned(),
        WrongCode::Limited(after) => own.limited.replace("{seconds}", &after.0.to_string()),
    });
    let told = told.map(|told| format!("<p class=\"error\" id=\"problem\" role=\"alert\">{told}</p>\n"));
    let invalid = match told {
        Some(_) => " aria-invalid=\"true\" aria-describedby=\"form-of-code problem\"",
        None => " aria-describedby=\"form-of-code\"",
    };
    let fields = format!(
        "<div class=\"field\">\n<label for=\"user_code\">{}</label>\n<input class=\"code\" id=\"user_code\" name=\"user_code\" \
         type=\"text\" autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"32\" required \
         value=\"{}\"{invalid} autofocus>\n<p class=\"quiet\" id=\"form-of-code\">{}</p>\n{}</div>\n{}",
        own.code,
        escaped(typed),
        own.code_form,
        told.unwrap_or_default(),
        button("submit-button", " class=\"primary\"", words.go_on),
    );
    format!("<p>{}</p>\n{}", own.enter_intro, form("post", "/device", "", &fields))
}
