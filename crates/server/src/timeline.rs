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

use std::fmt::Write as _;

use regrant_engine::{
    event::{Event, EventKind, Origin},
    explain::Explanation,
    reason::Reason,
    time::Time,
};

use pen::{BRANCH, MAIN, MARGIN, Pen, ROOM_FOR_REASON, STEP};

/// A session's timeline, ready to be drawn.
pub(crate) struct Timeline {
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
    pub(crate) fn of(explanation: &Explanation) -> Self {
        let session = explanation.session.as_ref().map(|session| session.id);
        let session = session.or_else(|| explanation.timeline.iter().rev().find_map(|event| event.session));
        // An application's tokens of the same session are a line of their own.
        let own = explanation.session.as_ref().map(|session| session.grant);
        let is_its_own = |event: &&Event| own.is_none() || event.grant.is_none() || event.grant == own;
        let of_session = explanation.timeline.iter().filter(|event| event.session == session);
        let events: Vec<&Event> = of_session.filter(is_its_own).collect();
        let mut reader = Reader::new(&events);
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
                sentence: ended_because(Some(reason)),
            });
        }
        let left_out = beads.len().saturating_sub(MOST_BEADS);
        // The first one stays: a line needs its beginning.
        beads.drain(1.min(left_out)..1.min(left_out) + left_out);
        let device = explanation.session.as_ref().and_then(|session| session.device.as_deref());
        let whose = explanation.identifier.as_deref().map(|whose| format!(" of {whose}")).unwrap_or_default();
        let device = device.map(|device| format!(" on {device}")).unwrap_or_default();
        Self { title: format!("Timeline of a session{whose}{device}"), beads, left_out }
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
            return "<p class=\"quiet\">Nothing has happened yet.</p>\n".to_owned();
        }
        // A keyboard scrolls what can have the focus.
        format!(
            "<div class=\"drawing\" role=\"region\" aria-label=\"Drawing of the timeline\" tabindex=\"0\">\n{}</div>\n",
            self.svg(&escaped(id))
        )
    }

    /// A sentence for every bead, oldest first.
    pub(crate) fn sentences(&self) -> String {
        let mut html = "<ol class=\"sentences\">\n".to_owned();
        for (index, bead) in self.beads.iter().enumerate() {
            let at = bead.at.to_string();
            let clock = at.get(11..19).unwrap_or(&at);
            let _ = writeln!(
                html,
                "<li{}><time datetime=\"{}\">{}</time> {}</li>",
                bead.class(),
                escaped(&at),
                escaped(clock),
                escaped(&bead.sentence)
            );
            if index == 0 && self.left_out > 0 {
                let _ = writeln!(html, "<li class=\"quiet\">{}</li>", self.left_out_in_words());
            }
        }
        html.push_str("</ol>\n");
        html
    }

    fn left_out_in_words(&self) -> String {
        format!("{} earlier events are left out here.", self.left_out)
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
        let mut pen = Pen::new();
        for (index, bead) in self.beads.iter().enumerate() {
            pen.draw(bead, has_branch);
            if index == 0 && self.left_out > 0 {
                pen.x += STEP;
                pen.text("label", pen.x, MAIN - 26, "middle", &format!("… {} more", self.left_out));
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
        let counted = |many: usize, one: &str, more: &str| format!("{many} {}", if many == 1 { one } else { more });
        let issued = self.beads.iter().filter(|bead| matches!(bead.shape, Shape::Issued { .. })).count();
        let again = self.beads.iter().filter(|bead| matches!(bead.shape, Shape::Again { .. })).count();
        let branch = match self.beads.iter().filter(|bead| bead.lane == Lane::Branch).count() {
            0 => String::new(),
            some => format!(
                " {} on a branch below, for uses from elsewhere or of an old token.",
                counted(some, "of them is", "of them are")
            ),
        };
        let end = match self.beads.last().map(|bead| &bead.shape) {
            Some(Shape::End { reason: Some(reason) }) => format!("The line ends: {}.", reason.sentence()),
            Some(Shape::End { reason: None }) => "The line ends.".to_owned(),
            _ => "The line goes on.".to_owned(),
        };
        format!(
            "A line with {}, each a new refresh token, and {} for tokens that were given out again.{branch} {end} The list after \
             the drawing tells each bead in words.",
            counted(issued, "bead", "beads"),
            counted(again, "hollow bead", "hollow beads"),
        )
    }
}

/// Makes beads of events.
struct Reader {
    home: Option<Origin>,
    beads: Vec<Bead>,
    /// The newest token that was given out on the line.
    newest_on_main: Option<u64>,
    /// The gravest replay of the token presented last, in points.
    worst: (u64, u64),
}

impl Reader {
    fn new(events: &[&Event]) -> Self {
        let signed_in = events.iter().find(|event| event.kind == EventKind::SessionCreated);
        let home = signed_in.and_then(|event| event.context.clone());
        let home = home.or_else(|| events.iter().find_map(|event| event.context.clone()));
        Self { home, beads: Vec::new(), newest_on_main: None, worst: (0, 0) }
    }

    fn read(&mut self, event: &Event) {
        let (presented, issued) = (number(event, "presented"), number(event, "issued"));
        let is_elsewhere = self.is_elsewhere(event);
        let mut lane = if is_elsewhere { Lane::Branch } else { Lane::Main };
        let place = event.context.as_ref().map(place).unwrap_or_default();
        let (shape, sentence) = match event.kind {
            EventKind::SessionCreated => (
                Shape::Issued { token: 1, from: None, label: "signed in" },
                format!("Signed in{place}. Refresh token 1 was issued."),
            ),
            EventKind::Rotated => {
                let used = format!("Refresh token {presented} was used for the first time");
                let sentence = match lane {
                    Lane::Main => format!("{used}, so token {issued} took its place."),
                    Lane::Branch => format!(
                        "{used}{place}, which is elsewhere, so token {issued} took its place. One use alone proves nothing."
                    ),
                };
                (Shape::Issued { token: issued, from: Some(presented), label: "renewed" }, sentence)
            }
            EventKind::Replayed => return self.replayed(event, lane, &place),
            EventKind::Healed => (
                Shape::Issued { token: issued, from: Some(presented), label: "healed" },
                format!(
                    "Refresh token {presented} was newer than the store knew, which had lost its newest writes. It came from \
                     where it belongs, so it was believed, and token {issued} took its place."
                ),
            ),
            EventKind::Raised => (
                Shape::Issued { token: issued, from: None, label: "raised" },
                format!(
                    "What this session may do was changed, so token {issued} was issued. Older ones do not reach it."
                ),
            ),
            EventKind::Reused => {
                // A use that got nothing is on the line only if it goes on where its holder stood.
                if self.newest_on_main != Some(presented) {
                    lane = Lane::Branch;
                }
                (Shape::Caught { presented }, caught_in_words(event, presented, &place))
            }
            EventKind::GrantEnded => return,
            EventKind::SessionEnded => {
                lane = Lane::Main;
                (Shape::End { reason: event.reason }, ended_because(event.reason))
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
            | EventKind::KeyCompromised => {
                lane = Lane::Main;
                (Shape::Other, format!("{}.", event.kind))
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
        let often = if times == 1 { "again".to_owned() } else { format!("again {times} times") };
        let each = if times == 1 { "It got" } else { "Each use got" };
        let points = number(event, "points") + worst;
        let sentence = match replay {
            "burst" => format!(
                "Refresh token {presented} was used {often} at once from the same place, as after a lost reply or by several \
                 tabs. {each} the same token {token}, and nothing is held against it."
            ),
            "late" => format!(
                "Refresh token {presented} was used {often}, later, from where this session belongs, as after a lost reply. \
                 {each} the same token {token}. That makes {points} of 3 points."
            ),
            "foreign" => format!(
                "Refresh token {presented} was used {often}{place}, not where it was used before: one of the two may hold a copy. \
                 {each} the same token {token}. That makes {points} of 3 points."
            ),
            _ => format!(
                "Refresh token {presented} was used {often} with the proof that it is its holder's. {each} the same token {token}."
            ),
        };
        let shape = Shape::Again { token, presented, replay: replay.to_owned(), times };
        self.beads.push(Bead { shape, lane, is_elsewhere: lane == Lane::Branch, at: event.at, sentence });
    }

    fn is_elsewhere(&self, event: &Event) -> bool {
        matches!((&event.context, &self.home), (Some(here), Some(home)) if here != home)
    }
}

fn caught_in_words(event: &Event, presented: u64, place: &str) -> String {
    let newest = number(event, "newest");
    if newest.saturating_sub(presented) >= 2 {
        format!(
            "Refresh token {presented} was used{place} when token {newest} was the newest. Nobody who holds it alone falls so far \
             behind: two parties held it, so the session ended."
        )
    } else {
        let points = number(event, "points");
        format!(
            "Refresh token {presented} was used again{place}, and the session already had {points} of 3 points. That is more than \
             lost replies explain: two parties held it, so the session ended."
        )
    }
}

fn ended_because(reason: Option<Reason>) -> String {
    reason
        .map_or_else(|| "The session ended.".to_owned(), |reason| format!("The session ended: {}.", reason.sentence()))
}

fn place(origin: &Origin) -> String {
    format!(" with {} from {}", origin.user_agent, origin.network)
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
