//! Signed tokens in the compact serialisation (RFC 7515 §7.1): `header.payload.signature`, or with the payload detached
//! (Appendix F).

mod header;
mod inspect;
mod known_headers;
mod parts;
mod sign;
mod verify;

pub use header::Header;
pub use inspect::{Unverified, danger_unverified};
pub(crate) use known_headers::KnownHeaders;
pub use parts::MAX_TOKEN_BYTES;
pub use sign::Signer;
pub use verify::{MAX_KEYS_TRIED, Verified, verify, verify_detached, verify_embedded};

#[cfg(test)]
mod tests;
