//! Recognizes refused connections that waiting does not fix, such as a wrong setting or a role or database
//! that does not exist. diesel passes on no SQLSTATE, so they are recognized by the English words of libpq
//! and PostgreSQL. In another language the server keeps waiting and logs the reason.

use std::time::{Duration, Instant};

/// The time that a role, its password or a database may be missing. A job that sets PostgreSQL up creates
/// them shortly after PostgreSQL accepts connections.
const PATIENCE: Duration = Duration::from_secs(60);

/// Advice on a refused connection that waiting does not fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// The action to take, for people.
    pub text: &'static str,
    /// True if a job that sets PostgreSQL up may still fix it.
    pub may_be_set_up: bool,
}

/// The time spent waiting for a job that sets PostgreSQL up.
#[derive(Debug, Default)]
pub(crate) struct SetupGrace {
    refused_since: Option<Instant>,
}

impl SetupGrace {
    /// Returns whether to give up. That is at once, or a minute after the first of an unbroken series of
    /// refusals if a setup job may still fix them.
    pub(crate) fn is_over(&mut self, advice: Advice, now: Instant) -> bool {
        let since = *self.refused_since.get_or_insert(now);
        !advice.may_be_set_up || now.saturating_duration_since(since) >= PATIENCE
    }

    /// Restarts the wait, because PostgreSQL gave another answer, or none.
    pub(crate) fn restart(&mut self) {
        self.refused_since = None;
    }
}

/// Words of failures that may end without intervention, on one of the hosts of a list.
const PASSING: [&str; 14] = [
    "Connection refused",
    "could not translate host name",
    "timeout expired",
    "the database system is",
    "too many clients",
    "remaining connection slots",
    "too many connections",
    "No such file or directory\n\tIs the server running",
    "Network is unreachable",
    "No route to host",
    "Connection reset",
    "closed the connection unexpectedly",
    "session is read-only",
    "server is in hot standby mode",
];

const URL: &str = "correct DATABASE_URL";
const NO_TLS: &str = "correct sslmode in DATABASE_URL, or use a build with the feature `tls`";
const CERTIFICATE: &str = "set sslrootcert in DATABASE_URL to the CA certificate that signed PostgreSQL's \
                           certificate, and the host to a name in PostgreSQL's certificate";

const WRITES: &str = "remove target_session_attrs from DATABASE_URL, or set it to read-write, because doorward must \
                      write";

/// Words of a refusal, and the action to take.
const NEVER: [(&str, &str); 35] = [
    ("certificate verify failed", CERTIFICATE),
    ("does not match host name", CERTIFICATE),
    ("root certificate file", CERTIFICATE),
    ("root.crt", CERTIFICATE),
    ("server does not support SSL", "set ssl = on in PostgreSQL, or correct sslmode in DATABASE_URL"),
    ("SSL support is not compiled in", NO_TLS),
    ("sslmode value", NO_TLS),
    ("support is not compiled in", URL),
    ("channel binding required", URL),
    ("authentication method requirement", URL),
    ("could not match", URL),
    ("could not load private key file", URL),
    ("private key file", URL),
    ("could not open certificate file", URL),
    ("could not read certificate file", URL),
    ("invalid URI query parameter", URL),
    ("invalid connection option", URL),
    ("invalid port number", URL),
    ("invalid integer value", URL),
    ("unrecognized configuration parameter", "correct options in DATABASE_URL"),
    ("invalid value for parameter", "correct options in DATABASE_URL"),
    ("unsupported startup parameter", "remove it from DATABASE_URL, or let the pooler accept it"),
    ("definition of service", "correct service in DATABASE_URL, or PGSERVICEFILE"),
    ("no password supplied", "put the password into DATABASE_URL"),
    ("authentication failed", "correct the user and the password in DATABASE_URL, or ALTER ROLE … PASSWORD"),
    ("is not permitted to log in", "run ALTER ROLE … LOGIN, or name another role in DATABASE_URL"),
    (
        "no pg_hba.conf entry",
        "allow this user from this address in pg_hba.conf (with or without TLS, as it says)",
    ),
    ("pg_hba.conf rejects", "allow this user from this address in pg_hba.conf"),
    ("permission denied for database", "run GRANT CONNECT ON DATABASE … TO the role of DATABASE_URL"),
    ("no such database", "run CREATE DATABASE, or correct the name in DATABASE_URL"),
    ("no such user", "correct the user in DATABASE_URL"),
    ("requirepeer specifies", "set requirepeer in DATABASE_URL to the system user that runs PostgreSQL"),
    ("session is not read-only", WRITES),
    ("server is not in hot standby mode", WRITES),
    ("unsupported frontend protocol", "use a supported version of PostgreSQL"),
];

/// Words of refusals that a job which sets PostgreSQL up may still fix.
const SET_UP: [&str; 8] = [
    "requirepeer specifies",
    "session is not read-only",
    "server is not in hot standby mode",
    "authentication failed",
    "is not permitted to log in",
    "permission denied for database",
    "no such database",
    "no such user",
];

/// Returns advice on a refused connection that waiting does not fix. That is the case if each host of the URL
/// refuses permanently at one or more of its addresses.
#[must_use]
pub(crate) fn find_advice(said: &str) -> Option<Advice> {
    let mut hosts: Vec<(&str, Option<Advice>)> = Vec::new();
    for attempt in find_attempts(said) {
        let host = attempt.split('"').nth(1).unwrap_or(attempt);
        let advice = advise(attempt);
        match hosts.iter_mut().find(|(known, _)| *known == host) {
            Some((_, found)) => *found = found.or(advice),
            None => hosts.push((host, advice)),
        }
    }
    let advice = hosts.into_iter().map(|(_, advice)| advice).collect::<Option<Vec<Advice>>>()?;
    let may_be_set_up = advice.iter().any(|advice| advice.may_be_set_up);
    advice.first().map(|first| Advice { may_be_set_up, ..*first })
}

/// Splits libpq's message into its attempts. libpq tries each address of each host and reports how each
/// attempt failed.
fn find_attempts(said: &str) -> Vec<&str> {
    let mut pieces: Vec<&str> = said.split("connection to server ").collect();
    // Before the first attempt, the message may say that a host has no address at all.
    if pieces.len() > 1 && !is_passing(pieces[0]) {
        pieces.remove(0);
    }
    pieces
}

fn is_passing(said: &str) -> bool {
    PASSING.iter().any(|words| said.contains(words))
}

fn advise(said: &str) -> Option<Advice> {
    if is_passing(said) {
        return None;
    }
    let missing = |kind: &str| {
        said.lines().any(|line| line.contains(&format!("{kind} \"")) && line.contains("\" does not exist"))
    };
    if missing("role") {
        let text = "run CREATE ROLE … LOGIN PASSWORD …, or correct the user in DATABASE_URL";
        return Some(Advice { text, may_be_set_up: true });
    }
    if missing("database") {
        let text = "run CREATE DATABASE …, or correct the name in DATABASE_URL";
        return Some(Advice { text, may_be_set_up: true });
    }
    if said.lines().any(|line| line.contains("invalid ") && line.contains(" value: \"")) {
        return Some(Advice { text: URL, may_be_set_up: false });
    }
    let (words, text) = NEVER.iter().find(|(words, _)| said.contains(words))?;
    Some(Advice { text, may_be_set_up: SET_UP.contains(words) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "connection to server at \"127.0.0.1\", port 5432 failed: ";

    #[test]
    fn permanent_refusals_are_distinguished_from_temporary_ones() {
        for (said, advice) in [
            ("FATAL:  role \"nobody\" does not exist\n", "CREATE ROLE"),
            ("FATAL:  database \"auht\" does not exist\n", "CREATE DATABASE"),
            ("FATAL:  password authentication failed for user \"site\"\n", "correct the user"),
            ("SSL error: certificate verify failed\n", "sslrootcert"),
            ("server does not support SSL, but SSL was required\n", "ssl = on"),
            ("sslmode value \"require\" invalid when SSL support is not compiled in\n", "feature `tls`"),
            ("FATAL:  no pg_hba.conf entry for host \"10.0.0.1\"\n", "pg_hba.conf"),
            ("FATAL:  unsupported startup parameter: options\n", "pooler"),
            (
                "gssencmode value \"require\" invalid when GSSAPI support is not compiled in\n",
                "correct DATABASE_URL",
            ),
            ("invalid target_session_attrs value: \"primry\"\n", "correct DATABASE_URL"),
            ("requirepeer specifies \"root\", but actual peer user name is \"postgres\"\n", "requirepeer"),
            ("session is not read-only\n", "target_session_attrs"),
            ("server is not in hot standby mode\n", "target_session_attrs"),
        ] {
            let found = find_advice(&format!("{AT}{said}"));
            assert!(found.is_some_and(|found| found.text.contains(advice)), "{said}: {found:?}");
        }
        for said in [
            "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
            "FATAL:  the database system is starting up\n",
            "FATAL:  sorry, too many clients already\n",
            "timeout expired\n",
            "session is read-only\n",
            "server is in hot standby mode\n",
            "No such file or directory\n\tIs the server running locally and accepting connections on that socket?\n",
            "FATAL:  the Zeus of this database is asleep\n",
        ] {
            assert_eq!(find_advice(&format!("{AT}{said}")), None, "{said}");
        }
        assert_eq!(
            find_advice("could not translate host name \"db\" to address: Name or service not known\n"),
            None
        );
    }

    #[test]
    fn unreachable_host_may_answer_later() {
        let at = |host: &str| format!("connection to server at \"{host}\" (192.0.2.7), port 5432 failed: ");
        let (one, other) = (at("one"), at("other"));
        let gone = "FATAL:  database \"auth\" does not exist\n";
        for said in [
            format!("the database is unavailable: {one}Connection refused\n{other}{gone}"),
            format!(
                "could not translate host name \"one\" to address: Name or service not known\n{other}{gone}"
            ),
        ] {
            assert_eq!(find_advice(&said), None, "{said}");
        }
        assert!(find_advice(&format!("{one}{gone}{other}{gone}")).is_some());
    }

    #[test]
    fn second_address_of_a_host_does_not_hide_its_refusal() {
        let at =
            |address: &str| format!("connection to server at \"localhost\" ({address}), port 5432 failed: ");
        let said = format!(
            "{}Connection refused\n{}SSL error: certificate verify failed\n",
            at("::1"),
            at("127.0.0.1")
        );
        assert!(find_advice(&said).is_some_and(|advice| advice.text.contains("sslrootcert")), "{said}");
    }

    #[test]
    fn role_password_and_database_may_be_created_for_a_minute() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        for said in [
            "FATAL:  role \"site\" does not exist\n",
            "FATAL:  database \"auth\" does not exist\n",
            "FATAL:  password authentication failed for user \"site\"\n",
            "FATAL:  role \"site\" is not permitted to log in\n",
            "requirepeer specifies \"root\", but actual peer user name is \"postgres\"\n",
            "session is not read-only\n",
        ] {
            let advice = find_advice(&format!("{AT}{said}")).expect("advice");
            let mut patience = SetupGrace::default();
            assert!(!patience.is_over(advice, at(0)) && !patience.is_over(advice, at(59)), "{said}");
            assert!(patience.is_over(advice, at(60)), "{said}");
            patience.restart();
            assert!(!patience.is_over(advice, at(61)), "{said}: PostgreSQL was away in between");
        }
        let certificate =
            find_advice(&format!("{AT}SSL error: certificate verify failed\n")).expect("advice");
        assert!(SetupGrace::default().is_over(certificate, start), "nobody mends that meanwhile");
    }
}
