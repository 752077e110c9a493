//! Parses the `for` addresses of a `Forwarded` header (RFC 7239). Ignores its other parameters.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the hops of a header line in order; `None` for a hop that names no address. Returns nothing if the
/// line is malformed: a client may have sent an open quotation mark to swallow the elements that proxies
/// appended.
#[must_use]
pub fn hops(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut hops = Vec::new();
    for element in split(line, ',')? {
        let element = element.trim_matches(OWS);
        // Empty list elements are ignored (RFC 9110, section 5.6.1).
        if !element.is_empty() {
            hops.push(asked_by(element).ok()?);
        }
    }
    Some(hops)
}

/// Returns the address after the last comma of a malformed line. The last proxy appended it there, even if an
/// open quotation mark from the client swallows it.
#[must_use]
pub fn last_hop(line: &[u8]) -> Option<IpAddr> {
    let last = line.rsplit(|byte| *byte == b',').next()?;
    let mut read = hops(std::str::from_utf8(last).ok()?)?;
    read.pop().flatten()
}

const OWS: [char; 2] = [' ', '\t'];

/// Error: an element of the header is malformed.
struct Malformed;

/// Returns the address in the `for` parameter of an element, if it names one.
fn asked_by(element: &str) -> Result<Option<IpAddr>, Malformed> {
    let mut found = None;
    for pair in split(element, ';').ok_or(Malformed)? {
        let pair = pair.trim_matches(OWS);
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=').ok_or(Malformed)?;
        if !is_token(name) {
            return Err(Malformed);
        }
        let value = unquote(value).ok_or(Malformed)?;
        // A parameter must not occur twice (RFC 7239, section 4).
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return Err(Malformed);
        }
    }
    Ok(found.and_then(|node| address(&node)))
}

/// Splits at separators outside quoted strings. Returns `None` if a quoted string is not closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if letter == separator && !quoted => {
                parts.push(&text[begin..at]);
                begin = at + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!quoted).then_some(parts)
}

/// Returns true for a token (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

/// Returns a token, or the content of a quoted string (RFC 9110, section 5.6.4).
fn unquote(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else {
        return is_token(value).then(|| value.to_owned());
    };
    let mut letters = inner.strip_suffix('"')?.chars();
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next()?),
            '"' => return None,
            _ => text.push(letter),
        }
    }
    Some(text)
}

/// Parses an address with or without a port (RFC 7239, section 6). Also accepts IPv6 without brackets, as
/// `X-Forwarded-For` writes it. Returns `None` for `unknown` and obfuscated identifiers.
#[must_use]
pub fn address(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse() {
        return Some(address);
    }
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return is_port(port).then_some(IpAddr::V6(address));
    }
    let (address, port) = node.find(':').map_or((node, ""), |at| node.split_at(at));
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

/// Returns true for `:` and a port, and for an empty text.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    let is_made_up = port.strip_prefix('_').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    let is_number = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    is_number || is_made_up
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Option<Vec<String>> {
        let shown = |hop: Option<IpAddr>| hop.map_or("-".to_owned(), |address| address.to_string());
        hops(line).map(|hops| hops.into_iter().map(shown).collect())
    }

    #[test]
    fn rfc_7239_examples_are_parsed() {
        for (line, expected) in [
            ("for=\"_gazonk\"", vec!["-"]),
            ("For=\"[2001:db8:cafe::17]:4711\"", vec!["2001:db8:cafe::17"]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec!["192.0.2.60"]),
            ("for=192.0.2.43, for=198.51.100.17", vec!["192.0.2.43", "198.51.100.17"]),
            ("for=_hidden, for=_SEVKISEK", vec!["-", "-"]),
            ("for=192.0.2.43, for=\"[2001:db8:cafe::17]\"", vec!["192.0.2.43", "2001:db8:cafe::17"]),
            ("for=unknown;by=\"192.0.2.1\"", vec!["-"]),
            ("for=\"192.0.2.43:47011\"", vec!["192.0.2.43"]),
            ("for=\"192.0.2.43:_port\"; proto=https ,for=10.0.0.1", vec!["192.0.2.43", "10.0.0.1"]),
            ("proto=https", vec!["-"]),
            (", for=10.0.0.1,", vec!["10.0.0.1"]),
        ] {
            assert_eq!(read(line), Some(expected.iter().map(|hop| (*hop).to_owned()).collect()), "{line}");
        }
    }

    #[test]
    fn separators_in_quoted_text_are_ignored() {
        let line = "for=1.2.3.4;host=\"a,for=6.6.6.6;\\\",for=7.7.7.7\", for=5.6.7.8";
        assert_eq!(read(line), Some(vec!["1.2.3.4".to_owned(), "5.6.7.8".to_owned()]));
    }

    #[test]
    fn incomplete_line_is_rejected() {
        for line in [
            "for=\"1.2.3.4, for=5.6.7.8",
            "for=1.2.3.4;for=5.6.7.8",
            "for",
            "for = 1.2.3.4",
            "for=[2001:db8::1]",
            "=1.2.3.4",
            "for=\"1.2.3.4\"x",
            "for=\"1.2.3.4\"\"\"",
            "for=1.2.3.4\\",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
        assert_eq!(read("for=\"[2001:db8::1\""), Some(vec!["-".to_owned()]), "no address, but whole");
        assert_eq!(read("for=\"1.2.3.4:x\""), Some(vec!["-".to_owned()]));
        assert_eq!(read("for=\"1.2.3.4:_\""), Some(vec!["-".to_owned()]), "a port of no name");
        assert_eq!(read("for=\"\\1.2.3.4\""), Some(vec!["1.2.3.4".to_owned()]), "a quoted pair");
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_without_a_panic(line in "(for=|\"|\\\\|,|;|\\PC){0,40}") {
            let _ = hops(&line);
        }

        #[test]
        fn address_is_read_as_written(
            addresses in prop::collection::vec((any::<IpAddr>(), any::<Option<u16>>()), 1..5)
        ) {
            let written: Vec<String> = addresses
                .iter()
                .map(|(address, port)| {
                    let node = match address {
                        IpAddr::V4(address) => address.to_string(),
                        IpAddr::V6(address) => format!("[{address}]"),
                    };
                    let port = port.map_or(String::new(), |port| format!(":{port}"));
                    format!("for=\"{node}{port}\"")
                })
                .collect();
            let read = hops(&written.join(", "));
            let expected = addresses.into_iter().map(|(address, _)| Some(address)).collect();
            prop_assert_eq!(read, Some(expected));
        }

        #[test]
        fn client_text_never_changes_the_last_hop(sent in "\\PC{0,30}") {
            if let Some(hops) = hops(&format!("{sent}, for=192.0.2.1")) {
                prop_assert_eq!(hops.last(), Some(&Some(IpAddr::from([192, 0, 2, 1]))));
            }
        }
    }
}
