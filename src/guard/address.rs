//! The client's address: the peer's, unless the peer is a proxy that the settings trust.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

use super::forwarded;

/// Whom `Forwarded` and `X-Forwarded-For` are believed from.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// These networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address that the request came from, as far as it can be believed.
    #[must_use]
    pub fn client_address(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        Some(self.behind(peer, request.headers()))
    }

    /// A proxy that writes one of the two headers may hand the other on as its client made it up: where both stand and
    /// name different clients, neither is believed.
    #[must_use]
    pub fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        // What is no text is no address either.
        let lines =
            |name| -> Vec<&str> { headers.get_all(name).map(|line| line.to_str().unwrap_or("\"")).collect() };
        let (old, standard) = (lines("x-forwarded-for"), lines("forwarded"));
        let of_old = || {
            let hops = old.iter().rev().flat_map(|line| line.rsplit(','));
            self.walk(peer, hops.map(|hop| hop.trim().parse().ok()))
        };
        let of_standard = || {
            let hops = |line: &&str| forwarded::hops(line).unwrap_or_else(|| vec![None]).into_iter().rev();
            self.walk(peer, standard.iter().rev().flat_map(hops))
        };
        match (old.is_empty(), standard.is_empty()) {
            (_, true) => of_old(),
            (true, false) => of_standard(),
            (false, false) => Some(of_old()).filter(|client| *client == of_standard()).unwrap_or(peer),
        }
    }

    /// Walks from the last hop to the first: each was written by the one after it, so the first that is not a trusted
    /// proxy is the client; nothing before it can be believed.
    fn walk(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for hop in hops {
            if !self.trusts(client) {
                break;
            }
            match hop {
                Some(address) => client = address.to_canonical(),
                None => break,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        client_of_both(trusted, peer, forwarded, &[])
    }

    fn client_of_both(
        trusted: &[&str],
        peer: &str,
        old: &[&'static str],
        standard: &[&'static str],
    ) -> String {
        let networks = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        let mut headers = HeaderMap::new();
        for (name, lines) in [("x-forwarded-for", old), ("forwarded", standard)] {
            for line in lines {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(line));
            }
        }
        TrustedProxies::new(networks).behind(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn the_standard_header_is_walked_like_the_old_one() {
        let of = |lines: &[&'static str]| client_of_both(&["10.0.0.0/8"], "10.0.0.1", &[], lines);
        assert_eq!(of(&["for=198.51.100.7"]), "198.51.100.7");
        assert_eq!(of(&["for=6.6.6.6, for=\"198.51.100.7:81\";proto=https, for=10.0.0.2"]), "198.51.100.7");
        assert_eq!(of(&["for=6.6.6.6", "for=\"[2001:db8::7]\""]), "2001:db8::7");
        assert_eq!(of(&["for=198.51.100.7, for=unknown"]), "10.0.0.1");
        // What a client sent cannot take the line over that a proxy adds.
        assert_eq!(of(&["for=\"6.6.6.6", "for=198.51.100.7"]), "198.51.100.7");
        assert_eq!(of(&["for=\"6.6.6.6, for=198.51.100.7"]), "10.0.0.1");
        assert_eq!(client_of_both(&[], "192.0.2.1", &[], &["for=198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn two_headers_that_name_different_clients_are_not_believed() {
        let of = |old: &'static str, standard: &'static str| {
            client_of_both(&["10.0.0.0/8"], "10.0.0.1", &[old], &[standard])
        };
        assert_eq!(of("198.51.100.7", "for=198.51.100.7"), "198.51.100.7");
        assert_eq!(of("198.51.100.7", "for=6.6.6.6"), "10.0.0.1");
        assert_eq!(of("6.6.6.6", "for=198.51.100.7"), "10.0.0.1");
        assert_eq!(of("198.51.100.7", "nonsense"), "10.0.0.1");
    }

    #[test]
    fn nobody_is_believed_unless_the_settings_say_so() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn the_last_hop_that_is_no_trusted_proxy_is_the_client() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client(&trusted, "10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&trusted, "10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client(&trusted, "10.0.0.1", &["6.6.6.6", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&trusted, "10.0.0.1", &["junk"]), "10.0.0.1");
        assert_eq!(client(&trusted, "10.0.0.1", &["198.51.100.7, junk"]), "10.0.0.1");
    }
}
