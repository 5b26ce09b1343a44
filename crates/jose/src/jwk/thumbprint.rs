//! RFC 7638: a key's name is the hash of its required members, in one spelling.

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::Material;
use crate::base64url;

/// The SHA-256 thumbprint of a key, base64url.
pub(super) fn of(material: &Material) -> String {
    // RFC 7638 §3.2, §3.3: only the required members, in lexicographic order, without white space. None of these values holds
    // a character that JSON escapes.
    let text = |octets: &[u8]| Zeroizing::new(base64url::encode(octets));
    let canonical = Zeroizing::new(match material {
        Material::Ec(ec) => {
            let (x, y) = ec.coordinates();
            format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, ec.curve.as_str(), *text(x), *text(y))
        }
        // RFC 8037 §2.
        Material::Okp(okp) => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, okp.curve.as_str(), *text(&okp.x)),
        Material::Rsa(rsa) => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, *text(&rsa.e), *text(&rsa.n)),
        Material::Oct(oct) => format!(r#"{{"k":"{}","kty":"oct"}}"#, *text(&oct.k)),
        // RFC 9964 §6: the algorithm is a required member.
        Material::Akp(akp) => format!(r#"{{"alg":"{}","kty":"AKP","pub":"{}"}}"#, akp.algorithm, *text(&akp.public)),
    });
    base64url::encode(digest(&SHA256, canonical.as_bytes()).as_ref())
}
