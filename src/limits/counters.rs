//! Counts attempts to sign in and to register, for all nodes. Each name, address and network has a row in the
//! database. An attempt is reserved before it is made, by one conditional statement per row, and settled when
//! its outcome is known.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Binary, Double, Integer, Text, Timestamptz};
use uuid::Uuid;

use super::counter::Counter;
use super::counter_row::{CountedAttempt, Row, load, note, take};
use super::known_address::{self, SignInAccount, network};
use super::network::ClientNetwork;
use super::spray::{self, FREE_PAST_LIMIT, SprayCounter};
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::schema::attempts;
use crate::database::{now, transaction};
use crate::digest::Digest;
pub(crate) use crate::limits::counter::CountedBy;
pub(crate) use crate::limits::counter_row::ThrottledAttempt;
use crate::users::name::fold_typed;

/// One IPv6 network wider than a /64 can use at most one part in this many of the limit over all sign-ins.
const PART_OF_ALL: u32 = 4;

/// The configured numbers of free attempts per hour, and the longest wait between the attempts after them.
#[derive(Clone, Debug)]
pub struct AttemptLimits {
    /// Wrong passwords for a name.
    pub failures: u32,
    /// Wrong passwords from an address.
    pub failures_per_address: u32,
    /// Wrong passwords from an address for the accounts that are known there, weighted.
    pub failures_per_known_address: u32,
    /// Wrong passwords for all names from all addresses.
    pub failures_in_all: u32,
    /// Accounts registered from an address.
    pub registrations_per_address: u32,
    pub longest_wait: Duration,
}

impl AttemptLimits {
    /// Returns the networks of an address with their limits. No wide network can use up the limit over all.
    fn of_networks(&self, network: &ClientNetwork) -> Vec<(String, u32)> {
        let most = self.failures_per_address.max(self.failures_in_all / PART_OF_ALL);
        let networks = network.with_limits(self.failures_per_address).into_iter();
        networks.map(|(network, limit)| (network, limit.min(most))).collect()
    }
}

/// The rows in which an attempt is counted.
#[derive(Clone, Debug)]
struct CounterRows {
    /// The rows that can throttle it, in the order in which all transactions lock them. The row that most
    /// attempts share is last, so it is locked for the shortest time.
    counters: Vec<Counter>,
    /// The rows of its network, for accounts that are known there.
    sprayed: Vec<SprayCounter>,
}

impl CounterRows {
    /// Returns the rows of a sign-in. An account has the same rows under each of its names. A name without an
    /// account has the same number of rows.
    fn of_sign_in(
        folded: &str,
        account: Option<SignInAccount>,
        network: &ClientNetwork,
        limits: &AttemptLimits,
    ) -> Self {
        if let Some((SignInAccount { id, is_known: true }, network_text)) = account.zip(network.known_as()) {
            let counter = of_known_address(id, &network_text, limits.failures);
            let sprayed = spray::counters(network, limits.failures_per_known_address);
            return Self { counters: vec![counter], sprayed };
        }
        let of_name = match account {
            Some(account) => of_account(account.id, limits.failures),
            None => Counter::new(CountedBy::Name, &[folded], limits.failures),
        };
        let of_network = |(at, (network, limit)): (usize, (String, u32))| {
            let by = if at == 0 { CountedBy::Address } else { CountedBy::Network };
            Counter::new(by, &[&network], limit)
        };
        let of_networks = limits.of_networks(network).into_iter().enumerate().map(of_network);
        let of_all = Counter::new(CountedBy::All, &[], limits.failures_in_all);
        Self { counters: [of_name].into_iter().chain(of_networks).chain([of_all]).collect(), sprayed: vec![] }
    }

    fn all(&self) -> impl Iterator<Item = &Counter> {
        self.counters.iter().chain(self.sprayed.iter().map(|sprayed| &sprayed.counter))
    }

    fn of_registration(network: &ClientNetwork, limits: &AttemptLimits) -> Self {
        let of_network =
            |(network, limit): (String, u32)| Counter::new(CountedBy::Registration, &[&network], limit);
        let networks = network.with_limits(limits.registrations_per_address);
        Self { counters: networks.into_iter().map(of_network).collect(), sprayed: vec![] }
    }
}

/// Distinguishes the row of an account from that of a name that looks like its ID.
const ACCOUNT: &str = "account";

fn of_account(id: Uuid, free: u32) -> Counter {
    Counter::new(CountedBy::Name, &[&id.to_string(), ACCOUNT], free)
}

fn of_known_address(id: Uuid, network: &str, free: u32) -> Counter {
    Counter::new(CountedBy::KnownAddress, &[&id.to_string(), network, ACCOUNT], free)
}

/// An attempt that was allowed and counted. It must be settled.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct Reservation {
    rows: CounterRows,
    /// The level of the first row after the attempt.
    level: f64,
    longest_wait: Duration,
    reserved_at: DateTime<Utc>,
    origin: Origin,
}

/// The outcome of reserving an attempt.
#[derive(Debug)]
pub(crate) enum ReserveOutcome {
    /// The attempt is allowed, and was counted.
    Reserved(Reservation),
    /// The attempt is not allowed. It was not counted.
    Throttled(ThrottledAttempt),
}

/// The outcome of a reserved attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptOutcome {
    /// The password was wrong. The attempt stays counted.
    Failed,
    /// The password was correct. At a known address, the account's row there is reset. Otherwise the attempt
    /// is taken off each row.
    Succeeded,
    /// No password was checked. The attempt is taken off each row.
    Released,
}

/// Reserves an attempt to verify the password of a name, as it was typed. `waited_since` is the number of
/// successes of the row that throttled it before, if one did.
pub(crate) fn reserve_sign_in(
    connection: &mut PgConnection,
    typed: &str,
    origin: &Origin,
    limits: &AttemptLimits,
    waited_since: Option<i64>,
) -> QueryResult<ReserveOutcome> {
    let network = network(origin);
    // All strings that cannot be a name share one name that no account has.
    let (typed, folded) = fold_typed(typed).map_or(("", String::new()), |folded| (typed, folded));
    let account = known_address::find_account(connection, typed, &network)?;
    let rows = CounterRows::of_sign_in(&folded, account, &network, limits);
    PendingAttempt { rows, waited_since, longest_wait: limits.longest_wait, origin }.reserve(connection)
}

/// Reserves the registration of an account from the request's network.
pub(crate) fn reserve_registration(
    connection: &mut PgConnection,
    origin: &Origin,
    limits: &AttemptLimits,
) -> QueryResult<ReserveOutcome> {
    let rows = CounterRows::of_registration(&network(origin), limits);
    PendingAttempt { rows, waited_since: None, longest_wait: limits.longest_wait, origin }.reserve(connection)
}

/// An attempt to reserve.
struct PendingAttempt<'a> {
    rows: CounterRows,
    waited_since: Option<i64>,
    longest_wait: Duration,
    origin: &'a Origin,
}

impl PendingAttempt<'_> {
    /// Counts the attempt in all rows or in none. An attempt that one row throttles is not counted in the
    /// others.
    fn reserve(mut self, connection: &mut PgConnection) -> QueryResult<ReserveOutcome> {
        // Most of a flood ends here, without a lock or a write.
        if let Some(throttled) = self.find_throttled(connection)? {
            return Ok(ReserveOutcome::Throttled(throttled));
        }
        let taken = transaction(connection, |connection| {
            let mut first: Option<CountedAttempt> = None;
            for counter in &self.rows.counters {
                let Some(taken) = take(connection, counter, self.longest_wait)? else {
                    return Err(Error::RollbackTransaction);
                };
                first.get_or_insert(taken);
            }
            first.ok_or(Error::RollbackTransaction)
        });
        match taken {
            Ok(CountedAttempt { counted_at, level }) => {
                let Self { rows, longest_wait, .. } = self;
                let (reserved_at, origin) = (counted_at, self.origin.clone());
                Ok(ReserveOutcome::Reserved(Reservation { rows, level, longest_wait, reserved_at, origin }))
            }
            Err(Error::RollbackTransaction) => {
                // Another attempt was counted between the two statements.
                let throttled = self.find_throttled(connection)?;
                let counter = self.rows.counters[0].clone();
                let again = ThrottledAttempt {
                    counter,
                    wait: Duration::ZERO,
                    is_busy: true,
                    is_recorded: true,
                    successes: 0,
                };
                Ok(ReserveOutcome::Throttled(throttled.unwrap_or(again)))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the longest wait that one of the rows requires, if any does.
    fn find_throttled(&mut self, connection: &mut PgConnection) -> QueryResult<Option<ThrottledAttempt>> {
        let found = load(connection, self.rows.all())?;
        self.narrow(&found);
        let throttled = self.rows.counters.iter().filter_map(|counter| {
            let (row, now) = found.iter().find(|(row, _)| row.is_of(counter))?;
            row.throttled(counter, *now, self.longest_wait)
        });
        Ok(throttled.max_by_key(|throttled| (!throttled.is_busy, throttled.wait)))
    }

    /// Lowers the free attempts of an account at a network past its limit. An attempt is exempt if it waited
    /// for others of the account and one of them had the correct password, because it is the owner's.
    fn narrow(&mut self, found: &[(Row, DateTime<Utc>)]) {
        let row_of = |counter: &Counter| found.iter().find(|(row, _)| row.is_of(counter));
        let is_past = |counter: &Counter| {
            row_of(counter).is_some_and(|(row, now)| spray::is_past(row.level_at(*now, counter), counter))
        };
        if !self.rows.sprayed.iter().any(|sprayed| is_past(&sprayed.counter)) {
            return;
        }
        for counter in &mut self.rows.counters {
            let successes = row_of(counter).map_or(0, |(row, _)| row.successes);
            if self.waited_since.is_none_or(|before| successes <= before) {
                counter.free = FREE_PAST_LIMIT;
            }
        }
    }
}

const FAILED: &str = "UPDATE attempts SET pending = greatest(pending - 1, 0) WHERE kind = $1 AND digest = $2";
/// Only attempts that are not settled yet stay counted.
const FORGOTTEN: &str = "UPDATE attempts SET pending = greatest(pending - 1, 0), level = greatest(pending - 1, 0), \
    next_at = now(), noted_at = NULL, successes = successes + 1 WHERE kind = $1 AND digest = $2";
/// If no other attempt was made since, the next one is allowed at once, as this one was.
const GIVEN_BACK: &str = "UPDATE attempts SET pending = greatest(pending - 1, 0), level = greatest(level - 1, 0), \
    next_at = CASE WHEN counted_at = $5 THEN counted_at \
        ELSE least(next_at, counted_at + attempt_wait(greatest(level - 1, 0), $3, $4)) END \
    WHERE kind = $1 AND digest = $2";

impl Reservation {
    /// Returns whether the account was signed in to from this address before.
    #[must_use]
    pub(crate) fn is_at_known_address(&self) -> bool {
        self.rows.counters.iter().any(|counter| counter.by == CountedBy::KnownAddress)
    }

    /// Records the outcome of the attempt, in the caller's transaction.
    pub(crate) fn settle(&self, connection: &mut PgConnection, outcome: AttemptOutcome) -> QueryResult<()> {
        for counter in &self.rows.counters {
            let (kind, digest) = (counter.by.as_str(), counter.digest.as_slice());
            let statement = match (outcome, counter.by) {
                (AttemptOutcome::Failed, _) => FAILED,
                (AttemptOutcome::Succeeded, CountedBy::KnownAddress) => FORGOTTEN,
                (AttemptOutcome::Succeeded | AttemptOutcome::Released, _) => {
                    diesel::sql_query(GIVEN_BACK)
                        .bind::<Text, _>(kind)
                        .bind::<Binary, _>(digest)
                        .bind::<Integer, _>(counter.free.cast_signed())
                        .bind::<Double, _>(self.longest_wait.as_secs_f64())
                        .bind::<Timestamptz, _>(self.reserved_at)
                        .execute(connection)?;
                    continue;
                }
            };
            diesel::sql_query(statement)
                .bind::<Text, _>(kind)
                .bind::<Binary, _>(digest)
                .execute(connection)?;
        }
        if outcome == AttemptOutcome::Failed { self.charge_networks(connection) } else { Ok(()) }
    }

    /// Counts a failure against the networks at which the account is known, and reports those past their
    /// limit.
    fn charge_networks(&self, connection: &mut PgConnection) -> QueryResult<()> {
        let mut is_past = false;
        for SprayCounter { network, counter } in &self.rows.sprayed {
            if !spray::charge(connection, counter, spray::weight(self.level))? {
                continue;
            }
            is_past = true;
            if note(connection, counter)? {
                let details = EventDetails::TooManyAttempts {
                    by: counter.by.as_str().to_owned(),
                    retry_after: None,
                    network: Some(network.clone()),
                    limit: Some(counter.free),
                };
                event::insert(connection, &self.origin, Subject::none(), &details)?;
            }
        }
        if is_past {
            metrics::counter!("doorward_password_spray_failures_total").increment(1);
        }
        Ok(())
    }
}

/// Marks the burst of this refusal as reported. Returns whether the caller must write it to the audit log.
pub(crate) fn record_burst(connection: &mut PgConnection, throttled: &ThrottledAttempt) -> QueryResult<bool> {
    note(connection, &throttled.counter)
}

/// Returns the rows of an account, from everywhere and from each address known to it. The rows of its names
/// were counted before the account existed, or by a node of the previous version.
fn rows_of(
    connection: &mut PgConnection,
    user_id: Uuid,
    names: &[String],
) -> QueryResult<Vec<(&'static str, Digest)>> {
    let networks = known_address::list(connection, user_id)?;
    let mut counters = vec![of_account(user_id, 0)];
    counters.extend(networks.iter().map(|network| of_known_address(user_id, network, 0)));
    for name in names {
        counters.push(Counter::new(CountedBy::Name, &[name], 0));
        let of_network = |network: &String| Counter::new(CountedBy::KnownAddress, &[name, network], 0);
        counters.extend(networks.iter().map(of_network));
    }
    Ok(counters.into_iter().map(|counter| (counter.by.as_str(), counter.digest)).collect())
}

/// Returns the latest time until which sign-ins to an account are throttled somewhere. Returns `None` if they
/// are not.
pub(crate) fn find_wait(
    connection: &mut PgConnection,
    user_id: Uuid,
    names: &[String],
) -> QueryResult<Option<DateTime<Utc>>> {
    let mut latest = None;
    for (kind, digest) in rows_of(connection, user_id, names)? {
        let next_at: Option<DateTime<Utc>> = attempts::table
            .find((kind, digest.as_slice()))
            .filter(attempts::next_at.gt(now()))
            .select(attempts::next_at)
            .first(connection)
            .optional()?;
        latest = latest.max(next_at);
    }
    Ok(latest)
}

/// Deletes the counters of an account and its folded names. Returns whether anything was counted.
pub(crate) fn clear(connection: &mut PgConnection, user_id: Uuid, names: &[String]) -> QueryResult<bool> {
    let mut was_counted = false;
    for (kind, digest) in rows_of(connection, user_id, names)? {
        let level: Option<f64> = diesel::delete(attempts::table.find((kind, digest.as_slice())))
            .returning(attempts::level)
            .get_result(connection)
            .optional()?;
        was_counted |= level.is_some_and(|level| level > 0.0);
    }
    Ok(was_counted)
}
