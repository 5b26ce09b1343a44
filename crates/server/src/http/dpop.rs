//! `DPoP` and `DPoP-Nonce` (RFC 9449): how a proof of possession comes with a request, and a nonce with its reply. What a proof must
//! be is in `engine/src/dpop.rs`.
//!
//! 1. There is one proof or none. It is compared with the address that clients use, which is the issuer's, whatever proxies make
//!    of it on the way.
//! 2. It is checked before the client authenticates: whoever is told to come back with a nonce has not used up an assertion.
//! 3. Where nonces are required, each reply to a proof brings the next one, so that it rarely has to be asked for.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    response::Response,
};
use regrant_engine::{
    client::Requirement,
    dpop::{self, Asked, Fault, Proof},
};

use super::{App, protocol_error::oauth::OAuthError, sent::Sent};

pub(super) const PROOF: HeaderName = HeaderName::from_static("dpop");
pub(super) const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

impl App {
    /// The proof of a request for `path`, if it came with one; with `access_token`, the one for that token.
    pub(super) fn proof(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        access_token: Option<&str>,
    ) -> Result<Option<Proof>, OAuthError> {
        let proof = match Sent::of(headers, &PROOF) {
            Sent::Nothing => return Ok(None),
            Sent::Once(proof) => proof,
            // RFC 9449 §4.3, 1.
            Sent::Several => {
                return Err(OAuthError::InvalidProof("The request has two DPoP proofs: one is right."));
            }
        };
        let settings = &self.engine.settings;
        let uri = format!("{}{path}", settings.issuer);
        let asked = Asked { method: method.as_str(), uri: &uri, access_token, nonce: settings.dpop_nonce };
        let checked = dpop::check(proof.to_str().unwrap_or_default(), &asked, &self.engine.digests, self.engine.now());
        checked.map(Some).map_err(|fault| match fault {
            Fault::Invalid(sentence) => OAuthError::InvalidProof(sentence),
            Fault::Nonce => OAuthError::UseNonce(self.nonce()),
        })
    }

    fn nonce(&self) -> String {
        dpop::nonce(&self.engine.digests, self.engine.now())
    }

    /// The reply to a request with these headers, with the next nonce if one will be needed (RFC 9449 §8.2).
    pub(super) fn with_nonce(&self, asked: &HeaderMap, mut response: Response) -> Response {
        let is_due = asked.contains_key(PROOF) && self.engine.settings.dpop_nonce == Requirement::Required;
        if is_due && let Ok(nonce) = HeaderValue::from_str(&self.nonce()) {
            response.headers_mut().entry(NONCE).or_insert(nonce);
        }
        response
    }
}
