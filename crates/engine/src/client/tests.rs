//! What can be a client, where it may send people, and its secrets.

use super::{
    ApplicationType::{Native, Web},
    *,
};

fn web() -> Draft {
    Draft { redirect_uris: vec!["https://app.example/cb".to_owned()], ..Draft::new("web", ClientType::Confidential) }
}

fn prepared(draft: Draft) -> Result<Client, DraftError> {
    prepare(draft, ManagedBy::Operator, Time::from_millis(0))
}

#[test]
fn what_is_left_out_is_the_safe_default() {
    let client = prepared(web()).unwrap();
    assert_eq!(client.metadata.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
    assert_eq!(client.metadata.token_endpoint_auth_method, AuthMethod::ClientSecretBasic);
    assert!(client.metadata.require_pkce && !client.metadata.first_party);
    assert_eq!(client.metadata.scope, "openid profile email");
    let service = prepared(Draft::new("job", ClientType::Service)).unwrap();
    assert_eq!(
        (service.metadata.grant_types, service.metadata.scope.as_str()),
        (vec![GrantType::ClientCredentials], "")
    );
    let device = Draft { redirect_uris: vec![], ..web() }.with_grant(GrantType::DeviceCode);
    let device = prepared(Draft { client_type: ClientType::Public, ..device }).unwrap();
    assert_eq!(
        (device.metadata.grant_types, device.metadata.scope.as_str()),
        (vec![GrantType::DeviceCode], "openid profile email")
    );
    let public = prepared(Draft { client_type: ClientType::Public, ..web() }).unwrap();
    assert_eq!(public.metadata.token_endpoint_auth_method, AuthMethod::None);
}

/// RFC 9700 §4.15.
#[test]
fn a_client_is_never_taken_for_a_user_or_for_us() {
    for id in ["regrant", "REGRANT", "usr_0190000000007000800000000000000a", "usr_", "Ses_x", "grt_1", "evt_1"] {
        assert_eq!(prepared(Draft { id: id.to_owned(), ..web() }), Err(DraftError::ReservedId), "{id}");
    }
    for id in ["", "a b", "a\n", "ä", "a\"b", &"x".repeat(201)] {
        assert_eq!(prepared(Draft { id: id.to_owned(), ..web() }), Err(DraftError::Id), "{id}");
    }
    for id in ["web", "https://app.example/client", "a.b-c_d~1:2"] {
        assert!(prepared(Draft { id: id.to_owned(), ..web() }).is_ok(), "{id}");
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let uri = |uri: &str| vec![uri.to_owned()];
    let cases = [
        (Draft { redirect_uris: vec![], ..web() }, DraftError::NoRedirectUri),
        (
            Draft { redirect_uris: uri("https://a.example/"), ..Draft::new("j", ClientType::Service) },
            DraftError::UselessRedirectUri,
        ),
        (Draft { client_type: ClientType::Public, pkce: Some(Requirement::Optional), ..web() }, DraftError::Pkce),
        (
            Draft { client_type: ClientType::Public, auth_method: Some(AuthMethod::ClientSecretPost), ..web() },
            DraftError::AuthMethod(AuthMethod::ClientSecretPost),
        ),
        (Draft { auth_method: Some(AuthMethod::None), ..web() }, DraftError::AuthMethod(AuthMethod::None)),
        (
            Draft { client_type: ClientType::Public, grants: vec![GrantType::ClientCredentials], ..web() },
            DraftError::Grant(GrantType::ClientCredentials),
        ),
        (
            Draft { client_type: ClientType::Service, redirect_uris: vec![], ..web() }
                .with_grant(GrantType::DeviceCode),
            DraftError::Grant(GrantType::DeviceCode),
        ),
        (web().with_grant(GrantType::DeviceCode), DraftError::UselessRedirectUri),
        (
            Draft { client_type: ClientType::Service, ..web() }.with_grant(GrantType::AuthorizationCode),
            DraftError::Grant(GrantType::AuthorizationCode),
        ),
        (Draft { scopes: vec!["a b".to_owned()], ..web() }, DraftError::Scope("a b".to_owned())),
        (Draft { scopes: vec![String::new()], ..web() }, DraftError::Scope(String::new())),
        (Draft { access_lifetime: Some(Seconds(0)), ..web() }, DraftError::Lifetime("access token's lifetime")),
        (Draft { access_lifetime: Some(Seconds::days(2)), ..web() }, DraftError::Lifetime("access token's lifetime")),
        (Draft { idle: Some(Seconds(0)), ..web() }, DraftError::Lifetime("idle lifetime")),
        (Draft { name: Some("a\u{202e}b".to_owned()), ..web() }, DraftError::Name),
        (Draft { name: Some(" ".to_owned()), ..web() }, DraftError::Name),
        (Draft { jwks: Some(serde_json::json!({"keys": []})), ..web() }, DraftError::Keys),
        (Draft { auth_method: Some(AuthMethod::PrivateKeyJwt), ..web() }, DraftError::Keys),
        (Draft { jwks_uri: Some("https://a.example/keys".to_owned()), ..web() }, DraftError::Keys),
        (
            Draft {
                auth_method: Some(AuthMethod::PrivateKeyJwt),
                jwks: Some(serde_json::json!({"keys": []})),
                jwks_uri: Some("https://a.example/keys".to_owned()),
                ..web()
            },
            DraftError::Keys,
        ),
        (
            Draft {
                auth_method: Some(AuthMethod::PrivateKeyJwt),
                jwks: Some(serde_json::json!({"keys": []})),
                ..web()
            },
            DraftError::Jwks,
        ),
    ];
    for (draft, error) in cases {
        assert_eq!(prepared(draft.clone()), Err(error), "{draft:?}");
    }
}

impl Draft {
    fn with_grant(self, grant: GrantType) -> Self {
        Self { grants: vec![grant], ..self }
    }
}

#[test]
fn only_addresses_that_lead_to_one_place_can_be_registered() {
    let cases = [
        ("https://app.example/cb", Web, None),
        ("https://app.example/cb?tenant=1", Web, None),
        ("https://app.example:8443/", Web, None),
        ("http://127.0.0.1:3000/cb", Web, None),
        ("http://localhost:3000/cb", Web, None),
        ("http://127.0.0.1/cb", Native, None),
        ("http://[::1]/cb", Native, None),
        ("com.example.app:/cb", Native, None),
        ("com.example.app://cb", Native, None),
        ("com.example.app:/cb", Web, Some(UriError::Scheme)),
        ("app:/cb", Native, Some(UriError::Scheme)),
        ("javascript:alert(1)", Native, Some(UriError::Scheme)),
        ("http://app.example/cb", Web, Some(UriError::Http)),
        ("http://127.0.0.1.evil.example/cb", Native, Some(UriError::Http)),
        ("http://localhost.evil.example/", Web, Some(UriError::Http)),
        ("https://app.example/cb#x", Web, Some(UriError::Fragment)),
        ("https://*.example/cb", Web, Some(UriError::Wildcard)),
        ("https://user@app.example/", Web, Some(UriError::UserInfo)),
        ("https://app.example\\@evil.example/", Web, Some(UriError::Character)),
        ("https://app.example/ cb", Web, Some(UriError::Character)),
        ("https://äpp.example/", Web, Some(UriError::Character)),
        ("/cb", Web, Some(UriError::NotAbsolute)),
        ("https:/cb", Web, Some(UriError::NotAbsolute)),
        ("https:///cb", Web, Some(UriError::NotAbsolute)),
        ("https://app.example:99999/", Web, Some(UriError::NotAbsolute)),
        ("https://[::1/cb", Web, Some(UriError::NotAbsolute)),
        ("", Web, Some(UriError::NotAbsolute)),
    ];
    for (uri, application, error) in cases {
        assert_eq!(redirect_uri::check(uri, application).err(), error, "{uri}");
    }
    assert_eq!(redirect_uri::check(&format!("https://a.example/{}", "x".repeat(2048)), Web), Err(UriError::TooLong));
}

/// RFC 9700 §2.1, RFC 8252 §7.3.
#[test]
fn an_address_is_compared_letter_by_letter_but_for_a_native_applications_loopback_port() {
    let cases = [
        ("https://app.example/cb", Web, "https://app.example/cb", true),
        ("https://app.example/cb", Web, "https://app.example/cb/", false),
        ("https://app.example/cb", Web, "https://APP.example/cb", false),
        ("https://app.example/cb", Web, "https://app.example:443/cb", false),
        ("https://app.example/cb", Web, "https://app.example/cb?x=1", false),
        ("https://app.example/cb", Web, "https://app.example/%63b", false),
        ("http://127.0.0.1:3000/cb", Web, "http://127.0.0.1:3001/cb", false),
        ("http://127.0.0.1/cb", Native, "http://127.0.0.1:51004/cb", true),
        ("http://127.0.0.1:1/cb", Native, "http://127.0.0.1:51004/cb", true),
        ("http://[::1]/cb", Native, "http://[::1]:51004/cb", true),
        ("http://127.0.0.1/cb", Native, "http://127.0.0.1:51004/cb2", false),
        ("http://127.0.0.1/cb", Native, "http://localhost:51004/cb", false),
        ("http://127.0.0.1/cb", Native, "http://127.0.0.1:99999/cb", false),
        ("http://127.0.0.1/cb", Native, "http://127.0.0.1:51004@evil.example/cb", false),
        ("http://127.0.0.1/cb", Native, "https://127.0.0.1:51004/cb", false),
        ("https://app.example/cb", Native, "https://app.example:1/cb", false),
        ("com.example.app:/cb", Native, "com.example.app:/cb", true),
        ("com.example.app:/cb", Native, "com.example.app:/cb2", false),
    ];
    for (known, application, asked, fits) in cases {
        let registered = vec!["https://other.example/".to_owned(), known.to_owned()];
        assert_eq!(redirect_uri::is_registered(&registered, application, asked), fits, "{known} {asked}");
    }
}

#[test]
fn a_secret_works_within_its_window_and_no_other_does() {
    struct Counting(std::sync::atomic::AtomicU8);
    impl crate::ports::Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }
    let random = Counting(0.into());
    let (old, new) = (ClientSecret::new(&random), ClientSecret::new(&random));
    let now = Time::from_millis(1_000_000);
    let until = now.plus(Seconds::HOUR);
    let stored =
        [new.stored(SecretId(2), now), StoredSecret { expires_at: Some(until), ..old.stored(SecretId(1), now) }];
    let found = |text: &str, at| secret::matching(&stored, text, at).map(|found| found.id.0);
    assert_eq!(found(new.expose(), now), Some(2));
    assert_eq!((found(old.expose(), now), found(old.expose(), until)), (Some(1), None));
    assert_eq!(found("", now), None);
    assert_eq!(found(&new.expose()[1..], now), None);
    assert_eq!(format!("{new:?} {:?}", stored[0]), "ClientSecret(secret) StoredSecret(2)");
    assert!(ClientSecret::brought("too short").is_none());
}
