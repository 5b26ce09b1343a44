//! Where the database is: the URL that the operator gave, with what the environment adds.
//!
//! As libpq reads it: `postgres://user@host:5432,host2:5432/name?option=value`. Two things are stricter. Beyond this machine there
//! is no connection without TLS and a certificate that names the host (`sslmode=verify-full`); and of several hosts the one that
//! can be written to is meant (`target_session_attrs=read-write`).

use std::{
    fmt,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::tls::Tls;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what was sent may go without a word that it came.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// The largest password file that is read.
const LARGEST_FILE: u64 = 64 * 1024;

/// How to reach a database. Silent about passwords.
#[derive(Clone)]
pub struct Address {
    /// Its hosts, each alone, in their order: one that does not answer must not hold up the next.
    pub(super) hosts: Vec<(String, tokio_postgres::Config)>,
    pub(super) tls: Option<Tls>,
    shown: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What of a process's environment says something about the database.
#[derive(Clone, Default)]
pub struct Environment {
    /// `PGPASSWORD`.
    pub password: Option<String>,
    /// `PGPASSFILE`.
    pub password_file: Option<PathBuf>,
    /// `PGUSER`.
    pub user: Option<String>,
}

impl Environment {
    /// This process's.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            password: text("PGPASSWORD"),
            password_file: std::env::var_os("PGPASSFILE").map(PathBuf::from),
            user: text("PGUSER"),
        }
    }
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence that says what is wrong and how to mend it; it quotes no password.
    pub fn parse(url: &str, environment: &Environment) -> Result<Self, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        if !base.starts_with("postgres://") && !base.starts_with("postgresql://") {
            return Err("the database is named like postgres://user@host:5432/name".to_owned());
        }
        let (mut kept, mut mode, mut roots) = (Vec::new(), None, None);
        for option in query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => roots = Some(PathBuf::from(unescaped(value))),
                _ => kept.push(option),
            }
        }
        let cleaned = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        let mut config: tokio_postgres::Config = cleaned.parse().map_err(|error: tokio_postgres::Error| {
            // Its text names what is wrong, and quotes nothing but the names of options.
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("the database's URL cannot be read: {why}")
        })?;
        if config.get_hosts().is_empty() {
            return Err("the database's URL names no host".to_owned());
        }
        let (hosts, addresses, ports) =
            (config.get_hosts().len(), config.get_hostaddrs().len(), config.get_ports().len());
        if (addresses > 0 && addresses != hosts) || (ports > 1 && ports != hosts) {
            return Err("the database's URL names more or fewer addresses or ports than hosts".to_owned());
        }
        if let (None, Some(user)) = (config.get_user(), &environment.user) {
            config.user(user);
        }
        if config.get_password().is_none() {
            if let Some(password) = &environment.password {
                config.password(password);
            } else if let Some(file) = &environment.password_file
                && let Some(password) = from_file(file, &config)?
            {
                config.password(password);
            }
        }
        // `hostaddr` is where the connection goes in truth; `host` is then only its name.
        let is_here =
            config.get_hosts().iter().all(is_on_this_machine) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        let tls = match (mode, is_here) {
            (None | Some("disable" | "prefer" | "allow"), true) => None,
            (None | Some("verify-full"), _) => Some(Tls::trusting(roots.as_deref())?),
            (Some(mode), _) => {
                return Err(format!(
                    "sslmode={mode} would trust whoever answers: beyond this machine write sslmode=verify-full, or nothing (the \
                     certificate must name the host; sslrootcert=FILE names your own authority), and on it that or disable"
                ));
            }
        };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if config.get_hosts().len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // A standby answers too, and every write would fail there.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_connect_timeout().is_none_or(|timeout| timeout.is_zero()) {
            config.connect_timeout(PATIENCE);
        }
        if config.get_application_name().is_none() {
            config.application_name("regrant");
        }
        config.keepalives_idle(Duration::from_secs(30));
        // A server that has gone without a word is noticed by what it does not acknowledge.
        config.tcp_user_timeout(UNACKNOWLEDGED);
        let hosts =
            (0..config.get_hosts().len()).filter_map(|index| Some((named(&config, index)?, alone(&config, index)?)));
        Ok(Self { hosts: hosts.collect(), shown: shown(&config), tls })
    }

    /// Whether there is another host that may take over.
    #[must_use]
    pub fn has_several_hosts(&self) -> bool {
        self.hosts.len() > 1
    }

    /// The same for a move, whose connections are told from those of nodes.
    #[must_use]
    pub fn of_a_move(mut self) -> Self {
        for (_, config) in &mut self.hosts {
            config.application_name(super::moving::APPLICATION);
        }
        self
    }

    /// Whether a URL has a password in it.
    #[must_use]
    pub fn has_password(url: &str) -> bool {
        let cleaned = url.split_once('?').map_or(url, |(base, _)| base);
        let authority = cleaned.split_once("://").map_or("", |(_, rest)| rest);
        let user = authority.split('/').next().and_then(|authority| authority.rsplit_once('@'));
        user.is_some_and(|(user, _)| user.contains(':'))
            || url
                .split_once('?')
                .is_some_and(|(_, query)| query.split('&').any(|option| option.starts_with("password=")))
    }
}

fn is_on_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        Host::Unix(_) => true,
    }
}

fn port_of(config: &tokio_postgres::Config, index: usize) -> u16 {
    let ports = config.get_ports();
    ports.get(index).or(ports.first()).copied().unwrap_or(5432)
}

/// A host for people.
fn named(config: &tokio_postgres::Config, index: usize) -> Option<String> {
    let port = port_of(config, index);
    Some(match config.get_hosts().get(index)? {
        Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
        Host::Tcp(name) => format!("{name}:{port}"),
        Host::Unix(directory) => format!("{}:{port}", directory.display()),
    })
}

/// The same for one host only.
fn alone(config: &tokio_postgres::Config, index: usize) -> Option<tokio_postgres::Config> {
    let mut one = tokio_postgres::Config::new();
    match config.get_hosts().get(index)? {
        Host::Tcp(name) => one.host(name),
        Host::Unix(directory) => one.host_path(directory),
    };
    if let Some(address) = config.get_hostaddrs().get(index) {
        one.hostaddr(*address);
    }
    one.port(port_of(config, index));
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(name) = config.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        one.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*timeout);
    }
    one.keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs());
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    Some(one)
}

/// For people: no password, no options.
fn shown(config: &tokio_postgres::Config) -> String {
    let hosts = (0..config.get_hosts().len()).filter_map(|index| named(config, index));
    let hosts = hosts.collect::<Vec<_>>().join(",");
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let name = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{user}{hosts}/{name}")
}

/// The password for the first host that the file has one for: lines of `host:port:database:user:password`, as libpq has them.
fn from_file(file: &Path, config: &tokio_postgres::Config) -> Result<Option<String>, String> {
    let named = file.display();
    let metadata =
        std::fs::metadata(file).map_err(|error| format!("cannot read the password file {named}: {error}"))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("the password file {named} can be read by others (mode {mode:o}): run chmod 600 on it"));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(format!("the password file {named} is larger than 64 KiB: is it the right file?"));
    }
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read the password file {named}: {error}"))?;
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let ports = config.get_ports();
    for (index, host) in config.get_hosts().iter().enumerate() {
        let host = match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(directory) => directory.display().to_string(),
        };
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432).to_string();
        let wanted = [host.as_str(), port.as_str(), database, user];
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields = fields(line);
            if let [at @ .., password] = fields.as_slice()
                && at.len() == wanted.len()
                && at.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted)
            {
                return Ok(Some(password.clone()));
            }
        }
    }
    Ok(None)
}

/// The fields of a line: a backslash takes the meaning from a colon or a backslash.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => field.extend(characters.next()),
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            character => field.push(character),
        }
    }
    fields.push(field);
    fields
}

fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut index) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(index) {
        let escaped = text.get(index + 1..index + 3).filter(|_| *byte == b'%');
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(meant) => {
                out.push(meant);
                index += 3;
            }
            None => {
                out.push(*byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, String> {
        Address::parse(url, &Environment::default())
    }

    #[test]
    fn a_password_is_found_wherever_it_is_and_never_shown() {
        for (url, has) in [
            ("postgres://ada@db.example/regrant", false),
            ("postgres://ada:secret@db.example/regrant", true),
            ("postgres://ada@db.example/regrant?password=secret", true),
            ("postgres://ada:se%40cret@[::1]:5432,[::1]:5433/regrant", true),
            ("postgres://[::1]:5432/regrant", false),
        ] {
            assert_eq!(Address::has_password(url), has, "{url}");
        }
        let address = parse("postgres://ada:secret@127.0.0.1:5433,localhost:5434/regrant").unwrap();
        assert_eq!(address.to_string(), "postgres://ada@127.0.0.1:5433,localhost:5434/regrant");
        assert!(!format!("{address:?}").contains("secret"));
        assert!(address.has_several_hosts());
        for ((named, config), port) in address.hosts.iter().zip([5433, 5434]) {
            assert!(named.ends_with(&port.to_string()), "{named}");
            assert_eq!((config.get_hosts().len(), config.get_ports()), (1, &[port][..]));
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
            assert_eq!((config.get_user(), config.get_dbname()), (Some("ada"), Some("regrant")));
            assert_eq!(config.get_password(), Some(&b"secret"[..]));
        }
    }

    #[test]
    fn what_the_url_says_is_said_of_each_host() {
        let options = "application_name=me&connect_timeout=3&keepalives_idle=7&options=-c%20work_mem%3D8MB&hostaddr=127.0.0.2,127.0.0.3";
        let address = parse(&format!("postgres://ada@127.0.0.1,localhost:7/regrant?{options}")).unwrap();
        for ((_, config), (port, at)) in address.hosts.iter().zip([(5432, "127.0.0.2"), (7, "127.0.0.3")]) {
            assert_eq!((config.get_application_name(), config.get_options()), (Some("me"), Some("-c work_mem=8MB")));
            assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
            assert_eq!((config.get_ports(), config.get_hostaddrs()), (&[port][..], &[at.parse().unwrap()][..]));
            assert_eq!(config.get_ssl_mode(), SslMode::Disable);
        }
    }

    #[test]
    fn beyond_this_machine_the_certificate_names_the_host() {
        assert!(parse("postgres://ada@127.0.0.1/regrant").unwrap().tls.is_none());
        assert!(parse("postgres://ada@[::1]/regrant?sslmode=disable").unwrap().tls.is_none());
        for mode in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let refused = parse(&format!("postgres://ada@db.example/regrant?sslmode={mode}"));
            assert!(refused.is_err_and(|why| why.contains("verify-full")), "{mode}");
        }
        // A name of this machine at an address of another one.
        assert!(parse("postgres://ada@localhost/regrant?hostaddr=10.0.0.1&sslmode=disable").is_err());
        // One host elsewhere is enough.
        assert!(parse("postgres://ada@127.0.0.1,db.example/regrant?sslmode=disable").is_err());
        let missing = parse("postgres://ada@db.example/regrant?sslrootcert=/nowhere/ca.pem");
        assert!(missing.is_err_and(|why| why.contains("/nowhere/ca.pem")));
    }

    #[test]
    fn what_cannot_be_read_is_said_without_the_password() {
        for url in ["mysql://ada@db/regrant", "postgres:///regrant", "postgres://ada:secret@db/regrant?nonsense=1"] {
            let why = parse(url).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_password_file_is_read_as_libpq_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pgpass");
        let lines = "# a comment\nother:*:*:*:wrong\n127.0.0.1:5433:regrant:ada:a\\:b\\\\c\n*:*:*:*:any\n";
        std::fs::write(&file, lines).unwrap();
        let environment = Environment { password_file: Some(file.clone()), ..Environment::default() };
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let open = Address::parse("postgres://ada@127.0.0.1:5433/regrant", &environment);
        assert!(open.is_err_and(|why| why.contains("chmod 600")));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        for (url, password) in
            [("postgres://ada@127.0.0.1:5433/regrant", "a:b\\c"), ("postgres://bob@127.0.0.1:5433/regrant", "any")]
        {
            let address = Address::parse(url, &environment).unwrap();
            assert_eq!(address.hosts[0].1.get_password(), Some(password.as_bytes()));
        }
    }
}
