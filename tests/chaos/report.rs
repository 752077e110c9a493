//! Writes the rows of the report by `make chaos`, each to a file in the folder that it names.

use std::path::PathBuf;
use std::time::Duration;

use crate::ledger::{Books, Promise};

pub struct Row {
    fault: &'static str,
    recoveries: Vec<Duration>,
    /// The ledger's columns. Each is a dash if there is no ledger.
    columns: [String; 7],
}

pub fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

impl Row {
    pub fn new(fault: &'static str) -> Self {
        Self { fault, recoveries: Vec::new(), columns: std::array::from_fn(|_| "–".to_owned()) }
    }

    pub fn recoveries(mut self, recoveries: &[Duration]) -> Self {
        self.recoveries = recoveries.to_vec();
        self.recoveries.sort_unstable();
        self
    }

    pub fn books(mut self, books: &Books) -> Self {
        self.columns = [
            format!("{} / {} / {}", books.acknowledged, books.refused, books.unknown),
            (books.times(Promise::Lost) + books.times(Promise::Happened)).to_string(),
            books.times(Promise::TwoSuccessors).to_string(),
            books.times(Promise::SignedOut).to_string(),
            books.times(Promise::Wrong).to_string(),
            format!("{} of {}", books.times(Promise::Accepted), books.revoked.len()),
            seconds(books.slowest),
        ];
        self
    }

    /// Writes the row if a report is requested.
    pub fn write(self) {
        let Some(folder) = std::env::var_os("DOORWARD_CHAOS_REPORT").map(PathBuf::from) else { return };
        let time = |time: Option<&Duration>| time.map_or("–".to_owned(), |time| seconds(*time));
        let rounds = self.recoveries.len();
        let median = time(self.recoveries.get(rounds / 2));
        let recovery = format!("{median} / {}", time(self.recoveries.last()));
        let row = format!("| {} | {rounds} | {} | {recovery} |\n", self.fault, self.columns.join(" | "));
        let name = self.fault.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        std::fs::write(folder.join(name), row).expect("a row");
    }
}
