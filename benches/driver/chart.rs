//! Draws the figures as lines over a logarithmic axis. The table beside the picture has every value.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;

pub struct Line {
    pub name: &'static str,
    pub colour: &'static str,
    pub is_dashed: bool,
    pub values: Vec<f64>,
}

/// Draws a chart. The columns have equal distances, because each size is ten times the one before, except the
/// first, which is nearly zero.
pub fn draw(title: &str, x_name: &str, y_name: &str, columns: &[String], lines: &[Line]) -> String {
    let highest = lines.iter().flat_map(|line| &line.values).fold(0.0_f64, |most, value| most.max(*value));
    let step = step_for(highest);
    let top = (highest / step).ceil().max(1.0) * step;
    let x = |at: usize| LEFT + (WIDTH - LEFT - RIGHT) * (at as f64 + 0.5) / columns.len() as f64;
    let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"#222\">\n<title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n"
    );
    let mut grid = 0.0;
    while grid <= top + step / 2.0 {
        let (at, right) = (y(grid), WIDTH - RIGHT);
        let _ = writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            trimmed(grid)
        );
        grid += step;
    }
    for (at, column) in columns.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{column}</text>",
            x(at),
            HEIGHT - BOTTOM + 20.0
        );
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    let _ =
        writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{x_name}</text>", HEIGHT - 12.0);
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{}\" transform=\"rotate(-90 16 {})\" text-anchor=\"middle\">{y_name}</text>",
        HEIGHT / 2.0,
        HEIGHT / 2.0
    );
    for (at, line) in lines.iter().enumerate() {
        let points: Vec<String> = line
            .values
            .iter()
            .enumerate()
            .map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value)))
            .collect();
        let dash = if line.is_dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        let (colour, key) = (line.colour, TOP + 12.0 + 24.0 * at as f64);
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            points.join(" ")
        );
        for point in points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let from = WIDTH - RIGHT + 20.0;
        let _ = writeln!(svg, "<path d=\"M{from} {key}h28\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", from + 36.0, key + 4.0, line.name);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Returns the step of 1, 2 or 5 times a power of ten that gives about five lines.
fn step_for(highest: f64) -> f64 {
    let rough = (highest / 5.0).max(1e-3);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough).unwrap_or(rough)
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
