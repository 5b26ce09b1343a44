//! The little DER that an RSA public key is written in (RFC 8017 §A.1.1). Reads only what our own library writes.

/// Modulus and exponent of an `RSAPublicKey`, without leading zeros.
pub(super) fn rsa_public_key(document: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, rest) = element(SEQUENCE, document)?;
    let (n, after) = element(INTEGER, body)?;
    let (e, end) = element(INTEGER, after)?;
    (rest.is_empty() && end.is_empty()).then(|| (unsigned(n), unsigned(e)))
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// The content of the first element, which must have this tag, and what follows it (X.690 §8.1).
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        short @ 0..=0x7f => (usize::from(*short), rest),
        long => {
            let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length =
                octets.iter().try_fold(0usize, |sum, octet| sum.checked_mul(256)?.checked_add((*octet).into()))?;
            (length, rest)
        }
    };
    if *first == tag { rest.split_at_checked(length) } else { None }
}

/// A positive integer has a zero before it where its first bit would make it negative (X.690 §8.3.3).
fn unsigned(integer: &[u8]) -> &[u8] {
    match integer {
        [0, rest @ ..] => rest,
        all => all,
    }
}
