//! Public OAuth and OpenID Connect clients, unmodified, end to end against a real server, each installed as its lock file pins it or as
//! Debian ships it. What a library does by default must work. `docs/reference/clients.md` is the table of what ran; `matrix.rs` keeps it
//! true. Two relying parties and the provider on three sites are in `sites.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy's own leave for tests does not reach helpers in tests/"
)]

mod apache;
mod authority;
mod libraries;
mod matrix;
mod sites;
#[allow(dead_code, unused_imports, reason = "it is shared with tests/e2e, and each uses what it needs")]
#[path = "../e2e/support/mod.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
};

use authority::Authority;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use regrant_jose::{Algorithm, Jwks, SigningKey};
use support::{EMAIL, Home, PASSWORD, Server};

#[test]
fn npm_openid_client_gets_what_it_asks_for() {
    let home = node_modules();
    let world = World::new();
    let told = output(world.told(&mut Command::new("node")).arg(home.join("openid_client.mjs")), "openid-client");
    assert_eq!(told.matches("done: ").count(), 7, "{told}");
    matrix::ran("npm `openid-client`", &version_of("openid-client"), &world, &told);
}

#[test]
fn pypi_authlib_gets_what_it_asks_for() {
    let home = here();
    let python = python(&home.join("requirements.txt"));
    let world = World::new();
    let told = output(world.told(&mut Command::new(python)).arg(home.join("authlib_client.py")), "Authlib");
    assert_eq!(told.matches("done: ").count(), 4, "{told}");
    matrix::ran("PyPI `Authlib`", &matrix::version_in(&told), &world, &told);
}

/// A server with a user and three applications.
struct World {
    server: Server,
    web: String,
    job: String,
    /// The private key of `signer`, in PEM.
    key: String,
    /// Who vouches for the server, if it speaks TLS.
    authority: Option<Authority>,
}

impl World {
    fn new() -> Self {
        let mut home = Home::new();
        // Who proves no key is asked for no nonce.
        home.set("REGRANT_TOKENS__DPOP_NONCE", "required");
        Self::on(home, None)
    }

    /// The same over TLS, with a certificate that nobody knows but who is told of its authority.
    fn secure() -> Self {
        Self::secure_on(Home::new())
    }

    fn secure_on(mut home: Home) -> Self {
        let authority = Authority::new(&home, "DNS:localhost,IP:127.0.0.1,IP:127.9.2.1");
        home.set("REGRANT_SERVER__TLS_CERTIFICATE", &authority.certificate);
        home.set("REGRANT_SERVER__TLS_KEY", &authority.key);
        home.set("REGRANT_DEVELOPMENT__EXTRA_CA", &authority.authority);
        Self::on(home, Some(authority))
    }

    fn on(home: Home, authority: Option<Authority>) -> Self {
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
            "--redirect-uri",
            // One library's own origin, and one that takes no code from a page without TLS.
            "https://app.example/auth/callback/regrant",
            "--redirect-uri",
            "https://127.0.0.1:9/cb",
            "--post-logout-redirect-uri",
            "http://127.0.0.1:9/bye",
            "--scope",
            "openid profile email offline_access",
        ]);
        let spa = ["--id", "spa", "--type", "public", "--redirect-uri", callback, "--first-party"];
        let more = ["--redirect-uri", "https://127.0.0.1:9/cb", "--post-logout-redirect-uri", "http://127.0.0.1:9/bye"];
        add(&[&spa[..], &more].concat());
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
        Self { server: home.serve(), web, job, key, authority }
    }

    /// Tells a program where everything is.
    fn told<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if let Some(authority) = &self.authority {
            for name in ["NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
                command.env(name, &authority.authority);
            }
        }
        command
            .env("ISSUER", &self.server.issuer)
            .env("EMAIL", EMAIL)
            .env("PASSWORD", PASSWORD)
            .env("WEB_SECRET", &self.web)
            .env("JOB_SECRET", &self.job)
            .env("SIGNER_KEY", &self.key)
            .env("PYTHONDONTWRITEBYTECODE", "1")
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Tests run at once, and one installation is enough.
static INSTALLING: Mutex<()> = Mutex::new(());

/// The place of the scripts, with what `package-lock.json` pins beside them.
fn node_modules() -> PathBuf {
    let home = here();
    let _alone = INSTALLING.lock();
    let changed = |path: &str| fs::metadata(home.join(path)).and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") <= changed("package-lock.json") {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&home);
        output(&mut npm, "npm ci did not work, which needs the package registry");
    }
    home
}

/// What npm put there.
fn version_of(package: &str) -> String {
    let manifest = fs::read_to_string(here().join("node_modules").join(package).join("package.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&manifest).unwrap()["version"].as_str().unwrap().to_owned()
}

/// A Python with what `requirements` wants.
fn python(requirements: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let wanted = fs::read_to_string(requirements).unwrap();
    let _alone = INSTALLING.lock();
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

fn in_path(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing: `cargo xtask test --only prerequisites` installs it"))
}

/// Runs it to its good end; what it said.
fn output(command: &mut Command, hint: &str) -> String {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{hint}: {error}"));
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{hint}\n{out}\n{errors}");
    out.into_owned()
}
