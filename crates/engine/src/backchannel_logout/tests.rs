use super::*;

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn notice(attempt: u32) -> Notice {
    Notice {
        client: ClientId::from("shop"),
        session: SessionId::from_bytes([1; 16]),
        user: UserId::from_bytes([2; 16]),
        attempt,
    }
}

/// §2.4: what must be there, and what must not.
#[test]
fn a_logout_token_says_what_the_standard_asks_for_and_no_more() {
    let notice = notice(1);
    let claims = serde_json::to_value(claims("https://id.example", &notice, "j".to_owned(), NOW)).unwrap();
    assert_eq!(
        claims,
        json!({
            "iss": "https://id.example",
            "sub": notice.user.to_string(),
            "aud": "shop",
            "iat": 1_800_000_000,
            "exp": 1_800_000_120,
            "jti": "j",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "sid": notice.session.to_string(),
        })
    );
}

#[test]
fn only_what_may_be_mended_is_tried_again() {
    for (status, is_done, is_final) in [
        (200, true, true),
        (204, true, true),
        (400, false, true),
        (201, false, false),
        (302, false, false),
        (404, false, false),
        (429, false, false),
        (500, false, false),
        (503, false, false),
    ] {
        match outcome(Answered::status(status), 1, NOW) {
            Outcome::Delivered => assert!(is_done && is_final, "{status}"),
            Outcome::GaveUp { why } => assert!(!is_done && is_final && why.contains("400"), "{status}"),
            Outcome::Later { at, why } => {
                assert!(!is_done && !is_final, "{status}");
                assert_eq!(at, NOW.plus(Seconds(5)));
                assert!(why.contains(&status.to_string()), "{why}");
            }
        }
    }
}

/// Waits grow, the whole takes less than a day, and then there is an end.
#[test]
fn attempts_come_more_and_more_seldom_and_end_within_a_day() {
    let failed = || Answered::Failed("no route".to_owned());
    let (mut now, mut before, mut attempt) = (NOW, Seconds(0), 1);
    while let Outcome::Later { at, .. } = outcome(failed(), attempt, now) {
        let waited = Seconds(u32::try_from(at.millis_since(now) / 1000).unwrap());
        assert!(waited >= before && waited <= LONGEST);
        (now, before, attempt) = (at, waited, attempt + 1);
    }
    assert_eq!(attempt, 10);
    assert!(now < NOW.plus(Seconds::DAY) && now > NOW.plus(Seconds::minutes(20 * 60)));
    assert_eq!(outcome(failed(), u32::MAX, now), Outcome::GaveUp { why: "no route".to_owned() });
}

#[test]
fn of_a_long_story_the_beginning_is_kept() {
    let Outcome::Later { why, .. } = outcome(Answered::Failed("é".repeat(1000)), 1, NOW) else { panic!() };
    assert_eq!(why.chars().count(), LONGEST_ERROR);
}
