//! The rotation on a store: one successor for all, whoever asks and whenever the machine stops.

use std::sync::{Arc, Mutex};

use regrant_engine::{
    event::{EventKind, MailKind},
    ports::TimelineOf,
    reason::{Reason, WireReason},
    refresh::{Intent, Refusal},
    time::Seconds,
};

use super::world::{ABROAD, CURL, FIREFOX, HOME, Seen, World, at_once, try_token, use_token};

pub(super) async fn concurrent_uses_of_one_token_share_one_successor(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let mut token = signed.token;
    for generation in 2..=3 {
        let uses = (0..200).map(|_| use_token(world.engine(), token.clone(), Intent::Rotate, HOME, FIREFOX));
        let seen = at_once(uses.collect()).await;
        let rotated = seen.iter().filter(|seen| matches!(seen, Seen::Rotated(_))).count();
        let successor = seen[0].token().expect("a live token").to_owned();
        assert_eq!(rotated, 1);
        assert!(seen.iter().all(|seen| seen.token() == Some(successor.as_str())));
        assert_eq!(world.generation(signed.session).await, generation);
        token = successor;
    }
    assert_eq!(world.told(signed.session, EventKind::Rotated).await, 2);
    assert_eq!(world.told(signed.session, EventKind::Replayed).await, 398);
}

/// What was answered is committed: whoever looks after the answer finds it, also through another connection.
pub(super) async fn an_answered_rotation_is_there_for_everybody(world: World) {
    world.user("ada").await;
    let sessions = (0..8).map(|_| world.sign_in("ada"));
    let mut work = Vec::new();
    for signed in sessions {
        let signed = signed.await;
        let engine = world.engine();
        work.push(async move {
            let mut token = signed.token;
            for generation in 2..=20 {
                let seen = use_token(engine.clone(), token, Intent::Rotate, HOME, FIREFOX).await;
                token = seen.token().expect("a live token").to_owned();
                let record = engine.store.session(signed.session).await.unwrap().unwrap();
                assert_eq!(record.grant.generation.0, generation);
            }
        });
    }
    at_once(work).await;
}

pub(super) async fn predecessor_and_newest_at_once_agree_on_what_is_newest(world: World) {
    world.user("ada").await;
    for _ in 0..25 {
        let signed = world.sign_in("ada").await;
        let newest = world.rotate(&signed.token).await;
        let tokens = [&signed.token, &newest, &signed.token, &newest].map(Clone::clone);
        let uses = tokens.map(|token| use_token(world.engine(), token, Intent::Rotate, HOME, FIREFOX));
        let seen = at_once(uses.into()).await;
        // The newest rotates once. Its predecessor is a replay if it came first, and two behind, so reused, if it did not.
        let rotated: Vec<_> = seen.iter().filter(|seen| matches!(seen, Seen::Rotated(_))).collect();
        assert!(rotated.len() <= 1, "{seen:?}");
        let reused = seen.contains(&Seen::Over(WireReason::Reused));
        for (index, seen) in seen.iter().enumerate() {
            match seen {
                Seen::Replayed(token) if index % 2 == 0 => assert_eq!(token, &newest),
                Seen::Replayed(token) => assert_eq!(Some(token.as_str()), rotated[0].token()),
                Seen::Rotated(_) => assert_eq!(index % 2, 1),
                Seen::Over(WireReason::Reused) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(world.ended(signed.session).await, reused.then_some(Reason::Reused), "{seen:?}");
    }
}

pub(super) async fn two_predecessors_at_once_end_the_family_once(world: World) {
    world.user("ada").await;
    for _ in 0..25 {
        let signed = world.sign_in("ada").await;
        let second = world.rotate(&signed.token).await;
        let third = world.rotate(&second).await;
        let tokens = [&signed.token, &second, &signed.token, &second].map(Clone::clone);
        let uses = tokens.map(|token| use_token(world.engine(), token, Intent::Rotate, HOME, FIREFOX));
        let seen = at_once(uses.into()).await;
        assert_eq!(seen[0], Seen::Over(WireReason::Reused));
        assert_eq!(seen[2], Seen::Over(WireReason::Reused));
        for replay in [&seen[1], &seen[3]] {
            assert!(
                *replay == Seen::Replayed(third.clone()) || *replay == Seen::Over(WireReason::Reused),
                "{replay:?}"
            );
        }
        for token in [&signed.token, &second, &third] {
            assert_eq!(world.refresh(token).await, Seen::Over(WireReason::Reused));
        }
        assert_eq!(world.ended(signed.session).await, Some(Reason::Reused));
        assert_eq!(world.told(signed.session, EventKind::Reused).await, 1);
        assert_eq!(world.told(signed.session, EventKind::SessionEnded).await, 1);
    }
}

pub(super) async fn a_reuse_ends_the_session_and_is_remembered(mut world: World) {
    let user = world.user("ada").await;
    let stolen = world.sign_in("ada").await;
    let other = world.sign_in("ada").await;
    let second = world.rotate(&stolen.token).await;
    let third = world.rotate(&second).await;
    let seen = world.refresh_from(ABROAD, CURL, &stolen.token).await;
    assert_eq!(seen, Seen::Over(WireReason::Reused));
    world.crash().await;

    assert_eq!(world.ended(stolen.session).await, Some(Reason::Reused));
    for token in [&stolen.token, &second, &third] {
        assert_eq!(world.refresh(token).await, Seen::Over(WireReason::Reused));
    }
    let events = world.timeline(stolen.session).await;
    let reused = events.iter().find(|event| event.kind == EventKind::Reused).unwrap();
    assert_eq!(reused.reason, Some(Reason::Reused));
    assert_eq!(reused.context.as_ref().unwrap().network, "198.51.100.0/24");
    assert_eq!(reused.data["held_by"]["network"], "192.0.2.0/24");
    assert_eq!(reused.data["held_by"]["user_agent"], "Firefox on Linux");
    assert_eq!(world.told(stolen.session, EventKind::SessionEnded).await, 1);
    // The user's other devices stay signed in.
    assert_eq!(world.ended(other.session).await, None);
    world.rotate(&other.token).await;
    // The user's own timeline tells it too.
    let of_user = world.store().timeline(TimelineOf::User(user), 100).await.unwrap();
    assert!(of_user.iter().any(|event| event.kind == EventKind::Reused));
}

pub(super) async fn a_user_is_warned_once_an_hour(world: World) {
    assert_eq!(MailKind::ALL.len(), 1, "a new mail needs its own test");
    world.user("ada").await;
    world.user("bob").await;
    let steal = async |name: &str| {
        let signed = world.sign_in(name).await;
        let second = world.rotate(&signed.token).await;
        world.rotate(&second).await;
        assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Reused));
    };
    steal("ada").await;
    assert_eq!(world.mails(), 1);
    steal("ada").await;
    assert_eq!(world.mails(), 1);
    steal("bob").await;
    assert_eq!(world.mails(), 2);
    world.pass(Seconds(59 * 60));
    steal("ada").await;
    assert_eq!(world.mails(), 2);
    world.pass(Seconds(60));
    steal("ada").await;
    assert_eq!(world.mails(), 3);
    // A clock that was a day ahead for a while keeps nobody from being warned.
    let now = world.engine().now();
    world.pass(Seconds::DAY);
    steal("ada").await;
    assert_eq!(world.mails(), 4);
    world.clock.set(now.plus(Seconds::HOUR));
    steal("ada").await;
    assert_eq!(world.mails(), 5);
}

pub(super) async fn a_lost_reply_is_given_again_after_a_crash(mut world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let successor = world.rotate(&signed.token).await;
    world.crash().await;
    assert_eq!(world.refresh(&signed.token).await, Seen::Replayed(successor.clone()));
    world.reopen().await;
    assert_eq!(world.refresh(&signed.token).await, Seen::Replayed(successor.clone()));
    assert_eq!(world.generation(signed.session).await, 2);
    world.rotate(&successor).await;
}

/// The machine stops in the middle of it all: each chain is at least where its holder was told, and goes on from there.
pub(super) async fn what_was_acknowledged_under_load_survives_a_crash(mut world: World) {
    world.user("ada").await;
    let mut held = Vec::new();
    let mut chains = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let signed = world.sign_in("ada").await;
        let holder = Arc::new(Mutex::new((1, signed.token.clone())));
        held.push((signed.session, Arc::clone(&holder)));
        let engine = world.engine();
        chains.spawn(async move {
            for generation in 2..=50 {
                let token = holder.lock().unwrap().1.clone();
                let seen = use_token(engine.clone(), token, Intent::Rotate, HOME, FIREFOX).await;
                *holder.lock().unwrap() = (generation, seen.token().expect("a live token").to_owned());
            }
        });
    }
    let mut left = Vec::new();
    while !chains.is_empty() {
        let told: Vec<_> = held.iter().map(|(id, holder)| (*id, holder.lock().unwrap().clone())).collect();
        left.push((told, world.snapshot()));
        // Another look whenever a chain is done.
        chains.join_next().await;
    }
    for (told, place) in left {
        world.go_to(place).await;
        for (session, (generation, token)) in told {
            let found = world.generation(session).await;
            assert!(found >= generation, "{generation} was told, and {found} is there");
            // The chain went on while the machine was stopping; a holder who was told no more than this goes on too.
            if found - generation <= 1 {
                let seen = world.refresh(&token).await;
                assert!(seen.token().is_some(), "{seen:?}");
            }
        }
    }
}

/// A client that closed its connection: its request is dropped at any point, before or after the commit.
pub(super) async fn a_dropped_request_does_no_harm(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let mut token = signed.token;
    for round in 0..50 {
        let engine = world.engine();
        let gone = token.clone();
        let task = tokio::spawn(async move {
            let _ = try_token(&engine, &gone, Intent::Rotate, HOME, FIREFOX).await;
        });
        for _ in 0..round % 5 {
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
        let seen = world.refresh(&token).await;
        token = seen.token().expect("a live token").to_owned();
        // The pace allows sixty rotations a minute.
        world.pass(Seconds(5));
    }
    assert_eq!(world.generation(signed.session).await, 51);
    assert_eq!(world.ended(signed.session).await, None);
}

pub(super) async fn a_store_that_lost_its_tail_believes_the_holder(mut world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let second = world.rotate(&signed.token).await;
    let old = world.snapshot();
    let third = world.rotate(&second).await;
    let fourth = world.rotate(&third).await;
    world.go_to(old).await;
    assert_eq!(world.generation(signed.session).await, 2);
    assert!(matches!(world.refresh(&fourth).await, Seen::Rotated(_)));
    assert_eq!(world.generation(signed.session).await, 5);
    assert_eq!(world.told(signed.session, EventKind::Healed).await, 1);
}

pub(super) async fn a_peek_changes_nothing_that_a_rotation_would(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let before = world.record(signed.session).await;
    assert_eq!(world.peek(&signed.token).await, Seen::Peeked);
    assert_eq!(world.record(signed.session).await, before);
    let second = world.rotate(&signed.token).await;
    assert_eq!(world.peek(&signed.token).await, Seen::Peeked);
    assert_eq!(world.generation(signed.session).await, 2);
    assert_eq!(world.refresh(&signed.token).await, Seen::Replayed(second));
}

pub(super) async fn a_token_without_a_row_is_unknown(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let engine = world.engine();
    let mut stranger = world.record(signed.session).await.grant;
    stranger.id.0[15] ^= 1;
    let forged = engine
        .refresh_keys
        .issue(stranger.endpoint, stranger.key, &stranger.id, stranger.generation, &stranger.salt)
        .unwrap();
    assert_eq!(world.refresh(forged.expose()).await, Seen::Over(WireReason::Unknown));
    // The right row, but a MAC of another salt: the key file alone makes no token.
    let mut salted = world.record(signed.session).await.grant;
    salted.salt.0[0] ^= 1;
    let forged =
        engine.refresh_keys.issue(salted.endpoint, salted.key, &salted.id, salted.generation, &salted.salt).unwrap();
    assert_eq!(world.refresh(forged.expose()).await, Seen::Over(WireReason::Unknown));
    world.rotate(&signed.token).await;
}

pub(super) async fn points_are_kept_across_uses_and_restarts(mut world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    // Two generations in a row are replayed late: one point each. The third is one too many.
    let mut token = signed.token.clone();
    for points in 0..2 {
        let next = world.rotate(&token).await;
        world.pass(Seconds(11));
        assert_eq!(world.refresh(&token).await, Seen::Replayed(next.clone()));
        assert_eq!(world.record(signed.session).await.grant.suspicion.points, points);
        world.reopen().await;
        token = next;
    }
    let next = world.rotate(&token).await;
    assert_eq!(world.record(signed.session).await.grant.suspicion.points, 2);
    world.pass(Seconds(11));
    assert_eq!(world.refresh(&token).await, Seen::Over(WireReason::Reused));
    assert_eq!(world.refresh(&next).await, Seen::Over(WireReason::Reused));
}

pub(super) async fn a_refusal_writes_nothing(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let engine = world.engine();
    let changed = super::password::change(&engine, &signed.token, super::world::PASSWORD, "another good one").await;
    let regrant_engine::password_change::Changed::Done(_) = changed else { panic!("{changed:?}") };
    let (before, told) = (world.record(signed.session).await, world.timeline(signed.session).await);
    assert_eq!(world.refresh(&signed.token).await, Seen::Refused(Refusal::Superseded));
    assert_eq!(world.record(signed.session).await, before);
    assert_eq!(world.timeline(signed.session).await, told);
}
