//! `/admin`: what has been going on.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{Days, NaiveDate};

use super::chart::{Chart, Day};
use crate::audit::daily::{self, DayCount};
use crate::audit::refusal_counts;
use crate::guard::requirements::ServerRead;
use crate::guard::{Authorized, Services, refusal};
use crate::pages::answer;
use crate::pages::shell::Shell;
use crate::problem::Problem;
use crate::sessions::statistics;

/// How a session ends before its time. One that a copied refresh token ends has no event but the second.
const ENDS: [&str; 2] = ["session_ended", "refresh_token_reused"];

/// Days that a chart shows.
pub(super) const DAYS: u32 = 14;

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct Overview {
    shell: Shell,
    charts: Vec<Chart>,
}

/// Shows it.
pub async fn show(
    services: web::Data<Services>,
    guarded: Authorized<ServerRead>,
) -> Result<HttpResponse, Problem> {
    let (events, live, refusals) = services
        .database
        .search(|connection| {
            let days = DAYS.cast_signed();
            let types = ["login_succeeded", "login_failed", ENDS[0], ENDS[1]];
            let events = daily::count_events(connection, &types, days)?;
            let live = statistics::count_live(connection, days)?;
            Ok((events, live, refusal_counts::list(connection, days)?))
        })
        .await
        .map_err(refusal::database)?;
    let today = live.last().map_or_else(|| services.clock.now().date_naive(), |day| day.day);
    let (right, wrong) = (sum(&events, "login_succeeded"), sum(&events, "login_failed"));
    let sign_ins = days(today, |day| {
        let (right, wrong) = (on(&events, day, "login_succeeded"), on(&events, day, "login_failed"));
        (right, wrong, format!("{right} sign-ins, {wrong} refused"))
    });
    let ended = days(today, |day| {
        let [ended, reused] = ENDS.map(|how| on(&events, day, how));
        let ended = ended + reused;
        (ended, 0, format!("{ended} ended, {reused} of them by a copied refresh token"))
    });
    let refused = days(today, |day| {
        let on: Vec<&DayCount> = refusals.iter().filter(|count| count.day == day).collect();
        let codes: Vec<String> = on.iter().map(|count| format!("{} {}", count.what, count.count)).collect();
        let label = if codes.is_empty() { "none".to_owned() } else { codes.join(", ") };
        (0, on.iter().map(|count| count.count).sum(), label)
    });
    let lived = days(today, |day| {
        let count = live.iter().find(|found| found.day == day).map_or(0, |found| found.count);
        (count, 0, format!("{count} live"))
    });
    let now = live.last().map_or(0, |day| day.count);
    let all_ended: i64 = ENDS.map(|how| sum(&events, how)).iter().sum();
    let charts = vec![
        Chart::new("Sign-ins", format!("{right} sign-ins and {wrong} refused in {DAYS} days"), sign_ins),
        Chart::new("Refusals", most_frequent(&refusals), refused),
        Chart::new("Live sessions", format!("{now} now"), lived),
        Chart::new("Sessions ended", format!("{all_ended} in {DAYS} days"), ended),
    ];
    answer(StatusCode::OK, &Overview { shell: Shell::of(&guarded.caller), charts })
}

/// The codes that were answered most, in words.
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

fn sum(counts: &[DayCount], what: &str) -> i64 {
    counts.iter().filter(|count| count.what == what).map(|count| count.count).sum()
}

fn on(counts: &[DayCount], day: NaiveDate, what: &str) -> i64 {
    counts.iter().filter(|count| count.day == day && count.what == what).map(|count| count.count).sum()
}

/// The days of a chart, the last one today.
pub(super) fn days(today: NaiveDate, of: impl Fn(NaiveDate) -> (i64, i64, String)) -> Vec<Day> {
    let back = (0..u64::from(DAYS)).rev().filter_map(|back| today.checked_sub_days(Days::new(back)));
    back.map(|day| {
        let (lower, upper, label) = of(day);
        Day { name: day.format("%-d %b").to_string(), lower, upper, label }
    })
    .collect()
}
