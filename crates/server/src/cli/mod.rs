//! The command line: arguments in, an exit code out.
//!
//! 0: done. 1: the thing said no. 2: the usage, the configuration or a file is wrong. Secrets are never arguments: they come
//! from standard input or a file.

mod arguments;
mod command;
mod config;
mod demo;
mod jwt;
mod migrate;
mod moving;
mod prompt;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use arguments::{Arguments, ConfigCommand, Subcommand};
use clap::{CommandFactory, Parser};

use crate::{
    backup,
    config::{Config, ConfigError, DatabaseUrl, Loaded},
    control::{self, Command, Refused, Reply},
    home::{self, Home, HomeError, Missing, Place},
    serve::{Running, Start, StartError},
    system::SystemClock,
    telemetry,
};
use regrant_engine::{event::Actor, ports::Clock};
use regrant_store::postgres::{Address, Environment, OpenError};

const NO: u8 = 1;
const USAGE: u8 = 2;

/// What is said to whoever puts a password on the command line.
const PASSWORD_IN_URL: &str =
    "a password is a secret and no argument: take it out of the URL, and give it by PGPASSFILE, PGPASSWORD";

/// The data directory if nobody names one.
const DEFAULT_DATA: &str = "regrant-data";

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
            let command = command::user(command)?;
            control(&arguments, command)
        }
        Some(Subcommand::Role { ref command }) => control(&arguments, command::role(command)),
        Some(Subcommand::Session { ref command }) => control(&arguments, command::session(command)?),
        Some(Subcommand::Client { ref command }) => control(&arguments, command::client(command)?),
        Some(Subcommand::Resource { ref command }) => control(&arguments, command::resource(command)?),
        Some(Subcommand::Key { ref command }) => control(&arguments, command::key(command)?),
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
        Some(Subcommand::Explain(ref what)) => control(&arguments, command::explain(what)?),
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
