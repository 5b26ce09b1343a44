//! A PostgreSQL of the tests' own: in a directory of its own, on a free port, stopped and removed when the process that started it
//! has gone, however it went. One for each process; each test has a database of its own in it.
//!
//! Other test binaries use this file too.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test's helpers fail by panicking, and poll with a deadline; no binary uses all of them"
)]

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Where Debian keeps the programs of a version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The database's user for whom everybody is a friend: the cluster listens on this machine alone.
const USER: &str = "postgres";

/// A running PostgreSQL.
pub(crate) struct Cluster {
    pub(crate) port: u16,
    pub(crate) directory: PathBuf,
    settings: Vec<String>,
    // Its standard input ends with this process, and PostgreSQL with that.
    keeper: Child,
}

impl Cluster {
    /// The one of this process, fast and forgetful: what a crash of the machine leaves is another test's matter.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["fsync=off", "synchronous_commit=on", "full_page_writes=off"]))
    }

    /// One more, with these settings.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::serve(Self::fresh_data(), settings)
    }

    /// One more, that speaks TLS with this certificate and key, and lets in whom these lines name.
    pub(crate) fn start_with_tls(certificate: &Path, key: &Path, access: &str) -> Self {
        let directory = Self::fresh_data();
        for (from, to) in [(certificate, "server.pem"), (key, "server.key")] {
            std::fs::copy(from, directory.join(to)).expect("a copy of the certificate or its key");
        }
        std::fs::write(directory.join("access"), access).expect("who may come in");
        let own = |name: &str| directory.join(name).display().to_string();
        // PostgreSQL asks that nobody else can read the key.
        run(Command::new("chmod").arg("600").arg(own("server.key")));
        if is_root() {
            run(Command::new("chown").arg(USER).args(["server.pem", "server.key", "access"].map(own)));
        }
        let settings = [
            "ssl=on".to_owned(),
            "fsync=off".to_owned(),
            format!("ssl_cert_file={}", own("server.pem")),
            format!("ssl_key_file={}", own("server.key")),
            format!("hba_file={}", own("access")),
        ];
        Self::serve(directory, &settings.each_ref().map(String::as_str))
    }

    /// A directory with an empty cluster in it.
    fn fresh_data() -> PathBuf {
        let directory = fresh_directory();
        let data = directory.join("data");
        run(as_somebody("initdb")
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", USER, "-D"])
            .arg(&data));
        directory
    }

    /// A copy of this one that follows it, as streaming replication does.
    pub(crate) fn standby(&self) -> Self {
        let directory = fresh_directory();
        let mut copy = as_somebody("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", USER, "-R", "-X", "stream", "--checkpoint=fast", "-p"]);
        run(copy.arg(self.port.to_string()).arg("-D").arg(directory.join("data")));
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        Self::serve(directory, &settings)
    }

    /// Waits until a standby has seen all that was committed here.
    pub(crate) fn is_followed_by(&self, standby: &Self) {
        let there = self.sql("postgres", "SELECT pg_current_wal_lsn()");
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", there.trim());
        poll("the standby has caught up", || standby.sql("postgres", &sql).trim() == "t");
    }

    /// From here on, this standby hears nothing more of its primary.
    pub(crate) fn is_cut_off_from(&self, primary: &Self) {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let sql = "SELECT count(*) FROM pg_stat_replication";
        poll("the standby is cut off", || primary.sql("postgres", sql).trim() == "0");
    }

    /// And again.
    pub(crate) fn follows_again(&self, primary: &Self) {
        let connection =
            format!("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port={} user={USER}'", primary.port);
        self.sql("postgres", &connection);
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Every process of it stands still, as on a machine that is frozen: connections stay, and nobody answers.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// They go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let Ok(told) = std::fs::read_to_string(self.directory.join("data/postmaster.pid")) else { return };
        let Some(id) = told.lines().next() else { return };
        // Whoever has gone meanwhile needs no signal.
        let script =
            "kill -$1 $2 2>/dev/null; for child in $(ps -o pid= --ppid $2); do kill -$1 $child 2>/dev/null; done";
        let _ = Command::new("sh").args(["-c", script, "sh", name, id.trim()]).status();
    }

    /// Makes a standby a primary.
    pub(crate) fn promote(&self) {
        run(as_somebody("pg_ctl").args(["promote", "-s", "-w", "-D"]).arg(self.directory.join("data")));
    }

    /// Ends it as a power cut would: at once, in the middle of whatever it does.
    pub(crate) fn crash(&self) {
        let stopped = as_somebody("pg_ctl")
            .args(["stop", "-s", "-m", "immediate", "-D"])
            .arg(self.directory.join("data"))
            .status()
            .expect("pg_ctl");
        assert!(stopped.success(), "it is stopped");
    }

    /// Starts it again where it was, and waits until it has recovered.
    pub(crate) fn recover(&mut self) {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        let again = keep(&self.directory, self.port, &settings);
        // The old keeper has nothing to keep, and must not clear up.
        let mut old = std::mem::replace(&mut self.keeper, again);
        let _ = old.kill();
        let _ = old.wait();
        self.wait();
    }

    /// Starts a server on a directory that has its data.
    pub(crate) fn serve(directory: PathBuf, settings: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let keeper = keep(&directory, port, settings);
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let cluster = Self { port, directory, settings, keeper };
        cluster.wait();
        cluster
    }

    /// Waits until it answers.
    fn wait(&self) {
        let mut asked = program("pg_isready");
        asked.args(["-q", "-t", "1", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        let log = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        poll_told("PostgreSQL starts", || asked.status().expect("pg_isready").success(), log);
    }

    /// Makes an empty database, and gives its URL.
    pub(crate) fn database(&self) -> String {
        let name = format!("test{}", COUNTED.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL by psql, and gives what it printed.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = program("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database), "-c", sql]);
        run(&mut psql)
    }

    /// Copies a database as it is at this moment, as it would be found after a crash: what was committed is there.
    pub(crate) fn copy(&self, from: &str) -> String {
        let to = self.database();
        let script = "set -e; \"$1\" --no-owner -d \"$2\" | \"$3\" -X -q -v ON_ERROR_STOP=1 -d \"$4\" >/dev/null";
        let mut copy = Command::new("sh");
        copy.args(["-c", script, "sh"]).arg(path("pg_dump")).arg(from).arg(path("psql")).arg(&to);
        run(&mut copy);
        to
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Who stands still cannot be stopped.
        self.thaw();
    }
}

fn poll(what: &str, done: impl FnMut() -> bool) {
    poll_told(what, done, String::new);
}

fn poll_told(what: &str, mut done: impl FnMut() -> bool, told: impl Fn() -> String) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "this did not happen in a minute: {what}: {}", told());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory that belongs to who runs PostgreSQL.
fn fresh_directory() -> PathBuf {
    let number = COUNTED.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("regrant-pg-{}-{number}", std::process::id()));
    std::fs::create_dir(&directory).expect("a directory for PostgreSQL");
    if is_root() {
        run(Command::new("chown").arg(USER).arg(&directory));
    }
    directory
}

/// Starts PostgreSQL, and a shell that ends it when its input ends.
fn keep(directory: &Path, port: u16, settings: &[&str]) -> Child {
    let mut server = as_somebody("postgres");
    server.arg("-D").arg(directory.join("data")).args([
        "-p",
        &port.to_string(),
        "-h",
        "127.0.0.1",
        "-c",
        "max_connections=400",
    ]);
    server.arg("-c").arg(format!("unix_socket_directories={}", directory.display()));
    for setting in settings {
        server.args(["-c", setting]);
    }
    // PostgreSQL itself does not notice that nobody needs it any more; a shell that waits for the end of its input does.
    let mut line: Vec<String> = vec![server.get_program().to_string_lossy().into_owned()];
    line.extend(server.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    let script = "trap : INT TERM HUP; dir=$1; shift; \"$@\" >>\"$dir/log\" 2>&1 & server=$!; echo $server; cat >/dev/null; \
                  kill -INT $server 2>/dev/null; wait $server; rm -rf \"$dir\"";
    let mut keeper = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(directory)
        .args(line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    let mut id = String::new();
    BufReader::new(keeper.stdout.take().expect("a pipe")).read_line(&mut id).expect("the server's id");
    keeper
}

static COUNTED: AtomicU32 = AtomicU32::new(0);

/// A program of PostgreSQL, run as who may run a server.
fn as_somebody(name: &str) -> Command {
    let mut command = if is_root() {
        // PostgreSQL does not run as root.
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(path(name));
        command
    } else {
        program(name)
    };
    command.current_dir("/");
    command
}

pub(crate) fn program(name: &str) -> Command {
    Command::new(path(name))
}

fn path(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|program| program.exists()).collect();
    found.sort();
    // The newest version; elsewhere what the path has.
    found.pop().unwrap_or_else(|| Path::new(name).to_owned())
}

fn is_root() -> bool {
    let told = Command::new("id").arg("-u").output().expect("id");
    String::from_utf8_lossy(&told.stdout).trim() == "0"
}

fn run(command: &mut Command) -> String {
    let ran = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
