//! A small blocking HTTP/1.1 client that can be anywhere on the loopback network, keep a connection, and send garbage.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{EMAIL, PASSWORD, document};

/// Somebody at an address with a program.
#[derive(Clone)]
pub(crate) struct Client {
    server: SocketAddr,
    from: Ipv4Addr,
    user_agent: &'static str,
    cookie: &'static str,
}

/// A request that is being put together.
#[derive(Clone)]
pub(crate) struct Call {
    client: Client,
    head: String,
    host: String,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A connection that is kept.
pub(crate) struct Wire(pub(super) BufReader<TcpStream>);

impl Client {
    pub(crate) fn new(server: SocketAddr, from: Ipv4Addr, user_agent: &'static str) -> Self {
        Self { server, from, user_agent, cookie: "regrant-dev" }
    }

    /// The same with another name of the cookie.
    pub(crate) fn with_cookie(self, cookie: &'static str) -> Self {
        Self { cookie, ..self }
    }

    /// The same at another server's address.
    pub(crate) fn at(self, server: SocketAddr) -> Self {
        Self { server, ..self }
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        Call {
            client: self.clone(),
            head: format!("{method} {path} HTTP/1.1\r\nUser-Agent: {}\r\n", self.user_agent),
            host: self.server.to_string(),
            body: Vec::new(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    pub(crate) fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    /// Signs in by cookie: the answer and its token.
    #[track_caller]
    pub(crate) fn sign_in(&self) -> (Answer, String) {
        let answer = self.post("/session").json(&json!({"identifier": EMAIL, "password": PASSWORD})).send().expect(200);
        let token = answer.cookie();
        (answer, token)
    }

    /// Signs in by body: the answer and its token.
    #[track_caller]
    pub(crate) fn sign_in_by_body(&self) -> (Answer, String) {
        let asked = json!({"identifier": EMAIL, "password": PASSWORD, "delivery": "body"});
        let answer = self.post("/session").json(&asked).send().expect(200);
        let token = answer.json()["refresh_token"].as_str().expect("a refresh token").to_owned();
        (answer, token)
    }

    pub(crate) fn refresh(&self, token: &str) -> Answer {
        self.post("/session/refresh").cookie(token).send()
    }

    pub(crate) fn refresh_by_body(&self, token: &str) -> Answer {
        self.post("/session/refresh").json(&json!({"refresh_token": token})).send()
    }

    pub(crate) fn peek(&self, token: &str) -> Answer {
        self.post("/session/refresh").cookie(token).json(&json!({"rotate": false})).send()
    }

    /// Renews and expects a successor.
    #[track_caller]
    pub(crate) fn renew(&self, token: &str) -> String {
        self.refresh(token).expect(200).cookie()
    }

    pub(crate) fn connect(&self) -> io::Result<Wire> {
        let stream = self.stream()?;
        Ok(Wire(BufReader::new(stream)))
    }

    fn stream(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SockAddr::from(SocketAddr::from((self.from, 0))))?;
        socket.connect(&SockAddr::from(self.server))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A bare connection, for garbage.
pub(crate) fn raw(client: &Client) -> TcpStream {
    client.stream().expect("the server accepts")
}

impl Call {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// The Host header: the server's address unless said.
    pub(crate) fn host(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    pub(crate) fn cookie(self, token: &str) -> Self {
        let line = format!("{}={token}", self.client.cookie);
        self.header("Cookie", &line)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, document: &Value) -> Self {
        self.body("application/json", document.to_string())
    }

    pub(crate) fn body(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut call = self.header("Content-Type", kind);
        call.body = body.into();
        call
    }

    /// On a connection of its own.
    #[track_caller]
    pub(crate) fn send(self) -> Answer {
        self.try_send().expect("the server answers")
    }

    pub(crate) fn try_send(self) -> io::Result<Answer> {
        let mut wire = self.client.connect()?;
        wire.exchange(&self.header("Connection", "close"))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}Host: {}\r\n", self.head, self.host).into_bytes();
        if !self.body.is_empty() || self.head.starts_with("POST") {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

impl Wire {
    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self, call: &Call) -> io::Result<Answer> {
        // A server that refuses early closes before it has read everything; its answer counts.
        let written = self.0.get_mut().write_all(&call.bytes());
        match self.answer() {
            Err(error) => Err(written.err().unwrap_or(error)),
            Ok(answer) => {
                document::check(&call.head, &answer);
                Ok(answer)
            }
        }
    }

    pub(super) fn answer(&mut self) -> io::Result<Answer> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        // Every answer of this server says how long it is, or has no body at all.
        if let Some(length) = answer.header("content-length") {
            let mut body = vec![0; length.parse().map_err(io::Error::other)?];
            self.0.read_exact(&mut body)?;
            answer.body = body;
        } else if status != 204 && status != 304 {
            return Err(io::Error::other(format!("an answer of unknown length: {answer:?}")));
        }
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        if self.0.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}: {}", self.headers, String::from_utf8_lossy(&self.body));
        self
    }

    /// A problem document (RFC 9457) with this status and code, and with this reason or none.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str, reason: Option<&str>) -> Self {
        let answer = self.expect(status);
        let problem = answer.problem();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem.get("reason").and_then(Value::as_str), reason, "{problem}");
        answer
    }

    /// Over, for this reason.
    #[track_caller]
    pub(crate) fn over(self, reason: &str) -> Self {
        self.refused(401, "invalid_refresh_token", Some(reason))
    }

    /// The body, which must be a whole problem document.
    #[track_caller]
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        let code = problem["code"].as_str().expect("a code");
        assert_eq!(problem["type"], format!("urn:regrant:problem:{code}"), "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with('.')), "{problem}");
        if matches!(self.status, 429 | 503) {
            let seconds: u32 = self.header("retry-after").expect("Retry-After").parse().expect("seconds");
            assert!(seconds > 0, "{self:?}");
        }
        problem
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let found = self.json().pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no {pointer} in {}", self.json()))
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The `Set-Cookie` line.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        self.header("set-cookie")
    }

    /// The token in the cookie that was set.
    #[track_caller]
    pub(crate) fn cookie(&self) -> String {
        let line = self.set_cookie().expect("a cookie");
        let value = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a name and a value").1;
        value.to_owned()
    }
}

/// Longer than any answer takes, and short enough to see a test hang.
const PATIENCE: Duration = Duration::from_secs(30);
