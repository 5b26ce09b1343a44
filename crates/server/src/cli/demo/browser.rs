//! A small browser for the demo: its own address on the loopback network, a user agent, and cookies by hand.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, SocketAddr},
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, body::Bytes, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::stage::Turn;

const LARGEST_ANSWER: usize = 64 * 1024;
/// The refresh cookie of an http loopback issuer.
pub(super) const COOKIE: &str = "regrant-dev";

#[derive(Clone)]
pub(super) struct Browser {
    server: SocketAddr,
    from: Ipv4Addr,
    user_agent: Cow<'static, str>,
}

/// What the server answered.
pub(super) struct Answer {
    pub(super) status: u16,
    cookie: Option<String>,
    pub(super) body: Bytes,
}

impl Browser {
    pub(super) fn new(server: SocketAddr, from: [u8; 4], user_agent: impl Into<Cow<'static, str>>) -> Self {
        Self { server, from: from.into(), user_agent: user_agent.into() }
    }

    pub(super) async fn sign_in(&self, identifier: &str, password: &str) -> Turn<Answer> {
        self.send("POST", "/session", None, Some(json!({"identifier": identifier, "password": password}))).await
    }

    pub(super) async fn refresh(&self, token: &str) -> Turn<Answer> {
        self.send("POST", "/session/refresh", Some(token), None).await
    }

    pub(super) async fn get(&self, path: &str) -> Turn<Answer> {
        self.send("GET", path, None, None).await
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Turn<Answer> {
        let failed = |error: &dyn std::fmt::Display| format!("{method} {path}: {error}");
        let socket = TcpSocket::new_v4().map_err(|error| failed(&error))?;
        socket.bind(SocketAddr::new(self.from.into(), 0)).map_err(|error| failed(&error))?;
        let stream = socket.connect(self.server).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.server.to_string())
            .header(header::USER_AGENT, &*self.user_agent)
            .header("sec-fetch-site", "same-origin");
        if let Some(token) = token {
            request = request.header(header::COOKIE, format!("{COOKIE}={token}"));
        }
        let bytes = match body {
            None => Bytes::new(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
        };
        let request = request.body(Full::new(bytes)).map_err(|error| failed(&error))?;
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let cookie =
            response.headers().get(header::SET_COOKIE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| failed(&error))?.to_bytes();
        Ok(Answer { status, cookie, body })
    }
}

impl Answer {
    pub(super) fn expect_status(self, status: u16) -> Turn<Self> {
        if self.status == status {
            Ok(self)
        } else {
            Err(format!("expected {status}, got {}: {}", self.status, String::from_utf8_lossy(&self.body)))
        }
    }

    /// An error with this reason.
    pub(super) fn expect_problem(self, status: u16, reason: &str) -> Turn<()> {
        let answer = self.expect_status(status)?;
        let told = answer.text("/reason")?;
        if told == reason { Ok(()) } else { Err(format!("expected the reason {reason}, got {told}")) }
    }

    /// The refresh token in the cookie.
    pub(super) fn cookie(&self) -> Turn<String> {
        let value = self.cookie_line()?.strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix('='));
        let value = value.and_then(|rest| rest.split(';').next()).ok_or("a cookie of another name")?;
        Ok(value.to_owned())
    }

    pub(super) fn cookie_max_age(&self) -> Turn<u64> {
        let attributes = self.cookie_line()?;
        if !attributes.contains("; HttpOnly") || !attributes.contains("; SameSite=Strict") {
            return Err("the cookie should be HttpOnly and SameSite=Strict".to_owned());
        }
        let age = attributes.split("; ").find_map(|attribute| attribute.strip_prefix("Max-Age="));
        age.and_then(|age| age.parse().ok()).ok_or_else(|| "the cookie has no Max-Age".to_owned())
    }

    pub(super) fn cookie_line(&self) -> Turn<&str> {
        self.cookie.as_deref().ok_or_else(|| "the answer has no cookie".to_owned())
    }

    pub(super) fn text(&self, path: &str) -> Turn<String> {
        self.json()?.pointer(path).and_then(Value::as_str).map(str::to_owned).ok_or(format!("the answer has no {path}"))
    }

    pub(super) fn number(&self, name: &str) -> Turn<i64> {
        self.json()?.get(name).and_then(Value::as_i64).ok_or(format!("the answer has no number {name}"))
    }

    fn json(&self) -> Turn<Value> {
        serde_json::from_slice(&self.body).map_err(|error| format!("the answer is not JSON: {error}"))
    }
}
