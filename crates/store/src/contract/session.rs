//! Sessions: the limit, what a sign-in replaces, lists, and ends by hand.

use std::collections::HashSet;

use regrant_engine::{
    event::{Actor, EventKind},
    id::SessionId,
    login::SignIn,
    ports::SessionFilter,
    reason::{Life, Reason, WireReason},
    session::{self, SessionRecord},
    time::Seconds,
};

use super::world::{HOME, PASSWORD, Seen, Signed, World, at_once, try_sign_in};

pub(super) async fn never_more_sessions_than_the_limit_are_alive(world: World) {
    let world = world.with(|settings| settings.sessions_per_user = 5).await;
    let user = world.user("ada").await;
    world.user("bob").await;
    let bob = world.sign_in("bob").await;
    let sign_ins = (0..40).map(|_| {
        let engine = world.engine();
        async move {
            let SignIn::Granted(tokens) = try_sign_in(&engine, "ada", PASSWORD, HOME, None).await else {
                panic!("the sign-in failed")
            };
            let alive = session::devices(&engine, tokens.user).await.unwrap();
            assert!(alive.len() <= 5, "{} are alive", alive.len());
            Signed::new(&tokens)
        }
    });
    let signed = at_once(sign_ins.collect()).await;
    assert_eq!(session::devices(&world.engine(), user).await.unwrap().len(), 5);
    let mut alive = 0;
    for signed in &signed {
        match (world.ended(signed.session).await, world.refresh(&signed.token).await) {
            (None, Seen::Rotated(_)) => alive += 1,
            (Some(Reason::SessionLimit), Seen::Over(WireReason::Ended)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(alive, 5);
    assert_eq!(world.ended(bob.session).await, None);
}

pub(super) async fn the_limit_takes_those_never_refreshed_first_then_the_longest_unused(world: World) {
    let world = world.with(|settings| settings.sessions_per_user = 3).await;
    world.user("ada").await;
    let mut signed = Vec::new();
    for _ in 0..3 {
        signed.push(world.sign_in("ada").await);
        world.pass(Seconds::MINUTE);
    }
    // The oldest was refreshed, and then the second; the third never.
    world.rotate(&signed[0].token).await;
    world.pass(Seconds::MINUTE);
    world.rotate(&signed[1].token).await;
    for (next_to_go, after) in [(2, 3), (3, 4)] {
        world.pass(Seconds::MINUTE);
        signed.push(world.sign_in("ada").await);
        assert_eq!(world.ended(signed[next_to_go].session).await, Some(Reason::SessionLimit));
        assert_eq!(world.ended(signed[after].session).await, None);
    }
    // All three were refreshed: the one whose last use is longest ago.
    world.rotate(&signed[4].token).await;
    world.pass(Seconds::MINUTE);
    signed.push(world.sign_in("ada").await);
    let ended = |index: usize| world.ended(signed[index].session);
    assert_eq!(ended(0).await, Some(Reason::SessionLimit));
    assert_eq!((ended(1).await, ended(4).await, ended(5).await), (None, None, None));
}

pub(super) async fn expired_sessions_take_no_room(world: World) {
    let world = world.with(|settings| settings.sessions_per_user = 2).await;
    world.user("ada").await;
    let old = world.sign_in("ada").await;
    world.pass(Seconds::days(8));
    let kept = world.sign_in("ada").await;
    world.sign_in("ada").await;
    assert_eq!(world.ended(kept.session).await, None);
    assert_eq!(world.ended(old.session).await, None, "nothing but a sweep writes a passed deadline");
    assert_eq!(world.refresh(&old.token).await, Seen::Over(WireReason::Expired));
}

pub(super) async fn a_sign_in_replaces_the_session_of_the_cookie(world: World) {
    let world = world.with(|settings| settings.sessions_per_user = 2).await;
    world.user("ada").await;
    let (other, old) = (world.sign_in("ada").await, world.sign_in("ada").await);
    world.pass(Seconds::HOUR);
    let new = try_sign_in(&world.engine(), "ada", PASSWORD, HOME, Some(&old.token)).await;
    assert!(matches!(new, SignIn::Granted(_)), "{new:?}");
    assert_eq!(world.ended(old.session).await, Some(Reason::Replaced));
    assert_eq!(world.refresh(&old.token).await, Seen::Over(WireReason::Ended));
    // It made room, so nobody else had to go.
    assert_eq!(world.ended(other.session).await, None);
}

pub(super) async fn a_failed_sign_in_replaces_nothing(world: World) {
    world.user("ada").await;
    let old = world.sign_in("ada").await;
    let wrong = try_sign_in(&world.engine(), "ada", "not that one at all", HOME, Some(&old.token)).await;
    assert!(matches!(wrong, SignIn::Wrong));
    world.rotate(&old.token).await;
}

pub(super) async fn a_reused_cookie_at_a_sign_in_ends_its_family_and_the_sign_in_goes_on(world: World) {
    world.user("ada").await;
    let old = world.sign_in("ada").await;
    let second = world.rotate(&old.token).await;
    world.rotate(&second).await;
    let new = try_sign_in(&world.engine(), "ada", PASSWORD, HOME, Some(&old.token)).await;
    let SignIn::Granted(tokens) = new else { panic!("{new:?}") };
    assert_eq!(world.ended(old.session).await, Some(Reason::Reused));
    assert_eq!(world.mails(), 1);
    world.rotate(&Signed::new(&tokens).token).await;
}

pub(super) async fn a_predecessor_in_the_cookie_is_replaced_too(world: World) {
    world.user("ada").await;
    let old = world.sign_in("ada").await;
    let second = world.rotate(&old.token).await;
    let new = try_sign_in(&world.engine(), "ada", PASSWORD, HOME, Some(&old.token)).await;
    assert!(matches!(new, SignIn::Granted(_)), "{new:?}");
    assert_eq!(world.ended(old.session).await, Some(Reason::Replaced));
    assert_eq!(world.refresh(&second).await, Seen::Over(WireReason::Ended));
}

/// An end is written at the time of the request that made it, not at that of the last rotation.
pub(super) async fn a_sign_out_ends_now(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    world.pass(Seconds::HOUR);
    let now = world.engine().now();
    assert_eq!(world.sign_out(&signed.token).await, Seen::SignedOut);
    let reason = Reason::SignedOut;
    assert_eq!(world.record(signed.session).await.session.life, Life::Ended { at: now, reason });
    assert_eq!(world.timeline(signed.session).await.last().unwrap().at, now);
}

pub(super) async fn a_sign_out_by_a_predecessor_ends_the_session(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let second = world.rotate(&signed.token).await;
    assert_eq!(world.sign_out(&signed.token).await, Seen::SignedOut);
    for token in [&signed.token, &second] {
        assert_eq!(world.refresh(token).await, Seen::Over(WireReason::SignedOut));
        assert_eq!(world.sign_out(token).await, Seen::Over(WireReason::SignedOut));
    }
    assert_eq!(world.told(signed.session, EventKind::SessionEnded).await, 1);
}

pub(super) async fn lists_go_page_by_page_newest_first(world: World) {
    let ada = world.user("ada").await;
    let bob = world.user("bob").await;
    let mut signed = Vec::new();
    for index in 0..9 {
        signed.push(world.sign_in(if index % 3 == 2 { "bob" } else { "ada" }).await);
        world.pass(Seconds(1));
    }
    let ended = end(&world, signed[0].session).await;
    assert!(ended);
    let newest_first = |of: &[usize]| of.iter().rev().map(|index| signed[*index].session).collect::<Vec<_>>();
    assert_eq!(pages(&world, None, false).await, newest_first(&[1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(pages(&world, None, true).await, newest_first(&[0, 1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(pages(&world, Some(ada), false).await, newest_first(&[1, 3, 4, 6, 7]));
    assert_eq!(pages(&world, Some(ada), true).await, newest_first(&[0, 1, 3, 4, 6, 7]));
    assert_eq!(pages(&world, Some(bob), true).await, newest_first(&[2, 5, 8]));
    let record = world.record(signed[4].session).await;
    assert_eq!(record.identifier.as_deref(), Some("ada"));
    assert_eq!(record.session.device.as_deref(), Some("a test's laptop"));
    assert_eq!(world.store().session_of(record.grant.public_id).await, Ok(Some(record.clone())));
    assert_eq!(world.store().session_by_secret(record.grant.id).await, Ok(Some(record)));
}

async fn pages(world: &World, user: Option<regrant_engine::id::UserId>, ended: bool) -> Vec<SessionId> {
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let limit = 2;
        let filter = SessionFilter { user, after, limit, ended };
        let page: Vec<SessionRecord> = world.store().sessions(filter).await.unwrap();
        seen.extend(page.iter().map(|record| record.session.id));
        after = seen.last().copied();
        if page.len() < 2 {
            assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len());
            return seen;
        }
    }
}

async fn end(world: &World, id: SessionId) -> bool {
    session::end(&world.engine(), id, None, Reason::RevokedByAdmin, Actor::Operator).await.unwrap()
}

pub(super) async fn only_the_owner_ends_a_session(world: World) {
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let signed = world.sign_in("ada").await;
    let end = |owner| {
        let engine = world.engine();
        async move { session::end(&engine, signed.session, Some(owner), Reason::RevokedByUser, Actor::User).await }
    };
    assert_eq!(end(bob).await, Ok(false));
    assert_eq!(world.ended(signed.session).await, None);
    assert_eq!(end(ada).await, Ok(true));
    assert_eq!(end(ada).await, Ok(false));
    assert_eq!(world.ended(signed.session).await, Some(Reason::RevokedByUser));
}

pub(super) async fn all_others_end_and_the_one_stays(world: World) {
    let ada = world.user("ada").await;
    world.user("bob").await;
    let here = world.sign_in("ada").await;
    let others = [world.sign_in("ada").await, world.sign_in("ada").await];
    let bob = world.sign_in("bob").await;
    let end = async || {
        let except = Some(here.session);
        session::end_all(&world.engine(), ada, except, Reason::RevokedByUser, Actor::User).await
    };
    assert_eq!(end().await, Ok(2));
    assert_eq!(end().await, Ok(0));
    for other in &others {
        assert_eq!(world.refresh(&other.token).await, Seen::Over(WireReason::Ended));
    }
    world.rotate(&here.token).await;
    world.rotate(&bob.token).await;
}

pub(super) async fn an_expired_session_is_not_alive_and_cannot_be_ended(world: World) {
    let ada = world.user("ada").await;
    let signed = world.sign_in("ada").await;
    assert_eq!(world.store().has_live_sessions(world.engine().now()).await, Ok(true));
    assert_eq!(world.store().count_sessions().await, Ok(1));
    world.pass(Seconds::days(7));
    let engine = world.engine();
    assert_eq!(session::devices(&engine, ada).await, Ok(vec![]));
    assert_eq!(session::alive(&engine, ada, signed.session).await, Ok(None));
    assert_eq!(world.store().has_live_sessions(engine.now()).await, Ok(false));
    assert!(!end(&world, signed.session).await);
    assert_eq!(session::end_all(&engine, ada, None, Reason::RevokedByAdmin, Actor::Operator).await, Ok(0));
    assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Expired));
}

/// Whoever was told that all sessions are over can rely on it, although a wild clock had called some of them expired.
pub(super) async fn what_was_ended_while_the_clock_was_wild_stays_ended(world: World) {
    let ada = world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let now = world.engine().now();
    world.pass(Seconds::days(365));
    session::end_all(&world.engine(), ada, None, Reason::RevokedByUser, Actor::User).await.unwrap();
    world.clock.set(now);
    assert!(matches!(world.refresh(&signed.token).await, Seen::Over(_)));
}
