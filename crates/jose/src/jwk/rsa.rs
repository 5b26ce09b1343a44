//! RSA keys (RFC 7518 §6.3), for signatures and for encryption.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPairComponents, KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaKeyPair, RsaParameters,
    RsaPublicKeyComponents,
};
use zeroize::Zeroizing;

use super::members::Members;
use super::{der, roca};
use crate::{Algorithm, Error};

/// Modulus and exponent, and the private numbers if they are known.
pub(crate) struct Rsa {
    pub(crate) n: Vec<u8>,
    pub(crate) e: Vec<u8>,
    pub(crate) private: Option<RsaPrivate>,
}

/// The private numbers (RFC 7518 §6.3.2), which fit together and to the public ones.
pub(crate) struct RsaPrivate {
    /// `d`, `p`, `q`, `dp`, `dq`, `qi`, without leading zeros.
    pub(super) numbers: [Zeroizing<Vec<u8>>; 6],
    /// The whole key as an unencrypted PKCS#8 document (RFC 5208).
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
    /// Ready to decrypt, once that was asked for. Reading a key costs nearly half of what decrypting with it does.
    decrypting: OnceLock<Option<OaepPrivateDecryptingKey>>,
}

impl Rsa {
    pub(super) fn parse(members: &Members) -> Result<Rsa, Error> {
        let (n, e) = (members.octets("n")?, members.octets("e")?);
        check(&n, &e)?;
        // RFC 7518 §6.3.2.7: who does not support more than two primes must not use such a key.
        if members.has("oth") {
            return Err(Error::JwkUnsupported);
        }
        let mut numbers: [Zeroizing<Vec<u8>>; 6] = Default::default();
        let mut found = 0;
        for (number, name) in numbers.iter_mut().zip(PRIVATE_NAMES) {
            if let Some(octets) = members.secret(name)? {
                *number = octets;
                found += 1;
            }
        }
        let rsa = Rsa { n, e, private: None };
        match found {
            0 => Ok(rsa),
            6 => rsa.with_private(numbers),
            // RFC 7518 §6.3.2: `d` may stand alone. The library computes with the primes, so such a key is good for its
            // public half.
            1 if members.has("d") => Ok(rsa),
            // The same section: of the others, all or none.
            _ => Err(Error::JwkInvalid),
        }
    }

    /// A new key of so many bits: 2048, 3072, 4096 or 8192.
    pub(super) fn generate(bits: usize) -> Result<Rsa, Error> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => return Err(Error::JwkUnsupported),
        };
        Self::of_key_pair(&RsaKeyPair::generate(size).map_err(|_| Error::CryptoFailed)?)
    }

    pub(crate) fn of_key_pair(pair: &RsaKeyPair) -> Result<Rsa, Error> {
        let document = pkcs8(pair)?;
        let [n, e, numbers @ ..] = der::rsa_private_key(&document).ok_or(Error::CryptoFailed)?;
        check(n, e)?;
        let numbers = numbers.map(|number| Zeroizing::new(number.to_vec()));
        let private = RsaPrivate { numbers, pkcs8: document.clone(), decrypting: OnceLock::new() };
        Ok(Rsa { n: n.to_vec(), e: e.to_vec(), private: Some(private) })
    }

    /// Ready to verify by `algorithm`; `None` if that is no algorithm of RSA keys.
    pub(super) fn public_key(&self, algorithm: Algorithm) -> Option<Result<ParsedPublicKey, Error>> {
        let components = RsaPublicKeyComponents { n: &self.n, e: &self.e };
        Some(components.to_parsed_public_key(parameters(algorithm)?).map_err(|_| Error::JwkInvalid))
    }

    /// Ready to sign. [`Error::PrivateKeyInvalid`] without private numbers.
    pub(crate) fn key_pair(&self) -> Result<RsaKeyPair, Error> {
        let private = self.private.as_ref().ok_or(Error::PrivateKeyInvalid)?;
        RsaKeyPair::from_pkcs8(&private.pkcs8).map_err(|_| Error::PrivateKeyInvalid)
    }

    /// The public half as a `SubjectPublicKeyInfo` document (RFC 5280 §4.1.2.7).
    pub(crate) fn public_der(&self) -> Result<Vec<u8>, Error> {
        let components = RsaPublicKeyComponents { n: &self.n, e: &self.e };
        components.as_der().map(|document| document.as_ref().to_vec()).map_err(|_| Error::CryptoFailed)
    }

    /// The private numbers as a JWK names them.
    pub(super) fn private_members(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let numbers = self.private.as_ref().map(|private| private.numbers.as_slice()).unwrap_or_default();
        PRIVATE_NAMES.into_iter().zip(numbers.iter().map(|number| number.as_slice()))
    }

    fn with_private(self, numbers: [Zeroizing<Vec<u8>>; 6]) -> Result<Rsa, Error> {
        let [d, p, q, dp, dq, qi] = &numbers;
        // The library proves that the numbers fit together; a private key that is inconsistent can leak its primes.
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key: RsaPublicKeyComponents { n: &self.n, e: &self.e },
            d,
            p,
            q,
            dP: dp,
            dQ: dq,
            qInv: qi,
        })
        .map_err(|_| Error::PrivateKeyInvalid)?;
        Self::of_key_pair(&pair)
    }
}

impl RsaPrivate {
    /// Ready to decrypt. `None` if the library refuses the key, which it has read before.
    pub(crate) fn decrypting(&self) -> Option<&OaepPrivateDecryptingKey> {
        let read = || OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(&self.pkcs8).ok()?).ok();
        self.decrypting.get_or_init(read).as_ref()
    }
}

/// Refuses weak and overlong keys.
fn check(n: &[u8], e: &[u8]) -> Result<(), Error> {
    // RFC 7518 §2 (Base64urlUInt): as few octets as the number needs.
    let leading = *n.first().ok_or(Error::JwkInvalid)?;
    if leading == 0 || e.first().is_none_or(|first| *first == 0) {
        return Err(Error::JwkInvalid);
    }
    // RFC 7518 §3.3: 2048 bits or more. The upper bound is the library's, and keeps a stranger's key from costing much.
    let bits = n.len().saturating_mul(8) - leading.leading_zeros() as usize;
    if bits < 2048 {
        return Err(Error::KeyTooWeak);
    }
    if bits > 8192 {
        return Err(Error::JwkUnsupported);
    }
    // A product of two odd primes is odd.
    if n.last().is_none_or(|last| last % 2 == 0) {
        return Err(Error::JwkInvalid);
    }
    // FIPS 186-5 §A.1.1: odd, and more than 2^16; the library takes less than 2^33. Small ones have a history of forgeries.
    let exponent = e.iter().take(8).fold(0u64, |sum, octet| (sum << 8) | u64::from(*octet));
    if e.len() > 5 || exponent < LEAST_EXPONENT || exponent % 2 == 0 {
        return Err(Error::KeyTooWeak);
    }
    if roca::marked(n) {
        return Err(Error::KeyTooWeak);
    }
    Ok(())
}

const fn parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn pkcs8(pair: &RsaKeyPair) -> Result<Zeroizing<Vec<u8>>, Error> {
    let document = AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map_err(|_| Error::CryptoFailed)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

const PRIVATE_NAMES: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];
/// 65537, the exponent of nearly every RSA key.
const LEAST_EXPONENT: u64 = 65537;
