//! Formats times for pages: in words, and exactly.

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::rfc3339;

/// A time on a page.
pub(crate) struct Timestamp {
    /// The exact time for programs (RFC 3339).
    pub exact: String,
    /// The exact time for people, shown on hovering.
    pub long: String,
    /// The time in words, such as `2 hours ago`.
    pub words: String,
}

impl Timestamp {
    /// Formats a time for a page that is shown at `now`.
    #[must_use]
    pub(crate) fn new(time: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            exact: rfc3339(time),
            long: time.format("%-d %B %Y, %H:%M:%S UTC").to_string(),
            words: words(time - now, time),
        }
    }
}

fn words(ahead: TimeDelta, time: DateTime<Utc>) -> String {
    let seconds = ahead.num_seconds().abs();
    let rounded = |unit: i64| (seconds + unit / 2) / unit;
    let (count, unit) = match seconds {
        0..60 => return if ahead > TimeDelta::seconds(5) { "in a moment".into() } else { "just now".into() },
        60..3_600 => (rounded(60), "minute"),
        3_600..86_400 => (rounded(3_600), "hour"),
        86_400..5_184_000 => (rounded(86_400), "day"),
        _ => return time.format("%-d %B %Y").to_string(),
    };
    let plural = if count == 1 { "" } else { "s" };
    if ahead > TimeDelta::zero() {
        format!("in {count} {unit}{plural}")
    } else {
        format!("{count} {unit}{plural} ago")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_fitting_unit() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").expect("a time").to_utc();
        for (ahead, expected) in [
            (0, "just now"),
            (-59, "just now"),
            (-60, "1 minute ago"),
            (-7_200, "2 hours ago"),
            (43_199, "in 12 hours"),
            (3_600, "in 1 hour"),
            (30, "in a moment"),
            (86_400 * 30, "in 30 days"),
            (-86_400 * 90, "1 December 2025"),
        ] {
            assert_eq!(Timestamp::new(now + TimeDelta::seconds(ahead), now).words, expected, "{ahead}");
        }
    }
}
