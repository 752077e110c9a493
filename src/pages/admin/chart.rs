//! Draws bar charts on the server.

/// The size of the drawing, in its own units.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 120.0;
const GAP: f64 = 0.25;

/// A bar chart with one bar a day.
pub(crate) struct Chart {
    /// The title.
    pub title: &'static str,
    /// The content in words, for people who cannot see the chart.
    pub summary: String,
    pub bars: Vec<Bar>,
    /// The names of the first and the last day.
    pub first: String,
    pub last: String,
    /// The highest value.
    pub highest: i64,
}

/// A bar of two parts, with the second on top of the first.
pub(crate) struct Bar {
    /// The position and the width.
    pub x: String,
    pub width: String,
    pub lower: Part,
    pub upper: Part,
    /// The text shown on hovering.
    pub label: String,
}

/// A part of a bar.
pub(crate) struct Part {
    /// The distance from the top.
    pub y: String,
    pub height: String,
}

/// The values of one day.
pub(crate) struct Day {
    /// The name, such as `3 Mar`.
    pub name: String,
    /// The value of the lower part.
    pub lower: i64,
    /// The value of the upper part.
    pub upper: i64,
    /// The values in words, such as `12 sign-ins, 1 refused`.
    pub label: String,
}

impl Chart {
    /// Draws the chart.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // pixels
    pub(crate) fn new(title: &'static str, summary: String, days: Vec<Day>) -> Self {
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
