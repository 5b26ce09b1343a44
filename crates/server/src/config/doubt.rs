//! What works and is perhaps not what was meant: `regrant config check` asks.

use std::net::IpAddr;

use regrant_engine::{factor::password::Cost, time::Seconds};
use serde::Serialize;

use super::Config;
use crate::http;

/// Something to look at again.
#[derive(Debug, Serialize)]
pub(crate) struct Doubt {
    /// `section.key`
    pub(crate) key: String,
    /// What may be wrong, and what to do.
    pub(crate) why: String,
}

impl Config {
    /// Everything that is doubtful, in the order of the sections.
    pub(crate) fn doubts(&self) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let mut doubt = |is_doubtful: bool, key: &str, why: &str| {
            if is_doubtful {
                doubts.push(Doubt { key: key.to_owned(), why: why.to_owned() });
            }
        };
        let server = &self.server;
        let public = server.listen.as_deref().is_some_and(|listen| !is_loopback(listen));
        let tls = server.tls_certificate.is_some();
        doubt(
            public && !tls,
            "server.listen",
            "anybody on that network can reach it in plain HTTP: set tls_certificate and tls_key, or let only your proxy reach it",
        );
        doubt(
            public && !tls && server.trusted_proxies.is_empty(),
            "server.trusted_proxies",
            "no proxy is named: behind one, everybody seems to come from its address, and shares its limits. Name it",
        );
        doubt(
            public && server.issuer.is_none(),
            "server.issuer",
            "no issuer is set: a new store is refused on this address, an old one keeps its own. Say https://…",
        );
        doubt(
            server.issuer.as_deref().is_some_and(|issuer| issuer.starts_with("http://")),
            "server.issuer",
            "http is for trying it out: the cookie is not Secure, and only this machine can sign in",
        );
        doubt(
            self.metrics.listen.as_deref().is_some_and(|listen| !is_loopback(listen)),
            "metrics.listen",
            "anybody on that network can read the metrics: let only your monitoring system reach it",
        );
        let tokens = self.tokens.access_lifetime.seconds();
        doubt(
            tokens > Seconds::HOUR,
            "tokens.access_lifetime",
            "an access token works to its own end: whoever is signed out keeps access for so long. Minutes are usual",
        );
        let session = &self.session;
        for (kind, idle, absolute) in [
            ("browser", session.browser_idle, Some(session.browser_absolute)),
            ("native", session.native_idle, Some(session.native_absolute)),
            ("offline", session.offline_idle, session.offline_absolute),
        ] {
            doubt(
                absolute.is_some_and(|absolute| idle.seconds() > absolute.seconds()),
                &format!("session.{kind}_idle"),
                "it is longer than the absolute lifetime, and so never reached",
            );
            doubt(
                idle.seconds() <= tokens,
                &format!("session.{kind}_idle"),
                "it is not longer than tokens.access_lifetime: a session can end before its holder thinks of renewing it",
            );
        }
        doubt(
            self.passwords.min_length < 12,
            "passwords.min_length",
            "short passwords are guessed: there is no second factor yet, and NIST SP 800-63B-4 asks for 15 without one",
        );
        let (cost, usual) = (self.passwords.cost(), Cost::default());
        doubt(
            cost.memory_kib < usual.memory_kib || cost.passes < usual.passes,
            "passwords.memory_kib",
            "cheaper hashes than the default (OWASP's least: 19456 KiB, 2 passes): a stolen store is searched sooner",
        );
        doubt(
            self.limits.per_account > 100,
            "limits.per_account",
            "NIST SP 800-63B-4 §3.2.2 allows at most 100 failures of one account",
        );
        doubt(
            self.events.keep_rotations.seconds() > self.events.keep.seconds(),
            "events.keep_rotations",
            "it is longer than events.keep, which removes renewals sooner",
        );
        doubt(
            self.development.allow_loopback,
            "development.allow_loopback",
            "for development only: an address that a client registered can lead to whatever listens on this machine",
        );
        doubt(
            self.development.extra_ca.is_some(),
            "development.extra_ca",
            "for development only: whoever has that authority's key can pose as any client",
        );
        doubts
    }
}

/// Whether nobody else can reach a listener there. A name other than localhost is not looked up.
fn is_loopback(listen: &str) -> bool {
    listen.parse::<std::net::SocketAddr>().map_or_else(
        |_| http::is_loopback(listen) || listen.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        |address| address.ip().is_loopback(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn keys(text: &str) -> Vec<String> {
        let config: Config = toml::from_str(text).unwrap();
        config.doubts().into_iter().map(|doubt| doubt.key).collect()
    }

    #[test]
    fn the_defaults_leave_no_doubt() {
        assert_eq!(keys(""), Vec::<String>::new());
        assert_eq!(keys("[server]\nlisten = \"localhost:0\"\nissuer = \"https://id.example\""), Vec::<String>::new());
    }

    #[test]
    fn what_is_doubtful_is_said() {
        for (text, doubtful) in [
            (
                "[server]\nlisten = \"0.0.0.0:80\"\nissuer = \"https://id.example\"",
                &["server.listen", "server.trusted_proxies"][..],
            ),
            (
                "[server]\nlisten = \"[::]:80\"\ntrusted_proxies = [\"10.0.0.1\"]\nissuer = \"https://id.example\"",
                &["server.listen"],
            ),
            ("[server]\nlisten = \"0.0.0.0:443\"\ntls_certificate = \"a\"\ntls_key = \"b\"", &["server.issuer"]),
            ("[server]\nissuer = \"http://127.0.0.1:8080\"", &["server.issuer"]),
            ("[tokens]\naccess_lifetime = \"2h\"", &["tokens.access_lifetime"]),
            ("[session]\nbrowser_idle = \"31d\"", &["session.browser_idle"]),
            ("[session]\noffline_absolute = \"1d\"", &["session.offline_idle"]),
            ("[session]\nnative_idle = \"10m\"", &["session.native_idle"]),
            ("[passwords]\nmin_length = 8", &["passwords.min_length"]),
            ("[passwords]\npasses = 1", &["passwords.memory_kib"]),
            ("[limits]\nper_account = 101", &["limits.per_account"]),
            ("[events]\nkeep = \"1h\"", &["events.keep_rotations"]),
            (
                "[development]\nallow_loopback = true\nextra_ca = \"ca.pem\"",
                &["development.allow_loopback", "development.extra_ca"],
            ),
        ] {
            assert_eq!(keys(text), doubtful, "{text}");
        }
    }
}
