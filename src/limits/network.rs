//! Determines the networks in which a client address is counted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The prefix lengths at which an IPv6 address is counted, with their limits in percent of the narrowest
/// one's. A host has a /64, a home's connection often a /56, and a site a /48.
const IPV6_WIDTHS: [(u32, u64); 3] = [(64, 100), (56, 150), (48, 200)];

/// The network that a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientNetwork {
    Ipv4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    Ipv6(Ipv6Addr),
    /// No address is known.
    Unknown,
    /// The address is uncertain, because a proxy's headers contradict each other or cannot be parsed.
    Uncertain,
}

impl ClientNetwork {
    /// Parses an address.
    #[must_use]
    pub fn of(address: Option<&str>) -> Self {
        match address.and_then(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::Ipv4(address),
            Some(IpAddr::V6(address)) => Self::Ipv6(prefix(address, 64)),
            None => Self::Unknown,
        }
    }

    /// Returns the name of the narrowest network.
    #[must_use]
    pub fn narrowest(&self) -> String {
        match self {
            Self::Ipv4(address) => address.to_string(),
            Self::Ipv6(address) => format!("{address}/64"),
            Self::Unknown => "none".to_owned(),
            Self::Uncertain => "in doubt".to_owned(),
        }
    }

    /// Returns the name under which an account remembers the network. Returns `None` if the address is
    /// uncertain, because anyone may have made it up.
    #[must_use]
    pub fn known_as(&self) -> Option<String> {
        (*self != Self::Uncertain).then(|| self.narrowest())
    }

    /// Returns the networks in which the address is counted, from the narrowest to the widest.
    #[must_use]
    pub fn widths(&self) -> Vec<String> {
        match self {
            Self::Ipv6(address) => {
                IPV6_WIDTHS.map(|(bits, _)| format!("{}/{bits}", prefix(*address, bits))).into()
            }
            _ => vec![self.narrowest()],
        }
    }

    /// Returns the networks in which the address is counted, with their limits.
    #[must_use]
    pub fn with_limits(&self, limit: u32) -> Vec<(String, u32)> {
        self.widths().into_iter().zip(limits_by_width(limit)).collect()
    }
}

/// Returns the limits of networks from the narrowest, whose limit is `limit`, to the widest.
#[must_use]
pub(crate) fn limits_by_width(limit: u32) -> [u32; 3] {
    IPV6_WIDTHS.map(|(_, percent)| share(limit, percent))
}

/// Returns the address with all but its first bits set to zero.
fn prefix(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)))
}

fn share(limit: u32, percent: u64) -> u32 {
    u32::try_from(u64::from(limit) * percent / 100).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_counts_as_ipv4_or_by_64_bits() {
        for (address, counted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("::1", "::/64"),
            ("nonsense", "none"),
        ] {
            let network = ClientNetwork::of(Some(address));
            assert_eq!(network.narrowest(), counted, "{address}");
            assert_eq!(network.known_as().as_deref(), Some(counted), "{address}");
        }
        assert_eq!(ClientNetwork::of(None).narrowest(), "none");
        assert_eq!(ClientNetwork::Uncertain.known_as(), None);
    }

    #[test]
    fn limits_rise_with_the_width_of_an_ipv6_network() {
        let of = |address| ClientNetwork::of(Some(address)).with_limits(50);
        assert_eq!(of("192.0.2.7"), [("192.0.2.7".to_owned(), 50)]);
        let widths = [("2001:db8:1:234::/64", 50), ("2001:db8:1:200::/56", 75), ("2001:db8:1::/48", 100)];
        assert_eq!(of("2001:db8:1:234::1"), widths.map(|(network, limit)| (network.to_owned(), limit)));
        let of_one: Vec<u32> = ClientNetwork::of(Some("2001:db8::1"))
            .with_limits(1)
            .into_iter()
            .map(|(_, limit)| limit)
            .collect();
        assert_eq!(of_one, [1, 1, 2]);
        assert_eq!(ClientNetwork::Uncertain.with_limits(7), [("in doubt".to_owned(), 7)]);
        assert_eq!(share(u32::MAX, 200), u32::MAX);
    }
}
