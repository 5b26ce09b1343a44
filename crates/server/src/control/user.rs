//! Users and roles.

use regrant_engine::{
    By, Engine,
    mint::ADMIN_ROLE,
    ports::{End, RoleChanged, UserChanged, UsersAdded},
    reason::Reason,
    resource::LONGEST_WORDS,
    time::Time,
    user::{self, PasswordRefused, Role, User, UserDraft},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Refused, Reply, Secret, no_such_user, selector, table::table};
use crate::text::printable;

/// A user as it is shown, exported and imported.
#[derive(Serialize)]
pub(super) struct View {
    id: String,
    email: Option<String>,
    username: Option<String>,
    claims: Map<String, Value>,
    roles: Vec<String>,
    disabled: bool,
    has_password: bool,
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_hash: Option<String>,
}

/// A role as it is shown.
#[derive(Serialize)]
pub(crate) struct RoleView {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    users: u64,
    /// What it opens, by resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
}

/// A line of an import. What the export gives can be read back; ids are made anew.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Imported {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    password_hash: Option<String>,
    #[serde(default, rename = "id")]
    _id: Option<String>,
    #[serde(default, rename = "has_password")]
    _has_password: Option<bool>,
    #[serde(default, rename = "created_at")]
    _created_at: Option<String>,
}

/// Users in one import: one transaction, and so one wait of everybody else for the writer.
const MOST_IMPORTED: usize = 50_000;

impl View {
    pub(super) fn of(user: User) -> Self {
        use regrant_engine::user::IdentifierKind::{Email, Username};
        let first =
            |kind| user.identifiers.iter().find(|known| known.identifier.kind == kind).map(|known| known.shown.clone());
        Self {
            id: user.id.to_string(),
            email: first(Email),
            username: first(Username),
            disabled: user.disabled_at.is_some(),
            has_password: user.has_password,
            created_at: user.created_at,
            password_hash: None,
            claims: user.claims,
            roles: user.roles,
        }
    }

    fn name(&self) -> String {
        self.email.clone().or_else(|| self.username.clone()).unwrap_or_else(|| self.id.clone())
    }
}

pub(super) async fn add(
    by: By<'_>,
    identifier: String,
    password: Option<Secret>,
    roles: Vec<String>,
    claims: Map<String, Value>,
) -> Result<Reply, Refused> {
    let engine = by.engine;
    let hash = match &password {
        None => None,
        Some(password) => Some(hashed(engine, &password.0, &[&identifier]).await?),
    };
    let draft = UserDraft { identifiers: vec![identifier], claims, roles, ..UserDraft::default() };
    let new = user::prepare(engine, draft, hash).map_err(|why| Refused::Usage(why.to_string()))?;
    if new.roles.iter().any(|role| role == ADMIN_ROLE) {
        // The first administrator must not need a role that nobody could have made yet.
        engine.store.add_role(ADMIN_ROLE.to_owned(), None, engine.now()).await?;
    }
    let id = new.id;
    match user::add(by, vec![new]).await? {
        UsersAdded::Added => {}
        UsersAdded::Taken { .. } => return Err(Refused::No("there is a user with this identifier already".to_owned())),
        UsersAdded::NoSuchRole { role, .. } => {
            return Err(Refused::No(format!("there is no role {role}: add it with \"regrant role add {role}\"")));
        }
    }
    let added = engine.store.user(regrant_engine::ports::UserSelector::Id(id)).await?.map(View::of);
    let text = match &added {
        Some(view) if view.has_password => format!("added {} ({id})", printable(&view.name())),
        Some(view) => format!(
            "added {} ({id}) without a password: \"regrant user set-password {}\" sets one",
            printable(&view.name()),
            printable(&view.name())
        ),
        None => format!("added {id}"),
    };
    Reply::new(added, text)
}

async fn hashed(engine: &Engine, password: &str, identifiers: &[&str]) -> Result<String, Refused> {
    user::hash_password(engine, password, identifiers).await.map_err(|refused| match refused {
        PasswordRefused::Weak(weakness) => Refused::No(format!("the password was not taken: {weakness}")),
        PasswordRefused::Busy => Refused::Broken("too many passwords are being checked; try again".to_owned()),
    })
}

async fn all(engine: &Engine) -> Result<Vec<User>, Refused> {
    const PAGE: u32 = 1000;
    let mut users: Vec<User> = Vec::new();
    loop {
        let page = engine.store.users(users.last().map(|user| user.id), PAGE).await?;
        let last = page.len() < PAGE as usize;
        users.extend(page);
        if last {
            return Ok(users);
        }
    }
}

pub(super) async fn list(engine: &Engine) -> Result<Reply, Refused> {
    let views: Vec<View> = all(engine).await?.into_iter().map(View::of).collect();
    let rows: Vec<_> = views
        .iter()
        .map(|view| {
            let state = if view.disabled { "disabled" } else { "active" };
            vec![view.id.clone(), view.name(), state.to_owned(), view.roles.join(", "), view.created_at.to_string()]
        })
        .collect();
    let text = if rows.is_empty() {
        "no users yet: \"regrant user add EMAIL --password-stdin\" adds one".to_owned()
    } else {
        table(&["ID", "USER", "STATE", "ROLES", "CREATED"], &rows)
    };
    Reply::new(views, text)
}

pub(super) async fn show(engine: &Engine, text: &str) -> Result<Reply, Refused> {
    let user = engine.store.user(selector(text)?).await?.ok_or_else(|| no_such_user(text))?;
    let view = View::of(user);
    let mut lines = vec![
        format!("id        {}", view.id),
        format!("user      {}", printable(&view.name())),
        format!("state     {}", if view.disabled { "disabled" } else { "active" }),
        format!("password  {}", if view.has_password { "set" } else { "not set" }),
        format!("roles     {}", view.roles.join(", ")),
        format!("created   {}", view.created_at),
    ];
    lines.extend(view.claims.iter().map(|(name, value)| format!("claim     {} = {value}", printable(name))));
    Reply::new(view, lines.join("\n"))
}

pub(super) async fn set_password(by: By<'_>, text: &str, password: Secret) -> Result<Reply, Refused> {
    let engine = by.engine;
    let found = engine.store.user(selector(text)?).await?.ok_or_else(|| no_such_user(text))?;
    let names: Vec<&str> = found.identifiers.iter().map(|known| known.identifier.value.as_str()).collect();
    let hash = hashed(engine, &password.0, &names).await?;
    let changed = user::set_password(by, selector(text)?, hash).await?;
    changed_reply(text, changed, "the password is set")
}

pub(super) async fn set_disabled(by: By<'_>, text: &str, disabled: bool) -> Result<Reply, Refused> {
    let changed = user::set_disabled(by, selector(text)?, disabled).await?;
    changed_reply(text, changed, if disabled { "disabled" } else { "enabled" })
}

pub(super) async fn delete(by: By<'_>, text: &str) -> Result<Reply, Refused> {
    let changed = user::delete(by, selector(text)?).await?;
    changed_reply(text, changed, "deleted")
}

fn changed_reply(text: &str, changed: UserChanged, done: &str) -> Result<Reply, Refused> {
    match changed {
        UserChanged::NotFound => Err(no_such_user(text)),
        UserChanged::Unchanged => Reply::new(
            json!({"changed": false, "sessions_ended": 0}),
            format!("{}: it was so already", printable(text)),
        ),
        UserChanged::Changed { ended } => {
            let sessions = match ended {
                0 => String::new(),
                1 => "; 1 session ended".to_owned(),
                many => format!("; {many} sessions ended"),
            };
            let document = json!({"changed": true, "sessions_ended": ended});
            Reply::new(document, format!("{}: {done}{sessions}", printable(text)))
        }
    }
}

pub(super) async fn export(engine: &Engine, password_hashes: bool) -> Result<Reply, Refused> {
    let mut views = Vec::new();
    for user in all(engine).await? {
        let id = user.id;
        let mut view = View::of(user);
        if password_hashes {
            view.password_hash = engine.store.password_hash(id).await?;
        }
        views.push(view);
    }
    let lines: Result<Vec<String>, _> = views.iter().map(serde_json::to_string).collect();
    let text = lines.map_err(|error| Refused::No(error.to_string()))?.join("\n");
    Reply::new(views, text)
}

/// Reads a JSON array, or one JSON object a line. All users are added or none.
pub(super) async fn import(by: By<'_>, text: &str) -> Result<Reply, Refused> {
    let engine = by.engine;
    let imported = parse_import(text)?;
    if imported.len() > MOST_IMPORTED {
        return Err(Refused::Usage(format!("at most {MOST_IMPORTED} users in one import: split the file")));
    }
    let mut users = Vec::with_capacity(imported.len());
    for (place, line) in imported {
        let draft = UserDraft {
            identifiers: line.email.into_iter().chain(line.username).collect(),
            claims: line.claims,
            roles: line.roles,
            password_hash: line.password_hash,
            disabled: line.disabled,
        };
        let new = user::prepare(engine, draft, None)
            .map_err(|why| Refused::No(format!("{place}: {why}; nothing was imported")))?;
        users.push((place, new));
    }
    let (places, users): (Vec<_>, Vec<_>) = users.into_iter().unzip();
    let count = users.len();
    let at = |index: usize| places.get(index).cloned().unwrap_or_default();
    match user::add(by, users).await? {
        UsersAdded::Added => Reply::new(json!({"imported": count}), format!("imported {count} users")),
        UsersAdded::Taken { index } => {
            Err(Refused::No(format!("{}: another user has this identifier already; nothing was imported", at(index))))
        }
        UsersAdded::NoSuchRole { index, role } => Err(Refused::No(format!(
            "{}: there is no role {role}: add it with \"regrant role add {role}\"; nothing was imported",
            at(index)
        ))),
    }
}

fn parse_import(text: &str) -> Result<Vec<(String, Imported)>, Refused> {
    let wrong = |place: &str, error: serde_json::Error| Refused::No(format!("{place}: {error}; nothing was imported"));
    if text.trim_start().starts_with('[') {
        let entries: Vec<Imported> = serde_json::from_str(text).map_err(|error| wrong("the file", error))?;
        return Ok((1..).map(|entry: usize| format!("entry {entry}")).zip(entries).collect());
    }
    let lines = (1..).zip(text.lines()).filter(|(_, line): &(usize, &str)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let place = format!("line {number}");
            let parsed = serde_json::from_str(line).map_err(|error| wrong(&place, error))?;
            Ok((place, parsed))
        })
        .collect()
}

pub(super) async fn add_role(engine: &Engine, name: String, description: Option<String>) -> Result<Reply, Refused> {
    if !user::is_role_name(&name) {
        return Err(Refused::Usage(format!(
            "\"{}\" cannot be a role: use 1 to 64 letters, digits and - _ . :",
            printable(&name)
        )));
    }
    let fits = |words: &String| (1..=LONGEST_WORDS).contains(&words.chars().count()) && printable(words) == *words;
    if description.as_ref().is_some_and(|words| !fits(words)) {
        return Err(Refused::Usage(format!(
            "a role's description is 1 to {LONGEST_WORDS} characters, none of them hidden"
        )));
    }
    if !engine.store.add_role(name.clone(), description.clone(), engine.now()).await? {
        return Err(Refused::No(format!("there is a role {name} already")));
    }
    let text = format!("added the role {name}");
    Reply::new(RoleView { name, description, users: 0, scopes: vec![] }, text)
}

pub(super) async fn roles(engine: &Engine) -> Result<Reply, Refused> {
    let roles = role_views(engine).await?;
    let row = |role: &RoleView| {
        let description = role.description.clone().unwrap_or_default();
        vec![role.name.clone(), role.users.to_string(), role.scopes.join(", "), description]
    };
    let rows: Vec<_> = roles.iter().map(row).collect();
    let headline = ["ROLE", "USERS", "SCOPES", "DESCRIPTION"];
    let text = if rows.is_empty() { "no roles yet".to_owned() } else { table(&headline, &rows) };
    Reply::new(roles, text)
}

/// All roles, by their names.
pub(crate) async fn role_views(engine: &Engine) -> Result<Vec<RoleView>, Refused> {
    let mut roles = engine.store.roles().await?;
    roles.sort_by(|one, other| one.name.cmp(&other.name));
    let resources = engine.store.resources().await?;
    // What it opens: the scopes that are not everybody's.
    let opens = |role: &str| -> Vec<String> {
        let scopes = resources.iter().flat_map(|resource| &resource.metadata.scopes);
        scopes.filter(|scope| scope.roles.iter().any(|known| known == role)).map(|scope| scope.name.clone()).collect()
    };
    let told = |Role { name, description, users, .. }| RoleView { scopes: opens(&name), name, description, users };
    Ok(roles.into_iter().map(told).collect())
}

pub(super) async fn set_role(by: By<'_>, role: String, text: &str, has: bool) -> Result<Reply, Refused> {
    let engine = by.engine;
    // The reason belongs to ends of sessions; a role's change ends none, and is told by its own kind of event.
    let change = End { at: engine.now(), reason: Reason::RevokedByAdmin, actor: by.actor };
    let verb = if has { "has" } else { "does not have" };
    match engine.store.set_role(role.clone(), selector(text)?, has, change).await? {
        RoleChanged::NoSuchRole => Err(Refused::NotFound(format!(
            "there is no role {}: \"regrant role list\" shows them all",
            printable(&role)
        ))),
        RoleChanged::NoSuchUser => Err(no_such_user(text)),
        RoleChanged::TooMany => Err(Refused::No(format!(
            "{}: a user has at most {} roles, since each is told in every access token",
            printable(text),
            user::MOST_ROLES
        ))),
        RoleChanged::Unchanged => {
            Reply::new(json!({"changed": false}), format!("{}: {verb} {role} already", printable(text)))
        }
        RoleChanged::Changed => Reply::new(
            json!({"changed": true}),
            format!("{}: {verb} the role {role} from the next refresh on", printable(text)),
        ),
    }
}

pub(super) async fn remove_role(engine: &Engine, name: String) -> Result<Reply, Refused> {
    if !engine.store.remove_role(name.clone()).await? {
        return Err(Refused::NotFound(format!("there is no role {}", printable(&name))));
    }
    Reply::new(json!({"removed": name}), format!("removed the role {name} from everybody"))
}
