//! A real Apache with Debian's mod_auth_openidc before a page: an application that has no code of its own. Both speak TLS.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    World, here,
    libraries::debian_version,
    matrix, python,
    support::{Home, eventually},
};

#[test]
fn debians_mod_auth_openidc_guards_a_page() {
    let home = here();
    let python = python(&home.join("requirements.txt"));
    let mut setup = Home::new();
    // Apache hears of ends on this machine.
    setup.set("REGRANT_DEVELOPMENT__ALLOW_LOOPBACK", "true");
    let world = World::secure_on(setup);
    // An address where nobody else takes ports: this one is still free when Apache asks for it.
    let origin = format!("https://{}", free_port([127, 9, 2, 1]));
    let added = world.server.regrant(&[
        "--json",
        "client",
        "add",
        "--id",
        "apache",
        "--type",
        "confidential",
        "--first-party",
        "--redirect-uri",
        &format!("{origin}/app/callback"),
        "--post-logout-redirect-uri",
        &format!("{origin}/bye.html"),
        "--backchannel-logout-uri",
        &format!("{origin}/app/callback?logout=backchannel"),
    ]);
    let secret = added.ok().json()["client_secret"].as_str().unwrap().to_owned();
    let apache = Apache::start(&world, &origin, &secret);
    let mut person = Command::new(python);
    person.arg(home.join("apache_person.py")).env("APP", &origin);
    let hint = format!("mod_auth_openidc; Apache's log is in {}", apache.root.path().join("error.log").display());
    let done = world.told(&mut person).stdin(Stdio::null()).output().expect(&hint);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}\n{}", String::from_utf8_lossy(&done.stderr), apache.log());
    let version = debian_version("libapache2-mod-auth-openidc");
    matrix::ran("Debian `libapache2-mod-auth-openidc`", &version, &world, &said);
}

/// A port that nobody has, at an address of the loopback network.
pub(crate) fn free_port(address: [u8; 4]) -> std::net::SocketAddr {
    TcpListener::bind((Ipv4Addr::from(address), 0)).unwrap().local_addr().unwrap()
}

/// Ends when dropped.
struct Apache {
    child: Child,
    root: TempDir,
}

impl Apache {
    fn start(world: &World, origin: &str, secret: &str) -> Self {
        let root = tempfile::Builder::new().prefix("regrant-apache-").tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        // Started by root, its children are somebody else, who must read all this.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, text) in [("htdocs/app/index.html", "the guarded page"), ("htdocs/bye.html", "bye")] {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), text).unwrap();
        }
        let authority = world.authority.as_ref().unwrap();
        for (from, to) in [
            (&authority.authority, "authority.pem"),
            (&authority.certificate, "server.pem"),
            (&authority.key, "server.key"),
        ] {
            fs::copy(from, path(to)).unwrap();
        }
        fs::write(path("apache.conf"), configuration(root.path(), &world.server.issuer, origin, secret)).unwrap();
        let mut command = Command::new("/usr/sbin/apache2");
        command.arg("-f").arg(path("apache.conf")).args(["-D", "FOREGROUND"]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let hint = "apache2 is needed: `cargo xtask test --only prerequisites` installs it";
        let mut apache = Self { child: command.spawn().expect(hint), root };
        let address = origin.strip_prefix("https://").unwrap();
        eventually("Apache listens", || {
            assert!(apache.child.try_wait().unwrap().is_none(), "Apache does not start: {}", apache.log());
            TcpStream::connect(address).ok()
        });
        apache
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // Not killed: its children would stay.
        let _ = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// As its manual has it, in a directory of its own.
fn configuration(root: &Path, issuer: &str, origin: &str, secret: &str) -> String {
    let root = root.display();
    let address = origin.strip_prefix("https://").unwrap();
    let modules: String = ["mpm_event", "authn_core", "authz_core", "authz_user", "dir", "mime", "ssl", "auth_openidc"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    format!(
        r#"
ServerRoot {root}
DefaultRuntimeDir {root}
PidFile {root}/apache.pid
Mutex file:{root}
ErrorLog {root}/error.log
Listen {address}
ServerName {address}
{modules}
User www-data
Group www-data
StartServers 1
ThreadsPerChild 8
TypesConfig /dev/null
SSLEngine on
SSLCertificateFile {root}/server.pem
SSLCertificateKeyFile {root}/server.key
SSLSessionCache none
DocumentRoot {root}/htdocs

OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCCABundlePath {root}/authority.pem
OIDCClientID apache
OIDCClientSecret {secret}
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCRedirectURI {origin}/app/callback
OIDCCryptoPassphrase only-for-tests
OIDCRemoteUserClaim email
OIDCInfoHook access_token id_token userinfo refresh_token
<Location /app>
    AuthType openid-connect
    Require valid-user
</Location>
"#
    )
}
