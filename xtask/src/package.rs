//! `cargo xtask package`: what is installed elsewhere, built and tried.
//!
//! 1. The release binary is built once, and looked at: its size, and what it is linked with.
//! 2. `target/package` gets the list of what is in it (CycloneDX), the shell completions, the Debian package and the checksums.
//! 3. Everything is tried on this machine, which must be root's and have no Regrant: the package is installed; its unit is checked; the
//!    service is run as the unit would run it, as its user, without privileges; somebody signs in and renews; then it is installed over
//!    itself, removed and purged, and nothing is left. `cargo install` is tried, too.
//!
//! `--no-try` ends after 2. There is no systemd where this runs in a container, so the unit itself is checked and not started.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use crate::command::{self, Failure, cargo, output_of, program, run as run_shown};
use crate::prerequisites::{self, Tool};

pub(crate) fn run(args: &[String]) -> ExitCode {
    let outcome = match args {
        [] => package(true),
        [no_try] if no_try == "--no-try" => package(false),
        _ => Err(Failure::new(format!("unexpected arguments: {}", args.join(" ")), "cargo xtask package [--no-try]")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { what, mend }) => {
            eprintln!("\nFAILED: {what}\nto mend it: {mend}");
            ExitCode::FAILURE
        }
    }
}

fn package(and_try: bool) -> Result<(), Failure> {
    let root = command::repository_root()?;
    let binary = build(&root)?;
    fresh_directory(&root.join(OUT))?;
    bill_of_materials(&root)?;
    completions(&root, &binary)?;
    let deb = debian_package(&root)?;
    let mut made = vec![deb.clone(), root.join(OUT).join(SBOM)];
    made.push(checksums(&root, &made)?);
    if and_try {
        // The machine's own state is changed: whatever happens in between, it is put back.
        headline("try the Debian package on this machine");
        refuse_an_installed_one(&root)?;
        let tried = try_package(&root, &deb);
        let cleaned = clean_up(&root);
        tried.and(cleaned)?;
        try_cargo_install(&root)?;
    }
    headline("made");
    for file in [vec![binary], made].concat() {
        println!("{:>10}  {}", megabytes(size_of(&file)?), file.strip_prefix(&root).unwrap_or(&file).display());
    }
    Ok(())
}

fn build(root: &Path) -> Result<PathBuf, Failure> {
    headline("build");
    run_shown(
        cargo(root).args(["build", "--release", "--locked", "--package", "regrant"]),
        "correct what the compiler names",
    )?;
    let binary = root.join("target/release/regrant");
    let size = size_of(&binary)?;
    println!("{}: {}", binary.strip_prefix(root).unwrap_or(&binary).display(), megabytes(size));
    if size > LARGEST_BINARY {
        return Err(Failure::new(
            format!("the binary has {}, more than {}", megabytes(size), megabytes(LARGEST_BINARY)),
            "look for the dependency that grew it: `cargo tree`, `cargo bloat`",
        ));
    }
    run_shown(program(root, "ldd").arg(&binary), "ldd comes with Debian's libc-bin")?;
    Ok(binary)
}

fn bill_of_materials(root: &Path) -> Result<(), Failure> {
    headline("list what is in it");
    let tool = prerequisites::tool(root, Tool::CARGO_CYCLONEDX)?;
    let mend = "the message names what cargo-cyclonedx could not read";
    run_shown(
        program(root, tool).args(["cyclonedx", "--quiet", "--manifest-path", "crates/server/Cargo.toml"]).args([
            "--format",
            "json",
            "--spec-version",
            "1.5",
            "--no-build-deps",
            "--override-filename",
            "regrant.cdx",
        ]),
        mend,
    )?;
    // It writes one beside every manifest of the workspace; ours is the binary's.
    let mut ours = None;
    for member in MEMBERS {
        let path = root.join(member).join(SBOM);
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        std::fs::remove_file(&path).map_err(|error| file_failure(&path, &error))?;
        if member == "crates/server" {
            ours = Some(text);
        }
    }
    let text = ours.ok_or_else(|| Failure::new("cargo-cyclonedx wrote nothing", mend))?;
    // Where it was built is nobody's business.
    let text = text.replace(&root.display().to_string(), "/regrant");
    let components = text.matches("\"purl\"").count();
    if !text.contains("\"CycloneDX\"") || components < 50 {
        return Err(Failure::new(format!("{SBOM} names {components} packages"), mend));
    }
    println!("{SBOM}: {components} packages");
    write(&root.join(OUT).join(SBOM), text.as_bytes())
}

fn completions(root: &Path, binary: &Path) -> Result<(), Failure> {
    let folder = root.join(OUT).join("completions");
    fresh_directory(&folder)?;
    for (shell, file) in [("bash", "regrant.bash"), ("zsh", "_regrant"), ("fish", "regrant.fish")] {
        let script = said(program(root, binary).args(["completions", shell]))?;
        write(&folder.join(file), script.as_bytes())?;
    }
    Ok(())
}

fn debian_package(root: &Path) -> Result<PathBuf, Failure> {
    headline("build the Debian package");
    let tool = prerequisites::tool(root, Tool::CARGO_DEB)?;
    run_shown(
        // The release profile strips already. The system's xz has no bindings to compile.
        program(root, tool)
            .args([
                "deb",
                "--no-build",
                "--no-strip",
                "--locked",
                "--quiet",
                "--package",
                "regrant",
                "--compress-system",
            ])
            .args(["--output", OUT]),
        "its settings are [package.metadata.deb] in crates/server/Cargo.toml; it needs dpkg-dev and xz-utils",
    )?;
    let packages: Vec<PathBuf> = std::fs::read_dir(root.join(OUT))
        .map_err(|error| file_failure(&root.join(OUT), &error))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    let [deb] = packages.as_slice() else {
        return Err(Failure::new(
            format!("{} packages were made, not one", packages.len()),
            "look into target/package",
        ));
    };
    for option in ["--info", "--contents"] {
        run_shown(
            program(root, "dpkg-deb").arg(option).arg(deb),
            "the package cannot be read: look into target/package",
        )?;
    }
    Ok(deb.clone())
}

fn checksums(root: &Path, files: &[PathBuf]) -> Result<PathBuf, Failure> {
    let mut sums = program(root, "sha256sum");
    sums.current_dir(root.join(OUT)).args(files.iter().filter_map(|file| file.file_name()));
    let text = said(&mut sums)?;
    let path = root.join(OUT).join("SHA256SUMS");
    write(&path, text.as_bytes())?;
    Ok(path)
}

fn refuse_an_installed_one(root: &Path) -> Result<(), Failure> {
    let by_hand = "`cargo xtask package --no-try` makes everything and tries nothing";
    if output_of(program(root, "id").arg("-u")).is_none_or(|uid| uid.trim() != "0") {
        return Err(Failure::new("a package can be installed by root only", by_hand));
    }
    let status = output_of(program(root, "dpkg-query").args(["--show", "--showformat=${Status}", "regrant"]));
    if status.is_some() || [STATE, LOGS, CONFIGURATION].iter().any(|path| Path::new(path).exists()) {
        return Err(Failure::new(
            "there is a Regrant on this machine, which the trial would replace and purge",
            by_hand,
        ));
    }
    Ok(())
}

fn try_package(root: &Path, deb: &Path) -> Result<(), Failure> {
    let sh =
        |script: &str| run_shown(program(root, "sh").args(["-euc", script]), "what should be true is in the command");
    let dpkg = |args: &[&str]| {
        let mend = "the maintainer scripts are in packaging/debian; `apt-get install adduser` if that is missing";
        run_shown(program(root, "dpkg").args(args), mend)
    };
    let install = || dpkg(&["--install", &deb.display().to_string()]);
    install()?;
    run_shown(program(root, BINARY).arg("--version"), "the binary does not run here")?;
    sh(r#"test "$(stat -c '%U:%G %a' /var/lib/regrant /etc/regrant /etc/regrant/regrant.toml)" = "regrant:regrant 700
root:regrant 750
root:regrant 640""#)?;
    check_unit(root)?;
    run_shown(&mut as_service(root, "config check"), "the packaged configuration must be without a mistake")?;

    serve_and_use(root)?;
    sh("test -z \"$(find /var/lib/regrant ! -user regrant ! -type l)\"")?;
    sh("cd /etc/regrant && echo '#changed' >> regrant.toml")?;
    install()?;
    sh(
        "grep -q '#changed' /etc/regrant/regrant.toml && test \"$(stat -c '%U:%G %a' /etc/regrant/regrant.toml)\" = 'root:regrant 640'",
    )?;
    dpkg(&["--remove", "regrant"])?;
    sh("test -e /var/lib/regrant/keys.toml && test -e /etc/regrant/regrant.toml && ! test -e /usr/bin/regrant")?;
    dpkg(&["--purge", "regrant"])?;
    // The data outlives even that.
    sh("test -e /var/lib/regrant/keys.toml && ! test -e /etc/regrant && id regrant >/dev/null")?;
    sh("rm -r /var/lib/regrant && ! test -e /var/log/regrant && deluser --quiet --system regrant")?;

    // And where nothing was ever kept, nothing stays.
    install()?;
    dpkg(&["--purge", "regrant"])?;
    sh(
        "! test -e /var/lib/regrant && ! test -e /var/log/regrant && ! test -e /etc/regrant && ! id regrant 2>/dev/null && ! getent group regrant",
    )
}

/// The unit as systemd reads it, and what its sandbox leaves open, from 0 (nothing) to 10.
fn check_unit(root: &Path) -> Result<(), Failure> {
    if !command::in_path("systemd-analyze") {
        println!("systemd-analyze: missing (Debian package systemd); the unit is NOT checked");
        return Ok(());
    }
    let mend = "the unit is packaging/debian/regrant.service";
    run_shown(program(root, "systemd-analyze").args(["verify", "--man=no", UNIT]), mend)?;
    let mut security = program(root, "systemd-analyze");
    security.args(["security", "--no-pager", "--offline=true", &format!("--threshold={EXPOSURE}"), UNIT]);
    let table = output_of(&mut security);
    let table =
        table.ok_or_else(|| Failure::new(format!("the unit is exposed by more than {EXPOSURE} tenths"), mend))?;
    table
        .lines()
        .filter(|line| line.starts_with('✗') || line.contains("exposure level"))
        .for_each(|line| println!("{line}"));
    Ok(())
}

/// `regrant` as the unit would run it: the unit's own words, its user, no privileges, its umask.
fn as_service(root: &Path, command: &str) -> Command {
    let mut service = program(root, "setpriv");
    service.current_dir("/").env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    service.args(["--reuid=regrant", "--regid=regrant", "--init-groups", "--no-new-privs", "--inh-caps=-all"]);
    service.args(["--bounding-set=-all", "sh", "-c"]).arg(format!("umask 0077; exec {BINARY} {PATHS} {command}"));
    service
}

/// Serves; somebody is added, signs in and renews.
fn serve_and_use(root: &Path) -> Result<(), Failure> {
    let exec_start = format!("ExecStart={BINARY} {PATHS} serve");
    let unit = std::fs::read_to_string(UNIT).map_err(|error| file_failure(Path::new(UNIT), &error))?;
    if !unit.lines().any(|line| line == exec_start) {
        return Err(Failure::new(
            format!("the unit has no line `{exec_start}`"),
            "let packaging/debian and xtask say the same",
        ));
    }
    let mut server = Server::start(as_service(root, "serve --listen 127.0.0.1:0"))?;
    let origin = server.origin.clone();
    // As root, like an operator; the server does it.
    let mut add = program(root, "sh");
    add.args([
        "-euc",
        &format!("printf '{PASSWORD}' | {BINARY} --data {STATE} user add ada@example.com --password-stdin --admin"),
    ]);
    run_shown(&mut add, "the control socket does not answer")?;
    let post = |path: &str, body: &str| {
        let json = "content-type: application/json";
        said(program(root, "curl").args(["-sSf", &format!("{origin}{path}"), "-H", json, "--data-binary", body]))
    };
    let signed_in =
        post("/session", &format!(r#"{{"identifier":"ada@example.com","password":"{PASSWORD}","delivery":"body"}}"#))?;
    let token = refresh_token(&signed_in)?;
    let next = refresh_token(&post("/session/refresh", &format!(r#"{{"refresh_token":"{token}"}}"#))?)?;
    if next == token {
        return Err(Failure::new("a renewal gave the same token", "run `cargo xtask test`"));
    }
    println!("signed in and renewed at {origin}");
    server.stop(root)
}

fn refresh_token(reply: &str) -> Result<String, Failure> {
    let token = reply.split("\"refresh_token\":\"").nth(1).and_then(|rest| rest.split('"').next());
    token.map(str::to_owned).ok_or_else(|| Failure::new("an answer without a refresh token", "run `cargo xtask test`"))
}

/// A server that ends with us.
struct Server {
    child: Child,
    origin: String,
}

impl Server {
    fn start(mut command: Command) -> Result<Self, Failure> {
        let failed = |what: String| Failure::new(what, "what the server said is above");
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| failed(format!("setpriv (Debian package util-linux): {error}")))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        print!("{line}");
        let origin = line.split_whitespace().nth(2).unwrap_or_default().to_owned();
        let server = Self { child, origin };
        if server.origin.starts_with("http://127.0.0.1:") {
            Ok(server)
        } else {
            Err(failed("the server did not start".to_owned()))
        }
    }

    /// As systemd stops it.
    fn stop(&mut self, root: &Path) -> Result<(), Failure> {
        let failed = |what: String| Failure::new(what, "what the server said is above");
        let pid = self.child.id().to_string();
        // A reload first, which must not harm.
        run_shown(program(root, "kill").args(["-HUP", &pid]), "the server has ended")?;
        said(program(root, "curl").args(["-sSf", &format!("{}/health/ready", self.origin)]))?;
        run_shown(program(root, "kill").args(["-TERM", &pid]), "the server has ended")?;
        let status = self.child.wait().map_err(|error| failed(error.to_string()))?;
        if status.success() { Ok(()) } else { Err(failed(format!("the server ended with {status}"))) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whatever the trial left, when it went wrong too.
fn clean_up(root: &Path) -> Result<(), Failure> {
    let script = format!(
        "if dpkg-query --show regrant >/dev/null 2>&1; then dpkg --purge regrant; fi
         rm -rf {STATE} {LOGS} {CONFIGURATION}
         if getent passwd regrant >/dev/null; then deluser --quiet --system regrant; fi"
    );
    let mend = "purge the package `regrant`, and remove its user and its directories by hand";
    output_of(program(root, "sh").args(["-euc", &script]))
        .map(|_| ())
        .ok_or_else(|| Failure::new("the machine could not be cleaned up", mend))
}

fn try_cargo_install(root: &Path) -> Result<(), Failure> {
    headline("try cargo install");
    let into = format!("{OUT}/cargo-install");
    run_shown(
        cargo(root).args(["install", "--locked", "--quiet", "--path", "crates/server", "--root", &into]),
        "correct what the compiler names",
    )?;
    let binary = root.join(&into).join("bin/regrant");
    run_shown(
        program(root, &binary).args(["demo", "--once"]).stdout(Stdio::null()),
        "run `cargo xtask test --only demo`",
    )?;
    run_shown(cargo(root).args(["uninstall", "--root", &into, "regrant"]), "remove it by hand")
}

/// Runs it; what it printed.
fn said(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed =
        |why: String| Failure::new(format!("{name}: {why}"), "its Debian package has its name, if it is missing");
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn fresh_directory(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file_failure(path, &error)),
        _ => {}
    }
    std::fs::create_dir_all(path).map_err(|error| file_failure(path, &error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| file_failure(path, &error))
}

fn size_of(path: &Path) -> Result<u64, Failure> {
    std::fs::metadata(path).map(|metadata| metadata.len()).map_err(|error| file_failure(path, &error))
}

fn file_failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()), "look at the disk, and at who owns the file")
}

#[allow(clippy::cast_precision_loss, reason = "to show it with two digits")]
fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

fn headline(what: &str) {
    println!("\n=== {what}");
    let _ = std::io::stdout().flush();
}

/// Everything that is made.
const OUT: &str = "target/package";
const SBOM: &str = "regrant.cdx.json";
const MEMBERS: [&str; 6] = ["crates/jose", "crates/engine", "crates/store", "crates/server", "bench", "xtask"];
/// The budget: 25 MB.
const LARGEST_BINARY: u64 = 25_000_000;
/// What `systemd-analyze security` may find, in tenths.
const EXPOSURE: u32 = 15;
/// Where the package puts things.
const BINARY: &str = "/usr/bin/regrant";
const UNIT: &str = "/usr/lib/systemd/system/regrant.service";
const STATE: &str = "/var/lib/regrant";
const LOGS: &str = "/var/log/regrant";
const CONFIGURATION: &str = "/etc/regrant";
const PATHS: &str = "--data /var/lib/regrant --config /etc/regrant/regrant.toml";
const PASSWORD: &str = "the difference engine, 1822";
