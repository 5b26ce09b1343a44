//! A refresh against everything that ends a session. Whatever the order, what was ended stays ended: a refresh in flight
//! never revives it, and what everybody was told fits one order of events.

use std::{future::Future, pin::Pin, sync::Arc};

use regrant_engine::{
    Engine,
    event::{Actor, EventKind},
    id::UserId,
    ports::{End, UserChanged, UserSelector},
    reason::{Reason, WireReason},
    refresh::Intent,
    session,
    settings::Settings,
    time::Seconds,
    user,
};

use super::{
    password,
    world::{FIREFOX, HOME, PASSWORD, Seen, Signed, World, at_once, use_token},
};

const ROUNDS: usize = 50;

type Ending = Pin<Box<dyn Future<Output = bool> + Send>>;

pub(super) async fn a_refresh_against_a_revocation(world: World) {
    race(world, Reason::RevokedByUser, |engine, signed| {
        Box::pin(async move {
            session::end(&engine, signed.session, Some(signed.user), Reason::RevokedByUser, Actor::User).await.unwrap()
        })
    })
    .await;
}

pub(super) async fn a_refresh_against_the_end_of_all_others(world: World) {
    race(world, Reason::RevokedByUser, |engine, signed| {
        Box::pin(async move {
            let ended = session::end_all(&engine, signed.user, None, Reason::RevokedByUser, Actor::User).await;
            ended.unwrap() == 1
        })
    })
    .await;
}

pub(super) async fn a_refresh_against_disabling(world: World) {
    race(world, Reason::UserDisabled, |engine, signed| {
        Box::pin(async move {
            user::set_disabled(&engine, UserSelector::Id(signed.user), true).await
                == Ok(UserChanged::Changed { ended: 1 })
        })
    })
    .await;
}

pub(super) async fn a_refresh_against_deletion(world: World) {
    race(world, Reason::UserDeleted, |engine, signed| {
        Box::pin(async move {
            user::delete(&engine, UserSelector::Id(signed.user)).await == Ok(UserChanged::Changed { ended: 1 })
        })
    })
    .await;
}

pub(super) async fn a_refresh_against_a_password_set_by_the_operator(world: World) {
    race(world, Reason::PasswordChanged, |engine, signed| {
        Box::pin(async move {
            let set = user::set_password(&engine, UserSelector::Id(signed.user), "a hash".to_owned()).await;
            set == Ok(UserChanged::Changed { ended: 1 })
        })
    })
    .await;
}

pub(super) async fn a_refresh_against_the_owners_password_change(world: World) {
    for round in 0..ROUNDS {
        let name = format!("user{round}");
        world.user(&name).await;
        let (acting, other) = (world.sign_in(&name).await, world.sign_in(&name).await);
        let changing = {
            let (engine, token) = (world.engine(), acting.token.clone());
            tokio::spawn(async move { password::change(&engine, &token, PASSWORD, "another good one").await })
        };
        let seen = refreshes(&world, &other, 4).await;
        assert!(password::done(&changing.await.unwrap()).is_some());
        check_over(&world, &other, &seen, Reason::PasswordChanged).await;
        assert_eq!(world.ended(acting.session).await, None);
    }
}

pub(super) async fn a_refresh_against_signing_out(world: World) {
    race(world, Reason::SignedOut, |engine, signed| {
        Box::pin(async move {
            let seen = use_token(engine, signed.token.clone(), Intent::SignOut, HOME, FIREFOX).await;
            seen == Seen::SignedOut
        })
    })
    .await;
}

pub(super) async fn a_refresh_against_a_sign_in_that_replaces_it(world: World) {
    race(world, Reason::Replaced, |engine, signed| {
        Box::pin(async move {
            let store = Arc::clone(&engine.store);
            let user = store.user(UserSelector::Id(signed.user)).await.unwrap().unwrap();
            let name = user.identifiers[0].shown.clone();
            let granted = super::world::try_sign_in(&engine, &name, PASSWORD, HOME, Some(&signed.token)).await;
            matches!(granted, regrant_engine::login::SignIn::Granted(_))
        })
    })
    .await;
}

pub(super) async fn a_refresh_against_a_thief(world: World) {
    race(world, Reason::Reused, |engine, signed| Box::pin(async move { steal(engine, &signed).await })).await;
}

/// Uses the token twice on, then the old one: the family ends whatever the others do.
async fn steal(engine: Arc<Engine>, signed: &Signed) -> bool {
    let mut token = signed.token.clone();
    for _ in 0..2 {
        let seen = use_token(engine.clone(), token.clone(), Intent::Rotate, HOME, FIREFOX).await;
        match seen.token() {
            Some(next) => token = next.to_owned(),
            None => return seen == Seen::Over(WireReason::Reused),
        }
    }
    let seen = use_token(engine, signed.token.clone(), Intent::Rotate, HOME, FIREFOX).await;
    seen == Seen::Over(WireReason::Reused)
}

/// The sweep looks a fortnight ahead: to it the session has expired, unless the refresh slid its deadline first.
pub(super) async fn a_refresh_against_a_sweep(world: World) {
    for round in 0..ROUNDS {
        let name = format!("user{round}");
        world.user(&name).await;
        let signed = world.sign_in(&name).await;
        world.pass(Seconds::days(6));
        let (engine, keep) = (world.engine(), world.settings.retention);
        let then = engine.now().plus(Seconds::days(8));
        let sweeping = tokio::spawn(async move { engine.store.sweep(then, keep).await.unwrap() });
        let seen = refreshes(&world, &signed, 4).await;
        let swept = sweeping.await.unwrap();
        if seen.iter().any(|seen| seen.token().is_some()) {
            assert_eq!(swept.expired, 0);
            assert_eq!(world.ended(signed.session).await, None);
            assert_eq!(world.generation(signed.session).await, 2);
        } else {
            assert_eq!(swept.expired, 1);
            assert!(seen.iter().all(|seen| *seen == Seen::Over(WireReason::Expired)), "{seen:?}");
            assert_eq!(world.ended(signed.session).await, Some(Reason::ExpiredIdle));
        }
        user::delete(&world.engine(), UserSelector::Id(signed.user)).await.unwrap();
    }
}

pub(super) async fn a_sign_in_against_disabling(world: World) {
    for round in 0..ROUNDS {
        let name = format!("user{round}");
        let user = world.user(&name).await;
        let disabling = {
            let engine = world.engine();
            tokio::spawn(async move { user::set_disabled(&engine, UserSelector::Id(user), true).await.unwrap() })
        };
        let sign_ins = (0..4).map(|_| {
            let (engine, name) = (world.engine(), name.clone());
            async move { super::world::try_sign_in(&engine, &name, PASSWORD, HOME, None).await }
        });
        let seen = at_once(sign_ins.collect()).await;
        let UserChanged::Changed { ended } = disabling.await.unwrap() else { panic!("it was not disabled") };
        let granted = seen.iter().filter(|seen| matches!(seen, regrant_engine::login::SignIn::Granted(_))).count();
        assert_eq!(granted as u64, ended, "those that came first ended, those after were refused");
        assert_eq!(session::devices(&world.engine(), user).await.unwrap(), vec![]);
    }
}

/// Four refreshes of one token against `end`, again and again with a fresh user; then nobody holds a live token.
async fn race(world: World, reason: Reason, end: impl Fn(Arc<Engine>, Signed) -> Ending) {
    let world = world.with(|settings: &mut Settings| settings.sign_in.per_network = u32::MAX).await;
    for round in 0..ROUNDS {
        let name = format!("user{round}");
        world.user(&name).await;
        let signed = world.sign_in(&name).await;
        let ending = end(world.engine(), signed.clone());
        // Both begin first in turn, so that both orders happen.
        let ending = if round % 2 == 0 {
            tokio::spawn(ending)
        } else {
            let engine = world.engine();
            tokio::spawn(async move {
                engine.store.ready(engine.now()).await.unwrap();
                drop(engine);
                ending.await
            })
        };
        let seen = refreshes(&world, &signed, 4).await;
        assert!(ending.await.unwrap(), "there was a session to end");
        check_over(&world, &signed, &seen, reason).await;
    }
}

async fn refreshes(world: &World, signed: &Signed, number: usize) -> Vec<Seen> {
    let uses = (0..number).map(|_| use_token(world.engine(), signed.token.clone(), Intent::Rotate, HOME, FIREFOX));
    at_once(uses.collect()).await
}

/// The session is over, for `reason`, and what the refreshes saw fits one order: some got the one successor, the others
/// came after the end.
async fn check_over(world: &World, signed: &Signed, seen: &[Seen], reason: Reason) {
    assert_eq!(world.ended(signed.session).await, Some(reason));
    let over = Seen::Over(reason.on_the_wire());
    let rotated = seen.iter().filter(|seen| matches!(seen, Seen::Rotated(_))).count();
    assert!(rotated <= 1, "{seen:?}");
    let mut given: Vec<&str> = seen.iter().filter_map(Seen::token).collect();
    assert!(seen.iter().all(|seen| seen.token().is_some() || *seen == over), "{seen:?}");
    given.push(&signed.token);
    for token in &given {
        for intent in [Intent::Rotate, Intent::Peek] {
            let again = use_token(world.engine(), (*token).to_owned(), intent, HOME, FIREFOX).await;
            assert_eq!(again, over);
        }
    }
    if reason != Reason::Reused {
        given.dedup();
        assert!(given.len() <= 2, "{seen:?}");
        let generation = world.generation(signed.session).await;
        assert_eq!(generation as usize, given.len());
        assert_eq!(world.told(signed.session, EventKind::Rotated).await, given.len() - 1);
    }
    assert_eq!(world.told(signed.session, EventKind::SessionEnded).await, 1);
    let alive = session::devices(&world.engine(), signed.user).await.unwrap();
    assert!(alive.iter().all(|record| record.session.id != signed.session));
}

/// An end that is told twice was made once.
pub(super) async fn of_many_revocations_one_is_the_end(world: World) {
    world.user("ada").await;
    for _ in 0..20 {
        let signed = world.sign_in("ada").await;
        let work = (0..8).map(|_| {
            let (engine, signed) = (world.engine(), signed.clone());
            async move { end_by_admin(&engine, &signed).await }
        });
        let ended = at_once(work.collect()).await;
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert_eq!(world.told(signed.session, EventKind::SessionEnded).await, 1);
    }
}

async fn end_by_admin(engine: &Engine, signed: &Signed) -> bool {
    let end = End { at: engine.now(), reason: Reason::RevokedByAdmin, actor: Actor::Operator };
    engine.store.end_session(signed.session, None::<UserId>, end).await.unwrap()
}
