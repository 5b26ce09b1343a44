//! What a device is told, and how people type.

use std::sync::atomic::{AtomicU8, Ordering};

use super::{
    Decision::{Denied, Expired, Good, Pending, Refused, Reused, SlowDown},
    *,
};
use crate::{
    code::tests::{NOW, loaded as code},
    reason::{Life, Reason},
    refresh::Owner,
};

fn tv() -> ClientId {
    ClientId::from("tv")
}

fn open() -> LoadedDeviceCode {
    let device = DeviceCode {
        hash: [0; 32],
        user_code: [0; 16],
        client: tv(),
        scope: "openid".to_owned(),
        audience: String::new(),
        interval: INTERVAL,
        polled_at: None,
        created_at: NOW,
        expires_at: NOW.plus(LIFETIME),
        answer: Answer::Open,
    };
    LoadedDeviceCode { device, code: None }
}

fn asked_at(polled_at: Time) -> LoadedDeviceCode {
    let mut loaded = open();
    loaded.device.polled_at = Some(polled_at);
    loaded
}

fn denied() -> LoadedDeviceCode {
    let mut loaded = open();
    loaded.device.answer = Answer::Denied;
    loaded
}

/// Allowed two minutes after it began.
fn allowed() -> LoadedDeviceCode {
    let mut loaded = open();
    let hangs_on = code();
    loaded.device.answer = Answer::Allowed(Allowed {
        at: NOW.plus(Seconds::minutes(2)),
        user: hangs_on.code.user,
        session: hangs_on.code.session,
        epoch: hangs_on.code.epoch,
        authentication: hangs_on.code.authentication.clone(),
    });
    loaded.code = loaded.device.as_code().map(|code| LoadedCode { code, ..hangs_on });
    loaded
}

fn with(change: impl FnOnce(&mut LoadedCode)) -> LoadedDeviceCode {
    let mut loaded = allowed();
    change(loaded.code.as_mut().unwrap());
    loaded
}

#[test]
fn a_device_is_told_what_became_of_its_wish_and_nobody_else_is() {
    let grant = GrantId([9; 16]);
    let seconds = |n| NOW.plus(Seconds(n));
    let mut ended = code().session.unwrap();
    ended.session.life = Life::Ended { at: NOW, reason: Reason::SignedOut };
    let mut slower = asked_at(NOW);
    slower.device.interval = Seconds(10);
    let cases = [
        ("nothing is known of it", None, NOW, Refused),
        ("its first question", Some(open()), NOW, Pending),
        ("in time", Some(asked_at(NOW)), seconds(5), Pending),
        ("a little early", Some(asked_at(NOW)), seconds(4), Pending),
        ("too early", Some(asked_at(NOW)), seconds(3), SlowDown(Seconds(10))),
        ("too early for one that is slower by now", Some(slower.clone()), seconds(5), SlowDown(Seconds(15))),
        ("in time for it", Some(slower), seconds(10), Pending),
        ("last asked under a clock that was ahead", Some(asked_at(seconds(60))), NOW, Pending),
        ("over", Some(open()), NOW.plus(LIFETIME), Expired),
        ("over, and too early", Some(asked_at(seconds(599))), NOW.plus(LIFETIME), Expired),
        ("made under a clock that was an hour ahead", Some(open()), NOW.minus(Seconds::HOUR), Expired),
        ("denied", Some(denied()), seconds(1), Denied),
        ("denied, and over", Some(denied()), NOW.plus(LIFETIME), Expired),
        ("allowed", Some(allowed()), seconds(121), Good),
        ("allowed, and over", Some(allowed()), NOW.plus(LIFETIME), Expired),
        ("redeemed", Some(with(|code| code.redeemed = Some(grant))), seconds(121), Reused(grant)),
        ("redeemed, and over", Some(with(|code| code.redeemed = Some(grant))), NOW.plus(Seconds::HOUR), Reused(grant)),
        ("its session ended", Some(with(|code| code.session = Some(ended))), seconds(121), Refused),
        ("its session is forgotten", Some(with(|code| code.session = None)), seconds(121), Refused),
        ("its user is gone", Some(with(|code| code.user = Owner::Gone)), seconds(121), Refused),
        (
            "its user changed the password",
            Some(with(|code| code.user = Owner::Active(Epoch(2)))),
            seconds(121),
            Refused,
        ),
        ("its client is gone", Some(with(|code| code.client_exists = false)), seconds(121), Refused),
    ];
    for (name, loaded, now, expected) in cases {
        assert_eq!(decide(loaded.as_ref(), &tv(), now), expected, "{name}");
        assert_eq!(decide(loaded.as_ref(), &ClientId::from("radio"), now), Refused, "{name}, to another client");
    }
}

#[test]
fn who_does_not_wait_waits_five_seconds_longer_each_time() {
    let (mut loaded, mut now) = (asked_at(NOW), NOW);
    for expected in [10, 15, 20, 25] {
        now = now.plus(Seconds(1));
        assert_eq!(decide(Some(&loaded), &tv(), now), SlowDown(Seconds(expected)));
        (loaded.device.interval, loaded.device.polled_at) = (Seconds(expected), Some(now));
    }
    assert_eq!(decide(Some(&loaded), &tv(), now.plus(Seconds(24))), Pending);
}

#[test]
fn people_type_as_they_like() {
    let code = UserCode::parse("BCDF-GHJK").unwrap();
    assert_eq!(*code.shown(), "BCDF-GHJK");
    for text in ["bcdfghjk", " BCDF GHJK ", "b c d f - g h j k", "bcdf\u{2013}ghjk", "BCDF.GHJK", "\tbcdf_ghjk\n"] {
        assert_eq!(UserCode::parse(text), Some(code.clone()), "{text:?}");
    }
    for text in
        ["", "BCDF-GHJ", "BCDF-GHJKL", "ABCD-FGHJ", "BCDF-GHJ1", "BCDF-GHJ\u{0130}", "BCDF-GH\u{212a}J", "--------"]
    {
        assert_eq!(UserCode::parse(text), None, "{text:?}");
    }
    assert!(!format!("{code:?}").contains("BCDF"));
}

/// Every byte in turn.
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.0.fetch_add(1, Ordering::Relaxed));
    }
}

#[test]
fn each_letter_is_as_likely_as_the_others() {
    let random = Counting(AtomicU8::new(0));
    let mut seen = [0; 256];
    // 32 bytes make a code of their first fair eight: all 256 come round in eight codes, and 240 of them are fair.
    for _ in 0..800 {
        let code = UserCode::new(&random);
        for letter in code.0 {
            assert!(LETTERS.contains(&letter));
            seen[usize::from(letter)] += 1;
        }
        // The bytes that this one left over are not used again; begin at another place.
        random.0.fetch_add(3, Ordering::Relaxed);
    }
    let counts: Vec<i32> = LETTERS.iter().map(|letter| seen[usize::from(*letter)]).collect();
    assert_eq!(counts.iter().sum::<i32>(), 6400);
    assert!(counts.iter().all(|count| (240..=400).contains(count)), "{counts:?}");
}
