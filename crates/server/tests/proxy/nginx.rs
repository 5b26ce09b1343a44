//! nginx with the configuration of `docs/howto/behind-a-proxy.md`: the very text, with other addresses and without TLS.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
};

use serde_json::{Value, json};

use crate::support::{Answer, Call, Client, EMAIL, FIREFOX, Home, MovedClock, PASSWORD, Server, eventually};

const HOW_TO: &str = include_str!("../../../../docs/howto/behind-a-proxy.md");

/// nginx before Regrant and an application. Stopped when dropped.
struct Front {
    nginx: Child,
    address: SocketAddr,
    server: Server,
    clock: MovedClock,
    user: Value,
}

impl Front {
    fn start() -> Self {
        let mut home = Home::new();
        let clock = MovedClock::of(&mut home);
        home.set("REGRANT_SERVER__TRUSTED_PROXIES", r#"["127.0.0.1"]"#);
        home.regrant(&["role", "add", "engineer"]).ok();
        let user = home.add_user(EMAIL, &["--role", "engineer"]);
        let application = application();
        // An address of this test's own: between this line and nginx nobody else takes the port, as happens on 127.0.0.1.
        static TESTS: AtomicU8 = AtomicU8::new(0);
        let [.., high, low] = std::process::id().to_be_bytes();
        let own = Ipv4Addr::new(127, 100 + TESTS.fetch_add(1, Ordering::Relaxed), high, low.clamp(1, 254));
        let address = TcpListener::bind((own, 0)).unwrap().local_addr().unwrap();
        let server = home.serve_with(&["--issuer", &format!("http://{address}")]);

        let folder = home.path("nginx");
        std::fs::create_dir(&folder).unwrap();
        let text = HOW_TO.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
        let replace = |text: String, from: &str, to: &str| {
            assert!(text.contains(from), "the how-to has no {from:?} any more");
            text.replace(from, to)
        };
        let text = replace(text.to_owned(), "listen 443 ssl;", &format!("listen {address};"));
        let text = replace(text, "server_name app.example.com;", "server_name _;");
        let text = replace(text, "127.0.0.1:3000", &application.to_string());
        let text = replace(text, "127.0.0.1:8080", &server.address.to_string());
        let text: String =
            text.lines().filter(|line| !line.trim().starts_with("ssl_")).map(|l| format!("{l}\n")).collect();
        let path = |name: &str| folder.join(name).display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
            .concat();
        let whole = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log stderr warn;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {temporary}{text}}}\n",
            path("pid")
        );
        let configuration = folder.join("nginx.conf");
        std::fs::write(&configuration, whole).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let nginx = Command::new(program())
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nginx starts");
        let mut front = Self { nginx, address, server, clock, user };
        eventually("nginx listens", || {
            let ended = front.nginx.try_wait().unwrap();
            assert!(ended.is_none(), "{}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
            TcpStream::connect(address).ok()
        });
        front
    }

    fn client(&self) -> Client {
        Client::new(self.address, Ipv4Addr::new(127, 4, 5, 6), FIREFOX)
    }

    fn sign_in(&self) -> String {
        let asked = json!({"identifier": EMAIL, "password": PASSWORD});
        self.client().post("/session").json(&asked).send().expect(200).cookie()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join("nginx")).find(|program| program.is_file());
    found.expect("nginx is not installed: `cargo xtask test --only prerequisites` installs it")
}

/// An application that tells what it was asked with, and sets a cookie of its own.
fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || tell(stream));
        }
    });
    address
}

fn tell(stream: TcpStream) -> Option<()> {
    let mut wire = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        wire.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length = lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    wire.read_exact(&mut body).ok()?;
    let told = json!({"lines": lines, "body": String::from_utf8_lossy(&body)}).to_string();
    let answer = format!(
        "HTTP/1.1 418 I'm a teapot\r\nSet-Cookie: application=1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{told}",
        told.len()
    );
    wire.get_mut().write_all(answer.as_bytes()).ok()
}

/// The headers of this name that the application saw.
fn seen(answer: &Answer, name: &str) -> Vec<String> {
    let lines = answer.json()["lines"].as_array().unwrap().clone();
    let lines = lines.iter().filter_map(|line| line.as_str().unwrap().split_once(": "));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

const TEAPOT: u16 = 418;

#[test]
fn regrant_sees_the_client_and_no_forged_one() {
    let front = Front::start();
    let forged = |call: Call| {
        call.header("X-Forwarded-For", "8.8.8.8").header("Forwarded", "for=8.8.8.8").header("X-Real-IP", "8.8.8.8")
    };
    let asked = json!({"identifier": EMAIL, "password": PASSWORD});
    let token = forged(front.client().post("/session").json(&asked)).send().expect(200).cookie();
    let shown = forged(front.client().get("/session").cookie(&token)).send().expect(200);
    assert_eq!(shown.text("/session/network"), "127.4.5.0/24");
    // A browser's own proof of origin passes the proxy.
    let own = format!("http://{}", front.address);
    let with_origin =
        |origin: &str| front.client().post("/session/refresh").cookie(&token).header("Origin", origin).send();
    with_origin("https://evil.example").refused(403, "cross_origin", None);
    with_origin(&own).expect(200);
    assert!(!front.server.log().contains("name different clients"), "{}", front.server.log());
}

#[test]
fn the_application_learns_who_it_is_from_regrant_only() {
    let front = Front::start();
    let token = front.sign_in();
    let forged = |call: Call| {
        [
            "Remote-User",
            "remote-email",
            "Remote-Groups",
            "Remote-Session",
            "Remote_User",
            "X-Forwarded-For",
            "Forwarded",
        ]
        .iter()
        .fold(call, |call, name| call.header(name, "forged"))
    };
    let page =
        forged(front.client().post("/page?x=1").cookie(&token).body("text/plain", "hello")).send().expect(TEAPOT);
    assert_eq!(page.json()["body"], "hello");
    assert_eq!(page.json()["lines"][0], "POST /page?x=1 HTTP/1.1");
    assert_eq!(seen(&page, "Remote-User"), [front.user["id"].as_str().unwrap()]);
    assert_eq!(seen(&page, "Remote-Email"), [EMAIL]);
    assert_eq!(seen(&page, "Remote-Groups"), ["engineer"]);
    assert!(seen(&page, "Remote-Session")[0].starts_with("ses_"));
    assert_eq!(seen(&page, "X-Forwarded-For"), ["127.4.5.6"]);
    assert_eq!(seen(&page, "Cookie"), [""; 0]);
    assert!(!page.json()["lines"].to_string().contains("forged"), "{}", page.json());
    // Nobody: sent to sign in, and the application is not asked; its own page is, and is told nothing.
    let away = forged(front.client().get("/page")).send().expect(303);
    assert!(away.header("location").unwrap().ends_with("/sign-in"), "{away:?}");
    front.client().get("/page").cookie("rg1_nonsense").send().expect(303);
    let open = forged(front.client().get("/sign-in").cookie(&token)).send().expect(TEAPOT);
    assert!(!open.json()["lines"].to_string().contains("forged"), "{}", open.json());
    assert_eq!(seen(&open, "Remote-User"), [""; 0]);
    // The check itself is not there for the outside.
    front.client().get("/auth/verify").cookie(&token).send().expect(404);
}

#[test]
fn no_cookie_of_regrant_reaches_the_application() {
    let front = Front::start();
    let token = front.sign_in();
    let (own, secret) = (format!("regrant-dev={token}"), "regrant-dev-sso=secret");
    for (sent, passed) in [
        (own.clone(), None),
        (format!("a=1; {own}"), Some("a=1")),
        (format!("{own}; a=1"), Some("a=1")),
        (format!("a=1; {own}; b=2"), Some("a=1; b=2")),
        (format!("a=1;{own};b=2"), Some("a=1;b=2")),
        (format!("{own}; {secret}"), None),
        (format!("{secret}; {own}; a=1"), Some("a=1")),
        (format!("a=1; {own}; b=2; {secret}; c=3"), Some("a=1; b=2; c=3")),
        (format!("__Host-Http-regrant=rg1_secret; a=1; {own}"), Some("a=1")),
        (format!("__Host-Http-regrant-sso=secret; {own}"), None),
        // More than there can be: nothing passes.
        (format!("{own}; a=1; {own}; {own}"), None),
        // Names that only look alike are the application's own.
        (format!("{own}; my-regrant-developer=1; xregrant=2"), Some("my-regrant-developer=1; xregrant=2")),
        (format!("{own}; regrant-device=3"), Some("regrant-device=3")),
        (format!("a=\"x\"; {own}; b="), Some("a=\"x\"; b=")),
    ] {
        let page = front.client().get("/page").header("Cookie", &sent).send().expect(TEAPOT);
        assert_eq!(
            seen(&page, "Cookie"),
            passed.iter().map(|cookie| (*cookie).to_owned()).collect::<Vec<_>>(),
            "{sent}"
        );
    }
    // In several lines, as HTTP/2 may split them.
    let page = front.client().get("/page").header("Cookie", "a=1").header("Cookie", &own).header("Cookie", "b=2");
    assert_eq!(seen(&page.send().expect(TEAPOT), "Cookie"), ["a=1; b=2"]);
    // Without a session, too.
    let open = front.client().get("/sign-in").header("Cookie", &format!("a=1; {own}")).send().expect(TEAPOT);
    assert_eq!(seen(&open, "Cookie"), ["a=1"]);
}

#[test]
fn a_renewal_by_the_check_reaches_the_browser() {
    let front = Front::start();
    let token = front.sign_in();
    let cookies = |answer: &Answer| -> Vec<String> {
        let lines = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        lines.map(|(_, value)| value.split(';').next().unwrap().to_owned()).collect()
    };
    let page = front.client().get("/page").cookie(&token).send().expect(TEAPOT);
    assert_eq!(cookies(&page), ["application=1"]);
    front.clock.set(1000);
    let page = front.client().get("/page").cookie(&token).send().expect(TEAPOT);
    let set = cookies(&page);
    let renewed = set.iter().find_map(|cookie| cookie.strip_prefix("regrant-dev=")).expect("a new cookie");
    assert!(set.contains(&"application=1".to_owned()) && set.len() == 2, "{set:?}");
    assert_ne!(renewed, token);
    let page = front.client().get("/page").cookie(renewed).send().expect(TEAPOT);
    assert_eq!(cookies(&page), ["application=1"]);
}
