//! The control socket, `DIR/control.sock`: one JSON command in, one JSON answer out, then it closes.
//!
//! Only the directory's owner reaches it: the directory is 0700, the socket 0600, and the peer's user is compared.

use std::{
    io::{self, Read, Write},
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use regrant_engine::{Engine, event::Actor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
};

use super::{Command, Refused, Reply, execute};
use crate::{http::breathe, keeper::Keeper};

const NAME: &str = "control.sock";
/// The largest command: an import.
const LARGEST: u64 = 64 * 1024 * 1024;
/// How long a command may be on its way, either way.
const PATIENCE: Duration = Duration::from_secs(60);

/// A listening control socket; removed when dropped.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl ControlSocket {
    /// Listens in `directory`, whose lock the caller holds: a socket that is there already is a dead one.
    pub(crate) fn listen(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _directory) = short_path(directory)?;
        let listener = UnixListener::bind(short)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers commands until dropped.
    pub(crate) async fn serve(&self, engine: Arc<Engine>, keeper: Arc<Keeper>) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                breathe().await;
                continue;
            };
            let (engine, keeper) = (Arc::clone(&engine), Arc::clone(&keeper));
            tokio::spawn(async move {
                if let Err(error) = answer(stream, &engine, &keeper).await {
                    tracing::warn!(%error, "a control command was not answered");
                }
            });
        }
    }
}

async fn answer(mut stream: tokio::net::UnixStream, engine: &Arc<Engine>, keeper: &Keeper) -> io::Result<()> {
    let me = std::fs::metadata("/proc/self").map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata))?;
    let peer = stream.peer_cred()?.uid();
    if peer != me && peer != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user's command"));
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let mut limited = (&mut stream).take(LARGEST + 1);
    let read = limited.read_to_end(&mut bytes);
    tokio::time::timeout(PATIENCE, read).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let result = match serde_json::from_slice::<Command>(&bytes) {
        _ if bytes.len() as u64 > LARGEST => Err(Refused::Usage(format!("the command is larger than {LARGEST} bytes"))),
        Ok(command) => execute(engine, Actor::Operator, keeper, command).await,
        // The parser's message might quote a secret.
        Err(_) => {
            Err(Refused::Usage("the running server does not know this command: is it of the same version?".to_owned()))
        }
    };
    let reply = serde_json::to_vec(&result).map_err(io::Error::other)?;
    stream.write_all(&reply).await?;
    stream.shutdown().await
}

/// Sends a command to the server that runs on `directory`. `None` if none answers.
pub(crate) fn ask(directory: &Path, command: &Command) -> Option<Result<Reply, Refused>> {
    let (short, _directory) = short_path(directory).ok()?;
    let mut stream = UnixStream::connect(short).ok()?;
    let mut exchange = || -> io::Result<Result<Reply, Refused>> {
        stream.set_read_timeout(Some(PATIENCE * 2))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let bytes = zeroize::Zeroizing::new(serde_json::to_vec(command).map_err(io::Error::other)?);
        stream.write_all(&bytes)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        serde_json::from_slice(&reply).map_err(io::Error::other)
    };
    Some(exchange().unwrap_or_else(|error| {
        Err(Refused::No(format!("the server on {} did not answer ({error}); see its log", directory.display())))
    }))
}

/// A Unix socket's path is at most 107 bytes, a directory's may be longer: the way through an open descriptor is short.
fn short_path(directory: &Path) -> io::Result<(PathBuf, std::fs::File)> {
    let open = std::fs::File::open(directory)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd())), open))
}
