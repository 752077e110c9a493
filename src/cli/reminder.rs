//! Limits how often the same message is logged. The pauses between repetitions grow.

use std::time::{Duration, Instant};

/// The pause after the first message, and after one with a different reason.
const FIRST: Duration = Duration::from_secs(10);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(600);

/// Decides whether a reason is logged again.
#[derive(Debug, Default)]
pub(crate) struct Reminder {
    said: Option<(String, Instant)>,
    pause: Duration,
}

impl Reminder {
    /// Returns whether to log the reason now. The first is logged at once, and each further one after its
    /// pause.
    pub(crate) fn is_due(&mut self, reason: &str, now: Instant) -> bool {
        let is_other = match &self.said {
            None => true,
            Some((before, at)) => {
                let is_other = before != reason;
                let pause = if is_other { FIRST } else { self.pause };
                if now.saturating_duration_since(*at) < pause {
                    return false;
                }
                is_other
            }
        };
        self.pause = if is_other { FIRST } else { (self.pause * 2).min(LONGEST) };
        self.said = Some((reason.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_reason_is_logged_less_and_less_often() {
        let (mut reminder, start) = (Reminder::default(), Instant::now());
        let due = |second: &u64| reminder.is_due("refused", start + Duration::from_secs(*second));
        let said: Vec<u64> = (0..3_600).filter(due).collect();
        assert_eq!(said, [0, 10, 30, 70, 150, 310, 630, 1_230, 1_830, 2_430, 3_030]);
    }

    #[test]
    fn different_reason_is_logged_soon() {
        let (mut reminder, start) = (Reminder::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        assert!(reminder.is_due("refused", at(0)) && reminder.is_due("refused", at(10)));
        assert!(!reminder.is_due("starting up", at(15)), "two that alternate do not fill the log");
        assert!(reminder.is_due("starting up", at(20)) && reminder.is_due("starting up", at(30)));
    }
}
