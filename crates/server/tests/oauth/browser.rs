//! A browser without script: it keeps the sign-in cookie, follows what it is told to, and fills in forms.

use crate::support::{Answer, Client, EMAIL, PASSWORD};

/// Somebody's browser.
pub(crate) struct Browser {
    client: Client,
    origin: String,
    /// The sign-in cookie's value.
    pub(crate) cookie: Option<String>,
}

/// A parameter of an address.
#[track_caller]
pub(crate) fn parameter(uri: &str, name: &str) -> Option<String> {
    let query = uri.split_once('?')?.1;
    let pair = query.split('&').find_map(|pair| pair.split_once('=').filter(|(known, _)| *known == name))?;
    Some(decoded(pair.1))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

/// The body as text.
pub(crate) fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// The value of a hidden input.
#[track_caller]
pub(crate) fn hidden(answer: &Answer, name: &str) -> String {
    let page = html(answer);
    let start = format!("name=\"{name}\" value=\"");
    let value = page.split_once(&start).unwrap_or_else(|| panic!("no {name} in {page}")).1;
    value.split_once('"').unwrap().0.replace("&amp;", "&").replace("&#39;", "'").replace("&quot;", "\"")
}

#[track_caller]
pub(crate) fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{:?} {}", answer.headers, html(answer));
    answer.header("location").expect("a location").to_owned()
}

impl Browser {
    pub(crate) fn new(client: Client, origin: &str) -> Self {
        Self { client, origin: origin.to_owned(), cookie: None }
    }

    /// The same browser for a moment without the cookie.
    pub(crate) fn stranger(&self) -> Self {
        Self { client: self.client.clone(), origin: self.origin.clone(), cookie: None }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.get_with(path, &[("Sec-Fetch-Site", "cross-site")])
    }

    pub(crate) fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let path = path.strip_prefix(&self.origin).unwrap_or(path);
        let call = headers.iter().fold(self.client.get(path), |call, (name, value)| call.header(name, value));
        let call = match &self.cookie {
            Some(cookie) => call.header("Cookie", &format!("other=1; regrant-dev-sso={cookie}")),
            None => call,
        };
        let answer = call.send();
        self.remember(&answer);
        answer
    }

    /// Posts a form of our own page.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = self.origin.clone();
        self.post_from(&origin, path, fields)
    }

    pub(crate) fn post_from(&mut self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let call = self.client.post(path).header("Origin", origin);
        let call = match &self.cookie {
            Some(cookie) => call.header("Cookie", &format!("regrant-dev-sso={cookie}")),
            None => call,
        };
        let answer = call.body("application/x-www-form-urlencoded", form(fields)).send();
        self.remember(&answer);
        answer
    }

    fn remember(&mut self, answer: &Answer) {
        if let Some(line) = answer.set_cookie() {
            let (name, rest) = line.split_once('=').unwrap();
            assert_eq!(name, "regrant-dev-sso");
            assert!(line.contains("; HttpOnly; SameSite=Lax; Max-Age="), "{line}");
            self.cookie = Some(rest.split(';').next().unwrap().to_owned()).filter(|value| !value.is_empty());
        }
    }

    /// Goes to an address and does what a person would do, until it leads to an application: there.
    #[track_caller]
    pub(crate) fn walk(&mut self, path: &str) -> String {
        let mut answer = self.get(path);
        for _ in 0..8 {
            let next = location(&answer);
            if !next.starts_with('/') {
                return next;
            }
            answer = self.get(&next);
            if answer.status == 200 {
                let request = hidden(&answer, "request");
                let page = next.split('?').next().unwrap();
                answer = match page {
                    "/login" => {
                        self.post("/login", &[("request", &request), ("identifier", EMAIL), ("password", PASSWORD)])
                    }
                    "/consent" => self.post("/consent", &[("request", &request), ("decision", "allow")]),
                    other => panic!("{other} is a surprise"),
                };
            }
        }
        panic!("it goes round in circles");
    }
}
