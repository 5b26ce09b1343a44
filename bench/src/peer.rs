//! Another server, to measure beside Regrant: npm `oidc-provider`, as `bench/oidc-provider/server.mjs` sets it up.
//!
//! 1. The files of `bench/oidc-provider/` are in this program. They are written beside it, so below `target/`, and `npm ci` installs
//!    what the lock file pins, unless that was done before.
//! 2. The server is started without a grant, for its memory and the time that it takes; then with all of them.
//! 3. The same load is put on it as on Regrant.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Failure, RefreshArguments,
    http::Dialect,
    process,
    refresh::{measure, read_tokens},
    report::{Memory, Report},
    server::Server,
};

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../oidc-provider/package.json")),
    ("package-lock.json", LOCK),
    ("server.mjs", include_str!("../oidc-provider/server.mjs")),
];
const LOCK: &str = include_str!("../oidc-provider/package-lock.json");
/// What lies there was installed from a lock file like this one.
const STAMP: &str = "installed.txt";
/// The file of the first refresh tokens.
const TOKENS: &str = "tokens";

/// An installed one.
pub(crate) struct Peer {
    place: PathBuf,
}

/// What was measured of it.
pub(crate) struct Measured {
    pub(crate) report: Report,
    /// Of `oidc-provider`.
    pub(crate) version: String,
    /// Of what it runs on.
    pub(crate) node: String,
}

impl Peer {
    /// Puts it in place, unless it is there.
    pub(crate) fn install() -> Result<Self, Failure> {
        is_here("node")?;
        let own = std::env::current_exe().map_err(Failure::at("cannot tell where this program is"))?;
        let place = own.with_file_name("oidc-provider");
        let written = || format!("cannot write into {}", place.display());
        fs::create_dir_all(&place).map_err(Failure::at(written()))?;
        for (name, text) in FILES {
            fs::write(place.join(name), text).map_err(Failure::at(written()))?;
        }
        if !fs::read_to_string(place.join(STAMP)).is_ok_and(|installed| installed == LOCK) {
            is_here("npm")?;
            fetch(&place)?;
            fs::write(place.join(STAMP), LOCK).map_err(Failure::at(written()))?;
        }
        Ok(Self { place })
    }

    /// Starts it and puts the load on.
    pub(crate) fn measured(&self, arguments: &RefreshArguments) -> Result<Measured, Failure> {
        let place = tempfile::tempdir().map_err(Failure::at("cannot make a directory"))?;
        let bare = self.start(0, place.path())?;
        let (empty, started_in) = (process::resident(bare.id())?, bare.started_in);
        bare.stop()?;
        let server = self.start(arguments.grants, place.path())?;
        let tokens = read_tokens(&place.path().join(TOKENS), arguments.grants)?;
        let opened = process::resident(server.id())?;
        let version = |of: &str| server.said.get(of).and_then(|version| version.as_str()).unwrap_or("?").to_owned();
        let (version, node) = (version("library"), version("node"));
        let measured = measure(arguments, server.target.clone(), tokens, Some(server.id()))?;
        let memory = Memory { empty, opened, end: process::resident(server.id())? };
        server.stop()?;
        Ok(Measured { report: measured.report(arguments, started_in, memory, None)?, version, node })
    }

    fn start(&self, grants: u64, place: &Path) -> Result<Server, Failure> {
        let mut node = Command::new("node");
        node.arg(self.place.join("server.mjs")).arg(grants.to_string()).arg(place.join(TOKENS));
        node.env("NODE_ENV", "production");
        Server::launch(
            node,
            Dialect::TokenEndpoint,
            "/.well-known/openid-configuration",
            &place.join("oidc-provider.log"),
        )
    }
}

fn is_here(program: &str) -> Result<(), Failure> {
    match Command::new(program).arg("--version").stdin(Stdio::null()).output() {
        Ok(asked) if asked.status.success() => Ok(()),
        Ok(asked) => {
            Err(Failure::new(format!("{program} --version: {}", String::from_utf8_lossy(&asked.stderr).trim())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::usage(format!(
            "there is no {program} in PATH, and oidc-provider needs it: install Node.js 20 or later with npm, on Debian with \
             \"apt-get install nodejs npm\""
        ))),
        Err(error) => Err(Failure::new(format!("cannot start {program}: {error}"))),
    }
}

fn fetch(place: &Path) -> Result<(), Failure> {
    let done = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(place)
        .stdin(Stdio::null())
        .output()
        .map_err(Failure::at("cannot start npm"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "oidc-provider could not be installed: \"npm ci\" in {}, which needs the package registry the first time, said: {}",
        place.display(),
        String::from_utf8_lossy(&done.stderr).trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_named_with_how_to_get_it() {
        let said = is_here("no-such-program").unwrap_err();
        assert_eq!(said.code, 2);
        assert!(said.to_string().contains("no no-such-program in PATH"), "{said}");
        assert!(said.to_string().contains("apt-get install nodejs npm"), "{said}");
    }

    #[test]
    fn the_lock_file_pins_what_the_package_asks_for_and_names_no_registry() {
        let (_, package) = FILES[0];
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let (package, lock) = (read(package), read(LOCK));
        assert_eq!(package["dependencies"]["oidc-provider"], lock["packages"]["node_modules/oidc-provider"]["version"]);
        assert!(!LOCK.contains("\"resolved\""), "the registry's address differs from machine to machine");
    }
}
