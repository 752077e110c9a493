//! The output of commands: lines and aligned columns for people, JSON for programs.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::terminal::printable;

/// The choice between text and JSON.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Format {
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Standard output, or another writer in tests.
pub(crate) struct Output {
    json: bool,
    writer: Box<dyn Write>,
}

impl Output {
    #[must_use]
    pub(crate) fn stdout(format: Format) -> Self {
        Self::new(format, Box::new(io::stdout()))
    }

    /// Creates an output with this writer.
    #[must_use]
    pub(crate) fn new(format: Format, writer: Box<dyn Write>) -> Self {
        Self { json: format.json, writer }
    }

    /// Returns whether JSON was requested.
    #[must_use]
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints one line. Control characters in it are escaped.
    ///
    /// # Errors
    /// Standard output cannot be written, or its reader is gone.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.verbatim(&format!("{}\n", printable(text)))
    }

    /// Prints a whole document unchanged. It must not contain untrusted text that is not escaped.
    ///
    /// # Errors
    /// Standard output cannot be written, or its reader is gone.
    pub(crate) fn verbatim(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush());
        written.map_err(|error| Failure::printing(&error))
    }

    /// Prints a value as indented JSON.
    ///
    /// # Errors
    /// The value cannot be serialized, standard output cannot be written, or its reader is gone.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value);
        let text = text.map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
        self.verbatim(&(text + "\n"))
    }

    /// Prints a command's result, which is the value as JSON or the line as text.
    pub(crate) fn result(&mut self, value: &impl Serialize, line: &str) -> Result<(), Failure> {
        if self.json { self.json(value) } else { self.line(line) }
    }

    /// Prints a list, which is an array as JSON or a table as text.
    pub(crate) fn list<T: Serialize, const N: usize>(
        &mut self,
        items: &[T],
        headings: [&str; N],
        cells: impl Fn(&T) -> [String; N],
    ) -> Result<(), Failure> {
        if self.json {
            return self.json(&items);
        }
        self.table(headings, items.iter().map(cells))
    }

    /// Prints rows in aligned columns under their headings.
    pub(crate) fn table<const N: usize>(
        &mut self,
        headings: [&str; N],
        rows: impl Iterator<Item = [String; N]>,
    ) -> Result<(), Failure> {
        let rows = rows.map(|row| row.map(|cell| printable(&cell)));
        let rows: Vec<[String; N]> = [headings.map(str::to_uppercase)].into_iter().chain(rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        self.verbatim(&text)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(crate) fn printed(json: bool, print: impl FnOnce(&mut Output) -> Result<(), Failure>) -> String {
        let page = Page::default();
        print(&mut Output::new(Format { json }, Box::new(page.clone()))).unwrap();
        page.text()
    }

    #[test]
    fn columns_are_aligned_under_their_headings() {
        let items = [("alice", "admin"), ("jürgen-otto", "viewer")];
        let cells = |item: &(&str, &str)| [item.0.to_owned(), item.1.to_owned()];
        let text = printed(false, |output| output.list(&items, ["name", "role"], cells));
        assert_eq!(text, "NAME         ROLE\nalice        admin\njürgen-otto  viewer\n");
    }

    #[test]
    fn json_listing_is_an_array() {
        let text = printed(true, |output| output.list(&["a\u{1b}"], ["name"], |_| [String::new()]));
        assert_eq!(text, "[\n  \"a\\u001b\"\n]\n");
        assert_eq!(printed(true, |output| output.result(&5, "five")), "5\n");
        assert_eq!(printed(false, |output| output.result(&5, "five")), "five\n");
    }

    #[test]
    fn control_characters_are_escaped_for_the_terminal() {
        let evil = "a\u{1b}[2J\r\nroot\u{202e}\u{9b}\u{2028}é";
        assert_eq!(printable(evil), "a\\u{1b}[2J\\r\\nroot\\u{202e}\\u{9b}\\u{2028}é");
        let text = printed(false, |output| output.table(["name"], [[evil.to_owned()]].into_iter()));
        assert_eq!(text.lines().count(), 2);
        assert!(!printed(false, |output| output.line(evil)).contains('\u{1b}'));
    }

    #[test]
    fn closed_reader_is_a_separate_failure() {
        let mut output = Output::new(Format::default(), Box::new(ClosedPipe));
        assert_eq!(output.line("x"), Err(Failure::ReaderGone));
    }
}
