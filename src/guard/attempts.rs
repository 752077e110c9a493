//! Abuse limits: what guesses or costs is counted before it is done, and past a number of tries the next one waits. What
//! must hold on all nodes together stands in the database; the rest are buckets of this node.

use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::bucket::{Buckets, NetworkBuckets};
use super::caller::Caller;
use super::refusal;
use super::services::Services;
use crate::audit::event::{self, EventType, Origin, Subject};
use crate::blocking::caller;
use crate::clock::Clock;
use crate::database::{self, Connection};
use crate::problem::{Code, Problem};
use crate::users::attempts::{self, CountedBy, Held, Limits, Outcome, Reservation, Reserved};
use crate::users::known_address::network;
use crate::users::name::fold_typed;
use crate::users::user;

/// How long a try waits here for the outcome of those before it, which may all be right.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a refusal for overload is held back. Whoever asks again at once then leaves the cores to the threads that
/// hash, which have a low priority. Shorter than `Retry-After`.
const OVERLOAD_DELAY: Duration = Duration::from_secs(1);
/// Tries that wait here at once; further ones are refused.
const WAITING: usize = 64;
/// How long this node goes by what the database said of a name that is held up: a flood of tries for it is then refused
/// without a query.
const HELD_FOR: Duration = Duration::from_secs(1);
const HELD: usize = 10_000;
/// Bursts that this node tells the audit log of in a minute: one who has a thousand addresses fills it no faster.
const NOTED_PER_MINUTE: u32 = 60;

/// The limits of a node's own.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Requests that prove nothing, from an address in a minute.
    pub unproven_per_address: u32,
    /// Personal tokens that a user makes in an hour.
    pub tokens_per_user: u32,
}

/// What holds a request up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldBy {
    /// What all nodes count.
    Counted(CountedBy),
    /// Requests from an address that prove nothing.
    Unproven,
    /// Tokens that a user made.
    Tokens,
}

impl HeldBy {
    /// The name in metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted(by) => by.as_str(),
            Self::Unproven => "unproven",
            Self::Tokens => "tokens",
        }
    }
}

/// Until when a name is held up, by the clock's time.
#[derive(Clone, Copy)]
struct HeldUntil {
    by: CountedBy,
    until: Duration,
    look_again_at: Duration,
}

/// The limits, and this node's share of the counting.
pub struct Attempts {
    limits: Limits,
    clock: Clock,
    /// By folded name and network.
    held: Cache<(String, String), HeldUntil>,
    unproven: NetworkBuckets,
    tokens: Buckets<Uuid>,
    waiting: Semaphore,
    bursts: Buckets<(HeldBy, String)>,
    noted: Buckets<()>,
}

impl Attempts {
    /// With these limits, by this clock.
    #[must_use]
    pub fn new(limits: Limits, of_node: NodeLimits, clock: &Clock) -> Self {
        Self {
            limits,
            clock: clock.clone(),
            held: Cache::new(HELD),
            unproven: NetworkBuckets::per_minute(of_node.unproven_per_address, clock),
            tokens: Buckets::per_hour(of_node.tokens_per_user, clock),
            waiting: Semaphore::new(WAITING),
            bursts: Buckets::per_hour(1, clock),
            noted: Buckets::per_minute(NOTED_PER_MINUTE, clock),
        }
    }

    /// What this node knows to be held up.
    fn find_held(&self, key: &(String, String)) -> Option<(CountedBy, Duration)> {
        let held = self.held.get(key)?;
        let now = self.clock.elapsed();
        (now < held.look_again_at).then(|| (held.by, held.until.saturating_sub(now)))
    }

    fn remember_held(&self, key: (String, String), held: &Held) {
        let now = self.clock.elapsed();
        let until = now + held.wait;
        let look_again_at = until.min(now + HELD_FOR);
        self.held.insert(key, HeldUntil { by: held.by(), until, look_again_at });
    }
}

impl Services {
    /// Reserves a check of the password of this name, before it is hashed.
    ///
    /// # Errors
    /// `too_many_attempts`; a fault of ours as a 5xx.
    pub async fn reserve_sign_in(&self, name: &str, origin: &Origin) -> Result<Reservation, Problem> {
        let key = (fold_typed(name).unwrap_or_default(), network(origin).narrowest());
        if let Some((by, wait)) = self.attempts.find_held(&key) {
            return Err(refusal::too_many_attempts(HeldBy::Counted(by), wait));
        }
        let (begun, mut place, mut waited_since) = (Instant::now(), None, None);
        let held = loop {
            let (name, origin, limits) = (name.to_owned(), origin.clone(), self.attempts.limits.clone());
            let reserve = move |connection: &mut Connection| {
                attempts::reserve_sign_in(connection, &name, &origin, &limits, waited_since)
            };
            let reserved = self.database.run(reserve).await.map_err(refusal::database)?;
            match reserved {
                Reserved::Taken(reservation) => return Ok(reservation),
                Reserved::Held(held) if held.is_busy && begun.elapsed() < PATIENCE => {
                    waited_since = waited_since.or(Some(held.successes));
                    place = place.or_else(|| self.attempts.waiting.try_acquire().ok());
                    if place.is_none() {
                        break held;
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Reserved::Held(held) => break held,
            }
        };
        let (by, wait) = (held.by(), held.wait);
        if !held.is_busy {
            self.attempts.remember_held(key.clone(), &held);
            let is_of_name = matches!(by, CountedBy::Name | CountedBy::KnownAddress) && !key.0.is_empty();
            let name = is_of_name.then(|| (name.to_owned(), key.0));
            self.note_counted_burst(held, name, origin).await;
        }
        Err(refusal::too_many_attempts(HeldBy::Counted(by), wait))
    }

    /// Reserves the making of an account, before its password is hashed.
    ///
    /// # Errors
    /// `too_many_attempts`; a fault of ours as a 5xx.
    pub async fn reserve_registration(&self, origin: &Origin) -> Result<Reservation, Problem> {
        let (from, limits) = (origin.clone(), self.attempts.limits.clone());
        let reserved = self
            .database
            .run(move |connection| attempts::reserve_registration(connection, &from, &limits))
            .await
            .map_err(refusal::database)?;
        match reserved {
            Reserved::Taken(reservation) => Ok(reservation),
            Reserved::Held(held) => {
                let (by, wait) = (held.by(), held.wait);
                self.note_counted_burst(held, None, origin).await;
                Err(refusal::too_many_attempts(HeldBy::Counted(by), wait))
            }
        }
    }

    /// Says what a reserved try came to.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn settle(&self, reservation: Reservation, outcome: Outcome) -> Result<(), Problem> {
        let settled =
            self.database.transaction(move |connection| reservation.settle(connection, outcome)).await;
        settled.map_err(refusal::database)
    }

    /// Gives a reserved try back that was not made, through no fault of its asker's, who waits for that no longer than for
    /// all else. Where it fails too, the try goes on counting.
    pub async fn give_back(&self, reservation: Reservation) {
        let given = self.start_giving_back(reservation);
        let _ = tokio::time::timeout(database::patience(), given).await;
    }

    fn start_giving_back(&self, reservation: Reservation) -> tokio::task::JoinHandle<()> {
        let database = self.database.clone();
        let giving = async move {
            let settle =
                move |connection: &mut Connection| reservation.settle(connection, Outcome::GivenBack);
            if let Err(error) = database.transaction(settle).await {
                tracing::debug!(%error, "a try that was not made goes on counting");
            }
        };
        actix_web::rt::spawn(caller::in_the_name_of(caller::current(), giving))
    }

    /// Gives a try back that was refused, and returns the refusal. One for overload is held back for a while. One for a
    /// database that does not answer is returned at once: waiting for the same database again would only add to it.
    pub(super) async fn give_back_refused(&self, reservation: Reservation, problem: Problem) -> Problem {
        if problem.code() == Code::DatabaseUnavailable {
            drop(self.start_giving_back(reservation));
            return problem;
        }
        self.give_back(reservation).await;
        if problem.code() == Code::Overloaded {
            tokio::time::sleep(OVERLOAD_DELAY).await;
        }
        problem
    }

    /// Counts a request that proves nothing against its address.
    ///
    /// # Errors
    /// `too_many_attempts`.
    pub async fn count_unproven(&self, origin: &Origin) -> Result<(), Problem> {
        let Err((network, wait)) = self.attempts.unproven.take(&network(origin)) else { return Ok(()) };
        let nobody = Subject { id: None, name: None };
        self.note_own_burst(HeldBy::Unproven, network, nobody, origin, wait).await;
        Err(refusal::too_many_attempts(HeldBy::Unproven, wait))
    }

    /// Counts a personal token that the caller makes.
    ///
    /// # Errors
    /// `too_many_attempts`.
    pub async fn count_token(&self, caller: &Caller, origin: &Origin) -> Result<(), Problem> {
        let Err(wait) = self.attempts.tokens.take(&caller.user_id) else { return Ok(()) };
        let subject = Subject { id: Some(caller.user_id), name: Some(&caller.username) };
        self.note_own_burst(HeldBy::Tokens, caller.user_id.to_string(), subject, origin, wait).await;
        Err(refusal::too_many_attempts(HeldBy::Tokens, wait))
    }

    /// Tells the audit log of the first refusal of a burst that all nodes count, and whose account it is about: a name as it
    /// was typed, and folded.
    async fn note_counted_burst(&self, held: Held, name: Option<(String, String)>, origin: &Origin) {
        metrics::counter!("doorward_attempts_held_total", "by" => held.by().as_str()).increment(1);
        if held.is_noted || self.attempts.noted.take(&()).is_err() {
            return;
        }
        let origin = origin.clone();
        let noted = self.database.transaction(move |connection| {
            if !attempts::note_burst(connection, &held)? {
                return Ok(());
            }
            let typed = name.as_ref().map(|(typed, _)| typed);
            let account = typed.map_or(Ok(None), |typed| user::find_by_name(connection, typed))?;
            let folded = name.as_ref().map(|(_, folded)| folded.as_str());
            let name = account.as_ref().map(|user| user.username.as_str()).or(folded);
            let name: Option<String> = name.map(|name| name.chars().take(150).collect());
            let subject = Subject { id: account.as_ref().map(|user| user.id), name: name.as_deref() };
            let details = json!({ "by": held.by().as_str(), "retry_after": whole_seconds(held.wait) });
            event::insert(connection, &origin, EventType::TooManyAttempts, subject, &details)
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "the audit log could not be told of too many attempts");
        }
    }

    /// The same of a burst that this node counts.
    async fn note_own_burst(
        &self,
        by: HeldBy,
        of: String,
        subject: Subject<'_>,
        origin: &Origin,
        wait: Duration,
    ) {
        metrics::counter!("doorward_attempts_held_total", "by" => by.as_str()).increment(1);
        if self.attempts.bursts.take(&(by, of)).is_err() || self.attempts.noted.take(&()).is_err() {
            return;
        }
        let (origin, id, name) = (origin.clone(), subject.id, subject.name.map(str::to_owned));
        let details = json!({ "by": by.as_str(), "retry_after": whole_seconds(wait) });
        let noted = self.database.run(move |connection| {
            let subject = Subject { id, name: name.as_deref() };
            event::insert(connection, &origin, EventType::TooManyAttempts, subject, &details)
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "the audit log could not be told of too many attempts");
        }
    }
}

/// Rounded up: whoever waits as long as he is told is let in.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_request_up_has_a_name_of_its_own() {
        let names = [HeldBy::Counted(CountedBy::Name), HeldBy::Unproven, HeldBy::Tokens].map(HeldBy::as_str);
        assert_eq!(names, [CountedBy::Name.as_str(), "unproven", "tokens"]);
    }
}
