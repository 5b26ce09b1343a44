//! What the pages say. One set of words a language; a page is written once and takes one of them. `{app}` is the application.
//!
//! A set is a struct, so a language that lacks a sentence does not compile. What belongs to one page has a file of its own beside
//! this one, with all languages in it.

use regrant_engine::time::Seconds;

mod account;
mod error;
mod german;

pub(crate) use account::AccountWords;
pub(crate) use error::ErrorWords;
pub(crate) use german::GERMAN;

/// The words of one language.
pub(crate) struct Words {
    /// BCP 47.
    pub(crate) language: &'static str,
    /// The words of `/account`.
    pub(crate) account: AccountWords,
    /// The words of what went wrong.
    pub(crate) error: ErrorWords,
    /// The words of a session's timeline.
    pub(crate) timeline: &'static crate::timeline::Words,
    pub(super) sign_in: &'static str,
    pub(super) to_go_on: &'static str,
    pub(super) identifier: &'static str,
    pub(super) password: &'static str,
    pub(super) wrong: &'static str,
    pub(super) limited: &'static str,
    pub(super) busy: &'static str,
    pub(super) policy: &'static str,
    pub(super) terms: &'static str,
    pub(super) consent: &'static str,
    pub(super) consent_intro: &'static str,
    pub(super) consent_session: &'static str,
    pub(super) consent_offline: &'static str,
    pub(super) consent_for_ever: &'static str,
    pub(super) allow: &'static str,
    pub(super) deny: &'static str,
    pub(super) not_you: &'static str,
    pub(super) scope_openid: &'static str,
    pub(super) scope_profile: &'static str,
    pub(super) scope_email: &'static str,
    pub(super) scope_address: &'static str,
    pub(super) scope_phone: &'static str,
    pub(super) scope_offline: &'static str,
    pub(super) scope_admin: &'static str,
    pub(super) scope_other: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) sign_out_question: &'static str,
    pub(super) sign_out_everywhere: &'static str,
    pub(super) signed_out: &'static str,
    pub(super) signed_out_what: &'static str,
    pub(super) failed: &'static str,
    pub(super) go_on: &'static str,
    pub(super) going_on: &'static str,
    pub(super) days: &'static str,
    pub(super) one_day: &'static str,
    pub(super) show_password: &'static str,
    pub(super) your_account: &'static str,
    pub(super) device: super::device::DeviceWords,
}

/// The first language, and the one for whoever wants another one.
pub(crate) static ENGLISH: Words = Words {
    language: "en",
    account: account::ENGLISH,
    error: error::ENGLISH,
    timeline: &crate::timeline::ENGLISH,
    sign_in: "Sign in",
    to_go_on: "to go on to {app}",
    identifier: "E-mail address or username",
    password: "Password",
    wrong: "That is not the right name or the right password. Look at both and try again.",
    limited: "That went wrong too often. Wait {seconds} seconds and try again.",
    busy: "Too many people are signing in. Try again in a moment.",
    policy: "Privacy policy",
    terms: "Terms of service",
    consent: "Allow {app}?",
    consent_intro: "{app} would like to:",
    consent_session: "This lasts as long as you are signed in here.",
    consent_offline: "This goes on when you are signed out here, until {app} has not used it for {days}.",
    consent_for_ever: "You are asked once. You can take it back whenever you like, in {account}.",
    allow: "Allow",
    deny: "Do not allow",
    not_you: "You are signed in as {user}.",
    scope_openid: "know that it is you when you come back",
    scope_profile: "see your name and what else your profile says",
    scope_email: "see your e-mail address",
    scope_address: "see your postal address",
    scope_phone: "see your telephone number",
    scope_offline: "act for you while you are not there",
    scope_admin: "administer this server in your name",
    scope_other: "use \u{201c}{scope}\u{201d} in your name",
    sign_out: "Sign out",
    sign_out_question: "Do you want to sign out?",
    sign_out_everywhere: "You are signed in as {user}. Signing out ends it for every application that you use with this sign-in.",
    signed_out: "You are signed out",
    signed_out_what: "You can close this page.",
    failed: "This did not work",
    go_on: "Go on",
    going_on: "Back to {app}",
    days: "{n} days",
    one_day: "a day",
    show_password: "Show what is typed",
    your_account: "your account",
    device: super::device::ENGLISH,
};

/// Every language, the first one for whoever wants another.
pub(crate) static LANGUAGES: [&Words; 2] = [&ENGLISH, &GERMAN];

/// The most wishes that are looked at: nobody speaks more languages.
const MOST_WISHES: usize = 32;

impl Words {
    /// Too many passwords are being checked.
    pub(crate) fn is_busy(&self) -> String {
        self.busy.to_owned()
    }

    /// Too many wrong passwords.
    pub(crate) fn is_limited(&self, after: Seconds) -> String {
        self.limited.replace("{seconds}", &after.0.to_string())
    }

    /// In the language that is wanted: by the application (`ui_locales`, OpenID Connect Core §3.1.2.1), else by the browser
    /// (`Accept-Language`, RFC 9110 §12.5.4), else in English.
    pub(crate) fn wanted(ui_locales: Option<&str>, accept_language: Option<&str>) -> &'static Self {
        let asked = ui_locales.unwrap_or_default().split(' ').take(MOST_WISHES);
        asked.filter_map(Self::of).next().or_else(|| Self::accepted(accept_language?)).unwrap_or(&ENGLISH)
    }

    /// The language of a tag, whatever the region: `de-AT` is German.
    fn of(tag: &str) -> Option<&'static Self> {
        let primary = tag.trim().split(['-', '_']).next()?;
        LANGUAGES.into_iter().find(|words| words.language.eq_ignore_ascii_case(primary))
    }

    /// The most wanted of those that we speak; of several, the one that is named first.
    fn accepted(header: &str) -> Option<&'static Self> {
        let mut best: Option<(f32, &'static Self)> = None;
        for wish in header.split(',').take(MOST_WISHES) {
            let (tag, weight) = wish.split_once(';').unwrap_or((wish, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse).unwrap_or(0.0_f32);
            if let Some(words) = Self::of(tag)
                && weight > best.map_or(0.0, |(most, _)| most)
            {
                best = Some((weight, words));
            }
        }
        best.map(|(_, words)| words)
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn the_application_chooses_before_the_browser_and_english_is_the_last() {
        for (ui_locales, accept_language, language) in [
            (None, None, "en"),
            (Some("de"), None, "de"),
            (Some("DE-at"), Some("en"), "de"),
            (Some("fr-CA de en"), Some("en"), "de"),
            (Some("fr"), Some("de-CH, fr;q=0.9"), "de"),
            (Some("xx-\u{e4} "), None, "en"),
            (None, Some("fr, en;q=0.5, de;q=0.8"), "de"),
            (None, Some("de;q=0.2,en;q=0.2"), "de"),
            (None, Some("de;q=0, en;q=0.1"), "en"),
            (None, Some("de;q=many"), "en"),
            (None, Some("*"), "en"),
            (None, Some(",,;;q=,"), "en"),
        ] {
            let words = Words::wanted(ui_locales, accept_language);
            assert_eq!(words.language, language, "{ui_locales:?} {accept_language:?}");
        }
    }
}
