//! What an issuer may be.

use super::checked_issuer;

#[test]
fn an_issuer_is_https_or_loopback_http() {
    for (given, kept) in [
        ("https://id.example.com", "https://id.example.com"),
        ("https://ID.Example.com/", "https://id.example.com"),
        ("https://id.example.com:443", "https://id.example.com"),
        ("https://id.example.com:8443", "https://id.example.com:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ] {
        assert_eq!(checked_issuer(given).unwrap(), kept, "{given}");
    }
    for refused in [
        "",
        "id.example.com",
        "http://id.example.com",
        "http://10.0.0.1:8080",
        "ftp://id.example.com",
        "https://id.example.com/auth",
        "https://id.example.com?x=1",
        "https://id.example.com#x",
        "https://user@id.example.com",
        "https://",
    ] {
        assert!(checked_issuer(refused).is_err(), "{refused}");
    }
}
