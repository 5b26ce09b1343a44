//! Algorithm key pairs (RFC 9964 §3): ML-DSA, whose private key is its seed.

use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING,
    ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};
use zeroize::Zeroizing;

use super::members::Members;
use crate::{Algorithm, Error};

/// An ML-DSA key. The algorithm is part of the key itself.
pub(crate) struct Akp {
    pub(crate) algorithm: Algorithm,
    pub(crate) public: Vec<u8>,
    /// 32 octets (FIPS 204 §5.1); the long form is not a JWK's (RFC 9964 §4).
    pub(crate) seed: Option<Zeroizing<Vec<u8>>>,
}

impl Akp {
    pub(super) fn parse(members: &Members) -> Result<Akp, Error> {
        // RFC 9964 §3: `alg` is required, and says what the octets mean.
        let algorithm = Algorithm::from_name(members.required("alg")?).ok_or(Error::JwkUnsupported)?;
        let (_, signing) = suite(algorithm).ok_or(Error::JwkUnsupported)?;
        let public = members.exactly("pub", signing.public_key_len())?;
        let akp = Akp { algorithm, public, seed: members.secret_exactly("priv", signing.seed_len())? };
        akp.public_key()?;
        if akp.seed.is_some() {
            akp.key_pair()?;
        }
        Ok(akp)
    }

    pub(super) fn generate(algorithm: Algorithm) -> Result<Akp, Error> {
        let (_, signing) = suite(algorithm).ok_or(Error::JwkUnsupported)?;
        Self::of_key_pair(algorithm, &PqdsaKeyPair::generate(signing).map_err(|_| Error::CryptoFailed)?)
    }

    /// [`Error::PrivateKeyInvalid`] for a pair whose seed is not known.
    pub(crate) fn of_key_pair(algorithm: Algorithm, pair: &PqdsaKeyPair) -> Result<Akp, Error> {
        let public = pair.public_key().as_ref().to_vec();
        // RFC 9881 §6: the library writes `[0] seed`, and nothing after it. What was cut out is proved by making the key anew.
        let document = pair.to_pkcs8v1().map_err(|_| Error::PrivateKeyInvalid)?;
        let bytes = document.as_ref();
        let seed =
            bytes.len().checked_sub(SEED_BYTES).and_then(|at| bytes.get(at..)).ok_or(Error::PrivateKeyInvalid)?;
        let akp = Akp { algorithm, public, seed: Some(Zeroizing::new(seed.to_vec())) };
        akp.key_pair()?;
        Ok(akp)
    }

    /// Ready to verify.
    pub(super) fn public_key(&self) -> Result<ParsedPublicKey, Error> {
        let (verification, _) = suite(self.algorithm).ok_or(Error::JwkUnsupported)?;
        ParsedPublicKey::new(verification, &self.public).map_err(|_| Error::JwkInvalid)
    }

    /// Ready to sign. [`Error::PrivateKeyInvalid`] without a seed, or with one that makes another key.
    pub(crate) fn key_pair(&self) -> Result<PqdsaKeyPair, Error> {
        let (_, signing) = suite(self.algorithm).ok_or(Error::JwkUnsupported)?;
        let seed = self.seed.as_ref().ok_or(Error::PrivateKeyInvalid)?;
        let pair = PqdsaKeyPair::from_seed(signing, seed).map_err(|_| Error::PrivateKeyInvalid)?;
        if pair.public_key().as_ref() == self.public { Ok(pair) } else { Err(Error::PrivateKeyInvalid) }
    }
}

/// How the library calls the algorithm; `None` for those of other types of keys.
pub(crate) const fn suite(
    algorithm: Algorithm,
) -> Option<(&'static PqdsaVerificationAlgorithm, &'static PqdsaSigningAlgorithm)> {
    match algorithm {
        Algorithm::MlDsa44 => Some((&ML_DSA_44, &ML_DSA_44_SIGNING)),
        Algorithm::MlDsa65 => Some((&ML_DSA_65, &ML_DSA_65_SIGNING)),
        Algorithm::MlDsa87 => Some((&ML_DSA_87, &ML_DSA_87_SIGNING)),
        _ => None,
    }
}

const SEED_BYTES: usize = 32;
