//! Keyed digests: values that are compared and never read back. Their key comes from the key file, so that the database
//! alone does not tell which address or identifier a digest is of.

use std::{fmt, net::IpAddr};

use aws_lc_rs::{hkdf, hmac};

use crate::{
    context::{AddressDigest, Context, Network, Prefix, UserAgentFamily},
    id::UserId,
    token::Shard,
};

/// Makes keyed digests.
pub struct Digests {
    address: hmac::Key,
    failure: hmac::Key,
    shard: hmac::Key,
    interaction: hmac::Key,
    dpop_nonce: hmac::Key,
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digests(secret)")
    }
}

impl Digests {
    /// Derives the keys from the key file's sealing secret. `None` never happens with SHA-256, and is refused all the same.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
        let key = |label: &[u8]| secret.expand(&[label], hmac::HMAC_SHA256).ok().map(hmac::Key::from);
        Some(Self {
            address: key(b"regrant/digest/address/v1")?,
            failure: key(b"regrant/digest/failure/v1")?,
            shard: key(b"regrant/digest/shard/v1")?,
            interaction: key(b"regrant/digest/interaction/v1")?,
            dpop_nonce: key(b"regrant/digest/dpop-nonce/v1")?,
        })
    }

    /// The context of a use from `address` with this `User-Agent` header.
    #[must_use]
    pub fn context(&self, address: IpAddr, user_agent: &str) -> Context {
        let address = address.to_canonical();
        Context {
            user_agent: UserAgentFamily::parse(user_agent),
            network: Network::of(address),
            address: AddressDigest(first(&self.address, &[address.to_string().as_bytes()])),
            prefix: Prefix::of(address),
        }
    }

    /// The shard of a user.
    #[must_use]
    pub fn shard(&self, user: UserId) -> Shard {
        Shard(first(&self.shard, &[user.as_bytes()]))
    }

    /// What seals a request that waits for a person.
    #[must_use]
    pub fn interaction(&self, json: &[u8]) -> [u8; 32] {
        first(&self.interaction, &[json])
    }

    /// What makes the nonce of a minute ours.
    #[must_use]
    pub fn dpop_nonce(&self, minute: i64) -> [u8; 12] {
        first(&self.dpop_nonce, &[&minute.to_be_bytes()])
    }

    /// A name for the failures of something that is described by `parts`.
    #[must_use]
    pub fn failure(&self, parts: &[&[u8]]) -> [u8; 16] {
        first(&self.failure, parts)
    }
}

/// The first `N` bytes of the HMAC of `parts`, each with its length before it, so that no two lists are alike.
fn first<const N: usize>(key: &hmac::Key, parts: &[&[u8]]) -> [u8; N] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    out
}
