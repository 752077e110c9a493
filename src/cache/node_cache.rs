//! Caches verified tokens and the state of sessions and personal tokens. The revocation feed evicts entries.
//! While the feed is down, the cache is bypassed.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::reapply::reapply_lost;
use super::tickets::{NAMED_FOR, Named, Ticket, Tickets};
use crate::database::database_clock::DatabaseClock;
use crate::database::feed::{Feed, Follower};
use crate::database::{Connection, QueryError};
use crate::digest::Digest;
use crate::secret_key::SecretKeys;
use crate::sessions::{BrowserSessionState, CookieDigest, SessionState};
use crate::tokens::access_token::Signed;
use crate::tokens::ended::Ended;
use crate::tokens::key_ring::SharedKeyRing;
use crate::tokens::names::Names;
use crate::tokens::owner::AccountChange;
use crate::tokens::personal_token::PersonalTokenState;
use crate::tokens::recently_revoked::RecentlyRevoked;
use crate::tokens::revocation::{self, Bookmark, FeedEvent, Revocation};

/// A browser's session is cached for this long at most. Each use extends the session, also on other nodes,
/// and the feed does not publish that.
const BROWSER_FOR: Duration = Duration::from_secs(30);

/// The time and the reason of the first increase of a user's version past that of a token.
pub(crate) type Raised = Option<Ended<AccountChange>>;

/// A browser's session by its ID, and whether a replaced cookie was presented. Each cookie has its own
/// sign-in time.
type BrowserKey = (Uuid, bool);

/// The cached result of verifying an access token's signature.
#[derive(Clone)]
pub enum CachedToken {
    /// The signature is valid.
    Genuine(Arc<Signed>),
    /// The signature is invalid.
    Forged,
}

/// A cached value and the time until which it is valid.
type CachedUntil<T> = (Arc<T>, Instant);

/// The cache of a node. Each part has a bounded number of entries, and the least used ones are dropped.
pub struct NodeCache {
    feed: Feed,
    /// Access tokens with a valid signature, by their digests.
    signed: Cache<Digest, Arc<Signed>>,
    /// Access tokens with an invalid signature.
    forged: Cache<Digest, ()>,
    sessions: Cache<Uuid, Arc<SessionState>>,
    /// The session of each cookie.
    cookies: Cache<CookieDigest, BrowserKey>,
    browsers: Cache<BrowserKey, CachedUntil<BrowserSessionState>>,
    /// The ID of each personal token, by its digest.
    personal_digests: Cache<Digest, Uuid>,
    personal_tokens: Cache<Uuid, CachedUntil<PersonalTokenState>>,
    /// By the user's ID and the token's version.
    raised: Cache<(Uuid, i64), Raised>,
    /// The permissions of the few roles and the scopes in use. Each list is stored once.
    names: Cache<Names, Names>,
    tickets: Tickets,
    recently_revoked: RwLock<RecentlyRevoked>,
}

impl NodeCache {
    /// Creates a cache for up to `entries` of each kind.
    #[must_use]
    pub fn new(feed: Feed, entries: usize) -> Self {
        let small = (entries / 10).max(100);
        Self {
            feed,
            signed: Cache::new(entries),
            forged: Cache::new(small),
            sessions: Cache::new(entries),
            cookies: Cache::new(entries),
            browsers: Cache::new(entries),
            personal_digests: Cache::new(entries),
            personal_tokens: Cache::new(entries),
            raised: Cache::new(small),
            names: Cache::new(small),
            tickets: Tickets::default(),
            recently_revoked: RwLock::default(),
        }
    }

    /// Returns an equal list of names that is cached already, so that all entries share one copy.
    #[must_use]
    pub fn share(&self, names: &Names) -> Names {
        self.names.get(names).unwrap_or_else(|| {
            self.names.insert(names.clone(), names.clone());
            names.clone()
        })
    }

    /// Returns the cached result of verifying an access token.
    #[must_use]
    pub fn access_token(&self, digest: &Digest) -> Option<CachedToken> {
        let signed = self.signed.get(digest).map(CachedToken::Genuine);
        signed.or_else(|| self.forged.get(digest).map(|()| CachedToken::Forged))
    }

    /// Caches the result of verifying an access token's signature. It stays true, so the feed does not evict
    /// it.
    pub fn insert_access_token(&self, digest: Digest, verified: CachedToken) {
        match verified {
            CachedToken::Genuine(signed) => self.signed.insert(digest, signed),
            CachedToken::Forged => self.forged.insert(digest, ()),
        }
    }

    /// Returns the cached state of an API client's session.
    #[must_use]
    pub fn session(&self, id: Uuid) -> Option<Arc<SessionState>> {
        self.live(&self.sessions, &id)
    }

    /// Returns the cached state of a browser's session. Returns `None` if the state was cached for another
    /// cookie of the session.
    #[must_use]
    pub fn browser(&self, cookie: &CookieDigest) -> Option<Arc<BrowserSessionState>> {
        let current = self.unexpired(&self.browsers, &self.cookies.get(cookie)?)?;
        (current.cookie_digest == *cookie).then_some(current)
    }

    /// Returns the cached state of a personal token.
    #[must_use]
    pub fn personal_token(&self, digest: &Digest) -> Option<Arc<PersonalTokenState>> {
        self.unexpired(&self.personal_tokens, &self.personal_digests.get(digest)?)
    }

    /// Returns the cached time and reason of the first increase of a user's version past this one.
    #[must_use]
    pub fn raised(&self, user_id: Uuid, version: i64) -> Option<Raised> {
        self.live(&self.raised, &(user_id, version))
    }

    fn live<K: Hash + Eq, T: Clone>(&self, cache: &Cache<K, T>, key: &K) -> Option<T> {
        if self.feed.is_live() { cache.get(key) } else { None }
    }

    fn unexpired<K: Hash + Eq, T>(&self, cache: &Cache<K, CachedUntil<T>>, key: &K) -> Option<Arc<T>> {
        let (value, until) = self.live(cache, key)?;
        (Instant::now() < until).then_some(value)
    }

    /// Draws a ticket. It is needed before a query whose answer is to be cached. Returns `None` while the
    /// feed is down.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        let ticket = self.tickets.draw();
        self.feed.is_live().then_some(ticket)
    }

    /// Caches the state of an API client's session.
    pub fn insert_session(&self, ticket: Ticket, id: Uuid, current: &Arc<SessionState>) {
        let user_id = current.user.as_ref().map(|user| user.id);
        self.tickets.fill(ticket, [Some(id), user_id], || self.sessions.insert(id, Arc::clone(current)));
    }

    /// Caches the state of a browser's session. `ttl` is the time until the unused session expires, or until
    /// a replaced cookie is refused.
    pub fn insert_browser(&self, ticket: Ticket, current: &Arc<BrowserSessionState>, ttl: Duration) {
        let (id, user_id) = (current.id, current.state.user.as_ref().map(|user| user.id));
        let key = (id, current.former.is_some());
        let entry = (Arc::clone(current), Instant::now() + ttl.min(BROWSER_FOR));
        self.tickets.fill(ticket, [Some(id), user_id], || {
            self.browsers.insert(key, entry);
            self.cookies.insert(current.cookie_digest, key);
        });
    }

    /// Caches the state of a personal token until it expires.
    pub fn insert_personal_token(
        &self,
        ticket: Ticket,
        digest: Digest,
        current: &Arc<PersonalTokenState>,
        ttl: Duration,
    ) {
        let (id, user_id) = (current.id, current.user.as_ref().map(|user| user.id));
        let until = Instant::now().checked_add(ttl).unwrap_or_else(|| Instant::now() + NAMED_FOR);
        self.tickets.fill(ticket, [Some(id), user_id], || {
            self.personal_tokens.insert(id, (Arc::clone(current), until));
            self.personal_digests.insert(digest, id);
        });
    }

    /// Caches when and why a user's version was increased.
    pub fn insert_raised(&self, ticket: Ticket, user_id: Uuid, version: i64, raised: &Raised) {
        self.tickets.fill(ticket, [None, Some(user_id)], || {
            self.raised.insert((user_id, version), raised.clone());
        });
    }

    /// Returns when and why a session or personal token ended, if that was recent. The database may have lost
    /// it.
    #[must_use]
    pub fn ended(&self, id: Uuid) -> Option<Ended<String>> {
        self.recently_revoked.read().unwrap_or_else(PoisonError::into_inner).ended(id)
    }

    /// Evicts the entries that the feed's events concern.
    pub fn apply(&self, events: &[FeedEvent]) {
        self.recently_revoked.write().unwrap_or_else(PoisonError::into_inner).record(events);
        self.tickets.evict(|named| self.evict(events, named));
    }

    fn evict(&self, events: &[FeedEvent], named: &mut Named) {
        let mut users = HashSet::new();
        for FeedEvent { revoked, .. } in events {
            match revoked {
                Revocation::Session(id) | Revocation::SessionChanged(id) => {
                    named.name(*id);
                    self.sessions.remove(id);
                    self.browsers.remove(&(*id, false));
                    self.browsers.remove(&(*id, true));
                }
                Revocation::PersonalToken(id) => {
                    named.name(*id);
                    self.personal_tokens.remove(id);
                }
                Revocation::UserBelow(id, _) | Revocation::UserChanged(id) => {
                    named.name(*id);
                    users.insert(*id);
                }
                // The key ring is reloaded instead.
                Revocation::Key(_) => {}
                Revocation::Everything => self.evict_all(named),
            }
        }
        if !users.is_empty() {
            self.evict_users(&users);
        }
    }

    /// Evicts all entries of these users. This is rare enough to scan the caches.
    fn evict_users(&self, users: &HashSet<Uuid>) {
        let is_other = |id: Option<Uuid>| id.is_none_or(|id| !users.contains(&id));
        self.sessions.retain(|_, current| is_other(current.user.as_ref().map(|user| user.id)));
        self.browsers.retain(|_, (entry, _)| is_other(entry.state.user.as_ref().map(|user| user.id)));
        self.personal_tokens.retain(|_, (entry, _)| is_other(entry.user.as_ref().map(|user| user.id)));
        self.raised.retain(|(id, _), _| is_other(Some(*id)));
    }

    /// Evicts the state of all sessions, personal tokens and users.
    pub fn clear(&self) {
        self.tickets.evict(|named| self.evict_all(named));
    }

    fn evict_all(&self, named: &mut Named) {
        named.name_everything();
        self.sessions.clear();
        self.browsers.clear();
        self.personal_tokens.clear();
        self.raised.clear();
    }

    /// Returns the number of entries in each part, for metrics.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 5] {
        [
            ("access_tokens", self.signed.len()),
            ("forged_tokens", self.forged.len()),
            ("api_sessions", self.sessions.len()),
            ("browser_sessions", self.browsers.len()),
            ("personal_tokens", self.personal_tokens.len()),
        ]
    }
}

/// Follows the feed. It updates the cache, the key ring and the database clock.
pub(crate) struct CacheFollower {
    cache: Arc<NodeCache>,
    keys: SharedKeyRing,
    secret_keys: SecretKeys,
    database_clock: DatabaseClock,
    bookmark: Option<Bookmark>,
}

impl CacheFollower {
    #[must_use]
    pub(crate) fn new(
        cache: Arc<NodeCache>,
        keys: SharedKeyRing,
        secret_keys: SecretKeys,
        database_clock: DatabaseClock,
    ) -> Self {
        Self { cache, keys, secret_keys, database_clock, bookmark: None }
    }

    fn reload_keys(&self, connection: &mut Connection) -> Result<(), QueryError> {
        let reloaded = self.keys.reload_on(connection, &self.secret_keys);
        reloaded.map_err(|error| QueryError::QueryBuilderError(error.to_string().into()))
    }
}

impl Follower for CacheFollower {
    fn read(&mut self, connection: &mut Connection) -> Result<(), QueryError> {
        let started_at = self.database_clock.elapsed();
        let reading = revocation::read(connection, self.bookmark.as_ref())?;
        self.database_clock.set(reading.time, started_at);
        match &reading.events {
            None => {
                self.cache.clear();
                let recently_revoked =
                    self.cache.recently_revoked.read().unwrap_or_else(PoisonError::into_inner);
                reapply_lost(connection, &recently_revoked, &self.secret_keys)?;
                drop(recently_revoked);
                self.reload_keys(connection)?;
                metrics::counter!("doorward_feed_begun_total").increment(1);
            }
            Some(events) if events.is_empty() => {}
            Some(events) => {
                let concerns_keys =
                    |event: &FeedEvent| matches!(event.revoked, Revocation::Key(_) | Revocation::Everything);
                if events.iter().any(concerns_keys) {
                    self.reload_keys(connection)?;
                }
                self.cache.apply(events);
                for FeedEvent { age, .. } in events {
                    metrics::histogram!("doorward_feed_lag_seconds").record(age.as_secs_f64());
                }
            }
        }
        self.bookmark = Some(reading.bookmark);
        Ok(())
    }

    fn restart(&mut self) {
        self.bookmark = None;
        self.cache.clear();
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::tokens::signing_key::KeyRing;

    fn cache() -> NodeCache {
        NodeCache::new(Feed::default(), 100)
    }

    fn session_state() -> Arc<SessionState> {
        Arc::new(SessionState {
            ended: None,
            expires_at: DateTime::UNIX_EPOCH,
            scope: None,
            user: None,
            replaced: Box::default(),
        })
    }

    #[test]
    fn lookup_from_before_a_clear_is_not_cached() {
        let (cache, id) = (cache(), crate::random::id());
        let told: fn(&NodeCache) = |cache| {
            let (revoked_at, matters_until) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
            let (age, reason) = (Duration::ZERO, "database_restored".to_owned());
            cache.apply(&[FeedEvent {
                revoked: Revocation::Everything,
                age,
                reason,
                revoked_at,
                matters_until,
            }]);
        };
        for forget in [NodeCache::clear, told] {
            let before = cache.tickets.draw();
            forget(&cache);
            cache.insert_session(before, id, &session_state());
            assert!(cache.sessions.get(&id).is_none());
            cache.insert_session(cache.tickets.draw(), id, &session_state());
            assert!(cache.sessions.get(&id).is_some());
        }
    }

    #[test]
    fn restarted_feed_clears_the_cache() {
        let (cache, id) = (Arc::new(cache()), crate::random::id());
        cache.insert_session(cache.tickets.draw(), id, &session_state());
        let secret_keys = SecretKeys::derive(["a key of at least thirty-two characters"]).expect("one");
        let clock = DatabaseClock::new(&crate::clock::Clock::default());
        let mut follower = CacheFollower::new(
            Arc::clone(&cache),
            SharedKeyRing::new(KeyRing::default()),
            secret_keys,
            clock,
        );
        follower.restart();
        assert!(cache.sessions.get(&id).is_none());
    }

    #[test]
    fn endless_personal_token_is_cached_for_a_bounded_time() {
        let (cache, id) = (cache(), crate::random::id());
        let current = Arc::new(PersonalTokenState {
            id,
            scope: Names::from(Vec::new()),
            expires_at: DateTime::<Utc>::MAX_UTC,
            expired_at: None,
            left: Duration::MAX,
            revoked: None,
            user: None,
        });
        let digest = Digest::from([7; 32]);
        cache.insert_personal_token(cache.tickets.draw(), digest, &current, current.left);
        let (_, until) = cache.personal_tokens.get(&id).expect("it is remembered");
        assert!(until > Instant::now() && until <= Instant::now() + NAMED_FOR);
        assert_eq!(cache.personal_digests.get(&digest), Some(id));
    }
}
