//! A certificate authority of a test's own, and one certificate by it.

use std::{fs, process::Command};

use crate::{output, support::Home};

/// Paths of PEM files.
pub(crate) struct Authority {
    /// The authority's own certificate: whom to trust.
    pub(crate) authority: String,
    /// What a server shows, and its key.
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// `names` as in `DNS:localhost,IP:127.0.0.1`.
    pub(crate) fn new(home: &Home, names: &str) -> Self {
        let path = |name: &str| home.path(name).to_str().unwrap().to_owned();
        // The machine's own configuration would add extensions of its own.
        let config = path("openssl.cnf");
        fs::write(&config, "[req]\ndistinguished_name = name\n[name]\n").unwrap();
        let (authority, authority_key) = (path("authority.pem"), path("authority.key"));
        let (certificate, key) = (path("server.pem"), path("server.key"));
        let make = |subject: &str, out: &str, key: &str, more: &[&str]| {
            let mut openssl = Command::new("openssl");
            openssl
                .args(["req", "-x509", "-config", &config, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
                .args(["-nodes", "-days", "2", "-subj", subject, "-out", out, "-keyout", key])
                .args(more.iter().flat_map(|extension| ["-addext", extension]));
            openssl
        };
        let hint = "openssl is needed: `cargo xtask test --only prerequisites` installs it";
        let may = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign", "subjectKeyIdentifier=hash"];
        output(&mut make("/CN=An authority of tests", &authority, &authority_key, &may), hint);
        let names = format!("subjectAltName={names}");
        let is = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth", &names];
        let mut server = make("/CN=A server of tests", &certificate, &key, &is);
        output(server.args(["-CA", &authority, "-CAkey", &authority_key]), hint);
        Self { authority, certificate, key }
    }
}
