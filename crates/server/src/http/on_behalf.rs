//! A server client that calls for its user's browser: a backend, a rendering server. It may say whose address and user agent it
//! speaks for, from wherever it is, if it authenticates.
//!
//! 1. `Regrant-Forwarded-For` is one address, `Regrant-Forwarded-User-Agent` the browser's own header. They have names of their
//!    own: proxies on the way add to `Forwarded` and `X-Forwarded-For`, and nobody could tell then whose word is whose.
//! 2. They count with `Authorization: Basic` of a client that has a secret (RFC 6749 §2.3.1). Wrong credentials are refused.
//! 3. Without it they are what anybody writes, and are ignored. Without them nobody looks at `Authorization: Basic`: a proxy may
//!    ask browsers for a password of its own.

use std::{net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, HeaderName, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use regrant_engine::client::{
    Client,
    authentication::{Credentials, authenticate},
};
use zeroize::Zeroizing;

use super::{App, forwarded::Peer, parameters::decoded, protocol_error::ApiError, sent::Sent};

pub(super) const ADDRESS: HeaderName = HeaderName::from_static("regrant-forwarded-for");
pub(super) const USER_AGENT: HeaderName = HeaderName::from_static("regrant-forwarded-user-agent");

/// The longest user agent that is read, in bytes.
const LONGEST_AGENT: usize = 1024;

impl App {
    /// Whom a request is for: the other end, or the browser that an authenticated client speaks for.
    pub(super) async fn speaks_for(&self, peer: Peer, headers: &HeaderMap) -> Result<Peer, ApiError> {
        if !headers.contains_key(ADDRESS) && !headers.contains_key(USER_AGENT) {
            return Ok(peer);
        }
        let Some(basic) = Basic::of(headers) else {
            return Ok(peer);
        };
        self.by_basic(basic).await?.ok_or(ApiError::InvalidClient)?;
        on_behalf_of(peer, headers)
    }

    async fn by_basic(&self, basic: Option<Basic>) -> Result<Option<Arc<Client>>, ApiError> {
        let Some(Basic { id, secret }) = basic else {
            return Ok(None);
        };
        Ok(authenticate(&self.engine, &Credentials::Secret { id: &id, secret: &secret }).await?)
    }
}

/// What an authenticated client says of its browser; what it does not say is the connection's.
pub(super) fn on_behalf_of(peer: Peer, headers: &HeaderMap) -> Result<Peer, ApiError> {
    let only = |name: HeaderName| -> Result<Option<&str>, ApiError> {
        let wrong = || ApiError::InvalidRequest(format!("{name} must be there once, and be readable."));
        match Sent::of(headers, &name) {
            Sent::Nothing => Ok(None),
            Sent::Once(value) => value.to_str().map(Some).map_err(|_| wrong()),
            Sent::Several => Err(wrong()),
        }
    };
    let address = only(ADDRESS)?.map(|text| {
        let address = text.trim().parse::<IpAddr>();
        address.map_err(|_| ApiError::InvalidRequest(format!("{ADDRESS} must be one IP address, without a port.")))
    });
    let user_agent = only(USER_AGENT)?.map(|text| text.chars().take(LONGEST_AGENT).collect());
    Ok(Peer {
        address: address.transpose()?.map_or(peer.address, |address| address.to_canonical()),
        user_agent: user_agent.or(peer.user_agent),
        ..peer
    })
}

/// A client's id and secret in an Authorization header.
pub(super) struct Basic {
    pub(super) id: String,
    pub(super) secret: Zeroizing<String>,
}

impl Basic {
    /// `None` if there is no such header; `Some(None)` if there is one that cannot be read, or another beside it.
    pub(super) fn of(headers: &HeaderMap) -> Option<Option<Self>> {
        let all = headers.get_all(header::AUTHORIZATION);
        let basic = all.iter().find_map(|value| {
            let (scheme, value) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("basic").then(|| value.trim())
        })?;
        Some(Self::decode(basic).filter(|_| all.iter().nth(1).is_none()))
    }

    fn decode(value: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(value).ok()?);
        let (id, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
        // RFC 6749 §2.3.1: both are form-urlencoded before they are put together.
        Some(Self { id: decoded(id)?, secret: Zeroizing::new(decoded(secret)?) })
    }
}
