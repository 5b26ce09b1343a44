//! Signed tokens in the compact serialisation (RFC 7515 §7.1): `header.payload.signature`.

mod header;
mod inspect;
mod parts;
mod sign;
mod verify;

pub use header::Header;
pub use inspect::{Unverified, danger_unverified};
pub use parts::MAX_TOKEN_BYTES;
pub use sign::Signer;
pub use verify::{MAX_KEYS_TRIED, Verified, verify};

#[cfg(test)]
mod tests;
