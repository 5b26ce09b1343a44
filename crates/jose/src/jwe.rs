//! Encrypted tokens (RFC 7516), compact serialisation.
//!
//! 1. A token is five parts: header, encrypted key, initialization vector, ciphertext, tag. Its size is limited before
//!    anything is decoded, and the JSON serialisation is refused.
//! 2. The header names two algorithms: how the content encryption key comes ([`KeyManagement`]), and how the content is
//!    encrypted ([`ContentEncryption`]). The caller says which it accepts. `crit` and `zip` are refused.
//! 3. The keys that fit are tried: type and length, `kid`, `alg`, `use` and `key_ops` must all allow it.
//! 4. Whatever is wrong from there on, key or tag or padding, is the one [`crate::Error::DecryptionFailed`].
//!
//! [`Encrypter`] makes tokens. A signed token inside goes through [`Encrypter::encrypt_nested`] and [`decrypt_nested`]:
//! sign first, then encrypt, and verify what was decrypted.

mod aes_gcm_kw;
mod aes_kw;
mod algorithm;
mod cek;
mod content;
mod decrypt;
mod ecdh_es;
mod encrypt;
mod header;
mod inspect;
mod key;
mod nested;
mod parts;
mod pbes2;
mod random;
mod recipient;
mod rsa_oaep;

pub use algorithm::{ContentEncryption, KeyManagement};
pub use decrypt::{Decrypted, decrypt};
pub use encrypt::Encrypter;
pub use header::Header;
pub use inspect::{Unopened, danger_unopened};
pub use nested::{Nested, decrypt_nested};
pub use parts::MAX_TOKEN_BYTES;

#[cfg(test)]
mod tests;
