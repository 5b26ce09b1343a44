//! The command line: arguments in, an exit code out.
//!
//! 0: done. 1: the thing said no. 2: the usage, the configuration or a file is wrong. Secrets are never arguments: they come
//! from standard input or a file.

mod arguments;
mod config;
mod demo;
mod jwt;
mod migrate;
mod moving;
mod prompt;

use std::{
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use arguments::{
    Arguments, ClientAddArgs, ClientCommand, ConfigCommand, ExplainArgs, KeyCommand, ResourceAddArgs, ResourceCommand,
    RoleCommand, SessionCommand, Subcommand, UserCommand,
};
use clap::{CommandFactory, Parser};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    backup,
    config::{Config, ConfigError, DatabaseUrl, Loaded},
    control::{self, Command, KeyKind, Refused, Reply, Secret},
    home::{self, Home, HomeError, Missing, Place},
    serve::{Running, Start, StartError},
    system::SystemClock,
    telemetry,
};
use regrant_engine::{
    client::{Draft, Requirement},
    event::Actor,
    ports::Clock,
    reason::UnknownName,
    resource,
};
use regrant_store::postgres::{Address, Environment, OpenError};

const NO: u8 = 1;
const USAGE: u8 = 2;

/// What is said to whoever puts a password on the command line.
const PASSWORD_IN_URL: &str =
    "a password is a secret and no argument: take it out of the URL, and give it by PGPASSFILE, PGPASSWORD";

/// The data directory if nobody names one.
const DEFAULT_DATA: &str = "regrant-data";
/// The largest standard input that is read: an import has a file for more.
const LARGEST_INPUT: u64 = 64 * 1024 * 1024;

/// A failure on its way out.
struct Failure {
    code: u8,
    said: String,
}

impl Failure {
    fn no(said: impl Into<String>) -> Self {
        Self { code: NO, said: said.into() }
    }

    fn usage(said: impl Into<String>) -> Self {
        Self { code: USAGE, said: said.into() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        match error {
            HomeError::InUse { .. }
            | HomeError::Moved { .. }
            | HomeError::Broken(_)
            | HomeError::Issuer { .. }
            | HomeError::Database { error: OpenError::Broken(_) | OpenError::Moved(_), .. } => {
                Self::no(error.to_string())
            }
            HomeError::Database { .. } | HomeError::NoStore(_) | HomeError::File(_) | HomeError::Keys(_) => {
                Self::usage(error.to_string())
            }
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Home(error) => error.into(),
            StartError::Config(said) => Self::usage(said),
            StartError::Listen(said) => Self::no(said),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::No(said) | Refused::NotFound(said) | Refused::Broken(said) => Self::no(said),
            Refused::Usage(said) => Self::usage(said),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::usage(error.to_string())
    }
}

/// Parses the arguments of the process, does what they say, and prints what came of it.
///
/// Returns the exit code: 0 done, 1 the thing said no, 2 usage, configuration or file.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors, and go to standard output.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match carry_out(arguments) {
        Ok(code) => code,
        Err(Failure { code, said }) => {
            let _ = writeln!(io::stderr(), "regrant: {said}");
            ExitCode::from(code)
        }
    }
}

fn carry_out(arguments: Arguments) -> Result<ExitCode, Failure> {
    if arguments.database.as_deref().is_some_and(Address::has_password) {
        // Arguments are seen by every process of the machine.
        return Err(Failure::usage(format!("--database: {PASSWORD_IN_URL} or REGRANT_DATABASE__URL")));
    }
    match arguments.command {
        None => {
            Arguments::command().print_help()?;
            Ok(ExitCode::from(USAGE))
        }
        Some(Subcommand::Demo { once }) => Ok(runtime()?.block_on(demo::run(once, arguments.json))),
        Some(Subcommand::Serve { ref listen, ref issuer, change_issuer }) => {
            let mut config = load(&arguments)?;
            if listen.is_some() {
                config.server.listen.clone_from(listen);
            }
            if issuer.is_some() {
                config.server.issuer.clone_from(issuer);
            }
            telemetry::start(&config)?;
            let place = place(&arguments, &config)?;
            let start = Start { config, place, key_file: arguments.keys.clone(), change_issuer };
            runtime()?.block_on(serve(start, arguments.json))
        }
        Some(Subcommand::Jwt { ref command }) => {
            let now = SystemClock.now().seconds();
            let (mut stdin, mut stdout, mut stderr) = (io::stdin().lock(), io::stdout().lock(), io::stderr().lock());
            Ok(ExitCode::from(jwt::run(command, &mut stdin, &mut stdout, &mut stderr, now, arguments.json)))
        }
        Some(Subcommand::User { ref command }) => {
            let command = user(command)?;
            control(&arguments, command)
        }
        Some(Subcommand::Role { ref command }) => control(&arguments, role(command)),
        Some(Subcommand::Session { ref command }) => control(&arguments, session(command)?),
        Some(Subcommand::Client { ref command }) => control(&arguments, client(command)?),
        Some(Subcommand::Resource { ref command }) => control(&arguments, resource(command)?),
        Some(Subcommand::Key { ref command }) => control(&arguments, key(command)?),
        Some(Subcommand::Completions { shell }) => {
            // Made whole before it is written: a closed pipe is no panic.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "regrant", &mut script);
            let script = String::from_utf8_lossy(&script).into_owned();
            let document = serde_json::json!({"shell": shell.to_string(), "script": script});
            tell(&arguments, &Reply { document, text: script.trim_end().to_owned() })
        }
        Some(Subcommand::Backup { ref file }) => {
            let directory = directory(&arguments, &load(&arguments)?)?;
            let keys = home::key_file(&directory, arguments.keys.as_deref());
            tell(&arguments, &backup::back_up(&directory, &keys, file)?)
        }
        Some(Subcommand::Restore { ref file, keep_sessions }) => {
            let config = load(&arguments)?;
            let keys = arguments.keys.as_deref();
            let restored = match (place(&arguments, &config)?, file) {
                (Place::Directory(directory), Some(file)) => {
                    let keys = home::key_file(&directory, keys);
                    runtime()?.block_on(backup::restore(&config, &directory, &keys, file, keep_sessions))
                }
                (Place::Directory(_), None) => return Err(Failure::usage("name the backup: \"regrant restore FILE\"")),
                (Place::Database(address), None) => {
                    runtime()?.block_on(backup::restored_database(&config, &address, keys, keep_sessions))
                }
                (Place::Database(address), Some(_)) => {
                    return Err(Failure::usage(format!(
                        "PostgreSQL's own tools put a backup into {address} (docs/howto/backup-and-restore.md): do that first, \
                         then say \"regrant restore\" without a file"
                    )));
                }
            };
            tell(&arguments, &restored?)
        }
        Some(Subcommand::Migrate { ref command }) => {
            let place = place(&arguments, &load(&arguments)?)?;
            let migrated = runtime()?.block_on(migrate::run(&place, command));
            tell(&arguments, &migrated?)
        }
        Some(Subcommand::Move(ref moves)) => {
            if arguments.data.is_some() || arguments.database.is_some() {
                return Err(Failure::usage(
                    "the stores of a move are named by --from and --to, not by --data or --database",
                ));
            }
            let moved = runtime()?.block_on(moving::run(moves));
            tell(&arguments, &moved?)
        }
        Some(Subcommand::Config { command: ConfigCommand::Check }) => {
            let loaded = loaded(&arguments)?;
            let of_database = match place(&arguments, &loaded.config)? {
                Place::Directory(_) => Vec::new(),
                Place::Database(address) => runtime()?.block_on(config::of_database(&address)),
            };
            tell(&arguments, &config::check(&loaded, &data(&arguments), of_database)?)
        }
        Some(Subcommand::Config { command: ConfigCommand::Reference }) => tell(&arguments, &config::reference()),
        Some(Subcommand::Explain(ref what)) => control(&arguments, explain(what)?),
        Some(Subcommand::Later(ref words)) => {
            let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            if arguments::LATER.contains(&name.as_str()) {
                Err(Failure::usage(format!("\"regrant {name}\" is not built yet; CHANGELOG.md says what is")))
            } else {
                Err(Failure::usage(format!("there is no command \"{name}\"; \"regrant --help\" shows them all")))
            }
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn data(arguments: &Arguments) -> PathBuf {
    arguments.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA))
}

/// Where the store is: flags over environment and file, and the database over the default directory.
fn place(arguments: &Arguments, config: &Config) -> Result<Place, Failure> {
    let configured = config.database.url.as_ref().map(DatabaseUrl::expose);
    match (&arguments.data, arguments.database.as_deref().or(configured)) {
        (Some(directory), _) => Ok(Place::Directory(directory.clone())),
        (None, Some(url)) => {
            let address = Address::parse(url, &Environment::of_process()).map_err(Failure::usage)?;
            Ok(Place::Database(Box::new(address)))
        }
        (None, None) => Ok(Place::Directory(data(arguments))),
    }
}

/// The directory of the embedded store, for what only that has.
fn directory(arguments: &Arguments, config: &Config) -> Result<PathBuf, Failure> {
    match place(arguments, config)? {
        Place::Directory(directory) => Ok(directory),
        Place::Database(address) => Err(Failure::usage(format!(
            "this copies the embedded store, and the store is {address}: that is copied with PostgreSQL's own tools \
             (docs/howto/backup-and-restore.md)"
        ))),
    }
}

fn load(arguments: &Arguments) -> Result<Config, Failure> {
    Ok(loaded(arguments)?.config)
}

/// The configuration, with who said what of it.
fn loaded(arguments: &Arguments) -> Result<Loaded, Failure> {
    let candidates = [data(arguments).join("regrant.toml"), PathBuf::from("regrant.toml")];
    // A variable that is not UTF-8 cannot be one of ours: their names and values are text.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(crate::config::load(arguments.config.as_ref(), &candidates, environment)?)
}

async fn serve(start: Start, json: bool) -> Result<ExitCode, Failure> {
    // Asked for before anything starts: a signal that comes in between is not lost.
    let stop = stop_signal()?;
    // A reload (SIGHUP) where there is nothing to read again must not end us, as it would if nobody listened. On a terminal it
    // says that the terminal has gone, and does end us.
    let _reload = match io::stdin().is_terminal() {
        true => None,
        false => Some(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?),
    };
    let directory = start.place.to_string();
    let running = Running::start(start).await?;
    let (scheme, address, issuer) = (running.scheme, running.address, running.issuer.clone());
    // The one line on standard output: whoever starts us on port 0 reads it.
    let line = if json {
        serde_json::json!({"listening": format!("{scheme}://{address}"), "issuer": issuer, "data": directory})
            .to_string()
    } else {
        format!("listening on {scheme}://{address} as {issuer}, data in {directory}")
    };
    // A closed standard output is the starter's business.
    let _ = writeln!(io::stdout(), "{line}");
    tracing::info!(%address, %issuer, %directory, "serving");
    stop.await;
    tracing::info!("stopping");
    running.stop().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Done at the first SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Hands a command to the running server, or carries it out on the store.
fn control(arguments: &Arguments, command: Command) -> Result<ExitCode, Failure> {
    let place = match load(arguments) {
        Ok(config) => place(arguments, &config)?,
        // A running server does what it is told, whatever became of the configuration since.
        Err(_) if arguments.database.is_none() => Place::Directory(data(arguments)),
        Err(failure) => return Err(failure),
    };
    let asked = match &place {
        Place::Directory(directory) => control::socket::ask(directory, &command),
        Place::Database(_) => None,
    };
    let answered = match asked {
        Some(answered) => answered,
        None => alone(arguments, &place, command)?,
    };
    tell(arguments, &answered?)
}

/// Prints an answer, for people or for machines.
fn tell(arguments: &Arguments, Reply { document, text }: &Reply) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    let written = if arguments.json { writeln!(stdout, "{document}") } else { writeln!(stdout, "{text}") };
    match written {
        // The reader has seen enough (`| head`).
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// No server runs, or the store is a database: does it here.
fn alone(arguments: &Arguments, place: &Place, command: Command) -> Result<Result<Reply, Refused>, Failure> {
    let config = load(arguments)?;
    let missing = if command.may_create() { Missing::Create } else { Missing::Refuse };
    if let Place::Directory(directory) = place
        && missing == Missing::Refuse
        && !home::has_store(directory)?
    {
        return Err(HomeError::NoStore(directory.to_owned()).into());
    }
    runtime()?.block_on(async {
        let home = Home::open(place, arguments.keys.as_deref(), missing, &config, None).await?;
        // Tokens are not made here; an issuer that is not known yet is not claimed.
        let issuer = home.stored_issuer().await?.or_else(|| config.server.issuer.clone());
        let engine = home.engine(&config, issuer.as_deref().unwrap_or("http://127.0.0.1:8080")).await?;
        let keeper = home.keeper()?;
        Ok(control::execute(&engine, Actor::Operator, &keeper, command).await)
    })
}

fn user(command: &UserCommand) -> Result<Command, Failure> {
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

fn role(command: &RoleCommand) -> Command {
    match command.clone() {
        RoleCommand::Add { name, description } => Command::RoleAdd { name, description },
        RoleCommand::List => Command::RoleList,
        RoleCommand::Grant { role, user } => Command::RoleGrant { role, user },
        RoleCommand::Revoke { role, user } => Command::RoleRevoke { role, user },
        RoleCommand::Remove { name } => Command::RoleRemove { name },
    }
}

fn session(command: &SessionCommand) -> Result<Command, Failure> {
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

fn client(command: &ClientCommand) -> Result<Command, Failure> {
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

fn resource(command: &ResourceCommand) -> Result<Command, Failure> {
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

fn key(command: &KeyCommand) -> Result<Command, Failure> {
    Ok(match command.clone() {
        KeyCommand::List { kind } => Command::KeyList { kind },
        KeyCommand::Rotate { kind: KeyKind::Refresh, now: true } => {
            return Err(Failure::usage("a new refresh key is used at once: leave --now out"));
        }
        KeyCommand::Rotate { kind, now } => Command::KeyRotate { kind, now },
        KeyCommand::Retire { id, kind, compromised } => Command::KeyRetire { kind, id, compromised },
    })
}

fn explain(what: &ExplainArgs) -> Result<Command, Failure> {
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
