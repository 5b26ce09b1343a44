//! `cargo xtask upgrade`: the version before beside this one.
//!
//! 1. Which version that is: the last tag, or what `--from` names.
//! 2. Its binary is built from its own sources, in the development profile, below `target/upgrade`: sources by `git archive`, which leaves
//!    nothing behind in the repository, and a target directory for all of these. One that was built already is used again.
//! 3. The end-to-end tests of `crates/server/tests/e2e/upgrade.rs` are run with it: both binaries on one PostgreSQL, which the tests start
//!    themselves, chains of refreshes that go to the other one each time, the way back, and the embedded store.
//!
//! What this repository's own working tree has, committed or not, is the version after.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::command::{self, Failure, cargo, output_of, program};

const USAGE: &str = "cargo xtask upgrade [--from REVISION]";
/// Where all of it is.
const PLACE: &str = "target/upgrade";

pub(crate) fn run(args: &[String]) -> ExitCode {
    match revision_in(args).and_then(upgrade) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { what, mend }) => {
            eprintln!("\nFAILED: {what}\nto mend it: {mend}");
            ExitCode::FAILURE
        }
    }
}

/// What the arguments name; nothing is the last tag.
fn revision_in(args: &[String]) -> Result<Option<&str>, Failure> {
    match args {
        [] => Ok(None),
        [from, revision] if from == "--from" => Ok(Some(revision)),
        [from] if from.starts_with("--from=") => Ok(Some(from.trim_start_matches("--from="))),
        _ => Err(Failure::new(format!("unexpected arguments: {}", args.join(" ")), USAGE)),
    }
}

fn upgrade(from: Option<&str>) -> Result<(), Failure> {
    let root = command::repository_root()?;
    let named = match from {
        Some(revision) => revision.to_owned(),
        None => output_of(program(&root, "git").args(["describe", "--tags", "--abbrev=0"]))
            .map(|tag| tag.trim().to_owned())
            .ok_or_else(|| {
                Failure::new("there is no tag, and so no version before this one", format!("name one: {USAGE}"))
            })?,
    };
    let commit = output_of(
        program(&root, "git")
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{named}^{{commit}}")),
    )
    .map(|commit| commit.trim().to_owned())
    .filter(|commit| !commit.is_empty())
    .ok_or_else(|| Failure::new(format!("there is no revision `{named}`"), USAGE))?;
    let short: String = commit.chars().take(10).collect();
    println!("=== the version before: {named} ({short})");
    let before = built(&root, &commit)?;
    println!("\n=== both, on one database and on one directory");
    let mend = "a test above says which request one of the two did not understand: what this version writes the one before must read \
                (docs/howto/upgrade.md), or the migration says that it cannot go on beside it";
    command::run(
        cargo(&root)
            .args([
                "test",
                "--package",
                "regrant",
                "--test",
                "e2e",
                "upgrade::",
                "--",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("UPGRADE_FROM", before),
        mend,
    )?;
    println!("\nall well: from {named} ({short}) to what is here, and back");
    Ok(())
}

/// The binary of a commit.
fn built(root: &Path, commit: &str) -> Result<PathBuf, Failure> {
    let place = root.join(PLACE);
    let binary = place.join("bin").join(format!("regrant-{commit}"));
    if binary.is_file() {
        println!("built already: {}", binary.display());
        return Ok(binary);
    }
    let sources = place.join(commit);
    let failed = |what: &str, error: std::io::Error| {
        Failure::new(format!("{what}: {error}"), format!("remove {PLACE}, and try again"))
    };
    // What a run that was broken off has left may be half of it.
    if sources.exists() {
        std::fs::remove_dir_all(&sources).map_err(|error| failed("its sources cannot be removed", error))?;
    }
    for directory in [&sources, &place.join("bin")] {
        std::fs::create_dir_all(directory).map_err(|error| failed("a directory cannot be made", error))?;
    }
    take_out(root, commit, &sources)?;
    let target = place.join("build");
    command::run(
        cargo(&sources).args(["build", "--package", "regrant", "--bin", "regrant"]).env("CARGO_TARGET_DIR", &target),
        "that revision does not build here: name another one with --from, or a toolchain that it builds with",
    )?;
    // Under its own name last: what has it is whole.
    let half = binary.with_extension("half");
    std::fs::copy(target.join("debug/regrant"), &half)
        .and_then(|_| std::fs::rename(&half, &binary))
        .and_then(|()| std::fs::remove_dir_all(&sources))
        .map_err(|error| failed("its binary cannot be kept", error))?;
    Ok(binary)
}

/// The sources of a commit, as new as if they had just been written: all commits share a target directory, and cargo would take what was
/// built of another one for this one's otherwise.
fn take_out(root: &Path, commit: &str, to: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("git archive: {error}"), "git and tar must be installed");
    let mut archive = program(root, "git");
    let mut archive =
        archive.args(["archive", "--format=tar", commit]).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let stream = archive.stdout.take().ok_or_else(|| Failure::new("git archive says nothing", USAGE))?;
    let unpacked = Command::new("tar").args(["-x", "-m", "-C"]).arg(to).stdin(stream).status().map_err(failed)?;
    let archived = archive.wait().map_err(failed)?;
    match archived.success() && unpacked.success() {
        true => Ok(()),
        false => {
            Err(Failure::new(format!("the sources of {commit} cannot be taken out"), "look at `git archive` above"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_the_last_tag_unless_one_is_named() {
        let of = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            revision_in(&args).map(|revision| revision.map(str::to_owned)).map_err(|failure| failure.mend)
        };
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&["--from", "HEAD"]).unwrap().as_deref(), Some("HEAD"));
        assert_eq!(of(&["--from=v0.1.0"]).unwrap().as_deref(), Some("v0.1.0"));
        assert_eq!(of(&["HEAD"]).unwrap_err(), USAGE);
        assert_eq!(of(&["--from"]).unwrap_err(), USAGE);
    }
}
