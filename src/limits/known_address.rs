//! Remembers the addresses from which each account was signed in to. Sign-ins from there have their own
//! counter, which no one elsewhere can use up.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::network::ClientNetwork;
use crate::audit::Origin;
use crate::database::now;
use crate::database::schema::{known_addresses, login_names};
use crate::users::canonical_form::look_up_forms;
use crate::users::user::place_in;

/// The number of addresses remembered for an account. The ones used longest ago are dropped.
const PER_ACCOUNT: i64 = 20;
/// A row's time of last use is written again after this time, so that not every sign-in writes it.
const WRITTEN_EVERY: TimeDelta = TimeDelta::days(1);

/// Returns the network that a request came from.
#[must_use]
pub(crate) fn network(origin: &Origin) -> ClientNetwork {
    if origin.address_doubt.is_some() {
        return ClientNetwork::Uncertain;
    }
    ClientNetwork::of(origin.address.as_deref())
}

/// An account that someone tries to sign in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignInAccount {
    pub id: Uuid,
    /// True if someone has signed in to the account from this network before.
    pub is_known: bool,
}

/// Finds the account of a typed name, as a sign-in does. It runs the same query whether or not the account
/// exists and the address is known to it.
pub(crate) fn find_account(
    connection: &mut PgConnection,
    typed: &str,
    network: &ClientNetwork,
) -> QueryResult<Option<SignInAccount>> {
    let forms = look_up_forms(typed);
    // No row has the empty network.
    let text = network.known_as().unwrap_or_default();
    let here = known_addresses::user_id.eq(login_names::user_id).and(known_addresses::network.eq(text));
    let found: Option<(Uuid, Option<Uuid>)> = login_names::table
        .left_join(known_addresses::table.on(here))
        .filter(login_names::folded.eq_any(&forms))
        .order(place_in(&forms, login_names::folded))
        .select((login_names::user_id, known_addresses::user_id.nullable()))
        .first(connection)
        .optional()?;
    Ok(found.map(|(id, known)| SignInAccount { id, is_known: known.is_some() }))
}

/// Remembers the network of a successful sign-in. An uncertain address is not remembered.
pub(crate) fn record(
    connection: &mut PgConnection,
    user_id: Uuid,
    network: &ClientNetwork,
) -> QueryResult<()> {
    let Some(network) = network.known_as() else { return Ok(()) };
    let written: Option<(DateTime<Utc>, DateTime<Utc>)> = known_addresses::table
        .find((user_id, &network))
        .select((known_addresses::last_used_at, now()))
        .first(connection)
        .optional()?;
    if written.is_some_and(|(last_used_at, now)| now - last_used_at < WRITTEN_EVERY) {
        return Ok(());
    }
    diesel::insert_into(known_addresses::table)
        .values((
            known_addresses::user_id.eq(user_id),
            known_addresses::network.eq(&network),
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

/// Returns the networks that are known to the account.
pub(crate) fn list(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<Vec<String>> {
    known_addresses::table
        .filter(known_addresses::user_id.eq(user_id))
        .select(known_addresses::network)
        .load(connection)
}
