//! Stories as they happen, drawn.

use regrant_engine::{
    event::{Actor, Event, EventKind, Origin},
    explain::{Explanation, SessionFacts, Subject},
    id::{GrantRef, SessionId},
    ports::Random,
    reason::Reason,
    time::Time,
};
use serde_json::json;

use super::{ENGLISH, GERMAN, Timeline};

/// Ids need not differ here.
struct Same;

impl Random for Same {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

struct Scene(Explanation);

const ADA: (&str, &str) = ("Firefox on Linux", "127.0.0.0/24");
const STRANGER: (&str, &str) = ("Chrome on Windows", "127.66.6.0/24");

impl Scene {
    fn new() -> Self {
        let at = Time::from_millis(1_790_000_000_000);
        let session = SessionId::new(at, &Same);
        Self(Explanation {
            subject: Subject::Session { id: session },
            session: Some(SessionFacts {
                id: session,
                grant: GrantRef::new(at, &Same),
                generation: 1,
                delivery: "cookie",
                device: None,
                created_at: at,
                last_used_at: at,
                idle_expires_at: at,
                absolute_expires_at: None,
                points: 0,
            }),
            grant: None,
            user: None,
            identifier: Some("ada@example.com".to_owned()),
            state: "alive",
            reason: None,
            because: None,
            ended_at: None,
            timeline: Vec::new(),
        })
    }

    fn signed_in() -> Self {
        Self::new().event(EventKind::SessionCreated, ADA, &json!({"delivery": "cookie"}))
    }

    fn event(mut self, kind: EventKind, place: (&str, &str), data: &serde_json::Value) -> Self {
        let at = Time::from_millis(1_790_000_000_000 + i64::try_from(self.0.timeline.len()).unwrap() * 1000);
        let mut event = Event::new(kind, at, Actor::User, &Same).session(self.0.session.as_ref().unwrap().id);
        event.context = Some(Origin { user_agent: place.0.to_owned(), network: place.1.to_owned() });
        event.data = data.as_object().unwrap().clone();
        self.0.timeline.push(event);
        self
    }

    fn renewed(self, presented: u32, place: (&str, &str)) -> Self {
        self.event(EventKind::Rotated, place, &json!({"presented": presented, "issued": presented + 1}))
    }

    fn again(self, presented: u32, replay: &str, points: u32, place: (&str, &str)) -> Self {
        let data = json!({"presented": presented, "issued": presented + 1, "replay": replay, "points": points});
        self.event(EventKind::Replayed, place, &data)
    }

    fn reused(mut self, presented: u32, newest: u32, points: u32, place: (&str, &str)) -> Self {
        let data = json!({"presented": presented, "newest": newest, "points": points});
        self = self.event(EventKind::Reused, place, &data);
        self.ended(Reason::Reused)
    }

    fn ended(mut self, reason: Reason) -> Self {
        self = self.event(EventKind::SessionEnded, ADA, &json!({}));
        self.0.timeline.last_mut().unwrap().reason = Some(reason);
        self.0.reason = Some(reason);
        self.0.ended_at = Some(self.0.timeline.last().unwrap().at);
        self
    }

    fn html(&self) -> String {
        let timeline = Timeline::of(&self.0, &ENGLISH);
        timeline.drawing("t") + &timeline.sentences()
    }

    fn verdict(&self) -> String {
        Timeline::of(&self.0, &ENGLISH).verdict().to_owned()
    }
}

fn count(html: &str, part: &str) -> usize {
    html.matches(part).count()
}

/// Every element that is opened is closed, in order, and nothing but elements has angle brackets.
fn assert_well_formed(html: &str) {
    let mut open = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("a tag that is not closed: {part}"));
        assert!(!text.contains('>'), "a stray bracket in {text}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "in {html}");
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn every_bead_has_its_sentence_and_the_drawing_a_text_alternative() {
    let html = Scene::signed_in().renewed(1, ADA).again(1, "late", 0, ADA).html();
    assert_well_formed(&html);
    assert!(html.contains("role=\"img\" aria-labelledby=\"t-title t-desc\""));
    assert!(html.contains("<title id=\"t-title\">Timeline of a session of ada@example.com</title>"));
    assert!(html.contains("The line goes on."));
    assert_eq!(count(&html, "<li"), 3);
    assert_eq!((count(&html, "<rect class=\"issued"), count(&html, "<rect class=\"hollow")), (2, 1));
    assert!(html.contains("Refresh token 1 was used for the first time, so token 2 took its place."));
    assert!(html.contains("It got the same token 2. That makes 1 of 3 points."));
}

#[test]
fn a_burst_is_one_cluster() {
    let mut scene = Scene::signed_in().renewed(1, ADA);
    for _ in 0..39 {
        scene = scene.again(1, "burst", 0, ADA);
    }
    let html = scene.html();
    assert_eq!(count(&html, "<li"), 3);
    assert!(html.contains("again ×39"));
    assert!(scene.verdict().contains("again 39 times at once"), "{}", scene.verdict());
    assert_eq!(count(&html, "<rect class=\"hollow"), 3, "the front one and two behind it");
}

#[test]
fn two_holders_are_two_lanes_and_the_line_ends_for_both() {
    let scene = Scene::signed_in().renewed(1, STRANGER).again(1, "foreign", 0, ADA).renewed(2, ADA);
    let html = scene.html();
    assert!(html.contains("<rect class=\"issued below\""));
    assert!(scene.0.timeline.len() == 4 && html.contains("That makes 2 of 3 points."));
    let over = scene.reused(2, 3, 2, STRANGER);
    let html = over.html();
    assert_well_formed(&html);
    assert_eq!((count(&html, "class=\"cross\""), count(&html, "class=\"end\"")), (1, 2), "the bar and its list item");
    assert!(html.contains(">reused</text>"));
    assert!(html.contains("The line ends: an old refresh token was used again, so two parties held it."));
    assert!(over.verdict().starts_with("Refresh token 2 was used again with Chrome on Windows"), "{}", over.verdict());
}

#[test]
fn an_old_token_hangs_on_a_branch_even_from_the_same_place() {
    let scene = Scene::signed_in().renewed(1, ADA).renewed(2, ADA).renewed(3, ADA).reused(2, 4, 0, ADA);
    let html = scene.html();
    assert!(html.contains("<rect class=\"caught below\"") && !html.contains("elsewhere<"));
    assert!(scene.verdict().contains("when token 4 was the newest"), "{}", scene.verdict());
}

#[test]
fn a_deadline_that_passed_ends_the_line_before_the_sweep_writes_it() {
    let mut scene = Scene::signed_in();
    scene.0.reason = Some(Reason::ExpiredIdle);
    scene.0.ended_at = Some(Time::from_millis(1_790_000_900_000));
    assert!(scene.html().contains(">expired idle</text>"));
    assert!(scene.verdict().contains("not used for its whole idle lifetime"));
}

#[test]
fn what_people_and_programs_call_themselves_is_text() {
    let evil = ("<script>alert(1)</script>\" onload='x' \u{0}\u{1b}[31m&", "\"><img src=x>");
    let mut scene = Scene::signed_in().renewed(1, evil).again(1, "foreign", 0, evil).reused(1, 3, 0, evil);
    scene.0.session.as_mut().unwrap().device = Some("</title><script>alert(2)</script>".to_owned());
    scene.0.identifier = Some("\"'><b>@example.com".to_owned());
    let html = scene.html();
    assert_well_formed(&html);
    for bad in ["<script", "<img", "<b>", "</title><", "\u{0}", "\u{1b}"] {
        assert!(!html.contains(bad), "{bad:?} in {html}");
    }
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39;"));
    assert!(!html.contains("style="), "the content security policy would drop it");
}

#[test]
fn nothing_is_drawn_of_nothing() {
    let drawing = Timeline::of(&Scene::new().0, &ENGLISH).drawing("t");
    assert_eq!(drawing, "<p class=\"quiet\">Nothing has happened yet.</p>\n");
    assert_eq!(Scene::new().verdict(), "");
}

#[test]
fn a_long_timeline_keeps_its_beginning_and_its_newest_beads() {
    let mut scene = Scene::signed_in();
    for presented in 1..500 {
        scene = scene.renewed(presented, ADA);
    }
    let html = scene.html();
    assert_well_formed(&html);
    assert_eq!(count(&html, "<rect class=\"issued"), super::MOST_BEADS);
    assert!(html.contains("… 440 more") && html.contains("440 earlier events are left out here."));
    assert!(html.contains("signed in") && html.contains("so token 500 took its place"));
    assert!(html.len() < 64 * 1024, "{} bytes", html.len());
}

#[test]
fn it_is_told_in_german_too_and_nothing_is_left_untold() {
    let evil = ("{network} {token}", "{place} {presented}");
    let mut scene = Scene::signed_in().renewed(1, ADA).renewed(2, STRANGER).again(2, "foreign", 0, evil);
    for replay in ["burst", "late", "bound"] {
        scene = scene.again(2, replay, 0, ADA).again(2, replay, 0, ADA);
    }
    for kind in EventKind::ALL {
        scene = scene.event(*kind, ADA, &json!({"presented": 3, "issued": 4, "newest": 9, "points": 1}));
    }
    let scene = scene.reused(3, 4, 2, ADA);
    for words in [&ENGLISH, &GERMAN] {
        let timeline = Timeline::of(&scene.0, words);
        let html = timeline.drawing("t") + &timeline.sentences();
        assert_well_formed(&html);
        // Only what a program calls itself has braces.
        let ours = html.replace("{network} {token}", "").replace("{place} {presented}", "");
        assert!(!ours.contains('{'), "{ours}");
    }
    let timeline = Timeline::of(&scene.0, &GERMAN);
    let html = timeline.drawing("t") + &timeline.sentences();
    assert!(html.contains("Token 1 wurde zum ersten Mal benutzt und durch Token 2 ersetzt."), "{html}");
    assert!(html.contains("erneuert</text>") && html.contains("altes Token</text>"), "{html}");
}

#[test]
fn the_largest_number_fits_its_bead() {
    let html = Scene::signed_in().renewed(u32::MAX - 1, ADA).html();
    assert!(html.contains(">4294967295</text>"));
    assert!(html.contains("textLength=\"52\""), "{html}");
}
