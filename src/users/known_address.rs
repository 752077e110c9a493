//! From where an account was signed in to before: there its owner's tries have a count of their own, which nobody
//! elsewhere can use up.

use std::net::{IpAddr, Ipv6Addr};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::database::now;
use crate::database::schema::{known_addresses, login_names};

/// Addresses that an account remembers; those used longest ago make room.
const PER_ACCOUNT: i64 = 20;
/// How much older than its last use a row may say that it is: one that is used is not written each time.
const WRITTEN_EVERY: TimeDelta = TimeDelta::days(1);

/// What counts as one address: an IPv4 address whole, of an IPv6 address the first 64 bits, which one subscriber has.
#[must_use]
pub fn network(address: Option<&str>) -> String {
    match address.and_then(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let prefix = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
            format!("{prefix}/64")
        }
        None => "none".to_owned(),
    }
}

/// Whether the account of this name was signed in to from there.
///
/// # Errors
/// PostgreSQL's.
pub fn is_known(connection: &mut PgConnection, folded: &str, network: &str) -> QueryResult<bool> {
    let found = login_names::table
        .inner_join(known_addresses::table.on(known_addresses::user_id.eq(login_names::user_id)))
        .filter(login_names::folded.eq(folded).and(known_addresses::network.eq(network)));
    diesel::select(diesel::dsl::exists(found)).get_result(connection)
}

/// The account was signed in to from there just now.
///
/// # Errors
/// PostgreSQL's.
pub fn note(connection: &mut PgConnection, user_id: Uuid, network: &str) -> QueryResult<()> {
    let written: Option<(DateTime<Utc>, DateTime<Utc>)> = known_addresses::table
        .find((user_id, network))
        .select((known_addresses::last_used_at, now()))
        .first(connection)
        .optional()?;
    if written.is_some_and(|(last_used_at, now)| now - last_used_at < WRITTEN_EVERY) {
        return Ok(());
    }
    diesel::insert_into(known_addresses::table)
        .values((
            known_addresses::user_id.eq(user_id),
            known_addresses::network.eq(network),
            known_addresses::last_used_at.eq(now()),
        ))
        .on_conflict((known_addresses::user_id, known_addresses::network))
        .do_update()
        .set(known_addresses::last_used_at.eq(now()))
        .execute(connection)?;
    if written.is_none() { delete_beyond_limit(connection, user_id) } else { Ok(()) }
}

fn delete_beyond_limit(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<()> {
    let oldest: Vec<String> = known_addresses::table
        .filter(known_addresses::user_id.eq(user_id))
        .order((known_addresses::last_used_at.desc(), known_addresses::network))
        .offset(PER_ACCOUNT)
        .select(known_addresses::network)
        .load(connection)?;
    if oldest.is_empty() {
        return Ok(());
    }
    let gone = known_addresses::table
        .filter(known_addresses::user_id.eq(user_id).and(known_addresses::network.eq_any(oldest)));
    diesel::delete(gone).execute(connection).map(|_| ())
}

/// All that the account remembers.
///
/// # Errors
/// PostgreSQL's.
pub fn list(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<Vec<String>> {
    known_addresses::table
        .filter(known_addresses::user_id.eq(user_id))
        .select(known_addresses::network)
        .load(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_counts_by_its_first_64_bits_and_an_ipv4_address_whole() {
        for (address, counted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("::1", "::/64"),
            ("nonsense", "none"),
        ] {
            assert_eq!(network(Some(address)), counted, "{address}");
        }
        assert_eq!(network(None), "none");
    }
}
