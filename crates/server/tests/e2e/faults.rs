//! A broken machine or a wrong configuration: each a clear sentence that says how to mend it, the right exit code, and
//! nothing half-written.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use crate::support::{EMAIL, FaultyDisk, Home, PASSWORD, eventually};

/// Every file below `directory` with what it holds.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let entry = entry.unwrap();
        // The lock names the last process; it is no data.
        if entry.file_name() != "lock" && entry.file_type().unwrap().is_file() {
            found.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// A home whose server has run and stopped: a user, and a session with this token.
fn used() -> (Home, String) {
    let mut server = Home::with_user().serve();
    let (_, token) = server.client().sign_in();
    assert_eq!(server.stop().code(), Some(0));
    (Home::clone(&server), token)
}

/// The server does not start and changes nothing; every command that needs the store says the same.
#[track_caller]
fn refuses_untouched(home: &Home, code: i32, words: &[&str]) {
    let before = contents(home.data());
    let served = home.serve_in_vain(&[]).complains(code, words);
    assert_eq!(served.out, "", "it never said that it listens");
    assert!(served.err.starts_with("regrant: "), "{}", served.err);
    assert_eq!(served.err.lines().count(), 1, "one sentence: {}", served.err);
    home.regrant(&["user", "list"]).complains(code, words);
    assert_eq!(contents(home.data()), before, "nothing was written");
}

#[test]
fn a_store_whose_key_file_is_missing_does_not_start_and_gets_no_new_one() {
    let (home, token) = used();
    let (keys, aside) = (home.data().join("keys.toml"), home.path("aside.toml"));
    fs::rename(&keys, &aside).unwrap();
    refuses_untouched(&home, 2, &["key file", "keys.toml is missing", "backup", "--keys"]);
    // As the sentence says.
    let server = home.serve_with(&["--keys", aside.to_str().unwrap()]);
    server.client().renew(&token);
    drop(server);
    fs::rename(&aside, &keys).unwrap();
    home.serve();
}

#[test]
fn a_store_with_another_stores_key_file_does_not_start() {
    let ((home, token), (other, _)) = (used(), used());
    let keys = home.data().join("keys.toml");
    let own = fs::read(&keys).unwrap();
    let strange = fs::read_to_string(other.data().join("keys.toml")).unwrap();
    fs::write(&keys, &strange).unwrap();
    refuses_untouched(&home, 2, &["refresh key 1", "another one", "ut back the right key file"]);
    // A file in which the used key is missing.
    fs::write(&keys, strange.replace("id = 1", "id = 2").replace("active = 1", "active = 2")).unwrap();
    refuses_untouched(&home, 2, &["no refresh key 1", "ut back the"]);
    // The right refresh key with another sealing key: the signing keys cannot be opened.
    let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let own_text = String::from_utf8(own.clone()).unwrap();
    fs::write(&keys, own_text.replace(&line(&own_text, "sealing"), &line(&strange, "sealing"))).unwrap();
    let before = contents(home.data());
    let said = home.serve_in_vain(&[]);
    assert!(matches!(said.code, Some(1 | 2)), "{said:?}");
    assert!(said.err.contains("key") && !said.err.contains("panicked"), "{}", said.err);
    assert_eq!(contents(home.data()), before, "nothing was written");
    fs::write(&keys, own).unwrap();
    home.serve().client().renew(&token);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let (home, _) = used();
    let keys = home.data().join("keys.toml");
    for mode in [0o644, 0o640, 0o604, 0o666] {
        fs::set_permissions(&keys, fs::Permissions::from_mode(mode)).unwrap();
        refuses_untouched(&home, 2, &["keys.toml", "read by others", "chmod 600"]);
    }
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o400)).unwrap();
    home.serve();
}

#[test]
fn a_damaged_key_file_is_refused_without_showing_a_secret() {
    let (home, _) = used();
    let keys = home.data().join("keys.toml");
    let own = fs::read_to_string(&keys).unwrap();
    let secrets: Vec<&str> = own.split('"').filter(|part| part.len() == 43).collect();
    assert_eq!(secrets.len(), 2, "the file has two secrets");
    let half = &secrets[0][..20];
    for (damage, text) in [
        ("cut off", own[..own.len() / 2].to_owned()),
        ("empty", String::new()),
        ("a quote is missing", own.replace(&format!("{}\"", secrets[0]), secrets[0])),
        ("a secret is short", own.replace(secrets[0], half)),
        ("a secret is not base64url", own.replace(secrets[1], &secrets[1].replace(&secrets[1][..1], "!"))),
        ("no refresh key", own.split("[[refresh]]").next().unwrap().to_owned()),
        ("an unknown entry", format!("{own}\nmaster = \"{}\"\n", secrets[1])),
        ("the same id twice", format!("{own}\n[[refresh]]\nid = 1\nsecret = \"{}\"\n", secrets[0])),
        ("an id that is too large", own.replace("id = 1", "id = 256")),
    ] {
        fs::write(&keys, text).unwrap();
        let said = home.serve_in_vain(&[]).complains(2, &["keys.toml", "damaged", "restore it"]);
        for secret in &secrets {
            assert!(!said.err.contains(&secret[..12]), "{damage}: the error shows a secret: {}", said.err);
        }
    }
    fs::write(&keys, [0xff, 0xfe, 0x00]).unwrap();
    home.serve_in_vain(&[]).complains(2, &["keys.toml"]);
    // Of a pipe nobody may ever write the end: a start must not wait for it.
    let aside = home.path("aside");
    fs::rename(&keys, &aside).unwrap();
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&keys).status().unwrap().success());
    home.serve_in_vain(&[]).complains(2, &["keys.toml", "no file", "backup"]);
    fs::rename(&aside, &keys).unwrap();
    fs::write(&keys, own).unwrap();
    home.serve();
}

#[test]
fn a_data_directory_that_cannot_be_made_is_a_clear_error() {
    let home = Home::new();
    fs::write(home.path("file"), "not a directory").unwrap();
    home.with_data("file").serve_in_vain(&[]).complains(2, &["file", "Not a directory", "--data"]);
    home.with_data("file").regrant(&["user", "list"]).complains(2, &["file", "Not a directory"]);
    home.with_data("file/below").serve_in_vain(&[]).complains(2, &["data directory", "file/below", "--data"]);
    // Nobody, root either, makes files there.
    home.with_data("/proc/regrant")
        .serve_in_vain(&[])
        .complains(2, &["cannot make the data directory", "/proc/regrant"]);
    home.with_data("/sys/kernel").serve_in_vain(&[]).complains(2, &["/sys/kernel"]);
    home.with_data("/proc/regrant")
        .regrant_reading(&["user", "add", EMAIL, "--password-stdin"], PASSWORD)
        .complains(2, &["/proc/regrant"]);
}

#[test]
fn a_command_on_a_mistyped_directory_makes_nothing() {
    let home = Home::new().with_data("mistyped");
    for arguments in [
        &["user", "list"][..],
        &["session", "list"],
        &["role", "list"],
        &["explain", "ses_0190a2b4c6d87e8f9a0b1c2d3e4f5061"],
    ] {
        home.regrant(arguments).complains(2, &["there is no store in", "mistyped", "--data"]);
    }
    assert!(!home.data().exists());
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let (home, _) = used();
    let file = home.data().join("regrant.db");
    let own = fs::read(&file).unwrap();
    for (damage, bytes) in [
        ("garbage at the beginning", [&b"garbage, and not what SQLite wrote"[..], &own[34..]].concat()),
        ("no database at all", b"<html>404</html>".repeat(300)),
    ] {
        fs::write(&file, bytes).unwrap();
        let before = contents(home.data());
        let said = home.serve_in_vain(&[]).complains(2, &["regrant.db", "damaged", "restore a backup"]);
        assert!(!said.err.contains("listening"), "{damage}");
        assert_eq!(contents(home.data()), before, "{damage}: nothing was written");
    }
    fs::write(&file, own).unwrap();
    home.serve();
}

#[test]
fn an_empty_store_file_is_refused_and_not_begun_anew() {
    let (home, _) = used();
    let file = home.data().join("regrant.db");
    fs::write(&file, "").unwrap();
    home.serve_in_vain(&[]).complains(2, &["regrant.db", "is empty", "restore a backup"]);
    assert_eq!(fs::metadata(&file).unwrap().len(), 0, "it was left alone");
    // Nor is a directory of its name: "chmod 600" would be the wrong advice.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    home.serve_in_vain(&[]).complains(2, &["regrant.db", "is no file", "restore a backup"]);
}

#[test]
fn what_others_could_write_or_read_is_refused() {
    let (home, token) = used();
    let (directory, file) = (home.data().to_owned(), home.data().join("regrant.db"));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&directory, 0o777);
    home.serve_in_vain(&[]).complains(2, &["777", "chmod 700"]);
    mode(&directory, 0o700);
    mode(&file, 0o644);
    home.serve_in_vain(&[]).complains(2, &["regrant.db", "644", "chmod 600"]);
    mode(&file, 0o600);
    home.serve().client().renew(&token);
}

#[test]
fn a_link_in_place_of_the_lock_writes_to_nobodys_file() {
    let (home, _) = used();
    let (lock, victim) = (home.data().join("lock"), home.path("victim"));
    fs::write(&victim, "precious").unwrap();
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink(&victim, &lock).unwrap();
    home.serve_in_vain(&[]).complains(2, &["cannot lock"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_first_start_that_was_killed_is_begun_anew() {
    let home = Home::new();
    fs::create_dir_all(home.data()).unwrap();
    fs::set_permissions(home.data(), fs::Permissions::from_mode(0o700)).unwrap();
    for left in ["regrant.db.new", "regrant.db.new-wal"] {
        fs::write(home.data().join(left), "half of a store").unwrap();
    }
    home.serve().client().get("/health/ready").send().expect(200);
    assert!(!home.data().join("regrant.db.new").exists());
}

#[test]
fn a_store_that_is_damaged_in_the_middle_serves_no_wrong_answer() {
    let (home, token) = used();
    let file = home.data().join("regrant.db");
    let mut store = fs::OpenOptions::new().read(true).write(true).open(&file).unwrap();
    let length = store.metadata().unwrap().len();
    // Every page but the first, at places where trees keep their cells' addresses.
    for page in 1..length / 4096 {
        store.seek(SeekFrom::Start(page * 4096)).unwrap();
        store.write_all(&[0xA5; 64]).unwrap();
    }
    drop(store);
    let before = fs::read(&file).unwrap();
    let said = home.serve_in_vain(&[]);
    assert!(matches!(said.code, Some(1 | 2)), "{said:?}");
    assert!(said.err.contains("damaged") && said.err.contains("restore a backup"), "{}", said.err);
    assert!(!said.err.contains("panicked") && !said.err.contains(&token), "{}", said.err);
    assert_eq!(fs::read(&file).unwrap(), before, "nothing was written");
}

#[test]
fn a_database_of_another_program_is_not_touched() {
    let (home, _) = used();
    let file = home.data().join("regrant.db");
    fs::write(&file, another_programs_database()).unwrap();
    refuses_untouched(&home, 2, &["regrant.db", "another program"]);
    // Without a key file beside it, too.
    fs::remove_file(home.data().join("keys.toml")).unwrap();
    refuses_untouched(&home, 2, &[]);
}

/// The smallest database with one table, written by hand (https://sqlite.org/fileformat2.html).
fn another_programs_database() -> Vec<u8> {
    let sql = b"CREATE TABLE diary(entry)";
    let mut record = vec![7, 23, 23, 23, 1, 13 + 2 * sql.len() as u8];
    record[0] = record.len() as u8;
    record.extend(b"tablediarydiary");
    record.push(2);
    record.extend(sql);
    let mut cell = vec![record.len() as u8, 1];
    cell.extend(record);
    let mut first = vec![0; 512];
    first[..16].copy_from_slice(b"SQLite format 3\0");
    first[16..24].copy_from_slice(&[2, 0, 1, 1, 0, 64, 32, 32]);
    first[24..32].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
    first[40..48].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 4]);
    first[56..60].copy_from_slice(&[0, 0, 0, 1]);
    first[92..96].copy_from_slice(&[0, 0, 0, 1]);
    let at = 512 - cell.len();
    first[at..].copy_from_slice(&cell);
    let at = (at as u16).to_be_bytes();
    first[100..110].copy_from_slice(&[13, 0, 0, 0, 1, at[0], at[1], 0, at[0], at[1]]);
    let mut second = vec![0; 512];
    second[..8].copy_from_slice(&[13, 0, 0, 0, 0, 2, 0, 0]);
    [first, second].concat()
}

#[test]
fn a_second_server_on_one_directory_is_refused_and_the_first_goes_on() {
    let server = Home::with_user().serve();
    let (_, token) = server.client().sign_in();
    let process = server.id().to_string();
    server.serve_in_vain(&[]).complains(1, &["in use by another regrant process", &process, "--data"]);
    server.client().renew(&token);
    server.regrant(&["user", "list"]).ok();
}

#[test]
fn a_port_that_is_taken_is_a_clear_error_and_leaves_a_directory_that_works() {
    let server = Home::new().serve();
    let taken = server.address.to_string();
    let home = Home::new();
    let mut command = home.command(&["serve", "--listen", &taken]);
    let said = command.output().unwrap();
    let err = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(1), "{err}");
    assert!(err.contains(&taken) && err.contains("in use") && err.contains("--listen"), "{err}");
    home.serve();
    for wrong in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "192.0.2.1:80"] {
        let said = home.command(&["serve", "--listen", wrong]).output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(matches!(said.status.code(), Some(1 | 2)), "{wrong}: {err}");
        assert!(err.contains(wrong) && err.contains("--listen") && !err.contains("panicked"), "{err}");
    }
}

#[test]
fn a_wrong_configuration_is_named_with_its_place() {
    let home = Home::new();
    for (text, words) in [
        ("[server]\nlisten_on = \"127.0.0.1:1\"\n", &["regrant.toml", "listen_on"][..]),
        ("[sever]\n", &["regrant.toml", "sever"]),
        ("[tokens]\naccess_lifetime = \"soon\"\n", &["soon", "length of time", "15m"]),
        ("[tokens]\naccess_lifetime = [15]\n", &["regrant.toml"]),
        ("[tokens]\naccess_lifetime = \"2d\"\n", &["tokens.access_lifetime", "at most a day"]),
        ("[session]\nper_user = \"many\"\n", &["regrant.toml"]),
        ("[session]\nper_user = 0\n", &["session.per_user", "more than 0"]),
        ("[session]\nreplay = \"lax\"\n", &["regrant.toml"]),
        ("[session]\nsame_site = \"none\"\n", &["none", "strict", "lax"]),
        ("[passwords]\nmemory_kib = 1\n", &["memory_kib", "8192"]),
        (
            "[server]\nallowed_origins = [\"https://app.example.com/\"]\n",
            &["allowed_origins", "https://app.example.com"],
        ),
        ("[log]\nlevel = \"lo=ud=er\"\n", &["log.level"]),
        ("server = 1\n", &["regrant.toml"]),
        ("this is not TOML", &["regrant.toml", "not TOML", "line 1"]),
    ] {
        let file = home.path("regrant.toml");
        fs::write(&file, text).unwrap();
        let mut bare = home.clone();
        if text.contains("memory_kib") {
            // The environment is laid over the file, and would mend it.
            bare = Home::new();
            fs::write(bare.path("regrant.toml"), text).unwrap();
            let mut command = bare.command(&["serve", "--listen", "127.0.0.1:0"]);
            command.env_remove("REGRANT_PASSWORDS__MEMORY_KIB");
            let said = command.output().unwrap();
            let err = String::from_utf8_lossy(&said.stderr);
            assert_eq!(said.status.code(), Some(2), "{err}");
            assert!(words.iter().all(|word| err.contains(word)), "{err}");
        } else {
            let said = bare.serve_in_vain(&["--config", file.to_str().unwrap()]).complains(2, words);
            assert_eq!(said.out, "");
        }
        assert!(!bare.data().exists(), "{text}: nothing was made");
    }
    home.serve_in_vain(&["--config", "/nowhere/regrant.toml"]).complains(2, &["cannot read /nowhere/regrant.toml"]);
    for (name, value, word) in [
        ("REGRANT_SESSION__PER_USR", "5", "per_usr"),
        ("REGRANT_SESION__PER_USER", "5", "sesion"),
        ("REGRANT_SESSION__PER_USER", "five", "environment"),
    ] {
        fs::remove_file(home.path("regrant.toml")).ok();
        let mut home = home.clone();
        home.set(name, value);
        home.serve_in_vain(&[]).complains(2, &[word]);
        assert!(!home.data().exists(), "{name}: nothing was made");
    }
}

#[test]
fn a_wrong_replay_policy_is_named_with_the_right_ones() {
    let mut home = Home::new();
    home.set("REGRANT_SESSION__REPLAY", "lax");
    home.serve_in_vain(&[]).complains(2, &["lax", "balanced", "strict"]);
}

#[test]
fn an_issuer_that_cannot_be_one_is_refused_before_anything_is_made() {
    let home = Home::new();
    for (issuer, why) in [
        ("http://id.example.com", "loopback"),
        ("ftp://id.example.com", "https://"),
        ("id.example.com", "https://"),
        ("https://id.example.com/tenant", "behind the host"),
        ("https://id.example.com?x", "behind the host"),
        ("https://id.example.com#x", "behind the host"),
        ("https://ada@id.example.com", "user name"),
        ("https://", ""),
        ("", ""),
    ] {
        home.serve_in_vain(&["--issuer", issuer]).complains(2, &["issuer", why, "https://"]);
        assert!(!home.data().exists(), "{issuer}: nothing was made");
    }
    home.serve_in_vain(&["--listen", "0.0.0.0:0"]).complains(2, &[]);
}

#[test]
fn an_address_that_others_reach_needs_an_issuer() {
    let home = Home::new();
    let said = home.command(&["serve", "--listen", "0.0.0.0:0"]).output().unwrap();
    let err = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(2), "{err}");
    assert!(err.contains("--issuer"), "{err}");
}

#[test]
fn another_issuer_is_refused_while_people_are_signed_in_unless_it_is_meant() {
    let (home, token) = used();
    let before = contents(home.data());
    let new = "https://id.example.com";
    home.serve_in_vain(&["--issuer", new]).complains(1, &["signed in", new, "--change-issuer"]);
    // Opening checks the key file against the store; no row of it changes.
    assert_eq!(contents(home.data()).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let mut server = home.serve();
    let token = server.client().renew(&token);
    assert_eq!(server.stop().code(), Some(0));

    let mut server = home.serve_with(&["--issuer", new, "--change-issuer"]);
    assert_eq!(server.issuer, new);
    let client = server.client().with_cookie("__Host-Http-regrant");
    client.refresh(&token).over("unknown");
    client.sign_in();
    assert_eq!(server.stop().code(), Some(0));
    // It is the store's own from now on.
    let server = home.serve();
    assert_eq!(server.issuer, new);
}

#[test]
fn a_full_disk_refuses_for_a_while_and_loses_nobody() {
    let mut home = Home::with_user();
    let disk = FaultyDisk::of(&mut home);
    let mut server = home.serve();
    let client = server.client();
    let (_, token) = client.sign_in();
    let token = client.renew(&token);

    disk.set_full(true);
    let refused = client.refresh(&token).refused(503, "unavailable", None);
    assert!(refused.text("/detail").contains("same token"), "{}", refused.text("/detail"));
    assert_eq!(refused.set_cookie(), None);
    let asked = serde_json::json!({"identifier": EMAIL, "password": PASSWORD});
    client.post("/session").json(&asked).send().refused(503, "unavailable", None);
    client.get("/health/live").send().expect(200);
    let listed = server.regrant(&["session", "list"]).ok();
    assert!(listed.out.contains(EMAIL), "reading goes on: {}", listed.out);
    let said =
        server.regrant_reading(&["user", "add", "grace@example.com", "--password-stdin"], PASSWORD).ended_with(1);
    assert!(said.err.contains("disk is full"), "{}", said.err);
    assert!(server.is_running());
    assert!(server.log().contains("the disk is full: free space"), "{}", server.log());

    disk.set_full(false);
    client.get("/health/ready").send().expect(200);
    let next = client.renew(&token);
    client.renew(&next);
    server.add_user("grace@example.com", &[]);
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(home.serve().regrant(&["--json", "session", "list"]).ok().json().as_array().unwrap().len(), 1);
}

#[test]
fn a_disk_that_fails_to_sync_ends_the_process_and_nothing_unsaved_was_acknowledged() {
    let mut home = Home::with_user();
    let disk = FaultyDisk::of(&mut home);
    let mut server = home.serve();
    let client = server.client();
    let (_, token) = client.sign_in();
    let last = client.renew(&token);
    let (_, other) = client.sign_in();

    disk.set_sync_fails(true);
    let answer = client.post("/session/refresh").cookie(&last).try_send();
    assert!(answer.as_ref().map_or(true, |answer| answer.status >= 500), "acknowledged: {answer:?}");
    let status = server.wait();
    assert_eq!(status.code(), Some(1));
    let log = server.log();
    assert!(log.contains("stopping, because what the disk holds is not known any more"), "{log}");
    assert!(log.contains("Nothing unsaved was acknowledged"), "{log}");
    drop(server);

    disk.set_sync_fails(false);
    let server = home.serve();
    server.client().renew(&last);
    server.client().renew(&other);
}

#[test]
fn a_new_store_on_a_full_disk_is_a_clear_error_and_can_be_begun_again() {
    let mut home = Home::new();
    let disk = FaultyDisk::of(&mut home);
    disk.set_full(true);
    let said = home.serve_in_vain(&[]);
    assert!(matches!(said.code, Some(1 | 2)), "{said:?}");
    assert!(said.err.contains("disk is full") && said.err.contains("free"), "{}", said.err);
    disk.set_full(false);
    let server = home.serve();
    server.add_user(EMAIL, &[]);
    server.client().sign_in();
}

#[test]
fn a_control_socket_that_a_crash_left_behind_is_replaced() {
    let mut server = Home::with_user().serve();
    let home = Home::clone(&server);
    server.kill();
    drop(server);
    assert!(home.data().join("control.sock").exists(), "a crash cleans nothing up");
    // Without a server: the command sees that nobody listens, and does it itself.
    assert!(home.regrant(&["user", "list"]).ok().out.contains(EMAIL));
    let mut server = home.serve();
    assert!(home.regrant(&["user", "list"]).ok().out.contains(EMAIL));
    assert_eq!(server.stop().code(), Some(0));
    eventually("the socket is gone", || (!home.data().join("control.sock").exists()).then_some(()));
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    // Standard error is a pipe whose reader has gone.
    let home = Home::with_user();
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    let mut line = [0; 64];
    let read = child.stdout.take().unwrap().read(&mut line).unwrap();
    assert!(line[..read].starts_with(b"listening on http://127.0.0.1:"));
    let listed = home.regrant(&["user", "list"]).ok();
    assert!(listed.out.contains(EMAIL));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reload_with_nothing_to_read_again_ends_nobody() {
    let mut server = Home::with_user().serve();
    server.signal("HUP");
    server.client().sign_in();
    assert!(server.is_running());
    assert_eq!(server.stop().code(), Some(0));
}
