//! Keys.

use regrant_engine::{
    By, Engine,
    keyring::{KeyRetired, KeyState, SealedKey},
    refresh_key::KeyMark,
    time::{Seconds, Time},
    token::KeyId,
};
use serde::Serialize;
use serde_json::json;

use super::{KeyKind, Refused, Reply, table::table};
use crate::keeper::{Keeper, Kept};
use crate::text::printable;

#[derive(Serialize)]
struct View {
    kind: KeyKind,
    /// The kid, or the number.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<String>,
    state: String,
    since: Option<Time>,
    /// When the state is due to change.
    until: Option<Time>,
    /// Live grants whose newest token it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<u64>,
}

pub(super) async fn list(engine: &Engine, kind: Option<KeyKind>) -> Result<Reply, Refused> {
    let mut views = Vec::new();
    if kind != Some(KeyKind::Refresh) {
        views.extend(engine.store.signing_keys().await?.iter().map(|key| signing(engine, key)));
    }
    if kind != Some(KeyKind::Signing) {
        let uses = engine.store.refresh_key_uses(engine.now()).await?;
        for record in engine.store.refresh_keys().await? {
            let grants = uses.iter().find(|(id, _)| *id == record.id).map_or(0, |(_, count)| *count);
            views.push(refresh(engine, record.id, record.mark, grants));
        }
    }
    let rows: Vec<_> = views
        .iter()
        .map(|view| {
            vec![
                view.id.clone(),
                view.algorithm.clone().unwrap_or_else(|| "refresh".to_owned()),
                view.state.clone(),
                view.since.map(|at| at.to_string()).unwrap_or_default(),
                in_words(view),
            ]
        })
        .collect();
    Reply::new(&views, table(&["KEY", "FOR", "STATE", "SINCE", "NEXT"], &rows))
}

fn signing(engine: &Engine, key: &SealedKey) -> View {
    View {
        kind: KeyKind::Signing,
        id: key.kid.clone(),
        algorithm: Some(key.algorithm.clone()),
        state: key.state.to_string(),
        since: Some(key.since),
        until: Some(key.until(&engine.settings.keys)),
        grants: None,
    }
}

fn refresh(engine: &Engine, id: KeyId, mark: Option<KeyMark>, grants: u64) -> View {
    let state = match mark {
        Some(mark) => mark.why.as_str(),
        None if engine.refresh_keys.active() == id => "active",
        None => "accepted",
    };
    View {
        kind: KeyKind::Refresh,
        id: id.0.to_string(),
        algorithm: None,
        state: state.to_owned(),
        since: mark.map(|mark| mark.at),
        until: None,
        grants: Some(grants),
    }
}

fn in_words(view: &View) -> String {
    match (view.state.parse(), view.until, view.grants) {
        (Ok(KeyState::Published), Some(at), _) => format!("signs from {at}"),
        (Ok(KeyState::Active), Some(at), _) => format!("is replaced about {at}"),
        (Ok(KeyState::Retiring), Some(at), _) => format!("is gone from {at}"),
        (_, _, Some(0)) if view.state == "accepted" => "can be retired".to_owned(),
        (_, _, Some(count)) if count > 0 => format!("{count} live grants"),
        _ => String::new(),
    }
}

pub(super) async fn rotate_signing(by: By<'_>, keeper: &Keeper, now: bool) -> Result<Reply, Refused> {
    let engine = by.engine;
    let before = engine.store.signing_keys().await?;
    let steps = keeper.signing.rotate(by, now).await?;
    if steps.is_empty() {
        let at =
            before.iter().filter(|key| key.state == KeyState::Published).map(|key| key.until(&engine.settings.keys));
        return Err(Refused::No(format!(
            "new keys are published already and sign from {} on; --now does not wait for that",
            at.max().map(|at| at.to_string()).unwrap_or_default()
        )));
    }
    let ring = engine.mint.ring();
    let changed: Vec<&SealedKey> = ring.iter().filter(|key| !before.contains(key)).collect();
    let new: Vec<View> =
        changed.iter().filter(|key| key.state != KeyState::Retiring).map(|key| signing(engine, key)).collect();
    let mut lines: Vec<String> = new
        .iter()
        .map(|view| {
            format!("{} {}: {}, {}", view.algorithm.as_deref().unwrap_or(""), view.id, view.state, in_words(view))
        })
        .collect();
    if now {
        lines.push(format!(
            "Verifiers that keep the published keys may refuse the new tokens for up to {}, unless they ask again for a key that \
             they do not know.",
            length(engine.settings.keys.jwks_max_age)
        ));
    }
    Reply::new(json!({ "keys": new }), lines.join("\n"))
}

pub(super) async fn retire_signing(
    by: By<'_>,
    keeper: &Keeper,
    kid: &str,
    compromised: bool,
) -> Result<Reply, Refused> {
    let engine = by.engine;
    let shown = printable(kid);
    let cached = length(engine.settings.keys.jwks_max_age);
    match keeper.signing.retire(by, kid, compromised).await? {
        KeyRetired::Gone { successor } => {
            let mut lines =
                vec![format!("{shown} is gone: it is not published any more, and its tokens are refused here.")];
            if compromised {
                lines.push(format!(
                    "Other verifiers believe it until they read the keys again: at most {cached}. Tokens in flight that it signed \
                     get a 401; whoever has a refresh token gets a new one by it, so nobody is signed out."
                ));
            }
            if let Some(successor) = &successor {
                lines.push(format!(
                    "{successor} signs from now on; verifiers that do not know it yet may refuse its tokens for up to {cached}."
                ));
            }
            lines.extend(compromised.then(|| {
                "A backup of the database from before brings it back: retire it again after restoring one.".to_owned()
            }));
            let document = json!({"retired": kid, "compromised": compromised, "successor": successor});
            Reply::new(document, lines.join("\n"))
        }
        KeyRetired::Signs => Err(Refused::No(format!(
            "{shown} signs tokens now: \"regrant key rotate\" gives it a successor, and then it goes by itself. If somebody \
             else may have it, --compromised takes it away at once"
        ))),
        KeyRetired::Retiring { until } => Err(Refused::No(format!(
            "{shown} signs no more and is gone by itself at {until}, when the last token that it signed has expired; \
             --compromised takes it away at once, and those tokens are refused"
        ))),
        KeyRetired::Unknown => {
            Err(Refused::NotFound(format!("there is no signing key {shown}; \"regrant key list\" shows them all")))
        }
    }
}

pub(super) async fn rotate_refresh(by: By<'_>, keeper: &Keeper) -> Result<Reply, Refused> {
    let KeyId(id) = keeper.rotate_refresh(by).await?;
    let text = format!(
        "refresh key {id} makes all refresh tokens from now on; sessions get one when they are used next.\n\
         The key file was written anew: make a copy of it, an old one cannot be used any more."
    );
    Reply::new(json!({"kind": "refresh", "id": id.to_string(), "state": "active"}), text)
}

pub(super) async fn retire_refresh(by: By<'_>, keeper: &Keeper, id: &str, compromised: bool) -> Result<Reply, Refused> {
    let engine = by.engine;
    let number = id.parse().map(KeyId).map_err(|_| {
        Refused::Usage(format!("\"{}\" is no refresh key: they are numbers, see \"regrant key list\"", printable(id)))
    })?;
    let gone = keeper.retire_refresh(by, number, compromised).await?;
    let (KeyId(id), KeyId(active)) = (number, gone.active);
    let mut lines = vec![format!(
        "refresh key {id} is gone from the key file, and this store never takes it again. Refresh key {active} makes all tokens."
    )];
    if compromised {
        lines.push(format!(
            "{} grants whose newest token it made ended (key_compromised): those people sign in again. Access tokens that are \
             out live at most {} more.",
            gone.ended,
            length(engine.longest_token())
        ));
    }
    let document = json!({
        "retired": id.to_string(), "compromised": compromised, "active": active.to_string(), "ended": gone.ended,
    });
    Reply::new(document, lines.join("\n"))
}

fn length(Seconds(seconds): Seconds) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

impl From<Kept> for Refused {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::No(why) => Self::No(why),
            Kept::File(why) => Self::Usage(why),
            Kept::Broken(broken) => broken.into(),
        }
    }
}
