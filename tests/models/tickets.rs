//! Models the cache's tickets. After the feed has evicted an entry, no fill brings the old row back.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::thread;
use uuid::Uuid;

use crate::cached::{Named, Tickets};
use crate::planted::Fault;
use crate::{check, finds};

const SESSION: Uuid = Uuid::from_u128(1);
const USER: Uuid = Uuid::from_u128(2);

/// A node with the row in the database, its copy in the cache, and the tickets between them.
#[derive(Default)]
struct Node {
    tickets: Tickets,
    is_revoked: Mutex<bool>,
    cached: Mutex<Option<bool>>,
}

impl Node {
    /// Looks up the session, as the guard does.
    fn look_up(&self) {
        let cached = *self.cached.lock().expect("no panic");
        if cached.is_none() {
            let ticket = self.tickets.draw();
            let found = *self.is_revoked.lock().expect("no panic");
            self.tickets.fill(ticket, [Some(SESSION), Some(USER)], || {
                *self.cached.lock().expect("no panic") = Some(found);
            });
        }
    }

    /// Evicts the entry, as the feed does after a revocation is committed.
    fn evict(&self, name: impl FnOnce(&mut Named)) {
        self.tickets.evict(|named| {
            name(named);
            *self.cached.lock().expect("no panic") = None;
        });
    }
}

fn stale_after(name: fn(&mut Named)) {
    let node = Arc::new(Node::default());
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let node = Arc::clone(&node);
            thread::spawn(move || {
                node.look_up();
                node.look_up();
            })
        })
        .collect();
    *node.is_revoked.lock().expect("no panic") = true;
    node.evict(name);
    for reader in readers {
        reader.join().expect("it reads");
    }
    assert_ne!(*node.cached.lock().expect("no panic"), Some(false), "the old row is in the cache");
}

fn session_is_named() {
    stale_after(|named| named.name(SESSION));
}

fn user_is_named() {
    stale_after(|named| named.name(USER));
}

fn everything_is_named() {
    stale_after(Named::name_everything);
}

#[test]
fn cache_fill_never_outlives_an_eviction() {
    check(session_is_named);
    check(user_is_named);
    check(everything_is_named);
}

#[test]
fn ticket_model_finds_a_fill_outside_the_lock() {
    finds(Fault::FillsUnlocked, session_is_named);
}
