//! A job with offline access runs once a week for twelve simulated weeks. Keys of both kinds rotate, replies are lost, the server
//! restarts and dies, and the person who allowed it signs out in the first week. Nobody is ever asked again.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    browser::location,
    support::{MovedClock, eventually},
    world::{App, CALLBACK, World},
};

const MINUTE: i64 = 60;
const WEEK: i64 = 7 * 24 * 60 * MINUTE;

/// What a job keeps on its disk: one token.
struct Job {
    app: App,
    token: String,
}

impl Job {
    /// Renews, and has the answer.
    #[track_caller]
    fn renew(&mut self) -> Value {
        let tokens = self.app.refresh(&self.token).expect(200).json();
        tokens["refresh_token"].as_str().expect("a refresh token").clone_into(&mut self.token);
        tokens
    }

    /// Renews, and the answer is lost on the way: what would have been the next token.
    #[track_caller]
    fn renew_and_lose_the_reply(&self) -> Value {
        self.app.refresh(&self.token).expect(200).json()["refresh_token"].clone()
    }
}

#[test]
fn a_weekly_job_never_needs_a_person() {
    let mut clock = None;
    let mut world = World::with(|home| {
        home.set("REGRANT_KEYS__ROTATE_EVERY", "28d");
        clock = Some(MovedClock::of(home));
    });
    let clock = clock.unwrap();
    // Beside the confidential application one that can keep no secret: an old token of its would be a theft.
    let native = ["client", "add", "--id", "report", "--type", "public", "--kind", "native", "--first-party"];
    let native = [&native[..], &["--redirect-uri", CALLBACK, "--scope", "openid email offline_access"]].concat();
    world.server.regrant(&native).ok();
    let mut browser = world.browser();
    let offline = world.shop_tokens(&mut browser, &[("scope", "openid email offline_access")]);
    let asked = [("client_id", "report"), ("redirect_uri", CALLBACK), ("scope", "openid email offline_access")];
    let code = world.code(&mut browser, "shop", &asked);
    let report = world.public("report");
    let verifier = ("code_verifier", crate::world::VERIFIER);
    let granted = report.redeem_with(&code, &[("redirect_uri", CALLBACK), verifier]).expect(200).json();
    let token_of = |tokens: &Value| tokens["refresh_token"].as_str().unwrap().to_owned();
    let mut jobs =
        [Job { app: world.shop(), token: token_of(&offline) }, Job { app: report, token: token_of(&granted) }];

    // The person goes, and the job goes on.
    let bye = location(&browser.get("/oauth2/logout"));
    let request = bye.split_once("request=").unwrap().1.to_owned();
    browser.post("/logout", &[("request", &request)]).expect(200);

    let (mut signers, mut lost) = (BTreeSet::new(), Vec::<Value>::new());
    for week in 1..=12 {
        clock.set(week * WEEK);
        match week {
            // Somebody rotates; the successor signs once verifiers have had the time to read it.
            3 | 10 => {
                let before = signing(&world);
                world.server.regrant(&["key", "rotate"]).ok();
                clock.set(week * WEEK + 11 * MINUTE);
                eventually("the new key signs", || (signing(&world) != before).then_some(()));
            }
            2 | 5 | 11 => drop(world.server.regrant(&["key", "rotate", "--kind", "refresh"]).ok()),
            4 => restart(&mut world, |world| assert!(world.server.stop().success())),
            9 => restart(&mut world, |world| world.server.kill()),
            // Nobody does anything: the key is old enough to go by itself.
            8 => {
                let before = signing(&world);
                eventually("the next key is published", || (published(&world) > 1).then_some(()));
                clock.set(week * WEEK + 11 * MINUTE);
                eventually("the next key signs", || (signing(&world) != before).then_some(()));
            }
            _ => {}
        }
        // The job of last week lost its reply and has not run since: it comes with the token that it has.
        let missed = std::mem::take(&mut lost);
        for (index, job) in jobs.iter_mut().enumerate() {
            if week == 6 {
                lost.push(job.renew_and_lose_the_reply());
                continue;
            }
            // Lost twice in one run, and tried again at once.
            if matches!(week, 2 | 4 | 9 | 10) {
                let next = job.renew_and_lose_the_reply();
                assert_eq!(next, job.renew_and_lose_the_reply(), "one successor, week {week}");
            }
            let tokens = job.renew();
            if let Some(missed) = missed.get(index) {
                assert_eq!(*missed, job.token, "the successor of last week");
            }
            assert_eq!(tokens["scope"], "openid email offline_access");
            let access = tokens["access_token"].as_str().unwrap();
            // An API that knows the published keys believes it, and userinfo does.
            let claims = world.verified(access, &world.server.issuer);
            assert_eq!(
                (claims.get("sid"), claims["exp"].as_i64()),
                (None, Some(claims["iat"].as_i64().unwrap() + 900))
            );
            assert_eq!(job.app.userinfo(access).expect(200).json()["email"], crate::support::EMAIL);
            signers.insert(world.header(access)["kid"].as_str().unwrap().to_owned());
        }
    }
    assert!(signers.len() >= 4, "three rotations at least: {signers:?}");
    let refresh_keys = world.server.regrant(&["--json", "key", "list", "--kind", "refresh"]).ok().json();
    assert_eq!(refresh_keys.as_array().unwrap().len(), 4, "{refresh_keys}");
    for job in &jobs {
        let explained = world.server.regrant_reading(&["--json", "explain", "-"], &job.token).ok().json();
        assert_eq!(explained["state"], json!("alive"), "{explained}");
    }
}

/// The same address and name, as a service has them.
fn restart(world: &mut World, end: impl FnOnce(&mut World)) {
    let (address, issuer) = (world.server.address.to_string(), world.server.issuer.clone());
    end(world);
    world.server = world.server.serve_with(&["--listen", &address, "--issuer", &issuer]);
}

fn keys(world: &World) -> Vec<Value> {
    let listed = world.server.regrant(&["--json", "key", "list", "--kind", "signing"]).ok().json();
    listed.as_array().unwrap().iter().filter(|key| key["algorithm"] == "ES256").cloned().collect()
}

/// The key that signs access tokens.
fn signing(world: &World) -> String {
    let keys = keys(world);
    let active = keys.iter().find(|key| key["state"] == "active").expect("a key signs");
    active["id"].as_str().unwrap().to_owned()
}

/// How many keys verifiers know that are not going.
fn published(world: &World) -> usize {
    keys(world).iter().filter(|key| key["state"] == "active" || key["state"] == "published").count()
}
