//! A running server, put together: for `regrant serve`, and for `regrant demo`, which plays on a real one.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::Router;
use hyper::Uri;
use regrant_engine::{
    Engine,
    client::{self, keys::KeySource},
    id::ClientId,
    ports::{ClientsKept, ResourcesKept},
    resource,
    time::Time,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::{
    config::Config,
    control::socket::ControlSocket,
    home::{Home, HomeError, Missing, Place},
    http::{self, App, Lanes, tls},
    jobs,
    keeper::Keeper,
    outbound::Outbound,
    pages::Brand,
    telemetry::{Watch, Watching},
};

/// Where to listen if nobody says.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Descriptors that are no connections: the store, the log, sockets.
const OWN_DESCRIPTORS: u64 = 64;

/// Connections that wait in the kernel; it has a cap of its own (`net.core.somaxconn`, mostly 4,096).
const WAITING: i32 = 4096;

/// What to start.
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) place: Place,
    pub(crate) key_file: Option<PathBuf>,
    /// Sign everybody out rather than refuse when the issuer is another one than the store's.
    pub(crate) change_issuer: bool,
}

/// Why it did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The configuration.
    Config(String),
    /// The data directory.
    Home(HomeError),
    /// The network.
    Listen(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(what) | Self::Listen(what) => f.write_str(what),
            Self::Home(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<HomeError> for StartError {
    fn from(error: HomeError) -> Self {
        Self::Home(error)
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) engine: Arc<Engine>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) address: SocketAddr,
    /// What is spoken there.
    pub(crate) scheme: &'static str,
    pub(crate) issuer: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    freshening: Option<JoinHandle<()>>,
    sweeping: JoinHandle<()>,
    tending: JoinHandle<()>,
    working: JoinHandle<()>,
    controlled: Option<JoinHandle<()>>,
    telling: JoinHandle<()>,
    stop_telling: oneshot::Sender<()>,
    watching: Watching,
    home: Home,
    /// What is shared between requests may be at work there.
    lanes: Arc<Lanes>,
}

impl Running {
    /// Opens the directory, binds the address, and serves.
    pub(crate) async fn start(start: Start) -> Result<Self, StartError> {
        Self::start_with(start, |_, _| Router::new()).await
    }

    /// Likewise, with more routes on the same origin: the demo's pages.
    pub(crate) async fn start_with(
        start: Start,
        more: impl FnOnce(&Arc<Engine>, SocketAddr) -> Router,
    ) -> Result<Self, StartError> {
        let Start { config, place, key_file, change_issuer } = start;
        let Checked { issuer: asked, tls, outbound, brand } = preflight(&config)?;
        warn_of_development(&config);
        let scheme = if tls.is_some() { "https" } else { "http" };
        raise_descriptors(config.limits.connections);
        let telemetry = Watch::open(&config).await.map_err(StartError::Config)?;
        let home = Home::open(&place, key_file.as_deref(), Missing::Create, &config, telemetry.listener()).await?;
        let listen = config.server.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            StartError::Listen(format!("cannot listen on {listen}: {error}; choose another --listen ADDR:PORT"))
        })?;
        // 128 is what one gets, and a burst beyond that (all clients after a restart) loses a second to its first retry. Said
        // again, it is another number; a kernel that does not like it keeps the first.
        let _ = rustix::net::listen(&listener, WAITING);
        let address = listener.local_addr().map_err(|error| StartError::Listen(format!("cannot listen: {error}")))?;
        let issuer = match (asked, home.stored_issuer().await?) {
            (Some(asked), _) => asked,
            // The port may be another one today; who we are is not.
            (None, Some(stored)) => stored,
            (None, None) if address.ip().is_loopback() => format!("{scheme}://{address}"),
            (None, None) => {
                return Err(StartError::Config(format!(
                    "{listen} is not a loopback address, so people come from elsewhere: say who we are to them with \
                     --issuer https://…"
                )));
            }
        };
        // The issuer says how browsers come, and so whether the cookie is Secure.
        if tls.is_some() && issuer.starts_with("http://") {
            return Err(StartError::Config(format!(
                "server.tls_certificate is set, so people come by https, and {issuer} cannot be the issuer: say --issuer \
                 https://…"
            )));
        }
        let engine = home.engine_observed(&config, &issuer, telemetry.observer()).await?;
        home.claim(&issuer, change_issuer).await?;
        keep_clients(&engine, &config).await?;
        keep_resources(&engine, &config).await?;
        let keeper = home.keeper()?;
        // Before the first token: what became due while nobody served, and longer lifetimes than before.
        keeper.signing.tend(&engine).await.map_err(HomeError::from)?;
        let control = control_socket(&place)?;
        let outbound = Arc::new(outbound);
        engine.clients.keys.fetch_by(Arc::clone(&outbound) as Arc<dyn KeySource>);
        let app = App::new(Arc::clone(&engine), Arc::clone(&keeper), &config, brand);
        let (stop, stopped) = oneshot::channel();
        let limits = http::Limits { connections: config.limits.connections };
        let (acceptor, watch) = tls.unzip();
        let entrance = http::Entrance::new(app, more(&engine, address), telemetry.seen());
        let watching = telemetry.start(&engine);
        let lanes = Lanes::start().map_err(|error| StartError::Listen(format!("cannot start threads: {error}")))?;
        let lanes = Arc::new(lanes);
        let served = tokio::spawn(http::serve(listener, acceptor, entrance, limits, Some(Arc::clone(&lanes)), async {
            let _ = stopped.await;
        }));
        let freshening = watch.map(|watch| tokio::spawn(tls::keep_fresh(watch)));
        let sweeping = tokio::spawn(jobs::sweep(Arc::clone(&engine)));
        let tending = tokio::spawn(jobs::keys(Arc::clone(&engine), Arc::clone(&keeper)));
        let working = tokio::spawn(jobs::long_work(Arc::clone(&engine)));
        let (stop_telling, stopped_telling) = oneshot::channel();
        let telling = tokio::spawn(jobs::logouts(Arc::clone(&engine), outbound, stopped_telling));
        let controlling = (Arc::clone(&engine), Arc::clone(&keeper));
        let controlled =
            control.map(|control| tokio::spawn(async move { control.serve(controlling.0, controlling.1).await }));
        Ok(Self {
            engine,
            keeper,
            address,
            scheme,
            issuer,
            stop,
            served,
            freshening,
            sweeping,
            tending,
            working,
            controlled,
            telling,
            stop_telling,
            watching,
            home,
            lanes,
        })
    }

    /// Lets requests under way finish, then closes the store.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.send(());
        let _ = self.served.await;
        let _ = self.stop_telling.send(());
        let _ = self.telling.await;
        for task in
            [self.sweeping, self.tending, self.working].into_iter().chain(self.controlled).chain(self.freshening)
        {
            task.abort();
            let _ = task.await;
        }
        self.watching.leave_store().await;
        drop(self.engine);
        drop(self.home);
        self.watching.stop().await;
        drop(self.lanes);
    }
}

/// Commands reach the server of a directory through its socket; on a database they work beside it.
fn control_socket(place: &Place) -> Result<Option<ControlSocket>, StartError> {
    let Place::Directory(directory) = place else { return Ok(None) };
    let listening = ControlSocket::listen(directory).map_err(|error| {
        StartError::Home(HomeError::File(format!("cannot listen on {}/control.sock: {error}", directory.display())))
    })?;
    Ok(Some(listening))
}

/// Makes the configuration's clients the store's, and notes how long tokens of every client live: their keys stay published for
/// so long.
async fn keep_clients(engine: &Engine, config: &Config) -> Result<(), StartError> {
    let wanted = config.clients(engine.now()).map_err(|error| StartError::Config(error.to_string()))?;
    match client::keep(engine, wanted).await.map_err(HomeError::from)? {
        ClientsKept::Kept { added: 0, changed: 0, removed: 0 } => {}
        ClientsKept::Kept { added, changed, removed } => {
            tracing::info!(added, changed, removed, "the clients of the configuration were put into the store");
        }
        ClientsKept::Taken(ClientId(id)) => {
            return Err(StartError::Config(format!(
                "clients.{id}: there is a client of this id that was added by the command line; remove it first (\"regrant \
                 client remove {id}\" ends what was granted to it), or choose another id"
            )));
        }
        ClientsKept::OfResource(ClientId(id)) => {
            return Err(StartError::Config(format!(
                "clients.{id}: a resource that was added by the command line has this id, and its access tokens would pass for \
                 ID tokens of the client; choose another id"
            )));
        }
    }
    for known in engine.store.clients().await.map_err(HomeError::from)? {
        engine.clients.note(&known);
    }
    Ok(())
}

/// Makes the configuration's resources the store's, and reads all of them once.
async fn keep_resources(engine: &Engine, config: &Config) -> Result<(), StartError> {
    let wanted = config.resources(engine.now()).map_err(|error| StartError::Config(error.to_string()))?;
    for resource in &wanted {
        let name = config.resource_key(&resource.id);
        resource::fits(resource, &engine.settings).map_err(|why| StartError::Config(format!("{name}: {why}")))?;
    }
    match resource::keep(engine, wanted).await.map_err(HomeError::from)? {
        ResourcesKept::Kept { added: 0, changed: 0, removed: 0 } => {}
        ResourcesKept::Kept { added, changed, removed } => {
            tracing::info!(added, changed, removed, "the resources of the configuration were put into the store");
        }
        ResourcesKept::OfClient(id) => {
            return Err(StartError::Config(format!(
                "{}: a client has the id {id}, and access tokens for the resource would pass for its ID tokens; choose another URI",
                config.resource_key(&id)
            )));
        }
        ResourcesKept::Taken(id) => {
            return Err(StartError::Config(format!(
                "{}: the resource {id} was added by the command line; remove it first (\"regrant resource remove {id}\")",
                config.resource_key(&id)
            )));
        }
    }
    let registry = engine.registry().await.map_err(HomeError::from)?;
    for resource in registry.all() {
        if let Err(why) = resource::fits(resource, &engine.settings) {
            tracing::warn!(resource = %resource.id, %why, "no tokens can be made for a resource");
        }
    }
    Ok(())
}

/// What is for development is said aloud at each start: a setting that was left behind must not go unnoticed.
fn warn_of_development(config: &Config) {
    let development = &config.development;
    if development.allow_loopback {
        tracing::warn!(
            "DEVELOPMENT: development.allow_loopback is on, so requests to addresses that clients registered may go to this \
             machine. Never in production"
        );
    }
    if let Some(file) = &development.extra_ca {
        tracing::warn!(
            file = %file.display(),
            "DEVELOPMENT: development.extra_ca is set, so requests trust authorities that the machine does not. Never in \
             production"
        );
    }
}

/// A connection is a descriptor, and what a process is given to begin with (1,024, mostly) is for programs with fewer of them.
/// As many as the system allows us, and a word if that is too few.
fn raise_descriptors(connections: u32) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, ?current, "the limit of open files could not be raised");
    }
    let wanted = u64::from(connections).saturating_add(OWN_DESCRIPTORS);
    if let Some(maximum) = maximum.filter(|maximum| *maximum < wanted) {
        tracing::warn!(
            maximum,
            wanted,
            "fewer files may be open than limits.connections asks for; more connections than that wait. Raise the hard limit \
             (systemd: LimitNOFILE=), or lower limits.connections"
        );
    }
}

/// What can be known of a configuration before anything is made.
pub(crate) struct Checked {
    /// The issuer, as it is compared.
    issuer: Option<String>,
    tls: Option<(TlsAcceptor, tls::Watch)>,
    outbound: Outbound,
    brand: Brand,
}

/// Looks at what a start would refuse; `regrant config check` does no more.
pub(crate) fn preflight(config: &Config) -> Result<Checked, StartError> {
    let server = &config.server;
    let issuer = server.issuer.as_deref().map(checked_issuer).transpose()?;
    let tls = match (&server.tls_certificate, &server.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::open(certificate, key).map_err(StartError::Config)?),
        _ => None,
    };
    if let Some(listen) = server.listen.as_deref()
        && listen.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err())
    {
        return Err(StartError::Config(format!(
            "cannot listen on {listen}: it does not end in a port; write --listen ADDR:PORT, or server.listen = \
             \"127.0.0.1:8080\""
        )));
    }
    Watch::check(config).map_err(StartError::Config)?;
    // What is there is read again when it is needed: the time of this reading goes nowhere.
    config.clients(Time::default()).map_err(|error| StartError::Config(error.to_string()))?;
    config.resources(Time::default()).map_err(|error| StartError::Config(error.to_string()))?;
    let outbound = Outbound::of(config).map_err(StartError::Config)?;
    let brand = Brand::of(config).map_err(StartError::Config)?;
    Ok(Checked { issuer, tls, outbound, brand })
}

/// https, or http on a loopback host (RFC 8414 §2; OAuth 2.1 for the exception); nothing behind the host.
fn checked_issuer(text: &str) -> Result<String, StartError> {
    let wrong = |why: &str| {
        StartError::Config(format!("the issuer \"{text}\" cannot be used: {why}. Write it like https://id.example.com"))
    };
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let uri: Uri = trimmed.parse().map_err(|_| wrong("it is not a URL"))?;
    let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("it has a user name in it"));
    }
    if uri.query().is_some() || trimmed.contains('#') || !matches!(uri.path(), "" | "/") {
        return Err(wrong("it has something behind the host"));
    }
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if http::is_loopback(authority.as_str()) => {}
        Some("http") => return Err(wrong("http is for loopback hosts only")),
        _ => return Err(wrong("it must begin with https://")),
    }
    // Origins are compared as browsers write them: in lower case, without the port that goes without saying.
    let host = authority.as_str().to_ascii_lowercase();
    let (scheme, default) = if trimmed.starts_with("https") { ("https", ":443") } else { ("http", ":80") };
    Ok(format!("{scheme}://{}", host.strip_suffix(default).unwrap_or(&host)))
}

#[cfg(test)]
mod tests;
