//! `/admin`: shows charts of sign-ins, refusals and sessions.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{Days, NaiveDate};

use super::chart::{Chart, Day};
use crate::audit::EventType;
use crate::audit::daily::{self, DayCount};
use crate::audit::refusal_counts;
use crate::database::{DatabaseError, SEARCH_TIMEOUT};
use crate::guard::Authorized;
use crate::guard::requirements::ServerRead;
use crate::pages::answer::answer;
use crate::pages::shell::Shell;
use crate::refusal::Refusal;
use crate::sessions::statistics::{self, LiveSessions};
use crate::state::State;

/// The events that end a session before it expires. A session that ends because a copied refresh token was
/// used has only the second.
const ENDS: [EventType; 2] = [EventType::SessionEnded, EventType::RefreshTokenReused];

/// The days in a chart.
pub(super) const DAYS: u32 = 14;

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct Overview {
    shell: Shell,
    charts: Vec<Chart>,
    /// A notice about charts that took too long to count.
    uncounted: Option<String>,
}

/// Returns the result of a count, or `None` if it took too long.
fn counted<T>(found: Result<T, DatabaseError>) -> Result<Option<T>, Refusal> {
    match found {
        Ok(counted) => Ok(Some(counted)),
        Err(DatabaseError::TooExpensive) => Ok(None),
        Err(error) => Err(Refusal::from(error)),
    }
}

/// Shows the charts. Omits a chart that takes too long to count.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<ServerRead>,
) -> Result<HttpResponse, Refusal> {
    const PAST: i32 = DAYS.cast_signed();
    let [session_ended, token_reused] = ENDS;
    let types = [EventType::LoginSucceeded, EventType::LoginFailed, session_ended, token_reused];
    let database = &state.core.database;
    let refusals = counted(database.search(|connection| refusal_counts::list(connection, PAST)).await)?;
    let events = database.search(move |connection| daily::count_events(connection, &types, PAST)).await;
    let events = counted(events)?;
    let live = counted(database.search(|connection| statistics::count_live(connection, PAST)).await)?;
    let last = live.as_ref().and_then(|live| live.last());
    let today = last.map_or_else(|| state.core.clock.now().date_naive(), |day| day.day);
    let uncounted = uncounted(&[
        ("sign-ins and sessions ended", events.is_none()),
        ("live sessions", live.is_none()),
        ("refusals", refusals.is_none()),
    ]);
    let charts = [
        events.as_ref().map(|events| sign_ins(events, today)),
        refusals.map(|refusals| refused(&refusals, today)),
        live.map(|live| lived(&live, today)),
        events.as_ref().map(|events| ended(events, today)),
    ];
    let charts = charts.into_iter().flatten().collect();
    answer(StatusCode::OK, &Overview { shell: Shell::of(&guarded.caller), charts, uncounted })
}

/// Returns a notice that names the omitted charts.
fn uncounted(parts: &[(&str, bool)]) -> Option<String> {
    let names: Vec<&str> =
        parts.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Not shown, because counting took longer than {} s: {}. Open the page again when the database is less busy.",
            SEARCH_TIMEOUT.as_secs_f32(),
            names.join(", ")
        )
    })
}

fn sign_ins(events: &[DayCount], today: NaiveDate) -> Chart {
    let (right, wrong) = (sum(events, &EventType::LoginSucceeded), sum(events, &EventType::LoginFailed));
    let days = days(today, |day| {
        let (right, wrong) =
            (on(events, day, &EventType::LoginSucceeded), on(events, day, &EventType::LoginFailed));
        (right, wrong, format!("{right} sign-ins, {wrong} refused"))
    });
    Chart::new("Sign-ins", format!("{right} sign-ins and {wrong} refused in {DAYS} days"), days)
}

fn ended(events: &[DayCount], today: NaiveDate) -> Chart {
    let all: i64 = ENDS.map(|how| sum(events, &how)).iter().sum();
    let days = days(today, |day| {
        let [ended, reused] = ENDS.map(|how| on(events, day, &how));
        let ended = ended + reused;
        (ended, 0, format!("{ended} ended, {reused} of them by a copied refresh token"))
    });
    Chart::new("Sessions ended", format!("{all} in {DAYS} days"), days)
}

fn refused(refusals: &[DayCount], today: NaiveDate) -> Chart {
    let days = days(today, |day| {
        let on: Vec<&DayCount> = refusals.iter().filter(|count| count.day == day).collect();
        let codes: Vec<String> = on.iter().map(|count| format!("{} {}", count.what, count.count)).collect();
        let label = if codes.is_empty() { "none".to_owned() } else { codes.join(", ") };
        (0, on.iter().map(|count| count.count).sum(), label)
    });
    Chart::new("Refusals", most_frequent(refusals), days)
}

fn lived(live: &[LiveSessions], today: NaiveDate) -> Chart {
    let now = live.last().map_or(0, |day| day.count);
    let days = days(today, |day| {
        let count = live.iter().find(|found| found.day == day).map_or(0, |found| found.count);
        (count, 0, format!("{count} live"))
    });
    Chart::new("Live sessions", format!("{now} now"), days)
}

/// Describes the most frequent codes.
fn most_frequent(refusals: &[DayCount]) -> String {
    let mut by_code: BTreeMap<&str, i64> = BTreeMap::new();
    for count in refusals {
        *by_code.entry(&count.what).or_default() += count.count;
    }
    let mut codes: Vec<(&str, i64)> = by_code.into_iter().collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown: Vec<String> = codes.iter().take(3).map(|(code, count)| format!("{code} {count}")).collect();
    match shown.as_slice() {
        [] => format!("none in {DAYS} days"),
        shown => format!("in {DAYS} days, most of all {}", shown.join(", ")),
    }
}

fn sum(counts: &[DayCount], what: &EventType) -> i64 {
    counts.iter().filter(|count| count.what == what.as_str()).map(|count| count.count).sum()
}

fn on(counts: &[DayCount], day: NaiveDate, what: &EventType) -> i64 {
    counts
        .iter()
        .filter(|count| count.day == day && count.what == what.as_str())
        .map(|count| count.count)
        .sum()
}

/// Returns the days of a chart. The last one is today.
pub(super) fn days(today: NaiveDate, of: impl Fn(NaiveDate) -> (i64, i64, String)) -> Vec<Day> {
    let back = (0..u64::from(DAYS)).rev().filter_map(|back| today.checked_sub_days(Days::new(back)));
    back.map(|day| {
        let (lower, upper, label) = of(day);
        Day { name: day.format("%-d %b").to_string(), lower, upper, label }
    })
    .collect()
}
