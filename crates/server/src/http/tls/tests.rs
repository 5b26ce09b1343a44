//! The pair is read, changed, broken and mended, with certificates that openssl(1) made once.

use std::{fs, path::PathBuf, sync::Arc};

use regrant_engine::time::{Seconds, Time};
use tempfile::TempDir;

use super::{Health, Watch, open, validity::Validity};

/// `faketime -f '2025-01-01 00:00:00' openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9130 (9131) …`
/// for localhost and 127.0.0.1, no CA.
const ONE: (&str, &str) = (include_str!("tests/one.pem"), include_str!("tests/one.key"));
const OTHER: (&str, &str) = (include_str!("tests/other.pem"), include_str!("tests/other.key"));

struct Pair {
    directory: TempDir,
}

impl Pair {
    fn of((certificate, key): (&str, &str)) -> Self {
        let pair = Self { directory: tempfile::tempdir().unwrap() };
        pair.write("certificate", certificate);
        pair.write("key", key);
        pair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Another file in its place, as renewals do; a new inode is seen however coarse the clock of the file system is.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("draft"), text).unwrap();
        fs::rename(self.path("draft"), self.path(name)).unwrap();
    }

    fn open(&self) -> Result<Watch, String> {
        open(&self.path("certificate"), &self.path("key")).map(|(_, watch)| watch)
    }
}

/// Within the validity of both.
const NOW: Time = Time::from_millis(1_800_000_000_000);

fn served(watch: &Watch) -> Vec<u8> {
    Arc::clone(&watch.served.0.read().unwrap()).cert[0].to_vec()
}

#[test]
fn what_is_wrong_at_the_start_is_said() {
    let cut = &ONE.0[..ONE.0.len() / 2];
    for (certificate, key, why) in [
        (ONE.0, OTHER.1, "is not the key of the first certificate"),
        ("", ONE.1, "holds no certificate"),
        (ONE.1, ONE.1, "holds no certificate"),
        (cut, ONE.1, "damaged PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ONE.1, "cannot be read"),
        (ONE.0, "", "holds no private key"),
        (ONE.0, ONE.0, "holds no private key"),
        (ONE.0, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be used"),
        (ONE.0, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "passphrase"),
    ] {
        let error = Pair::of((certificate, key)).open().err().unwrap();
        assert!(error.contains(why) && error.starts_with("server.tls_"), "{error}");
    }
    let pair = Pair::of(ONE);
    fs::remove_file(pair.path("key")).unwrap();
    let error = pair.open().err().unwrap();
    assert!(error.starts_with("server.tls_key: cannot read "), "{error}");
    pair.write("key", &"x".repeat(2_000_000));
    assert!(pair.open().err().unwrap().contains("larger than"));
}

#[test]
fn both_in_one_file_will_do() {
    let pair = Pair::of((&format!("{}{}", ONE.1, ONE.0), ONE.1));
    open(&pair.path("certificate"), &pair.path("certificate")).map(|_| ()).unwrap();
}

#[test]
fn a_change_is_taken_up_once_the_files_are_quiet() {
    let pair = Pair::of(ONE);
    let mut watch = pair.open().unwrap();
    let before = served(&watch);
    watch.look(false, NOW);
    pair.write("certificate", OTHER.0);
    watch.look(false, NOW);
    assert_eq!(served(&watch), before, "the key is still to come");
    pair.write("key", OTHER.1);
    watch.look(false, NOW);
    assert_eq!(served(&watch), before, "it may not be all");
    watch.look(false, NOW);
    assert_ne!(served(&watch), before);
}

#[test]
fn a_signal_takes_it_up_at_once() {
    let pair = Pair::of(ONE);
    let mut watch = pair.open().unwrap();
    let before = served(&watch);
    pair.write("certificate", OTHER.0);
    pair.write("key", OTHER.1);
    watch.look(true, NOW);
    assert_ne!(served(&watch), before);
}

#[test]
fn a_broken_pair_leaves_the_old_one_until_it_is_whole() {
    let pair = Pair::of(ONE);
    let mut watch = pair.open().unwrap();
    let before = served(&watch);
    let broken: [(&str, &str); 4] =
        [("certificate", OTHER.0), ("key", "half a ke"), ("certificate", &ONE.0[..100]), ("certificate", "")];
    for (name, text) in broken {
        pair.write(name, text);
        for at_once in [false, false, false, true] {
            watch.look(at_once, NOW);
            assert_eq!(served(&watch), before);
        }
    }
    fs::remove_file(pair.path("key")).unwrap();
    watch.look(true, NOW);
    watch.look(false, NOW);
    assert_eq!(served(&watch), before);
    pair.write("certificate", OTHER.0);
    pair.write("key", OTHER.1);
    watch.look(false, NOW);
    watch.look(false, NOW);
    assert_ne!(served(&watch), before);
}

#[test]
fn the_log_is_told_in_time_and_once() {
    let pair = Pair::of(ONE);
    let mut watch = pair.open().unwrap();
    let validity = watch.validity.unwrap();
    for (now, health) in [
        (validity.from.minus(Seconds(1)), Health::NotYet),
        (validity.from, Health::Good),
        (validity.until.minus(Seconds::days(7)), Health::Good),
        (validity.until.minus(Seconds::days(6)), Health::Soon),
        (validity.until, Health::Soon),
        (validity.until.plus(Seconds(1)), Health::Expired),
    ] {
        watch.look(false, now);
        assert_eq!(watch.told, health, "{now}");
    }
}

#[test]
fn validity_is_read_as_openssl_wrote_it() {
    let of = |pem: &str| {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        // A certificate that is cut off anywhere has no validity, or the same; it never has another.
        for length in 0..der.len() {
            assert_eq!(Validity::of(&der[..length]), None);
        }
        let validity = Validity::of(&der).unwrap();
        (validity.from.to_string(), validity.until.to_string())
    };
    // UTCTime and GeneralizedTime.
    assert_eq!(of(ONE.0), ("2025-01-01T00:00:00.000Z".to_owned(), "2049-12-31T00:00:00.000Z".to_owned()));
    assert_eq!(of(OTHER.0), ("2025-01-01T00:00:00.000Z".to_owned(), "2050-01-01T00:00:00.000Z".to_owned()));
}
