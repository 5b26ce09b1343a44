//! What the arguments ask of a store, as commands; with the secrets that these take from a terminal, standard input or a file.

use std::{
    io::{self, IsTerminal, Read},
    path::Path,
};

use regrant_engine::{
    client::{Draft, Requirement},
    reason::UnknownName,
    resource,
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    Failure,
    arguments::{
        ClientAddArgs, ClientCommand, ExplainArgs, KeyCommand, ResourceAddArgs, ResourceCommand, RoleCommand,
        SessionCommand, UserCommand,
    },
    prompt,
};
use crate::control::{Command, KeyKind, Secret};

/// The largest standard input that is read: an import has a file for more.
const LARGEST_INPUT: u64 = 64 * 1024 * 1024;

pub(super) fn user(command: &UserCommand) -> Result<Command, Failure> {
    Ok(match command {
        UserCommand::Add { email, password_stdin, roles, admin, claims } => {
            let mut roles = roles.clone();
            if *admin {
                roles.push(regrant_engine::mint::ADMIN_ROLE.to_owned());
            }
            let claims = claims.iter().map(|claim| parse_claim(claim)).collect::<Result<Map<_, _>, _>>()?;
            let password = if *password_stdin {
                Some(read_password()?)
            } else if prompt::is_possible() {
                prompt::password_or_none("Password (empty for none): ")?
            } else {
                None
            };
            Command::UserAdd { identifier: email.clone(), password, roles, claims }
        }
        UserCommand::List => Command::UserList,
        UserCommand::Show { user } => Command::UserShow { user: user.clone() },
        UserCommand::SetPassword { user, password_stdin } => {
            let asks = !*password_stdin && prompt::is_possible();
            let password = if asks { prompt::new_password()? } else { read_password()? };
            Command::UserSetPassword { user: user.clone(), password }
        }
        UserCommand::Disable { user } => Command::UserDisable { user: user.clone() },
        UserCommand::Enable { user } => Command::UserEnable { user: user.clone() },
        UserCommand::Delete { user } => Command::UserDelete { user: user.clone() },
        UserCommand::Import { file } => Command::UserImport { lines: read_file(file)? },
        UserCommand::Export { password_hashes } => Command::UserExport { password_hashes: *password_hashes },
    })
}

/// `name=JSON`; what is not JSON is text, so that `--claim name=Ada` means what it says.
fn parse_claim(text: &str) -> Result<(String, Value), Failure> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        Failure::usage(format!("--claim {text}: write it like --claim name='\"Ada\"' or --claim level=3"))
    })?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

pub(super) fn role(command: &RoleCommand) -> Command {
    match command.clone() {
        RoleCommand::Add { name, description } => Command::RoleAdd { name, description },
        RoleCommand::List => Command::RoleList,
        RoleCommand::Grant { role, user } => Command::RoleGrant { role, user },
        RoleCommand::Revoke { role, user } => Command::RoleRevoke { role, user },
        RoleCommand::Remove { name } => Command::RoleRemove { name },
    }
}

pub(super) fn session(command: &SessionCommand) -> Result<Command, Failure> {
    Ok(match command.clone() {
        SessionCommand::List { user, ended } => Command::SessionList { user, ended },
        SessionCommand::Show { id } => Command::SessionShow { id },
        SessionCommand::Revoke { id: Some(id), user: None } => Command::SessionRevoke { id },
        SessionCommand::Revoke { id: None, user: Some(user) } => Command::SessionRevokeAll { user },
        SessionCommand::Revoke { .. } => {
            return Err(Failure::usage(
                "say which one: \"regrant session revoke ID\", or --user EMAIL for all of a user",
            ));
        }
    })
}

pub(super) fn client(command: &ClientCommand) -> Result<Command, Failure> {
    Ok(match command {
        ClientCommand::Add(arguments) => Command::ClientAdd { draft: Box::new(draft(arguments)?) },
        ClientCommand::List => Command::ClientList,
        ClientCommand::Show { id } => Command::ClientShow { id: id.clone() },
        ClientCommand::RotateSecret { id, keep } => Command::ClientRotateSecret { id: id.clone(), keep: *keep },
        ClientCommand::Remove { id } => Command::ClientRemove { id: id.clone() },
        ClientCommand::Revoke { id, user } => Command::ClientRevoke { id: id.clone(), user: user.clone() },
    })
}

fn draft(arguments: &ClientAddArgs) -> Result<Draft, Failure> {
    // The parser has let through what there is.
    fn known<T: std::str::FromStr<Err = UnknownName>>(name: &str) -> Result<T, Failure> {
        name.parse().map_err(|_| Failure::usage(format!("\"{name}\" is not known")))
    }
    let optional = |name: &Option<String>| name.as_deref().map(known::<Requirement>).transpose();
    let (jwks, jwks_uri) = match &arguments.jwks {
        Some(url) if url.contains("://") => (None, Some(url.clone())),
        Some(file) => {
            let text = read_file(Path::new(file))?;
            let set = serde_json::from_str(&text.0).map_err(|_| Failure::usage(format!("{file} is not JSON")))?;
            (Some(set), None)
        }
        None => (None, None),
    };
    Ok(Draft {
        application_type: Some(arguments.kind.application_type()),
        name: arguments.name.clone(),
        redirect_uris: arguments.redirect_uris.clone(),
        post_logout_redirect_uris: arguments.post_logout_redirect_uris.clone(),
        backchannel_logout_uri: arguments.backchannel_logout_uri.clone(),
        grants: arguments.grants.iter().map(|name| known(name)).collect::<Result<_, _>>()?,
        // As in a request: several in one argument are several.
        scopes: arguments.scopes.iter().flat_map(|scopes| scopes.split(' ')).map(str::to_owned).collect(),
        auth_method: arguments.auth_method.as_deref().map(known).transpose()?,
        jwks,
        jwks_uri,
        pkce: optional(&arguments.pkce)?,
        dpop: optional(&arguments.dpop)?,
        first_party: arguments.first_party,
        logo_uri: arguments.logo_uri.clone(),
        policy_uri: arguments.policy_uri.clone(),
        tos_uri: arguments.tos_uri.clone(),
        claims: arguments.claims.iter().map(|text| pair("--claim", text)).collect::<Result<_, _>>()?,
        access_lifetime: arguments.access_lifetime,
        idle: arguments.idle,
        absolute: arguments.absolute,
        ..Draft::new(&arguments.id, known(&arguments.client_type)?)
    })
}

/// `NAME=VALUE` of an option.
fn pair(option: &str, text: &str) -> Result<(String, String), Failure> {
    let split = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let (name, value) = split.ok_or_else(|| Failure::usage(format!("{option} {text}: write it as NAME=VALUE")))?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn resource(command: &ResourceCommand) -> Result<Command, Failure> {
    Ok(match command {
        ResourceCommand::Add(arguments) => {
            let replaces = arguments.replace;
            Command::ResourceAdd { draft: Box::new(resource_draft(arguments)?), replaces }
        }
        ResourceCommand::List => Command::ResourceList,
        ResourceCommand::Show { id } => Command::ResourceShow { id: id.clone() },
        ResourceCommand::Remove { id } => Command::ResourceRemove { id: id.clone() },
    })
}

fn resource_draft(arguments: &ResourceAddArgs) -> Result<resource::Draft, Failure> {
    let scope = |text: &String| {
        let (name, description) = match text.split_once('=') {
            Some((name, words)) => (name, Some(words.to_owned())),
            None => (text.as_str(), None),
        };
        resource::Scope { name: name.to_owned(), description, roles: vec![] }
    };
    let mut scopes: Vec<resource::Scope> = arguments.scopes.iter().map(scope).collect();
    for text in &arguments.roles {
        let (name, role) = pair("--role", text)?;
        let scope = scopes.iter_mut().find(|scope| scope.name == name);
        scope.ok_or_else(|| Failure::usage(format!("--role {text}: there is no --scope {name}")))?.roles.push(role);
    }
    let key = match &arguments.encryption_key {
        Some(file) => {
            let text = read_file(file)?;
            Some(serde_json::from_str(&text.0).map_err(|_| Failure::usage(format!("{} is not JSON", file.display())))?)
        }
        None => None,
    };
    Ok(resource::Draft {
        id: arguments.id.clone(),
        name: arguments.name.clone(),
        scopes,
        signing_alg: arguments.signing_alg.clone(),
        encryption_key: key,
        encryption_alg: arguments.encryption_alg.clone(),
        encryption_enc: arguments.encryption_enc.clone(),
        client: arguments.client.clone(),
    })
}

pub(super) fn key(command: &KeyCommand) -> Result<Command, Failure> {
    Ok(match command.clone() {
        KeyCommand::List { kind } => Command::KeyList { kind },
        KeyCommand::Rotate { kind: KeyKind::Refresh, now: true } => {
            return Err(Failure::usage("a new refresh key is used at once: leave --now out"));
        }
        KeyCommand::Rotate { kind, now } => Command::KeyRotate { kind, now },
        KeyCommand::Retire { id, kind, compromised } => Command::KeyRetire { kind, id, compromised },
    })
}

pub(super) fn explain(what: &ExplainArgs) -> Result<Command, Failure> {
    if what.id == "-" {
        return Ok(Command::Explain { text: read_input()? });
    }
    if what.id.starts_with(regrant_engine::token::PREFIX) || what.id.matches('.').count() == 2 {
        // Arguments are seen by every process of the machine.
        return Err(Failure::usage("a token is a secret and no argument: pipe it in, \"regrant explain -\""));
    }
    Ok(Command::Explain { text: Secret(Zeroizing::new(what.id.clone())) })
}

/// The first line of standard input; hidden if that is a terminal.
fn read_password() -> Result<Secret, Failure> {
    if prompt::is_possible() {
        return prompt::password();
    }
    if io::stdin().is_terminal() {
        return Err(Failure::usage(
            "the password would be asked for on the terminal, and standard error, where the question goes, is none: pipe the \
             password in with --password-stdin",
        ));
    }
    let mut input = read_input()?;
    let end = input.0.find(['\r', '\n']).unwrap_or(input.0.len());
    input.0.truncate(end);
    if input.0.is_empty() {
        return Err(Failure::usage("standard input holds no password"));
    }
    Ok(input)
}

fn read_input() -> Result<Secret, Failure> {
    read_capped(&mut io::stdin().lock(), "standard input")
}

fn read_file(path: &Path) -> Result<Secret, Failure> {
    if path == Path::new("-") {
        return read_input();
    }
    let mut file = std::fs::File::open(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    read_capped(&mut file, &path.display().to_string())
}

fn read_capped(input: &mut dyn Read, name: &str) -> Result<Secret, Failure> {
    let mut text = Zeroizing::new(String::new());
    input
        .take(LARGEST_INPUT + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    if text.len() as u64 > LARGEST_INPUT {
        return Err(Failure::usage(format!("{name} is larger than {LARGEST_INPUT} bytes")));
    }
    Ok(Secret(text))
}
