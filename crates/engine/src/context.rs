//! From where a token is used: coarse enough to be the same tomorrow, fine enough to tell a thief's machine apart.
//!
//! It comes from the connection, or from a trusted proxy's headers, never from anyone else's.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};

use crate::common::Common;

/// One use's context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Context {
    /// Browser and operating system, without versions.
    pub user_agent: UserAgentFamily,
    /// The network that the use came from.
    pub network: Network,
    /// A keyed digest of the whole address, so that "the same address" can be said without keeping one.
    pub address: AddressDigest,
    /// What the timeline shows of the address.
    pub prefix: Prefix,
}

impl Context {
    /// User-agent family and network are the same. The address may differ.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.user_agent == other.user_agent && self.network == other.network
    }
}

/// A keyed digest of a client address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressDigest(pub [u8; 8]);

/// The network of an address. Without ASN data: the /16 (IPv4) or /32 (IPv6) that it lies in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// The first two bytes of an IPv4 address.
    V4([u8; 2]),
    /// The first four bytes of an IPv6 address.
    V6([u8; 4]),
}

impl Network {
    /// The network that `address` lies in. An IPv4 address mapped into IPv6 counts as what it is.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.octets();
                Self::V6([a, b, c, d])
            }
        }
    }

    /// Five bytes for a store: the family, then the address's first bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 5] {
        match self {
            Self::V4([a, b]) => [4, a, b, 0, 0],
            Self::V6([a, b, c, d]) => [6, a, b, c, d],
        }
    }

    /// Back from [`Self::to_bytes`]; `None` for anything else.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 5]) -> Option<Self> {
        match bytes {
            [4, a, b, 0, 0] => Some(Self::V4([a, b])),
            [6, a, b, c, d] => Some(Self::V6([a, b, c, d])),
            _ => None,
        }
    }
}

/// The networks that a grant last rotated from, newest first, at most [`Self::KEPT`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Networks([Option<Network>; Networks::KEPT]);

impl Networks {
    /// How many are remembered.
    pub const KEPT: usize = 4;

    /// Of a grant that was just issued to `first`.
    #[must_use]
    pub fn starting_with(first: Network) -> Self {
        Self([Some(first), None, None, None])
    }

    /// Whether the grant rotated from `network` lately.
    #[must_use]
    pub fn contains(&self, network: Network) -> bool {
        self.0.contains(&Some(network))
    }

    /// Remembers one more rotation.
    pub fn note(&mut self, network: Network) {
        // It comes first; what stood before its old place, or before the last one, moves on by one.
        let mut moved = Some(network);
        for place in &mut self.0 {
            std::mem::swap(place, &mut moved);
            if moved.is_none_or(|moved| moved == network) {
                break;
            }
        }
    }

    /// For a store: the networks' bytes one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|network| network.to_bytes()).collect()
    }

    /// Back from [`Self::to_bytes`]; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (networks, rest) = bytes.as_chunks::<5>();
        if !rest.is_empty() || networks.len() > Self::KEPT {
            return None;
        }
        let mut known = [None; Self::KEPT];
        for (place, network) in known.iter_mut().zip(networks) {
            *place = Some(Network::from_bytes(*network)?);
        }
        Some(Self(known))
    }
}

/// The part of an address that is kept in the clear: /24 of IPv4, /48 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix(IpAddr);

impl Prefix {
    /// Cuts `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        })
    }
}

impl Prefix {
    /// The bytes that are kept, for a store: three of IPv4, six of IPv6.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(v4) => v4.octets().into_iter().take(3).collect(),
            IpAddr::V6(v6) => v6.octets().into_iter().take(6).collect(),
        }
    }

    /// Back from [`Self::to_bytes`]; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let address = match *bytes {
            [a, b, c] => IpAddr::V4(Ipv4Addr::new(a, b, c, 0)),
            [a, b, c, d, e, f] => IpAddr::V6(Ipv6Addr::from([a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            _ => return None,
        };
        Some(Self(address))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = if self.0.is_ipv4() { 24 } else { 48 };
        write!(f, "{}/{length}", self.0)
    }
}

impl std::str::FromStr for Prefix {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.split_once('/').map_or(text, |(address, _)| address);
        address.parse().map(Self::of)
    }
}

/// Browser and operating system without versions, as in "Firefox on Linux": an upgrade changes nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct UserAgentFamily(Common<str>);

impl UserAgentFamily {
    /// The longest name of an unknown program that is kept, in characters.
    const LONGEST: usize = 32;

    /// Reads a `User-Agent` header (RFC 9110 §10.1.5). Unknown programs are named by their first product, so that `curl` and
    /// a mobile application have families too; an absent or unreadable header is "unknown".
    #[must_use]
    pub fn parse(header: &str) -> Self {
        let program = program(header);
        Self::from_stored(match system(header) {
            Some(system) => format!("{program} on {system}"),
            None => program,
        })
    }

    /// From a store's text.
    #[must_use]
    pub fn from_stored(text: impl Into<Common<str>>) -> Self {
        Self(text.into())
    }

    /// The family in words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for UserAgentFamily {
    fn from(text: String) -> Self {
        Self::from_stored(text)
    }
}

impl From<UserAgentFamily> for String {
    fn from(family: UserAgentFamily) -> Self {
        family.as_str().to_owned()
    }
}

impl fmt::Display for UserAgentFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Most browsers claim to be several others, so the order matters: the most particular claim first.
fn program(header: &str) -> String {
    const CLAIMS: [(&str, &str); 14] = [
        ("Edg/", "Edge"),
        ("EdgA/", "Edge"),
        ("EdgiOS/", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Vivaldi/", "Vivaldi"),
        ("YaBrowser/", "Yandex"),
        ("FxiOS/", "Firefox"),
        ("Firefox/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("HeadlessChrome/", "Chrome"),
        ("Chromium/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Version/", "Safari"),
    ];
    let known = CLAIMS.iter().find(|(claim, _)| header.contains(claim)).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| {
        let product: String = header
            .split(['/', ' ', ';', '('])
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
            .take(UserAgentFamily::LONGEST)
            .collect();
        if product.is_empty() { "unknown".to_owned() } else { product }
    })
}

fn system(header: &str) -> Option<&'static str> {
    const CLAIMS: [(&str, &str); 9] = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("CrOS", "ChromeOS"),
        ("Macintosh", "macOS"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
        ("BSD", "BSD"),
    ];
    CLAIMS.iter().find(|(claim, _)| header.contains(claim)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests;
