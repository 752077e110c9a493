//! Bounds the bytes of large responses that one caller has requested and not read yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::blocking::fair_queue::Party;

/// The bytes of unread responses that one caller may have. A caller is a user, or everyone at one network who
/// is not signed in.
pub(crate) const CALLER_MAX: usize = 8 * 1024 * 1024;
/// The bytes of unread responses that the users at one network may have together.
const USERS_MAX: usize = 4 * CALLER_MAX;

/// The unread bytes of each caller, and of the users at each network. Clones share them.
#[derive(Clone, Default)]
pub struct UnreadAnswers(Arc<Mutex<HashMap<Party, usize>>>);

impl UnreadAnswers {
    /// Counts a response to this caller until the returned value is dropped. If the caller is a user, it also
    /// counts for the users at that network. Returns `None` if the response exceeds either bound. A single
    /// response is always admitted, whatever its size.
    #[must_use]
    pub fn reserve(&self, caller: Party, users: Option<Party>, bytes: usize) -> Option<ReservedAnswer> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = |party, limit| {
            counts.get(&party).is_none_or(|reserved: &usize| reserved.saturating_add(bytes) <= limit)
        };
        if !has_room(caller, CALLER_MAX) || users.is_some_and(|users| !has_room(users, USERS_MAX)) {
            return None;
        }
        let parties = [Some(caller), users];
        for party in parties.into_iter().flatten() {
            let count = counts.entry(party).or_default();
            *count = count.saturating_add(bytes);
        }
        Some(ReservedAnswer { answers: self.clone(), parties, bytes })
    }
}

/// A response that has not been read yet. Dropping it takes its bytes off the counts.
pub struct ReservedAnswer {
    answers: UnreadAnswers,
    parties: [Option<Party>; 2],
    bytes: usize,
}

impl Drop for ReservedAnswer {
    fn drop(&mut self) {
        let mut counts = self.answers.0.lock().unwrap_or_else(PoisonError::into_inner);
        for party in self.parties.into_iter().flatten() {
            if let Some(count) = counts.get_mut(&party) {
                *count = count.saturating_sub(self.bytes);
                if *count == 0 {
                    counts.remove(&party);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Party = Party::of_hash(1);
    const BOB: Party = Party::of_hash(2);
    const OFFICE: Party = Party::of_hash(3);
    const HOME: Party = Party::of_hash(4);

    #[test]
    fn user_has_room_again_when_a_response_is_read() {
        let answers = UnreadAnswers::default();
        let half = answers.reserve(ALICE, Some(OFFICE), CALLER_MAX / 2);
        let other_half = answers.reserve(ALICE, Some(HOME), CALLER_MAX / 2);
        assert!(half.is_some() && other_half.is_some());
        assert!(answers.reserve(ALICE, Some(OFFICE), 1).is_none());
        assert!(answers.reserve(BOB, Some(OFFICE), 1).is_some(), "another user has a share of their own");
        drop(half);
        assert!(answers.reserve(ALICE, Some(OFFICE), CALLER_MAX / 2 + 1).is_none());
        assert!(answers.reserve(ALICE, Some(OFFICE), CALLER_MAX / 2).is_some());
        drop(other_half);
        assert!(answers.0.lock().unwrap().is_empty(), "who holds nothing is forgotten");
    }

    #[test]
    fn single_response_is_admitted_at_any_size() {
        let answers = UnreadAnswers::default();
        let export = answers.reserve(ALICE, Some(OFFICE), USERS_MAX + 1);
        assert!(export.is_some());
        assert!(answers.reserve(ALICE, Some(HOME), 1).is_none());
        assert!(answers.reserve(BOB, Some(OFFICE), 1).is_none(), "the users of a network share a limit");
        assert!(answers.reserve(BOB, Some(HOME), 1).is_some());
    }
}
