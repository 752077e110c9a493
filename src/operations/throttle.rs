//! Enforces the rate limits. Attempts that guess or are expensive are counted before they are made. Past a
//! number of attempts the next one must wait. Limits for all nodes together are stored in the database, and
//! the others are buckets of this node.

use std::time::{Duration, Instant};

use crate::audit::{EventDetails, Origin, Subject, event};
use crate::blocking::caller;
use crate::database::{self, Connection};
use crate::guard::caller::Caller;
use crate::guard::refusals;
use crate::limits::counters::{
    self, AttemptOutcome, CountedBy, Reservation, ReserveOutcome, ThrottledAttempt,
};
use crate::limits::known_address::network;
use crate::limits::throttled_by::{ThrottledBy, whole_seconds};
use crate::refusal::{Code, Refusal, without_credentials};
use crate::state::State;
use crate::users::name::fold_typed;
use crate::users::user;

/// A sign-in waits at most this long for the outcomes of earlier attempts, which may all be correct.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time after which a waiting sign-in checks again.
const RECHECK_AFTER: Duration = Duration::from_millis(100);
/// A refusal for overload is delayed by this time. A client that retries at once then leaves the cores to the
/// hashing threads, which have a low priority. It is shorter than `Retry-After`.
const OVERLOAD_DELAY: Duration = Duration::from_secs(1);
/// Reserves an attempt to verify the password of a name, before hashing it.
///
/// # Errors
/// `too_many_attempts`.
pub(crate) async fn reserve_sign_in(
    state: &State,
    name: &str,
    origin: &Origin,
) -> Result<Reservation, Refusal> {
    let key = (fold_typed(name).unwrap_or_default(), network(origin).narrowest());
    if let Some((by, wait)) = state.limits.find_throttled(&key) {
        return Err(refusals::too_many_attempts(ThrottledBy::Counted(by), wait));
    }
    let (started, mut place, mut waited_since) = (Instant::now(), None, None);
    let throttled = loop {
        let (name, origin, limits) = (name.to_owned(), origin.clone(), state.limits.limits.clone());
        let reserve = move |connection: &mut Connection| {
            counters::reserve_sign_in(connection, &name, &origin, &limits, waited_since)
        };
        let reserved = state.core.database.run(reserve).await?;
        match reserved {
            ReserveOutcome::Reserved(reservation) => return Ok(reservation),
            ReserveOutcome::Throttled(throttled) if throttled.is_busy && started.elapsed() < PATIENCE => {
                waited_since = waited_since.or(Some(throttled.successes));
                place = place.or_else(|| state.limits.waiting.try_acquire().ok());
                if place.is_none() {
                    break throttled;
                }
                tokio::time::sleep(RECHECK_AFTER).await;
            }
            ReserveOutcome::Throttled(throttled) => break throttled,
        }
    };
    let (by, wait) = (throttled.by(), throttled.wait);
    if !throttled.is_busy {
        state.limits.remember_throttled(key.clone(), &throttled);
        let is_of_name = matches!(by, CountedBy::Name | CountedBy::KnownAddress) && !key.0.is_empty();
        let name = is_of_name.then(|| (name.to_owned(), key.0));
        record_counted_burst(state, throttled, name, origin).await;
    }
    Err(refusals::too_many_attempts(ThrottledBy::Counted(by), wait))
}

/// Reserves a registration, before hashing the password.
///
/// # Errors
/// `too_many_attempts`.
pub(crate) async fn reserve_registration(state: &State, origin: &Origin) -> Result<Reservation, Refusal> {
    let (from, limits) = (origin.clone(), state.limits.limits.clone());
    let reserved = state
        .core
        .database
        .run(move |connection| counters::reserve_registration(connection, &from, &limits))
        .await?;
    match reserved {
        ReserveOutcome::Reserved(reservation) => Ok(reservation),
        ReserveOutcome::Throttled(throttled) => {
            let (by, wait) = (throttled.by(), throttled.wait);
            record_counted_burst(state, throttled, None, origin).await;
            Err(refusals::too_many_attempts(ThrottledBy::Counted(by), wait))
        }
    }
}

/// Records the outcome of a reserved attempt. If that fails, it is tried once more in the background.
pub(crate) async fn settle(
    state: &State,
    reservation: Reservation,
    outcome: AttemptOutcome,
) -> Result<(), Refusal> {
    let again = reservation.clone();
    let settled =
        state.core.database.transaction(move |connection| reservation.settle(connection, outcome)).await;
    settled.map_err(|error| {
        drop(start_settling(state, again, outcome));
        Refusal::from(error)
    })
}

/// Records a failed attempt, with its event. If that fails, the attempt is settled without the event, in the
/// background.
pub(super) async fn record_failure(
    state: &State,
    reservation: Reservation,
    subject: Subject<'_>,
    details: EventDetails,
    origin: &Origin,
) -> Result<(), Refusal> {
    let (origin, id, name) = (origin.clone(), subject.id, subject.name.map(str::to_owned));
    let again = reservation.clone();
    let recorded = state.core.database.transaction(move |connection| {
        let subject = Subject { id, name: name.as_deref() };
        event::insert(connection, &origin, subject, &details)?;
        reservation.settle(connection, AttemptOutcome::Failed)
    });
    recorded.await.map_err(|error| {
        drop(start_settling(state, again, AttemptOutcome::Failed));
        Refusal::from(error)
    })
}

/// Gives back a reserved attempt that was not made, through no fault of the client. The client waits for this
/// no longer than for any other query. If it fails, the attempt stays counted.
pub(crate) async fn release(state: &State, reservation: Reservation) {
    let given = start_settling(state, reservation, AttemptOutcome::Released);
    let _ = tokio::time::timeout(database::time_left(), given).await;
}

/// Settles an attempt in the background.
fn start_settling(
    state: &State,
    reservation: Reservation,
    outcome: AttemptOutcome,
) -> tokio::task::JoinHandle<()> {
    let database = state.core.database.clone();
    let settling = async move {
        let settle = move |connection: &mut Connection| reservation.settle(connection, outcome);
        if let Err(error) = database.transaction(settle).await {
            tracing::debug!(%error, ?outcome, "an attempt is not settled and continues to count");
        }
    };
    actix_web::rt::spawn(caller::on_behalf_of(caller::current(), settling))
}

/// Gives back a refused attempt, and returns the refusal. A refusal for overload is delayed. A refusal
/// because the database is unavailable is returned at once, because waiting for that database again would
/// only add to the load.
pub(super) async fn release_refused(state: &State, reservation: Reservation, refusal: Refusal) -> Refusal {
    if refusal.code() == Code::DatabaseUnavailable {
        drop(start_settling(state, reservation, AttemptOutcome::Released));
        return refusal;
    }
    release(state, reservation).await;
    if refusal.code() == Code::Overloaded {
        tokio::time::sleep(OVERLOAD_DELAY).await;
    }
    refusal
}

/// Counts a request without a verified credential against its address.
///
/// # Errors
/// `too_many_attempts`.
pub(crate) async fn count_unverified(state: &State, origin: &Origin) -> Result<(), Refusal> {
    let Err((network, wait)) = state.limits.unverified.take(&network(origin)) else { return Ok(()) };
    record_node_burst(state, ThrottledBy::Unverified, network, Subject::none(), origin, wait).await;
    Err(refusals::too_many_attempts(ThrottledBy::Unverified, wait))
}

/// Counts a personal token that the caller creates.
///
/// # Errors
/// `too_many_attempts`.
pub(crate) async fn count_token(state: &State, caller: &Caller, origin: &Origin) -> Result<(), Refusal> {
    let Err(wait) = state.limits.tokens.take(&caller.user_id) else { return Ok(()) };
    let subject = Subject { id: Some(caller.user_id), name: Some(&caller.username) };
    record_node_burst(state, ThrottledBy::Tokens, caller.user_id.to_string(), subject, origin, wait).await;
    Err(refusals::too_many_attempts(ThrottledBy::Tokens, wait))
}

/// Records the first refusal of a burst that all nodes count in the audit log, with the account. `name` is
/// the name as it was typed, and folded.
async fn record_counted_burst(
    state: &State,
    throttled: ThrottledAttempt,
    name: Option<(String, String)>,
    origin: &Origin,
) {
    metrics::counter!("doorward_attempts_held_total", "by" => throttled.by().as_str()).increment(1);
    if throttled.is_recorded || state.limits.audit_bucket.take(&()).is_err() {
        return;
    }
    let origin = origin.clone();
    let recorded = state.core.database.transaction(move |connection| {
        if !counters::record_burst(connection, &throttled)? {
            return Ok(());
        }
        let typed = name.as_ref().map(|(typed, _)| typed);
        let account = typed.map_or(Ok(None), |typed| user::find_by_name(connection, typed))?;
        let unknown = || name.as_ref().map(|(_, folded)| name_for_audit(folded));
        let name = account.as_ref().map(|user| user.username.clone()).or_else(unknown);
        let subject = Subject { id: account.as_ref().map(|user| user.id), name: name.as_deref() };
        let details = burst(throttled.by().as_str(), throttled.wait);
        event::insert(connection, &origin, subject, &details)
    });
    if let Err(error) = recorded.await {
        tracing::warn!(%error, "too many attempts could not be recorded in the audit log");
    }
}

/// Returns the details of the first refusal of a burst.
fn burst(by: &str, wait: Duration) -> EventDetails {
    let retry_after = Some(whole_seconds(wait));
    EventDetails::TooManyAttempts { by: by.to_owned(), retry_after, network: None, limit: None }
}

/// Returns a name without an account as the audit log stores it. Credentials in it are masked, because a
/// client may have sent a token as the name.
pub(super) fn name_for_audit(typed: &str) -> String {
    let shown: String = typed.chars().filter(|c| !c.is_control()).collect();
    without_credentials(&shown).chars().take(150).collect()
}

/// Records the first refusal of a burst that this node counts in the audit log.
async fn record_node_burst(
    state: &State,
    by: ThrottledBy,
    of: String,
    subject: Subject<'_>,
    origin: &Origin,
    wait: Duration,
) {
    metrics::counter!("doorward_attempts_held_total", "by" => by.as_str()).increment(1);
    if state.limits.bursts.take(&(by, of)).is_err() || state.limits.audit_bucket.take(&()).is_err() {
        return;
    }
    let (origin, id, name) = (origin.clone(), subject.id, subject.name.map(str::to_owned));
    let details = burst(by.as_str(), wait);
    let recorded = state.core.database.run(move |connection| {
        let subject = Subject { id, name: name.as_deref() };
        event::insert(connection, &origin, subject, &details)
    });
    if let Err(error) = recorded.await {
        tracing::warn!(%error, "too many attempts could not be recorded in the audit log");
    }
}
