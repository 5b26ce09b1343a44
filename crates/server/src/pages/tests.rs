//! Every page, rendered from samples: whole, escaped, and with what people and scripted browsers look for.

use super::*;

const EVIL: &str = "<script>alert(1)</script>\"'&";

fn evil() -> Application {
    Application {
        name: EVIL.to_owned(),
        logo: Some("https://app.example/logo.svg".to_owned()),
        policy: Some("https://app.example/privacy?a=1&b=2".to_owned()),
        terms: None,
    }
}

fn samples(application: &Application) -> Vec<(&'static str, Page<'_>)> {
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
        ("signed in", Page::SignedIn { user: EVIL }),
        (
            "consent",
            Page::Consent {
                application,
                request: EVIL,
                user: EVIL,
                scope: "openid offline_access x<y",
                offline: Some(Seconds::days(90)),
            },
        ),
        ("logout", Page::Logout { user: EVIL, request: EVIL }),
        ("signed out", Page::SignedOut),
        ("device", Page::Device(DevicePage::Enter { typed: EVIL, wrong: Some(WrongCode::Limited(Seconds(5))) })),
        (
            "device to be connected",
            Page::Device(DevicePage::Confirm {
                application,
                request: EVIL,
                user: EVIL,
                code: "BCDF-GHJK",
                scope: "openid offline_access x<y",
                offline: Some(Seconds::days(90)),
            }),
        ),
        ("device connected", Page::Device(DevicePage::Done { application, allowed: true })),
        ("device not connected", Page::Device(DevicePage::Done { application, allowed: false })),
        ("error", Page::Error { sentence: EVIL }),
    ]
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let application = evil();
    for (name, page) in samples(&application) {
        let html = page.html(&ENGLISH);
        assert!(!html.contains("<script") && !html.contains("alert(1)</"), "{name}: {html}");
        assert!(
            !html.contains("{app}")
                && !html.contains("{user}")
                && !html.contains("{days}")
                && !html.contains("{seconds}"),
            "{name}: {html}"
        );
        for tag in ["html", "head", "body", "main", "h1", "form", "p", "ul", "li", "div", "button", "label"] {
            let (open, close) = (
                html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count(),
                html.matches(&format!("</{tag}>")).count(),
            );
            assert_eq!(open, close, "{name}: {tag} in {html}");
        }
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"));
    }
    let fields = [("state", EVIL.to_owned())];
    let posted = Page::FormPost { action: "https://app.example/cb?a=\"", application: &application, fields: &fields }
        .html(&ENGLISH);
    assert!(
        posted.matches("<script>").count() == 1 && posted.contains(SUBMIT) && !posted.contains("a=\"\""),
        "{posted}"
    );
}

#[test]
fn what_scripted_browsers_look_for_is_there() {
    let application = evil();
    let all: Vec<String> = samples(&application).into_iter().map(|(_, page)| page.html(&ENGLISH)).collect();
    for part in ["name=\"identifier\"", "name=\"password\"", "id=\"submit-button\"", ">Sign in</h1>"] {
        assert!(all[0].contains(part), "{part}");
    }
    for part in ["id=\"allow\"", "id=\"deny\"", "act for you while you are not there", "90 days", "x&lt;y"] {
        assert!(all[3].contains(part), "{part} in {}", all[3]);
    }
    assert!(all[0].contains("https://app.example/privacy?a=1&amp;b=2"));
    for part in ["name=\"user_code\"", "id=\"submit-button\"", "Wait 5 seconds"] {
        assert!(all[6].contains(part), "{part} in {}", all[6]);
    }
    for part in ["id=\"allow\"", "id=\"deny\"", "only if you started this on your own device", "BCDF-GHJK", "x&lt;y"] {
        assert!(all[7].contains(part), "{part} in {}", all[7]);
    }
}

#[test]
fn the_policy_lets_nothing_in_and_forms_lead_home_and_to_the_application() {
    let application = evil();
    for (name, page) in samples(&application) {
        let response = respond(StatusCode::OK, &page, &ENGLISH, Some("com.example.app:/cb"));
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'; ") && policy.ends_with("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(
            policy.contains("form-action 'self' https: com.example.app:;") && !policy.contains("script-src"),
            "{policy}"
        );
        let has_logo = ["login", "consent"].contains(&name);
        assert_eq!(policy.contains("img-src https://app.example;"), has_logo, "{name}: {policy}");
    }
    assert!(STYLE.len() < 10 * 1024);
}
