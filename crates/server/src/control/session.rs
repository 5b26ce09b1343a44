//! Sessions.

use regrant_engine::{
    By, Engine,
    backchannel_logout::{Logout, Standing},
    id::SessionId,
    ports::SessionFilter,
    reason::{Life, Reason},
    session::{self, SessionRecord},
    time::{AbsoluteDeadline, Time},
};
use serde::Serialize;
use serde_json::json;

use super::{Refused, Reply, no_such_user, selector, table::table};
use crate::text::printable;

#[derive(Serialize)]
pub(super) struct View {
    pub(super) state: &'static str,
    id: String,
    user_id: String,
    identifier: Option<String>,
    grant: String,
    reason: Option<Reason>,
    ended_at: Option<Time>,
    device: Option<String>,
    user_agent: String,
    network: String,
    delivery: &'static str,
    generation: u32,
    created_at: Time,
    last_used_at: Time,
    idle_expires_at: Time,
    absolute_expires_at: Option<Time>,
    /// What applications were told of its end; in `show` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    logouts: Option<Vec<LogoutView>>,
}

#[derive(Serialize)]
struct LogoutView {
    client: String,
    state: &'static str,
    attempts: u32,
    /// When it was settled, or is tried next.
    at: Time,
    error: Option<String>,
}

impl From<Logout> for LogoutView {
    fn from(Logout { client, attempts, standing, .. }: Logout) -> Self {
        let (state, at, error) = match standing {
            Standing::Waiting { next, last_error } => ("waiting", next, last_error),
            Standing::Delivered { at } => ("delivered", at, None),
            Standing::GaveUp { at, why } => ("gave_up", at, Some(why)),
        };
        Self { client: client.into(), state, attempts, at, error }
    }
}

impl View {
    pub(super) fn of(engine: &Engine, record: SessionRecord, now: Time) -> Self {
        let (state, reason, ended_at) = match record.life_at(engine, now) {
            Life::Alive => ("alive", None, None),
            Life::Ended { at, reason } => ("ended", Some(reason), Some(at)),
        };
        let SessionRecord { session, grant, identifier } = record;
        Self {
            id: session.id.to_string(),
            user_id: session.user.to_string(),
            identifier,
            grant: grant.public_id.to_string(),
            state,
            reason,
            ended_at,
            device: session.device,
            user_agent: grant.context.user_agent.as_str().to_owned(),
            network: grant.context.prefix.to_string(),
            delivery: grant.kind.as_str(),
            generation: grant.generation.0,
            created_at: session.created_at,
            last_used_at: grant.rotated_at,
            idle_expires_at: grant.idle.0,
            absolute_expires_at: Some(grant.absolute).filter(|at| *at != AbsoluteDeadline::NEVER).map(|at| at.0),
            logouts: None,
        }
    }
}

/// Sessions in one list; more are for the admin API's pages.
const MOST: usize = 100_000;

pub(super) async fn list(engine: &Engine, user: Option<&str>, ended: bool) -> Result<Reply, Refused> {
    const PAGE: u32 = 1000;
    let user = match user {
        None => None,
        Some(text) => Some(engine.store.user(selector(text)?).await?.ok_or_else(|| no_such_user(text))?.id),
    };
    let now = engine.now();
    let mut views = Vec::new();
    let mut after = None;
    loop {
        let page = engine.store.sessions(SessionFilter { user, after, limit: PAGE, ended }).await?;
        after = page.last().map(|record| record.session.id);
        let last = page.len() < PAGE as usize;
        views.extend(
            page.into_iter().map(|record| View::of(engine, record, now)).filter(|view| ended || view.state == "alive"),
        );
        if last || views.len() >= MOST {
            break;
        }
    }
    let rows: Vec<_> = views
        .iter()
        .map(|view| {
            vec![
                view.id.clone(),
                view.identifier.clone().unwrap_or_default(),
                view.reason.map_or_else(|| view.state.to_owned(), |reason| format!("ended: {reason}")),
                view.device.clone().unwrap_or_else(|| view.user_agent.clone()),
                view.network.clone(),
                view.last_used_at.to_string(),
            ]
        })
        .collect();
    let text = if rows.is_empty() {
        "no sessions".to_owned()
    } else {
        table(&["ID", "USER", "STATE", "DEVICE", "NETWORK", "LAST USED"], &rows)
    };
    Reply::new(views, text)
}

pub(super) async fn show(engine: &Engine, text: &str) -> Result<Reply, Refused> {
    let id = id(text)?;
    let record = engine.store.session(id).await?.ok_or_else(|| no_such_session(text))?;
    let logouts: Vec<LogoutView> = engine.store.logouts(id).await?.into_iter().map(LogoutView::from).collect();
    let mut view = View::of(engine, record, engine.now());
    let mut lines = vec![
        format!("session   {}", view.id),
        format!("user      {} ({})", printable(view.identifier.as_deref().unwrap_or("gone")), view.user_id),
        format!("state     {}", view.reason.map_or_else(|| view.state.to_owned(), |reason| format!("ended: {reason}"))),
        format!("device    {}", printable(view.device.as_deref().unwrap_or("not named"))),
        format!("from      {}, {}", printable(&view.user_agent), view.network),
        format!("grant     {}, generation {}", view.grant, view.generation),
        format!("created   {}", view.created_at),
        format!("used      {}", view.last_used_at),
        format!("idle end  {}", view.idle_expires_at),
    ];
    lines.extend(view.absolute_expires_at.map(|at| format!("end       {at}")));
    lines.extend(logouts.iter().map(|LogoutView { client, state, attempts, at, error }| {
        let error = error.as_deref().map(|error| format!(": {}", printable(error))).unwrap_or_default();
        format!("told      {}: {state}, attempts {attempts}, {at}{error}", printable(client))
    }));
    view.logouts = Some(logouts);
    Reply::new(view, lines.join("\n"))
}

pub(super) async fn revoke(by: By<'_>, text: &str) -> Result<Reply, Refused> {
    let By { engine, actor } = by;
    let id = id(text)?;
    if session::end(engine, id, None, Reason::RevokedByAdmin, actor).await? {
        return Reply::new(json!({"revoked": 1}), format!("{id} ended"));
    }
    match engine.store.session(id).await? {
        Some(_) => Err(Refused::No(format!("{id} is over already; \"regrant explain {id}\" says why"))),
        None => Err(no_such_session(text)),
    }
}

pub(super) async fn revoke_all(by: By<'_>, text: &str) -> Result<Reply, Refused> {
    let By { engine, actor } = by;
    let user = engine.store.user(selector(text)?).await?.ok_or_else(|| no_such_user(text))?;
    let ended = session::end_all(engine, user.id, None, Reason::RevokedByAdmin, actor).await?;
    Reply::new(json!({"revoked": ended}), format!("{}: {ended} sessions ended", printable(text)))
}

fn id(text: &str) -> Result<SessionId, Refused> {
    text.parse().map_err(|why| Refused::Usage(format!("\"{}\" is no session: {why}", printable(text))))
}

fn no_such_session(text: &str) -> Refused {
    Refused::NotFound(format!("there is no session {}: \"regrant session list\" shows those alive", printable(text)))
}
