//! A running server, put together: for `regrant serve`, and for `regrant demo`, which plays on a real one.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use hyper::Uri;
use regrant_engine::Engine;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    config::Config,
    control::socket::ControlSocket,
    home::{Home, HomeError, Missing},
    http::{self, App},
    jobs,
};

/// Where to listen if nobody says.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// What to start.
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) directory: PathBuf,
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
    pub(crate) address: SocketAddr,
    pub(crate) issuer: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    controlled: JoinHandle<()>,
    home: Home,
}

impl Running {
    /// Opens the directory, binds the address, and serves.
    pub(crate) async fn start(start: Start) -> Result<Self, StartError> {
        let Start { config, directory, key_file, change_issuer } = start;
        let asked = config.server.issuer.as_deref().map(checked_issuer).transpose()?;
        let home = Home::open(&directory, key_file.as_deref(), Missing::Create)?;
        let listen = config.server.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            StartError::Listen(format!("cannot listen on {listen}: {error}; choose another --listen ADDR:PORT"))
        })?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(format!("cannot listen: {error}")))?;
        let issuer = match (asked, home.stored_issuer().await?) {
            (Some(asked), _) => asked,
            // The port may be another one today; who we are is not.
            (None, Some(stored)) => stored,
            (None, None) if address.ip().is_loopback() => format!("http://{address}"),
            (None, None) => {
                return Err(StartError::Config(format!(
                    "{listen} is not a loopback address, so people come from elsewhere: say who we are to them with \
                     --issuer https://…"
                )));
            }
        };
        let engine = home.engine(&config, &issuer).await?;
        home.claim(&issuer, change_issuer).await?;
        let control = ControlSocket::listen(&directory).map_err(|error| {
            StartError::Home(HomeError::File(format!("cannot listen on {}/control.sock: {error}", directory.display())))
        })?;
        let app = App::new(Arc::clone(&engine), &config);
        let (stop, stopped) = oneshot::channel();
        let limits = http::Limits { connections: config.limits.connections };
        let served = tokio::spawn(http::serve(listener, http::router(app), limits, async {
            let _ = stopped.await;
        }));
        let sweeping = tokio::spawn(jobs::sweep(Arc::clone(&engine)));
        let controlling = Arc::clone(&engine);
        let controlled = tokio::spawn(async move { control.serve(controlling).await });
        Ok(Self { engine, address, issuer, stop, served, sweeping, controlled, home })
    }

    /// Lets requests under way finish, then closes the store.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.served.await;
        for task in [self.sweeping, self.controlled] {
            task.abort();
            let _ = task.await;
        }
        drop(self.engine);
        drop(self.home);
    }
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
