//! Signing in: wrong is wrong whoever it is, and only failures count.

use regrant_engine::{
    event::{Actor, Event, EventKind},
    id::{GrantRef, SessionId},
    login::SignIn,
    ports::{NewSession, Opened, UserSelector, UsersAdded},
    session,
    time::Seconds,
    token::GrantId,
    user,
};

use super::world::{ABROAD, HOME, PASSWORD, World, draft, try_sign_in};

const WRONG: &str = "not that one at all";

async fn attempt(world: &World, name: &str, password: &str, address: &str) -> &'static str {
    match try_sign_in(&world.engine(), name, password, address, None).await {
        SignIn::Granted(_) => "granted",
        SignIn::Wrong => "wrong",
        SignIn::Limited(_) => "limited",
        other => panic!("{other:?}"),
    }
}

pub(super) async fn unknown_disabled_and_without_a_password_are_all_just_wrong(world: World) {
    let ada = world.user("ada").await;
    let engine = world.engine();
    let without = user::prepare(&engine, draft(&["bob"]), None).unwrap();
    assert_eq!(user::add(&engine, vec![without]).await, Ok(UsersAdded::Added));
    for name in ["ada", "bob", "nobody", "", "not an identifier", "a@b@c"] {
        assert_eq!(attempt(&world, name, WRONG, HOME).await, "wrong", "{name}");
    }
    user::set_disabled(&engine, UserSelector::Id(ada), true).await.unwrap();
    assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "wrong");
    user::set_disabled(&engine, UserSelector::Id(ada), false).await.unwrap();
    assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "granted");
}

pub(super) async fn failures_of_an_account_from_an_address_are_limited(world: World) {
    world.user("ada").await;
    world.user("bob").await;
    for name in ["ada", "nobody"] {
        for _ in 0..10 {
            assert_eq!(attempt(&world, name, WRONG, HOME).await, "wrong");
        }
        assert_eq!(attempt(&world, name, WRONG, HOME).await, "limited");
        // Written otherwise it is the same account.
        assert_eq!(attempt(&world, &name.to_uppercase(), WRONG, HOME).await, "limited");
    }
    assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "limited");
    assert_eq!(attempt(&world, "ada", PASSWORD, ABROAD).await, "granted");
    assert_eq!(attempt(&world, "bob", PASSWORD, HOME).await, "granted");
}

pub(super) async fn failures_of_an_account_from_everywhere_are_limited(world: World) {
    let world = world.with(|settings| settings.sign_in.per_account = 6).await;
    world.user("ada").await;
    for host in 0..6 {
        assert_eq!(attempt(&world, "ada", WRONG, &format!("10.{host}.0.1")).await, "wrong");
    }
    assert_eq!(attempt(&world, "ada", PASSWORD, "10.99.0.1").await, "limited");
}

pub(super) async fn failures_of_a_network_are_limited(world: World) {
    let world = world.with(|settings| settings.sign_in.per_network = 6).await;
    world.user("ada").await;
    for host in 0..6 {
        let name = format!("user{host}");
        assert_eq!(attempt(&world, &name, WRONG, &format!("192.0.2.{host}")).await, "wrong");
    }
    assert_eq!(attempt(&world, "ada", PASSWORD, "192.0.2.200").await, "limited");
    assert_eq!(attempt(&world, "ada", PASSWORD, "192.0.3.200").await, "granted");
}

pub(super) async fn a_success_forgives_the_account_and_not_the_network(world: World) {
    let limits = |settings: &mut regrant_engine::settings::Settings| {
        settings.sign_in.per_account_and_address = 3;
        settings.sign_in.per_network = 5;
    };
    let world = world.with(limits).await;
    world.user("ada").await;
    for _ in 0..2 {
        for _ in 0..2 {
            assert_eq!(attempt(&world, "ada", WRONG, HOME).await, "wrong");
        }
        assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "granted");
    }
    assert_eq!(attempt(&world, "ada", WRONG, HOME).await, "wrong");
    assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "limited");
}

pub(super) async fn successes_do_not_count_and_failures_run_out(world: World) {
    let world = world.with(|settings| settings.sign_in.per_account_and_address = 3).await;
    world.user("ada").await;
    for _ in 0..6 {
        assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "granted");
    }
    for _ in 0..3 {
        assert_eq!(attempt(&world, "ada", WRONG, HOME).await, "wrong");
        world.pass(Seconds(60));
    }
    // The window began with the first.
    world.pass(Seconds(15 * 60 - 3 * 60 - 1));
    assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "limited");
    world.pass(Seconds(1));
    // And a new one begins with the next.
    for _ in 0..3 {
        assert_eq!(attempt(&world, "ada", WRONG, HOME).await, "wrong");
    }
    assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "limited");
    world.pass(Seconds(15 * 60));
    assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "granted");
}

/// The password was right, and then something happened before the session was opened.
pub(super) async fn a_session_opens_under_the_epoch_of_its_proof_or_not_at_all(world: World) {
    let ada = world.user("ada").await;
    let cookie = world.sign_in("ada").await;
    let record = world.record(cookie.session).await;
    let open = async || {
        let engine = world.engine();
        let (mut session, mut grant) = (record.session.clone(), record.grant.clone());
        grant.id = GrantId::new(engine.digests.shard(ada), &*engine.random);
        grant.public_id = GrantRef::new(engine.now(), &*engine.random);
        session.id = SessionId::new(engine.now(), &*engine.random);
        (session.grant, grant.session) = (grant.public_id, Some(session.id));
        let id = session.id;
        let event = Event::new(EventKind::SessionCreated, engine.now(), Actor::User, &*engine.random).of(&grant);
        let new = NewSession { session, grant, limit: 100, replaces: None, event, forgive: vec![] };
        let opened = engine.store.open_session(new).await.unwrap();
        let is_there = engine.store.session(id).await.unwrap().is_some();
        assert_eq!(is_there, matches!(opened, Opened::Opened { .. }));
        is_there
    };
    assert!(open().await);
    let engine = world.engine();
    user::set_disabled(&engine, UserSelector::Id(ada), true).await.unwrap();
    assert!(!open().await, "disabled");
    user::set_disabled(&engine, UserSelector::Id(ada), false).await.unwrap();
    assert!(!open().await, "enabled again, but under another epoch");
    user::delete(&engine, UserSelector::Id(ada)).await.unwrap();
    assert!(!open().await, "deleted");
    assert_eq!(session::devices(&engine, ada).await, Ok(vec![]));
}

/// Failures that were counted while the clock was a year ahead lock nobody out for a year.
pub(super) async fn failures_in_the_future_do_not_lock_anybody_out(world: World) {
    world.user("ada").await;
    let now = world.engine().now();
    world.pass(Seconds::days(365));
    for _ in 0..10 {
        assert_eq!(attempt(&world, "ada", WRONG, HOME).await, "wrong");
    }
    world.clock.set(now.plus(Seconds::HOUR));
    assert_eq!(attempt(&world, "ada", PASSWORD, HOME).await, "granted");
}

pub(super) async fn a_hash_of_another_cost_is_made_anew(world: World) {
    use std::sync::Arc;

    use regrant_engine::factor::password::{Cost, Hasher};
    let engine = world.engine();
    let dearer = Cost { memory_kib: 16, passes: 1, lanes: 1 };
    let hasher = Hasher::new(dearer, 1, 1, Arc::clone(&engine.random)).unwrap();
    let hash = hasher.hash(PASSWORD).await.unwrap();
    let ada = user::prepare(&engine, draft(&["ada"]), Some(hash.clone())).unwrap();
    let id = ada.id;
    user::add(&engine, vec![ada]).await.unwrap();
    let held = world.sign_in("ada").await;
    let upgraded = world.store().password_hash(id).await.unwrap().unwrap();
    assert!(upgraded.contains("m=8"), "{upgraded}");
    world.sign_in("ada").await;
    assert_eq!(world.store().password_hash(id).await.unwrap(), Some(upgraded));
    // The password is the same, so nothing ended.
    world.rotate(&held.token).await;
    // A better hash of a password that is no longer theirs is not taken.
    world.store().upgrade_password(id, hash, "too late".to_owned()).await.unwrap();
    world.sign_in("ada").await;
}
