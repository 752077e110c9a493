//! Counts a large answer against the caller of this request until it is read.

use crate::blocking::caller;
use crate::guard::refusals::RETRY_AFTER;
use crate::limits::unread_answers::Held;
use crate::refusal::{Code, Problem};
use crate::state::State;

/// Counts an answer of this size until the returned value is dropped.
///
/// # Errors
/// `overloaded` if the caller has not read enough of their earlier answers.
pub fn hold_answer(state: &State, bytes: usize) -> Result<Held, Problem> {
    let (caller, users) = caller::current().with_users_of_network();
    state.limits.unread_answers.hold(caller, users, bytes).ok_or_else(|| {
        let detail = "Too many large answers to you, or to others at your network, are not read yet. Read them, or ask \
                      for fewer at once; then try again.";
        Problem::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
    })
}
