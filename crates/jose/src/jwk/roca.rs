//! RSA keys of a generator that was broken (CVE-2017-15361, «ROCA»): their primes are powers of 65537 modulo a product of small
//! primes, and anyone can factor them.

/// Whether the modulus bears that generator's mark. A sound key does with a chance of less than one in a hundred million.
pub(super) fn marked(modulus: &[u8]) -> bool {
    SMALL_PRIMES.iter().all(|prime| {
        let residue = modulus.iter().fold(0, |rest, octet| (rest * 256 + u32::from(*octet)) % prime);
        // A product of two powers is a power: the modulus is then one of 65537's.
        std::iter::successors(Some(1), |power| Some(power * (GENERATOR % prime) % prime))
            .take(*prime as usize)
            .any(|power| power == residue)
    })
}

const GENERATOR: u32 = 65537;
/// Those where the powers of 65537 are few enough to tell something; which ones is public since «The Return of Coppersmith's
/// Attack» (Nemec and others, 2017).
const SMALL_PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
