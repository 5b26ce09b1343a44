//! How the content encryption key comes to the recipient, and back: one `match` over every `alg` for each direction.
//!
//! 1. [`Parameters`] reads what the header says for its `alg`, and measures it, before a key is touched.
//! 2. [`receive`] gets the key out. What fails gives no error but a random key, with which the content then fails to open.
//! 3. [`send`] makes the key and puts it in.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::aes_gcm_kw::Lock;
use super::cek::Cek;
use super::ecdh_es::{self, Agreement};
use super::key::{PrivateHalf, PublicHalf};
use super::pbes2::Stretching;
use super::{ContentEncryption, KeyManagement, aes_kw, rsa_oaep};
use crate::Error;

/// The header parameters that belong to an `alg`.
pub(super) enum Parameters {
    None,
    Agreement(Agreement),
    Lock(Lock),
    Stretching(Stretching),
}

impl Parameters {
    /// Reads them from the header's members.
    ///
    /// # Errors
    /// [`Error::HeaderInvalid`], [`Error::PasswordWorkRefused`].
    pub(super) fn parse(alg: KeyManagement, members: &Map<String, Value>) -> Result<Parameters, Error> {
        match alg {
            KeyManagement::EcdhEs | KeyManagement::EcdhEsA128Kw | KeyManagement::EcdhEsA256Kw => {
                Agreement::parse(members).map(Parameters::Agreement)
            }
            KeyManagement::A128GcmKw | KeyManagement::A256GcmKw => Lock::parse(members).map(Parameters::Lock),
            KeyManagement::Pbes2Hs256A128Kw | KeyManagement::Pbes2Hs512A256Kw => {
                Stretching::parse(members).map(Parameters::Stretching)
            }
            KeyManagement::RsaOaep
            | KeyManagement::RsaOaep256
            | KeyManagement::A128Kw
            | KeyManagement::A256Kw
            | KeyManagement::Dir => Ok(Parameters::None),
        }
    }
}

/// The content encryption key that `encrypted` holds for `key`: the right one, or a random one.
///
/// # Errors
/// [`Error::CryptoFailed`] if the library has no randomness; nothing else, so that nobody learns why a token does not open.
pub(super) fn receive(
    alg: KeyManagement,
    enc: ContentEncryption,
    parameters: &Parameters,
    key: &PrivateHalf<'_>,
    encrypted: &[u8],
) -> Result<Cek, Error> {
    // RFC 7516 §11.5: against timing attacks, a random key takes the place of one that cannot be decrypted or has the wrong
    // length. It is drawn in every case, first.
    let substitute = Cek::random(enc)?;
    let bytes = decrypted(alg, enc, parameters, key, encrypted);
    Ok(bytes.and_then(|bytes| Cek::new(enc, &bytes)).unwrap_or(substitute))
}

fn decrypted(
    alg: KeyManagement,
    enc: ContentEncryption,
    parameters: &Parameters,
    key: &PrivateHalf<'_>,
    encrypted: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let length = enc.key_len();
    match (alg, parameters, key) {
        (KeyManagement::RsaOaep | KeyManagement::RsaOaep256, Parameters::None, PrivateHalf::Rsa(key)) => {
            rsa_oaep::decrypt(key, alg, encrypted)
        }
        (KeyManagement::EcdhEs, Parameters::Agreement(agreement), PrivateHalf::Agreement(key)) => {
            // RFC 7516 §5.2 step 10: nothing may stand where the encrypted key would be.
            if encrypted.is_empty() { agreement.receive(key, alg, enc) } else { None }
        }
        (
            KeyManagement::EcdhEsA128Kw | KeyManagement::EcdhEsA256Kw,
            Parameters::Agreement(agreement),
            PrivateHalf::Agreement(key),
        ) => aes_kw::unwrap(&agreement.receive(key, alg, enc)?, encrypted, length),
        (KeyManagement::A128Kw | KeyManagement::A256Kw, Parameters::None, PrivateHalf::Octets(key)) => {
            aes_kw::unwrap(key, encrypted, length)
        }
        (KeyManagement::A128GcmKw | KeyManagement::A256GcmKw, Parameters::Lock(lock), PrivateHalf::Octets(key)) => {
            lock.open(key, encrypted)
        }
        (
            KeyManagement::Pbes2Hs256A128Kw | KeyManagement::Pbes2Hs512A256Kw,
            Parameters::Stretching(stretching),
            PrivateHalf::Octets(password),
        ) => aes_kw::unwrap(&stretching.stretch(password, alg)?, encrypted, length),
        (KeyManagement::Dir, Parameters::None, PrivateHalf::Octets(key)) => {
            // RFC 7516 §5.2 step 10, as above.
            encrypted.is_empty().then(|| Zeroizing::new(key.to_vec()))
        }
        // A key of another type: the caller has asked whether it fits.
        _ => None,
    }
}

/// A content encryption key for `key`, and what stands in the token for it. Writes the parameters into `header`.
///
/// # Errors
/// [`Error::KeyUnusable`] for a key of another type or length, [`Error::CryptoFailed`] if the library fails.
pub(super) fn send(
    alg: KeyManagement,
    enc: ContentEncryption,
    key: &PublicHalf<'_>,
    header: &mut Map<String, Value>,
) -> Result<(Cek, Vec<u8>), Error> {
    match (alg, key) {
        (KeyManagement::RsaOaep | KeyManagement::RsaOaep256, PublicHalf::Rsa(key)) => {
            let cek = Cek::random(enc)?;
            let encrypted = rsa_oaep::encrypt(key, alg, cek.as_bytes()).ok_or(Error::CryptoFailed)?;
            Ok((cek, encrypted))
        }
        (KeyManagement::EcdhEs, PublicHalf::Agreement(key)) => {
            let (agreed, epk) = ecdh_es::send(key, alg, enc).ok_or(Error::CryptoFailed)?;
            header.insert("epk".to_owned(), epk);
            Ok((Cek::new(enc, &agreed).ok_or(Error::CryptoFailed)?, Vec::new()))
        }
        (KeyManagement::EcdhEsA128Kw | KeyManagement::EcdhEsA256Kw, PublicHalf::Agreement(key)) => {
            let (agreed, epk) = ecdh_es::send(key, alg, enc).ok_or(Error::CryptoFailed)?;
            header.insert("epk".to_owned(), epk);
            wrapped(enc, &agreed)
        }
        (KeyManagement::A128Kw | KeyManagement::A256Kw, PublicHalf::Octets(key)) => wrapped(enc, key),
        (KeyManagement::A128GcmKw | KeyManagement::A256GcmKw, PublicHalf::Octets(key)) => {
            let cek = Cek::random(enc)?;
            let (lock, encrypted) = Lock::seal(key, &cek)?;
            lock.write(header);
            Ok((cek, encrypted))
        }
        (KeyManagement::Pbes2Hs256A128Kw | KeyManagement::Pbes2Hs512A256Kw, PublicHalf::Octets(password)) => {
            let stretching = Stretching::new(alg)?;
            stretching.write(header);
            wrapped(enc, &stretching.stretch(password, alg).ok_or(Error::CryptoFailed)?)
        }
        (KeyManagement::Dir, PublicHalf::Octets(key)) => {
            Ok((Cek::new(enc, key).ok_or(Error::KeyUnusable)?, Vec::new()))
        }
        _ => Err(Error::KeyUnusable),
    }
}

/// A random key, wrapped by `kek`.
fn wrapped(enc: ContentEncryption, kek: &[u8]) -> Result<(Cek, Vec<u8>), Error> {
    let cek = Cek::random(enc)?;
    let encrypted = aes_kw::wrap(kek, cek.as_bytes()).ok_or(Error::CryptoFailed)?;
    Ok((cek, encrypted))
}
