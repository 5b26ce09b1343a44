//! `cargo xtask test`: everything that must hold before a commit.
//!
//! 1. The arguments choose among [`STEPS`]; their order is always that of the table, cheap before dear.
//! 2. Each step prints a headline, runs its programs in the open, and says how long it took.
//! 3. The first failure ends the run with what failed and how to mend it.
//! 4. Last, if tests ran, one plain line `N passed, N failed`, the sum over all test binaries: CI counts that line.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::command::{self, Failure};
use crate::{named_paths, prerequisites};

pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    run: fn(&Path, &mut Tally) -> Result<(), Failure>,
}

pub(crate) const STEPS: [Step; 7] = [
    Step { name: "prerequisites", about: "what the other steps need; installs what is missing", run: prerequisites },
    Step { name: "fmt", about: "the code is formatted", run: fmt },
    Step { name: "clippy", about: "no lint warns, in any target", run: clippy },
    Step { name: "deny", about: "dependencies: banned crates, duplicates, licences, sources", run: deny },
    Step { name: "docs", about: "the API documentation builds; the paths that documents name exist", run: docs },
    Step { name: "test", about: "all tests of the workspace", run: tests },
    Step { name: "demo", about: "`regrant demo --once` tells its story, as it would to a newcomer", run: demo },
];

pub(crate) fn run(args: &[String]) -> ExitCode {
    let mut tally = Tally::default();
    let outcome = chosen(args).and_then(|steps| in_order(&steps, &mut tally));
    if let Err(failure) = &outcome {
        eprintln!("\nFAILED: {}\nto mend it: {}", failure.what, failure.mend);
    }
    if tally.results > 0 {
        println!("\n{} passed, {} failed", tally.passed, tally.failed);
    }
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn in_order(steps: &[&Step], tally: &mut Tally) -> Result<(), Failure> {
    let root = command::repository_root()?;
    let whole = Stopwatch::start();
    for (index, step) in steps.iter().enumerate() {
        println!("\n=== {}/{} {}: {}", index + 1, steps.len(), step.name, step.about);
        let watch = Stopwatch::start();
        (step.run)(&root, tally)
            .map_err(|failure| Failure { what: format!("step {}: {}", step.name, failure.what), ..failure })?;
        println!("--- {}: ok, {}", step.name, watch.shown());
    }
    let noun = if steps.len() == 1 { "step" } else { "steps" };
    println!("\nall well: {} {noun}, {}", steps.len(), whole.shown());
    Ok(())
}

/// The steps that the arguments ask for: all, or those after `--only`.
fn chosen(args: &[String]) -> Result<Vec<&'static Step>, Failure> {
    let usage = "cargo xtask test [--only STEP[,STEP…]]; `cargo xtask --help` names the steps";
    let names = match args {
        [] => return Ok(STEPS.iter().collect()),
        [only, names] if only == "--only" => names.as_str(),
        [only] if only.starts_with("--only=") => only.trim_start_matches("--only="),
        _ => return Err(Failure::new(format!("unexpected arguments: {}", args.join(" ")), usage)),
    };
    let names: Vec<&str> = names.split(',').collect();
    match names.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        Some(unknown) => Err(Failure::new(format!("there is no step `{unknown}`"), usage)),
        None => Ok(STEPS.iter().filter(|step| names.contains(&step.name)).collect()),
    }
}

fn prerequisites(root: &Path, _: &mut Tally) -> Result<(), Failure> {
    prerequisites::run(root)
}

fn fmt(root: &Path, _: &mut Tally) -> Result<(), Failure> {
    command::run(command::cargo(root).args(["fmt", "--all", "--check"]), "cargo fmt --all")
}

fn clippy(root: &Path, _: &mut Tally) -> Result<(), Failure> {
    command::run(
        command::cargo(root).args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
        "do what the lint says; where an exception is right, `#[allow(…, reason = \"…\")]` at the narrowest place",
    )
}

fn deny(root: &Path, _: &mut Tally) -> Result<(), Failure> {
    let program = prerequisites::cargo_deny(root).ok_or_else(|| {
        Failure::new("the pinned cargo-deny is not installed", "cargo xtask test --only prerequisites,deny")
    })?;
    command::run(
        command::program(root, program).args(["check", "bans", "licenses", "sources"]),
        "do without the dependency, turn off the feature that pulls it in, or add an exception with its reason to deny.toml",
    )
}

fn docs(root: &Path, _: &mut Tally) -> Result<(), Failure> {
    command::run(
        command::cargo(root).args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        "correct the doc comment that the message names",
    )?;
    named_paths::check(root)
}

fn tests(root: &Path, tally: &mut Tally) -> Result<(), Failure> {
    command::run_reading(
        // All binaries run even when one fails, so that one run tells everything and the sum is whole.
        command::cargo(root).args(["test", "--workspace", "--no-fail-fast"]),
        "the names of the failed tests are above; `cargo test -p PACKAGE NAME` runs one alone",
        |line| tally.add(line),
    )
}

fn demo(root: &Path, _: &mut Tally) -> Result<(), Failure> {
    command::run(
        command::cargo(root).args(["run", "--release", "--", "demo", "--once"]),
        "the demo says above which step did not happen as told",
    )
}

/// The sum of the `test result:` lines.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    results: u32,
    passed: u64,
    failed: u64,
}

impl Tally {
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let count = |label: &str| -> u64 {
            // "ok. 12 passed; 0 failed; …": the number is the word before the label.
            result
                .split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(label)?.trim().parse().ok())
                .unwrap_or_default()
        };
        self.results += 1;
        self.passed += count("passed");
        self.failed += count("failed");
    }
}

/// How long a step took, for the reader.
struct Stopwatch(Instant);

#[allow(clippy::disallowed_methods, reason = "measures a duration to show it; nothing is decided by it")]
impl Stopwatch {
    fn start() -> Self {
        Stopwatch(Instant::now())
    }

    fn shown(&self) -> String {
        shown(self.0.elapsed())
    }
}

fn shown(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Result<Vec<&'static str>, String> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        chosen(&args).map(|steps| steps.iter().map(|step| step.name).collect()).map_err(|failure| failure.what)
    }

    #[test]
    fn all_steps_unless_told_otherwise() {
        assert_eq!(names(&[]).unwrap().len(), STEPS.len());
        assert_eq!(names(&["--only", "test,fmt"]).unwrap(), ["fmt", "test"]);
        assert_eq!(names(&["--only=deny"]).unwrap(), ["deny"]);
    }

    #[test]
    fn a_step_that_does_not_exist_is_refused_and_not_passed_over() {
        assert!(names(&["--only", "fmt,clipy"]).unwrap_err().contains("`clipy`"));
        assert!(names(&["--only", ""]).is_err());
        assert!(names(&["--only"]).is_err());
        assert!(names(&["fmt"]).is_err());
    }

    #[test]
    fn results_of_all_binaries_are_summed() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.52s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "nothing passed; 7 failed",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { results: 2, passed: 13, failed: 2 });
    }

    #[test]
    fn times_are_shown_as_people_say_them() {
        assert_eq!(shown(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(shown(Duration::from_secs(184)), "3 min 04 s");
    }
}
