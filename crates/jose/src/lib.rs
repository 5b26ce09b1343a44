//! Signed and encrypted JSON web tokens: JWS (RFC 7515), JWE (RFC 7516), JWK (RFC 7517), JWT (RFC 7519), on aws-lc-rs.
//!
//! This crate knows no OAuth, reads no clock and does no I/O. The way of a token through it:
//!
//! 1. [`Jwk`] is a key of any type, parsed or made; [`SigningKey`] is one that is ready to sign by one algorithm.
//! 2. [`Signer`] prepares the protected header once, then signs payload after payload; [`jwt::Template`] prepares claims, too.
//! 3. [`Jwks`] parses the keys once; every key in it is ready to verify.
//! 4. [`jws::verify`] proves who signed a token. The caller always says which algorithms it accepts.
//! 5. [`jwt::check`] reads the claims by a set of [`jwt::Rules`], one for each kind of token, at the time that the caller gives.
//! 6. [`jwe`] encrypts and decrypts, and takes signed tokens out of encrypted ones.
//!
//! Compact serialisation only. What is not understood is refused with an error of its own.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod algorithm;
mod base64url;
mod error;
mod json;
pub mod jwe;
mod jwk;
mod jwks;
pub mod jws;
pub mod jwt;
mod signing_key;

pub use algorithm::Algorithm;
pub use error::Error;
pub use jwk::{Jwk, KeyKind};
pub use jwks::{Jwks, MAX_JWKS_BYTES, MAX_JWKS_KEYS};
pub use jws::{Signer, Verified};
pub use signing_key::SigningKey;
