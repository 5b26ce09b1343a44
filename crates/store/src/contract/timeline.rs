//! The timeline, the sweep, and clocks that go wrong.

use regrant_engine::{
    event::{Actor, Event, EventKind},
    id::EventId,
    ports::{Retention, TimelineOf, UserSelector},
    reason::{Life, Reason, WireReason},
    session,
    time::Seconds,
    user,
};

use super::world::{Seen, World};

fn kinds(events: &[Event]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

pub(super) async fn it_tells_in_order_what_happened_to_whom(world: World) {
    let ada = world.user("ada").await;
    world.pass(Seconds(1));
    let signed = world.sign_in("ada").await;
    let other = world.sign_in("ada").await;
    world.pass(Seconds(1));
    let second = world.rotate(&signed.token).await;
    world.pass(Seconds(1));
    world.refresh(&signed.token).await;
    world.pass(Seconds(1));
    world.rotate(&second).await;
    world.pass(Seconds(1));
    session::end(&world.engine(), signed.session, None, Reason::RevokedByAdmin, Actor::Operator).await.unwrap();
    let store = world.store();
    let events = world.timeline(signed.session).await;
    let told = [
        EventKind::SessionCreated,
        EventKind::Rotated,
        EventKind::Replayed,
        EventKind::Rotated,
        EventKind::SessionEnded,
    ];
    assert_eq!(kinds(&events), told);
    assert!(events.is_sorted_by_key(|event| event.at));
    let grant = world.record(signed.session).await.grant.public_id;
    assert_eq!(store.timeline(TimelineOf::Grant(grant), 100).await.unwrap(), events);
    // The newest ones, still in order.
    assert_eq!(store.timeline(TimelineOf::Session(signed.session), 2).await.unwrap(), events[3..]);
    // A user's timeline has no renewals, and all devices.
    let of_user = store.timeline(TimelineOf::User(ada), 100).await.unwrap();
    assert!(!kinds(&of_user).contains(&EventKind::Rotated));
    let of_other = of_user.iter().filter(|event| event.session == Some(other.session)).count();
    assert_eq!((of_user.len(), of_other), (5, 1));
    assert_eq!(of_user[0].kind, EventKind::UserCreated);
    // A renewal is kept with its grant and found by its session.
    for event in events.into_iter().filter(|event| event.kind != EventKind::Rotated) {
        assert_eq!(store.event(event.id).await, Ok(Some(event)));
    }
    let unknown = EventId::new(world.engine().now(), &super::world::RealRandom);
    assert_eq!(store.event(unknown).await, Ok(None));
}

/// One transaction writes several events at one millisecond: the cause comes before what it caused.
pub(super) async fn a_reuse_is_told_before_the_end_that_it_caused(world: World) {
    world.user("ada").await;
    for _ in 0..16 {
        let signed = world.sign_in("ada").await;
        let second = world.rotate(&signed.token).await;
        world.rotate(&second).await;
        world.refresh(&signed.token).await;
        let told = kinds(&world.timeline(signed.session).await);
        assert_eq!(told[told.len() - 2..], [EventKind::Reused, EventKind::SessionEnded]);
    }
}

const SMALL: u32 = 7;

/// Sweeps with small batches until each kind of row was passed at least once.
async fn sweep(world: &World) -> (u64, u64) {
    let keep = Retention { batch: SMALL, ..world.settings.retention };
    let (mut expired, mut removed) = (0, 0);
    for _ in 0..60 {
        let swept = world.store().sweep(world.engine().now(), keep).await.unwrap();
        expired += swept.expired;
        removed += swept.removed;
    }
    (expired, removed)
}

pub(super) async fn rotations_are_forgotten_after_a_day_but_for_the_last_ten(world: World) {
    world.user("ada").await;
    let busy = world.sign_in("ada").await;
    let quiet = world.sign_in("ada").await;
    world.rotate(&quiet.token).await;
    let mut token = busy.token.clone();
    for _ in 0..30 {
        token = world.rotate(&token).await;
        world.pass(Seconds(60));
    }
    world.pass(Seconds::DAY);
    for _ in 0..3 {
        world.pass(Seconds(60));
        token = world.rotate(&token).await;
    }
    let before = world.timeline(busy.session).await;
    assert_eq!(sweep(&world).await, (0, 23));
    let after = world.timeline(busy.session).await;
    assert_eq!(world.told(busy.session, EventKind::Rotated).await, 10);
    assert_eq!(world.told(busy.session, EventKind::SessionCreated).await, 1);
    assert_eq!(after[after.len() - 10..], before[before.len() - 10..]);
    assert_eq!(world.told(quiet.session, EventKind::Rotated).await, 1);
    assert_eq!(sweep(&world).await, (0, 0), "a sweep that finds nothing removes nothing");
    world.rotate(&token).await;
}

pub(super) async fn a_passed_deadline_is_told_at_once_and_written_once_it_settled(world: World) {
    world.user("ada").await;
    let mut signed = Vec::new();
    for _ in 0..20 {
        signed.push(world.sign_in("ada").await);
    }
    let opened = world.engine().now();
    world.pass(Seconds::days(7));
    assert_eq!(world.refresh(&signed[0].token).await, Seen::Over(WireReason::Expired));
    world.pass(Seconds(6 * 24 * 60 * 60 + 23 * 60 * 60));
    assert_eq!(sweep(&world).await.0, 0);
    assert_eq!(world.ended(signed[0].session).await, None);
    world.pass(Seconds::HOUR);
    assert_eq!(sweep(&world).await.0, 20);
    for signed in &signed {
        let record = world.record(signed.session).await;
        let at = opened.plus(Seconds::days(7));
        let reason = Reason::ExpiredIdle;
        assert_eq!(record.session.life, Life::Ended { at, reason });
        assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Expired));
    }
}

pub(super) async fn an_absolute_deadline_is_written_as_what_it_is(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let mut token = signed.token;
    for _ in 0..5 {
        world.pass(Seconds::days(6));
        match world.refresh(&token).await {
            Seen::Rotated(next) => token = next,
            seen => assert_eq!(seen, Seen::Over(WireReason::Expired)),
        }
    }
    let absolute = world.record(signed.session).await.grant.absolute;
    assert_eq!(world.engine().now(), absolute.0);
    world.pass(Seconds::days(7));
    assert_eq!(sweep(&world).await.0, 1);
    assert_eq!(world.ended(signed.session).await, Some(Reason::ExpiredAbsolute));
}

pub(super) async fn what_ended_is_forgotten_after_its_retention(world: World) {
    world.user("ada").await;
    world.user("bob").await;
    let mut over = Vec::new();
    for _ in 0..20 {
        let signed = world.sign_in("ada").await;
        world.sign_out(&signed.token).await;
        over.push(signed);
    }
    world.pass(Seconds::days(80));
    let kept = world.sign_in("bob").await;
    world.sign_out(&kept.token).await;
    sweep(&world).await;
    assert!(world.store().session(over[0].session).await.unwrap().is_some());
    world.pass(Seconds::days(11));
    sweep(&world).await;
    for signed in &over {
        assert_eq!(world.store().session(signed.session).await, Ok(None));
        assert_eq!(world.timeline(signed.session).await, vec![]);
        assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Unknown));
    }
    assert_eq!(world.ended(kept.session).await, Some(Reason::SignedOut));
    assert_eq!(world.refresh(&kept.token).await, Seen::Over(WireReason::SignedOut));
}

/// The sweep remembers where it stopped; once at the end it begins anew, and finds what has expired meanwhile.
pub(super) async fn the_sweep_goes_round(mut world: World) {
    world.user("ada").await;
    let old = world.sign_in("ada").await;
    world.pass(Seconds(1));
    let mut alive = Vec::new();
    for _ in 0..20 {
        let signed = world.sign_in("ada").await;
        alive.push((signed.token, signed.session));
    }
    let keep = Retention { batch: SMALL, ..world.settings.retention };
    for _ in 0..2 {
        world.store().sweep(world.engine().now(), keep).await.unwrap();
    }
    world.reopen().await;
    for wait in [6, 6, 2] {
        for (token, _) in &mut alive {
            *token = world.rotate(token).await;
        }
        world.pass(Seconds::days(wait));
    }
    // Not in this batch, which goes on where it stopped, but soon.
    assert_eq!(sweep(&world).await.0, 1);
    assert_eq!(world.ended(old.session).await, Some(Reason::ExpiredIdle));
    for (_, session) in &alive {
        assert_eq!(world.ended(*session).await, None);
    }
}

/// The first sweep of a store believes its clock; later ones follow it by their pace, and catch up with one that is right.
pub(super) async fn a_sweep_does_not_believe_a_clock_that_jumps(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let keep = Retention { pace: Seconds::days(1), ..world.settings.retention };
    let swept = async || world.store().sweep(world.engine().now(), keep).await.unwrap();
    swept().await;
    let now = world.engine().now();
    world.pass(Seconds::days(365));
    assert_eq!(swept().await.expired, 0);
    assert_eq!(world.ended(signed.session).await, None);
    world.clock.set(now);
    let renewed = world.rotate(&signed.token).await;
    world.pass(Seconds::days(365));
    let mut sweeps = 0;
    while swept().await.expired == 0 {
        sweeps += 1;
        assert!(sweeps < 365, "it never catches up");
    }
    assert_eq!(world.ended(signed.session).await, Some(Reason::ExpiredIdle), "after {sweeps} sweeps");
    assert_eq!(world.refresh(&renewed).await, Seen::Over(WireReason::Expired));
}

pub(super) async fn a_clock_a_year_ahead_destroys_nothing(world: World) {
    let ada = world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let second = world.rotate(&signed.token).await;
    let now = world.engine().now();
    let before = world.record(signed.session).await;
    world.pass(Seconds::days(365));
    assert_eq!(world.refresh(&second).await, Seen::Over(WireReason::Expired));
    assert_eq!(world.sign_out(&second).await, Seen::Over(WireReason::Expired));
    assert_eq!(session::devices(&world.engine(), ada).await, Ok(vec![]));
    world.clock.set(now);
    assert_eq!(world.record(signed.session).await, before);
    assert_eq!(session::devices(&world.engine(), ada).await, Ok(vec![before]));
    world.rotate(&second).await;
}

pub(super) async fn a_clock_an_hour_back_keeps_working(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let second = world.rotate(&signed.token).await;
    let before = world.engine().now();
    world.clock.set(before.minus(Seconds::HOUR));
    let third = world.rotate(&second).await;
    assert_eq!(world.refresh(&second).await, Seen::Replayed(third.clone()));
    let record = world.record(signed.session).await;
    assert_eq!(record.grant.last_event, before, "what happened later does not come before");
    assert_eq!(world.refresh(&signed.token).await, Seen::Over(WireReason::Reused));
    assert_eq!(world.refresh(&third).await, Seen::Over(WireReason::Reused));
    assert_eq!(world.timeline(signed.session).await.last().unwrap().at, before);
}

/// After a clock that was days ahead, "now" stands still for the grant until the clock catches up. That must not look like
/// sixty rotations in one minute.
pub(super) async fn a_clock_that_was_days_ahead_limits_nobody(world: World) {
    world.user("ada").await;
    let signed = world.sign_in("ada").await;
    let now = world.engine().now();
    world.clock.set(now.plus(Seconds::days(3)));
    let mut token = world.rotate(&signed.token).await;
    world.clock.set(now);
    for _ in 0..100 {
        world.pass(Seconds::minutes(15));
        token = world.rotate(&token).await;
    }
}

pub(super) async fn what_was_told_of_a_deleted_user_stays_for_its_retention(world: World) {
    let ada = world.user("ada").await;
    let signed = world.sign_in("ada").await;
    user::delete(&world.engine(), UserSelector::Id(ada)).await.unwrap();
    let told = kinds(&world.store().timeline(TimelineOf::User(ada), 100).await.unwrap());
    assert_eq!(told.len(), 4, "{told:?}");
    world.pass(Seconds::days(91));
    sweep(&world).await;
    assert_eq!(world.store().timeline(TimelineOf::User(ada), 100).await, Ok(vec![]));
    assert_eq!(world.store().session(signed.session).await, Ok(None));
}
