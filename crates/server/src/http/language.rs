//! In which language a page answers.

use axum::http::{HeaderMap, header};
use regrant_engine::interaction::{Interaction, Kind};

use super::{App, parameters::Parameters};
use crate::pages::{Look, Words};

impl App {
    /// How a page looks to whoever asks: in the language that the application wants (`ui_locales`), else the browser.
    pub(super) fn look(&self, headers: &HeaderMap, ui_locales: Option<&str>) -> Look<'_> {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Look { words: Words::wanted(ui_locales, accepted), brand: &self.brand }
    }

    /// What a request's address says of the language, by itself or in what waits.
    pub(super) fn ui_locales(&self, query: &str) -> Option<String> {
        let asked = Parameters::parse(query).ok()?;
        if let Some(locales) = asked.get("ui_locales") {
            return Some(locales.to_owned());
        }
        let sealed = asked.get("request").or_else(|| asked.get("resume"))?;
        let kinds = [Kind::Authorize, Kind::Logout].into_iter();
        let waiting = kinds.filter_map(|kind| Interaction::open(&self.engine, sealed, kind)).next()?;
        Parameters::parse(&waiting.query).ok()?.get("ui_locales").map(str::to_owned)
    }
}
