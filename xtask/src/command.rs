//! Running other programs: all of them from the root of the repository, with a clean environment, and with a failure that
//! says how to mend it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What went wrong and what the reader can do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) mend: String,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Failure { what: what.into(), mend: mend.into() }
    }
}

/// The cargo that runs this task, so that a step cannot meet another toolchain.
pub(crate) fn cargo(root: &Path) -> Command {
    program(root, std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// Any other program.
pub(crate) fn program(root: &Path, name: impl Into<OsString>) -> Command {
    let mut command = Command::new(name.into());
    command.current_dir(root).stdin(Stdio::null());
    // `cargo run` describes the package `xtask` in the environment. A nested cargo must not see that: build scripts that
    // watch these variables would run again each time that a build is started by hand and by xtask in turn.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(describes_a_package) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end, its output shown as it comes.
pub(crate) fn run(command: &mut Command, mend: &str) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}`: {status}", shown(command)), mend)) }
}

/// Runs it like [`run`], and hands each line of its standard output to `on_line` after printing it.
pub(crate) fn run_reading(command: &mut Command, mend: &str, mut on_line: impl FnMut(&str)) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(command, &error))?;
    if let Some(stdout) = child.stdout.take() {
        // Bytes, not lines of text: what a test prints need not be UTF-8.
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            on_line(&line);
        }
    }
    let status = child.wait().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}`: {status}", shown(command)), mend)) }
}

/// Runs it silently; its standard output if it succeeded.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program of this name is in PATH.
pub(crate) fn in_path(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// The root of the repository: the folder above xtask's own.
pub(crate) fn repository_root() -> Result<PathBuf, Failure> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    manifest
        .as_deref()
        .and_then(Path::parent)
        .map(Path::to_owned)
        .ok_or_else(|| Failure::new("xtask does not know where the repository is", "run it as `cargo xtask …`"))
}

fn describes_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut line = program.to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("`{}` could not be run: {error}", shown(command)),
        "run `cargo xtask test --only prerequisites`, which names what is missing",
    )
}
