//! As much HTTP/1.1 as a load generator needs: it must be cheap, and must notice every reply that is not as it should be.

use std::ops::Range;

/// What the bench calls itself; the seeded grants were issued to the same program.
pub(crate) const USER_AGENT: &str = concat!("regrant-bench/", env!("CARGO_PKG_VERSION"));

/// A reply's headers are not longer than this, nor is its body.
const LARGEST: usize = 64 * 1024;

/// How a server is asked for a refresh. The replies are alike: both have the two tokens under the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Regrant's session API: JSON.
    Session,
    /// A token endpoint of OAuth (RFC 6749 §6): a form, from the public client that `bench/oidc-provider/server.mjs` has.
    TokenEndpoint,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `host:port`, for the connection and the `Host` header.
    pub(crate) authority: String,
    /// What is spoken there.
    pub(crate) dialect: Dialect,
}

impl Target {
    /// Reads `http://host:port`, perhaps with a slash behind it.
    pub(crate) fn parse(url: &str, dialect: Dialect) -> Option<Self> {
        let authority = url.strip_prefix("http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        (!host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok())
            .then(|| Self { authority: format!("{host}:{port}"), dialect })
    }

    /// Writes a refresh with `token` in its body into `out`, in the place of what was there.
    pub(crate) fn write_refresh(&self, token: &str, out: &mut Vec<u8>) {
        // A token is written as it is: none has a character that JSON or a form would escape.
        let (path, media_type, before, behind) = match self.dialect {
            Dialect::Session => ("/session/refresh", "application/json", r#"{"refresh_token":""#, r#""}"#),
            Dialect::TokenEndpoint => {
                let form = "grant_type=refresh_token&client_id=regrant-bench&refresh_token=";
                ("/token", "application/x-www-form-urlencoded", form, "")
            }
        };
        let length = before.len() + token.len() + behind.len();
        out.clear();
        out.extend_from_slice(b"POST ");
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(self.authority.as_bytes());
        out.extend_from_slice(b"\r\nUser-Agent: ");
        out.extend_from_slice(USER_AGENT.as_bytes());
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(media_type.as_bytes());
        out.extend_from_slice(b"\r\nContent-Length: ");
        out.extend_from_slice(length.to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(token.as_bytes());
        out.extend_from_slice(behind.as_bytes());
    }

    /// A request without a body.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\n\r\n", self.authority).into_bytes()
    }
}

/// What the bytes that came so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The beginning of a reply.
    Partial,
    /// A whole one.
    Whole(Reply),
}

/// A whole reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: u16,
    /// Where its body lies.
    pub(crate) body: Range<usize>,
    /// The server closes the connection after it.
    pub(crate) closes: bool,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
}

/// No reply that this client understands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbage(pub(crate) &'static str);

/// Looks at all that came since the request was sent.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, Garbage> {
    const START: &[u8] = b"HTTP/1.1 ";
    let known = START.len().min(bytes.len());
    if bytes.get(..known) != START.get(..known) {
        return Err(Garbage("it does not begin with HTTP/1.1"));
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > LARGEST { Err(Garbage("its headers do not end")) } else { Ok(Parsed::Partial) };
    };
    let head = bytes.get(START.len()..end).and_then(|head| std::str::from_utf8(head).ok());
    let mut lines = head.ok_or(Garbage("its headers are not text"))?.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').next()).filter(|digits| digits.len() == 3);
    let status: u16 = status.and_then(|digits| digits.parse().ok()).ok_or(Garbage("it has no status"))?;
    let mut length = None;
    let mut closes = false;
    let mut retry_after = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Garbage("a header has no colon"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let said: usize = value.parse().map_err(|_| Garbage("its length is no number"))?;
            if length.is_some_and(|before| before != said) {
                return Err(Garbage("it has two lengths"));
            }
            length = Some(said);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Garbage("it is chunked, which this client does not read"));
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("retry-after") {
            retry_after = value.parse().ok();
        }
    }
    let length = match length {
        Some(length) if length > LARGEST => return Err(Garbage("it is too long")),
        Some(length) => length,
        // RFC 9112 §6.3: these have no body.
        None if status == 204 || status == 304 => 0,
        None => return Err(Garbage("it has no length")),
    };
    let body = end + 4..end + 4 + length;
    match bytes.len().cmp(&body.end) {
        std::cmp::Ordering::Less => Ok(Parsed::Partial),
        std::cmp::Ordering::Equal => Ok(Parsed::Whole(Reply { status, body, closes, retry_after })),
        std::cmp::Ordering::Greater => Err(Garbage("more came than was asked for")),
    }
}

/// What a refresh must bring.
#[derive(serde::Deserialize)]
struct Tokens<'a> {
    access_token: &'a str,
    refresh_token: &'a str,
}

/// The successor of `token` in the body of a 200, if the reply is as it should be: a new refresh token, and an access token
/// of three parts.
pub(crate) fn successor<'b>(body: &'b [u8], token: &str) -> Result<&'b str, Garbage> {
    let tokens: Tokens<'b> = serde_json::from_slice(body).map_err(|_| Garbage("its body is not the two tokens"))?;
    if tokens.access_token.split('.').filter(|part| !part.is_empty()).count() != 3 {
        return Err(Garbage("its access token is none"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if tokens.refresh_token == token || tokens.refresh_token.is_empty() || !tokens.refresh_token.chars().all(plain) {
        return Err(Garbage("its refresh token is not a new one"));
    }
    Ok(tokens.refresh_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\nhello";

    fn whole(text: &str) -> Reply {
        match parse(text.as_bytes()) {
            Ok(Parsed::Whole(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reply_is_partial_at_every_split_and_whole_at_its_end() {
        for end in 0..REPLY.len() {
            assert_eq!(parse(&REPLY.as_bytes()[..end]), Ok(Parsed::Partial), "after {end} bytes");
        }
        let reply = whole(REPLY);
        assert_eq!((reply.status, &REPLY[reply.body], reply.closes), (200, "hello", false));
    }

    #[test]
    fn garbage_is_refused_as_soon_as_it_is_seen() {
        let headless = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(LARGEST));
        let long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", LARGEST + 1);
        for garbage in [
            "X",
            "HTTP/1.0 200 OK\r\n",
            "\r\n\r\n",
            "HTTP/1.1 \r\n\r\n",
            "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 20x OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
            headless.as_str(),
            long.as_str(),
        ] {
            assert!(parse(garbage.as_bytes()).is_err(), "{}", garbage.chars().take(60).collect::<String>());
        }
        assert!(parse(b"HTTP/1.1 200 \xff\r\n\r\n").is_err());
    }

    #[test]
    fn what_a_client_must_heed_is_read_in_any_case() {
        let reply = whole("HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nCONNECTION: Close\r\nContent-Length:0\r\n\r\n");
        assert_eq!((reply.status, reply.retry_after, reply.closes, reply.body.len()), (429, Some(7), true, 0));
        assert_eq!(whole("HTTP/1.1 204 No Content\r\n\r\n").status, 204);
    }

    #[test]
    fn a_successor_must_be_new_and_come_with_an_access_token() {
        let body = |access: &str, refresh: &str| {
            format!(r#"{{"access_token":"{access}","more":[1],"refresh_token":"{refresh}"}}"#)
        };
        assert_eq!(successor(body("a.b.c", "rg1_2").as_bytes(), "rg1_1"), Ok("rg1_2"));
        for (access, refresh) in [("a.b.c", "rg1_1"), ("a.b.c", ""), ("a.b.", "rg1_2"), ("", "rg1_2"), ("a.b.c", "a b")]
        {
            assert!(successor(body(access, refresh).as_bytes(), "rg1_1").is_err(), "{access} {refresh}");
        }
        assert!(successor(br#"{"access_token":"a.b.c"}"#, "rg1_1").is_err());
        assert!(successor(b"", "rg1_1").is_err());
    }

    #[test]
    fn a_token_endpoint_answers_with_the_same_two_tokens_and_its_refusals_are_none() {
        let body =
            r#"{"access_token":"a.b.c","expires_in":900,"refresh_token":"zgJ-2_","scope":"api","token_type":"Bearer"}"#;
        assert_eq!(successor(body.as_bytes(), "zgJ-1_"), Ok("zgJ-2_"));
        // Rotation is off, or the access token says nothing to who reads it.
        assert!(successor(body.as_bytes(), "zgJ-2_").is_err());
        assert!(successor(br#"{"access_token":"opaque","refresh_token":"zgJ-2_"}"#, "zgJ-1_").is_err());
        assert!(successor(br#"{"error":"invalid_grant"}"#, "zgJ-1_").is_err());
    }

    #[test]
    fn a_request_says_how_long_it_is() {
        let form = "grant_type=refresh_token&client_id=regrant-bench&refresh_token=rg1_x";
        for (dialect, path, media_type, right) in [
            (Dialect::Session, "/session/refresh", "application/json", r#"{"refresh_token":"rg1_x"}"#),
            (Dialect::TokenEndpoint, "/token", "application/x-www-form-urlencoded", form),
        ] {
            let mut out = b"the one before".to_vec();
            Target { authority: "localhost:1".to_owned(), dialect }.write_refresh("rg1_x", &mut out);
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, right);
            assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\nHost: localhost:1\r\n")), "{head}");
            assert!(head.contains(&format!("Content-Type: {media_type}\r\n")), "{head}");
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        }
    }

    #[test]
    fn only_plain_http_addresses_are_targets() {
        let parsed = |url| Target::parse(url, Dialect::Session).map(|target| target.authority);
        assert_eq!(parsed("http://127.0.0.1:8080/").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(parsed("http://id.example").as_deref(), Some("id.example:80"));
        assert_eq!(parsed("http://[::1]:9").as_deref(), Some("[::1]:9"));
        for url in ["https://a:1", "a:1", "http://", "http://:1", "http://a:b", "http://a:1/path", "http://a\r\nb:1"] {
            assert_eq!(parsed(url), None, "{url}");
        }
    }
}
