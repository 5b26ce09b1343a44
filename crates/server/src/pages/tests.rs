//! Every page, rendered from samples: whole, escaped, and with what people and scripted browsers look for.

use regrant_engine::{event::EventKind, factor::password::Weakness, reason::Reason, time::Time};

use super::{
    account::{Access, Activity, Device, Done, History, Mistake, Overview, Password, Question},
    *,
};

const EVIL: &str = "<script>alert(1)</script>\"'&";

fn evil() -> Application {
    Application {
        name: EVIL.to_owned(),
        logo: Some("https://app.example/logo.svg".to_owned()),
        policy: Some("https://app.example/privacy?a=1&b=2".to_owned()),
        terms: None,
    }
}

struct Samples {
    application: Application,
    overview: Overview,
    questions: [Question; 3],
    passwords: [Password; 3],
    history: History,
}

fn evil_samples() -> Samples {
    let now = Time::from_millis(1_790_000_000_000);
    let device = |hours: i64, name: Option<&str>| Device {
        id: "ses_1".to_owned(),
        name: name.map(str::to_owned),
        program: EVIL.to_owned(),
        network: EVIL.to_owned(),
        signed_in_at: now,
        last_used_at: Time::from_millis(now.millis() - hours * 3_600_000),
        is_current: hours == 0,
    };
    let activity = |sentence| Activity {
        at: now,
        sentence,
        application: EVIL.to_owned(),
        reason: Some("a reason"),
        program: Some(EVIL.to_owned()),
        network: Some(EVIL.to_owned()),
        session: Some("ses_1".to_owned()),
    };
    let password = |problem| Password { user: EVIL.to_owned(), shortest: 12, problem };
    Samples {
        application: evil(),
        overview: Overview {
            user: EVIL.to_owned(),
            now,
            devices: [0, 1, 5, 25, 50].map(|hours| device(hours, Some(EVIL).filter(|_| hours < 2))).into(),
            applications: vec![Access {
                id: EVIL.to_owned(),
                name: EVIL.to_owned(),
                scope: "openid offline_access x<y".to_owned(),
                described: vec![],
                since: now,
                offline: true,
            }],
            activity: ["plain", "with {app}"].map(activity).into(),
            done: Some(Done::Ended),
        },
        questions: [
            Question::End(device(1, Some(EVIL))),
            Question::EndOthers,
            Question::Withdraw { client: EVIL.to_owned(), name: EVIL.to_owned() },
        ],
        passwords: [None, Some(Mistake::Current("why".to_owned())), Some(Mistake::New("why".to_owned()))].map(password),
        history: History { device: EVIL.to_owned(), drawing: String::new(), sentences: String::new() },
    }
}

fn samples(all: &Samples) -> Vec<(&'static str, Page<'_>)> {
    let application = &all.application;
    vec![
        (
            "login",
            Page::Login {
                application: Some(application),
                request: EVIL,
                identifier: EVIL,
                problem: Some(Problem::Wrong),
            },
        ),
        ("bare login", Page::Login { application: None, request: "", identifier: "", problem: None }),
        ("account", Page::Account(&all.overview)),
        (
            "consent",
            Page::Consent {
                application,
                request: EVIL,
                user: EVIL,
                scope: "openid offline_access x<y evil",
                described: Box::leak(Box::new([("evil".to_owned(), EVIL.to_owned())])),
                offline: Some(Seconds::days(90)),
            },
        ),
        ("logout", Page::Logout { user: EVIL, request: EVIL }),
        ("signed out", Page::SignedOut),
        ("error", Page::Error { sentence: EVIL, number: EVIL }),
        ("no error", Page::NoError),
        ("history", Page::AccountHistory(&all.history)),
        ("device", Page::Device(DevicePage::Enter { typed: EVIL, wrong: Some(WrongCode::Limited(Seconds(5))) })),
        (
            "device to be connected",
            Page::Device(DevicePage::Confirm {
                application,
                request: EVIL,
                user: EVIL,
                code: "BCDF-GHJK",
                scope: "openid offline_access x<y",
                described: &[],
                offline: Some(Seconds::days(90)),
            }),
        ),
        ("device connected", Page::Device(DevicePage::Done { application, allowed: true })),
        ("device not connected", Page::Device(DevicePage::Done { application, allowed: false })),
    ]
    .into_iter()
    .chain(all.questions.iter().map(|question| ("question", Page::AccountQuestion(question))))
    .chain(all.passwords.iter().map(|password| ("password", Page::AccountPassword(password))))
    .collect()
}

/// Every look: each language, with and without a brand.
fn looks(brands: &[Brand; 2]) -> Vec<Look<'_>> {
    brands.iter().flat_map(|brand| LANGUAGES.map(|words| Look { words, brand })).collect()
}

fn brands() -> [Brand; 2] {
    let config =
        toml::from_str("[server]\nbrand_name = '<b>Us & you'\nbrand_logo = 'https://us.example/logo.svg'").unwrap();
    [Brand::default(), Brand::of(&config).unwrap()]
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let (all, brands) = (evil_samples(), brands());
    for look in looks(&brands) {
        for (name, page) in samples(&all) {
            let html = page.html(look);
            let ours = page.script().map(|script| format!("<script>{script}</script>")).unwrap_or_default();
            let rest = html.replace(&ours, "");
            assert!(
                !rest.contains("<script") && !rest.contains("alert(1)</") && !rest.contains("<b>"),
                "{name}: {html}"
            );
            assert!(!rest.contains('{'), "{name}: a place was left open in {html}");
            for tag in [
                "html", "head", "body", "main", "h1", "h2", "section", "form", "p", "ul", "ol", "li", "div", "a",
                "button", "label",
            ] {
                let (open, close) = (
                    html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count(),
                    html.matches(&format!("</{tag}>")).count(),
                );
                assert_eq!(open, close, "{name}: {tag} in {html}");
            }
            assert!(html.starts_with(&format!("<!doctype html>\n<html lang=\"{}\">", look.words.language)));
            assert_eq!(html.contains("&lt;b&gt;Us &amp; you</title>"), look.brand.name.is_some(), "{html}");
        }
    }
    let fields = [("state", EVIL.to_owned())];
    let look = Look { words: &ENGLISH, brand: &brands[0] };
    let application = evil();
    let posted =
        Page::FormPost { action: "https://app.example/cb?a=\"", application: &application, fields: &fields }.html(look);
    assert!(
        posted.matches("<script>").count() == 1 && posted.contains(SUBMIT) && !posted.contains("a=\"\""),
        "{posted}"
    );
}

#[test]
fn what_scripted_browsers_look_for_is_there() {
    let (samples_of, brands) = (evil_samples(), brands());
    let look = Look { words: &ENGLISH, brand: &brands[0] };
    let (names, all): (Vec<_>, Vec<String>) =
        samples(&samples_of).into_iter().map(|(name, page)| (name, page.html(look))).unzip();
    for part in ["name=\"identifier\"", "name=\"password\"", "id=\"submit-button\"", ">Sign in</h1>"] {
        assert!(all[0].contains(part), "{part}");
    }
    for part in ["id=\"allow\"", "id=\"deny\"", "act for you while you are not there", "90 days", "x&lt;y"] {
        assert!(all[3].contains(part), "{part} in {}", all[3]);
    }
    assert!(all[0].contains("https://app.example/privacy?a=1&amp;b=2"));
    for part in
        ["within the last hour", "an hour ago", "5 hours ago", "a day ago", "2 days ago", "21 September 2026, 14:13"]
    {
        assert!(all[2].contains(part), "{part} in {}", all[2]);
    }
    let device = |name| &all[names.iter().position(|known| *known == name).unwrap()];
    for part in ["name=\"user_code\"", "id=\"submit-button\"", "Wait 5 seconds"] {
        assert!(device("device").contains(part), "{part} in {}", device("device"));
    }
    let page = device("device to be connected");
    for part in ["id=\"allow\"", "id=\"deny\"", "only if you started this on your own device", "BCDF-GHJK", "x&lt;y"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

/// Whoever asks in German reads no English, and the other way round; a name of a parameter is the same everywhere.
#[test]
fn a_page_is_in_one_language() {
    let (all, brands) = (evil_samples(), brands());
    let of = |words| Look { words, brand: &brands[0] };
    for ((name, english), (_, german)) in samples(&all).iter().zip(samples(&all).iter()) {
        let (english, german) = (english.html(of(&ENGLISH)), german.html(of(&GERMAN)));
        for (html, foreign) in [(&english, [" Sie ", " und ", " nicht "]), (&german, [" you ", " the ", " your "])] {
            let text: String =
                html.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
            let text = text.replace("the sentence", "");
            for word in foreign {
                assert!(!text.contains(word), "{name}: {word} in {text}");
            }
        }
    }
    for words in LANGUAGES {
        assert!(EventKind::ALL.iter().filter_map(|kind| words.account.events.of(*kind)).count() > 10);
        assert!(Reason::ALL.iter().all(|reason| !(words.account.reason)(*reason).is_empty()));
        assert!((words.account.weakness)(Weakness::TooShort(12)).contains("12"));
    }
}

#[test]
fn the_policy_lets_nothing_in_and_forms_lead_home_and_to_the_application() {
    let (all, brands) = (evil_samples(), brands());
    for look in looks(&brands) {
        for (name, page) in samples(&all) {
            let response = respond(StatusCode::OK, &page, look, Some("com.example.app:/cb"));
            assert_eq!(response.headers()[header::CONTENT_LANGUAGE], look.words.language);
            assert_eq!(response.headers()[header::VARY], "accept-language");
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
            assert!(
                policy.starts_with("default-src 'none'; style-src 'self'; ")
                    && policy.ends_with("frame-ancestors 'none'"),
                "{policy}"
            );
            assert!(policy.contains("form-action 'self' https: com.example.app:;"), "{policy}");
            // Nothing runs but what is named by its hash, and that only where passwords are typed.
            let runs = ["login", "bare login", "password"].contains(&name);
            assert_eq!(policy.contains("script-src 'sha256-"), runs, "{name}: {policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            let has_logo = ["login", "consent"].contains(&name);
            let logos = match (look.brand.name.is_some(), has_logo) {
                (false, false) => "",
                (false, true) => "img-src https://app.example;",
                (true, false) => "img-src https://us.example;",
                (true, true) => "img-src https://us.example https://app.example;",
            };
            assert!(policy.contains(logos) && policy.contains("img-src") != logos.is_empty(), "{name}: {policy}");
        }
    }
    assert!(STYLE.len() < 10 * 1024);
}
