//! Asking for a password on a terminal, without showing it.
//!
//! Asked for only where standard input and standard error are both a terminal: a script is never kept waiting. What is typed is
//! not echoed; the terminal is put back however this ends, Ctrl-C included.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::Failure;
use crate::control::Secret;

/// Whether there is somebody to ask.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A new password for somebody, asked for twice.
pub(super) fn new_password() -> Result<Secret, Failure> {
    let [first, second] = [hidden("New password: ")?, hidden("The same again: ")?];
    if first.0.is_empty() {
        return Err(Failure::usage("no password was given"));
    }
    if first.0 != second.0 {
        return Err(Failure::no("the two passwords are not the same; nothing was changed"));
    }
    Ok(first)
}

/// A password, or none if nothing is typed.
pub(super) fn password_or_none(question: &str) -> Result<Option<Secret>, Failure> {
    Ok(Some(hidden(question)?).filter(|password| !password.0.is_empty()))
}

/// The password that `--password-stdin` promised, from whoever sits there.
pub(super) fn password() -> Result<Secret, Failure> {
    password_or_none("Password: ")?.ok_or_else(|| Failure::usage("no password was given"))
}

/// Asks for a line that is not shown.
fn hidden(question: &str) -> Result<Secret, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // A signal would end us with the terminal silent: it is waited for beside the line, from before the silence on.
    let stop = {
        let _entered = runtime.enter();
        super::stop_signal()?
    };
    let silent = Silent::begin()?;
    let mut stderr = io::stderr();
    write!(stderr, "{question}").and_then(|()| stderr.flush())?;
    let (told, line) = tokio::sync::oneshot::channel();
    // It waits for the terminal, and nobody waits for it: the process ends with it if need be.
    std::thread::spawn(move || {
        let mut line = Zeroizing::new(String::new());
        let read = io::stdin().lock().read_line(&mut line).map(|_| line);
        let _ = told.send(read);
    });
    let line = runtime.block_on(async {
        tokio::select! {
            line = line => Some(line),
            () = stop => None,
        }
    });
    drop(silent);
    // The line break that was typed was not shown either.
    let _ = writeln!(stderr);
    let Some(line) = line else {
        return Err(Failure::no("interrupted; nothing was changed"));
    };
    let mut line = line.map_err(|_| Failure::no("the terminal could not be read"))??;
    let end = line.find(['\r', '\n']).unwrap_or(line.len());
    line.truncate(end);
    Ok(Secret(line))
}

/// While it lives, the terminal on standard input shows nothing that is typed.
struct Silent(Termios);

impl Silent {
    fn begin() -> Result<Self, Failure> {
        let failed = |error: rustix::io::Errno| Failure::no(format!("the terminal cannot be silenced: {error}"));
        let before = tcgetattr(io::stdin()).map_err(failed)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
