//! Back-channel logout: who is told of the end of a session, and that nobody is forgotten.

use std::{collections::BTreeSet, sync::Arc};

use regrant_engine::{
    backchannel_logout::{Answered, BACK_OFF, LEASE, Logout, Notice, Outcome, Standing, claim, request, settle},
    client::{self, Client},
    event::{Actor, EventKind},
    id::{ClientId, SessionId, UserId},
    ports::UserSelector,
    reason::Reason,
    session,
    time::Seconds,
    user,
};

use super::{
    single_sign_on::{app, app_told_at, code, seen, session_of, sign_in, tokens},
    world::{World, at_once},
};

const URI: &str = "https://app.example/logout";

/// A session in which these clients got tokens.
async fn session_with(world: &World, name: &str, clients: &[&Arc<Client>]) -> SessionId {
    let reference = sign_in(world, name, None).await;
    for client in clients {
        tokens(world, client, &code(world, client, &reference, "a").await).await.unwrap();
    }
    session_of(seen(world, &reference).await.as_ref()).0
}

async fn end(world: &World, id: SessionId) {
    assert!(session::end(&world.engine(), id, None, Reason::RevokedByUser, Actor::User).await.unwrap());
}

async fn claimed(world: &World) -> Vec<Notice> {
    claim(&world.engine(), 10, vec![]).await.unwrap()
}

async fn log(world: &World, id: SessionId) -> Vec<Logout> {
    world.store().logouts(id).await.unwrap()
}

async fn only(world: &World, id: SessionId) -> Logout {
    match log(world, id).await.as_slice() {
        [one] => one.clone(),
        other => panic!("{other:?}"),
    }
}

fn failed() -> Answered {
    Answered::Failed("it answers 503".to_owned())
}

pub(super) async fn each_end_of_a_session_is_told_to_each_client_of_it_once(mut world: World) {
    let (one, two) = (app_told_at(&world, "one", Some(URI)).await, app_told_at(&world, "two", Some(URI)).await);
    let (quiet, apart) = (app(&world, "quiet").await, app_told_at(&world, "apart", Some(URI)).await);
    let mut sessions = Vec::new();
    for (way, name) in ["sign_out", "all", "disabled", "deleted", "password", "replaced", "expired"].iter().enumerate()
    {
        let user = world.user(name).await;
        // What ended before was a sign-in there all the same; and twice is once.
        let reference = sign_in(&world, name, None).await;
        let mut given = Vec::new();
        for client in [&one, &two, &one, &quiet] {
            given.push(code(&world, client, &reference, "a").await);
            tokens(&world, client, &given[given.len() - 1]).await.unwrap();
        }
        assert!(tokens(&world, &two, &given[1]).await.is_none(), "its grant ends");
        let (id, _) = session_of(seen(&world, &reference).await.as_ref());
        session_with(&world, name, &[&apart]).await;
        assert_eq!(log(&world, id).await, vec![]);
        let engine = world.engine();
        match way {
            0 => assert!(session::end(&engine, id, Some(user), Reason::SignedOut, Actor::User).await.unwrap()),
            1 => drop(session::end_all(&engine, user, None, Reason::RevokedByUser, Actor::User).await.unwrap()),
            2 => drop(user::set_disabled(&engine, UserSelector::Id(user), true).await.unwrap()),
            3 => drop(user::delete(&engine, UserSelector::Id(user)).await.unwrap()),
            4 => drop(user::set_password(&engine, UserSelector::Id(user), String::new()).await.unwrap()),
            5 => {
                world.user("somebody_else").await;
                sign_in(&world, "somebody_else", Some(&reference)).await;
            }
            _ => {
                world.pass(Seconds::days(7));
                // Once its deadline passes, and not only when that is written.
                for days in [0, 8] {
                    world.pass(Seconds::days(days));
                    world.store().sweep(world.engine().now(), world.settings.retention).await.unwrap();
                    assert_eq!(log(&world, id).await.len(), 2);
                    assert_eq!(world.ended(id).await.is_some(), days > 0);
                }
            }
        }
        drop(engine);
        // Once more changes nothing.
        session::end(&world.engine(), id, None, Reason::RevokedByUser, Actor::User).await.unwrap();
        let told: Vec<_> = log(&world, id).await.into_iter().map(|logout| String::from(logout.client)).collect();
        assert_eq!(told, ["one", "two"], "{name}");
        sessions.push((id, user));
    }
    // Durable with the end.
    world.crash().await;
    let mut seen: BTreeSet<(SessionId, String)> = BTreeSet::new();
    loop {
        let notices = claimed(&world).await;
        if notices.is_empty() {
            break;
        }
        for notice in notices {
            let Notice { session, client, user, attempt } = notice.clone();
            assert_eq!(attempt, 1);
            assert!(sessions.contains(&(session, user)) || client == apart.id);
            assert!(seen.insert((session, String::from(client))));
            assert_eq!(settle(&world.engine(), notice, Answered::Done).await, Ok(Outcome::Delivered));
        }
    }
    for (id, _) in &sessions {
        let logouts = log(&world, *id).await;
        assert!(logouts.iter().all(|logout| matches!(logout.standing, Standing::Delivered { .. })), "{logouts:?}");
        assert_eq!(world.told(*id, EventKind::LogoutDelivered).await, 2);
    }
}

pub(super) async fn a_notice_is_claimed_by_one_and_again_once_the_claim_ran_out(mut world: World) {
    let ada = world.user("ada").await;
    let client = app_told_at(&world, "one", Some(URI)).await;
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        ids.insert(session_with(&world, "ada", &[&client]).await);
    }
    for id in &ids {
        end(&world, *id).await;
    }
    let work = (0..8).map(|_| {
        let engine = world.engine();
        async move { claim(&engine, 10, vec![]).await.unwrap() }
    });
    let claimed_by_all: Vec<Notice> = at_once(work.collect()).await.into_iter().flatten().collect();
    let sessions: BTreeSet<SessionId> = claimed_by_all.iter().map(|notice| notice.session).collect();
    assert_eq!((claimed_by_all.len(), &sessions), (5, &ids));
    assert!(claimed_by_all.iter().all(|notice| (notice.attempt, notice.user) == (1, ada)));
    // Whoever claimed them is gone, and nobody knows what became of it.
    world.crash().await;
    assert_eq!(claimed(&world).await, vec![]);
    world.pass(LEASE);
    let again = claimed(&world).await;
    assert_eq!(again.len(), 5);
    assert!(again.iter().all(|notice| notice.attempt == 2));
}

pub(super) async fn only_the_newest_attempt_fails_and_any_may_succeed(world: World) {
    world.user("ada").await;
    let client = app_told_at(&world, "one", Some(URI)).await;
    let id = session_with(&world, "ada", &[&client]).await;
    end(&world, id).await;
    let slow = claimed(&world).await.remove(0);
    world.pass(LEASE);
    let next = claimed(&world).await.remove(0);
    let before = only(&world, id).await;
    // The first one comes back late: that it failed says nothing of the second.
    settle(&world.engine(), slow.clone(), failed()).await.unwrap();
    settle(&world.engine(), slow.clone(), Answered::Refused("it answers 400".to_owned())).await.unwrap();
    assert_eq!(only(&world, id).await, before);
    // That it succeeded does.
    settle(&world.engine(), slow, Answered::Done).await.unwrap();
    let delivered = only(&world, id).await;
    assert_eq!(delivered.standing, Standing::Delivered { at: world.engine().now() });
    settle(&world.engine(), next.clone(), failed()).await.unwrap();
    settle(&world.engine(), next, Answered::Done).await.unwrap();
    assert_eq!(only(&world, id).await, delivered);
    assert_eq!(world.told(id, EventKind::LogoutDelivered).await, 1);
    assert_eq!(world.told(id, EventKind::LogoutGaveUp).await, 0);
}

pub(super) async fn who_does_not_answer_holds_up_nobody_else(world: World) {
    let (slow, other) = (app_told_at(&world, "a", Some(URI)).await, app_told_at(&world, "b", Some(URI)).await);
    world.user("ada").await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(session_with(&world, "ada", &[&slow]).await);
    }
    ids.push(session_with(&world, "ada", &[&slow, &other]).await);
    for id in ids {
        end(&world, id).await;
    }
    let of = |notices: &[Notice], id: &ClientId| notices.iter().filter(|notice| notice.client == *id).count();
    let first = claimed(&world).await;
    assert!((1..20).contains(&of(&first, &slow.id)), "some, and not all: {}", first.len());
    assert_eq!(of(&first, &other.id), 1);
    let engine = world.engine();
    assert_eq!(claim(&engine, 10, vec![slow.id.clone()]).await, Ok(vec![]));
    let second = claim(&engine, 1, vec![other.id.clone()]).await.unwrap();
    assert_eq!(of(&second, &slow.id), second.len());
    assert!(second.iter().all(|notice| !first.contains(notice)));
}

pub(super) async fn what_fails_is_tried_more_and_more_seldom_and_given_up(world: World) {
    world.user("ada").await;
    let client = app_told_at(&world, "one", Some(URI)).await;
    let id = session_with(&world, "ada", &[&client]).await;
    end(&world, id).await;
    for (attempt, wait) in (1..).zip(BACK_OFF) {
        let notice = claimed(&world).await.remove(0);
        assert_eq!(notice.attempt, attempt);
        let at = world.engine().now().plus(wait);
        let why = "it answers 503".to_owned();
        assert_eq!(settle(&world.engine(), notice, failed()).await, Ok(Outcome::Later { at, why: why.clone() }));
        assert_eq!(only(&world, id).await.standing, Standing::Waiting { next: at, last_error: Some(why) });
        world.pass(Seconds(wait.0 - 1));
        assert_eq!(claimed(&world).await, vec![]);
        world.pass(Seconds(1));
    }
    let last = claimed(&world).await.remove(0);
    assert_eq!(world.told(id, EventKind::LogoutGaveUp).await, 0);
    let why = "it answers 503".to_owned();
    assert_eq!(settle(&world.engine(), last, failed()).await, Ok(Outcome::GaveUp { why: why.clone() }));
    let log = only(&world, id).await;
    assert_eq!((log.attempts, log.standing), (10, Standing::GaveUp { at: world.engine().now(), why }));
    assert_eq!(world.told(id, EventKind::LogoutGaveUp).await, 1);
    world.pass(Seconds::days(2));
    assert_eq!(claimed(&world).await, vec![]);

    // What no repetition mends is not repeated.
    let id = session_with(&world, "ada", &[&client]).await;
    end(&world, id).await;
    let refused = Answered::status(400);
    settle(&world.engine(), claimed(&world).await.remove(0), refused).await.unwrap();
    assert!(matches!(only(&world, id).await.standing, Standing::GaveUp { .. }));
}

pub(super) async fn a_wild_clock_neither_loses_nor_gives_up_a_notice(world: World) {
    world.user("ada").await;
    let client = app_told_at(&world, "one", Some(URI)).await;
    let (early, late) = (session_with(&world, "ada", &[&client]).await, session_with(&world, "ada", &[&client]).await);
    let right = world.engine().now();
    end(&world, early).await;
    // A year ahead: one attempt is one attempt, and both are due once the clock is right again.
    world.pass(Seconds::days(365));
    let notice = claimed(&world).await.remove(0);
    assert!(matches!(settle(&world.engine(), notice, failed()).await, Ok(Outcome::Later { .. })));
    world
        .store()
        .end_session(
            late,
            None,
            regrant_engine::ports::End {
                at: right.plus(Seconds::days(6)),
                reason: Reason::RevokedByUser,
                actor: Actor::User,
            },
        )
        .await
        .unwrap();
    world.clock.set(right);
    let due: BTreeSet<SessionId> = claimed(&world).await.into_iter().map(|notice| notice.session).collect();
    assert_eq!(due, BTreeSet::from([early, late]));

    // A session that was over for a while, and lives on, is told of again when it ends.
    let id = session_with(&world, "ada", &[&client]).await;
    let sweep = async || world.store().sweep(world.engine().now(), world.settings.retention).await.unwrap();
    world.pass(Seconds::days(7));
    sweep().await;
    let notice = claimed(&world).await.into_iter().find(|notice| notice.session == id).unwrap();
    settle(&world.engine(), notice, Answered::Done).await.unwrap();
    sweep().await;
    assert!(matches!(only(&world, id).await.standing, Standing::Delivered { .. }), "once");
    world.clock.set(right);
    end(&world, id).await;
    assert_eq!(only(&world, id).await.standing, Standing::Waiting { next: right, last_error: None });
}

pub(super) async fn what_was_settled_is_forgotten_and_what_waits_is_not(world: World) {
    let ada: UserId = world.user("ada").await;
    let client = app_told_at(&world, "one", Some(URI)).await;
    let (told, waiting) =
        (session_with(&world, "ada", &[&client]).await, session_with(&world, "ada", &[&client]).await);
    end(&world, told).await;
    settle(&world.engine(), claimed(&world).await.remove(0), Answered::Done).await.unwrap();
    session::end_all(&world.engine(), ada, None, Reason::RevokedByUser, Actor::User).await.unwrap();
    let sweep = async || {
        for _ in 0..4 {
            world.store().sweep(world.engine().now(), world.settings.retention).await.unwrap();
        }
    };
    sweep().await;
    assert!(matches!(only(&world, told).await.standing, Standing::Delivered { .. }));
    world.pass(Seconds::days(91));
    sweep().await;
    assert_eq!(world.store().session(waiting).await, Ok(None));
    assert_eq!(log(&world, told).await, vec![]);
    // Nobody served for so long; it is told all the same.
    let notice = claimed(&world).await.remove(0);
    assert_eq!((notice.session, notice.user), (waiting, ada));
}

pub(super) async fn a_client_that_is_gone_is_told_nothing(world: World) {
    world.user("ada").await;
    let (gone, stays) = (app_told_at(&world, "a", Some(URI)).await, app_told_at(&world, "b", Some(URI)).await);
    let id = session_with(&world, "ada", &[&gone, &stays]).await;
    end(&world, id).await;
    client::remove(&world.engine(), &gone.id).await.unwrap();
    let notice = claimed(&world).await;
    assert_eq!(notice.iter().map(|notice| &notice.client).collect::<Vec<_>>(), [&stays.id]);
    // Between the claim and the request.
    client::remove(&world.engine(), &stays.id).await.unwrap();
    assert!(request(&world.engine(), &notice[0]).await.unwrap().is_none());
    let refused = Answered::Refused("it has no address any more".to_owned());
    settle(&world.engine(), notice[0].clone(), refused).await.unwrap();
    assert_eq!(claimed(&world).await, vec![]);
}
