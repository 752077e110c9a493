//! Tests of the tickets. They have a file of their own because `tests/models/` compiles `tickets.rs` too.

use std::time::{Duration, Instant};

use super::tickets::{NAMED_BEFORE_PRUNING, NAMED_FOR, Named, Ticket, Tickets};
use crate::blocking::sync::RwLock;

fn is_filled(tickets: &Tickets, ticket: Ticket) -> bool {
    let mut is_filled = false;
    tickets.fill(ticket, [Some(crate::random::id()), None], || is_filled = true);
    is_filled
}

/// Returns `ids` names. Two were named long ago, at the counts 5 and 7, and the others just now, at 9.
fn named(ids: usize) -> Tickets {
    let long_ago = Instant::now().checked_sub(NAMED_FOR + Duration::from_secs(1)).expect("a time");
    let mut named = Named { count: 9, floor: 3, ..Named::default() };
    for count in [5, 7] {
        named.at.insert(crate::random::id(), (count, long_ago));
    }
    while named.at.len() < ids {
        named.name(crate::random::id());
    }
    Tickets { named: RwLock::new(named) }
}

#[test]
fn eviction_voids_only_earlier_tickets_for_the_evicted_id() {
    let (tickets, id, other) = (Tickets::default(), crate::random::id(), crate::random::id());
    let before = tickets.draw();
    tickets.evict(|named| named.name(id));
    let is_filled = |ticket, ids| {
        let mut is_filled = false;
        tickets.fill(ticket, ids, || is_filled = true);
        is_filled
    };
    assert!(!is_filled(before, [Some(id), None]) && !is_filled(before, [Some(other), Some(id)]));
    assert!(is_filled(before, [Some(other), None]) && is_filled(before, [None, None]));
    assert!(is_filled(tickets.draw(), [Some(id), None]));
    tickets.evict(Named::name_everything);
    assert!(!is_filled(before, [Some(other), None]));
}

#[test]
fn pruned_names_void_every_earlier_ticket() {
    for (ids, left, floor) in [
        (NAMED_BEFORE_PRUNING - 1, NAMED_BEFORE_PRUNING - 1, 3),
        (NAMED_BEFORE_PRUNING, NAMED_BEFORE_PRUNING - 2, 7),
        (NAMED_BEFORE_PRUNING + 1, NAMED_BEFORE_PRUNING - 1, 7),
    ] {
        let tickets = named(ids);
        tickets.evict(|_| {});
        {
            let named = tickets.named.read().expect("no panic");
            assert_eq!((named.at.len(), named.floor), (left, floor), "{ids}");
        }
        for (count, expected) in [(floor - 1, false), (floor, true)] {
            assert_eq!(is_filled(&tickets, Ticket(count)), expected, "{ids}: {count}");
        }
    }
}
