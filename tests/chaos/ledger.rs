//! Records every response to every client during the faults, and checks afterwards that the acknowledged
//! results exist.

use std::collections::BTreeMap;
use std::io::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorward_test::client::name_of;
use doorward_test::wire::Answer;
use serde_json::Value;

/// A fault must be reported within this time.
pub const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// Requests that are served in spite of a fault may take this long, since they may also wait for a password
/// hash.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
/// Every other node must refuse what one node has ended within this time.
pub const ENDED_WITHIN: Duration = Duration::from_secs(1);
/// The maximum number of reports for each kind of broken promise.
const TOLD: usize = 12;

/// The meaning of a response.
pub enum Outcome {
    Acknowledged(Answer),
    Refused(u16, Value),
    /// Nothing was started.
    Shed,
    /// The change may have happened, or may still happen.
    Unknown,
}

/// The outcome of writing a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Acknowledged,
    Refused,
    Unknown,
}

/// A note that was sent. No two have the same title.
#[derive(Clone, Debug)]
pub struct Written {
    pub title: String,
    pub body: String,
    pub fate: Fate,
}

/// A session or token whose end was acknowledged.
#[derive(Clone, Debug)]
pub struct EndedCredential {
    pub what: &'static str,
    /// The credential that was accepted before: an access token or a personal token.
    pub token: String,
    /// The session's refresh token, if it has one.
    pub refresh: Option<String>,
}

/// A session that no one ended, with its live refresh token.
#[derive(Clone, Debug)]
pub struct LiveSession {
    pub whose: String,
    pub refresh: String,
}

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Something acknowledged is missing.
    Lost,
    /// Something refused happened.
    Happened,
    /// A session has more than one live successor.
    TwoSuccessors,
    /// Something revoked was accepted.
    Accepted,
    /// Someone was signed out without a reason.
    SignedOut,
    /// A response had another status than promised, or came too late.
    Wrong,
}

#[derive(Default)]
pub struct Books {
    pub acknowledged: u64,
    pub refused: u64,
    pub unknown: u64,
    pub answers: BTreeMap<String, u64>,
    pub notes: Vec<Written>,
    pub revoked: Vec<EndedCredential>,
    pub kept: Vec<LiveSession>,
    pub broken: BTreeMap<Promise, (u64, Vec<String>)>,
    pub slowest: Duration,
    /// The start times of failed requests.
    failures: Vec<Instant>,
    /// The start and end times of the requests that were answered since the last failure, for each client
    /// that has not left.
    successes: Vec<Option<Vec<(Instant, Instant)>>>,
}

/// The ledger. Clones share it.
#[derive(Clone, Default)]
pub struct Ledger {
    books: Arc<Mutex<Books>>,
    stop: Arc<AtomicBool>,
    hang_ups: Arc<AtomicBool>,
}

/// The client cannot continue. The reason is in the ledger.
#[derive(Debug)]
pub struct Broken;

impl Ledger {
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Allows connections to be closed from now on, because doorward's own processes are killed.
    pub fn allow_hang_ups(&self) {
        self.hang_ups.store(true, Ordering::Relaxed);
    }

    pub fn hang_ups_allowed(&self) -> bool {
        self.hang_ups.load(Ordering::Relaxed)
    }

    /// Returns a number for a new client, which identifies it in the ledger.
    pub fn admit(&self) -> usize {
        let mut books = self.books();
        books.successes.push(Some(Vec::new()));
        books.successes.len() - 1
    }

    /// Records that a client has finished, so that no one waits for it.
    pub fn leave(&self, client: usize) {
        self.books().successes[client] = None;
    }

    pub fn broke(&self, promise: Promise, how: String) -> Broken {
        let mut books = self.books();
        let (count, told) = books.broken.entry(promise).or_default();
        *count += 1;
        if told.len() < TOLD {
            told.push(how);
        }
        Broken
    }

    /// Enters a response and returns its meaning. The flag next to the client says whether it counts in the
    /// report.
    pub fn enter(
        &self,
        (client, counts): (usize, bool),
        asked: &str,
        began: Instant,
        answer: Result<Answer, Error>,
    ) -> Outcome {
        let (name, took) = (name_of(&answer), began.elapsed());
        let is_hang_up = name == "hung up" && self.hang_ups_allowed();
        let is_told = ["503 database_unavailable", "503 overloaded"].contains(&name.as_str());
        let is_known = answer.as_ref().is_ok_and(|answer| answer.status < 500);
        if !(is_hang_up || is_told || is_known) {
            self.broke(Promise::Wrong, format!("{asked}: {name} after {took:?}"));
        } else if took > if is_told { TOLD_WITHIN } else { SERVED_WITHIN } {
            self.broke(Promise::Wrong, format!("{asked}: {name} only after {took:?}"));
        }
        let mut books = self.books();
        books.slowest = books.slowest.max(took);
        let outcome = match answer {
            Ok(answer) if answer.status < 300 => Outcome::Acknowledged(answer),
            Ok(answer) if answer.status < 500 => Outcome::Refused(answer.status, answer.json()),
            _ if name == "503 overloaded" => Outcome::Shed,
            _ => Outcome::Unknown,
        };
        *books.answers.entry(name).or_default() += 1;
        match outcome {
            _ if !counts => {}
            Outcome::Acknowledged(_) => books.acknowledged += 1,
            Outcome::Refused(..) | Outcome::Shed => books.refused += 1,
            Outcome::Unknown => books.unknown += 1,
        }
        let has_failed = matches!(outcome, Outcome::Unknown | Outcome::Shed);
        if has_failed {
            books.failures.push(began);
        }
        let Some(successes) = &mut books.successes[client] else { return outcome };
        if has_failed {
            successes.clear();
        } else {
            successes.push((began, began + took));
            // More are not needed to judge how the client is served.
            if successes.len() > 64 {
                successes.drain(..32);
            }
        }
        outcome
    }

    /// Returns whether every client has had this many responses in a row to requests that started after
    /// `moment`.
    pub fn is_calm_since(&self, moment: Instant, answers: usize) -> bool {
        let books = self.books();
        let is_calm = |successes: &Vec<(Instant, Instant)>| {
            successes.iter().rev().take(answers).filter(|(began, _)| *began >= moment).count() == answers
        };
        books.successes.iter().flatten().all(is_calm)
    }

    /// Returns the time from `moment` to the start of the last failed request.
    pub fn last_failure_after(&self, moment: Instant) -> Duration {
        let books = self.books();
        let late = books.failures.iter().map(|began| began.saturating_duration_since(moment));
        late.max().unwrap_or_default()
    }

    /// Returns the time from `moment` until every client had a response again, with no failure after it.
    pub fn served_again_after(&self, moment: Instant) -> Duration {
        let books = self.books();
        let first = |successes: &Vec<(Instant, Instant)>| {
            successes.iter().map(|(_, ended)| *ended).filter(|ended| *ended >= moment).min()
        };
        let firsts = books.successes.iter().flatten().filter_map(first);
        firsts.map(|ended| ended - moment).max().unwrap_or_default()
    }

    pub fn note(&self, title: &str, body: &str, fate: Fate) {
        self.books().notes.push(Written { title: title.to_owned(), body: body.to_owned(), fate });
    }

    pub fn revoked(&self, what: &'static str, token: &str, refresh: Option<&str>) {
        let refresh = refresh.map(str::to_owned);
        self.books().revoked.push(EndedCredential { what, token: token.to_owned(), refresh });
    }

    pub fn keeps(&self, whose: &str, refresh: &str) {
        self.books().kept.push(LiveSession { whose: whose.to_owned(), refresh: refresh.to_owned() });
    }
}

impl Books {
    pub fn times(&self, promise: Promise) -> u64 {
        self.broken.get(&promise).map_or(0, |(count, _)| *count)
    }

    /// Compares the recorded notes with the existing ones.
    pub fn missing_and_uninvited(&self, there: &[(String, String)]) -> Vec<(Promise, String)> {
        let mut by_title: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (title, body) in there {
            by_title.entry(title).or_default().push(body);
        }
        let mut broken = Vec::new();
        for Written { title, body, fate } in &self.notes {
            let found = by_title.remove(title.as_str()).unwrap_or_default();
            let is_whole = found.len() <= 1 && found.iter().all(|found| found == body);
            match (fate, found.len()) {
                (Fate::Acknowledged, 0) => broken.push((Promise::Lost, format!("the note {title}"))),
                (Fate::Refused, 1..) => broken.push((Promise::Happened, format!("the note {title}"))),
                _ if !is_whole => {
                    broken.push((Promise::Lost, format!("what the note {title} said: {found:?}")))
                }
                _ => {}
            }
        }
        let uninvited = by_title.keys().map(|title| (Promise::Happened, format!("a note {title}")));
        broken.extend(uninvited);
        broken
    }
}
