//! Shows the progress of a long command on standard error. On a terminal it rewrites one line in place, and
//! otherwise it writes a line now and then.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::config::stderr_is_terminal;

/// The minimum time between two updates on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(100);
/// The minimum time between two lines in a log.
const OTHERWISE: Duration = Duration::from_secs(10);

/// A progress display.
pub(crate) struct Progress {
    writer: Box<dyn Write>,
    on_terminal: bool,
    of: usize,
    shown_at: Instant,
    is_shown: bool,
}

impl Progress {
    /// Creates a display for `of` rows on standard error. Shows nothing if `is_quiet`, as with JSON output.
    #[must_use]
    pub(crate) fn of(of: usize, is_quiet: bool) -> Self {
        let writer: Box<dyn Write> = if is_quiet { Box::new(io::sink()) } else { Box::new(io::stderr()) };
        Self::new(of, writer, stderr_is_terminal())
    }

    fn new(of: usize, writer: Box<dyn Write>, on_terminal: bool) -> Self {
        Self { writer, on_terminal, of, shown_at: Instant::now(), is_shown: false }
    }

    /// Reports how many rows are done.
    pub(crate) fn step(&mut self, done: usize) {
        let pause = if self.on_terminal { ON_TERMINAL } else { OTHERWISE };
        if self.shown_at.elapsed() >= pause {
            self.show(done);
        }
    }

    fn show(&mut self, done: usize) {
        // The total may change meanwhile, so it must not fall below the rows that are done.
        let of = self.of.max(done).max(1);
        let line = format!("{done} of {of} rows ({} %)", done * 100 / of);
        // A closed standard error could not be reported anywhere.
        let _ = if self.on_terminal {
            write!(self.writer, "\r\u{1b}[K{line}").and_then(|()| self.writer.flush())
        } else {
            writeln!(self.writer, "doorward: {line}")
        };
        (self.shown_at, self.is_shown) = (Instant::now(), true);
    }
}

impl Drop for Progress {
    /// Clears the line on a terminal, so that further output starts on an empty one.
    fn drop(&mut self) {
        if self.on_terminal && self.is_shown {
            let _ = write!(self.writer, "\r\u{1b}[K").and_then(|()| self.writer.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::Page;
    use super::*;

    fn shown(on_terminal: bool, steps: &[usize]) -> String {
        let page = Page::default();
        let mut progress = Progress::new(20_000, Box::new(page.clone()), on_terminal);
        for done in steps {
            progress.show(*done);
            // Another step follows too soon to be shown.
            progress.step(*done + 1);
        }
        drop(progress);
        page.text()
    }

    #[test]
    fn terminal_line_is_rewritten_and_cleared_at_the_end() {
        let text = shown(true, &[5_000, 20_000]);
        assert_eq!(
            text,
            "\r\u{1b}[K5000 of 20000 rows (25 %)\r\u{1b}[K20000 of 20000 rows (100 %)\r\u{1b}[K"
        );
        assert_eq!(shown(true, &[]), "");
    }

    #[test]
    fn piped_progress_prints_lines_and_never_exceeds_the_total() {
        let text = shown(false, &[5_000, 30_000]);
        assert_eq!(text, "doorward: 5000 of 20000 rows (25 %)\ndoorward: 30000 of 30000 rows (100 %)\n");
    }
}
