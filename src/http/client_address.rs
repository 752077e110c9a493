//! Finds the client address: the peer's own, or the one that a trusted proxy reports in a header.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::HeaderMap;
use actix_web::{HttpMessage, HttpRequest};
use ipnet::IpNet;

use super::forwarded;
use crate::audit::event::AddressDoubt;

/// The traditional header. Each proxy appends the address of the peer that connected to it.
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The standard header (RFC 7239).
const FORWARDED: &str = "forwarded";
/// The number of bytes read from a header, counted from its end: more than two hundred hops. Proxies append,
/// so only a client can have sent what comes before.
const READ_MAX: usize = 4_096;
/// The number of bytes of a header that a warning shows.
const SHOWN: usize = 200;

/// The header that the trusted proxies write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Either header. If both are sent and name different clients, the address is uncertain.
    #[default]
    Auto,
    /// Only `X-Forwarded-For`.
    XForwardedFor,
    /// Only `Forwarded`.
    Forwarded,
}

/// The client address of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address to record.
    pub address: IpAddr,
    /// The reason why the address is uncertain; `None` if it is certain.
    pub doubt: Option<AddressDoubt>,
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self { address, doubt: None }
    }
}

/// The proxies whose headers are trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ProxyHeader,
    warned: Arc<Warned>,
}

/// Flags of the warnings that this process has already logged. Otherwise each request could log one.
#[derive(Debug, Default)]
struct Warned {
    of_conflict: AtomicBool,
    of_unreadable: AtomicBool,
}

impl TrustedProxies {
    /// Trusts the peers in these networks to write this header.
    #[must_use]
    pub fn new(networks: Vec<IpNet>, header: ProxyHeader) -> Self {
        Self { networks, header, warned: Arc::default() }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Returns the client address. Computes it once per request and keeps it in the request's extensions.
    #[must_use]
    pub fn client_address(&self, request: &HttpRequest) -> Option<ClientAddress> {
        if let Some(read) = request.extensions().get::<ClientAddress>() {
            return Some(read.clone());
        }
        let peer = request.peer_addr()?.ip().to_canonical();
        let client = self.behind(peer, request.headers());
        if let Some(doubt) = &client.doubt {
            self.report(doubt, peer, request.headers());
        }
        request.extensions_mut().insert(client.clone());
        Some(client)
    }

    /// Returns the address of the client for which `peer` sends the request, as the headers report it.
    #[must_use]
    pub fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        if !self.trusts(peer) {
            return peer.into();
        }
        let of = |hops: &[Hop]| self.walk(peer, hops);
        match self.header {
            ProxyHeader::XForwardedFor => of(&x_forwarded_for(headers)),
            ProxyHeader::Forwarded => of(&standard(headers)),
            ProxyHeader::Auto => match (x_forwarded_for(headers), standard(headers)) {
                (old, standard) if standard.is_empty() => of(&old),
                (old, standard) if old.is_empty() => of(&standard),
                (old, standard) => agreed(of(&old), of(&standard)),
            },
        }
    }

    /// Walks from the last hop back to the first. Each hop was written by the proxy after it, so the first
    /// hop outside the trusted networks is the client. Earlier hops cannot be trusted.
    fn walk(&self, peer: IpAddr, hops: &[Hop]) -> ClientAddress {
        let mut client = peer;
        for hop in hops.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            match hop {
                Hop::Address(address) => client = address.to_canonical(),
                Hop::Unreadable { last } => {
                    let address = last.map_or(client, |last| last.to_canonical());
                    return ClientAddress { address, doubt: Some(AddressDoubt::Unreadable) };
                }
            }
        }
        client.into()
    }

    /// Counts an uncertain address, and logs a warning for the first with this reason.
    fn report(&self, doubt: &AddressDoubt, peer: IpAddr, headers: &HeaderMap) {
        metrics::counter!("doorward_addresses_in_doubt_total", "reason" => doubt.as_str()).increment(1);
        let warned = match doubt {
            AddressDoubt::Conflict(_) => &self.warned.of_conflict,
            AddressDoubt::Unreadable => &self.warned.of_unreadable,
        };
        if warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let (x_forwarded_for, forwarded) = (shown(headers, X_FORWARDED_FOR), shown(headers, FORWARDED));
        match doubt {
            AddressDoubt::Conflict(_) => tracing::warn!(
                %peer, x_forwarded_for, forwarded,
                "a trusted proxy sent X-Forwarded-For and Forwarded headers that name different clients, so \
                 these requests share one rate limit; set DOORWARD_PROXY_HEADER to the header that your \
                 proxies write"
            ),
            AddressDoubt::Unreadable => tracing::warn!(
                %peer, x_forwarded_for, forwarded,
                "a trusted proxy's header does not name a readable client address, so these requests share \
                 one rate limit; configure the proxy to write addresses, or set DOORWARD_PROXY_HEADER to the \
                 header that it writes"
            ),
        }
    }
}

/// A hop in a header.
enum Hop {
    /// The address that connected to the next hop.
    Address(IpAddr),
    /// A hop or line without a readable address. `last` is the address at the very end of the line, which the
    /// last proxy appended.
    Unreadable { last: Option<IpAddr> },
}

/// Returns the hops of `X-Forwarded-For`, oldest first. Skips empty elements (RFC 9110, section 5.6.1).
/// Parses each hop alone, so that bytes sent by a client cannot make the hop of a proxy unreadable.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Hop> {
    let (lines, is_cut) = last_lines(headers, X_FORWARDED_FOR);
    let hops = lines.into_iter().flat_map(|line| line.split(|byte| *byte == b','));
    // The first hop of a cut header may be incomplete.
    let hops = hops.skip(usize::from(is_cut)).map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty());
    let read = |hop: &[u8]| std::str::from_utf8(hop).ok().and_then(forwarded::address);
    let hops = hops.map(|hop| read(hop).map_or(Hop::Unreadable { last: None }, Hop::Address));
    let rest = is_cut.then_some(Hop::Unreadable { last: None });
    rest.into_iter().chain(hops).collect()
}

/// Returns the lines of a header, limited to its last `READ_MAX` bytes; and true if it was cut.
fn last_lines<'a>(headers: &'a HeaderMap, name: &str) -> (Vec<&'a [u8]>, bool) {
    let mut left = READ_MAX;
    let mut is_cut = false;
    let lines: Vec<&[u8]> = headers.get_all(name).map(|line| line.as_bytes()).collect();
    let mut read = Vec::new();
    for line in lines.into_iter().rev() {
        let cut = line.len().saturating_sub(left);
        left -= line.len() - cut;
        read.push(&line[cut..]);
        is_cut = cut > 0;
        if is_cut {
            break;
        }
    }
    read.reverse();
    (read, is_cut)
}

/// Returns the hops of `Forwarded`, oldest first. A malformed or cut line counts as one unreadable hop,
/// because its elements cannot be separated reliably.
fn standard(headers: &HeaderMap) -> Vec<Hop> {
    let (lines, is_cut) = last_lines(headers, FORWARDED);
    let mut hops = Vec::new();
    for (at, line) in lines.into_iter().enumerate() {
        let is_whole = at > 0 || !is_cut;
        let text = std::str::from_utf8(line).ok().filter(|text| is_whole && text.is_ascii());
        match text.and_then(forwarded::hops) {
            Some(read) => {
                let of = |hop: Option<IpAddr>| hop.map_or(Hop::Unreadable { last: None }, Hop::Address);
                hops.extend(read.into_iter().map(of));
            }
            None => hops.push(Hop::Unreadable { last: forwarded::last_hop(line) }),
        }
    }
    hops
}

/// Returns the client that both headers name. A proxy that writes one header may pass on the other as a
/// client invented it. If they differ, the address of `X-Forwarded-For`, which most proxies write, is
/// returned and marked as uncertain.
fn agreed(old: ClientAddress, standard: ClientAddress) -> ClientAddress {
    if old == standard {
        return old;
    }
    let forwarded = Some(standard.address).filter(|_| standard.doubt.is_none());
    ClientAddress { address: old.address, doubt: Some(AddressDoubt::Conflict(forwarded)) }
}

/// Returns a header for a log line, escaped and cut.
fn shown(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&[u8]> = headers.get_all(name).map(|line| line.as_bytes()).collect();
    let bytes = lines.iter().flat_map(|line| line.iter().chain(b",")).take(SHOWN);
    (!lines.is_empty()).then(|| bytes.flat_map(|byte| byte.escape_ascii()).map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(old: &[&str], standard: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, lines) in [(X_FORWARDED_FOR, old), (FORWARDED, standard)] {
            for line in lines {
                // `?` stands for a byte that is not UTF-8.
                let bytes: Vec<u8> =
                    line.bytes().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
                headers.append(
                    HeaderName::from_static(name),
                    HeaderValue::from_bytes(&bytes).expect("a header"),
                );
            }
        }
        headers
    }

    /// Returns the client address of a request from the proxy 10.0.0.1.
    fn client(header: ProxyHeader, old: &[&str], standard: &[&str]) -> ClientAddress {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a network")], header);
        proxies.behind(address("10.0.0.1"), &headers(old, standard))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn certain(text: &str) -> ClientAddress {
        address(text).into()
    }

    fn unreadable(text: &str) -> ClientAddress {
        ClientAddress { address: address(text), doubt: Some(AddressDoubt::Unreadable) }
    }

    fn conflict(text: &str, forwarded: Option<&str>) -> ClientAddress {
        let doubt = AddressDoubt::Conflict(forwarded.map(address));
        ClientAddress { address: address(text), doubt: Some(doubt) }
    }

    #[test]
    fn headers_are_ignored_unless_the_peer_is_trusted() {
        let all = headers(&["198.51.100.7"], &["for=198.51.100.7"]);
        let peer = address("192.0.2.1");
        assert_eq!(TrustedProxies::default().behind(peer, &all), certain("192.0.2.1"));
        let others = TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a network")], ProxyHeader::Auto);
        assert_eq!(others.behind(peer, &all), certain("192.0.2.1"));
    }

    #[test]
    fn client_is_the_last_hop_that_is_not_a_trusted_proxy() {
        let of = |lines: &[&str]| client(ProxyHeader::Auto, lines, &[]);
        assert_eq!(of(&["198.51.100.7"]), certain("198.51.100.7"));
        assert_eq!(of(&["6.6.6.6, 198.51.100.7, 10.0.0.2"]), certain("198.51.100.7"));
        assert_eq!(of(&["6.6.6.6", "198.51.100.7"]), certain("198.51.100.7"));
        assert_eq!(of(&["10.0.0.3, 10.0.0.2"]), certain("10.0.0.3"));
        assert_eq!(of(&[]), certain("10.0.0.1"));
    }

    #[test]
    fn hops_are_parsed_in_every_form_that_proxies_write() {
        for (line, expected) in [
            ("203.0.113.5:4711", "203.0.113.5"),
            ("[2001:db8::9]:443", "2001:db8::9"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:203.0.113.5", "203.0.113.5"),
            ("[::ffff:203.0.113.5]:80", "203.0.113.5"),
            ("203.0.113.5,", "203.0.113.5"),
            (",, 203.0.113.5 , ,", "203.0.113.5"),
            ("  203.0.113.5\t", "203.0.113.5"),
            ("6.6.6.6:1, [2001:db8::9]:443, 10.0.0.2:80", "2001:db8::9"),
            (",", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client(ProxyHeader::Auto, &[line], &[]), certain(expected), "{line}");
        }
    }

    #[test]
    fn unreadable_hops_make_the_address_uncertain() {
        for line in [
            "junk",
            "198.51.100.7, junk",
            "unknown",
            "203.0.113.5:",
            "203.0.113.5:x",
            "203.0.113.5:123456",
            "[2001:db8::9",
            "2001:db8::9]",
            "[203.0.113.5]",
            "[2001:db8::9]443",
            "203.0.113.5 203.0.113.6",
            "?",
        ] {
            assert_eq!(client(ProxyHeader::Auto, &[line], &[]), unreadable("10.0.0.1"), "{line}");
        }
        assert_eq!(client(ProxyHeader::Auto, &["junk, 10.0.0.2"], &[]), unreadable("10.0.0.2"));
    }

    #[test]
    fn junk_from_the_client_does_not_hide_the_hop_of_a_proxy() {
        assert_eq!(client(ProxyHeader::Auto, &["?, 198.51.100.7"], &[]), certain("198.51.100.7"));
        assert_eq!(client(ProxyHeader::Auto, &["junk,198.51.100.7"], &[]), certain("198.51.100.7"));
        let of = |line: &str| client(ProxyHeader::Auto, &[], &[line]);
        assert_eq!(of("for=\"6.6.6.6, for=198.51.100.7"), unreadable("198.51.100.7"));
        assert_eq!(of("?, for=198.51.100.7"), unreadable("198.51.100.7"));
        assert_eq!(of("for=\"6.6.6.6, for=10.0.0.1:\""), unreadable("10.0.0.1"));
    }

    #[test]
    fn forwarded_is_parsed_like_x_forwarded_for() {
        let of = |lines: &[&str]| client(ProxyHeader::Auto, &[], lines);
        assert_eq!(of(&["for=198.51.100.7"]), certain("198.51.100.7"));
        assert_eq!(
            of(&["for=6.6.6.6, for=\"198.51.100.7:81\";proto=https, for=10.0.0.2"]),
            certain("198.51.100.7")
        );
        assert_eq!(of(&["for=6.6.6.6", "for=\"[2001:db8::7]\""]), certain("2001:db8::7"));
        assert_eq!(of(&["for=\"6.6.6.6", "for=198.51.100.7"]), certain("198.51.100.7"));
        assert_eq!(of(&["for=198.51.100.7, for=unknown"]), unreadable("10.0.0.1"));
    }

    #[test]
    fn conflicting_headers_make_the_address_uncertain() {
        let of = |old, standard| client(ProxyHeader::Auto, &[old], &[standard]);
        assert_eq!(of("198.51.100.7:80", "for=198.51.100.7"), certain("198.51.100.7"));
        assert_eq!(of("198.51.100.7", "for=6.6.6.6"), conflict("198.51.100.7", Some("6.6.6.6")));
        assert_eq!(of("198.51.100.7", "nonsense"), conflict("198.51.100.7", None));
        assert_eq!(of("junk", "for=6.6.6.6"), conflict("10.0.0.1", Some("6.6.6.6")));
        assert_eq!(of("198.51.100.7", ","), certain("198.51.100.7"));
        assert_eq!(of(",", "for=198.51.100.7"), certain("198.51.100.7"));
    }

    #[test]
    fn long_headers_are_read_from_their_end() {
        let of = |line: &str| client(ProxyHeader::Auto, &[line], &[]);
        assert_eq!(of(&format!("{}198.51.100.7", "6.6.6.6, ".repeat(6_000))), certain("198.51.100.7"));
        assert_eq!(of(&"10.0.0.2,".repeat(6_000)), unreadable("10.0.0.2"));
        for spaces in 0..20 {
            let line = format!("198.51.100.7,{}{}", " ".repeat(spaces), "10.0.0.2,".repeat(454));
            let expected =
                if line.len() > READ_MAX { unreadable("10.0.0.2") } else { certain("198.51.100.7") };
            assert_eq!(of(&line), expected, "half a hop is no hop: {} bytes", line.len());
        }
        let of = |lines: &[&str]| client(ProxyHeader::Auto, &[], lines);
        let long = "for=6.6.6.6,".repeat(5_000);
        assert_eq!(of(&[&format!("{long}for=198.51.100.7")]), unreadable("198.51.100.7"));
        assert_eq!(of(&[&long, "for=198.51.100.7"]), certain("198.51.100.7"));
        assert_eq!(of(&[&";".repeat(60_000)]), unreadable("10.0.0.1"));
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let of = |header, old, standard| client(header, &[old], &[standard]);
        let (x_forwarded_for, forwarded) = (ProxyHeader::XForwardedFor, ProxyHeader::Forwarded);
        assert_eq!(of(x_forwarded_for, "198.51.100.7", "for=6.6.6.6"), certain("198.51.100.7"));
        assert_eq!(of(forwarded, "6.6.6.6", "for=198.51.100.7"), certain("198.51.100.7"));
        assert_eq!(client(x_forwarded_for, &[], &["for=6.6.6.6"]), certain("10.0.0.1"));
        assert_eq!(client(forwarded, &["6.6.6.6"], &[]), certain("10.0.0.1"));
    }

    #[test]
    fn warnings_show_a_header_escaped_and_cut() {
        let all = headers(&["a\tb?", "203.0.113.5"], &[]);
        assert_eq!(shown(&all, X_FORWARDED_FOR).as_deref(), Some("a\\tb\\xff,203.0.113.5,"));
        assert_eq!(shown(&all, FORWARDED), None);
        let long = "x".repeat(60_000);
        assert_eq!(shown(&headers(&[&long], &[]), X_FORWARDED_FOR).expect("a header").len(), SHOWN);
    }
}
