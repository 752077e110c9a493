//! Counts a large response against the caller of this request until it is read.

use crate::blocking::caller;
use crate::guard::refusals::RETRY_AFTER;
use crate::limits::unread_answers::ReservedAnswer;
use crate::refusal::{Code, Refusal};
use crate::state::State;

/// Counts a response of this size until the returned value is dropped.
///
/// # Errors
/// `overloaded` if the caller has not read enough of their earlier responses.
pub(crate) fn reserve_answer(state: &State, bytes: usize) -> Result<ReservedAnswer, Refusal> {
    let (caller, users) = caller::current().with_users_of_network();
    state.limits.unread_answers.reserve(caller, users, bytes).ok_or_else(|| {
        let detail = "You, or others on your network, requested too many large responses that are not read \
                      yet. Read them, or request fewer at once. Then try again.";
        Refusal::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
    })
}
