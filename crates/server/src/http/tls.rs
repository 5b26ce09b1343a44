//! TLS on the listener: TLS 1.3 and 1.2 by rustls, the certificate from two PEM files, read again when they change.
//!
//! 1. [`open`] reads both files at the start. What is wrong with them is said, and the server does not start.
//! 2. [`Watch`] looks at the files every two seconds. A change is taken up once the files were quiet from one look to the next:
//!    whoever writes two files one after the other, or one in pieces, is given the time. SIGHUP takes it up at once.
//! 3. New handshakes get the new certificate; connections that are open go on. A pair that cannot be used (half written, the
//!    key of another certificate) is refused, loudly, and the old one goes on.

mod validity;

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use regrant_engine::{
    ports::Clock,
    time::{Seconds, Time},
};
use rustls::{
    Error, InconsistentKeys, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use self::validity::Validity;
use crate::system::SystemClock;

/// Reads both files and makes what handshakes need, and what keeps it fresh.
///
/// # Errors
/// A sentence that says what is wrong and how to mend it.
pub(crate) fn open(certificate: &Path, key: &Path) -> Result<(TlsAcceptor, Watch), String> {
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
    let provider = Arc::new(aws_lc_rs::default_provider());
    // Before they are read: what changes in between is seen at the next look.
    let stamp = files.stamp();
    let (pair, validity) = files.load(&provider)?;
    let served = Arc::new(Served(RwLock::new(Arc::new(pair))));
    let resolver: Arc<dyn ResolvesServerCert> = Arc::<Served>::clone(&served);
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        // RFC 9325 §3.1.1: nothing below TLS 1.2.
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    // RFC 7301 §3.2: a client that wants only what we do not speak is told so in the handshake.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let watch = Watch { files, provider, served, validity, told: Health::Good, tried: stamp, seen: stamp };
    Ok((TlsAcceptor::from(Arc::new(config)), watch))
}

/// Keeps the certificate fresh, until it is dropped.
pub(crate) async fn keep_fresh(mut watch: Watch) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hang_up = match signal(SignalKind::hangup()) {
        Ok(hang_up) => hang_up,
        Err(error) => return tracing::error!(%error, "SIGHUP cannot be heard, so the certificate is not kept fresh"),
    };
    loop {
        let now = tokio::select! {
            _ = tick.tick() => false,
            _ = hang_up.recv() => true,
        };
        let looked = tokio::task::spawn_blocking(move || {
            watch.look(now, SystemClock.now());
            watch
        });
        match looked.await {
            Ok(back) => watch = back,
            Err(error) => return tracing::error!(%error, "the certificate is not kept fresh any more"),
        }
    }
}

/// Looks at the files.
pub(crate) struct Watch {
    files: Files,
    provider: Arc<CryptoProvider>,
    served: Arc<Served>,
    validity: Option<Validity>,
    /// What the log says of the certificate's validity.
    told: Health,
    /// The files as they were when they were last read.
    tried: Stamp,
    /// As they were at the last look.
    seen: Stamp,
}

impl Watch {
    fn look(&mut self, at_once: bool, now: Time) {
        let stamp = self.files.stamp();
        let quiet = stamp == self.seen;
        self.seen = stamp;
        if at_once || (quiet && stamp != self.tried) {
            self.tried = stamp;
            match self.files.load(&self.provider) {
                Ok((pair, validity)) => {
                    *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                    self.validity = validity;
                    self.told = Health::Good;
                    tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read again");
                }
                Err(why) => tracing::error!("{why}. The certificate from before goes on"),
            }
        }
        self.tell_health(now);
    }

    /// Once for each certificate and state.
    fn tell_health(&mut self, now: Time) {
        let Some(validity) = self.validity else { return };
        let health = Health::of(validity, now);
        if health == self.told {
            return;
        }
        self.told = health;
        let (certificate, until) = (self.files.certificate.display(), validity.until);
        match health {
            Health::Good => {}
            Health::NotYet => tracing::warn!(%certificate, from = %validity.from, "the certificate is not valid yet"),
            Health::Soon => tracing::warn!(%certificate, %until, "the certificate expires within a week: renew it"),
            Health::Expired => {
                tracing::error!(%certificate, %until, "the certificate has expired, and clients refuse it: renew it")
            }
        }
    }
}

/// What handshakes present.
#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Health {
    Good,
    NotYet,
    Soon,
    Expired,
}

impl Health {
    fn of(validity: Validity, now: Time) -> Self {
        // RFC 5280 §4.1.2.5: both ends are included.
        if now < validity.from {
            Self::NotYet
        } else if now > validity.until {
            Self::Expired
        } else if now > validity.until.minus(WARN_BEFORE) {
            Self::Soon
        } else {
            Self::Good
        }
    }
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What tells one state of both files from another; `None` for one that is not there. A link is followed: certbot and
/// Kubernetes turn links round.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl Files {
    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let seen = fs::metadata(path).ok()?;
            // The time of change, not of modification: nobody can set it, and a rename moves it too.
            Some((seen.dev(), seen.ino(), seen.size(), seen.ctime(), seen.ctime_nsec()))
        })
    }

    fn load(&self, provider: &CryptoProvider) -> Result<(CertifiedKey, Option<Validity>), String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let chain = CertificateDer::pem_slice_iter(&read("server.tls_certificate", &self.certificate)?)
            .collect::<Result<Vec<_>, pem::Error>>()
            .map_err(|error| format!("server.tls_certificate: {certificate} is damaged PEM: {error}"))?;
        let Some(own) = chain.first() else {
            return Err(format!(
                "server.tls_certificate: {certificate} holds no certificate; it must be PEM, with BEGIN CERTIFICATE"
            ));
        };
        let validity = Validity::of(own);
        let private = PrivateKeyDer::from_pem_slice(&read("server.tls_key", &self.key)?).map_err(|error| match error {
            pem::Error::NoItemsFound => format!(
                "server.tls_key: {key} holds no private key; it must be PEM, with BEGIN PRIVATE KEY, and without a passphrase"
            ),
            error => format!("server.tls_key: {key} is damaged PEM: {error}"),
        })?;
        let pair = CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "server.tls_key: {key} is not the key of the first certificate in {certificate}: name the files that belong \
                 together"
            ),
            Error::InvalidCertificate(error) => {
                format!("server.tls_certificate: the first certificate in {certificate} cannot be read: {error:?}")
            }
            error => format!("server.tls_key: the key in {key} cannot be used: {error}"),
        })?;
        Ok((pair, validity))
    }
}

fn read(setting: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("{setting}: cannot read {shown}: {error}");
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > LARGEST_FILE {
        return Err(format!("{setting}: {shown} is larger than {LARGEST_FILE} bytes: is it the right file?"));
    }
    // With room from the start: growing would leave copies of a key behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1));
    file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// In bytes; a chain and its key are a few thousand.
const LARGEST_FILE: u64 = 1024 * 1024;
/// So long before a certificate expires, the log says that it will.
const WARN_BEFORE: Seconds = Seconds::days(7);

#[cfg(test)]
mod tests;
