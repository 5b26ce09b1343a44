//! Spans, and a collector that takes them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::mpsc,
};

use serde_json::Value;

use crate::support::{Home, eventually};

/// A collector on a free port: its address, and what is posted to it.
fn collector() -> (String, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (told, posts) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
            }
            let length = head.to_lowercase().split_once("content-length: ").unwrap().1.to_owned();
            let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
            let _ = told.send((head, serde_json::from_slice(&body).unwrap()));
        }
    });
    (base, posts)
}

#[test]
fn each_request_is_a_span_in_its_callers_trace() {
    let (base, posts) = collector();
    let mut home = Home::with_user();
    home.set("REGRANT_LOG__OTLP", &base);
    let mut server = home.serve();
    let client = server.client();
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let traced = |flags| client.get("/session").header("traceparent", &format!("00-{trace}-{parent}-{flags}")).send();
    let answers = [client.get("/health/live").send(), traced("01"), traced("00")];
    assert!(server.stop().success());
    let mut spans = Vec::new();
    for (head, document) in posts.try_iter() {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("content-type: application/json\r\n"), "{head}");
        let resource = &document["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "regrant");
        spans.extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().clone());
    }
    // What its caller does not record is not recorded here.
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let (own, theirs) = (&spans[0], &spans[1]);
    assert_eq!(own["spanId"], answers[0].header("x-request-id").unwrap());
    assert_eq!((own["name"].as_str(), own["parentSpanId"].as_str()), (Some("GET /health/live"), Some("")));
    assert_eq!(own["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(theirs["spanId"], answers[1].header("x-request-id").unwrap());
    assert_eq!((theirs["traceId"].as_str(), theirs["parentSpanId"].as_str()), (Some(trace), Some(parent)));
    assert_eq!(theirs["attributes"][2]["value"]["intValue"], "401");
    let nanos = |name: &str| theirs[name].as_str().unwrap().parse::<u128>().unwrap();
    assert!(nanos("startTimeUnixNano") > 1_600_000_000_000_000_000);
    assert!(nanos("endTimeUnixNano") > nanos("startTimeUnixNano"));
}

#[test]
fn a_collector_that_is_not_there_hurts_nobody() {
    let mut home = Home::with_user();
    // Nobody listens on a port that was just given back.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    home.set("REGRANT_LOG__OTLP", &format!("http://{gone}"));
    let mut server = home.serve();
    server.client().sign_in();
    eventually("the log says so", || server.log().contains("the collector does not take spans").then_some(()));
    server.client().sign_in();
    assert!(server.stop().success());
    home.set("REGRANT_LOG__OTLP", "https://collector.example");
    home.serve_in_vain(&[]).complains(2, &["log.otlp", "http://127.0.0.1:4318"]);
}
