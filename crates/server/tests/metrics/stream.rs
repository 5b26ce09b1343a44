//! The audit stream.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{EMAIL, Home, PASSWORD, eventually};

fn streaming_to(path: &str) -> Home {
    let mut home = Home::with_user();
    home.set("REGRANT_EVENTS__STREAM", path);
    home
}

fn events(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

#[test]
fn the_file_tells_what_the_timeline_tells() {
    let home = streaming_to("audit.jsonl");
    let file = home.path("audit.jsonl");
    let mut server = home.serve();
    let client = server.client();
    let (answer, first) = client.sign_in();
    let session = answer.json()["session"]["id"].as_str().unwrap().to_owned();
    let second = client.renew(&first);
    client.renew(&second);
    client.refresh(&first).expect(401);
    let explained = server.regrant(&["--json", "explain", &session]).ok().json();
    assert!(server.stop().success());
    let streamed: Vec<Value> = events(&file).into_iter().filter(|event| event["session"] == session.as_str()).collect();
    let kinds = kinds(&streamed);
    assert_eq!(
        kinds,
        ["session.created", "refresh.rotated", "refresh.rotated", "refresh.reused", "session.ended"],
        "{streamed:#?}"
    );
    assert_eq!(Value::from(streamed), explained["timeline"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    for secret in [PASSWORD, &first, &second, EMAIL] {
        assert!(!text.contains(secret), "{secret} is in the stream");
    }
}

#[test]
fn a_moved_file_is_opened_anew_at_a_hang_up() {
    let home = streaming_to("audit.jsonl");
    let (file, moved) = (home.path("audit.jsonl"), home.path("audit.jsonl.1"));
    let server = home.serve();
    let client = server.client();
    client.sign_in();
    eventually("the first sign-in is told", || kinds(&events(&file)).contains(&"session.created").then_some(()));
    fs::rename(&file, &moved).unwrap();
    let before = fs::read(&moved).unwrap();
    server.signal("HUP");
    eventually("the new file is there", || file.exists().then_some(()));
    client.sign_in();
    eventually("the second sign-in is told", || kinds(&events(&file)).contains(&"session.created").then_some(()));
    assert_eq!(fs::read(&moved).unwrap(), before);
}

#[test]
fn standard_output_begins_with_the_address_and_goes_on_with_events() {
    let home = streaming_to("stdout");
    let mut command = home.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| {
        let line = line.unwrap();
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let created = std::iter::from_fn(|| lines.next()).find(|line| line["listening"].is_string());
    assert!(created.is_some());
    home.add_user("bob@example.com", &[]);
    let told = lines.find(|line| line["kind"] == "user.created");
    assert!(told.is_some());
    let stopped = Command::new("sh").args(["-c", "kill \"$1\"", "sh", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(lines.count(), 0);
    assert!(child.wait().unwrap().success());
}

/// Nobody reads the pipe; it is full after some hundred events.
#[test]
fn a_stream_that_nobody_reads_keeps_nobody_waiting() {
    let home = streaming_to("pipe");
    let pipe = home.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Without a reader a start says so, and does not wait for one.
    home.serve_in_vain(&[]).complains(2, &["events.stream", "pipe"]);
    // Open at both ends, so that neither end waits for the other.
    let held = OpenOptions::new().read(true).write(true).mode(0o600).open(&pipe).unwrap();
    let mut server = home.serve();
    let client = server.client();
    let mut token = client.sign_in().1;
    for n in 0..6 {
        // A grant renews sixty times a minute at most.
        if n > 0 {
            token = client.sign_in().1;
        }
        for _ in 0..50 {
            token = client.renew(&token);
        }
    }
    server.terminate();
    assert!(server.wait().success());
    assert!(server.log().contains("the timeline has them"), "{}", server.log());
    drop(held);
}

#[test]
fn a_disk_that_is_full_is_said_and_hurts_nobody() {
    let home = streaming_to("/dev/full");
    let mut server = home.serve();
    let (_, token) = server.client().sign_in();
    server.client().renew(&token);
    assert!(server.stop().success());
    assert!(server.log().contains("events cannot be written to the stream"), "{}", server.log());
}

#[test]
fn a_file_that_cannot_be_is_said() {
    streaming_to("nowhere/audit.jsonl")
        .serve_in_vain(&[])
        .complains(2, &["events.stream", "nowhere/audit.jsonl", "stdout"]);
}
