//! Public OAuth and OpenID Connect clients, unmodified, end to end against a real server: npm `openid-client` and PyPI `Authlib`, each
//! installed as its lock file pins it. What a library does by default must work.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

#[allow(dead_code, unused_imports, reason = "it is shared with tests/e2e, and each uses what it needs")]
#[path = "../e2e/support/mod.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use regrant_jose::{Algorithm, Jwks, SigningKey};
use support::{EMAIL, Home, PASSWORD, Server};

#[test]
fn npm_openid_client_gets_what_it_asks_for() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let changed = |path: &str| fs::metadata(home.join(path)).and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") <= changed("package-lock.json") {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&home);
        output(&mut npm, "npm ci did not work, which needs the package registry");
    }
    let world = World::new();
    let told = output(world.told(&mut Command::new("node")).arg(home.join("openid_client.mjs")), "openid-client");
    assert_eq!(told.matches("done: ").count(), 7, "{told}");
}

#[test]
fn pypi_authlib_gets_what_it_asks_for() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let python = python(&home.join("requirements.txt"));
    let world = World::new();
    let told = output(world.told(&mut Command::new(python)).arg(home.join("authlib_client.py")), "Authlib");
    assert_eq!(told.matches("done: ").count(), 4, "{told}");
}

/// A server with a user and three applications.
struct World {
    server: Server,
    web: String,
    job: String,
    /// The private key of `signer`, in PEM.
    key: String,
}

impl World {
    fn new() -> Self {
        let mut home = Home::new();
        // Who proves no key is asked for no nonce.
        home.set("REGRANT_TOKENS__DPOP_NONCE", "required");
        home.add_user(EMAIL, &["--claim", "name=Ada"]);
        let add = |arguments: &[&str]| {
            let added = home.regrant(&[&["--json", "client", "add"], arguments].concat()).ok().json();
            added["client_secret"].as_str().map(str::to_owned).unwrap_or_default()
        };
        let callback = "http://127.0.0.1:9/cb";
        let web = add(&[
            "--id",
            "web",
            "--type",
            "confidential",
            "--redirect-uri",
            callback,
            "--post-logout-redirect-uri",
            "http://127.0.0.1:9/bye",
            "--scope",
            "openid profile email offline_access",
        ]);
        add(&["--id", "spa", "--type", "public", "--redirect-uri", callback, "--first-party"]);
        let job = add(&["--id", "job", "--type", "service", "--scope", "stock:read"]);
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let jwks = home.path("jwks.json");
        fs::write(&jwks, Jwks::from_keys(vec![key.public()]).to_json()).unwrap();
        let jwks = jwks.to_str().unwrap();
        add(&["--id", "signer", "--type", "service", "--auth-method", "private_key_jwt", "--jwks", jwks]);
        let key = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
            STANDARD.encode(key.to_pkcs8().unwrap())
        );
        Self { server: home.serve(), web, job, key }
    }

    /// Tells a program where everything is.
    fn told<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("ISSUER", &self.server.issuer)
            .env("EMAIL", EMAIL)
            .env("PASSWORD", PASSWORD)
            .env("WEB_SECRET", &self.web)
            .env("JOB_SECRET", &self.job)
            .env("SIGNER_KEY", &self.key)
    }
}

/// A Python with what `requirements` wants.
fn python(requirements: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let wanted = fs::read_to_string(requirements).unwrap();
    let stamp = root.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return root.join("bin/python");
    }
    let hint = "python3 with venv is needed: `cargo xtask test --only prerequisites` installs it";
    output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&root), hint);
    let mut pip = Command::new(root.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]).arg(requirements);
    output(&mut pip, "pip did not work, which needs the package registry");
    fs::write(stamp, wanted).unwrap();
    root.join("bin/python")
}

/// Runs it to its good end; what it said.
fn output(command: &mut Command, hint: &str) -> String {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{hint}: {error}"));
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{hint}\n{out}\n{errors}");
    out.into_owned()
}
