//! Checks the database: the connection, the migrations, the clock and the keys.

use chrono::TimeDelta;

use super::finding::{Finding, Level, in_one_line};
use crate::app;
use crate::app::start::{StartError, check_secret_keys};
use crate::audit::EventType;
use crate::audit::event::{self, EventFilter};
use crate::cli::database::DatabaseAccess;
use crate::clock::Clock;
use crate::clock::rfc3339 as time;
use crate::config::Settings;
use crate::database::health::{self, Health};
use crate::database::nodes::{self, SettingDifference};
use crate::database::{Connection, describe, fitness, indexes, migrate};
use crate::tokens::key_state::KeyState;
use crate::tokens::signing_key::{self, Row};
use crate::users::canonical_names;

/// The difference between the clocks, in seconds, from which the doctor warns.
const APART_WARN: i64 = 1;
/// The difference between the clocks, in seconds, from which the check fails. Access tokens tolerate 5 s.
const APART_FAIL: i64 = 5;
/// The age in days after which a signing key should be replaced.
const KEY_DAYS: i64 = 365;
/// The maximum number of account names in a line.
const NAMES_SHOWN: usize = 10;

pub(super) fn examine(settings: &Settings, access: &DatabaseAccess) -> Vec<Finding> {
    let mut connection = match access.connect_to_any() {
        Ok(connection) => connection,
        Err(failure) => {
            let advice = "Start PostgreSQL, or correct DATABASE_URL.";
            return vec![Finding::fail("database", in_one_line(failure), advice)];
        }
    };
    let health = match health::find(&mut connection) {
        Ok(health) => health,
        Err(error) => return vec![Finding::fail("database", describe(&error), "See PostgreSQL's log.")],
    };
    let mut findings = vec![server(&health), connections(settings, &health), clock(&health)];
    match fitness::find_unfit(&mut connection) {
        Ok(unfit) if unfit.is_empty() => {}
        Ok(unfit) => {
            let fail = |unfit: fitness::Unfit| Finding::fail("database", unfit.found, unfit.advice);
            findings.extend(unfit.into_iter().map(fail));
            return findings;
        }
        Err(error) => {
            findings.push(Finding::fail("database", describe(&error), "See PostgreSQL's log."));
            return findings;
        }
    }
    let migrated = migrations(&mut connection);
    let is_migrated = migrated.level == Level::Pass;
    findings.push(migrated);
    findings.push(feed(&mut connection, access.url()));
    if is_migrated {
        findings.push(search(&mut connection));
        findings.push(names(&mut connection));
        findings.extend(keys(&mut connection, settings));
        findings.extend(nodes(&mut connection));
        findings.extend(history(&mut connection));
    }
    findings
}

fn server(health: &Health) -> Finding {
    let found = format!("PostgreSQL {}, {} MiB", health.version, health.size / (1024 * 1024));
    if health.is_read_only {
        let advice = "Point DATABASE_URL at the primary (target_session_attrs=read-write chooses it).";
        return Finding::fail("database", format!("{found}; it accepts no writes"), advice);
    }
    Finding::pass("database", found)
}

fn connections(settings: &Settings, health: &Health) -> Finding {
    let (used, allowed) = (health.connections_used, health.connections_allowed);
    let found = format!("{used} of {allowed} in use; a node takes up to {}", settings.database_connections);
    if i64::from(settings.database_connections) + 3 > allowed {
        let advice = "Raise max_connections of PostgreSQL, or lower DOORWARD_DATABASE_CONNECTIONS.";
        return Finding::fail("connections", found, advice);
    }
    if used * 10 > allowed * 9 {
        return Finding::warn(
            "connections",
            found,
            "Raise max_connections of PostgreSQL before the connections run out.",
        );
    }
    Finding::pass("connections", found)
}

fn clock(health: &Health) -> Finding {
    let apart = (Clock::default().now() - health.clock).num_milliseconds();
    let found = format!("{apart} ms ahead of the database's");
    let advice = "Synchronize both machines with NTP. This machine's clock sets the times in access tokens. \
                  The database's clock decides when sessions expire.";
    match apart.abs() / 1_000 {
        0..APART_WARN => Finding::pass("clock", found),
        APART_WARN..APART_FAIL => Finding::warn("clock", found, advice),
        _ => Finding::fail("clock", found, advice),
    }
}

fn migrations(connection: &mut Connection) -> Finding {
    match migrate::is_pending(connection) {
        Ok(false) => Finding::pass("migrations", "none is pending"),
        Ok(true) => {
            Finding::fail("migrations", "some are pending", "Run `doorward migrate`, or start the server.")
        }
        Err(error) => Finding::fail("migrations", error.to_string(), "See PostgreSQL's log."),
    }
}

/// Checks that notifications arrive. Nodes use them to learn what other nodes have ended.
fn feed(connection: &mut Connection, url: &str) -> Finding {
    match health::hears_notifications(connection, url) {
        Ok(true) => {
            Finding::pass("feed", "notifications arrive: nodes learn of revocations within milliseconds")
        }
        Ok(false) => Finding::warn(
            "feed",
            "notifications do not arrive, because a pooler hands out connections by transaction: nodes poll \
             ten times a second instead",
            "Give DATABASE_URL a direct address, or the pooler's session mode.",
        ),
        Err(error) => Finding::fail("feed", error.to_string(), "See PostgreSQL's log."),
    }
}

/// Fails if a node found that the database was reset to an earlier state, and `doorward restored` has not run
/// since.
fn history(connection: &mut Connection) -> Option<Finding> {
    let mut last = |event_type: EventType| {
        let filter = EventFilter { type_: Some(event_type), ..EventFilter::default() };
        event::list(connection, &filter, 1).map(|events| events.first().map(|event| event.occurred_at))
    };
    let found = last(EventType::DatabaseWentBack).and_then(|at| Ok((at, last(EventType::DatabaseRestored)?)));
    match found {
        Ok((Some(went_back), restored)) if restored.is_none_or(|restored| restored < went_back) => {
            // Round up to the next full second, so that everything that came back is older.
            let went_back = time(went_back + TimeDelta::seconds(1));
            Some(Finding::fail(
                "history",
                format!("a node found at {went_back} that the database had been reset to an earlier state"),
                format!("Run `doorward restored --since {went_back}`. See docs/backups.md."),
            ))
        }
        Ok(_) => None,
        Err(error) => Some(Finding::fail("history", error.to_string(), "See PostgreSQL's log.")),
    }
}

/// Checks that the live nodes agree on the settings that they must share.
fn nodes(connection: &mut Connection) -> Vec<Finding> {
    let live = match nodes::list_live(connection) {
        Ok(live) => live,
        Err(error) => return vec![Finding::fail("nodes", error.to_string(), "See PostgreSQL's log.")],
    };
    let differences = nodes::find_differences(&live);
    if differences.is_empty() {
        let found = match live.len() {
            0 => "no node is live".to_owned(),
            1 => format!("one node is live: {}", live[0].name),
            count => format!("{count} nodes are live, and share their settings"),
        };
        return vec![Finding::pass("nodes", found)];
    }
    let advice = "Give all nodes the same value, and restart the nodes that have another.";
    let finding = |difference: &SettingDifference| {
        let found = format!("live nodes differ: {difference}");
        // With different public URLs, each node refuses the other's tokens.
        let refuses = difference.setting == "DOORWARD_PUBLIC_URL";
        if refuses { Finding::fail("nodes", found, advice) } else { Finding::warn("nodes", found, advice) }
    };
    differences.iter().map(finding).collect()
}

/// Checks the indexes that searches and pruning use. Not every PostgreSQL lets a server create them.
fn search(connection: &mut Connection) -> Finding {
    let statements = match indexes::find_repair(connection) {
        Ok(statements) => statements,
        Err(error) => return Finding::fail("search", error.to_string(), "See PostgreSQL's log."),
    };
    if statements.is_empty() {
        return Finding::pass("search", "users and notes are searched with indexes");
    }
    let advice = format!(
        "A server creates the indexes it can within the hour. Its log says why it cannot create the others. \
         In psql, as the owner of the database, run each of these: {};",
        statements.join("; ")
    );
    Finding::warn("search", "indexes are missing: searches and pruning read whole tables", advice)
}

/// Checks that each address is stored in its canonical form. An earlier version treated two spellings of one
/// address as different addresses.
fn names(connection: &mut Connection) -> Finding {
    match canonical_names::find_unresolved(connection) {
        Ok(usernames) if usernames.is_empty() => {
            Finding::pass("names", "each address belongs to one account, in every spelling")
        }
        Ok(usernames) => {
            let some = usernames.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
            let found =
                format!("{} accounts have an address that is not in canonical form: {some}", usernames.len());
            let advice = "Start a server: it brings the addresses into canonical form. If an account stays, \
                          its only name is another account's in another spelling. Give it another username \
                          on its page under /admin/users.";
            Finding::warn("names", found, advice)
        }
        Err(error) => Finding::fail("names", error.to_string(), "See PostgreSQL's log."),
    }
}

/// Checks the secret key and the keys that it seals.
fn keys(connection: &mut Connection, settings: &Settings) -> Vec<Finding> {
    let check = "secret key";
    let secret_key = match check_secret_keys(connection, settings) {
        Ok(_) => Finding::pass(check, "it matches this database"),
        Err(StartError::NeverServed) => {
            let advice = "Start `doorward serve` on it once, or set DATABASE_URL to the right one.";
            return vec![Finding::warn(check, "no server has been started on this database yet", advice)];
        }
        Err(error) => {
            Finding::fail(check, error.to_string(), "Set the same DOORWARD_SECRET_KEY as on the other nodes.")
        }
    };
    let mut findings = vec![secret_key];
    findings.extend(signing_keys(connection, settings));
    findings
}

fn signing_keys(connection: &mut Connection, settings: &Settings) -> Vec<Finding> {
    let rows = match signing_key::list(connection) {
        Ok(rows) => rows,
        Err(error) => return vec![Finding::fail("signing keys", error.to_string(), "See PostgreSQL's log.")],
    };
    let now = Clock::default().now();
    let Some(signing) = rows.iter().find(|row| KeyState::of(row, &rows, now) == KeyState::Signs) else {
        let advice = "Run `doorward key rotate`: without a signing key, no one can sign in.";
        return vec![Finding::fail("signing keys", "no key can sign", advice)];
    };
    let mut findings = vec![signing_key(signing, (now - signing.signs_from).num_days())];
    let wanted = app::settings::algorithm(settings).as_str();
    if signing.algorithm != wanted && !rows.iter().any(|row| row.algorithm == wanted && row.signs_from > now)
    {
        let found = format!("{} signs, but DOORWARD_SIGNING_ALGORITHM is {wanted}", signing.algorithm);
        findings.push(Finding::warn(
            "signing keys",
            found,
            "Restart a server, or run `doorward key rotate`.",
        ));
    }
    findings
}

fn signing_key(row: &Row, days: i64) -> Finding {
    let found = format!("{} ({}) has signed for {days} days", row.kid, row.algorithm);
    if days > KEY_DAYS {
        return Finding::warn("signing keys", found, "Run `doorward key rotate`. It signs no one out.");
    }
    Finding::pass("signing keys", found)
}
