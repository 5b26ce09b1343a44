//! TLS on the server's own listener, with rustls as the client.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;

use crate::support::{EMAIL, Home, PASSWORD, Server, eventually};

const ONE: (&str, &str) =
    (include_str!("../../src/http/tls/tests/one.pem"), include_str!("../../src/http/tls/tests/one.key"));
const OTHER: (&str, &str) =
    (include_str!("../../src/http/tls/tests/other.pem"), include_str!("../../src/http/tls/tests/other.key"));

fn home() -> Home {
    let mut home = Home::with_user();
    for (name, file) in [("REGRANT_SERVER__TLS_CERTIFICATE", "tls.pem"), ("REGRANT_SERVER__TLS_KEY", "tls.key")] {
        let path = home.path(file);
        home.set(name, path.to_str().unwrap());
    }
    put(&home, ONE);
    home
}

fn put(home: &Home, (certificate, key): (&str, &str)) {
    for (file, text) in [("tls.pem", certificate), ("tls.key", key)] {
        std::fs::write(home.path("draft"), text).unwrap();
        std::fs::rename(home.path("draft"), home.path(file)).unwrap();
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands as somebody who trusts this certificate alone.
fn connect(
    address: SocketAddr,
    certificate: &str,
    alpn: &[&[u8]],
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

fn trusts(server: &Server, certificate: &str) -> bool {
    connect(server.address, certificate, &[b"http/1.1"], &rustls::version::TLS13).is_ok()
}

fn ask(stream: &mut Stream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_session_over_tls_has_the_secure_cookie() {
    let server = home().serve();
    assert_eq!(server.issuer, format!("https://{}", server.address));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut stream = connect(server.address, ONE.0, &[b"h2", b"http/1.1"], version).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        let body = json!({"identifier": EMAIL, "password": PASSWORD}).to_string();
        let answer = ask(
            &mut stream,
            &format!(
                "POST /session HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                server.address,
                body.len()
            ),
        );
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("__Host-Http-regrant=rg1_") && answer.contains("; Secure"), "{answer}");
    }
    // Plain HTTP is not answered, and a client that speaks h2 only is told in the handshake.
    assert!(server.client().get("/health/live").try_send().is_err());
    assert!(connect(server.address, ONE.0, &[b"h2"], &rustls::version::TLS13).is_err());
    assert!(!trusts(&server, OTHER.0));
}

#[test]
fn a_new_certificate_is_served_without_a_restart() {
    let home = home();
    let server = home.serve();
    let mut open = connect(server.address, ONE.0, &[], &rustls::version::TLS13).unwrap();
    // Half of the new pair: the old one goes on, and the log says why.
    std::fs::write(home.path("tls.pem"), OTHER.0).unwrap();
    eventually("the log says it", || server.log().contains("is not the key of").then_some(()));
    assert!(trusts(&server, ONE.0));
    put(&home, OTHER);
    eventually("the new one is served", || trusts(&server, OTHER.0).then_some(()));
    assert!(!trusts(&server, ONE.0));
    // A connection from before goes on.
    let answer = ask(&mut open, "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Back again, by a signal: before the next look could have found two alike.
    put(&home, ONE);
    let sent = Command::new("sh").args(["-c", "kill -HUP \"$1\"", "sh", &server.id().to_string()]).status();
    assert!(sent.unwrap().success());
    eventually("the signal is heeded", || trusts(&server, ONE.0).then_some(()));
}

#[test]
fn what_cannot_work_does_not_start() {
    let home = home();
    put(&home, (ONE.0, OTHER.1));
    home.serve_in_vain(&[]).complains(2, &["server.tls_key", "is not the key of the first certificate"]);
    std::fs::remove_file(home.path("tls.key")).unwrap();
    home.serve_in_vain(&[]).complains(2, &["server.tls_key: cannot read"]);
    put(&home, ONE);
    home.serve_in_vain(&["--issuer", "http://127.0.0.1:8080"]).complains(2, &["https", "--issuer"]);
    let mut lone = Home::new();
    lone.set("REGRANT_SERVER__TLS_KEY", "key.pem");
    lone.serve_in_vain(&[]).complains(2, &["belong together"]);
}

#[test]
fn who_is_slow_to_shake_hands_keeps_nobody_waiting_and_stopping_ends() {
    let mut server = home().serve();
    let idle: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    assert!(trusts(&server, ONE.0));
    assert!(server.stop().success());
    drop(idle);
}
