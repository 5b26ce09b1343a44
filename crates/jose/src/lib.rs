//! Signed JSON web tokens: JWS (RFC 7515), JWK (RFC 7517), JWT (RFC 7519), on aws-lc-rs.
//!
//! This crate knows no OAuth, reads no clock and does no I/O. The way of a token through it:
//!
//! 1. [`SigningKey`] holds a private key; its `kid` is the RFC 7638 thumbprint of the public part.
//! 2. [`Signer`] prepares the protected header once, then signs payload after payload.
//! 3. [`Jwks`] parses the public keys once; every key in it is ready to verify.
//! 4. [`jws::verify`] proves who signed a token. The caller always says which algorithms it accepts.
//! 5. [`jwt::check`] reads the claims by a set of [`jwt::Rules`], at the time that the caller gives.
//!
//! Built so far: ES256, RS256 and Ed25519, compact serialisation. Everything else is refused with an error of its own.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod algorithm;
mod base64url;
mod error;
mod json;
mod jwk;
mod jwks;
pub mod jws;
pub mod jwt;
mod signing_key;

pub use algorithm::Algorithm;
pub use error::Error;
pub use jwk::Jwk;
pub use jwks::{Jwks, MAX_JWKS_BYTES, MAX_JWKS_KEYS};
pub use jws::{Signer, Verified};
pub use signing_key::SigningKey;
