//! What a code is good for.

use super::{
    Decision::{Good, Refused, Reused},
    *,
};
use crate::{
    context::{AddressDigest, Context, Network, Networks, Prefix, UserAgentFamily},
    id::{Generation, GrantRef},
    reason::Reason,
    refresh::{Grant, GrantKind, Holding, Pace, Suspicion},
    session::Session,
    time::{AbsoluteDeadline, IdleDeadline},
    token::{Endpoint, KeyId, Salt},
};

pub(crate) const NOW: Time = Time::from_millis(1_700_000_000_000);
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn record() -> SessionRecord {
    let address = std::net::IpAddr::from([192, 0, 2, 1]);
    let network = Network::of(address);
    let context = Context {
        user_agent: UserAgentFamily::parse("curl/8"),
        network,
        address: AddressDigest([0; 8]),
        prefix: Prefix::of(address),
    };
    let (user, session) = (UserId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
    let grant = Grant {
        id: GrantId([3; 16]),
        public_id: GrantRef::from_bytes([4; 16]),
        salt: Salt([5; 16]),
        key: KeyId(1),
        endpoint: Endpoint::Session,
        client: ClientId::session_api(),
        user,
        session: Some(session),
        epoch: Epoch(1),
        holding: Holding::Bearer,
        kind: GrantKind::Cookie,
        generation: Generation(1),
        fence: None,
        newest_used: false,
        scope: String::new().into(),
        audience: String::new().into(),
        issued_at: NOW,
        rotated_at: NOW,
        last_event: NOW,
        idle: IdleDeadline(NOW.plus(Seconds::DAY)),
        absolute: AbsoluteDeadline(NOW.plus(Seconds::DAY)),
        context: context.clone(),
        networks: Networks::starting_with(network),
        suspicion: Suspicion::default(),
        pace: Pace::default(),
        life: Life::Alive,
    };
    let session = Session {
        id: session,
        user,
        grant: grant.public_id,
        created_at: NOW,
        auth_time: NOW,
        amr: vec![],
        device: None,
        context,
        life: Life::Alive,
    };
    SessionRecord { session, grant, identifier: None }
}

pub(crate) fn loaded() -> LoadedCode {
    let authentication = Authentication { auth_time: NOW, amr: vec![] };
    LoadedCode {
        code: Code {
            hash: [0; 32],
            client: ClientId::from("web"),
            user: UserId::from_bytes([1; 16]),
            session: SessionId::from_bytes([2; 16]),
            epoch: Epoch(1),
            redirect_uri: "https://app.example/cb".to_owned(),
            scope: "openid".to_owned(),
            audience: String::new(),
            nonce: None,
            challenge: Some(CHALLENGE.to_owned()),
            key: None,
            authentication,
            created_at: NOW,
            expires_at: NOW.plus(LIFETIME),
        },
        redeemed: None,
        session: Some(record()),
        user: Owner::Active(Epoch(1)),
        facts: Facts { auth_time: NOW, amr: [].into(), roles: [].into(), identifier: None, attributes: None },
        client_exists: true,
    }
}

fn shown() -> Shown {
    Shown {
        client: ClientId::from("web"),
        redirect_uri: Some("https://app.example/cb".to_owned()),
        verifier: Some(VERIFIER.to_owned()),
        key: None,
    }
}

#[test]
fn it_is_good_once_for_a_minute() {
    assert_eq!(decide(Some(&loaded()), &shown(), NOW), Good);
    let last = Time::from_millis(NOW.plus(LIFETIME).millis() - 1);
    assert_eq!(decide(Some(&loaded()), &shown(), last), Good);
    assert_eq!(decide(Some(&loaded()), &shown(), NOW.plus(LIFETIME)), Refused);
    // A clock that was an hour ahead when it was made.
    assert_eq!(decide(Some(&loaded()), &shown(), NOW.minus(Seconds::HOUR)), Refused);
    assert_eq!(decide(None, &shown(), NOW), Refused);
}

#[test]
fn it_is_good_for_whom_it_was_made_and_nobody_else() {
    let wrong = [
        Shown { client: ClientId::from("other"), ..shown() },
        Shown { redirect_uri: None, ..shown() },
        Shown { redirect_uri: Some("https://app.example/cb/".to_owned()), ..shown() },
        Shown { verifier: None, ..shown() },
        Shown { verifier: Some(CHALLENGE.to_owned()), ..shown() },
        Shown { verifier: Some(VERIFIER[1..].to_owned()), ..shown() },
        Shown { verifier: Some("x".repeat(129)), ..shown() },
    ];
    let redeemed = LoadedCode { redeemed: Some(GrantId([9; 16])), ..loaded() };
    for shown in wrong {
        // Nothing changes by it, whether it was redeemed or not.
        assert_eq!(decide(Some(&loaded()), &shown, NOW), Refused, "{shown:?}");
        assert_eq!(decide(Some(&redeemed), &shown, NOW), Refused, "{shown:?}");
    }
    let mut without = loaded();
    without.code.challenge = None;
    assert_eq!(decide(Some(&without), &shown(), NOW), Refused, "a downgrade");
    assert_eq!(decide(Some(&without), &Shown { verifier: None, ..shown() }, NOW), Good);
}

#[test]
fn one_that_names_a_key_needs_its_proof() {
    let (key, other) = (KeyThumbprint([7; 32]), KeyThumbprint([8; 32]));
    let mut bound = loaded();
    bound.code.key = Some(key);
    let redeemed = LoadedCode { redeemed: Some(GrantId([9; 16])), ..bound.clone() };
    for wrong in [None, Some(other)] {
        assert_eq!(decide(Some(&bound), &Shown { key: wrong, ..shown() }, NOW), Refused);
        assert_eq!(decide(Some(&redeemed), &Shown { key: wrong, ..shown() }, NOW), Refused);
    }
    assert_eq!(decide(Some(&bound), &Shown { key: Some(key), ..shown() }, NOW), Good);
    assert_eq!(decide(Some(&loaded()), &Shown { key: Some(key), ..shown() }, NOW), Good, "it may come with one");
}

#[test]
fn a_second_time_ends_what_the_first_gave_however_late() {
    let grant = GrantId([9; 16]);
    let redeemed = LoadedCode { redeemed: Some(grant), ..loaded() };
    for now in [NOW, NOW.plus(LIFETIME), NOW.plus(Seconds::HOUR)] {
        assert_eq!(decide(Some(&redeemed), &shown(), now), Reused(grant));
    }
    let gone = LoadedCode { session: None, user: Owner::Gone, ..redeemed };
    assert_eq!(decide(Some(&gone), &shown(), NOW), Reused(grant));
}

#[test]
fn it_dies_with_what_it_hangs_on() {
    let mut ended = record();
    ended.session.life = Life::Ended { at: NOW, reason: Reason::SignedOut };
    let (mut idle, mut absolute) = (record(), record());
    (idle.grant.idle, absolute.grant.absolute) = (IdleDeadline(NOW), AbsoluteDeadline(NOW));
    for loaded in [
        LoadedCode { session: None, ..loaded() },
        LoadedCode { session: Some(ended), ..loaded() },
        LoadedCode { session: Some(idle), ..loaded() },
        LoadedCode { session: Some(absolute), ..loaded() },
        LoadedCode { user: Owner::Gone, ..loaded() },
        LoadedCode { user: Owner::Disabled, ..loaded() },
        LoadedCode { user: Owner::Active(Epoch(2)), ..loaded() },
        LoadedCode { client_exists: false, ..loaded() },
    ] {
        assert_eq!(decide(Some(&loaded), &shown(), NOW), Refused, "{loaded:?}");
    }
}
