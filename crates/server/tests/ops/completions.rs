//! `regrant completions`.

use std::process::Command;

use crate::support::Home;

#[test]
fn every_shell_gets_a_script_that_names_the_commands() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = home.regrant(&["completions", shell]).ok();
        for word in ["set-password", "keep-sessions", "completions", "explain"] {
            assert!(said.out.contains(word), "{shell} knows no {word}");
        }
    }
    home.regrant(&["completions", "csh"]).complains(2, &["csh", "bash"]);
    assert!(!home.data().exists());
}

#[test]
fn bash_completes_with_it() {
    let home = Home::new();
    let script = home.path("regrant.bash");
    std::fs::write(&script, home.regrant(&["completions", "bash"]).ok().out).unwrap();
    let asked = format!(
        "source {}; COMP_WORDS=(regrant user set); COMP_CWORD=2; _regrant regrant set user; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let said = Command::new("bash").args(["-c", &asked]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "set-password", "{said:?}");
}
