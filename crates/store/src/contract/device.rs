//! Devices without a keyboard: codes that people type, answers, and the grants that come of them.

use std::sync::Arc;

use regrant_engine::{
    Engine,
    client::{self, Client, ClientType, Draft, GrantType, ManagedBy},
    consent,
    device::{self, Beginning, Begun, LIFETIME, UserCode},
    event::{Actor, EventKind},
    grant::{
        Granted,
        device_code::{Polled, poll},
        refresh_token::{Renewed, renew},
    },
    id::ClientId,
    ports::{Guessed, TimelineOf, UserSelector},
    reason::{Reason, WireReason},
    refresh::Refreshed,
    session,
    single_sign_on::SignedIn,
    time::Seconds,
    token::Endpoint,
    user,
};

use super::{
    single_sign_on::{here, seen, session_of, sign_in},
    world::{ABROAD, FIREFOX, HOME, World, at_once, context, ip},
};

/// An application on devices.
async fn tv(world: &World, id: &str, client_type: ClientType) -> Arc<Client> {
    let draft = Draft {
        grants: vec![GrantType::DeviceCode, GrantType::RefreshToken],
        scopes: ["a", "b", "offline_access"].map(str::to_owned).to_vec(),
        ..Draft::new(id, client_type)
    };
    let client = client::prepare(draft, ManagedBy::Operator, world.engine().now()).unwrap();
    client::add(&world.engine(), client).await.unwrap();
    world.engine().client(&ClientId::from(id)).await.unwrap().unwrap()
}

async fn begin(world: &World, client: &Client, scope: &str) -> Begun {
    match device::begin(&world.engine(), client, Some(scope), &[], ip(HOME)).await.unwrap() {
        Beginning::Begun(begun) => *begun,
        other => panic!("{other:?}"),
    }
}

async fn ask(world: &World, client: &Arc<Client>, begun: &Begun) -> Polled {
    poll(&world.engine(), client, &begun.device_code, None, here(world)).await.unwrap()
}

async fn tokens(world: &World, client: &Arc<Client>, begun: &Begun) -> Granted {
    match ask(world, client, begun).await {
        Polled::Granted(granted) => granted,
        other => panic!("{other:?}"),
    }
}

async fn answer(world: &World, client: &Client, code: &UserCode, signed_in: &SignedIn, allows: bool) -> bool {
    device::answer(&world.engine(), code, client, signed_in, allows, &here(world)).await.unwrap()
}

async fn find(world: &World, code: &UserCode, signed_in: &SignedIn, address: &str) -> Guessed {
    guess(&world.engine(), code, signed_in, address).await
}

async fn guess(engine: &Engine, code: &UserCode, signed_in: &SignedIn, address: &str) -> Guessed {
    device::find(engine, code, signed_in, ip(address), &context(engine, address, FIREFOX)).await.unwrap()
}

async fn refresh(world: &World, client: &Arc<Client>, granted: &Granted) -> Result<Granted, WireReason> {
    let engine = world.engine();
    let token = granted.tokens.refresh_token.as_ref().unwrap().expose();
    let presented = engine.refresh_keys.open(Endpoint::OAuth, token).unwrap();
    match renew(&engine, client, presented, None, &[], None, here(world)).await.unwrap() {
        Renewed::Granted(granted) => Ok(granted),
        Renewed::Not(Refreshed::Over(reason)) => Err(reason),
        Renewed::Not(other) => panic!("{other:?}"),
    }
}

/// Somebody who is signed in, and a device that waits for them.
async fn waiting(world: &World, client: &Client, scope: &str) -> (SignedIn, Begun) {
    world.user("ada").await;
    let reference = sign_in(world, "ada", None).await;
    let begun = begin(world, client, scope).await;
    (seen(world, &reference).await.unwrap(), begun)
}

pub(super) async fn what_was_allowed_is_given_once_as_the_session_or_for_longer(mut world: World) {
    let client = tv(&world, "tv", ClientType::Public).await;
    let (ada, begun) = waiting(&world, &client, "a").await;
    assert!(matches!(ask(&world, &client, &begun).await, Polled::Pending));
    let found = find(&world, &begun.user_code, &ada, HOME).await;
    let Guessed::Found(found) = found else { panic!("{found:?}") };
    assert_eq!((found.client.clone(), found.scope.as_str()), (client.id.clone(), "a"));
    assert!(device::again(&world.engine(), &begun.user_code).await.unwrap().is_some());
    assert!(answer(&world, &client, &begun.user_code, &ada, true).await);
    assert!(device::again(&world.engine(), &begun.user_code).await.unwrap().is_none());
    world.crash().await;
    let other = tv(&world, "other", ClientType::Public).await;
    assert!(matches!(ask(&world, &other, &begun).await, Polled::Refused), "it is not this one's");
    let online = tokens(&world, &client, &begun).await;
    assert_eq!((online.tokens.session, online.tokens.user), (Some(ada.record.session.id), ada.record.session.user));
    let online = refresh(&world, &client, &online).await.unwrap();

    // With offline access it outlives the session.
    let longer = begin(&world, &client, "b offline_access").await;
    assert!(answer(&world, &client, &longer.user_code, &ada, true).await);
    let offline = tokens(&world, &client, &longer).await;
    assert_eq!(offline.tokens.session, None);
    let (id, user) = session_of(Some(&ada));
    session::end(&world.engine(), id, Some(user), Reason::SignedOut, Actor::User).await.unwrap();
    assert_eq!(refresh(&world, &client, &online).await.map(|_| ()), Err(WireReason::Ended));
    let offline = refresh(&world, &client, &offline).await.unwrap();

    // What was allowed is remembered, and can be taken back.
    let remembered = world.store().consent(user, client.id.clone()).await.unwrap().unwrap();
    assert_eq!(remembered.scope, "a b offline_access");
    consent::withdraw(&world.engine(), user, &client.id, Actor::User).await.unwrap();
    assert_eq!(refresh(&world, &client, &offline).await.map(|_| ()), Err(WireReason::Ended));
    let told = world.store().timeline(TimelineOf::User(user), 100).await.unwrap();
    let count = |kind| told.iter().filter(|event| event.kind == kind).count();
    assert_eq!((count(EventKind::DeviceAllowed), count(EventKind::ConsentGiven)), (2, 2));
    assert_eq!(count(EventKind::GrantIssued), 2);
}

pub(super) async fn of_many_questions_at_once_one_gets_the_tokens_and_the_others_end_it(world: World) {
    let client = tv(&world, "tv", ClientType::Confidential).await;
    let (ada, _) = waiting(&world, &client, "a").await;
    for _ in 0..5 {
        let begun = begin(&world, &client, "a").await;
        assert!(answer(&world, &client, &begun.user_code, &ada, true).await);
        let work = (0..6).map(|_| {
            let (engine, client, context) = (world.engine(), Arc::clone(&client), here(&world));
            let code = begun.device_code.to_string();
            async move { poll(&engine, &client, &code, None, context).await.unwrap() }
        });
        let polled = at_once(work.collect()).await;
        let granted: Vec<_> = polled
            .into_iter()
            .filter_map(|polled| match polled {
                Polled::Granted(granted) => Some(granted),
                Polled::Refused => None,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(granted.len(), 1);
        assert_eq!(refresh(&world, &client, &granted[0]).await.map(|_| ()), Err(WireReason::Reused));
    }
}

pub(super) async fn an_answer_counts_once_and_in_time(world: World) {
    let client = tv(&world, "tv", ClientType::Public).await;
    let (ada, begun) = waiting(&world, &client, "a").await;
    // No is no, whatever comes after it.
    assert!(answer(&world, &client, &begun.user_code, &ada, false).await);
    assert!(!answer(&world, &client, &begun.user_code, &ada, true).await);
    assert!(matches!(ask(&world, &client, &begun).await, Polled::Denied));
    let (_, user) = session_of(Some(&ada));
    assert_eq!(world.store().consent(user, client.id.clone()).await.unwrap(), None);
    // Of many answers at once one counts, and it is the one that the device is told.
    for round in 0..5 {
        let begun = begin(&world, &client, "a").await;
        let work = (0..6).map(|n| {
            let (engine, client, ada) = (world.engine(), Arc::clone(&client), ada.clone());
            let (code, context) = (begun.user_code.clone(), here(&world));
            async move {
                let allows = (n + round) % 2 == 0;
                (allows, device::answer(&engine, &code, &client, &ada, allows, &context).await.unwrap())
            }
        });
        let counted: Vec<bool> =
            at_once(work.collect()).await.into_iter().filter(|(_, counts)| *counts).map(|(allows, _)| allows).collect();
        let told = ask(&world, &client, &begun).await;
        match counted.as_slice() {
            [true] => assert!(matches!(told, Polled::Granted(_)), "{told:?}"),
            [false] => assert!(matches!(told, Polled::Denied), "{told:?}"),
            other => panic!("{other:?}"),
        }
    }
    // A moment too late.
    let begun = begin(&world, &client, "a").await;
    let late = begin(&world, &client, "a").await;
    world.pass(Seconds(LIFETIME.0 - 1));
    assert!(answer(&world, &client, &begun.user_code, &ada, true).await);
    world.pass(Seconds(1));
    assert!(!answer(&world, &client, &late.user_code, &ada, true).await);
    assert_eq!(find(&world, &late.user_code, &ada, HOME).await, Guessed::Wrong);
    for over in [&begun, &late] {
        assert!(matches!(ask(&world, &client, over).await, Polled::Expired));
    }
    // What is another client's is not allowed with this one's name on the page.
    let (other, begun) = (tv(&world, "other", ClientType::Public).await, begin(&world, &client, "a").await);
    assert!(!answer(&world, &other, &begun.user_code, &ada, true).await);
}

pub(super) async fn who_does_not_wait_is_told_to_wait_longer(mut world: World) {
    let client = tv(&world, "tv", ClientType::Public).await;
    let begun = begin(&world, &client, "a").await;
    assert!(matches!(ask(&world, &client, &begun).await, Polled::Pending));
    assert!(matches!(ask(&world, &client, &begun).await, Polled::SlowDown));
    world.crash().await;
    world.pass(Seconds(5));
    assert!(matches!(ask(&world, &client, &begun).await, Polled::SlowDown), "ten seconds by now");
    world.pass(Seconds(15));
    assert!(matches!(ask(&world, &client, &begun).await, Polled::Pending));
}

pub(super) async fn never_more_wrong_codes_than_may_be_are_looked_up(world: World) {
    let client = tv(&world, "tv", ClientType::Public).await;
    let (ada, begun) = waiting(&world, &client, "a").await;
    let wrong: Vec<UserCode> = (0..20)
        .map(|n| UserCode::parse(&format!("ZZZZ-ZZ{}Z", "BCDFGHJKLMNPQRSTVWXZ".as_bytes()[n] as char)).unwrap())
        .collect();
    // All at once.
    let work = wrong.iter().map(|code| {
        let (engine, code, ada) = (world.engine(), code.clone(), ada.clone());
        async move { guess(&engine, &code, &ada, HOME).await }
    });
    let guessed = at_once(work.collect()).await;
    assert_eq!(guessed.iter().filter(|guessed| **guessed == Guessed::Wrong).count(), 5, "{guessed:?}");
    assert_eq!(world.told(ada.record.session.id, EventKind::DeviceCodeWrong).await, 5);
    // Then a right one helps nobody, from wherever it comes and after a new sign-in; others of the same address may go on.
    assert!(matches!(find(&world, &begun.user_code, &ada, ABROAD).await, Guessed::Limited(Seconds(900))));
    let again = seen(&world, &sign_in(&world, "ada", None).await).await.unwrap();
    assert!(matches!(find(&world, &begun.user_code, &again, HOME).await, Guessed::Limited(_)));
    for n in 0..4 {
        let name = format!("user{n}");
        world.user(&name).await;
        let somebody = seen(&world, &sign_in(&world, &name, None).await).await.unwrap();
        let found = find(&world, &begun.user_code, &somebody, HOME).await;
        // 20 of an address.
        assert_eq!(matches!(found, Guessed::Found(_)), n < 3, "{n}: {found:?}");
        for code in &wrong[..5] {
            find(&world, code, &somebody, HOME).await;
        }
    }
    // It is over after a while.
    world.pass(Seconds::minutes(15));
    let begun = begin(&world, &client, "a").await;
    assert!(matches!(find(&world, &begun.user_code, &again, HOME).await, Guessed::Found(_)));
}

pub(super) async fn a_network_gets_no_end_of_codes_for_public_clients(world: World) {
    let (public, own) = (tv(&world, "tv", ClientType::Public).await, tv(&world, "own", ClientType::Confidential).await);
    let at = async |client: &Client, address: &str| {
        device::begin(&world.engine(), client, None, &[], ip(address)).await.unwrap()
    };
    for _ in 0..300 {
        assert!(matches!(at(&public, HOME).await, Beginning::Begun(_)));
    }
    assert!(matches!(at(&public, "192.0.2.250").await, Beginning::Limited(_)));
    assert!(matches!(at(&public, ABROAD).await, Beginning::Begun(_)));
    assert!(matches!(at(&own, HOME).await, Beginning::Begun(_)), "who proves who it is answers for it");
    world.pass(Seconds::minutes(15));
    assert!(matches!(at(&public, HOME).await, Beginning::Begun(_)));
}

pub(super) async fn what_was_not_fetched_ends_with_what_it_hangs_on(world: World) {
    let client = tv(&world, "tv", ClientType::Public).await;
    let mut ends: Vec<&str> = vec!["session", "password", "consent", "user", "client"];
    for (n, end) in ends.drain(..).enumerate() {
        let name = format!("user{n}");
        world.user(&name).await;
        let somebody = seen(&world, &sign_in(&world, &name, None).await).await.unwrap();
        let begun = begin(&world, &client, "a offline_access").await;
        assert!(answer(&world, &client, &begun.user_code, &somebody, true).await);
        let (id, user) = session_of(Some(&somebody));
        let engine = world.engine();
        match end {
            "session" => {
                session::end(&engine, id, Some(user), Reason::SignedOut, Actor::User).await.unwrap();
            }
            "password" => {
                user::set_password(&engine, UserSelector::Id(user), String::new()).await.unwrap();
            }
            "consent" => {
                assert_eq!(consent::withdraw(&engine, user, &client.id, Actor::User).await, Ok(true));
            }
            "user" => {
                user::delete(&engine, UserSelector::Id(user)).await.unwrap();
            }
            _ => {
                client::remove(&engine, &client.id).await.unwrap();
            }
        }
        assert!(matches!(ask(&world, &client, &begun).await, Polled::Refused), "{end}");
    }
}

pub(super) async fn codes_are_forgotten_a_day_after_their_end(world: World) {
    let client = tv(&world, "tv", ClientType::Public).await;
    let (ada, begun) = waiting(&world, &client, "a offline_access").await;
    assert!(answer(&world, &client, &begun.user_code, &ada, true).await);
    let granted = tokens(&world, &client, &begun).await;
    let unanswered = begin(&world, &client, "a").await;
    let sweep = async || world.store().sweep(world.engine().now(), world.settings.retention).await.unwrap();
    world.pass(Seconds::HOUR);
    sweep().await;
    assert!(matches!(ask(&world, &client, &unanswered).await, Polled::Expired));
    world.pass(Seconds::days(2));
    sweep().await;
    assert!(matches!(ask(&world, &client, &unanswered).await, Polled::Refused), "nobody knows it any more");
    assert!(matches!(ask(&world, &client, &begun).await, Polled::Refused));
    // That it is forgotten ends nothing.
    refresh(&world, &client, &granted).await.unwrap();
}

/// A device that waits for somebody.
pub(super) async fn leave_open(world: &World) {
    let client = tv(world, "open", ClientType::Public).await;
    begin(world, &client, "a").await;
}

/// What devices and their users do, for the test that looks at the statements.
pub(crate) async fn every_request(world: &World) {
    let client = tv(world, "devices", ClientType::Public).await;
    world.user("dora").await;
    let dora = seen(world, &sign_in(world, "dora", None).await).await.unwrap();
    let begun = begin(world, &client, "a").await;
    ask(world, &client, &begun).await;
    find(world, &UserCode::parse("ZZZZZZZZ").unwrap(), &dora, HOME).await;
    find(world, &begun.user_code, &dora, HOME).await;
    world.store().access(dora.record.session.user, 10).await.unwrap();
    device::again(&world.engine(), &begun.user_code).await.unwrap();
    assert!(answer(world, &client, &begun.user_code, &dora, true).await);
    tokens(world, &client, &begun).await;
    ask(world, &client, &begun).await;
    let (_, user) = session_of(Some(&dora));
    consent::withdraw(&world.engine(), user, &client.id, Actor::User).await.unwrap();
    client::remove(&world.engine(), &client.id).await.unwrap();
    user::delete(&world.engine(), UserSelector::Id(user)).await.unwrap();
}
