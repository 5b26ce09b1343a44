//! The little DER that an RSA private key is written in (RFC 5208 §5, RFC 8017 §A.1.2). Reads only what our own library
//! writes.

/// `n`, `e`, `d`, `p`, `q`, `dp`, `dq`, `qi` of an RSA key in PKCS#8, without leading zeros.
pub(super) fn rsa_private_key(document: &[u8]) -> Option<[&[u8]; 8]> {
    let (info, rest) = element(SEQUENCE, document)?;
    let (_version, info) = element(INTEGER, info)?;
    let (_algorithm, info) = element(SEQUENCE, info)?;
    let (key, _attributes) = element(OCTET_STRING, info)?;
    let (key, end) = element(SEQUENCE, key)?;
    let (_version, mut numbers) = element(INTEGER, key)?;

    let mut found: [&[u8]; 8] = [&[]; 8];
    for number in &mut found {
        let (integer, after) = element(INTEGER, numbers)?;
        *number = unsigned(integer);
        numbers = after;
    }
    (rest.is_empty() && end.is_empty() && numbers.is_empty()).then_some(found)
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

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
