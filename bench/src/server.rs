//! A server under test: the binary `regrant` beside this one, as an operator would start it, or another program that says in a line of
//! JSON where it listens (`peer.rs`).

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Failure, clock,
    http::{Dialect, Parsed, Target, parse},
};

/// It is killed if it has not stopped by then.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) target: Target,
    /// From its start until it said that it is ready.
    pub(crate) started_in: Duration,
    /// Its first line.
    pub(crate) said: serde_json::Value,
}

/// The binary `regrant` beside the one that runs.
pub(crate) fn binary() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(Failure::at("cannot tell where this program is"))?;
    let binary = own.with_file_name("regrant");
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(Failure::usage(format!(
            "there is no {}: build the server first, with \"cargo build -p regrant\" and the same profile (--release)",
            binary.display()
        )))
    }
}

impl Server {
    /// Starts Regrant on `data`, on a free port, and waits until it is ready. Its log goes into `data`.
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(binary);
        command.args(["--json", "--data"]).arg(data).args(["serve", "--listen", "127.0.0.1:0"]);
        Self::launch(command, Dialect::Session, "/health/ready", &data.join("server.log"))
    }

    /// Starts `command` and waits until it has said where it listens, and answers at `health`. Its standard input ends when this
    /// program does.
    pub(crate) fn launch(
        mut command: Command,
        dialect: Dialect,
        health: &str,
        log_path: &Path,
    ) -> Result<Self, Failure> {
        let log = File::create(log_path).map_err(Failure::at(format!("cannot write {}", log_path.display())))?;
        let begun = clock::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let child =
            command.spawn().map_err(Failure::at(format!("cannot start {}", command.get_program().display())))?;
        // From here on it is stopped whatever happens.
        let target = Target { authority: String::new(), dialect };
        let mut server = Self { child, target, started_in: Duration::ZERO, said: serde_json::Value::Null };
        let mut line = String::new();
        if let Some(stdout) = server.child.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line).map_err(Failure::at("cannot read what the server says"))?;
        }
        server.said = serde_json::from_str(&line).unwrap_or_default();
        let url = server.said.get("listening").and_then(|url| url.as_str());
        server.target = url.and_then(|url| Target::parse(url, dialect)).ok_or_else(|| {
            let log = std::fs::read_to_string(log_path).unwrap_or_default();
            Failure::new(format!("the server did not start. It said: {}", log.trim()))
        })?;
        if !server.answers(health)? {
            return Err(Failure::new("the server started, but says that it is not ready"));
        }
        server.started_in = clock::now() - begun;
        Ok(server)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn answers(&self, path: &str) -> Result<bool, Failure> {
        let ask = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(&self.target.authority)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(&self.target.get(path))?;
            let mut received = Vec::new();
            let mut piece = [0; 4096];
            while !matches!(parse(&received), Ok(Parsed::Whole(_)) | Err(_)) {
                match stream.read(&mut piece)? {
                    0 => break,
                    read => received.extend(piece.iter().take(read)),
                }
            }
            Ok(received)
        };
        let received = ask().map_err(Failure::at("cannot ask the server whether it is ready"))?;
        Ok(matches!(parse(&received), Ok(Parsed::Whole(reply)) if (200..300).contains(&reply.status)))
    }

    /// Stops it and waits until its store is closed.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        self.end();
        match self.child.try_wait() {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(status) => Err(Failure::new(format!("the server did not stop as it should: {status:?}"))),
            Err(error) => Err(Failure::new(format!("cannot wait for the server: {error}"))),
        }
    }

    fn end(&mut self) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let asked = id.is_some_and(|id| kill_process(id, Signal::TERM).is_ok());
        let deadline = clock::now() + LAST_WORDS;
        while asked && clock::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            clock::pause(Duration::from_millis(5));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A child that was waited for has no process any more that a signal could reach.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
    }
}
