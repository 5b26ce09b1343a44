//! A place of its own for one test: a data directory, and `regrant` run on it.

use std::{
    ffi::OsStr,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{EMAIL, PASSWORD, Server, cluster::Cluster, poll::eventually};

/// Everything that one test has on the disk. Removed with the last clone.
#[derive(Clone)]
pub(crate) struct Home {
    root: Arc<TempDir>,
    data: PathBuf,
    environment: Vec<(String, String)>,
    limits: String,
    /// In the place of the data directory.
    database: Option<String>,
    /// In the place of the binary under test.
    program: Option<PathBuf>,
}

/// What a process said before it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("regrant-e2e-").tempdir().expect("a temporary directory");
        let data = root.path().join("data");
        let mut home = Self {
            root: Arc::new(root),
            data,
            environment: Vec::new(),
            limits: String::new(),
            database: None,
            program: None,
        };
        if on_postgres() {
            home.database = Some(Cluster::shared().database());
        }
        // As cheap as is allowed: here the hash is not the matter.
        home.set("REGRANT_PASSWORDS__MEMORY_KIB", "8192");
        home.set("REGRANT_PASSWORDS__PASSES", "1");
        home
    }

    /// With a user, who can sign in.
    pub(crate) fn with_user() -> Self {
        let home = Self::new();
        home.add_user(EMAIL, &[]);
        home
    }

    /// Another data directory in the same place.
    pub(crate) fn with_data(&self, data: impl AsRef<Path>) -> Self {
        let database = self.database.is_some().then(|| Cluster::shared().database());
        Self { data: self.root.path().join(data), database, ..self.clone() }
    }

    /// On a database of its own in the place of the data directory.
    #[allow(dead_code, reason = "other test binaries use this module too, and not all of it")]
    pub(crate) fn on_a_database(mut self) -> Self {
        self.database = Some(Cluster::shared().database());
        self
    }

    /// On this database.
    #[allow(dead_code, reason = "other test binaries use this module too, and not all of it")]
    pub(crate) fn on(mut self, database: &str) -> Self {
        self.database = Some(database.to_owned());
        self
    }

    /// The same place for another version's binary.
    #[allow(dead_code, reason = "other test binaries use this module too, and not all of it")]
    pub(crate) fn with_program(&self, program: &Path) -> Self {
        Self { program: Some(program.to_owned()), ..self.clone() }
    }

    /// Where the store is, as the server says it.
    pub(crate) fn place(&self) -> String {
        // It does not repeat the options.
        let shown = |url: &String| url.split('?').next().unwrap_or_default().to_owned();
        self.database.as_ref().map_or_else(|| self.data.display().to_string(), shown)
    }

    /// Sets a variable of the environment for all processes from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Lets the shell limit all processes from now on, as in `ulimit -n 64`.
    #[allow(dead_code, reason = "other test binaries use this module too, and not all of it")]
    pub(crate) fn limit(&mut self, ulimit: &str) {
        ulimit.clone_into(&mut self.limits);
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The key file.
    #[allow(dead_code, reason = "other test binaries use this module too, and not all of it")]
    pub(crate) fn keys(&self) -> PathBuf {
        match self.database {
            None => self.data.join("keys.toml"),
            Some(_) => self.path("keys.toml"),
        }
    }

    /// A path beside the data directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// `regrant`, not started yet.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.bare_command::<&str>(&[]);
        match &self.database {
            None => command.arg("--data").arg(&self.data),
            Some(url) => command.arg("--database").arg(url).arg("--keys").arg(self.keys()),
        };
        command.args(arguments);
        command
    }

    /// Runs `regrant` without being told where the store is.
    #[allow(dead_code, reason = "other test binaries use this module too, and not all of it")]
    pub(crate) fn bare<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Said {
        run(self.bare_command(arguments), b"")
    }

    /// `regrant` without being told where the store is.
    pub(crate) fn bare_command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let program = self.program.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_regrant")));
        let mut command = Command::new(if self.limits.is_empty() { program } else { Path::new("sh") });
        if !self.limits.is_empty() {
            command.args(["-c", &format!("{}; exec \"$@\"", self.limits), "sh"]).arg(program);
        }
        // What the developer has set must not change the tests.
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| name.to_string_lossy().starts_with("REGRANT_")) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.root.path());
        command.args(arguments);
        command
    }

    pub(crate) fn regrant<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Said {
        self.regrant_reading(arguments, "")
    }

    /// Runs `regrant` with `input` on its standard input, to its end.
    pub(crate) fn regrant_reading<S: AsRef<OsStr>>(&self, arguments: &[S], input: impl AsRef<[u8]>) -> Said {
        run(self.command(arguments), input.as_ref())
    }

    pub(crate) fn add_user(&self, email: &str, more: &[&str]) -> Value {
        let mut arguments = vec!["--json", "user", "add", email, "--password-stdin"];
        arguments.extend(more);
        self.regrant_reading(&arguments, PASSWORD).ok().json()
    }

    /// Starts the server.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Server {
        Server::start(self.clone(), arguments)
    }

    /// Runs a server that is expected not to start.
    pub(crate) fn serve_in_vain(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments);
        run(command, b"")
    }
}

/// Whether this process tests on PostgreSQL.
fn on_postgres() -> bool {
    std::env::var_os(ON_POSTGRES).is_some()
}

/// Set for a test binary that is to run on PostgreSQL.
pub(crate) const ON_POSTGRES: &str = "TEST_ON_POSTGRES";

/// Runs a command to its end, which must come.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Said {
    // Files and not pipes: nobody has to read while it runs.
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let (out, err) = (scratch.path().join("out"), scratch.path().join("err"));
    let file = |path: &Path| File::create(path).expect("a file for the output");
    let child = command.stdin(Stdio::piped()).stdout(file(&out)).stderr(file(&err)).spawn();
    let mut child = child.expect("regrant starts");
    // It may have ended without reading; then there is nobody to write to.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let status = eventually("the command ends", || child.try_wait().expect("a child"));
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).expect("the output")).into_owned();
    Said { code: status.code(), out: read(&out), err: read(&err) }
}

impl Said {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ended_with(0)
    }

    #[track_caller]
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// The standard output, which must be one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Ended with `code`, and its standard error has every one of these words.
    #[track_caller]
    pub(crate) fn complains(self, code: i32, words: &[&str]) -> Self {
        let said = self.ended_with(code);
        for word in words {
            assert!(said.err.contains(word), "{word:?} is not in: {}", said.err);
        }
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }
}
