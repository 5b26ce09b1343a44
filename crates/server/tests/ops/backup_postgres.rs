//! A database that PostgreSQL's own tools have put back to an earlier state, and what `regrant restore` makes of it.

use serde_json::{Value, json};

use crate::support::{CHROME, Client, EMAIL, FIREFOX, Home, PASSWORD, Server, cluster::Cluster};

const GRACE: &str = "grace@example.com";
const NEW_PASSWORD: &str = "the compiler, 1952, second edition";

#[track_caller]
fn sign_in_as(client: &Client, who: &str, password: &str) -> String {
    client.post("/session").json(&json!({"identifier": who, "password": password})).send().expect(200).cookie()
}

/// What `sql` says of the database of `home`.
fn ask(home: &Home, sql: &str) -> String {
    let place = home.place();
    Cluster::shared().sql(place.rsplit('/').next().unwrap(), sql).trim().to_owned()
}

/// Nobody was called a thief.
#[track_caller]
fn no_alarm(home: &Home) {
    let alarms = "SELECT (SELECT count(*) FROM events WHERE kind LIKE '%reused') + (SELECT count(*) FROM outbox)";
    assert_eq!(ask(home, alarms), "0");
}

fn sessions(home: &Home) -> Vec<Value> {
    home.regrant(&["--json", "session", "list"]).ok().json().as_array().unwrap().clone()
}

#[test]
fn a_database_from_a_backup_signs_everybody_out_unless_told_otherwise() {
    let home = Home::new().on_a_database();
    home.add_user(EMAIL, &[]);
    home.add_user(GRACE, &[]);
    let server = home.serve();
    let issuer = server.issuer.clone();
    let at = |server: &Server, number: u8| server.client_from([127, 9, 3, number], FIREFOX);
    let [quiet, once, often, leaves] = [1, 2, 3, 4].map(|number| at(&server, number).sign_in().1);
    let abroad = at(&server, 5).sign_in().1;
    let stolen = at(&server, 6).sign_in().1;
    let mut robbed = stolen.clone();
    for _ in 0..3 {
        robbed = at(&server, 6).renew(&robbed);
    }
    let graces = sign_in_as(&at(&server, 7), GRACE, PASSWORD);

    // The backup, put back into two databases of their own.
    let database = home.place();
    let (plain, keeping) = (Cluster::shared().copy(&database), Cluster::shared().copy(&database));

    // What nobody in them knows of.
    let once_newer = at(&server, 2).renew(&once);
    let mut often_newer = often.clone();
    for _ in 0..4 {
        often_newer = at(&server, 3).renew(&often_newer);
    }
    at(&server, 4).delete("/session").cookie(&leaves).send().expect(204);
    let abroad_newer = server.client_from([127, 77, 0, 1], CHROME).renew(&abroad);
    at(&server, 6).refresh(&stolen).over("reused");
    let change = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    at(&server, 7).post("/password").cookie(&graces).json(&change).send().expect(200);
    let late = at(&server, 8).sign_in().1;
    drop(server);

    // Nothing is prepared that is not the store of these keys.
    let restore = |home: &Home, more: &[&str]| home.regrant(&[&["--json", "restore"], more].concat());
    let safe = home.clone().on(&plain);
    restore(&safe, &["backup.dump"]).complains(2, &["PostgreSQL's own tools", "without a file"]);
    let empty = home.clone().on_a_database();
    restore(&empty, &[]).complains(2, &["no store"]);
    let foreign = Home::new().on_a_database();
    foreign.add_user(EMAIL, &[]);
    restore(&foreign.on(&plain), &[]).complains(2, &["key file", "cannot be used"]);
    Home::with_data(&Home::new(), "embedded").regrant(&["restore"]).complains(2, &["name the backup"]);

    // As it is by default: everybody is there, nobody is signed in, and nobody is called a thief.
    let told = restore(&safe, &[]).ok().json();
    assert_eq!(
        (&told["users"], &told["live_sessions"], &told["sessions_ended"]),
        (&json!(2), &json!(0), &json!(7)),
        "{told}"
    );
    assert!(told["newest"].is_string(), "{told}");
    assert_eq!(sessions(&safe), Vec::<Value>::new());
    let restored = safe.serve_with(&["--issuer", &issuer]);
    for token in [&quiet, &once, &once_newer, &often, &often_newer, &leaves, &abroad_newer, &stolen, &robbed, &graces] {
        at(&restored, 1).refresh(token).over("ended");
    }
    at(&restored, 8).refresh(&late).over("unknown");
    no_alarm(&safe);
    at(&restored, 1).sign_in();
    // What happened after the backup is undone, as the page says: this too.
    sign_in_as(&at(&restored, 7), GRACE, PASSWORD);
    drop(restored);

    // With the sessions: renewals heal or end, quietly, and who had signed out since is signed in again.
    let kept = home.clone().on(&keeping);
    let told = restore(&kept, &["--keep-sessions"]).ok();
    assert!(told.json()["sessions_revived"].is_null() && told.json()["live_sessions"] == 7, "{}", told.out);
    let restored = kept.serve_with(&["--issuer", &issuer]);
    at(&restored, 1).renew(&quiet);
    let healed = at(&restored, 2).renew(&once_newer);
    at(&restored, 2).renew(&healed);
    at(&restored, 3).refresh(&often_newer).over("ended");
    restored.client_from([127, 77, 0, 1], CHROME).refresh(&abroad_newer).over("ended");
    at(&restored, 4).renew(&leaves);
    at(&restored, 8).refresh(&late).over("unknown");
    no_alarm(&kept);
    // A thief is one still.
    at(&restored, 6).refresh(&stolen).over("reused");
}
