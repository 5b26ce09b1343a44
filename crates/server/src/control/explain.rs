//! `regrant explain`: the engine's explanation, for machines and drawn in characters for people.

use regrant_engine::{
    Engine,
    event::{Event, EventKind},
    explain::{Explanation, Subject, Unexplained},
};

use super::{Refused, Reply};
use crate::text::printable;

pub(super) async fn explain(engine: &Engine, text: &str) -> Result<Reply, Refused> {
    match regrant_engine::explain::explain(engine, text).await? {
        Ok(explanation) => {
            let text = drawn(&explanation);
            Reply::new(explanation, text)
        }
        Err(Unexplained::NotFound) => Err(Refused::NotFound(
            "nothing is known of it: it may be past the retention of the timeline ([events] keep)".to_owned(),
        )),
        Err(Unexplained::NotOurs) => Err(Refused::NotFound(
            "it is neither an id (ses_…, grt_…, usr_…, evt_…) nor a token that this server made".to_owned(),
        )),
    }
}

/// Draws an explanation: what it is, why it ended, and the timeline with a bead for every event.
fn drawn(explanation: &Explanation) -> String {
    let mut lines = Vec::new();
    match &explanation.subject {
        Subject::RefreshToken { generation, standing } => {
            lines
                .push(format!("token     a refresh token of generation {generation}: {}", standing_in_words(standing)));
        }
        Subject::AccessToken => lines.push("token     an access token".to_owned()),
        Subject::Session { .. } | Subject::Grant { .. } | Subject::User { .. } | Subject::Event { .. } => {}
    }
    if let Some(session) = &explanation.session {
        lines.push(format!("session   {}", session.id));
        lines.push(format!("grant     {}, generation {}", session.grant, session.generation));
    }
    if let Some(grant) = &explanation.grant {
        lines.push(format!("grant     {}, generation {}", grant.id, grant.generation));
        lines.push(format!("client    {}, for {}", printable(&grant.client.0), printable(&grant.scope)));
    }
    if let Some(user) = explanation.user {
        lines.push(format!("user      {} ({user})", printable(explanation.identifier.as_deref().unwrap_or("gone"))));
    }
    lines.push(match (explanation.because, explanation.reason, explanation.ended_at) {
        (Some(because), Some(reason), Some(at)) => format!("state     ENDED at {at}: {because} ({reason})"),
        (Some(because), Some(reason), None) => format!("state     ENDED: {because} ({reason})"),
        _ => format!("state     {}", explanation.state),
    });
    let session = explanation.session.as_ref();
    let deadlines = session
        .map(|of| (of.idle_expires_at, of.absolute_expires_at, of.points))
        .or_else(|| explanation.grant.as_ref().map(|of| (of.idle_expires_at, of.absolute_expires_at, of.points)));
    if let Some((idle, absolute, points)) = deadlines.filter(|_| explanation.reason.is_none()) {
        lines.push(format!("idle end  {idle}"));
        lines.extend(absolute.map(|at| format!("end       {at}")));
        if points > 0 {
            lines.push(format!("points    {points} of 3: replays in generations in a row"));
        }
    }
    lines.push(String::new());
    lines.extend(explanation.timeline.iter().map(bead));
    lines.join("\n")
}

fn standing_in_words(standing: &str) -> &'static str {
    match standing {
        "newest" => "the newest one of its session",
        "predecessor" => "the one before the newest, good for a retry",
        "ahead" => "newer than the store knows: it lost its newest writes",
        _ => "an old one, whose use ends the session",
    }
}

fn bead(event: &Event) -> String {
    let (mark, words) = match event.kind {
        EventKind::SessionCreated => ("●", "signed in".to_owned()),
        EventKind::Rotated => {
            ("●", format!("renewed: generation {} → {}", number(event, "presented"), number(event, "issued")))
        }
        EventKind::Replayed => (
            "○",
            format!(
                "generation {} again ({}): the same successor {}",
                number(event, "presented"),
                text(event, "replay"),
                number(event, "issued")
            ),
        ),
        EventKind::Healed => ("◆", format!("healed: generation {} was believed", number(event, "presented"))),
        EventKind::Raised => ("▲", format!("raised to generation {}", number(event, "issued"))),
        EventKind::Reused => (
            "✖",
            format!(
                "generation {} used again when {} was the newest: two parties held it",
                number(event, "presented"),
                number(event, "newest")
            ),
        ),
        EventKind::GrantEnded => ("✖", "ended by its use".to_owned()),
        EventKind::SessionEnded => ("■", "session ended".to_owned()),
        EventKind::GrantIssued => ("◦", format!("tokens for {}", client(event))),
        EventKind::CodeReused => ("✖", format!("a code of {} came twice: what it gave ended", client(event))),
        EventKind::ConsentGiven => ("·", format!("consent for {}", client(event))),
        EventKind::ConsentWithdrawn => ("·", format!("consent for {} taken back", client(event))),
        EventKind::DeviceAllowed => ("·", format!("a device was allowed for {}", client(event))),
        EventKind::DeviceDenied => ("·", format!("a device was refused for {}", client(event))),
        EventKind::DeviceCodeWrong => ("·", "typed a code that is no device's".to_owned()),
        EventKind::LogoutDelivered => ("·", format!("{} was told of the end", client(event))),
        EventKind::LogoutGaveUp => {
            ("✖", format!("{} could not be told of the end: {}", client(event), text(event, "error")))
        }
        EventKind::Reauthenticated => ("·", "proved who they are once more".to_owned()),
        EventKind::ClientAdded
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
        | EventKind::KeyCompromised => ("·", event.kind.to_string()),
    };
    let reason = event.reason.map(|reason| format!(" [{reason}]")).unwrap_or_default();
    let origin = event
        .context
        .as_ref()
        .map(|origin| format!("  ({}, {})", printable(&origin.user_agent), printable(&origin.network)))
        .unwrap_or_default();
    format!("{}  {mark} {words}{reason}{origin}", event.at)
}

fn client(event: &Event) -> String {
    event.client.as_ref().map(|client| printable(&client.0)).unwrap_or_default()
}

fn number(event: &Event, name: &str) -> String {
    event.data.get(name).map(ToString::to_string).unwrap_or_default()
}

fn text(event: &Event, name: &str) -> String {
    event.data.get(name).and_then(|value| value.as_str()).map(printable).unwrap_or_default()
}
