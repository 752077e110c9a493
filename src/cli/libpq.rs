//! A database address as environment variables of libpq's programs, which keeps its password off command lines.

use url::Url;

use super::failure::Failure;

/// The variables that say what the address says.
///
/// # Errors
/// When the address cannot be taken apart.
pub fn variables(address: &str) -> Result<Vec<(String, String)>, Failure> {
    // Several hosts are no URL to others: the first names the database to dump.
    let wrong = || Failure::new("the database's address cannot be read");
    let (scheme, rest) = address.split_once("://").ok_or_else(wrong)?;
    let (credentials, rest) = rest.rsplit_once('@').map_or(("", rest), |(before, after)| (before, after));
    let (hosts, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let url = Url::parse(&format!("{scheme}://{credentials}@placeholder{path}")).map_err(|_| wrong())?;
    let mut found: Vec<(&str, String)> = Vec::new();
    let hosts: Vec<(String, String)> =
        hosts.split(',').filter(|host| !host.is_empty()).map(split_port).collect();
    if !hosts.is_empty() {
        found.push(("PGHOST", hosts.iter().map(|(host, _)| decode(host)).collect::<Vec<_>>().join(",")));
        if hosts.iter().any(|(_, port)| !port.is_empty()) {
            found.push(("PGPORT", hosts.iter().map(|(_, port)| port.clone()).collect::<Vec<_>>().join(",")));
        }
    }
    found.push(("PGUSER", decode(url.username())));
    found.push(("PGPASSWORD", decode(url.password().unwrap_or_default())));
    found.push(("PGDATABASE", decode(url.path().trim_start_matches('/'))));
    for (name, value) in url.query_pairs() {
        let variable = match name.as_ref() {
            "host" => "PGHOST",
            "port" => "PGPORT",
            "user" => "PGUSER",
            "password" => "PGPASSWORD",
            "dbname" => "PGDATABASE",
            "sslmode" => "PGSSLMODE",
            "sslrootcert" => "PGSSLROOTCERT",
            "sslcert" => "PGSSLCERT",
            "sslkey" => "PGSSLKEY",
            "target_session_attrs" => "PGTARGETSESSIONATTRS",
            "connect_timeout" => "PGCONNECT_TIMEOUT",
            "options" => "PGOPTIONS",
            _ => continue,
        };
        found.push((variable, value.into_owned()));
    }
    let set = found.into_iter().filter(|(_, value)| !value.is_empty());
    Ok(set.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A port follows the last colon, unless that stands within the brackets of an IPv6 address.
fn split_port(host: &str) -> (String, String) {
    let end = host.find(']').unwrap_or(0);
    let (name, port) = match host[end..].rfind(':') {
        Some(at) => (&host[..end + at], &host[end + at + 1..]),
        None => (host, ""),
    };
    (name.trim_matches(['[', ']']).to_owned(), port.to_owned())
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Vec<String> {
        variables(address).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn each_part_of_an_address_is_a_variable() {
        assert_eq!(
            of("postgres://al:p%40ss@db.example:5433/auth?sslmode=verify-full"),
            [
                "PGHOST=db.example",
                "PGPORT=5433",
                "PGUSER=al",
                "PGPASSWORD=p@ss",
                "PGDATABASE=auth",
                "PGSSLMODE=verify-full"
            ]
        );
        assert_eq!(of("postgresql://u@%2Frun%2Fpg/x"), ["PGHOST=/run/pg", "PGUSER=u", "PGDATABASE=x"]);
        assert_eq!(of("postgresql:///x?host=/run/pg"), ["PGDATABASE=x", "PGHOST=/run/pg"]);
        assert_eq!(of("postgresql://a:1,[::1]:2/x"), ["PGHOST=a,::1", "PGPORT=1,2", "PGDATABASE=x"]);
    }
}
