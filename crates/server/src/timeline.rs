//! Our picture: the timeline of one session, drawn by the server as SVG, with a sentence for every bead.
//!
//! 1. [`Timeline::of`] reads an [`Explanation`]. An event becomes a bead on the line, or on a branch below it: there stand uses
//!    from elsewhere than the sign-in, and of tokens that were too old. Nobody can know who of two holders is the thief, so
//!    nobody is called one. Retries that belong together become one bead, a cluster.
//! 2. A bead that carries a token is filled the first time and hollow when the same token was given out again. The one whose
//!    use ended the session is crossed out, and the line ends with a bar and the reason. So the picture needs no colour: the
//!    style sheet may add some by the classes, and without one the current text colour draws everything.
//! 3. [`Timeline::drawing`] is the picture in a box of its own that scrolls; [`Timeline::sentences`] is the list of what was
//!    decided, and why: the same in words for whoever does not see it.

mod pen;
mod words;

use std::fmt::Write as _;

use regrant_engine::{
    event::{Event, EventKind, Origin},
    explain::Explanation,
    reason::Reason,
    time::Time,
};

pub(crate) use words::{ENGLISH, GERMAN, Words};

use pen::{BRANCH, MAIN, MARGIN, Pen, ROOM_FOR_REASON, STEP};

/// A session's timeline, ready to be drawn.
pub(crate) struct Timeline {
    words: &'static Words,
    title: String,
    beads: Vec<Bead>,
    /// Beads between the first and the second that are not shown.
    left_out: usize,
}

/// What one event, or several of a kind, became.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Bead {
    shape: Shape,
    lane: Lane,
    is_elsewhere: bool,
    at: Time,
    sentence: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Shape {
    /// A token that was issued here for the first time. `from` is the one that was presented for it.
    Issued { token: u64, from: Option<u64>, label: &'static str },
    /// A token that was given out again: `times` such retries.
    Again { token: u64, presented: u64, replay: String, times: u32 },
    /// The use that ended it.
    Caught { presented: u64 },
    /// The end.
    End { reason: Option<Reason> },
    /// Anything else that happened to the session.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    /// The line: from where the session was signed in.
    Main,
    /// Below it.
    Branch,
}

impl Timeline {
    /// Reads `explanation`. Of a user with several sessions, the newest one is drawn.
    pub(crate) fn of(explanation: &Explanation, words: &'static Words) -> Self {
        let session = explanation.session.as_ref().map(|session| session.id);
        let session = session.or_else(|| explanation.timeline.iter().rev().find_map(|event| event.session));
        // An application's tokens of the same session are a line of their own.
        let own = explanation.session.as_ref().map(|session| session.grant);
        let is_its_own = |event: &&Event| own.is_none() || event.grant.is_none() || event.grant == own;
        let of_session = explanation.timeline.iter().filter(|event| event.session == session);
        let events: Vec<&Event> = of_session.filter(is_its_own).collect();
        let mut reader = Reader::new(&events, words);
        for event in &events {
            reader.read(event);
        }
        let mut beads = reader.beads;
        let is_told = matches!(beads.last(), Some(Bead { shape: Shape::End { .. }, .. }));
        // A deadline that passed is known before the sweep has written it down.
        if let (Some(reason), Some(at), false) = (explanation.reason, explanation.ended_at, is_told || beads.is_empty())
        {
            beads.push(Bead {
                shape: Shape::End { reason: Some(reason) },
                lane: Lane::Main,
                is_elsewhere: false,
                at,
                sentence: ended_because(words, Some(reason)),
            });
        }
        let left_out = beads.len().saturating_sub(MOST_BEADS);
        // The first one stays: a line needs its beginning.
        beads.drain(1.min(left_out)..1.min(left_out) + left_out);
        let device = explanation.session.as_ref().and_then(|session| session.device.as_deref());
        let whose = explanation.identifier.as_deref().map(|whose| words.title_of.replace("{whose}", whose));
        let device = device.map(|device| words.title_on.replace("{device}", device));
        let title = words.title.to_owned() + &whose.unwrap_or_default() + &device.unwrap_or_default();
        Self { words, title, beads, left_out }
    }

    /// The newest decision in words: of an ended session, what ended it.
    pub(crate) fn verdict(&self) -> &str {
        let caught = self.beads.iter().rev().find(|bead| !matches!(bead.shape, Shape::End { .. }));
        let last = self.beads.last();
        let told = match (caught, last) {
            (Some(caught), _) if matches!(caught.shape, Shape::Caught { .. }) => Some(caught),
            (_, last) => last,
        };
        told.map(|bead| bead.sentence.as_str()).unwrap_or_default()
    }

    /// The drawing in a box that scrolls sideways. `id` begins the ids of its elements, which must be the only ones of the page.
    pub(crate) fn drawing(&self, id: &str) -> String {
        if self.beads.is_empty() {
            return format!("<p class=\"quiet\">{}</p>\n", self.words.nothing);
        }
        // A keyboard scrolls what can have the focus.
        format!(
            "<div class=\"drawing\" role=\"region\" aria-label=\"{}\" tabindex=\"0\">\n{}</div>\n",
            self.words.drawing,
            self.svg(&escaped(id))
        )
    }

    /// A sentence for every bead, oldest first, with the time of day.
    pub(crate) fn sentences(&self) -> String {
        self.sentences_at(|at| {
            let at = at.to_string();
            let clock = at.get(11..19).unwrap_or(&at);
            format!("<time datetime=\"{}\">{}</time>", escaped(&at), escaped(clock))
        })
    }

    /// The same, with times as `shown` writes them.
    pub(crate) fn sentences_at(&self, shown: impl Fn(Time) -> String) -> String {
        let mut html = "<ol class=\"sentences\">\n".to_owned();
        for (index, bead) in self.beads.iter().enumerate() {
            let _ = writeln!(html, "<li{}>{} {}</li>", bead.class(), shown(bead.at), escaped(&bead.sentence));
            if index == 0 && self.left_out > 0 {
                let _ = writeln!(html, "<li class=\"quiet\">{}</li>", self.left_out_in_words());
            }
        }
        html.push_str("</ol>\n");
        html
    }

    fn left_out_in_words(&self) -> String {
        self.words.left_out.replace("{n}", &self.left_out.to_string())
    }

    /// The drawing alone. It is readable without a style sheet.
    fn svg(&self, id: &str) -> String {
        let gap = usize::from(self.left_out > 0);
        let columns = u32::try_from(self.beads.len() + gap).unwrap_or(u32::MAX);
        let has_branch = self.beads.iter().any(|bead| bead.lane == Lane::Branch);
        let height = if has_branch { BRANCH + 56 } else { MAIN + 36 };
        let is_over = matches!(self.beads.last(), Some(Bead { shape: Shape::End { .. }, .. }));
        let width = 2 * MARGIN + STEP * columns.saturating_sub(1) + if is_over { ROOM_FOR_REASON } else { STEP / 2 };
        let mut svg = format!(
            "<svg class=\"timeline\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" fill=\"none\" stroke=\"currentColor\" \
             font-size=\"12\" text-anchor=\"middle\">\n<title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n",
            escaped(&self.title),
            escaped(&self.described())
        );
        let mut pen = Pen::new(self.words);
        for (index, bead) in self.beads.iter().enumerate() {
            pen.draw(bead, has_branch);
            if index == 0 && self.left_out > 0 {
                pen.x += STEP;
                let more = self.words.left_out_short.replace("{n}", &self.left_out.to_string());
                pen.text("label", pen.x, MAIN - 26, "middle", &more);
            }
            pen.x += STEP;
        }
        if !is_over && let Some(last) = pen.points.iter().rev().find(|point| point.lane == Lane::Main) {
            let path = format!("M{} {MAIN} H{}", last.x, width - 6);
            pen.lines_first(&format!(
                "<path class=\"line open\" d=\"{path}\" stroke-width=\"3\" stroke-dasharray=\"1 6\"/>\n"
            ));
        }
        svg.push_str(&pen.svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn described(&self) -> String {
        let words = self.words;
        let counted =
            |many: usize, one: &str, more: &str| if many == 1 { one.to_owned() } else { numbered(more, many) };
        let issued = self.beads.iter().filter(|bead| matches!(bead.shape, Shape::Issued { .. })).count();
        let again = self.beads.iter().filter(|bead| matches!(bead.shape, Shape::Again { .. })).count();
        let branch = match self.beads.iter().filter(|bead| bead.lane == Lane::Branch).count() {
            0 => String::new(),
            some => counted(some, words.branch_one, words.branch_many),
        };
        let end = match self.beads.last().map(|bead| &bead.shape) {
            Some(Shape::End { reason: Some(reason) }) => {
                words.line_ends_because.replace("{reason}", (words.reason)(*reason))
            }
            Some(Shape::End { reason: None }) => words.line_ends.to_owned(),
            _ => words.goes_on.to_owned(),
        };
        words
            .described
            .replace("{beads}", &counted(issued, words.bead, words.beads))
            .replace("{hollow}", &counted(again, words.hollow_bead, words.hollow_beads))
            .replace("{branch}", &branch)
            .replace("{end}", &end)
    }
}

fn numbered(sentence: &str, n: usize) -> String {
    sentence.replace("{n}", &n.to_string())
}

/// Makes beads of events.
struct Reader {
    words: &'static Words,
    home: Option<Origin>,
    beads: Vec<Bead>,
    /// The newest token that was given out on the line.
    newest_on_main: Option<u64>,
    /// The gravest replay of the token presented last, in points.
    worst: (u64, u64),
}

impl Reader {
    fn new(events: &[&Event], words: &'static Words) -> Self {
        let signed_in = events.iter().find(|event| event.kind == EventKind::SessionCreated);
        let home = signed_in.and_then(|event| event.context.clone());
        let home = home.or_else(|| events.iter().find_map(|event| event.context.clone()));
        Self { words, home, beads: Vec::new(), newest_on_main: None, worst: (0, 0) }
    }

    fn read(&mut self, event: &Event) {
        let (presented, issued) = (number(event, "presented"), number(event, "issued"));
        let is_elsewhere = self.is_elsewhere(event);
        let mut lane = if is_elsewhere { Lane::Branch } else { Lane::Main };
        let words = self.words;
        let place = event.context.as_ref().map(|origin| place(words, origin)).unwrap_or_default();
        // What comes from outside is put in last, so that nothing in it is taken for a place of ours.
        let say = |sentence: &str| {
            let numbers =
                sentence.replace("{presented}", &presented.to_string()).replace("{issued}", &issued.to_string());
            numbers.replace("{place}", &place)
        };
        let (shape, sentence) = match event.kind {
            EventKind::SessionCreated => {
                (Shape::Issued { token: 1, from: None, label: words.label_signed_in }, say(words.signed_in))
            }
            EventKind::Rotated => {
                let sentence = match lane {
                    Lane::Main => say(words.renewed),
                    Lane::Branch => say(words.renewed_elsewhere),
                };
                (Shape::Issued { token: issued, from: Some(presented), label: words.label_renewed }, sentence)
            }
            EventKind::Replayed => return self.replayed(event, lane, &place),
            EventKind::Healed => {
                (Shape::Issued { token: issued, from: Some(presented), label: words.label_healed }, say(words.healed))
            }
            EventKind::Raised => {
                (Shape::Issued { token: issued, from: None, label: words.label_raised }, say(words.raised))
            }
            EventKind::Reused => {
                // A use that got nothing is on the line only if it goes on where its holder stood.
                if self.newest_on_main != Some(presented) {
                    lane = Lane::Branch;
                }
                (Shape::Caught { presented }, caught_in_words(words, event, presented, &place))
            }
            EventKind::GrantEnded => return,
            EventKind::SessionEnded => {
                lane = Lane::Main;
                (Shape::End { reason: event.reason }, ended_because(words, event.reason))
            }
            EventKind::GrantIssued
            | EventKind::CodeReused
            | EventKind::ConsentGiven
            | EventKind::ConsentWithdrawn
            | EventKind::DeviceAllowed
            | EventKind::DeviceDenied
            | EventKind::DeviceCodeWrong
            | EventKind::LogoutDelivered
            | EventKind::LogoutGaveUp
            | EventKind::Reauthenticated
            | EventKind::ClientAdded
            | EventKind::ClientChanged
            | EventKind::ClientSecretRotated
            | EventKind::ClientRemoved
            | EventKind::UserCreated
            | EventKind::UserDisabled
            | EventKind::UserEnabled
            | EventKind::UserDeleted
            | EventKind::PasswordChanged
            | EventKind::RoleGranted
            | EventKind::RoleRevoked
            | EventKind::SignInFailed
            | EventKind::KeyCreated
            | EventKind::KeyPublished
            | EventKind::KeyActivated
            | EventKind::KeyRetiring
            | EventKind::KeyRemoved
            | EventKind::ResourceAdded
            | EventKind::ResourceChanged
            | EventKind::ResourceRemoved
            | EventKind::KeyCompromised => {
                lane = Lane::Main;
                (Shape::Other, format!("{}.", (words.event)(event.kind)))
            }
        };
        if let (Shape::Issued { token, .. }, Lane::Main) = (&shape, lane) {
            self.newest_on_main = Some(*token);
        }
        self.beads.push(Bead { shape, lane, is_elsewhere, at: event.at, sentence });
    }

    fn replayed(&mut self, event: &Event, lane: Lane, place: &str) {
        let (presented, token) = (number(event, "presented"), number(event, "issued"));
        let replay = event.data.get("replay").and_then(|value| value.as_str()).unwrap_or_default();
        let weight = match replay {
            "late" => 1,
            "foreign" => 2,
            _ => 0,
        };
        let worst = if self.worst.0 == presented { self.worst.1.max(weight) } else { weight };
        self.worst = (presented, worst);
        if lane == Lane::Main {
            self.newest_on_main = Some(token);
        }
        let mut times = 1;
        let same = self.beads.last().and_then(|last| match &last.shape {
            Shape::Again { presented: before, replay: kind, times, .. }
                if *before == presented && kind == replay && last.lane == lane =>
            {
                Some(*times)
            }
            _ => None,
        });
        if let Some(before) = same {
            times = before.saturating_add(1);
            self.beads.pop();
        }
        let words = self.words;
        let many = usize::try_from(times).unwrap_or(usize::MAX);
        let often = if times == 1 { words.again.to_owned() } else { numbered(words.again_times, many) };
        let each = if times == 1 { words.it_got } else { words.each_got };
        let points = number(event, "points") + worst;
        let sentence = match replay {
            "burst" => words.burst,
            "late" => words.late,
            "foreign" => words.foreign,
            _ => words.proven,
        };
        let sentence = sentence
            .replace("{presented}", &presented.to_string())
            .replace("{often}", &often)
            .replace("{each}", each)
            .replace("{token}", &token.to_string())
            .replace("{points}", &points.to_string())
            .replace("{place}", place);
        let shape = Shape::Again { token, presented, replay: replay.to_owned(), times };
        self.beads.push(Bead { shape, lane, is_elsewhere: lane == Lane::Branch, at: event.at, sentence });
    }

    fn is_elsewhere(&self, event: &Event) -> bool {
        matches!((&event.context, &self.home), (Some(here), Some(home)) if here != home)
    }
}

fn caught_in_words(words: &Words, event: &Event, presented: u64, place: &str) -> String {
    let newest = number(event, "newest");
    let is_behind = newest.saturating_sub(presented) >= 2;
    let sentence = if is_behind { words.caught_behind } else { words.caught_points };
    sentence
        .replace("{presented}", &presented.to_string())
        .replace("{newest}", &newest.to_string())
        .replace("{points}", &number(event, "points").to_string())
        .replace("{place}", place)
}

fn ended_because(words: &Words, reason: Option<Reason>) -> String {
    reason.map_or_else(
        || words.ended.to_owned(),
        |reason| words.ended_because.replace("{reason}", (words.reason)(reason)),
    )
}

fn place(words: &Words, origin: &Origin) -> String {
    let program = match origin.user_agent.rsplit_once(" on ") {
        Some((program, system)) => format!("{program}{}{system}", words.on),
        None => origin.user_agent.clone(),
    };
    words.place.replace("{network}", &origin.network).replace("{program}", &program)
}

fn number(event: &Event, name: &str) -> u64 {
    event.data.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default()
}

impl Bead {
    /// For the style sheet; a list item of it looks like the bead.
    fn class(&self) -> &'static str {
        match (&self.shape, self.lane) {
            (Shape::Caught { .. }, _) => " class=\"caught\"",
            (Shape::End { .. }, _) => " class=\"end\"",
            (Shape::Other, _) => " class=\"other\"",
            (Shape::Again { .. }, Lane::Main) => " class=\"again\"",
            (Shape::Again { .. }, Lane::Branch) => " class=\"again below\"",
            (Shape::Issued { .. }, Lane::Main) => " class=\"issued\"",
            (Shape::Issued { .. }, Lane::Branch) => " class=\"issued below\"",
        }
    }
}

/// For text and attribute values of HTML and SVG. Control characters mean nothing in either, and some are not allowed.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// More than these are not read by anybody; the first stays, and of the others the newest.
const MOST_BEADS: usize = 60;

#[cfg(test)]
mod tests;
