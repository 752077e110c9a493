//! Keeps the revocations that this node has read recently, to find those that the database lost in a failover
//! or restore.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};
use uuid::Uuid;

use super::ended::Ended;
use super::revocation::{FeedEvent, Revocation};

/// Longer than any standby lags that someone would promote. Entries are dropped only when the feed is read,
/// so an outage drops none.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// The maximum number of kept revocations.
const MOST: usize = 10_000;

/// The revocations of the last ten minutes.
#[derive(Debug, Default)]
pub struct RecentlyRevoked {
    rows: VecDeque<(Instant, FeedEvent)>,
    /// The sessions and personal tokens among them, with the time and the reason.
    ended: HashMap<Uuid, Ended<String>>,
}

impl RecentlyRevoked {
    /// Adds the events that may have to be re-applied, and drops the old ones.
    pub fn record(&mut self, events: &[FeedEvent]) {
        for row in events {
            match &row.revoked {
                Revocation::Session(id) | Revocation::PersonalToken(id) => {
                    let ended = Ended { at: row.revoked_at, reason: row.reason.clone() };
                    self.ended.insert(*id, ended);
                }
                Revocation::UserBelow(..) | Revocation::Key(_) => {}
                Revocation::SessionChanged(_) | Revocation::UserChanged(_) | Revocation::Everything => {
                    continue;
                }
            }
            self.rows.push_back((Instant::now(), row.clone()));
        }
        while self.rows.len() > MOST || self.rows.front().is_some_and(|(at, _)| at.elapsed() > KEPT_FOR) {
            let Some((
                _,
                FeedEvent {
                    revoked: Revocation::Session(id) | Revocation::PersonalToken(id),
                    revoked_at,
                    ..
                },
            )) = self.rows.pop_front()
            else {
                continue;
            };
            // A later revocation of the same credential has its own row.
            if self.ended.get(&id).is_some_and(|ended| ended.at == revoked_at) {
                self.ended.remove(&id);
            }
        }
    }

    /// Returns when and why a session or personal token was revoked, if that was recent.
    #[must_use]
    pub fn ended(&self, id: Uuid) -> Option<Ended<String>> {
        self.ended.get(&id).cloned()
    }

    /// Returns the revocations that the database does not have, oldest first. A later revocation of the same
    /// subject counts as having it, because someone may have re-applied it. Rows that were pruned do not
    /// count as lost.
    pub fn find_lost(&self, connection: &mut PgConnection) -> QueryResult<Vec<FeedEvent>> {
        #[derive(QueryableByName)]
        struct LostRow {
            #[diesel(sql_type = BigInt)]
            number: i64,
        }
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let events = || self.rows.iter().map(|(_, event)| event);
        let lost: Vec<LostRow> = diesel::sql_query(
            "SELECT known.number FROM unnest($1, $2, $3, $4) WITH ORDINALITY
                AS known (kind, subject, revoked_at, matters_until, number)
             WHERE known.matters_until > now() - interval '1 day' AND NOT EXISTS (
                SELECT FROM revocations AS r WHERE r.subject = known.subject AND r.kind = known.kind
                    AND r.revoked_at >= known.revoked_at)
             ORDER BY known.number",
        )
        .bind::<Array<Text>, _>(events().map(|row| row.revoked.kind()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(events().map(|row| row.revoked.subject()).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(events().map(|row| row.revoked_at).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(events().map(|row| row.matters_until).collect::<Vec<_>>())
        .load(connection)?;
        let at = |lost: &LostRow| usize::try_from(lost.number - 1).ok();
        let row = |lost: &LostRow| at(lost).and_then(|at| self.rows.get(at)).map(|(_, event)| event.clone());
        Ok(lost.iter().filter_map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn events(revoked: Revocation) -> FeedEvent {
        let moment = DateTime::UNIX_EPOCH;
        FeedEvent {
            revoked,
            age: Duration::ZERO,
            reason: "logout".into(),
            revoked_at: moment,
            matters_until: moment,
        }
    }

    #[test]
    fn oldest_revocations_are_evicted_beyond_the_limit() {
        let mut recently_revoked = RecentlyRevoked::default();
        let ids: Vec<Uuid> = (0..MOST + 10).map(|_| crate::random::id()).collect();
        let all: Vec<FeedEvent> = ids.iter().map(|id| events(Revocation::Session(*id))).collect();
        recently_revoked.record(&all);
        assert_eq!((recently_revoked.rows.len(), recently_revoked.ended.len()), (MOST, MOST));
        assert!(recently_revoked.ended(ids[9]).is_none() && recently_revoked.ended(ids[10]).is_some());
    }

    #[test]
    fn revocations_expire_after_ten_minutes() {
        let mut recently_revoked = RecentlyRevoked::default();
        let (old, young) = (crate::random::id(), crate::random::id());
        recently_revoked
            .record(&[events(Revocation::PersonalToken(old)), events(Revocation::Session(young))]);
        let minute = Duration::from_secs(60);
        for (row, age) in recently_revoked.rows.iter_mut().zip([KEPT_FOR + minute, KEPT_FOR - minute]) {
            row.0 = Instant::now().checked_sub(age).expect("a time");
        }
        recently_revoked.record(&[]);
        assert_eq!((recently_revoked.rows.len(), recently_revoked.ended.len()), (1, 1));
        assert!(recently_revoked.ended(old).is_none() && recently_revoked.ended(young).is_some());
    }

    #[test]
    fn repeated_revocation_is_kept_until_its_later_time() {
        let mut recently_revoked = RecentlyRevoked::default();
        let id = crate::random::id();
        let repeated = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1);
        recently_revoked.record(&[
            events(Revocation::Session(id)),
            FeedEvent { revoked_at: repeated, ..events(Revocation::Session(id)) },
        ]);
        let long_ago = Instant::now().checked_sub(2 * KEPT_FOR);
        recently_revoked.rows[0].0 = long_ago.expect("a time");
        recently_revoked.record(&[]);
        assert_eq!(
            (recently_revoked.rows.len(), recently_revoked.ended(id)),
            (1, Some(Ended { at: repeated, reason: "logout".into() }))
        );
    }

    #[test]
    fn cache_evictions_are_not_kept_as_revocations() {
        let mut recently_revoked = RecentlyRevoked::default();
        let id = crate::random::id();
        recently_revoked.record(&[
            events(Revocation::Everything),
            events(Revocation::SessionChanged(id)),
            events(Revocation::UserChanged(id)),
        ]);
        assert!(recently_revoked.rows.is_empty() && recently_revoked.ended(id).is_none());
    }
}
