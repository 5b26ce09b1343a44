//! `regrant backup` and `restore`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::Value;

use crate::support::{Client, EMAIL, FaultyDisk, Home, Server, eventually};

fn back_up(home: &Home, name: &str) -> PathBuf {
    let file = home.path(name);
    home.regrant(&["backup", file.to_str().unwrap()]).ok();
    file
}

fn restoring<'a>(file: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["--json", "restore", file.to_str().unwrap()], more].concat()
}

/// Another data directory with the same keys, and nothing else.
fn elsewhere(home: &Home, name: &str) -> Home {
    let other = home.with_data(name);
    fs::create_dir(other.data()).unwrap();
    fs::copy(home.data().join("keys.toml"), other.data().join("keys.toml")).unwrap();
    other
}

fn users(home: &Home) -> Value {
    home.regrant(&["--json", "user", "export", "--password-hashes"]).ok().json()
}

fn sessions(home: &Home, more: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["--json", "session", "list"];
    arguments.extend(more);
    home.regrant(&arguments).ok().json().as_array().unwrap().clone()
}

fn names(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect()
}

/// Renews until told to stop. Every token that was acknowledged, oldest first.
fn carry_on(client: &Client, renewed: &AtomicUsize, stop: &AtomicBool) -> Vec<String> {
    let mut tokens = vec![client.sign_in().1];
    // More rotations of one grant in a minute are refused.
    while tokens.len() < 55 && !stop.load(Ordering::Relaxed) {
        tokens.push(client.renew(tokens.last().unwrap()));
        renewed.fetch_add(1, Ordering::Relaxed);
    }
    tokens
}

#[test]
fn a_backup_under_load_has_everything_and_lives_elsewhere() {
    let home = Home::with_user();
    home.regrant(&["role", "add", "editor"]).ok();
    home.add_user("bob@example.com", &["--role", "editor", "--claim", "name=Bob"]);
    let server = home.serve();
    let (quiet, quiet_token) = server.client().sign_in();
    let quiet = quiet.text("/session/id");
    let (renewed, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let file = home.path("backup.db");
    let (said, during, chains) = std::thread::scope(|scope| {
        let one = || carry_on(&server.client(), &renewed, &stop);
        let chains: Vec<_> = (0..6).map(|_| scope.spawn(one)).collect();
        eventually("the load is on", || (renewed.load(Ordering::Relaxed) > 30).then_some(()));
        let before = renewed.load(Ordering::Relaxed);
        let said = home.regrant(&["backup", file.to_str().unwrap()]).ok();
        let during = renewed.load(Ordering::Relaxed) - before;
        stop.store(true, Ordering::Relaxed);
        let chains: Vec<Vec<String>> = chains.into_iter().map(|chain| chain.join().unwrap()).collect();
        (said, during, chains)
    });
    assert!(during > 0, "renewals went on while the store was copied");
    assert!(said.out.contains("keys.toml") && said.out.contains("not in it"), "{}", said.out);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(home.path("").as_path(), ".regrant.db.backup-"), Vec::<PathBuf>::new());
    let secret = fs::read_to_string(home.data().join("keys.toml")).unwrap();
    let bytes = fs::read(&file).unwrap();
    for line in secret.lines().filter_map(|line| line.split('"').nth(1)) {
        assert!(!bytes.windows(line.len()).any(|window| window == line.as_bytes()), "a key is in the backup");
    }
    // Nothing is ever overwritten.
    home.regrant(&["backup", file.to_str().unwrap()]).complains(2, &["there already", "another file"]);
    assert_eq!(fs::read(&file).unwrap(), bytes);

    // Without its keys it is of no use, and nothing is made of it.
    let bare = home.with_data("bare");
    bare.regrant(&restoring(&file, &[])).complains(2, &["keys.toml", "missing"]);
    assert!(!bare.data().join("regrant.db").exists());
    let foreign = Home::with_user();
    let said = bare.regrant(&restoring(&file, &["--keys", foreign.data().join("keys.toml").to_str().unwrap()]));
    said.complains(2, &["key"]);
    assert!(!bare.data().join("regrant.db").exists());
    assert_eq!(names(bare.data(), "restore-"), Vec::<PathBuf>::new());

    // As it is by default: everybody is there, nobody is signed in.
    let safe = elsewhere(&home, "safe");
    let told = safe.regrant(&restoring(&file, &[])).ok().json();
    assert_eq!((&told["users"], &told["live_sessions"], &told["sessions_ended"]), (&2.into(), &0.into(), &7.into()));
    assert_eq!(told["kept"], Value::Null);
    assert_eq!(fs::metadata(safe.data().join("regrant.db")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(users(&safe), users(&home));
    assert_eq!(sessions(&safe, &[]), Vec::<Value>::new());
    let ended = sessions(&safe, &["--ended"]);
    assert_eq!(ended.len(), 7);
    assert!(ended.iter().all(|session| session["reason"] == "store_recovered"), "{ended:?}");
    let restored = safe.serve_with(&["--issuer", &server.issuer]);
    restored.client().refresh(&quiet_token).over("ended");
    for chain in &chains {
        restored.client().refresh(chain.last().unwrap()).over("ended");
    }
    restored.client().sign_in();

    // With the sessions: who was quiet goes on, and whoever renewed is there with all that was acknowledged before.
    let kept = elsewhere(&home, "kept");
    let told = kept.regrant(&restoring(&file, &["--keep-sessions"])).ok().json();
    assert_eq!((&told["live_sessions"], &told["sessions_revived"]), (&7.into(), &Value::Null));
    let alive = sessions(&kept, &[]);
    let generations: Vec<u64> = alive.iter().map(|session| session["generation"].as_u64().unwrap()).collect();
    assert!(generations.iter().sum::<u64>() > 30, "{generations:?}");
    assert!(alive.iter().any(|session| session["id"] == quiet.as_str() && session["generation"] == 1), "{alive:?}");
    let restored = kept.serve_with(&["--issuer", &server.issuer]);
    restored.client().renew(&quiet_token);
}

#[test]
fn a_restore_says_what_it_revives_keeps_what_was_there_and_can_be_undone() {
    let home = Home::with_user();
    let mut server = home.serve();
    let issuer = server.issuer.clone();
    let (_, stays) = server.client().sign_in();
    let (_, leaves) = server.client().sign_in();
    let file = back_up(&home, "backup.db");
    server.client().delete("/session").cookie(&leaves).send().expect(204);
    home.add_user("later@example.com", &[]);
    // Never beside a server.
    home.regrant(&restoring(&file, &[])).complains(1, &["in use"]);
    server.client().renew(&stays);
    let before = users(&home);
    // What is kept has the tail of its log, too.
    server.kill();
    assert!(home.data().join("regrant.db-wal").exists());

    let said = home.regrant(&["restore", file.to_str().unwrap(), "--keep-sessions"]).ok();
    assert!(said.out.contains("1 of them had ended") && said.out.contains("before-restore-"), "{}", said.out);
    let mut server = home.serve_with(&["--issuer", &issuer]);
    server.client().renew(&leaves);
    server.stop();
    assert_eq!(users(&home).as_array().unwrap().len(), 1);
    let [kept] = names(home.data(), "regrant.db.before-restore-").try_into().expect("one store is kept");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let checked = home.regrant(&["config", "check"]).ok();
    assert!(checked.out.contains(kept.file_name().unwrap().to_str().unwrap()), "{}", checked.out);

    // The kept one is a backup like any other.
    let told = home.regrant(&restoring(&kept, &["--keep-sessions"])).ok().json();
    assert_eq!((&told["users"], &told["live_sessions"]), (&2.into(), &1.into()));
    assert_eq!(users(&home), before);
    let server = home.serve_with(&["--issuer", &issuer]);
    server.client().refresh(&leaves).over("signed_out");
    assert_eq!(names(home.data(), "regrant.db.before-restore-").len(), 2);
}

#[test]
fn what_is_no_backup_changes_nothing() {
    let home = Home::with_user();
    let before = users(&home);
    let good = back_up(&home, "good.db");
    let bad = home.path("bad.db");
    home.regrant(&restoring(&home.path("nowhere.db"), &[]))
        .complains(2, &["nowhere.db", "No such file", "regrant backup"]);
    fs::write(&bad, "").unwrap();
    home.regrant(&restoring(&bad, &[])).complains(2, &["not a Regrant store"]);
    fs::write(&bad, "this is not a store at all, whatever its name says").unwrap();
    home.regrant(&restoring(&bad, &[])).complains(2, &["not a Regrant store"]);
    fs::remove_file(&bad).unwrap();
    rusqlite::Connection::open(&bad).unwrap().execute_batch("CREATE TABLE users (id BLOB)").unwrap();
    home.regrant(&restoring(&bad, &[])).complains(2, &["another program"]);
    let mut bytes = fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x55);
    fs::write(&bad, &bytes).unwrap();
    home.regrant(&restoring(&bad, &[])).complains(2, &["bad.db", "cannot be restored"]);
    home.regrant(&restoring(&home.data().join("regrant.db"), &[])).complains(2, &["the store itself"]);
    home.regrant(&["backup", "/nowhere/backup.db"]).complains(2, &["/nowhere/backup.db", "no directory /nowhere;"]);
    home.regrant(&restoring(&home.path(""), &[])).complains(2, &["is no file", "regrant backup"]);
    home.with_data("nothing").regrant(&["backup", "x.db"]).complains(2, &["no store"]);
    assert_eq!(users(&home), before);
    assert_eq!(names(home.data(), "regrant.db"), [home.data().join("regrant.db")]);
    assert_eq!(names(home.data(), "restore-"), Vec::<PathBuf>::new());
}

#[test]
fn a_damaged_store_is_replaced_and_kept() {
    let home = Home::with_user();
    let before = users(&home);
    let file = back_up(&home, "backup.db");
    fs::write(home.data().join("regrant.db"), "damaged".repeat(2000)).unwrap();
    home.regrant(&["user", "list"]).complains(2, &["restore a backup"]);
    fs::write(home.data().join("regrant.db-wal"), "as well").unwrap();
    home.regrant(&restoring(&file, &["--keep-sessions"])).ok();
    assert_eq!(users(&home), before);
    let kept = names(home.data(), "regrant.db.before-restore-");
    assert_eq!(kept.len(), 2, "the store and its log: {kept:?}");
    assert!(!home.data().join("regrant.db-wal").exists());
}

#[test]
fn what_the_disk_does_not_keep_is_not_said_to_be_done() {
    let mut home = Home::with_user();
    let before = users(&home);
    let good = back_up(&home, "good.db");
    let disk = FaultyDisk::of(&mut home);
    let file = home.path("backup.db");
    for switch in [FaultyDisk::set_sync_fails, FaultyDisk::set_full] {
        switch(&disk, true);
        let said = home.regrant(&["backup", file.to_str().unwrap()]);
        assert!(said.code != Some(0) && !said.err.contains("panicked"), "{said:?}");
        assert!(!file.exists() && names(&home.path(""), ".regrant.db.backup-").is_empty(), "{said:?}");
        let said = home.regrant(&restoring(&good, &[]));
        assert!(said.code != Some(0) && !said.err.contains("panicked"), "{said:?}");
        switch(&disk, false);
        assert_eq!(users(&home), before);
    }
    home.regrant(&restoring(&good, &[])).ok();
    assert_eq!(names(home.data(), "restore-"), Vec::<PathBuf>::new());
    back_up(&home, "backup.db");
}

/// A store that takes a while to copy.
fn large() -> Home {
    let home = Home::with_user();
    let filler = "x".repeat(1000);
    let lines: Vec<String> = (0..8000)
        .map(|number| format!(r#"{{"email":"user{number}@example.com","claims":{{"filler":"{filler}"}}}}"#))
        .collect();
    home.regrant_reading(&["user", "import", "-"], lines.join("\n")).ok();
    home
}

/// Kills a command once `probe` sees what it waits for; whether it was before its end.
fn kill_when(mut child: Child, mut probe: impl FnMut() -> bool) -> bool {
    let ended = eventually("the moment comes", || match child.try_wait().unwrap() {
        Some(_) => Some(true),
        None => probe().then_some(false),
    });
    let _ = child.kill();
    let _ = child.wait();
    !ended
}

fn start(home: &Home, arguments: &[&str]) -> Child {
    home.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_backup_that_is_killed_leaves_no_backup_and_the_next_one_clears_away_what_it_left() {
    let home = large();
    let mut killed = 0;
    for size in [0, 1, 1 << 20, 4 << 20, 8 << 20, 10 << 20] {
        let place = home.path(&format!("backups-{size}"));
        fs::create_dir(&place).unwrap();
        let file = place.join("killed.db");
        let reached = || {
            let drafts = names(&place, ".regrant.db.backup-");
            drafts.iter().any(|draft| fs::metadata(draft).is_ok_and(|metadata| metadata.len() >= size))
        };
        let early = kill_when(start(&home, &["backup", file.to_str().unwrap()]), reached);
        killed += usize::from(early);
        if file.exists() {
            let other = elsewhere(&home, &format!("data-{size}"));
            assert_eq!(other.regrant(&restoring(&file, &[])).ok().json()["users"], 8001);
        }
        back_up(&home, &format!("backups-{size}/next.db"));
        assert_eq!(names(&place, ".regrant.db.backup-"), Vec::<PathBuf>::new());
    }
    assert!(killed >= 2, "it was killed in the middle {killed} times");
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_store_or_the_new_one() {
    let large = large();
    let file = back_up(&large, "backup.db");
    let other = elsewhere(&large, "other");
    other.add_user(EMAIL, &[]);
    let old = users(&other);
    type Probe = fn(&Path) -> bool;
    let staged = |data: &Path, name: &str| names(data, "restore-").iter().any(|staging| staging.join(name).exists());
    let moments: [(&str, Probe); 6] = [
        ("it began", |data| !names(data, "restore-").is_empty()),
        ("something is copied", |data| {
            let staging = names(data, "restore-");
            staging
                .iter()
                .any(|staging| fs::metadata(staging.join("regrant.db")).is_ok_and(|file| file.len() > 1 << 20))
        }),
        ("the copy is opened", |data| names(data, "restore-").iter().any(|staging| staging.join("lock").exists())),
        ("its log is there", |data| {
            names(data, "restore-").iter().any(|staging| staging.join("regrant.db-wal").exists())
        }),
        ("the old one is kept", |data| !names(data, "regrant.db.before-restore-").is_empty()),
        ("it ended", |_| false),
    ];
    let mut killed = 0;
    for (what, probe) in moments {
        let child = start(&other, &["restore", file.to_str().unwrap()]);
        let early = kill_when(child, || probe(other.data()));
        killed += usize::from(early);
        let found = users(&other);
        let replaced = found.as_array().unwrap().len() == 8001;
        assert!(replaced || found == old, "{what}: {} users", found.as_array().unwrap().len());
        let kept = names(other.data(), "regrant.db.before-restore-");
        assert!(!replaced || kept.len() == 1, "{what}: {kept:?}");
        if replaced {
            // Back to the old one for the next moment.
            other.regrant(&restoring(&kept[0], &["--keep-sessions"])).ok();
        }
        for kept in names(other.data(), "regrant.db.before-restore-") {
            fs::remove_file(kept).unwrap();
        }
        assert_eq!(users(&other), old, "{what}");
    }
    assert!(killed >= 3, "it was killed in the middle {killed} times");
    other.regrant(&restoring(&file, &[])).ok();
    assert!(!staged(other.data(), ""), "what was left behind is cleared away");
    let mut server: Server = other.serve();
    server.stop();
}
