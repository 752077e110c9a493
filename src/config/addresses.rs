//! Web addresses in settings: the public URL, origins, and networks.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

/// The URL at which people and clients reach this service. It has `http` or `https`, a host and perhaps a
/// port, but no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(WebOrigin);

impl PublicUrl {
    /// Parses the URL, without a single slash at its end.
    ///
    /// # Errors
    /// The message says which part of the URL is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let url = web_url(text)?;
        if url.path() != "/" {
            return Err("it has a path".to_owned());
        }
        Ok(Self(WebOrigin::of(&url)))
    }

    /// Returns the URL of a listener with no proxy in front of it.
    #[must_use]
    pub fn of_listener(address: SocketAddr) -> Self {
        let default_port = address.port() == 80;
        let text =
            if default_port { format!("http://{}", host(address.ip())) } else { format!("http://{address}") };
        Self(WebOrigin { text, local: address.ip().to_canonical().is_loopback() })
    }

    /// Returns the URL without a slash at its end, as in the `iss` claim of tokens (RFC 8414, section 2).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Returns the URL as the `Origin` header of this service's own pages has it (RFC 6454, section 6.2).
    #[must_use]
    pub fn origin(&self) -> &WebOrigin {
        &self.0
    }

    /// Returns whether the URL uses TLS, so that cookies are `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.text.starts_with("https://")
    }

    /// Returns whether the host is this machine alone: `localhost`, a name under it, or a loopback address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.local
    }

    /// Returns whether the host is `0.0.0.0` or `[::]` in any form. A server can listen there, but no client
    /// can open it.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        let url = Url::parse(self.as_str());
        url.is_ok_and(|url| address(&url).is_some_and(|address| address.is_unspecified()))
    }

    /// Returns the URL of a path on this service. The path begins with a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An exact web origin, in the form of the `Origin` header (RFC 6454, section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    text: String,
    local: bool,
}

impl WebOrigin {
    /// Parses `scheme://host[:port]`.
    ///
    /// # Errors
    /// The message says why the text is not an exact origin.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.contains('*') {
            return Err("a wildcard is not an exact origin".to_owned());
        }
        let url = web_url(text)?;
        if url.path() != "/" || text.ends_with('/') {
            return Err("an origin ends with its host or port, without a slash or path".to_owned());
        }
        Ok(Self::of(&url))
    }

    /// Returns the origin in the form of the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn of(url: &Url) -> Self {
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            _ => address(url).is_some_and(|address| address.is_loopback()),
        };
        Self { text: url.origin().ascii_serialization(), local }
    }
}

/// Returns the IP address of a URL whose host is one. An IPv4 address in IPv6 form becomes an IPv4 address.
fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address).to_canonical()),
    }
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Parses a web URL that has only a scheme, a host, a port and a path.
fn web_url(text: &str) -> Result<Url, String> {
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Err("it does not begin with http:// or https://".to_owned());
    }
    // The URL parser would repair these, but whoever wrote them meant something else.
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\') {
        return Err("it has a space, a control character or a backslash".to_owned());
    }
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if text.contains('@') {
        return Err("it has a username or an @".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or a fragment".to_owned());
    }
    Ok(url)
}

/// Parses a network such as `10.0.0.0/8`, or an address, which is a network of one.
///
/// # Errors
/// The message says what is wrong.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| "it is not an address or a network".to_owned())?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!("it is an address inside a network; did you mean {}?", network.trunc()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_url_has_one_canonical_form() {
        for (text, url) in [
            ("https://id.example.org", "https://id.example.org"),
            ("https://id.example.org/", "https://id.example.org"),
            ("HTTPS://ID.example.org:443", "https://id.example.org"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("https://türen.example", "https://xn--tren-0ra.example"),
        ] {
            assert_eq!(PublicUrl::read(text).unwrap().as_str(), url, "{text}");
        }
        let url = PublicUrl::read("https://id.example.org/").unwrap();
        assert_eq!(url.join("/login"), "https://id.example.org/login");
        assert!(url.is_https() && !url.is_local());
        assert!(PublicUrl::read("http://[::1]:1").unwrap().is_local());
        assert!(PublicUrl::read("http://localhost").unwrap().is_local());
        assert!(PublicUrl::read("http://[::ffff:127.0.0.1]").unwrap().is_local());
    }

    #[test]
    fn listener_url_equals_the_url_as_read() {
        for address in ["127.0.0.1:8080", "[::1]:8080", "192.0.2.1:80", "[2001:db8::1]:80"] {
            let url = PublicUrl::of_listener(address.parse().unwrap());
            assert_eq!(PublicUrl::read(&format!("http://{address}")), Ok(url));
        }
    }

    #[test]
    fn public_url_with_more_than_scheme_host_and_port_is_refused() {
        for (text, reason) in [
            ("id.example.org", "it does not begin with http:// or https://"),
            ("ftp://id.example.org", "it does not begin with http:// or https://"),
            ("https:id.example.org", "it does not begin with http:// or https://"),
            ("https://id.example.org/auth", "it has a path"),
            ("https://id.example.org/?a", "it has a query or a fragment"),
            ("https://id.example.org/#a", "it has a query or a fragment"),
            ("https://me@id.example.org", "it has a username or an @"),
            ("https://@id.example.org", "it has a username or an @"),
            ("https://id.example.org:70000", "invalid port number"),
            ("https://", "empty host"),
            ("https://id example.org", "it has a space, a control character or a backslash"),
            ("https://id.example.org\\", "it has a space, a control character or a backslash"),
        ] {
            assert_eq!(PublicUrl::read(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn origin_must_be_exact() {
        assert_eq!(WebOrigin::read("https://App.example:443").unwrap().as_str(), "https://app.example");
        assert_eq!(WebOrigin::read("http://localhost:3000").unwrap().as_str(), "http://localhost:3000");
        for wrong in ["*", "https://*.example", "https://app.example/", "https://app.example/x", "null"] {
            assert!(WebOrigin::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn network_must_be_an_address_or_have_zero_host_bits() {
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("127.0.0.1").unwrap().to_string(), "127.0.0.1/32");
        assert_eq!(network("::1").unwrap().to_string(), "::1/128");
        assert!(network("10.1.2.3/8").unwrap_err().contains("did you mean 10.0.0.0/8?"));
        for wrong in ["", "proxy", "10.0.0.0/33", "10.0.0/8", "10.0.0.1:80"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }
}
