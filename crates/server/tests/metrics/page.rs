//! `/metrics`, and what each request carries.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicU8, Ordering},
};

use crate::support::{Home, PASSWORD, Server, eventually};

/// Reads the metrics, which are no part of the documented interface that the shared client compares with.
struct Monitor(SocketAddr);

impl Monitor {
    /// The head of the answer, and its body.
    fn ask(&self, method: &str, path: &str) -> (String, String) {
        let mut wire = TcpStream::connect(self.0).unwrap();
        write!(wire, "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.0).unwrap();
        let mut answer = String::new();
        wire.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

/// A server with metrics, and who reads them.
fn watched() -> (Server, Monitor) {
    watched_on(Home::with_user())
}

fn watched_on(mut home: Home) -> (Server, Monitor) {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    // The loopback network is large: an address for each test of each process, so that ports never meet.
    let [high, low] = u16::try_from(std::process::id() % 65_536).unwrap().to_be_bytes();
    let address = Ipv4Addr::new(127, 1 + high % 200, low, NEXT.fetch_add(1, Ordering::Relaxed));
    let listen = SocketAddr::from((address, 9464));
    home.set("REGRANT_METRICS__LISTEN", &listen.to_string());
    (home.serve(), Monitor(listen))
}

#[track_caller]
fn page(monitor: &Monitor) -> String {
    let (head, page) = monitor.ask("GET", "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    page
}

/// The value of the series whose name and labels, in their order, are these.
#[track_caller]
fn value(page: &str, series: &str) -> f64 {
    let found = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{series} is not in:\n{page}")).parse().unwrap()
}

#[test]
fn the_page_is_open_metrics_and_nothing_else_is_there() {
    let (server, monitor) = watched();
    let (head, page) = monitor.ask("GET", "/metrics");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    assert!(page.contains(&format!("regrant_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))), "{page}");
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    assert!(value(&page, "process_cpu_seconds_total") >= 0.0);
    assert!(value(&page, "process_open_fds") > 5.0);
    assert!(value(&page, "process_start_time_seconds") > 1.6e9);
    for (method, path) in
        [("POST", "/metrics"), ("HEAD", "/metrics"), ("GET", "/"), ("GET", "/session"), ("GET", "/metrics/")]
    {
        let (head, body) = monitor.ask(method, path);
        assert!(head.starts_with("HTTP/1.1 404 ") && body.is_empty(), "{method} {path}: {head} {body}");
    }
    assert_eq!(server.client().get("/metrics").send().status, 404, "it has a listener of its own");
}

#[test]
fn requests_are_counted_by_route_and_not_by_path() {
    let (server, monitor) = watched();
    let client = server.client();
    let (answer, token) = client.sign_in();
    let id = answer.json()["session"]["id"].as_str().unwrap().to_owned();
    client.delete("/sessions/ses_nonsense").cookie(&token).send();
    client.delete(&format!("/sessions/{id}")).cookie(&token).send().expect(204);
    client.get("/secret-path").send();
    client.call("BREW", "/another-path").send();
    let page = page(&monitor);
    let requests = |labels: &str| value(&page, &format!("regrant_http_requests_total{{{labels}}}"));
    assert_eq!(requests(r#"endpoint="/session",method="POST",status="2xx""#), 1.0);
    assert_eq!(requests(r#"endpoint="/sessions/{id}",method="DELETE",status="2xx""#), 1.0);
    assert_eq!(requests(r#"endpoint="/sessions/{id}",method="DELETE",status="4xx""#), 1.0);
    assert_eq!(requests(r#"endpoint="unmatched",method="GET",status="4xx""#), 1.0);
    assert_eq!(requests(r#"endpoint="unmatched",method="other",status="4xx""#), 1.0);
    let counted = r#"regrant_http_request_duration_seconds_count{endpoint="/sessions/{id}"}"#;
    assert_eq!(value(&page, counted), 2.0);
    for raw in ["secret-path", "another-path", "BREW", &id, "nonsense", "ada@"] {
        assert!(!page.contains(raw), "{raw} is in:\n{page}");
    }
}

#[test]
fn decisions_are_counted_by_kind() {
    let (server, monitor) = watched();
    let client = server.client();
    let decisions = |page: &str, labels: &str| value(page, &format!("regrant_refresh_decisions_total{{{labels}}}"));
    // A theft that has not happened is a 0.
    assert_eq!(decisions(&page(&monitor), r#"intent="renew",decision="reused",detail="""#), 0.0);
    let (_, first) = client.sign_in();
    let second = client.renew(&first);
    client.refresh(&first).expect(200);
    client.peek(&second).expect(200);
    let third = client.renew(&second);
    client.refresh(&first).expect(401);
    client.refresh(&third).expect(401);
    let page = page(&monitor);
    for (labels, times) in [
        (r#"intent="renew",decision="rotated",detail="""#, 2.0),
        (r#"intent="renew",decision="replayed",detail="burst""#, 1.0),
        (r#"intent="read",decision="kept",detail="""#, 1.0),
        (r#"intent="renew",decision="reused",detail="""#, 1.0),
        (r#"intent="renew",decision="ended",detail="reused""#, 1.0),
    ] {
        assert_eq!(decisions(&page, labels), times, "{labels}\n{page}");
    }
}

#[test]
fn the_store_the_hasher_and_the_sessions_are_told() {
    let (server, monitor) = watched();
    let client = server.client();
    client.sign_in();
    let told = page(&monitor);
    assert!(value(&told, "regrant_store_commit_jobs_count") >= 1.0);
    assert!(value(&told, "regrant_store_commit_jobs_sum") >= value(&told, "regrant_store_commit_jobs_count"));
    assert_eq!(
        value(&told, "regrant_store_commit_duration_seconds_count"),
        value(&told, "regrant_store_commit_jobs_count")
    );
    assert_eq!(value(&told, r#"regrant_store_jobs_waiting{queue="write"}"#), 0.0);
    assert_eq!(value(&told, r#"regrant_store_jobs_waiting{queue="read"}"#), 0.0);
    assert_eq!(value(&told, "regrant_argon2_running"), 0.0);
    assert_eq!(value(&told, "regrant_argon2_waiting"), 0.0);
    assert_eq!(value(&told, "regrant_argon2_refused_total"), 0.0);
    // They are counted at the start and every minute.
    let mut server = server;
    server.stop();
    let again = server.serve();
    eventually("the session is counted", || (value(&page(&monitor), "regrant_sessions_live") == 1.0).then_some(()));
    drop(again);
}

#[test]
fn every_answer_has_a_number_that_the_log_knows() {
    let mut home = Home::with_user();
    home.set("REGRANT_LOG__LEVEL", "debug");
    let server = home.serve();
    let client = server.client();
    let answers = [client.get("/health/live").header("X-Request-Id", "mine").send(), client.get("/nowhere").send()];
    let ids: Vec<String> = answers.iter().map(|answer| answer.header("x-request-id").unwrap().to_owned()).collect();
    assert_ne!(ids[0], ids[1]);
    for (id, route, status) in [(&ids[0], "/health/live", 200), (&ids[1], "unmatched", 404)] {
        assert_eq!(id.len(), 16);
        let line = eventually("the log has the number", || {
            let log = server.log();
            log.lines().find(|line| line.contains(id.as_str()) && line.contains("answered")).map(str::to_owned)
        });
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let span = &line["span"];
        assert_eq!((span["route"].as_str(), span["status"].as_u64()), (Some(route), Some(status)), "{line}");
        assert!(span["micros"].is_u64(), "{line}");
    }
    assert!(!server.log().contains(PASSWORD));
}

#[test]
fn a_listener_that_cannot_be_is_said() {
    let mut home = Home::new();
    home.set("REGRANT_METRICS__LISTEN", "localhost");
    home.serve_in_vain(&[]).complains(2, &["metrics.listen", "127.0.0.1:9464"]);
    home.set("REGRANT_METRICS__LISTEN", "192.0.2.1:9464");
    home.serve_in_vain(&[]).complains(2, &["metrics.listen", "192.0.2.1:9464"]);
}

#[test]
fn commits_of_a_database_are_counted_and_waiting_for_a_connection_is() {
    let home = Home::new().on_a_database();
    home.add_user(crate::support::EMAIL, &[]);
    let (server, monitor) = watched_on(home);
    let client = server.client();
    let counts = || {
        let page = page(&monitor);
        ["commit_jobs_count", "commit_jobs_sum", "commit_duration_seconds_count", "connection_wait_seconds_count"]
            .map(|name| value(&page, &format!("regrant_store_{name}")))
    };
    let [before, jobs_before, ..] = counts();
    let (_, mut token) = client.sign_in();
    for _ in 0..5 {
        token = client.renew(&token);
    }
    let [commits, jobs, timed, waits] = counts();
    // A sign-in and five renewals, each in a commit of its own; jobs of the server's own besides.
    assert!(commits >= before + 6.0 && jobs >= jobs_before + 6.0, "{before} {commits} {jobs_before} {jobs}");
    assert_eq!(commits, timed);
    assert!(waits > 0.0);
    let page = page(&monitor);
    let took = value(&page, "regrant_store_commit_duration_seconds_sum");
    assert!(took > 0.0 && took < commits, "{took} seconds for {commits} commits");
}
