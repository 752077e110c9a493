//! A libpq connection URL: its hosts, its parameters, and the forms in which it may be shown.

use std::fmt;
use std::net::IpAddr;

use super::libpq_parameters::PARAMETERS;
use super::secret::MASK;

/// A PostgreSQL connection URL, parsed as libpq does. It prints with its passwords masked.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    text: String,
    masked: String,
    without_secrets: String,
    user_password: Option<String>,
    hosts: Vec<String>,
    parameters: Vec<(String, String)>,
}

impl DatabaseUrl {
    /// Parses `postgresql://[user[:password]@][host[:port],…][/database][?parameter=value&…]`.
    ///
    /// # Errors
    /// The message says which part is wrong. It does not repeat that part, which may contain a piece of the
    /// password.
    pub fn read(text: &str) -> Result<Self, String> {
        let after = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = after.ok_or("it does not begin with postgres:// or postgresql://")?;
        if text.contains(|letter: char| letter.is_control() || letter.is_whitespace()) {
            return Err("it contains a space or a control character: percent-encode it".to_owned());
        }
        let scheme = &text[..text.len() - rest.len()];
        let (user, rest) = split_user(rest);
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = location.split_once('/').unwrap_or((location, ""));
        // A second @ belongs to the password, and the text before it would be shown.
        if rest.contains('@') || database.contains('/') {
            return Err("it has one @ or / too many: percent-encode those that belong to a part (%40, %2F)"
                .to_owned());
        }
        decode(database)?;
        let (name, password) = user.map_or(("", None), split_password);
        decode(name)?;
        let user_password = password.map(decode).transpose()?.filter(|password| !password.is_empty());
        let hosts = read_hosts(authority)?;
        let parameters = read_parameters(query)?;
        let masked = format!("{scheme}{}{location}{}", mask_user(user), mask_query(query));
        let name = user.map(|_| format!("{name}@")).unwrap_or_default();
        let without_secrets = format!("{scheme}{name}{location}{}", drop_secrets(query));
        Ok(Self { text: text.to_owned(), masked, without_secrets, user_password, hosts, parameters })
    }

    /// Returns the URL with its passwords, for libpq.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the URL without its secrets, for libpq. Others may read it.
    #[must_use]
    pub fn without_secrets(&self) -> &str {
        &self.without_secrets
    }

    /// Returns the password that libpq uses. A parameter takes precedence over the password after the user's
    /// name.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        let parameter = self.parameters.iter().rev().find(|(key, _)| key == "password");
        parameter.map(|(_, value)| value).or(self.user_password.as_ref()).map(String::as_str)
    }

    /// Returns the first secret parameter other than the password, such as `sslpassword`.
    #[must_use]
    pub fn other_secret(&self) -> Option<&str> {
        let mut names = self.parameters.iter().map(|(key, _)| key.as_str());
        names.find(|key| is_secret(key) && *key != "password")
    }

    /// Returns the first host or address that is not this machine. libpq takes anything that the URL leaves
    /// out from the environment: `PGSERVICE`, `PGHOSTADDR` and `PGHOST`.
    #[must_use]
    pub fn remote_host(&self, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
        let given = |name: &str| self.last(name).map(str::to_owned);
        if let Some(service) = given("service").or_else(|| environment("PGSERVICE")) {
            return Some(format!("of service {service}"));
        }
        let address = given("hostaddr").or_else(|| environment("PGHOSTADDR"));
        let unnamed = self.hosts.iter().all(String::is_empty);
        let host = || given("host").or_else(|| environment("PGHOST").filter(|_| unnamed));
        let hosts = match address.or_else(host) {
            Some(list) => list.split(',').map(str::to_owned).collect(),
            None => self.hosts.clone(),
        };
        hosts.into_iter().find(|host| !is_local(host))
    }

    /// Returns whether the URL itself has `sslmode=disable`.
    #[must_use]
    pub fn renounces_tls(&self) -> bool {
        self.last("sslmode") == Some("disable")
    }

    /// Returns the first parameter that libpq does not know. libpq refuses a URL with such a parameter.
    #[must_use]
    pub fn unknown_parameter(&self) -> Option<&str> {
        let mut names = self.parameters.iter().map(|(key, _)| key.as_str());
        names.find(|key| !PARAMETERS.contains(key))
    }

    /// Returns the `sslmode` of the URL, or of the environment if the URL has none.
    #[must_use]
    pub fn sslmode(&self, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
        self.last("sslmode").map(str::to_owned).or_else(|| environment("PGSSLMODE"))
    }

    fn last(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.masked)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.masked)
    }
}

/// Returns whether libpq reaches this host without leaving the machine.
fn is_local(host: &str) -> bool {
    let by_address = || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    host.is_empty() || host.starts_with(['/', '@']) || host == "localhost" || by_address()
}

/// Splits off the user at the first `@`. Like libpq, this does not search beyond a slash.
fn split_user(rest: &str) -> (Option<&str>, &str) {
    let end = rest.find(['@', '/']).filter(|&end| rest[end..].starts_with('@'));
    end.map_or((None, rest), |end| (Some(&rest[..end]), &rest[end + 1..]))
}

/// Splits a user into the name and the password after the first colon.
fn split_password(user: &str) -> (&str, Option<&str>) {
    user.split_once(':').map_or((user, None), |(name, password)| (name, Some(password)))
}

fn mask_user(user: Option<&str>) -> String {
    match user.map(split_password) {
        None => String::new(),
        Some((name, Some(_))) => format!("{name}:{MASK}@"),
        Some((name, None)) => format!("{name}@"),
    }
}

fn mask_query(query: &str) -> String {
    let shown: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, _)) if holds_secret(pair) => format!("{key}={MASK}"),
            _ => pair.to_owned(),
        })
        .collect();
    if query.is_empty() { String::new() } else { format!("?{}", shown.join("&")) }
}

fn drop_secrets(query: &str) -> String {
    let kept: Vec<&str> = query.split('&').filter(|pair| !holds_secret(pair)).collect();
    if kept.concat().is_empty() { String::new() } else { format!("?{}", kept.join("&")) }
}

fn holds_secret(pair: &str) -> bool {
    let key = pair.split_once('=').map(|(key, _)| decode(key));
    key.is_some_and(|key| key.is_ok_and(|key| is_secret(&key)))
}

fn is_secret(parameter: &str) -> bool {
    parameter.contains("password") || parameter.contains("secret")
}

fn read_hosts(authority: &str) -> Result<Vec<String>, String> {
    authority.split(',').map(read_host).collect()
}

fn read_host(text: &str) -> Result<String, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("the [ of a host is not closed")?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if text.starts_with('[') && !host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
        return Err("the host in brackets is not an IPv6 address".to_owned());
    }
    let port = match port.strip_prefix(':') {
        Some(port) => port,
        None if port.is_empty() => port,
        None => return Err("something other than a port follows a host".to_owned()),
    };
    let number = || !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0);
    if !port.is_empty() && !number() {
        return Err("a port is not a number from 1 to 65535".to_owned());
    }
    decode(host)
}

fn read_parameters(query: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = query.split('&').filter(|_| !query.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or("a parameter has no =")?;
            if value.contains('=') {
                return Err("a parameter's value has a =: percent-encode it (%3D)".to_owned());
            }
            Ok((decode(key)?, decode(value)?))
        })
        .collect()
}

/// Percent-decodes a part (RFC 3986, section 2.1), as strictly as libpq does.
fn decode(text: &str) -> Result<String, String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|&byte| byte != 0);
        bytes.push(byte.ok_or("a % is not followed by two hexadecimal digits: write %25")?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| "its percent-encoded bytes are not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> DatabaseUrl {
        DatabaseUrl::read(text).unwrap_or_else(|reason| panic!("{text}: {reason}"))
    }

    #[test]
    fn passwords_are_masked_and_the_rest_is_shown() {
        for (text, shown) in [
            ("postgres://me:pass@db.example:5432/auth", "postgres://me:***@db.example:5432/auth"),
            ("postgresql://me@db/auth", "postgresql://me@db/auth"),
            ("postgres://:pa?ss@db/auth", "postgres://:***@db/auth"),
            ("postgres://db/auth?user=me&password=pa", "postgres://db/auth?user=me&password=***"),
            ("postgres://db/?pass%77ord=pa&sslpassword=b", "postgres://db/?pass%77ord=***&sslpassword=***"),
            ("postgres:///auth", "postgres:///auth"),
        ] {
            let url = read(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
            assert_eq!(url.expose(), text);
        }
    }

    #[test]
    fn password_is_parsed_as_libpq_does_and_separated() {
        for (text, password, rest) in [
            ("postgres://me:pa?ss@db/auth", Some("pa?ss"), "postgres://me@db/auth"),
            ("postgres://me:pa#ss@db/auth?a=1", Some("pa#ss"), "postgres://me@db/auth?a=1"),
            ("postgres://me:p%40s%2Fs%25@db", Some("p@s/s%"), "postgres://me@db"),
            ("postgres://me:a+b%2B@h1:1,[::1]:2/auth", Some("a+b+"), "postgres://me@h1:1,[::1]:2/auth"),
            ("postgres://m?e:a:b&c=d@h/x", Some("a:b&c=d"), "postgres://m?e@h/x"),
            ("postgres://db/x?user=me&pass%77ord=a+b&a=%3D", Some("a+b"), "postgres://db/x?user=me&a=%3D"),
            ("postgres://me:one@db/x?password=two", Some("two"), "postgres://me@db/x"),
            ("postgres://me:one@db/x?password=", Some(""), "postgres://me@db/x"),
            ("postgres://me:@db/x?", None, "postgres://me@db/x"),
            ("postgres://me@db/x?passfile=/p&service=s", None, "postgres://me@db/x?passfile=/p&service=s"),
            ("postgresql:///x?host=/run/pg", None, "postgresql:///x?host=/run/pg"),
        ] {
            let url = read(text);
            assert_eq!((url.password(), url.without_secrets()), (password, rest), "{text}");
            assert_eq!(url.other_secret(), None, "{text}");
        }
        let url = read("postgres://db/x?sslpassword=b&sslkey=k");
        assert_eq!(
            (url.without_secrets(), url.other_secret()),
            ("postgres://db/x?sslkey=k", Some("sslpassword"))
        );
    }

    #[test]
    fn urls_that_libpq_would_misread_are_refused() {
        for text in [
            "mysql://db/auth",
            "db.example",
            "postgres:db",
            "postgres://me:p@ss@db/auth",
            "postgres://me:12/34@db/auth",
            "postgres://me:pa/ss@db/auth",
            "postgres://me:pa ss@db/auth",
            "postgres://me:1/?a=pa@db/auth",
            "postgres://db:http/auth",
            "postgres://db:70000/auth",
            "postgres://db:0/auth",
            "postgres://db:+5/auth",
            "postgres://[::1/auth",
            "postgres://[db]/auth",
            "postgres://[::1]5432/auth",
            "postgres://db/auth?sslmode",
            "postgres://db/auth?options=-csearch_path=auth",
            "postgres://me:100%@db/auth",
            "postgres://me:a%00@db/auth",
            "postgres://me:a%+1@db/auth",
            "postgres://db/%ff",
        ] {
            assert!(DatabaseUrl::read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn password_is_never_shown_however_it_is_misread(
            before in "[a1:@/?&=#,%\\[\\]]{0,8}",
            after in "[a1:@/?&=#,%\\[\\]]{0,8}",
        ) {
            let text = format!("postgres://me:{before}SECRET{after}@localhost/auth");
            match DatabaseUrl::read(&text) {
                Ok(url) => {
                    prop_assert!(!url.to_string().contains("SECRET"), "{}", url);
                    prop_assert!(!url.without_secrets().contains("SECRET"), "{}", url.without_secrets());
                }
                Err(reason) => prop_assert!(!reason.contains("SECRET"), "{}", reason),
            }
        }
    }

    #[test]
    fn remote_host_is_found_in_every_position() {
        for (text, host) in [
            ("postgres://db.example/auth", "db.example"),
            ("postgres://localhost,db2:5433/auth", "db2"),
            ("postgres://10.0.0.5/auth", "10.0.0.5"),
            ("postgres://[2001:db8::1]:5432/auth", "2001:db8::1"),
            ("postgres://localhost/auth?host=db3", "db3"),
            ("postgres://localhost/auth?hostaddr=10.0.0.6", "10.0.0.6"),
            ("postgres:///auth?host=/tmp,db4", "db4"),
            ("postgres:///auth?service=main", "of service main"),
        ] {
            assert_eq!(read(text).remote_host(|_| None).as_deref(), Some(host), "{text}");
        }
    }

    #[test]
    fn local_hosts_are_not_remote() {
        for text in [
            "postgres:///auth",
            "postgres://localhost:5432,127.0.0.1,[::1]/auth",
            "postgres://%2Frun%2Fpostgresql/auth",
            "postgres:///auth?host=/run/postgresql",
            "postgres://me@/auth",
        ] {
            assert_eq!(read(text).remote_host(|_| None), None, "{text}");
        }
    }

    #[test]
    fn missing_url_parts_are_taken_from_the_libpq_environment() {
        let host = |name: &str| (name == "PGHOST").then(|| "db.example".to_owned());
        let address = |name: &str| (name == "PGHOSTADDR").then(|| "10.0.0.7".to_owned());
        let service = |name: &str| (name == "PGSERVICE").then(|| "main".to_owned());
        assert_eq!(read("postgres:///a").remote_host(host).as_deref(), Some("db.example"));
        assert_eq!(read("postgres://localhost/a").remote_host(host), None);
        assert_eq!(read("postgres://localhost/a").remote_host(address).as_deref(), Some("10.0.0.7"));
        assert_eq!(read("postgres://localhost/a").remote_host(service).as_deref(), Some("of service main"));
    }

    #[test]
    fn only_an_explicit_disable_turns_tls_off() {
        assert!(read("postgres://db/a?sslmode=disable").renounces_tls());
        assert!(!read("postgres://db/a?sslmode=prefer").renounces_tls());
        assert!(!read("postgres://db/a?sslmode=disable&sslmode=require").renounces_tls());
        assert!(!read("postgres://db/a").renounces_tls());
    }
}
