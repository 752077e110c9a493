//! Decides whether an answer of the database may be cached. The feed evicts what has changed, and a query that began
//! before that may still return with the old row. So each query draws a ticket first, which is void if the feed has named
//! its session, token or user since.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::blocking::sync::{RwLock, planted};

/// Longer than a query may take: what was named earlier is in the answer of any query that still runs.
pub const NAMED_FOR: Duration = Duration::from_secs(10);
/// Names kept before the old ones are removed.
pub(super) const NAMED_BEFORE_PRUNING: usize = 4_096;

/// The beginning of a query whose answer is to be cached.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(pub(super) u64);

/// The ids that the feed has named recently.
#[derive(Default)]
pub struct Tickets {
    pub(super) named: RwLock<Named>,
}

/// The names, while the feed evicts.
#[derive(Default)]
pub struct Named {
    /// Counts the evictions.
    pub(super) count: u64,
    /// A query that began before this count may have missed anything.
    pub(super) floor: u64,
    pub(super) at: HashMap<Uuid, (u64, Instant)>,
}

impl Tickets {
    /// Draws a ticket before a query.
    #[must_use]
    pub fn draw(&self) -> Ticket {
        Ticket(self.named.read().unwrap_or_else(PoisonError::into_inner).count)
    }

    /// Inserts the answer to a query about these ids, unless the feed has named one of them since its ticket was drawn.
    /// The insertion is made under the lock, so that nothing is named between the check and it.
    pub fn fill(&self, ticket: Ticket, ids: [Option<Uuid>; 2], insert: impl FnOnce()) {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let was_named = |id: &Uuid| named.at.get(id).is_some_and(|(count, _)| *count > ticket.0);
        let is_void = ticket.0 < named.floor || ids.iter().flatten().any(was_named);
        planted!(FillsUnlocked => { drop(named); });
        if !is_void {
            insert();
        }
    }

    /// Evicts what the feed names: `evict` names each, and removes it from the cache.
    pub fn evict(&self, evict: impl FnOnce(&mut Named)) {
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        named.count += 1;
        evict(&mut named);
        named.prune();
    }
}

impl Named {
    /// Voids the tickets of all queries about this id that began earlier.
    pub fn name(&mut self, id: Uuid) {
        self.at.insert(id, (self.count, Instant::now()));
    }

    /// Voids all tickets that were drawn earlier.
    pub fn name_everything(&mut self) {
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
