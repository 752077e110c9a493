//! Measures rounds a second and the duration of a round.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The state with which a task runs rounds until the time is over, and records each.
#[derive(Clone)]
pub struct Rounds {
    until: Instant,
    noted: Rc<RefCell<Vec<Duration>>>,
}

impl Rounds {
    pub fn until(until: Instant) -> Self {
        Self { until, noted: Rc::default() }
    }

    pub fn go_on(&self) -> bool {
        Instant::now() < self.until
    }

    pub fn note(&self, started: Instant) {
        self.noted.borrow_mut().push(started.elapsed());
    }
}

/// The number of rounds in a second, with the median and the 99th percentile of their durations.
pub struct Figures {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

impl Figures {
    pub fn of(rounds: &Rounds, time: Duration) -> Self {
        let mut sorted = rounds.noted.borrow().clone();
        sorted.sort_unstable();
        let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or_default();
        Self { rate: sorted.len() as f64 / time.as_secs_f64(), p50: at(0.5), p99: at(0.99) }
    }

    pub fn of_rate(rate: f64) -> Self {
        Self { rate, p50: Duration::ZERO, p99: Duration::ZERO }
    }
}

impl fmt::Display for Figures {
    /// Writes the rate, and then both durations in milliseconds.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        write!(formatter, "{:.2} {:.3} {:.3}", self.rate, milliseconds(self.p50), milliseconds(self.p99))
    }
}

pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Runs all tasks at once until the time is over.
pub async fn measure(time: Duration, tasks: impl FnOnce(&Rounds) -> Vec<Task>) -> Figures {
    let started = Instant::now();
    let rounds = Rounds::until(started + time);
    let running: Vec<_> = tasks(&rounds).into_iter().map(actix_web::rt::spawn).collect();
    for task in running {
        task.await.expect("a task");
    }
    Figures::of(&rounds, started.elapsed())
}
