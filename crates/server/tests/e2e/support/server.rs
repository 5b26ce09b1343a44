//! A running `regrant serve`.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

use super::{Client, FIREFOX, Home, eventually};

/// A server process, killed when dropped. It is used like its [`Home`], too.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) issuer: String,
    log: PathBuf,
    home: Home,
}

impl Deref for Server {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    #[track_caller]
    pub(super) fn start(home: Home, arguments: &[&str]) -> Self {
        let log = home.path("serve.log");
        let log_file = File::options().create(true).append(true).open(&log).expect("a log file");
        let mut command = home.command(&["serve"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().expect("regrant starts");
        let (told, line) = mpsc::channel();
        let out = child.stdout.take().expect("a pipe");
        // Reads on to the end, so that the server never writes to a closed pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        let line = line.recv_timeout(Duration::from_secs(30)).unwrap_or_default();
        let parsed = line.strip_prefix("listening on ").and_then(|rest| {
            let (origin, rest) = rest.split_once(" as ")?;
            let (issuer, data) = rest.split_once(", data in ")?;
            let address = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
            (data == home.place()).then(|| (address.parse().ok(), issuer.to_owned()))
        });
        let Some((Some(address), issuer)) = parsed else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server said {line:?} and logged: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        Self { child, address, issuer, log, home }
    }

    /// A browser on this machine.
    pub(crate) fn client(&self) -> Client {
        self.client_from([127, 0, 0, 1], FIREFOX)
    }

    pub(crate) fn client_from(&self, from: [u8; 4], user_agent: &'static str) -> Client {
        Client::new(self.address, Ipv4Addr::from(from), user_agent)
    }

    /// Asks it to stop, as an init system does, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal, as in `kill -HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let (script, id) = (format!("kill -{name} \"$1\""), self.child.id().to_string());
        let sent = Command::new("sh").args(["-c", &script, "sh", &id]).status();
        assert!(sent.expect("a shell").success(), "the signal is sent");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the server ends", || self.child.try_wait().expect("a child"))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// SIGKILL: nothing is finished, nothing is cleaned up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the server is there");
        self.child.wait().expect("the server ends");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that this home's servers have logged.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("the log")).into_owned()
    }
}
