//! What the checks need beside a Rust toolchain, and how a fresh Debian machine gets it.
//!
//! 1. rustfmt and clippy come with the toolchain: they are looked for, never installed.
//! 2. The Debian packages in [`DEBIAN`] are installed with apt-get, as root or through `sudo -n`.
//! 3. cargo-deny, at the one version pinned here, is built below `target/tools`, where the next run finds it. So are the tools that
//!    only `cargo xtask package` needs, when it needs them.

use std::path::{Path, PathBuf};

use crate::command::{self, Failure};

pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    components_of_the_toolchain(root)?;
    debian_packages(root)?;
    tool(root, Tool::CARGO_DENY).map(|_| ())
}

/// A program for cargo, built from its source.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    /// How it is asked for its version.
    ask: &'static [&'static str],
    features: &'static [&'static str],
}

impl Tool {
    pub(crate) const CARGO_DENY: Self =
        Self { name: "cargo-deny", version: "0.20.2", ask: &["--version"], features: &[] };
    /// Without its own xz: the system's is called.
    pub(crate) const CARGO_DEB: Self =
        Self { name: "cargo-deb", version: "3.8.0", ask: &["--version"], features: &["--no-default-features"] };
    pub(crate) const CARGO_CYCLONEDX: Self =
        Self { name: "cargo-cyclonedx", version: "0.5.9", ask: &["cyclonedx", "--version"], features: &[] };
}

/// The tool to use: the one below `target/tools`, or one in PATH, if it is the pinned version; else it is built.
pub(crate) fn tool(root: &Path, tool: Tool) -> Result<PathBuf, Failure> {
    if let Some(found) = found(root, &tool) {
        println!("{} {}: here", tool.name, tool.version);
        return Ok(found);
    }
    install(root, &tool)?;
    found(root, &tool).ok_or_else(|| {
        Failure::new(
            format!("{} was built and is not {}", tool.name, tool.version),
            "remove target/tools, and try again",
        )
    })
}

/// The pinned cargo-deny, if it is here.
pub(crate) fn cargo_deny(root: &Path) -> Option<PathBuf> {
    found(root, &Tool::CARGO_DENY)
}

fn found(root: &Path, tool: &Tool) -> Option<PathBuf> {
    [root.join(TOOLS).join("bin").join(tool.name), PathBuf::from(tool.name)].into_iter().find(|program| {
        let version = command::output_of(command::program(root, program).args(tool.ask));
        version.is_some_and(|version| version.split_whitespace().last() == Some(tool.version))
    })
}

fn components_of_the_toolchain(root: &Path) -> Result<(), Failure> {
    for component in ["fmt", "clippy"] {
        if command::output_of(command::cargo(root).args([component, "--version"])).is_none() {
            return Err(Failure::new(
                format!("this Rust toolchain has no `cargo {component}`"),
                "rustup component add rustfmt clippy",
            ));
        }
        println!("cargo {component}: here");
    }
    Ok(())
}

fn debian_packages(root: &Path) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for needed in &DEBIAN {
        if is_here(root, needed) {
            println!("{}: here", needed.program);
        } else {
            println!("{}: missing ({}); Debian package {}", needed.program, needed.purpose, needed.package);
            missing.push(needed.package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }

    let by_hand = format!("apt-get update && apt-get install {}", missing.join(" "));
    let cannot = |why: &str| Failure::new(format!("missing: {} ({why})", missing.join(", ")), by_hand.as_str());
    if !command::in_path("apt-get") {
        return Err(cannot("this machine has no apt-get: install what holds these programs in its own way"));
    }
    let is_root = command::output_of(command::program(root, "id").arg("-u")).is_some_and(|uid| uid.trim() == "0");
    let has_sudo = || command::output_of(command::program(root, "sudo").args(["-n", "true"])).is_some();
    let as_root: &[&str] = match is_root {
        true => &["env"],
        false if has_sudo() => &["sudo", "-n", "env"],
        false => return Err(cannot("not root, and sudo asks for a password")),
    };
    let apt_get = |args: &[&str]| {
        let (first, rest) = as_root.split_first().unwrap_or((&"env", &[]));
        let mut apt_get = command::program(root, *first);
        apt_get.args(rest).args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args);
        command::run(&mut apt_get, &by_hand)
    };
    apt_get(&["update", "--quiet"])?;
    apt_get(&[&["install", "--quiet", "--yes", "--no-install-recommends"], missing.as_slice()].concat())
}

/// A program is in the path, or where its pattern says; what Debian splits off Python is a module that can be imported.
fn is_here(root: &Path, needed: &Debian) -> bool {
    if let Some((directory, rest)) = needed.program.split_once("/*/") {
        let versions = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        return versions.into_iter().any(|version| version.path().join(rest).exists());
    }
    if needed.program.starts_with('/') {
        return Path::new(needed.program).exists();
    }
    match needed.program.strip_prefix("python3 -m ") {
        Some(module) => {
            let import = format!("import {module}");
            command::output_of(command::program(root, "python3").args(["-c", &import])).is_some()
        }
        None => command::in_path(needed.program),
    }
}

fn install(root: &Path, Tool { name, version, features, .. }: &Tool) -> Result<(), Failure> {
    println!("{name} {version}: missing; built once, into {TOOLS}");
    let package = format!("{name}@{version}");
    let mut install = command::cargo(root);
    install.args(["install", "--locked", "--root", TOOLS]).args(*features).arg(&package);
    for (name, value) in QUICK_BUILD {
        install.env(name, value);
    }
    command::run(&mut install, "this step needs the crate registry; try again, or install that version into PATH")
}

struct Debian {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const DEBIAN: [Debian; 15] = [
    Debian { program: "chromium", package: "chromium", purpose: "the demo's pages are played in a real browser" },
    Debian { program: "node", package: "nodejs", purpose: "drives that browser, and runs what others wrote for it" },
    Debian { program: "npm", package: "npm", purpose: "installs packages for it, as their lock files say" },
    Debian { program: "faketime", package: "faketime", purpose: "integration tests move the clock with it" },
    Debian { program: "python3", package: "python3", purpose: "a test types passwords on a terminal with it" },
    // Without it, `python3 -m venv` is there and does not work.
    Debian {
        program: "python3 -m ensurepip",
        package: "python3-venv",
        purpose: "schemathesis gets a place of its own",
    },
    Debian { program: "gcc", package: "gcc", purpose: "aws-lc and SQLite are compiled from C" },
    // Debian keeps it out of the path, a directory for each version.
    Debian {
        program: "/usr/lib/postgresql/*/bin/initdb",
        package: "postgresql",
        purpose: "tests start a PostgreSQL of their own",
    },
    Debian {
        program: "nginx",
        package: "nginx-light",
        purpose: "tests run the configuration of docs/howto/behind-a-proxy.md",
    },
    Debian { program: "openssl", package: "openssl", purpose: "tests are certificate authorities with it" },
    Debian { program: "go", package: "golang-go", purpose: "builds what others wrote in Go as clients" },
    Debian {
        program: "/usr/share/gocode/src/golang.org/x/oauth2",
        package: "golang-golang-x-oauth2-dev",
        purpose: "is such a client",
    },
    Debian {
        program: "/usr/share/gocode/src/github.com/coreos/go-oidc",
        package: "golang-github-coreos-go-oidc-dev",
        purpose: "is such a client",
    },
    // Not `apache2`, which starts one as a service.
    Debian { program: "/usr/sbin/apache2", package: "apache2-bin", purpose: "is an application with the next one" },
    Debian {
        program: "/usr/lib/apache2/modules/mod_auth_openidc.so",
        package: "libapache2-mod-auth-openidc",
        purpose: "is a client in front of a web server",
    },
];

const TOOLS: &str = "target/tools";

/// Built once and run for two seconds a time, so what counts is the time to build it. On two cores, unoptimised is
/// 2½ minutes of CPU; `opt-level = 1` is 5 and saves one second a run.
const QUICK_BUILD: [(&str, &str); 5] = [
    ("CARGO_TARGET_DIR", "target/tools/build"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];
