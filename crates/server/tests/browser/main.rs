//! Pages in a real browser. Those of the provider: `pages.mjs`. The demo's: `play.mjs` plays them with Debian's Chromium, against a real `regrant demo`.
//!
//! Playwright drives the browser and axe looks for what keeps people out. Both come from npm as `package-lock.json` pins them;
//! Playwright's own browsers are not downloaded.

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
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

#[test]
fn the_demo_pages_play_the_whole_story() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    install(&home);
    let chromium = in_path("chromium");
    let demo = Demo::start();
    let scratch = tempfile::tempdir().unwrap();
    let played = Command::new(in_path("node"))
        .arg(home.join("play.mjs"))
        .args([demo.page.as_str(), chromium.to_str().unwrap()])
        .arg(scratch.path())
        // The browser leaves nothing behind in anybody's home.
        .env("HOME", scratch.path())
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null())
        .output()
        .expect("node starts");
    let (out, errors) = (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success(), "{}\n{out}\n{errors}", played.status);
    assert!(out.contains("everything happened as told"), "{out}\n{errors}");
}

/// The provider's pages: with and without script, on a telephone and a desktop, light and dark.
#[test]
fn the_pages_lead_through_a_sign_in_and_keep_nobody_out() {
    let browser = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    install(&browser);
    let mut home = support::Home::with_user();
    // Each walk gives a wrong password or two.
    home.set("REGRANT_LIMITS__PER_ACCOUNT_AND_ADDRESS", "100");
    home.set("REGRANT_SERVER__BRAND_NAME", "Analytical Engines");
    home.set("REGRANT_SERVER__BRAND_LOGO", browser.join("logo.svg").to_str().unwrap());
    home.set("REGRANT_SERVER__BRAND_ACCENT", "#8a2be2");
    let callback = "http://127.0.0.1:9/cb";
    let scope = "openid profile email offline_access orders:read";
    let named = ["client", "add", "--id", "shop", "--type", "public", "--name", "The Shop", "--redirect-uri", callback];
    let linked =
        ["--scope", scope, "--policy-uri", "https://shop.example/privacy", "--tos-uri", "https://shop.example/terms"];
    home.regrant(&[&named[..], &linked].concat()).ok();
    let server = home.serve();
    let scratch = tempfile::tempdir().unwrap();
    let played = Command::new(in_path("node"))
        .arg(browser.join("pages.mjs"))
        .args([server.issuer.as_str(), in_path("chromium").to_str().unwrap(), support::EMAIL, support::PASSWORD])
        .env("HOME", scratch.path())
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null())
        .output()
        .expect("node starts");
    let (out, errors) = (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success() && out.contains("every page is as it should be"), "{out}\n{errors}");
}

/// `/device`, with the device played beside it.
#[test]
fn a_person_connects_a_device() {
    let browser = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    install(&browser);
    let home = support::Home::with_user();
    let grants = ["--grant", "urn:ietf:params:oauth:grant-type:device_code", "--grant", "refresh_token"];
    let named = ["client", "add", "--id", "tv", "--type", "public", "--name", "The Television"];
    let asks = ["--scope", "openid profile offline_access", "--policy-uri", "https://tv.example/privacy"];
    home.regrant(&[&named[..], &grants, &asks].concat()).ok();
    let server = home.serve();
    let scratch = tempfile::tempdir().unwrap();
    let played = Command::new(in_path("node"))
        .arg(browser.join("device.mjs"))
        .args([server.issuer.as_str(), in_path("chromium").to_str().unwrap(), support::EMAIL, support::PASSWORD])
        .env("HOME", scratch.path())
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null())
        .output()
        .expect("node starts");
    let (out, errors) = (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success() && out.contains("the device is connected"), "{out}\n{errors}");
}

/// Puts the two packages in place, unless they are there as the lock file wants them.
fn install(home: &Path) {
    let changed = |path: &str| fs::metadata(home.join(path)).and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") > changed("package-lock.json") {
        return;
    }
    let npm = in_path("npm");
    let installed = Command::new(npm)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .expect("npm starts");
    let errors = String::from_utf8_lossy(&installed.stderr);
    assert!(installed.status.success(), "npm ci did not work, which needs the package registry: {errors}");
}

fn in_path(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing: `cargo xtask test --only prerequisites` installs it"))
}

/// A running `regrant demo`. Ends with Ctrl-C, as its user would end it, so that it removes its store.
struct Demo {
    child: Child,
    page: String,
}

impl Demo {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_regrant"));
        command.arg("demo").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("regrant starts");
        let out = child.stdout.take().expect("a pipe");
        let (told, lines) = mpsc::channel();
        // Reads on to the end, so that the demo never writes to a closed pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        let mut demo = Self { child, page: String::new() };
        let mut story = String::new();
        while demo.page.is_empty() {
            let line = lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("the demo names no page:\n{story}"));
            if line.contains("in a browser") {
                demo.page = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
            }
            story = story + &line + "\n";
        }
        demo
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let interrupt = ["-c", "kill -INT \"$1\"", "sh", &self.child.id().to_string()];
        let _ = Command::new("sh").args(interrupt).status();
        let _ = self.child.wait();
    }
}
