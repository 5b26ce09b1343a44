//! What an operator can do, whether by the control socket of a running server or on a store that nobody serves.
//!
//! One [`Command`] in, one [`Reply`] out: a JSON document for machines and the same for people. The command line
//! (`cli/`) makes commands of arguments; this module carries them out.

mod client;
mod explain;
mod key;
pub(crate) mod page;
mod resource;
mod session;
pub(crate) mod socket;
pub(crate) mod table;
mod user;

use std::{fmt, sync::Arc};

use regrant_engine::{Engine, client::Draft, event::Actor, ports::Broken, time::Seconds};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::keeper::Keeper;

/// What is to be done.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Command {
    UserAdd { identifier: String, password: Option<Secret>, roles: Vec<String>, claims: Map<String, Value> },
    UserList,
    UserShow { user: String },
    UserSetPassword { user: String, password: Secret },
    UserDisable { user: String },
    UserEnable { user: String },
    UserDelete { user: String },
    UserImport { lines: Secret },
    UserExport { password_hashes: bool },
    RoleAdd { name: String, description: Option<String> },
    RoleList,
    RoleGrant { role: String, user: String },
    RoleRevoke { role: String, user: String },
    RoleRemove { name: String },
    SessionList { user: Option<String>, ended: bool },
    SessionShow { id: String },
    SessionRevoke { id: String },
    SessionRevokeAll { user: String },
    ClientAdd { draft: Box<Draft> },
    ClientList,
    ClientShow { id: String },
    ClientRotateSecret { id: String, keep: Seconds },
    ClientRemove { id: String },
    ClientRevoke { id: String, user: String },
    ResourceAdd { draft: Box<regrant_engine::resource::Draft>, replaces: bool },
    ResourceList,
    ResourceShow { id: String },
    ResourceRemove { id: String },
    Explain { text: Secret },
    KeyList { kind: Option<KeyKind> },
    KeyRotate { kind: KeyKind, now: bool },
    KeyRetire { kind: KeyKind, id: String, compromised: bool },
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Command(…)")
    }
}

/// Which keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyKind {
    /// They sign access tokens and ID tokens; in the store, sealed
    Signing,
    /// They make refresh tokens; in the key file
    Refresh,
}

/// Text that no log shows and that is wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) Zeroizing<String>);

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// For machines: one document.
    pub(crate) document: Value,
    /// For people.
    pub(crate) text: String,
}

/// Why it did not come to that.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Refused {
    /// The thing said no: exit code 1.
    No(String),
    /// There is no such thing: exit code 1.
    NotFound(String),
    /// The machine broke or is busy: exit code 1.
    Broken(String),
    /// What was asked cannot be: exit code 2.
    Usage(String),
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken.to_string())
    }
}

impl Reply {
    fn new(document: impl Serialize, text: impl Into<String>) -> Result<Self, Refused> {
        let document = serde_json::to_value(document).map_err(|error| Refused::No(error.to_string()))?;
        Ok(Self { document, text: text.into() })
    }
}

impl Command {
    /// Whether it may make a store that is not there.
    pub(crate) fn may_create(&self) -> bool {
        matches!(
            self,
            Self::UserAdd { .. }
                | Self::UserImport { .. }
                | Self::RoleAdd { .. }
                | Self::ClientAdd { .. }
                | Self::ResourceAdd { .. }
        )
    }
}

/// Carries a command out, in the name of `actor`.
pub(crate) async fn execute(
    engine: &Arc<Engine>,
    actor: Actor,
    keeper: &Keeper,
    command: Command,
) -> Result<Reply, Refused> {
    let by = engine.by(actor);
    match command {
        Command::UserAdd { identifier, password, roles, claims } => {
            user::add(by, identifier, password, roles, claims).await
        }
        Command::UserList => user::list(engine).await,
        Command::UserShow { user } => user::show(engine, &user).await,
        Command::UserSetPassword { user, password } => user::set_password(by, &user, password).await,
        Command::UserDisable { user } => user::set_disabled(by, &user, true).await,
        Command::UserEnable { user } => user::set_disabled(by, &user, false).await,
        Command::UserDelete { user } => user::delete(by, &user).await,
        Command::UserImport { lines } => user::import(by, &lines.0).await,
        Command::UserExport { password_hashes } => user::export(engine, password_hashes).await,
        Command::RoleAdd { name, description } => user::add_role(engine, name, description).await,
        Command::RoleList => user::roles(engine).await,
        Command::RoleGrant { role, user } => user::set_role(by, role, &user, true).await,
        Command::RoleRevoke { role, user } => user::set_role(by, role, &user, false).await,
        Command::RoleRemove { name } => user::remove_role(engine, name).await,
        Command::SessionList { user, ended } => session::list(engine, user.as_deref(), ended).await,
        Command::SessionShow { id } => session::show(engine, &id).await,
        Command::SessionRevoke { id } => session::revoke(by, &id).await,
        Command::SessionRevokeAll { user } => session::revoke_all(by, &user).await,
        Command::ClientAdd { draft } => client::add(by, *draft).await,
        Command::ClientList => client::list(engine).await,
        Command::ClientShow { id } => client::show(engine, id).await,
        Command::ClientRotateSecret { id, keep } => client::rotate_secret(by, id, keep).await,
        Command::ClientRemove { id } => client::remove(by, id).await,
        Command::ClientRevoke { id, user } => client::revoke(by, id, &user).await,
        Command::ResourceAdd { draft, replaces } => resource::add(by, *draft, replaces).await,
        Command::ResourceList => resource::list(engine).await,
        Command::ResourceShow { id } => resource::show(engine, &id).await,
        Command::ResourceRemove { id } => resource::remove(by, &id).await,
        Command::Explain { text } => explain::explain(engine, &text.0).await,
        Command::KeyList { kind } => key::list(engine, kind).await,
        Command::KeyRotate { kind: KeyKind::Signing, now } => key::rotate_signing(by, keeper, now).await,
        Command::KeyRotate { kind: KeyKind::Refresh, now: _ } => key::rotate_refresh(by, keeper).await,
        Command::KeyRetire { kind: KeyKind::Signing, id, compromised } => {
            key::retire_signing(by, keeper, &id, compromised).await
        }
        Command::KeyRetire { kind: KeyKind::Refresh, id, compromised } => {
            key::retire_refresh(by, keeper, &id, compromised).await
        }
    }
}

/// Finds a user by id, e-mail address or username.
fn selector(text: &str) -> Result<regrant_engine::ports::UserSelector, Refused> {
    use regrant_engine::{id::UserId, ports::UserSelector, user::Identifier};
    if let Ok(id) = text.parse::<UserId>() {
        return Ok(UserSelector::Id(id));
    }
    Identifier::parse(text).map(UserSelector::Identifier).map_err(|why| {
        Refused::Usage(format!("\"{}\" is neither a user id nor an identifier: {why}", crate::text::printable(text)))
    })
}

fn no_such_user(text: &str) -> Refused {
    Refused::NotFound(format!(
        "there is no user {}; \"regrant user list\" shows them all",
        crate::text::printable(text)
    ))
}
