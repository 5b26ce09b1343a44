//! Which drafts are resources, and whom tokens are for, as tables.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::{DraftError as E, *};

const NOW: Time = Time::from_millis(1_700_000_000_000);
const ISSUER: &str = "https://id.example";
const ORDERS: &str = "https://api.example/orders";
const STOCK: &str = "https://api.example/stock";
const BILLS: &str = "urn:example:bills";

fn scope(name: &str, roles: &[&str]) -> Scope {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Scope { name: name.to_owned(), description: Some(format!("do {name}")), roles }
}

fn draft(id: &str, scopes: Vec<Scope>) -> Draft {
    Draft { id: id.to_owned(), scopes, ..Draft::default() }
}

fn made(draft: Draft) -> Result<Resource, DraftError> {
    prepare(draft, ManagedBy::Operator, NOW)
}

fn public_key() -> Value {
    let key = Jwk::generate(regrant_jose::KeyKind::P256).unwrap();
    let mut key: Value = serde_json::from_str(&key.to_json()).unwrap();
    key["kid"] = json!("k");
    key
}

/// `read` is of two; `orders:write` is for clerks, `stock:write` for anybody.
fn registry() -> Registry {
    let resources = [
        draft(
            ORDERS,
            vec![scope("orders:read", &[]), scope("orders:write", &["clerk", "chief"]), scope("read", &["clerk"])],
        ),
        draft(STOCK, vec![scope("stock:write", &[]), scope("read", &[])]),
        Draft {
            signing_alg: Some("RS256".to_owned()),
            encryption_key: Some(public_key()),
            ..draft(BILLS, vec![scope("bills", &[])])
        },
    ];
    Registry::new(resources.into_iter().map(|draft| made(draft).unwrap()).collect(), false).unwrap()
}

fn settings(audiences: Option<&[&str]>) -> Settings {
    let audiences = audiences.map(|list| list.iter().map(|audience| (*audience).to_owned()).collect());
    Settings { audiences, ..Settings::new(ISSUER) }
}

#[test]
fn a_draft_becomes_a_resource_or_says_why_not() {
    let good = made(draft(ORDERS, vec![scope("b", &["z", "a", "a"]), scope("a", &[])])).unwrap();
    assert_eq!(good.metadata.signing_alg, SigningAlg::Es256);
    assert_eq!(good.metadata.scopes, [scope("a", &[]), scope("b", &["a", "z"])]);
    assert_eq!(good.metadata.encryption, None);
    for uri in ["urn:example:api", "https://api.example", "https://api.example/a?b=c", "com.example.api:/x"] {
        assert!(made(draft(uri, vec![])).is_ok(), "{uri}");
    }
    let id = |uri: &str, why| E::Id(uri.to_owned(), why);
    let change = |change: fn(&mut Draft)| {
        let mut draft = draft(ORDERS, vec![]);
        change(&mut draft);
        made(draft).map(|_| ())
    };
    for (got, wanted) in [
        (made(draft("orders", vec![])).map(|_| ()), id("orders", UriError::NotAbsolute)),
        (made(draft("https://a.example/#f", vec![])).map(|_| ()), id("https://a.example/#f", UriError::Fragment)),
        (made(draft("https://a.example/a b", vec![])).map(|_| ()), id("https://a.example/a b", UriError::Character)),
        (change(|draft| draft.id = format!("https://{}", "a".repeat(LONGEST_ID))), E::LongId),
        (change(|draft| draft.name = Some(" ".to_owned())), E::Name),
        (change(|draft| draft.scopes = vec![scope("a b", &[])]), E::Scope("a b".to_owned())),
        (change(|draft| draft.scopes = vec![scope("openid", &[])]), E::ReservedScope("openid".to_owned())),
        (change(|draft| draft.scopes = vec![scope(ADMIN_SCOPE, &[])]), E::ReservedScope(ADMIN_SCOPE.to_owned())),
        (
            change(|draft| draft.scopes = vec![scope("a", &[]), scope("b", &[]), scope("a", &[])]),
            E::ScopeTwice("a".to_owned()),
        ),
        (change(|draft| draft.scopes = vec![scope("a", &["no role"])]), E::Role("no role".to_owned())),
        (
            change(|draft| draft.scopes = vec![Scope { description: Some("\u{202e}x".to_owned()), ..scope("a", &[]) }]),
            E::Words("a".to_owned()),
        ),
        (
            change(|draft| draft.scopes = (0..=MOST_SCOPES).map(|n| scope(&n.to_string(), &[])).collect()),
            E::TooManyScopes,
        ),
        (change(|draft| draft.signing_alg = Some("HS256".to_owned())), E::SigningAlg("HS256".to_owned())),
        (change(|draft| draft.encryption_alg = Some("ECDH-ES".to_owned())), E::NoKey),
    ] {
        assert_eq!(got, Err(wanted));
    }
    for (name, alg) in [("ES256", SigningAlg::Es256), ("RS256", SigningAlg::Rs256), ("EdDSA", SigningAlg::Ed25519)] {
        let made = made(Draft { signing_alg: Some(name.to_owned()), ..draft(ORDERS, vec![]) }).unwrap();
        assert_eq!(made.metadata.signing_alg, alg);
        let fit = fits(&made, &settings(None));
        assert_eq!(fit, if alg == SigningAlg::Ed25519 { Err(E::NoEd25519) } else { Ok(()) });
    }
    assert_eq!(fits(&made(draft(ISSUER, vec![])).unwrap(), &settings(None)), Err(E::Issuer));
}

#[test]
fn an_encryption_key_is_public_and_fits_its_algorithms() {
    let encryption = |key: &Value, alg: Option<&str>, enc: Option<&str>| {
        let draft = Draft {
            encryption_key: Some(key.clone()),
            encryption_alg: alg.map(str::to_owned),
            encryption_enc: enc.map(str::to_owned),
            ..draft(ORDERS, vec![])
        };
        made(draft).map(|made| made.metadata.encryption.map(|encryption| (encryption.alg, encryption.enc)).unwrap())
    };
    let chosen = |alg: &str, enc: &str| Ok((alg.to_owned(), enc.to_owned()));
    let key = public_key();
    assert_eq!(encryption(&key, None, None), chosen("ECDH-ES+A256KW", "A256GCM"));
    assert_eq!(encryption(&json!({"keys": [key]}), None, None), chosen("ECDH-ES+A256KW", "A256GCM"));
    assert_eq!(encryption(&key, Some("ECDH-ES"), Some("A128CBC-HS256")), chosen("ECDH-ES", "A128CBC-HS256"));
    let mut named = key.clone();
    named["alg"] = json!("ECDH-ES+A128KW");
    assert_eq!(encryption(&named, None, None), chosen("ECDH-ES+A128KW", "A256GCM"));
    let rsa: Value = serde_json::from_str(&Jwk::generate(regrant_jose::KeyKind::Rsa(2048)).unwrap().to_json()).unwrap();
    assert_eq!(encryption(&rsa, None, None), chosen("RSA-OAEP-256", "A256GCM"));
    for (alg, enc) in
        [(Some("RSA1_5"), None), (Some("RSA-OAEP"), None), (Some("dir"), None), (Some("ECDH-ES"), Some("none"))]
    {
        assert!(matches!(encryption(&key, alg, enc), Err(E::Encryption(_))), "{alg:?}");
    }
    assert_eq!(encryption(&key, None, Some("none")), Err(E::Encryption("none".to_owned())));
    let with_d: Value = {
        let key = Jwk::generate(regrant_jose::KeyKind::P256).unwrap();
        serde_json::from_str(&key.to_private_json()).unwrap()
    };
    let ed25519: Value =
        serde_json::from_str(&Jwk::generate(regrant_jose::KeyKind::Ed25519).unwrap().to_json()).unwrap();
    let mut signs = key.clone();
    signs["use"] = json!("sig");
    let two = json!({"keys": [key, key]});
    for wrong in [&with_d, &ed25519, &signs, &two, &json!({"kty": "oct", "k": "AAAA"}), &json!("text"), &json!({})] {
        assert_eq!(encryption(wrong, None, None), Err(E::Key), "{wrong}");
    }
}

#[test]
fn whom_tokens_may_be_for() {
    let (none, some) = (Registry::default(), registry());
    // Without resources, `audiences` alone says it; with some, `any` is not any more.
    for (registry, audiences, asked, allowed) in [
        (&none, None, "whatever it is", true),
        (&none, Some(&["x"][..]), "x", true),
        (&none, Some(&["x"]), "y", false),
        (&none, Some(&["x"]), ISSUER, true),
        (&some, None, "https://other.example", false),
        (&some, None, ORDERS, true),
        (&some, None, ISSUER, true),
        (&some, Some(&["x"]), "x", true),
        (&some, Some(&["x"]), "y", false),
    ] {
        assert_eq!(registry.allows(&settings(audiences), asked), allowed, "{asked} {audiences:?}");
    }
    let custom = Settings { audience: "the usual".to_owned(), ..settings(None) };
    assert!(some.allows(&custom, "the usual") && some.allows(&custom, ISSUER));
    assert_eq!(some.audience_for(&custom, None).as_deref(), Some("the usual"));
    assert_eq!(some.audience_for(&custom, Some("https://other.example")), None);
}

#[test]
fn a_request_means_resources_by_their_names_or_by_their_scopes() {
    let registry = registry();
    let meant = |asked: &[&str], scope: &str, is_said| registry.targets(&settings(None), asked, scope, is_said);
    let ok = |targets: &[&str]| Ok(targets.iter().map(|target| (*target).to_owned()).collect::<Vec<_>>());
    assert_eq!(meant(&[ORDERS], "openid", true), ok(&[ORDERS]));
    assert_eq!(meant(&[ORDERS, STOCK, ORDERS], "openid", true), ok(&[ORDERS, STOCK]));
    for wrong in ["https://other.example", "orders", "https://api.example/orders#x", ""] {
        assert_eq!(meant(&[ORDERS, wrong], "openid", true), Err(Untargeted::Target), "{wrong}");
    }
    // RFC 9068 §3.
    assert_eq!(meant(&[], "openid profile own", true), ok(&[ISSUER]));
    assert_eq!(meant(&[], "openid orders:read", true), ok(&[ORDERS]));
    assert_eq!(meant(&[], "read stock:write", true), ok(&[STOCK]));
    assert_eq!(meant(&[], "orders:read stock:write", true), Err(Untargeted::Scope));
    assert_eq!(meant(&[], "read", true), Err(Untargeted::Scope));
    // Nobody asked for these by name: the usual audience, without them.
    assert_eq!(meant(&[], "orders:read stock:write", false), ok(&[ISSUER]));
    let of_orders = Settings { audience: ORDERS.to_owned(), ..settings(None) };
    assert_eq!(registry.targets(&of_orders, &[], "read", true), ok(&[ORDERS]));
}

#[test]
fn a_scope_is_had_where_the_resource_has_it_and_a_role_allows_it() {
    let registry = registry();
    let clerk = ["clerk".to_owned()];
    let nobody: [String; 0] = [];
    for (targets, asked, roles, had) in [
        (
            &[ORDERS][..],
            "openid orders:read orders:write stock:write own",
            Some(&clerk[..]),
            "openid orders:read orders:write",
        ),
        (&[ORDERS], "openid orders:read orders:write", Some(&nobody), "openid orders:read"),
        (&[ORDERS], "orders:write", Some(&["chief".to_owned()]), "orders:write"),
        (&[ORDERS], "orders:write", Some(&["other".to_owned()]), ""),
        // Before anybody signed in, and for services.
        (&[ORDERS], "orders:write", None, "orders:write"),
        // What no resource has is its client's own business, where that goes anywhere.
        (&[ISSUER], "openid own orders:read", Some(&clerk), "openid own"),
        (&[ISSUER, ORDERS], "own orders:read", Some(&clerk), "own orders:read"),
        // What several have is had if all of them allow it.
        (&[STOCK], "read", Some(&nobody), "read"),
        (&[STOCK, ORDERS], "read", Some(&nobody), ""),
        (&[STOCK, ORDERS], "read", Some(&clerk), "read"),
        // The admin API's scope opens this server, and is in no resource's hands.
        (&[ISSUER], ADMIN_SCOPE, None, ADMIN_SCOPE),
        (&[ORDERS], ADMIN_SCOPE, None, ""),
        (&[ISSUER, ORDERS], ADMIN_SCOPE, None, ""),
    ] {
        assert_eq!(registry.scope_for(targets, asked, roles), had, "{targets:?} {asked} {roles:?}");
    }
    let none = Registry::default();
    assert_eq!(none.scope_for(&[ORDERS], "openid own  orders:write", Some(&[])), "openid own orders:write");
    assert!(registry.asks_for_roles(&[ORDERS], "orders:read orders:write"));
    assert!(!registry.asks_for_roles(&[ORDERS], "orders:read") && !registry.asks_for_roles(&[STOCK], "read"));
}

#[test]
fn each_token_is_for_some_of_what_was_granted_in_one_form() {
    let registry = registry();
    let all = [ORDERS, STOCK, BILLS].join(" ");
    let pick = |granted: &str, asked: &[&str]| {
        let asked: Vec<String> = asked.iter().map(|asked| (*asked).to_owned()).collect();
        let picked = registry.pick(&settings(None), granted, &asked);
        picked.map(|(audience, form)| (audience.join(" "), form.signing, form.encrypter.is_some()))
    };
    let plain = |audience: String| Some((audience, SigningAlg::Es256, false));
    let both = [ORDERS, STOCK].join(" ");
    assert_eq!(pick(&both, &[]), plain(both.clone()));
    assert_eq!(pick(&both, &[STOCK]), plain(STOCK.to_owned()));
    assert_eq!(pick(&all, &[ORDERS, STOCK]), plain(both.clone()));
    assert_eq!(pick(&all, &[BILLS]), Some((BILLS.to_owned(), SigningAlg::Rs256, true)));
    // No token can be both in the clear and encrypted: the first one, if none was named.
    assert_eq!(pick(&all, &[]), plain(ORDERS.to_owned()));
    assert_eq!(pick(&all, &[ORDERS, BILLS]), None);
    assert_eq!(pick(&both, &[BILLS]), None);
    assert_eq!(pick(ISSUER, &[]), plain(ISSUER.to_owned()));
    // One that is no resource any more.
    assert_eq!(pick("https://gone.example", &[]), None);
    let half = format!("https://gone.example {ORDERS}");
    assert_eq!(pick(&half, &[]), plain(ORDERS.to_owned()));
    assert_eq!(pick(&half, &["https://gone.example"]), None);
    let none = Registry::default().pick(&settings(Some(&["x"])), "https://gone.example", &[]);
    assert!(none.is_some(), "what was granted before there were resources goes on");
    assert_eq!(audiences("two words"), ["two words"]);
    assert_eq!(audiences(&both), [ORDERS, STOCK]);
}

#[test]
fn what_is_allowed_at_one_resource_is_not_allowed_at_another() {
    let registry = registry();
    let remembered = registry.to_allow(&[ORDERS], "openid orders:read read");
    assert_eq!(remembered, format!("openid orders:read@{ORDERS} read@{ORDERS}"));
    assert!(!crate::scope::is_within(&registry.to_allow(&[STOCK], "read"), &remembered));
    assert_eq!(registry.words(&[STOCK, ORDERS], "orders:read"), Some("do orders:read"));
    assert_eq!(registry.words(&[STOCK], "orders:read"), None);
    assert_eq!(registry.scopes(), ["bills", "orders:read", "orders:write", "read", "stock:write"]);
}

/// Without resources every audience may be asked for; that there are none any more is something else.
#[test]
fn the_last_resources_end_opens_nothing() {
    let settings = settings(None);
    let asks = |registry: &Registry| {
        let chosen = registry.pick(&settings, ORDERS, &[]).map(|(audience, _)| audience.join(" "));
        (registry.allows(&settings, ORDERS), registry.allows(&settings, ISSUER), chosen)
    };
    let (never, none_left) = (Registry::new(vec![], false).unwrap(), Registry::new(vec![], true).unwrap());
    assert_eq!(asks(&never), (true, true, Some(ORDERS.to_owned())));
    assert_eq!(asks(&none_left), (false, true, None));
    assert!(!never.is_of(&[], true) && none_left.is_of(&[], true));
}

#[test]
fn an_administrators_token_is_for_this_server_alone() {
    let registry = Registry::new(vec![], false).unwrap();
    assert_eq!(registry.scope_for(&[ISSUER], "openid regrant:admin", None), "openid regrant:admin");
    assert_eq!(registry.scope_for(&[ISSUER, "https://other.example"], "openid regrant:admin", None), "openid");
}
