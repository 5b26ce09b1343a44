//! The owner changes the password: one session goes on, everything else of the user is over.

use std::sync::Arc;

use regrant_engine::{
    Engine,
    event::{Actor, Event, EventKind},
    id::Epoch,
    login::SignIn,
    password_change::{self, Changed, ChangedOnPage},
    ports::{Loaded, PasswordChange, PasswordChanged, TimelineOf, Verdict},
    reason::{Life, Reason, WireReason},
    refresh::{Decision, Intent, Refusal, raise},
    session,
    token::Endpoint,
};

use super::single_sign_on;
use super::world::{FIREFOX, HOME, PASSWORD, Seen, Signed, World, at_once, context, try_sign_in, use_token};

const NEW: &str = "a goat eats almost all";

pub(crate) async fn change(engine: &Arc<Engine>, token: &str, current: &str, new: &str) -> Changed {
    let presented = engine.refresh_keys.open(Endpoint::Session, token).unwrap();
    let context = context(engine, HOME, FIREFOX);
    password_change::change(engine, presented, context, current, new).await.unwrap()
}

pub(crate) fn done(changed: &Changed) -> Option<String> {
    match changed {
        Changed::Done(refreshed) => Some(Seen::of(refreshed).token().expect("a new token").to_owned()),
        _ => None,
    }
}

pub(super) async fn a_change_ends_everything_but_the_acting_session(mut world: World) {
    world.user("ada").await;
    let acting = world.sign_in("ada").await;
    let others = [world.sign_in("ada").await, world.sign_in("ada").await];
    let second = world.rotate(&acting.token).await;
    let new = done(&change(&world.engine(), &second, PASSWORD, NEW).await).expect("it changed");
    world.crash().await;

    for other in &others {
        assert_eq!(world.ended(other.session).await, Some(Reason::PasswordChanged));
        assert_eq!(world.refresh(&other.token).await, Seen::Over(WireReason::Ended));
    }
    let record = world.record(acting.session).await;
    assert_eq!((record.grant.generation.0, record.grant.epoch.0), (4, 1));
    assert_eq!(record.grant.fence, Some(record.grant.generation));
    assert_eq!(world.told(acting.session, EventKind::Raised).await, 1);
    // The token before the change is no theft while nobody has used the one after it.
    assert_eq!(world.refresh(&second).await, Seen::Refused(Refusal::Superseded));
    let next = world.rotate(&new).await;
    assert_eq!(world.refresh(&second).await, Seen::Over(WireReason::Reused));
    assert_eq!(world.refresh(&next).await, Seen::Over(WireReason::Reused));

    let engine = world.engine();
    let old = try_sign_in(&engine, "ada", PASSWORD, HOME, None).await;
    assert!(matches!(old, SignIn::Wrong));
    let new = try_sign_in(&engine, "ada", NEW, HOME, None).await;
    assert!(matches!(new, SignIn::Granted(_)));
}

pub(super) async fn the_token_after_a_change_works_once_peeked(world: World) {
    world.user("ada").await;
    let acting = world.sign_in("ada").await;
    let new = done(&change(&world.engine(), &acting.token, PASSWORD, NEW).await).expect("it changed");
    assert_eq!(world.peek(&new).await, Seen::Peeked);
    assert!(world.record(acting.session).await.grant.newest_used);
    // Its holder has it, so the one before is a second party's.
    assert_eq!(world.refresh(&acting.token).await, Seen::Over(WireReason::Reused));
}

pub(super) async fn a_wrong_current_password_changes_nothing(world: World) {
    world.user("ada").await;
    let acting = world.sign_in("ada").await;
    let other = world.sign_in("ada").await;
    let changed = change(&world.engine(), &acting.token, "not that one at all", NEW).await;
    assert!(matches!(changed, Changed::Wrong), "{changed:?}");
    assert_eq!(world.generation(acting.session).await, 1);
    world.rotate(&other.token).await;
    world.sign_in("ada").await;
}

pub(super) async fn an_ended_session_changes_no_password(world: World) {
    world.user("ada").await;
    let acting = world.sign_in("ada").await;
    world.sign_out(&acting.token).await;
    let changed = change(&world.engine(), &acting.token, PASSWORD, NEW).await;
    assert!(matches!(changed, Changed::NotAllowed(_)), "{changed:?}");
    world.sign_in("ada").await;
}

/// Two of the user's devices at once: one change holds, and no session of the other device is left.
pub(super) async fn of_two_changes_at_once_one_wins(world: World) {
    for round in 0..25 {
        let name = format!("user{round}");
        world.user(&name).await;
        let devices = [world.sign_in(&name).await, world.sign_in(&name).await];
        let passwords = ["the first one of two", "the other one of two"];
        let work = devices.iter().zip(passwords).map(|(device, new)| {
            let (engine, token) = (world.engine(), device.token.clone());
            async move { change(&engine, &token, PASSWORD, new).await }
        });
        let changed = at_once(work.collect()).await;
        let won: Vec<usize> = (0..2).filter(|index| done(&changed[*index]).is_some()).collect();
        assert_eq!(won.len(), 1, "{changed:?}");
        let (winner, loser) = (won[0], 1 - won[0]);
        assert!(matches!(changed[loser], Changed::NotAllowed(_) | Changed::Conflict | Changed::Wrong), "{changed:?}");
        assert_eq!(world.ended(devices[loser].session).await, Some(Reason::PasswordChanged));
        assert_eq!(world.ended(devices[winner].session).await, None);
        let engine = world.engine();
        let old = try_sign_in(&engine, &name, passwords[loser], HOME, None).await;
        assert!(matches!(old, SignIn::Wrong));
        let new = try_sign_in(&engine, &name, passwords[winner], HOME, None).await;
        assert!(matches!(new, SignIn::Granted(_)));
    }
}

/// The hash is not the one that was compared any more: the change is not made, and nothing ends.
pub(super) async fn a_change_of_another_password_than_was_checked_is_a_conflict(world: World) {
    let ada = world.user("ada").await;
    let (acting, other) = (world.sign_in("ada").await, world.sign_in("ada").await);
    let before = world.record(acting.session).await;
    let engine = world.engine();
    let now = engine.now();
    let judge = Box::new(move |loaded: Option<&Loaded>| {
        let mut loaded = loaded.unwrap().clone();
        loaded.state.grant = raise(&loaded.state.grant, Epoch(1), now).unwrap();
        let decision = Decision::Rotated { next: loaded.state.grant.generation };
        Verdict {
            decision,
            loaded: Some(Box::new(loaded)),
            write: true,
            ends: None,
            renewed: None,
            events: vec![],
            mail: None,
        }
    });
    let event = Event::new(EventKind::PasswordChanged, now, Actor::User, &*engine.random).user(ada);
    let change = PasswordChange { expected: "the hash of before".to_owned(), hash: "another".to_owned(), event };
    let changed = world.store().change_password(before.grant.id, judge, change).await;
    assert_eq!(changed, Ok(PasswordChanged::Conflict));
    assert_eq!(world.record(acting.session).await, before);
    world.rotate(&acting.token).await;
    world.rotate(&other.token).await;
    world.sign_in("ada").await;
}

/// The same session twice at once, as a form that is sent twice.
pub(super) async fn of_two_changes_by_one_token_one_wins(world: World) {
    for round in 0..25 {
        let name = format!("user{round}");
        world.user(&name).await;
        let device = world.sign_in(&name).await;
        let passwords = ["the first one of two", "the other one of two"];
        let work = passwords.map(|new| {
            let (engine, token) = (world.engine(), device.token.clone());
            async move { change(&engine, &token, PASSWORD, new).await }
        });
        let changed = at_once(work.into()).await;
        let won: Vec<String> = changed.iter().filter_map(done).collect();
        assert_eq!(won.len(), 1, "{changed:?}");
        assert_eq!(world.ended(device.session).await, None);
        assert_eq!(world.refresh(&device.token).await, Seen::Refused(Refusal::Superseded));
        world.rotate(&won[0]).await;
    }
}

/// A password that was checked just before it changed opens nothing afterwards.
pub(super) async fn a_sign_in_that_is_overtaken_by_a_change_counts_for_nothing(world: World) {
    world.user("ada").await;
    let mut password = PASSWORD.to_owned();
    for round in 0..25 {
        let acting = match try_sign_in(&world.engine(), "ada", &password, HOME, None).await {
            SignIn::Granted(tokens) => Signed::new(&tokens),
            other => panic!("{other:?}"),
        };
        let new = format!("password number {round}");
        let (engine, token, old) = (world.engine(), acting.token.clone(), password.clone());
        let changing = tokio::spawn({
            let (engine, new, old) = (engine.clone(), new.clone(), old.clone());
            async move { done(&change(&engine, &token, &old, &new).await).expect("it changed") }
        });
        let sign_ins = (0..4).map(|_| {
            let (engine, old) = (engine.clone(), old.clone());
            async move { try_sign_in(&engine, "ada", &old, HOME, None).await }
        });
        let seen = at_once(sign_ins.collect()).await;
        changing.await.unwrap();
        // Those that came before ended with the change; those that came after were refused. None lives.
        for granted in seen.iter() {
            if let SignIn::Granted(tokens) = granted {
                let signed = Signed::new(tokens);
                let seen = use_token(world.engine(), signed.token, Intent::Rotate, HOME, FIREFOX).await;
                assert_eq!(seen, Seen::Over(WireReason::Ended));
                assert_eq!(world.ended(signed.session).await, Some(Reason::PasswordChanged));
            }
        }
        let alive = regrant_engine::session::devices(&world.engine(), acting.user).await.unwrap();
        assert_eq!(alive.len(), 1);
        password = new;
        world.pass(regrant_engine::time::Seconds::HOUR);
    }
}

/// Whoever is signed in at the provider has no token, only a reference: it is made anew, and all else of the user ends.
pub(super) async fn a_change_on_the_page_keeps_its_session_under_a_new_reference(mut world: World) {
    let ada = world.user("ada").await;
    let other = world.sign_in("ada").await;
    let client = single_sign_on::app(&world, "app").await;
    let before = single_sign_on::sign_in(&world, "ada", None).await;
    let mut granted = Vec::new();
    for scope in ["a", "a offline_access"] {
        let code = single_sign_on::code(&world, &client, &before, scope).await;
        granted.push(single_sign_on::tokens(&world, &client, &code).await.expect("tokens"));
    }
    let signed_in = single_sign_on::seen(&world, &before).await.unwrap();
    let engine = world.engine();
    let change = |current: &'static str, new: &'static str| {
        let (engine, signed_in) = (Arc::clone(&engine), signed_in.clone());
        async move {
            let context = context(&engine, HOME, FIREFOX);
            password_change::change_on_page(&engine, &signed_in, context, current, new).await.unwrap()
        }
    };
    assert!(matches!(change("not that one at all", NEW).await, ChangedOnPage::Wrong));
    assert!(matches!(change(PASSWORD, "short").await, ChangedOnPage::Refused(_)));
    assert!(single_sign_on::seen(&world, &before).await.is_some(), "nothing changed");
    let ChangedOnPage::Done { reference, .. } = change(PASSWORD, NEW).await else { panic!("it changed") };
    drop(engine);
    world.crash().await;

    assert_eq!(single_sign_on::seen(&world, &before).await, None, "worth nothing");
    let after = single_sign_on::seen(&world, reference.expose()).await.expect("it goes on");
    assert_eq!(after.record.session.id, signed_in.record.session.id);
    assert_eq!((after.record.grant.epoch.0, after.record.grant.generation.0), (1, 1));
    assert_eq!(world.ended(other.session).await, Some(Reason::PasswordChanged));
    for tokens in &granted {
        let grant = world.store().grant(tokens.grant).await.unwrap().unwrap().state.grant;
        assert!(matches!(grant.life, Life::Ended { reason: Reason::PasswordChanged, .. }), "{:?}", grant.life);
    }
    let engine = world.engine();
    assert!(matches!(try_sign_in(&engine, "ada", PASSWORD, HOME, None).await, SignIn::Wrong));
    assert!(matches!(try_sign_in(&engine, "ada", NEW, HOME, None).await, SignIn::Granted(_)));
    let told = engine.store.timeline(TimelineOf::User(ada), 50).await.unwrap();
    assert_eq!(told.iter().filter(|event| event.kind == EventKind::PasswordChanged).count(), 1);
}

pub(super) async fn a_change_on_the_page_of_a_session_that_is_over_changes_nothing(world: World) {
    world.user("ada").await;
    let reference = single_sign_on::sign_in(&world, "ada", None).await;
    let signed_in = single_sign_on::seen(&world, &reference).await.unwrap();
    let engine = world.engine();
    session::end(&engine, signed_in.record.session.id, None, Reason::RevokedByUser, Actor::User).await.unwrap();
    let context = context(&engine, HOME, FIREFOX);
    let changed = password_change::change_on_page(&engine, &signed_in, context, PASSWORD, NEW).await.unwrap();
    assert!(matches!(changed, ChangedOnPage::Over), "{changed:?}");
    world.sign_in("ada").await;
}
