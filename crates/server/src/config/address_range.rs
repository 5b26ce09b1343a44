//! Ranges of addresses as operators write them: `10.0.0.0/8`, `::1`, `2001:db8::/32` (RFC 4632 §3.1, RFC 4291 §2.3).

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address, or all addresses that begin alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AddressRange {
    first: IpAddr,
    length: u8,
}

impl AddressRange {
    /// Whether `address` lies in it. An IPv4 address mapped into IPv6 counts as what it is.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && Self::cut(address, self.length) == self.first
    }

    /// The first address of the range of `length` that `address` lies in.
    fn cut(address: IpAddr, length: u8) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        }
    }
}

impl FromStr for AddressRange {
    type Err = String;

    /// Strict: a typing error must not make somebody trusted whom nobody meant.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not an address or a range of addresses; write it like \"10.0.0.0/8\" or \"2001:db8::1\""
            )
        };
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(length)),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        if address.to_canonical() != address {
            return Err(format!("\"{text}\": write an IPv4 address as such, like {}", address.to_canonical()));
        }
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => whole,
            // u8's own parser takes "+8".
            Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= whole).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        if length == 0 {
            return Err(format!(
                "\"{text}\" is every address there is, and then anybody could claim to be anybody: name your proxies"
            ));
        }
        let first = Self::cut(address, length);
        if first != address {
            return Err(format!(
                "\"{text}\" is inside a range, not its beginning: write {first}/{length}, or {address} for this one"
            ));
        }
        Ok(Self { first, length })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl Serialize for AddressRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|wrong| serde::de::Error::custom(format!("server.trusted_proxies: {wrong}")))
    }
}

#[cfg(test)]
mod tests {
    use super::AddressRange;

    #[test]
    fn a_range_contains_what_it_says() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("192.0.2.64/26", "192.0.2.127", "192.0.2.128"),
            ("128.0.0.0/1", "255.255.255.255", "127.255.255.255"),
            ("::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("8000::/1", "ffff::", "7fff::"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("::/96", "::10.1.2.3", "10.1.2.3"),
        ] {
            let parsed: AddressRange = range.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{range} {outside}");
        }
    }

    #[test]
    fn a_range_is_written_exactly_or_refused() {
        for (refused, why) in [
            ("", "not an address"),
            ("localhost", "not an address"),
            ("10.0.0.0/", "not an address"),
            ("10.0.0.0/+8", "not an address"),
            ("10.0.0.0/33", "not an address"),
            ("10.0.0.0/256", "not an address"),
            ("10.0.0.0/8/8", "not an address"),
            ("10.0.0/8", "not an address"),
            ("010.0.0.0/8", "not an address"),
            (" 10.0.0.0/8", "not an address"),
            ("10.0.0.0/255.0.0.0", "not an address"),
            ("[::1]", "not an address"),
            ("fe80::1%eth0", "not an address"),
            ("::1/129", "not an address"),
            ("10.0.0.1/8", "write 10.0.0.0/8, or 10.0.0.1 for this one"),
            ("2001:db8::1/32", "write 2001:db8::/32"),
            ("::ffff:10.0.0.1", "like 10.0.0.1"),
            ("0.0.0.0/0", "every address"),
            ("::/0", "every address"),
        ] {
            let error = refused.parse::<AddressRange>().unwrap_err();
            assert!(error.contains(why), "{refused}: {error}");
        }
    }
}
