//! The one way out: requests to addresses that somebody else said. No redirect, no cookie, no proxy, no second look-up.
//!
//! 1. The URL is taken apart ([`Target`]): `https://`; `http://` only where this machine alone is meant, and may be.
//! 2. The name is resolved, and each address is looked at as it came out ([`Reach`], `outbound/address.rs`): a name can say
//!    anything, so nothing is read from it. Addresses where nobody but us should get are left out.
//! 3. The connection goes to an address that was looked at, and to no other: the name is not resolved again.
//! 4. For https the certificate says who answers: the machine's own list of authorities decides, or `SSL_CERT_FILE`, and in
//!    development `[development] extra_ca` besides.
//! 5. One request in HTTP/1.1 and one answer, of which so much is read and no more, within ten seconds in all.

mod address;

use std::{
    error::Error as _,
    ffi::OsString,
    fmt,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::Path,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use regrant_engine::client::keys::KeySource;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_rustls::TlsConnector;

use crate::config::Config;

/// How long a request may take, from the look-up of the name to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long one address may take to be connected to: the next one is tried then.
const CONNECT: Duration = Duration::from_secs(4);
/// Names that are looked up at once.
const LOOKUPS: usize = 32;
/// Status line and header fields of an answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Where Debian and Alpine, Fedora, and the BSDs have the authorities that they trust.
const LISTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Makes requests.
pub(crate) struct Outbound {
    reach: Reach,
    tls: Option<TlsConnector>,
    /// A look-up of a name takes a thread, and cannot be called off: passwords are hashed on others of the same.
    lookups: Arc<Semaphore>,
}

/// Where requests may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// Addresses that a client registered: public ones, by https.
    Public,
    /// Those and this machine, which may be asked by http, too.
    Development,
    /// An address that somebody typed who could connect to it without us: any by https, this machine by http.
    Typed,
}

impl Reach {
    fn allows(self, secure: bool, address: IpAddr) -> bool {
        match (self, secure) {
            (Self::Public, secure) => secure && address::is_public(address),
            (Self::Development, true) => address::is_public(address) || address.is_loopback(),
            (Self::Typed, true) => true,
            (Self::Development | Self::Typed, false) => address.to_canonical().is_loopback(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Error {
    Scheme,
    Url,
    Http,
    NotLoopback,
    NotPublic,
    TooSlow,
    Connection(String),
    Authorities,
    Status(u16),
    Answer,
    TooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("only files, https://, and http:// on a loopback host are read"),
            Self::Url => f.write_str("not a URL that is understood (no user, no white space, a port up to 65535)"),
            Self::Http => f.write_str("http is not asked: use https"),
            Self::NotLoopback => {
                f.write_str("http is asked of a loopback host only: use https, or name a file where one can be named")
            }
            Self::NotPublic => f.write_str("the name leads to no public address"),
            Self::TooSlow => write!(f, "no complete answer within {} seconds", DEADLINE.as_secs()),
            Self::Connection(error) => write!(f, "cannot connect: {error}"),
            Self::Authorities => f.write_str(
                "no certificate authorities are known: name a file of them (PEM) in the environment variable SSL_CERT_FILE",
            ),
            Self::Status(status) => write!(f, "the answer is {status}, and 200 is needed; redirects are not followed"),
            Self::Answer => f.write_str("the answer is not complete, or not HTTP that is understood"),
            Self::TooLarge => f.write_str("the answer is too large"),
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbound({:?})", self.reach)
    }
}

impl Outbound {
    /// For what clients registered.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the configuration.
    pub(crate) fn of(config: &Config) -> Result<Self, String> {
        let development = &config.development;
        let mut roots = roots(std::env::var_os("SSL_CERT_FILE"));
        if let Some(file) = &development.extra_ca {
            let shown = file.display();
            let added = added(file).map_err(|why| format!("development.extra_ca: cannot read {shown}: {why}"))?;
            for certificate in added {
                let wrong = |error| format!("development.extra_ca: {shown} has no usable certificate: {error}");
                roots.add(certificate).map_err(wrong)?;
            }
        }
        let reach = if development.allow_loopback { Reach::Development } else { Reach::Public };
        Ok(Self::with(reach, connector(roots).map_err(|error| error.to_string())?))
    }

    /// For an address that somebody typed, trusting the authorities in this file, or else the machine's own.
    pub(crate) fn typed(authorities: Option<OsString>) -> Result<Self, Error> {
        Ok(Self::with(Reach::Typed, connector(roots(authorities))?))
    }

    fn with(reach: Reach, tls: Option<TlsConnector>) -> Self {
        Self { reach, tls, lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// The body behind `url`, which may have `cap` bytes.
    pub(crate) async fn get(&self, url: &str, cap: usize) -> Result<Vec<u8>, Error> {
        let target = Target::parse(url)?;
        let accept = (header::ACCEPT, HeaderValue::from_static("application/json"));
        let read = async {
            let (answer, connection) = self.ask(&target, Method::GET, accept, Bytes::new()).await?;
            match answer.status() {
                StatusCode::OK => read(answer, connection, cap).await,
                other => Err(Error::Status(other.as_u16())),
            }
        };
        tokio::time::timeout(DEADLINE, read).await.unwrap_or(Err(Error::TooSlow))
    }

    /// Posts a form to `url`; the status of the answer, of which no more is read.
    pub(crate) async fn post_form(&self, url: &str, form: String) -> Result<u16, Error> {
        let target = Target::parse(url)?;
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let asked = self.ask(&target, Method::POST, kind, form.into());
        let answered = tokio::time::timeout(DEADLINE, asked).await.unwrap_or(Err(Error::TooSlow))?;
        Ok(answered.0.status().as_u16())
    }

    /// Sends one request, and waits for the head of its answer.
    async fn ask(
        &self,
        target: &Target,
        method: Method,
        field: (header::HeaderName, HeaderValue),
        body: Bytes,
    ) -> Result<(Response<Incoming>, Connection), Error> {
        if self.reach == Reach::Public && !target.secure {
            return Err(Error::Http);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.path.parse().map_err(|_| Error::Url)?;
        let host = HeaderValue::from_str(&target.authority).map_err(|_| Error::Url)?;
        let fields = [
            (header::HOST, host),
            field,
            (header::USER_AGENT, HeaderValue::from_static(concat!("regrant/", env!("CARGO_PKG_VERSION")))),
            (header::CONNECTION, HeaderValue::from_static("close")),
        ];
        request.headers_mut().extend(fields);
        if !target.secure {
            let stream = self.connect(target).await?;
            return exchange(stream, request).await;
        }
        let tls = self.tls.as_ref().ok_or(Error::Authorities)?;
        let name = ServerName::try_from(target.name().to_owned()).map_err(|_| Error::Url)?;
        let stream = self.connect(target).await?;
        let stream = tls.connect(name, stream).await.map_err(|error| Error::Connection(error.to_string()))?;
        exchange(stream, request).await
    }

    /// Connects to the first address that may be asked and answers.
    async fn connect(&self, target: &Target) -> Result<TcpStream, Error> {
        let found = self.look_up(target.name().to_owned(), target.port).await?;
        let allowed: Vec<_> =
            found.iter().filter(|address| self.reach.allows(target.secure, address.ip())).copied().collect();
        // Without TLS nobody proves who answers: one address elsewhere spoils the name.
        if !target.secure && allowed.len() < found.len() {
            return Err(Error::NotLoopback);
        }
        let mut last = match (found.is_empty(), allowed.is_empty()) {
            (true, _) => Error::Connection("the name has no address".to_owned()),
            (false, _) => Error::NotPublic,
        };
        for address in allowed {
            // To this very address: resolved once more, the name could say another.
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Error::Connection(error.to_string()),
                Err(_) => last = Error::TooSlow,
            }
        }
        Err(last)
    }

    /// The addresses of a name.
    async fn look_up(&self, name: String, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let failed = |error: &dyn fmt::Display| Error::Connection(error.to_string());
        let held = Arc::clone(&self.lookups).acquire_owned().await.map_err(|error| failed(&error))?;
        let found = tokio::task::spawn_blocking(move || {
            // Until it is over, and not only until nobody waits for it.
            let _held = held;
            (name.as_str(), port).to_socket_addrs().map(Iterator::collect)
        });
        found.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

/// The keys of clients that keep them elsewhere.
impl KeySource for Outbound {
    fn fetch<'a>(&'a self, url: &'a str) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>> {
        Box::pin(async move {
            match self.get(url, regrant_jose::MAX_JWKS_BYTES).await {
                Ok(body) => Some(body),
                Err(error) => {
                    tracing::warn!(url, %error, "a client's keys could not be had, so it cannot authenticate");
                    None
                }
            }
        })
    }
}

/// A connection on its way: its answer comes as long as this is polled.
type Connection = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Connection), Error> {
    let connected = http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await;
    let (mut client, connection) = connected.map_err(told)?;
    let mut connection: Connection = Box::pin(async move {
        // What went wrong is told with the answer, or its body.
        let _ = connection.await;
    });
    let answer = client.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // It may be over before its last answer was read from it.
        () = &mut connection => {
            connection = Box::pin(std::future::pending());
            answer.await
        }
    };
    Ok((answer.map_err(told)?, connection))
}

async fn read(answer: Response<Incoming>, connection: Connection, cap: usize) -> Result<Vec<u8>, Error> {
    let body = Limited::new(answer.into_body(), cap).collect();
    tokio::pin!(body);
    let body = tokio::select! {
        body = &mut body => body,
        () = connection => body.await,
    };
    match body {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge),
        Err(error) => Err(error.downcast().map_or(Error::Answer, |error| told(*error))),
    }
}

/// A connection that broke, or an answer that is none. RFC 8446 §6.1: who hangs up without saying so may have been cut off.
fn told(error: hyper::Error) -> Error {
    let cause = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match cause {
        Some(cause) if cause.kind() != ErrorKind::UnexpectedEof => Error::Connection(cause.to_string()),
        _ => Error::Answer,
    }
}

/// A URL that may be asked.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// As it stands in the URL, for the `Host` field.
    authority: String,
    host: String,
    port: u16,
    path: String,
    secure: bool,
}

impl Target {
    fn parse(url: &str) -> Result<Target, Error> {
        let (scheme, rest) = scheme(url).ok_or(Error::Scheme)?;
        let secure = scheme.eq_ignore_ascii_case("https");
        if !secure && !scheme.eq_ignore_ascii_case("http") {
            return Err(Error::Scheme);
        }
        // A line break in the path would be a second header field.
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Url);
        }
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = host_and_port(authority).ok_or(Error::Url)?;
        Ok(Target {
            authority: authority.to_owned(),
            host: host.to_owned(),
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            secure,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// The host as it is looked up, and as the certificate has it.
    fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// Whether this names a place on a network rather than a file.
pub(crate) fn is_url(place: &str) -> bool {
    scheme(place).is_some()
}

/// The scheme and what follows `://`. A file name may have a colon, but not this.
fn scheme(place: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = place.split_once("://")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(letters)).then_some((scheme, rest))
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; no user.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        rest.split_once(']')?
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    if host.is_empty() || host.contains('@') {
        return None;
    }
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Some(digits.parse().ok()?),
        None if port.is_empty() => None,
        _ => return None,
    };
    Some((host, port))
}

/// TLS that trusts these authorities; `None` without any.
fn connector(roots: RootCertStore) -> Result<Option<TlsConnector>, Error> {
    if roots.is_empty() {
        return Ok(None);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| Error::Connection(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

/// The authorities in this file, or in the first list that this machine has.
fn roots(file: Option<OsString>) -> RootCertStore {
    let files = file.map_or_else(|| LISTS.map(OsString::from).to_vec(), |file| vec![file]);
    let mut roots = RootCertStore::empty();
    for file in files {
        if let Ok(certificates) = CertificateDer::pem_file_iter(file) {
            roots.add_parsable_certificates(certificates.flatten());
        }
        if !roots.is_empty() {
            break;
        }
    }
    roots
}

/// The certificates in this file: at least one, and each must be one.
fn added(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| error.to_string())?;
    if certificates.is_empty() { Err("it has no certificate (PEM)".to_owned()) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests;
