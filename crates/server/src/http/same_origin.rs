//! The defence against other sites: a call that brings the cookie must come from our own origin or a listed one.
//!
//! `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454 §7) are set by browsers and out of a page's reach. Both absent
//! means no browser, and so no cookie that a page could have made it send.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{cookie::is_loopback, protocol_error::ApiError, sent::Sent};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins whose pages may call.
pub(super) struct Origins {
    own: String,
    listed: Vec<String>,
    development: bool,
}

impl Origins {
    pub(super) fn new(issuer: &str, listed: &[String]) -> Self {
        Self { own: issuer.to_owned(), listed: listed.to_vec(), development: issuer.starts_with("http://") }
    }

    /// Passes a call from here, from a listed origin, or from no browser.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let origin = text(headers, &header::ORIGIN);
        let listed = self.listed(headers).is_some();
        let own_origin = origin.is_none_or(|origin| origin == self.own || self.is_development_host(origin, headers));
        // "none" is the user's own doing: an address typed in, a bookmark.
        let own_site = text(headers, &SEC_FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none");
        if listed || (own_origin && own_site) { Ok(()) } else { Err(ApiError::CrossOrigin) }
    }

    /// Whether there is any besides our own.
    pub(super) fn lists_any(&self) -> bool {
        !self.listed.is_empty()
    }

    /// The `Origin` of a call, if it is listed.
    pub(super) fn listed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = Sent::of(headers, &header::ORIGIN).once()?;
        self.listed.iter().any(|known| known.as_bytes() == origin.as_bytes()).then_some(origin)
    }

    /// In development the same server is `localhost` and `127.0.0.1`, whichever the developer typed: the page's own host is
    /// good enough, as long as it is this machine.
    fn is_development_host(&self, origin: &str, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.development && is_loopback(host) && origin.strip_prefix("http://") == Some(host)
    }
}

/// What a header says; several of one name say nothing that is ours.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    match Sent::of(headers, name) {
        Sent::Nothing => None,
        Sent::Once(value) => Some(value.to_str().unwrap_or("unreadable")),
        Sent::Several => Some("several"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::Origins;

    /// Name, issuer, headers, whether they pass.
    type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], bool);

    const CASES: &[Case] = &[
        ("no browser", "https://id.example", &[], true),
        (
            "own page",
            "https://id.example",
            &[("sec-fetch-site", "same-origin"), ("origin", "https://id.example")],
            true,
        ),
        ("own page, old browser", "https://id.example", &[("origin", "https://id.example")], true),
        ("typed address", "https://id.example", &[("sec-fetch-site", "none")], true),
        (
            "other site",
            "https://id.example",
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            false,
        ),
        ("other site, no origin", "https://id.example", &[("sec-fetch-site", "cross-site")], false),
        ("sister", "https://id.example", &[("sec-fetch-site", "same-site"), ("origin", "https://b.id.example")], false),
        ("listed", "https://id.example", &[("sec-fetch-site", "same-site"), ("origin", "https://app.example")], true),
        ("other origin, old browser", "https://id.example", &[("origin", "https://evil.example")], false),
        (
            "two origins, ours first",
            "https://id.example",
            &[("origin", "https://id.example"), ("origin", "https://evil.example")],
            false,
        ),
        (
            "two origins, a listed one first",
            "https://id.example",
            &[("origin", "https://app.example"), ("origin", "https://evil.example")],
            false,
        ),
        ("null origin", "https://id.example", &[("origin", "null")], false),
        (
            "contradiction",
            "https://id.example",
            &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
            false,
        ),
        ("other port", "https://id.example", &[("origin", "https://id.example:8443")], false),
        ("http page of an https issuer", "https://id.example", &[("origin", "http://id.example")], false),
        (
            "localhost",
            "http://127.0.0.1:8080",
            &[("origin", "http://localhost:8080"), ("host", "localhost:8080")],
            true,
        ),
        ("rebound", "http://127.0.0.1:8080", &[("origin", "http://evil.example"), ("host", "evil.example")], false),
        (
            "other local port",
            "http://127.0.0.1:8080",
            &[("origin", "http://localhost:3000"), ("host", "localhost:8080")],
            false,
        ),
    ];

    #[test]
    fn calls_pass_from_our_own_origin_and_listed_ones_only() {
        for (name, issuer, headers, passes) in CASES {
            let origins = Origins::new(issuer, &["https://app.example".to_owned()]);
            let mut map = HeaderMap::new();
            for (name, value) in *headers {
                map.append(axum::http::HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(origins.check(&map).is_ok(), *passes, "{name}");
        }
    }
}
