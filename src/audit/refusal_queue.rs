//! Queues refusals in memory until they are written, in lanes with separate bounds. When a lane is full, a
//! new refusal replaces the latest one of the user, session or network with the most entries. It is dropped
//! instead if its own owner would then have more entries than that one.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::database::schema::refusals;

/// A refusal to keep.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = refusals)]
pub struct NewKeptRefusal {
    pub request_id: Uuid,
    /// See [`Lane::as_str`].
    pub lane: &'static str,
    /// The time by this node's clock.
    pub occurred_at: DateTime<Utc>,
    pub method: &'static str,
    /// The pattern that the path matched.
    pub route: String,
    pub path: String,
    pub status: i16,
    /// The client address. Only headers of trusted proxies are used to determine it.
    pub address: Option<String>,
    /// The address of the connection's peer.
    pub peer: Option<String>,
    /// The value of `X-Forwarded-For`, trusted or not, with that of `Forwarded` if there is one.
    pub forwarded_for: Option<String>,
    pub credential_kind: Option<&'static str>,
    /// The credential's public ID.
    pub credential_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    /// The user of the credential.
    pub user_id: Option<Uuid>,
    /// The refusal's code. `None` if the request was authorized.
    pub code: Option<&'static str>,
    /// The body of the refusal.
    pub problem: Value,
    /// The checks with their outcomes.
    pub checks: Value,
}

/// The kinds of refusals. Those of one lane cannot displace those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The credential was verified and is live.
    Verified,
    /// The credential was verified, but has expired, ended or been revoked. Its owner can repeat the request
    /// at will.
    Ended,
    /// No credential was verified. Anyone can send any number of these.
    Unverified,
    /// The request was authorized, and its sender asked for the trace.
    Accepted,
}

impl Lane {
    /// Every lane, in the order of the queue.
    pub const ALL: [Self; 4] = [Self::Verified, Self::Ended, Self::Unverified, Self::Accepted];

    /// Returns the name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "proven",
            Self::Ended => "dead",
            Self::Unverified => "unproven",
            Self::Accepted => "let_in",
        }
    }

    /// Returns the number of entries that may be queued at once, and therefore be written per second.
    const fn room(self) -> usize {
        match self {
            Self::Verified => 1_000,
            Self::Ended | Self::Unverified => 250,
            Self::Accepted => 100,
        }
    }

    /// Returns the number of rows that the database keeps, if it keeps `rows` of the first lane.
    pub(super) fn share(self, rows: u32) -> i64 {
        i64::from(match self {
            Self::Verified => rows,
            Self::Ended => rows / 4,
            Self::Unverified | Self::Accepted => rows / 10,
        })
    }
}

/// The party that an entry counts against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EntryOwner {
    /// The user of a verified credential.
    User(Uuid),
    /// The session of a verified credential whose user was not looked up.
    Session(Uuid),
    /// The network of a request without a verified credential, as an IPv4 address or the first bits of an
    /// IPv6 address.
    Network(Option<IpAddr>),
}

/// The entries of one lane, oldest first.
#[derive(Debug, Default)]
struct Entries {
    rows: Vec<(EntryOwner, NewKeptRefusal)>,
    counts: HashMap<EntryOwner, usize>,
}

/// The queue, with the entries of each lane.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: [Entries; 4],
}

impl Queue {
    /// Adds the result of `make` if the lane has room for the owner. Returns the number of refusals that were
    /// dropped, which may be this one or the one that it displaced.
    pub(super) fn offer(
        &mut self,
        lane: Lane,
        owner: EntryOwner,
        make: impl FnOnce() -> NewKeptRefusal,
    ) -> usize {
        let entries = &mut self.lanes[lane as usize];
        if entries.rows.len() < lane.room() {
            entries.push(owner, make());
            return 0;
        }
        if entries.give_way(&owner) {
            entries.push(owner, make());
        }
        1
    }

    /// Returns whether the refusal of this request is queued.
    pub(super) fn contains(&self, request_id: Uuid) -> bool {
        self.lanes.iter().flat_map(|entries| &entries.rows).any(|(_, row)| row.request_id == request_id)
    }

    /// Takes all entries of a lane.
    pub(super) fn take(&mut self, lane: Lane) -> Vec<(EntryOwner, NewKeptRefusal)> {
        std::mem::take(&mut self.lanes[lane as usize]).rows
    }

    /// Puts entries that were not written back before those that were queued meanwhile, as far as there is
    /// room. Returns the number that was dropped.
    pub(super) fn put_back(&mut self, lane: Lane, mut left: Vec<(EntryOwner, NewKeptRefusal)>) -> usize {
        left.append(&mut self.take(lane));
        let over = left.len().saturating_sub(lane.room());
        left.truncate(lane.room());
        let entries = &mut self.lanes[lane as usize];
        left.into_iter().for_each(|(owner, row)| entries.push(owner, row));
        over
    }
}

impl Entries {
    fn push(&mut self, owner: EntryOwner, row: NewKeptRefusal) {
        *self.counts.entry(owner.clone()).or_default() += 1;
        self.rows.push((owner, row));
    }

    /// Removes the latest entry of the owner with the most entries. Removes nothing if `owner`, with one more
    /// entry, would then have more entries than that one. Returns whether an entry was removed.
    fn give_way(&mut self, owner: &EntryOwner) -> bool {
        let own = self.counts.get(owner).copied().unwrap_or_default();
        let most = self.counts.iter().max_by_key(|(_, count)| **count);
        let Some((largest, _)) = most.filter(|(_, count)| own + 1 < **count) else { return false };
        let largest = largest.clone();
        let Some(at) = self.rows.iter().rposition(|(owner, _)| *owner == largest) else { return false };
        self.rows.remove(at);
        if let Some(count) = self.counts.get_mut(&largest) {
            *count -= 1;
        }
        true
    }
}

/// Returns the number of rows that each owner may keep at most, so that all of them fit into `room`.
pub(super) fn fair_share(mut counts: Vec<i64>, room: i64) -> i64 {
    counts.sort_unstable();
    let (mut left, mut owners) = (room, counts.len() as i64);
    for count in counts {
        if count * owners > left {
            return left / owners;
        }
        left -= count;
        owners -= 1;
    }
    i64::MAX
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::Value;

    use super::*;

    fn refusal(request_id: u128) -> NewKeptRefusal {
        NewKeptRefusal {
            request_id: Uuid::from_u128(request_id),
            lane: Lane::Verified.as_str(),
            occurred_at: DateTime::UNIX_EPOCH,
            method: "GET",
            route: String::new(),
            path: String::new(),
            status: 403,
            address: None,
            peer: None,
            forwarded_for: None,
            credential_kind: None,
            credential_id: None,
            session_id: None,
            user_id: None,
            code: None,
            problem: Value::Null,
            checks: Value::Null,
        }
    }

    fn owner(number: u128) -> EntryOwner {
        EntryOwner::User(Uuid::from_u128(number))
    }

    #[test]
    fn full_lane_is_shared_among_its_owners() {
        let mut queue = Queue::default();
        let room = Lane::Verified.room();
        for id in 0..2 * room as u128 {
            queue.offer(Lane::Verified, owner(1), || refusal(id));
        }
        assert!(queue.contains(Uuid::from_u128(0)), "the owner's first entries stay");
        for id in 10_000..20_000 {
            queue.offer(Lane::Verified, owner(2), || refusal(id));
        }
        let taken = queue.take(Lane::Verified);
        let of = |number| taken.iter().filter(|(of, _)| *of == owner(number)).count();
        assert_eq!((taken.len(), of(1), of(2)), (room, room / 2, room / 2));
        assert!(queue.take(Lane::Verified).is_empty());
    }

    #[test]
    fn lanes_do_not_displace_each_other() {
        let mut queue = Queue::default();
        assert_eq!(queue.offer(Lane::Verified, owner(1), || refusal(1)), 0);
        for lane in [Lane::Ended, Lane::Unverified, Lane::Accepted] {
            let dropped: usize = (0..2_000).map(|id| queue.offer(lane, owner(1), || refusal(id + 10))).sum();
            assert_eq!(dropped, 2_000 - lane.room());
        }
        assert!(queue.contains(Uuid::from_u128(1)));
    }

    #[test]
    fn unwritten_entries_keep_their_place() {
        let mut queue = Queue::default();
        queue.offer(Lane::Accepted, owner(1), || refusal(1));
        let left = queue.take(Lane::Accepted);
        for id in 2..200 {
            queue.offer(Lane::Accepted, owner(2), || refusal(id));
        }
        assert_eq!(queue.put_back(Lane::Accepted, left), 1);
        let taken = queue.take(Lane::Accepted);
        assert_eq!((taken.len(), taken[0].1.request_id), (Lane::Accepted.room(), Uuid::from_u128(1)));
    }

    #[test]
    fn fair_share_fills_the_room() {
        for (counts, room, share) in [
            (vec![1, 400], 100, 99),
            (vec![50, 50], 100, i64::MAX),
            (vec![10, 200, 200], 100, 45),
            (vec![5, 5, 5], 2, 0),
            (vec![], 100, i64::MAX),
        ] {
            assert_eq!(fair_share(counts.clone(), room), share, "{counts:?}");
        }
    }
}
