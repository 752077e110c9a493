//! A few bars, drawn on the server.

/// The drawing's size, in its own units.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 120.0;
const GAP: f64 = 0.25;

/// Bars, one a day.
pub struct Chart {
    /// What is counted.
    pub title: &'static str,
    /// The whole in words, for who cannot see it.
    pub summary: String,
    /// The bars, in order.
    pub bars: Vec<Bar>,
    /// The first and the last day.
    pub first: String,
    /// See `first`.
    pub last: String,
    /// The highest value.
    pub highest: i64,
}

/// One bar, in two parts: the second stands on the first.
pub struct Bar {
    /// Its place and size.
    pub x: String,
    /// See `x`.
    pub width: String,
    /// The first part.
    pub lower: Part,
    /// The second part.
    pub upper: Part,
    /// What it says when pointed at.
    pub label: String,
}

/// A part of a bar.
pub struct Part {
    /// From the top.
    pub y: String,
    /// How tall.
    pub height: String,
}

/// What stands at a day: its name, the lower and the upper value, and how these read.
pub struct Day {
    /// Such as `3 Mar`.
    pub name: String,
    /// The lower part's value.
    pub lower: i64,
    /// The upper part's value.
    pub upper: i64,
    /// Such as `12 sign-ins, 1 refused`.
    pub label: String,
}

impl Chart {
    /// Draws them.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // pixels
    pub fn new(title: &'static str, summary: String, days: Vec<Day>) -> Self {
        let highest = days.iter().map(|day| day.lower + day.upper).max().unwrap_or(0);
        let step = WIDTH / days.len().max(1) as f64;
        let tall = |value: i64| value as f64 / highest.max(1) as f64 * HEIGHT;
        let part = |base: i64, value: i64| Part {
            y: format!("{:.1}", HEIGHT - tall(base + value)),
            height: format!("{:.1}", tall(value)),
        };
        let name = |day: Option<&Day>| day.map(|day| day.name.clone()).unwrap_or_default();
        let (first, last) = (name(days.first()), name(days.last()));
        let bars = days.into_iter().enumerate().map(|(at, day)| Bar {
            x: format!("{:.1}", (at as f64 + GAP / 2.0) * step),
            width: format!("{:.1}", step * (1.0 - GAP)),
            lower: part(0, day.lower),
            upper: part(day.lower, day.upper),
            label: format!("{}: {}", day.name, day.label),
        });
        Self { title, summary, bars: bars.collect(), first, last, highest }
    }
}
