//! The pen that draws a timeline's beads as SVG. It uses classes and no style attributes, which a content security policy would
//! drop, and presentation attributes for whoever has no style sheet.

use std::fmt::Write as _;

use regrant_engine::reason::Reason;

use super::{Bead, Lane, Shape, Words, escaped, numbered};

/// Draws beads from left to right, each linked to the one that it comes from.
pub(super) struct Pen {
    words: &'static Words,
    pub(super) svg: String,
    pub(super) points: Vec<Point>,
    pub(super) x: u32,
}

/// Where a token is held.
#[derive(Clone, Copy)]
pub(super) struct Point {
    token: u64,
    pub(super) lane: Lane,
    pub(super) x: u32,
}

impl Pen {
    pub(super) fn new(words: &'static Words) -> Self {
        Self { words, svg: String::new(), points: Vec::new(), x: MARGIN }
    }

    pub(super) fn draw(&mut self, bead: &Bead, has_branch: bool) {
        let lane = bead.lane;
        match &bead.shape {
            Shape::Issued { token, from, label } => {
                let source = from.and_then(|from| self.held(from, lane)).or_else(|| self.points.last().copied());
                self.link(source, lane);
                self.pill(lane, "issued", &token.to_string());
                self.label(bead, label);
                self.points.push(Point { token: *token, lane, x: self.x });
            }
            Shape::Again { token, presented, times, .. } => {
                // Beside its twin, if that is here; else where its holder was before.
                let twin = self.points.iter().rev().find(|point| point.token == *token && point.lane == lane).copied();
                let source = twin.or_else(|| self.held(*presented, lane));
                self.link(source, lane);
                for back in (1..=(*times - 1).min(2)).rev() {
                    self.hollow(lane, back * 7, "");
                }
                self.hollow(lane, 0, &token.to_string());
                let many = usize::try_from(*times).unwrap_or(usize::MAX);
                let words = self.words;
                let often =
                    if *times == 1 { words.label_again.to_owned() } else { numbered(words.label_again_times, many) };
                self.label(bead, &often);
                self.points.push(Point { token: *token, lane, x: self.x });
            }
            Shape::Caught { presented } => {
                self.link(self.held(*presented, lane), lane);
                let (x, y) = (self.x, lane.y());
                self.pill(lane, "caught", "");
                let (left, right, top, bottom) = (x - 6, x + 6, y - 6, y + 6);
                let _ = writeln!(
                    self.svg,
                    "<path class=\"cross\" d=\"M{left} {top} L{right} {bottom} M{right} {top} L{left} {bottom}\" stroke=\"#fff\" \
                     stroke-width=\"2.5\"/>"
                );
                let label = self.words.label_token_again.replace("{n}", &presented.to_string());
                self.label(bead, &label);
                self.points.push(Point { token: *presented, lane, x: self.x });
            }
            Shape::End { reason } => self.end(*reason, has_branch),
            Shape::Other => {
                self.link(self.points.last().copied(), lane);
                let _ = writeln!(
                    self.svg,
                    "<circle class=\"other\" cx=\"{}\" cy=\"{MAIN}\" r=\"5\" fill=\"currentColor\"/>",
                    self.x
                );
            }
        }
    }

    /// Where `token` was held last, on this lane if it was.
    fn held(&self, token: u64, lane: Lane) -> Option<Point> {
        let mut held = self.points.iter().rev().filter(|point| point.token == token);
        held.clone().find(|point| point.lane == lane).or_else(|| held.next()).copied()
    }

    /// From a point to where the pen is.
    fn link(&mut self, from: Option<Point>, lane: Lane) {
        let Some(from) = from else { return };
        let (x, y) = (self.x, lane.y());
        let (left, above) = (from.x, from.lane.y());
        // Along the branch, so that it never runs in the line.
        let path = match (from.lane, lane) {
            (Lane::Main, Lane::Branch) => {
                let (middle, down) = (left + STEP / 2, left + STEP);
                format!("M{left} {above} C{middle} {above} {middle} {y} {down} {y} H{x}")
            }
            (Lane::Branch, Lane::Main) => {
                let (up, middle) = (x.saturating_sub(STEP), x.saturating_sub(STEP / 2));
                format!("M{left} {above} H{up} C{middle} {above} {middle} {y} {x} {y}")
            }
            (Lane::Main, Lane::Main) | (Lane::Branch, Lane::Branch) => format!("M{left} {y} H{x}"),
        };
        let (class, dashes) = match lane {
            Lane::Main => ("line", ""),
            Lane::Branch => ("branch", " stroke-dasharray=\"7 5\""),
        };
        self.lines_first(&format!("<path class=\"{class}\" d=\"{path}\" stroke-width=\"3\"{dashes}/>\n"));
    }

    /// Lines lie below beads.
    pub(super) fn lines_first(&mut self, line: &str) {
        self.svg.insert_str(0, line);
    }

    /// A filled bead.
    fn pill(&mut self, lane: Lane, class: &str, text: &str) {
        let y = lane.y();
        let width = pill_width(text);
        let below = if lane == Lane::Branch { " below" } else { "" };
        let _ = writeln!(
            self.svg,
            "<rect class=\"{class}{below}\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"28\" rx=\"14\" fill=\"currentColor\" \
             stroke=\"none\"/>",
            self.x.saturating_sub(width / 2),
            y - 14
        );
        // White, since without a style sheet the current colour is mostly a dark one.
        let _ = writeln!(
            self.svg,
            "<text class=\"number\" x=\"{}\" y=\"{}\"{} fill=\"#fff\" stroke=\"none\" font-weight=\"600\">{text}</text>",
            self.x,
            y + 4,
            squeezed(text)
        );
    }

    /// A hollow bead, `back` steps behind the front one of a cluster.
    fn hollow(&mut self, lane: Lane, back: u32, text: &str) {
        let (x, y) = (self.x + back, lane.y());
        let width = pill_width(text);
        let below = if lane == Lane::Branch { " below" } else { "" };
        let _ = writeln!(
            self.svg,
            "<rect class=\"hollow{below}\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"28\" rx=\"14\" fill=\"#fff\" \
             stroke-width=\"2.5\"/>",
            x.saturating_sub(width / 2),
            y - 14
        );
        if !text.is_empty() {
            let _ = writeln!(
                self.svg,
                "<text class=\"hollow-number\" x=\"{x}\" y=\"{}\"{} fill=\"currentColor\" stroke=\"none\" \
                 font-weight=\"600\">{text}</text>",
                y + 4,
                squeezed(text)
            );
        }
    }

    /// The bar at which everybody's line ends, and why.
    fn end(&mut self, reason: Option<Reason>, has_branch: bool) {
        for lane in [Lane::Main, Lane::Branch] {
            let last = self.points.iter().rev().find(|point| point.lane == lane).copied();
            self.link(last, lane);
        }
        let bottom = if has_branch { BRANCH } else { MAIN } + 20;
        let _ =
            writeln!(self.svg, "<path class=\"end\" d=\"M{} {} V{bottom}\" stroke-width=\"6\"/>", self.x, MAIN - 20);
        let x = self.x + 12;
        self.text("label strong", x, MAIN - 2, "start", self.words.label_ended);
        if let Some(reason) = reason {
            self.text("label strong", x, MAIN + 14, "start", &(self.words.label_reason)(reason));
        }
    }

    fn label(&mut self, bead: &Bead, text: &str) {
        match bead.lane {
            Lane::Main => self.text("label", self.x, MAIN - 26, "middle", text),
            Lane::Branch => self.text("label below", self.x, BRANCH + 32, "middle", text),
        }
        if bead.is_elsewhere {
            let y = if bead.lane == Lane::Branch { BRANCH + 47 } else { MAIN + 32 };
            self.text("label below", self.x, y, "middle", self.words.label_elsewhere);
        }
    }

    pub(super) fn text(&mut self, class: &str, x: u32, y: u32, anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.svg,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"currentColor\" \
             stroke=\"none\">{text}</text>"
        );
    }
}

impl Lane {
    const fn y(self) -> u32 {
        match self {
            Self::Main => MAIN,
            Self::Branch => BRANCH,
        }
    }
}

/// What squeezes a number that is longer than anybody's into its bead.
fn squeezed(text: &str) -> String {
    if text.len() <= 5 {
        return String::new();
    }
    format!(" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"", pill_width(text) - 8)
}

/// A circle for short numbers, longer for long ones.
pub(super) fn pill_width(text: &str) -> u32 {
    let digits = u32::try_from(text.len()).unwrap_or(u32::MAX);
    digits.saturating_mul(8).saturating_add(12).clamp(28, STEP - 8)
}

/// Between two beads.
pub(super) const STEP: u32 = 68;
/// Left and right.
pub(super) const MARGIN: u32 = 40;
/// For the words after the end.
pub(super) const ROOM_FOR_REASON: u32 = 90;
/// How far down the line is.
pub(super) const MAIN: u32 = 56;
/// How far down the branch is.
pub(super) const BRANCH: u32 = 136;
