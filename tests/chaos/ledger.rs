//! What every client was answered, and what that binds us to: kept while faults fall, looked up when they are over.

use std::collections::BTreeMap;
use std::io::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::driver::name_of;
use crate::wire::Answer;

/// Within this a fault is told.
pub const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// What is served after all is not told of a fault; it may have waited for a password's hash besides.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
/// Within this what one node ended is refused on every other.
pub const ENDED_WITHIN: Duration = Duration::from_secs(1);
/// Each kind of broken promise is told this often at most.
const TOLD: usize = 12;

/// What an answer says of what was asked for.
pub enum Outcome {
    Acknowledged(Answer),
    Refused(u16, Value),
    /// Nothing was begun.
    Shed,
    /// It may have happened, or happen yet.
    Unknown,
}

/// What became of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Acknowledged,
    Refused,
    Unknown,
}

/// A note that was to be written; no two have the same title.
#[derive(Clone, Debug)]
pub struct Written {
    pub title: String,
    pub body: String,
    pub fate: Fate,
}

/// A session or token whose end was acknowledged.
#[derive(Clone, Debug)]
pub struct Revoked {
    pub what: &'static str,
    /// What was let in before: an access token or a personal one.
    pub token: String,
    /// Its session's refresh token, where it has one.
    pub refresh: Option<String>,
}

/// A session that nobody ended, and its live refresh token.
#[derive(Clone, Debug)]
pub struct Kept {
    pub whose: String,
    pub refresh: String,
}

/// A promise, and how it may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Nothing acknowledged is missing.
    Lost,
    /// Nothing refused happened.
    Happened,
    /// One live successor a session.
    TwoSuccessors,
    /// Nothing revoked is let in.
    LetIn,
    /// Nobody is signed out for nothing.
    SignedOut,
    /// No status but the promised ones, in time.
    Wrong,
}

#[derive(Default)]
pub struct Books {
    pub acknowledged: u64,
    pub refused: u64,
    pub unknown: u64,
    pub answers: BTreeMap<String, u64>,
    pub notes: Vec<Written>,
    pub revoked: Vec<Revoked>,
    pub kept: Vec<Kept>,
    pub broken: BTreeMap<Promise, (u64, Vec<String>)>,
    pub slowest: Duration,
    /// When the requests began that failed.
    failures: Vec<Instant>,
    /// Of each client that has not left, when the requests began and ended that were answered since its last failure.
    successes: Vec<Option<Vec<(Instant, Instant)>>>,
}

/// Clones share it.
#[derive(Clone, Default)]
pub struct Ledger {
    books: Arc<Mutex<Books>>,
    stop: Arc<AtomicBool>,
    hang_ups: Arc<AtomicBool>,
}

/// This client cannot go on; why stands in the ledger.
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

    /// From now on connections may be closed: our own processes are killed.
    pub fn allow_hang_ups(&self) {
        self.hang_ups.store(true, Ordering::Relaxed);
    }

    pub fn hang_ups_allowed(&self) -> bool {
        self.hang_ups.load(Ordering::Relaxed)
    }

    /// A number for a client, by which its progress is known.
    pub fn admit(&self) -> usize {
        let mut books = self.books();
        books.successes.push(Some(Vec::new()));
        books.successes.len() - 1
    }

    /// A client that has done its part is waited for no more.
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

    /// Enters an answer, and says what it means; whether it counts stands beside its client.
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
            // Enough to tell how it fares.
            if successes.len() > 64 {
                successes.drain(..32);
            }
        }
        outcome
    }

    /// Whether every client has had this many answers in a row to requests that began after this moment.
    pub fn is_calm_since(&self, moment: Instant, answers: usize) -> bool {
        let books = self.books();
        let is_calm = |successes: &Vec<(Instant, Instant)>| {
            successes.iter().rev().take(answers).filter(|(began, _)| *began >= moment).count() == answers
        };
        books.successes.iter().flatten().all(is_calm)
    }

    /// How long after this moment the last request began that failed.
    pub fn last_failure_after(&self, moment: Instant) -> Duration {
        let books = self.books();
        let late = books.failures.iter().map(|began| began.saturating_duration_since(moment));
        late.max().unwrap_or_default()
    }

    /// How long after this moment everybody had an answer again, and no failure after it.
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
        self.books().revoked.push(Revoked { what, token: token.to_owned(), refresh });
    }

    pub fn keeps(&self, whose: &str, refresh: &str) {
        self.books().kept.push(Kept { whose: whose.to_owned(), refresh: refresh.to_owned() });
    }
}

impl Books {
    pub fn times(&self, promise: Promise) -> u64 {
        self.broken.get(&promise).map_or(0, |(count, _)| *count)
    }

    /// Looks the notes up among those that are there.
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
