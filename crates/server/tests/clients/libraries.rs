//! More libraries, each in its own language: most over TLS. A script says what it did; the row in the table is made of that.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{World, apache::free_port, here, in_path, matrix, node_modules, output, python, version_of};

#[test]
fn npm_oauth4webapi_gets_what_it_asks_for() {
    let home = node_modules();
    let world = World::secure();
    let told = output(world.told(&mut Command::new("node")).arg(home.join("oauth4webapi_client.mjs")), "oauth4webapi");
    matrix::ran("npm `oauth4webapi`", &version_of("oauth4webapi"), &world, &told);
}

#[test]
fn npm_auth_core_signs_people_in() {
    let home = node_modules();
    let world = World::secure();
    let told = output(world.told(&mut Command::new("node")).arg(home.join("authjs_client.mjs")), "@auth/core");
    matrix::ran("npm `@auth/core`", &version_of("@auth/core"), &world, &told);
}

#[test]
fn npm_oidc_client_ts_gets_what_it_asks_for_in_a_browser() {
    let home = node_modules();
    let world = World::secure();
    let app = format!("https://{}", free_port([127, 9, 2, 1]));
    let named = ["client", "add", "--id", "page", "--type", "public", "--first-party"];
    let (callback, bye) = (format!("{app}/cb"), format!("{app}/bye"));
    let addresses = ["--redirect-uri", &callback, "--post-logout-redirect-uri", &bye];
    world.server.regrant(&[&named[..], &addresses].concat()).ok();
    let authority = world.authority.as_ref().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let mut node = Command::new("node");
    node.arg(home.join("oidc_client_ts.mjs")).env("APP", &app).env("CHROMIUM", in_path("chromium"));
    node.env("CERTIFICATE", &authority.certificate).env("KEY", &authority.key);
    // The browser leaves nothing behind in anybody's home.
    node.env("HOME", scratch.path()).env("TMPDIR", scratch.path());
    let told = output(world.told(&mut node), "oidc-client-ts");
    matrix::ran("npm `oidc-client-ts`, in Chromium", &version_of("oidc-client-ts"), &world, &told);
}

#[test]
fn pypi_requests_oauthlib_gets_what_it_asks_for() {
    let home = here();
    let python = python(&home.join("requirements.txt"));
    let world = World::secure();
    let script = home.join("requests_oauthlib_client.py");
    let told = output(world.told(&mut Command::new(python)).arg(script), "requests-oauthlib");
    matrix::ran("PyPI `requests-oauthlib`", &matrix::version_in(&told), &world, &told);
}

/// Debian's packages of both, built without modules and so without the network.
#[test]
fn gos_oidc_and_oauth2_get_what_they_ask_for() {
    let hint = "Go and both libraries are needed: `cargo xtask test --only prerequisites` installs them";
    let program = scratch("go").join("client");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(here().join("go_oidc.go"));
    go.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "");
    output(go.env("GOCACHE", scratch("go/cache")), hint);
    let world = World::secure();
    let told = ["web", "spa"].map(|client| output(world.told(&mut Command::new(&program)).arg(client), "go-oidc"));
    let version = ["golang-github-coreos-go-oidc-dev", "golang-golang-x-oauth2-dev"].map(debian_version).join(" with ");
    matrix::ran("Go `go-oidc` with `x/oauth2`", &version, &world, &told.concat());
}

/// In a workspace of its own: it brings cryptography and second versions that the server's tree does not take.
#[test]
fn crate_openidconnect_gets_what_it_asks_for() {
    let manifest = here().join("openidconnect/Cargo.toml");
    let target = scratch("openidconnect");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(&manifest);
    output(cargo.arg("--target-dir").arg(&target), "openidconnect is built from the crate registry");
    let world = World::secure();
    let told = output(world.told(&mut Command::new(target.join("debug/regrant-openidconnect-test"))), "openidconnect");
    let lock = std::fs::read_to_string(here().join("openidconnect/Cargo.lock")).unwrap();
    let locked = lock.split("name = \"openidconnect\"\nversion = \"").nth(1).unwrap();
    matrix::ran("crate `openidconnect`", locked.split('"').next().unwrap(), &world, &told);
}

/// A directory that the next run finds again.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-built").join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// What the author calls the version that Debian ships.
pub(crate) fn debian_version(package: &str) -> String {
    let asked = ["-W", "-f", "${source:Upstream-Version}", package];
    output(Command::new("dpkg-query").args(asked).stdin(Stdio::null()), "the package is Debian's")
}
