//! Decides whether an answer of the database may be cached. The feed evicts what has changed, but a query
//! that started before may still return the old row. Therefore each query draws a ticket first. The ticket is
//! void if the feed has named the query's session, token or user since.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::blocking::sync::{RwLock, planted};

/// Longer than a query may take. Every query that still runs started after names that are older than this.
pub(crate) const NAMED_FOR: Duration = Duration::from_secs(10);
/// The number of names from which old ones are removed.
pub(super) const NAMED_BEFORE_PRUNING: usize = 4_096;

/// The time at which a query started whose answer is to be cached, as a count of evictions.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(pub(super) u64);

/// The IDs that the feed has named recently.
#[derive(Default)]
pub(crate) struct Tickets {
    pub(super) named: RwLock<Named>,
}

/// The named IDs, locked while the feed evicts.
#[derive(Default)]
pub(crate) struct Named {
    /// The number of evictions.
    pub(super) count: u64,
    /// Tickets below this count are void, because names from after they were drawn may have been removed.
    pub(super) floor: u64,
    pub(super) at: HashMap<Uuid, (u64, Instant)>,
}

impl Tickets {
    /// Draws a ticket, before a query.
    #[must_use]
    pub(crate) fn draw(&self) -> Ticket {
        Ticket(self.named.read().unwrap_or_else(PoisonError::into_inner).count)
    }

    /// Inserts the answer to a query about these IDs, unless the feed has named one of them since the ticket
    /// was drawn. The insertion happens under the lock, so that nothing is named between the check and the
    /// insertion.
    pub(crate) fn fill(&self, ticket: Ticket, ids: [Option<Uuid>; 2], insert: impl FnOnce()) {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let was_named = |id: &Uuid| named.at.get(id).is_some_and(|(count, _)| *count > ticket.0);
        let is_void = ticket.0 < named.floor || ids.iter().flatten().any(was_named);
        planted!(FillsUnlocked => { drop(named); });
        if !is_void {
            insert();
        }
    }

    /// Evicts what the feed names. `evict` must name each ID and remove it from the cache.
    pub(crate) fn evict(&self, evict: impl FnOnce(&mut Named)) {
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        named.count += 1;
        evict(&mut named);
        named.prune();
    }
}

impl Named {
    /// Voids the tickets of all queries about this ID that started earlier.
    pub(crate) fn name(&mut self, id: Uuid) {
        self.at.insert(id, (self.count, Instant::now()));
    }

    /// Voids all tickets that were drawn earlier.
    pub(crate) fn name_everything(&mut self) {
        self.floor = self.count;
    }

    fn prune(&mut self) {
        if self.at.len() < NAMED_BEFORE_PRUNING {
            return;
        }
        let mut floor = self.floor;
        self.at.retain(|_, (count, at)| {
            let stays = at.elapsed() < NAMED_FOR;
            if !stays {
                floor = floor.max(*count);
            }
            stays
        });
        self.floor = floor;
    }
}
