//! How the story is told: a line a step for people, in colour on a terminal; one JSON document for machines.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use regrant_engine::ports::Clock;
use serde_json::{Value, json};

use crate::system::SystemClock;

/// What a step gives, or the sentence that says what did not happen as told.
pub(super) type Turn<T> = Result<T, String>;

pub(super) struct Stage {
    json: bool,
    colour: bool,
    steps: Vec<Value>,
}

impl Stage {
    pub(super) fn new(json: bool) -> Self {
        let colour = !json && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour, steps: Vec::new() }
    }

    pub(super) fn now_seconds(&self) -> i64 {
        SystemClock.now().seconds()
    }

    /// Tells a step that happened.
    pub(super) fn step(&mut self, what: &str, told: &str) {
        self.tell("✓", "32", what, told);
    }

    /// Tells the step that the whole story is about.
    pub(super) fn alarm(&mut self, what: &str, told: &str) {
        self.tell("✖", "31", what, told);
    }

    fn tell(&mut self, mark: &str, colour: &str, what: &str, told: &str) {
        self.steps.push(json!({"step": what, "told": told}));
        let (mark, what) = (self.painted(colour, mark), self.painted("1", &format!("{what:<20}")));
        self.line(&format!("{mark} {what} {told}"));
    }

    /// A line below a step.
    pub(super) fn detail(&mut self, text: &str) {
        self.line(&format!("    {}", self.painted("2", text)));
    }

    pub(super) fn failed(&mut self, why: &str) {
        self.steps.push(json!({"failed": why}));
        self.line(&self.painted("31", &format!("✗ this did not happen as told: {why}")));
    }

    pub(super) fn invite(&mut self, issuer: &str, email: &str, password: &str, data: &Path) {
        let body = json!({"identifier": email, "password": password, "delivery": "body"});
        for line in [
            String::new(),
            format!("Play it yourself in a browser, until Ctrl-C: {issuer}/demo"),
            "Or in another terminal:".to_owned(),
            format!("    curl -s {issuer}/session -H 'content-type: application/json' -d '{body}'"),
            format!("    regrant --data {} session list", data.display()),
        ] {
            self.line(&line);
        }
    }

    /// The end: the document, or the last line.
    pub(super) fn close(&mut self, happened: bool) {
        if self.json {
            let document = json!({"happened_as_told": happened, "steps": self.steps});
            let _ = writeln!(io::stdout(), "{document}");
        } else if happened {
            self.line(&self.painted("32", "Everything happened as told."));
        }
    }

    fn line(&self, text: &str) {
        if !self.json {
            // Nobody reads on: the story is told all the same, and its exit code stands.
            let _ = writeln!(io::stdout(), "{text}");
        }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
