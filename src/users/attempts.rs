//! How often something was tried that guesses or costs: a row for each name, address and so on that it counts against,
//! the same for all nodes. A try is reserved before it is made, by one conditional statement for each row, and settled
//! when its outcome is known.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest as sha256};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Binary, Double, Integer, Text, Timestamptz};
use uuid::Uuid;

use super::known_address;
use crate::database::schema::attempts;
use crate::database::{now, transaction};

/// A try whose outcome nobody told by then has failed: its node was killed, or its asker went away. Longer than a hash
/// may take, waiting included.
const PENDING_FOR: TimeDelta = TimeDelta::seconds(30);
/// How long after the audit log was told of a burst the next is another.
const BURST: TimeDelta = TimeDelta::hours(1);

/// How many tries an hour are free, and the longest wait between those that are not. Settings.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Wrong passwords for a name.
    pub failures: u32,
    /// Wrong passwords from an address.
    pub failures_per_address: u32,
    /// Wrong passwords for all names from all addresses.
    pub failures_in_all: u32,
    /// Accounts made from an address.
    pub registrations_per_address: u32,
    /// The longest wait.
    pub longest_wait: Duration,
}

/// What a try counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedBy {
    /// A name, with an address that its account was signed in to from before: for all who share that address.
    KnownAddress,
    /// A name, from everywhere else, whether or not it is an account's.
    Name,
    /// An address, for all names.
    Address,
    /// Everything.
    All,
    /// An address from which accounts are made.
    Registration,
}

impl CountedBy {
    /// The name in the database, metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KnownAddress => "known_address",
            Self::Name => "name",
            Self::Address => "address",
            Self::All => "all",
            Self::Registration => "registration",
        }
    }
}

/// A row that a try counts against.
#[derive(Clone, Debug)]
struct Counter {
    by: CountedBy,
    digest: [u8; 32],
    free: u32,
}

impl Counter {
    fn new(by: CountedBy, against: &[&str], free: u32) -> Self {
        let mut digest = [0; 32];
        // Neither names nor networks have a NUL.
        digest.copy_from_slice(sha256(&SHA256, against.join("\0").as_bytes()).as_ref());
        Self { by, digest, free }
    }

    /// In the order in which all lock them: the one that most tries have in common last, and so for the shortest time.
    fn of_sign_in(folded: &str, network: &str, is_known: bool, limits: &Limits) -> Vec<Self> {
        if is_known {
            return vec![Self::new(CountedBy::KnownAddress, &[folded, network], limits.failures)];
        }
        vec![
            Self::new(CountedBy::Name, &[folded], limits.failures),
            Self::new(CountedBy::Address, &[network], limits.failures_per_address),
            Self::new(CountedBy::All, &[], limits.failures_in_all),
        ]
    }
}

/// A try that was taken and counts. It has to be settled.
#[derive(Clone, Debug)]
#[must_use]
pub struct Reservation {
    counters: Vec<Counter>,
    longest_wait: Duration,
    reserved_at: DateTime<Utc>,
}

/// A try that was not taken.
#[derive(Clone, Debug)]
pub struct Held {
    counter: Counter,
    /// How long until one is.
    pub wait: Duration,
    /// Whether it is held up only by tries whose outcome is not known yet.
    pub is_busy: bool,
    /// Whether the audit log knows of this burst.
    pub is_noted: bool,
}

impl Held {
    /// What it counts against that holds it up.
    #[must_use]
    pub fn by(&self) -> CountedBy {
        self.counter.by
    }
}

/// What became of a try that was to be reserved.
#[derive(Debug)]
pub enum Reserved {
    /// It counts, and may be made.
    Taken(Reservation),
    /// It may not be made, and counts for nothing.
    Held(Held),
}

/// What a reserved try came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The password was wrong: it goes on counting.
    Failed,
    /// The password was right: what was counted for this name from an address known to it is forgotten, and everything
    /// else has its one try back.
    Right,
    /// Nothing was tried: it counts no more.
    GivenBack,
}

/// Reserves a check of the password of this name, from this network.
///
/// # Errors
/// PostgreSQL's.
pub fn reserve_sign_in(
    connection: &mut PgConnection,
    folded: &str,
    network: &str,
    limits: &Limits,
) -> QueryResult<Reserved> {
    let is_known = known_address::is_known(connection, folded, network)?;
    reserve(connection, Counter::of_sign_in(folded, network, is_known, limits), limits.longest_wait)
}

/// Reserves the making of an account from this network.
///
/// # Errors
/// PostgreSQL's.
pub fn reserve_registration(
    connection: &mut PgConnection,
    network: &str,
    limits: &Limits,
) -> QueryResult<Reserved> {
    let counter = Counter::new(CountedBy::Registration, &[network], limits.registrations_per_address);
    reserve(connection, vec![counter], limits.longest_wait)
}

/// All of the rows or none: a try that one of them holds up counts against no other.
fn reserve(
    connection: &mut PgConnection,
    counters: Vec<Counter>,
    longest_wait: Duration,
) -> QueryResult<Reserved> {
    // Most of a flood ends here, without a lock and without a write.
    if let Some(held) = find_held(connection, &counters, longest_wait)? {
        return Ok(Reserved::Held(held));
    }
    let taken = transaction(connection, |connection| {
        let mut reserved_at = None;
        for counter in &counters {
            reserved_at = take(connection, counter, longest_wait)?;
            if reserved_at.is_none() {
                break;
            }
        }
        reserved_at.ok_or(Error::RollbackTransaction)
    });
    match taken {
        Ok(reserved_at) => Ok(Reserved::Taken(Reservation { counters, longest_wait, reserved_at })),
        Err(Error::RollbackTransaction) => {
            // Another was faster by a hair.
            let held = find_held(connection, &counters, longest_wait)?;
            let again =
                || Held { counter: counters[0].clone(), wait: Duration::ZERO, is_busy: true, is_noted: true };
            Ok(Reserved::Held(held.unwrap_or_else(again)))
        }
        Err(error) => Err(error),
    }
}

/// A row as it was when it was last counted.
#[derive(Queryable, Selectable)]
#[diesel(table_name = attempts, check_for_backend(diesel::pg::Pg))]
struct Row {
    kind: String,
    level: f64,
    pending: i32,
    counted_at: DateTime<Utc>,
    next_at: DateTime<Utc>,
    noted_at: Option<DateTime<Utc>>,
}

impl Row {
    /// Whether it is for want of an outcome that the next try has to wait.
    fn is_busy(&self, free: u32, now: DateTime<Utc>) -> bool {
        let pending = if now - self.counted_at < PENDING_FOR { self.pending } else { 0 };
        pending > 0 && (self.level - f64::from(pending)).ceil() < f64::from(free)
    }
}

/// Which of the rows holds a try up the longest, if any does.
fn find_held(
    connection: &mut PgConnection,
    counters: &[Counter],
    longest_wait: Duration,
) -> QueryResult<Option<Held>> {
    let mut held: Option<Held> = None;
    for (row, now) in load(connection, counters)? {
        let Some(counter) = counters.iter().find(|counter| counter.by.as_str() == row.kind) else { continue };
        // More than the longest wait is a clock that was set back.
        let wait = (row.next_at - now).to_std().ok().filter(|wait| !wait.is_zero() && *wait <= longest_wait);
        let Some(wait) = wait else { continue };
        let candidate = Held {
            counter: counter.clone(),
            wait,
            is_busy: row.is_busy(counter.free, now),
            is_noted: row.noted_at.is_some_and(|noted_at| now - noted_at < BURST),
        };
        let rank = |held: &Held| (!held.is_busy, held.wait);
        if held.as_ref().is_none_or(|held| rank(&candidate) > rank(held)) {
            held = Some(candidate);
        }
    }
    Ok(held)
}

fn load(connection: &mut PgConnection, counters: &[Counter]) -> QueryResult<Vec<(Row, DateTime<Utc>)>> {
    let mut query = attempts::table.select((Row::as_select(), now())).into_boxed();
    for counter in counters {
        query = query.or_filter(
            attempts::kind.eq(counter.by.as_str()).and(attempts::digest.eq(counter.digest.as_slice())),
        );
    }
    query.load(connection)
}

/// Counts a try against a row unless the row holds it up. What has fallen of the level since is taken off first. A wait
/// of more than the longest is a clock that was set back.
const TAKE: &str = "
    INSERT INTO attempts AS a (kind, digest, level, pending, counted_at, next_at)
    VALUES ($1, $2, 1, 1, now(), now() + attempt_wait(1, $3, $4))
    ON CONFLICT (kind, digest) DO UPDATE SET (level, pending, counted_at, next_at) = (
        SELECT n.level, n.pending, now(), now() + attempt_wait(n.level, $3, $4)
          FROM (SELECT
            1 + greatest(a.level - $3 * greatest(extract(epoch FROM now() - a.counted_at)::float8, 0) / 3600, 0) AS level,
            1 + CASE WHEN a.counted_at > now() - interval '30 s' THEN a.pending ELSE 0 END AS pending) AS n)
     WHERE a.next_at <= now() OR a.next_at > now() + $4 * interval '1 second'
    RETURNING counted_at";

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Timestamptz)]
    counted_at: DateTime<Utc>,
}

fn take(
    connection: &mut PgConnection,
    counter: &Counter,
    longest_wait: Duration,
) -> QueryResult<Option<DateTime<Utc>>> {
    let taken: Option<Taken> = diesel::sql_query(TAKE)
        .bind::<Text, _>(counter.by.as_str())
        .bind::<Binary, _>(counter.digest.as_slice())
        .bind::<Integer, _>(counter.free.cast_signed())
        .bind::<Double, _>(longest_wait.as_secs_f64())
        .get_result(connection)
        .optional()?;
    Ok(taken.map(|taken| taken.counted_at))
}

const FAILED: &str = "UPDATE attempts SET pending = greatest(pending - 1, 0) WHERE kind = $1 AND digest = $2";
/// Of other tries those go on counting that are not settled yet.
const FORGOTTEN: &str = "UPDATE attempts SET pending = greatest(pending - 1, 0), level = greatest(pending - 1, 0), \
    next_at = now(), noted_at = NULL WHERE kind = $1 AND digest = $2";
/// Where nothing was tried since, the next may be at once, as this one was.
const GIVEN_BACK: &str = "UPDATE attempts SET pending = greatest(pending - 1, 0), level = greatest(level - 1, 0), \
    next_at = CASE WHEN counted_at = $5 THEN counted_at \
        ELSE least(next_at, counted_at + attempt_wait(greatest(level - 1, 0), $3, $4)) END \
    WHERE kind = $1 AND digest = $2";

impl Reservation {
    /// Returns whether the account was signed in to from there before.
    #[must_use]
    pub fn is_at_known_address(&self) -> bool {
        self.counters.iter().any(|counter| counter.by == CountedBy::KnownAddress)
    }

    /// Says what the try came to, in the caller's transaction.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub fn settle(&self, connection: &mut PgConnection, outcome: Outcome) -> QueryResult<()> {
        for counter in &self.counters {
            let (kind, digest) = (counter.by.as_str(), counter.digest.as_slice());
            let statement = match (outcome, counter.by) {
                (Outcome::Failed, _) => FAILED,
                (Outcome::Right, CountedBy::KnownAddress) => FORGOTTEN,
                (Outcome::Right | Outcome::GivenBack, _) => {
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
        Ok(())
    }
}

/// Whether this is the one refusal of its burst that the audit log is told of.
///
/// # Errors
/// PostgreSQL's.
pub fn note_burst(connection: &mut PgConnection, held: &Held) -> QueryResult<bool> {
    let row = attempts::table.find((held.counter.by.as_str(), held.counter.digest.as_slice()));
    let moment: DateTime<Utc> = diesel::select(now()).get_result(connection)?;
    let unnoted = attempts::noted_at.is_null().or(attempts::noted_at.lt(moment - BURST));
    let noted = diesel::update(row.filter(unnoted.assume_not_null()))
        .set(attempts::noted_at.eq(moment))
        .execute(connection)?;
    Ok(noted > 0)
}

/// Rows of an account: its names', from everywhere and from each address known to it.
fn of_account(
    connection: &mut PgConnection,
    user_id: Uuid,
    names: &[String],
) -> QueryResult<Vec<(&'static str, [u8; 32])>> {
    let networks = known_address::list(connection, user_id)?;
    let mut rows = Vec::new();
    for name in names {
        let of_name = Counter::new(CountedBy::Name, &[name], 0);
        let of_networks =
            networks.iter().map(|network| Counter::new(CountedBy::KnownAddress, &[name, network], 0));
        rows.extend(of_networks.chain([of_name]).map(|counter| (counter.by.as_str(), counter.digest)));
    }
    Ok(rows)
}

/// Until when the next try for one of an account's folded names has to wait, somewhere; `None`: it has not.
///
/// # Errors
/// PostgreSQL's.
pub fn find_wait(
    connection: &mut PgConnection,
    user_id: Uuid,
    names: &[String],
) -> QueryResult<Option<DateTime<Utc>>> {
    let mut latest = None;
    for (kind, digest) in of_account(connection, user_id, names)? {
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

/// Forgets what was counted against an account's folded names; gives whether anything was.
///
/// # Errors
/// PostgreSQL's.
pub fn clear(connection: &mut PgConnection, user_id: Uuid, names: &[String]) -> QueryResult<bool> {
    let mut was_counted = false;
    for (kind, digest) in of_account(connection, user_id, names)? {
        let level: Option<f64> = diesel::delete(attempts::table.find((kind, digest.as_slice())))
            .returning(attempts::level)
            .get_result(connection)
            .optional()?;
        was_counted |= level.is_some_and(|level| level > 0.0);
    }
    Ok(was_counted)
}
