//! File descriptors: each connection takes one, and they run out.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{Home, Server, eventually, raw};

#[test]
fn a_server_out_of_descriptors_waits_without_spinning_and_recovers() {
    let mut home = Home::with_user();
    home.limit("ulimit -n 64");
    let mut server = home.serve();
    assert!(server.log().contains("LimitNOFILE"), "{}", server.log());
    let client = server.client();

    // The server takes a few dozen of them, and the rest waits in the kernel.
    let idle: Vec<_> = (0..200).map(|_| raw(&client)).collect();
    eventually("the server is out of descriptors", || {
        server.log().contains("connections cannot be accepted").then_some(())
    });
    // A command waits like everybody else.
    let mut command = home.command(&["user", "list"]).stdout(Stdio::null()).spawn().unwrap();
    let (took, of) = processor_time_in(&server, Duration::from_secs(1));
    assert!(took * 5 < of, "{took:?} of {of:?} on the processor, with nothing to do");
    assert!(server.is_running());

    drop(idle);
    assert!(eventually("the command ends", || command.try_wait().unwrap()).success());
    let (_, token) = client.sign_in();
    client.renew(&token);
    let said = server.log().matches("connections cannot be accepted").count();
    assert!(said < 10, "it says so {said} times, and need not at each attempt");
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let mut home = Home::new();
    home.limit("ulimit -Sn 128; ulimit -Hn 2048");
    let server = home.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["2048", "2048"], "{line}");
}

/// What the server took of its processor time while at least `least` went by, and how long that was.
#[allow(clippy::disallowed_methods, reason = "what is measured is time itself")]
fn processor_time_in(server: &Server, least: Duration) -> (Duration, Duration) {
    let (began, before) = (Instant::now(), processor_time(server));
    eventually("time goes by", || (began.elapsed() >= least).then_some(()));
    (processor_time(server) - before, began.elapsed())
}

fn processor_time(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    // The name of the program, in brackets, may hold spaces; behind it, utime and stime are the 12th and 13th: in hundredths of a
    // second on every Linux.
    let fields = stat.rsplit_once(')').unwrap().1;
    let hundredths: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(hundredths * 10)
}
