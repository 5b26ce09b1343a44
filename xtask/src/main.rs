//! The project's own tasks, run as `cargo xtask TASK`.
//!
//! * `test` ([`mod@test`]): everything that must hold before a commit; CI runs the same.
//! * `package` ([`mod@package`]): the Debian package and what goes with it, built and tried.
//! * `upgrade` ([`mod@upgrade`]): the version before and this one on one store, and the way back.
//! * `simulate` ([`mod@simulate`]): the simulation that chose the defaults of the rotation protocol.

mod command;
mod named_paths;
mod package;
mod prerequisites;
mod simulate;
mod test;
mod upgrade;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next();
    let args: Vec<String> = args.collect();
    match task.as_deref() {
        Some("test") => test::run(&args),
        Some("package") => package::run(&args),
        Some("upgrade") => upgrade::run(&args),
        Some("simulate") => simulate::run(args),
        Some("help" | "--help" | "-h") => {
            println!("{}", help());
            ExitCode::SUCCESS
        }
        Some(unknown) => {
            eprintln!("xtask: there is no task `{unknown}`\n\n{}", help());
            ExitCode::FAILURE
        }
        None => {
            eprintln!("{}", help());
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let steps: String = test::STEPS.iter().map(|step| format!("    {:<14} {}\n", step.name, step.about)).collect();
    format!(
        "\
cargo xtask test [--only STEP[,STEP…]]    check everything, in this order, up to the first failure
cargo xtask package [--no-try]            build the Debian package, the list of what is in it and their checksums; try them
cargo xtask upgrade [--from REVISION]     the last tag's binary beside this one, and the way back
cargo xtask simulate …                    simulate the rotation protocol

Steps of `test`:
{steps}"
    )
}
