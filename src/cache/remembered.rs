//! Caches verified tokens and the state of sessions and personal tokens. The revocation feed evicts entries.
//! While the feed is down, the cache is bypassed.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::reapply::repeat_what_is_lost;
use super::tickets::{NAMED_FOR, Named, Ticket, Tickets};
use crate::database::database_clock::DatabaseClock;
use crate::database::feed::{Feed, Follower};
use crate::database::{Connection, QueryError};
use crate::digest::Digest;
use crate::secret_key::SecretKeys;
use crate::sessions::{BrowserStanding, CookieDigest, Standing};
use crate::tokens::access_token::Signed;
use crate::tokens::ended::Ended;
use crate::tokens::key_ring::Keys;
use crate::tokens::names::Names;
use crate::tokens::owner::AccountChange;
use crate::tokens::personal_token::TokenStanding;
use crate::tokens::recent::Recent;
use crate::tokens::revocation::{self, Bookmark, News, Revoked};

/// A browser's session is cached for this long at most. Each use extends the session, also on other nodes,
/// and the feed does not publish that.
const BROWSER_FOR: Duration = Duration::from_secs(30);

/// The time and the reason of the first increase of a user's version past that of a token.
pub type Raised = Option<Ended<AccountChange>>;

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
type Held<T> = (Arc<T>, Instant);

/// The cache of a node. Each part has a bounded number of entries, and the least used ones are dropped.
pub struct Memory {
    feed: Feed,
    /// Access tokens with a valid signature, by their digests.
    signed: Cache<Digest, Arc<Signed>>,
    /// Access tokens with an invalid signature.
    forged: Cache<Digest, ()>,
    sessions: Cache<Uuid, Arc<Standing>>,
    /// The session of each cookie.
    cookies: Cache<CookieDigest, BrowserKey>,
    browsers: Cache<BrowserKey, Held<BrowserStanding>>,
    /// The ID of each personal token, by its digest.
    personal_digests: Cache<Digest, Uuid>,
    personal_tokens: Cache<Uuid, Held<TokenStanding>>,
    /// By the user's ID and the token's version.
    raised: Cache<(Uuid, i64), Raised>,
    /// The permissions of the few roles and the scopes in use. Each list is stored once.
    names: Cache<Names, Names>,
    tickets: Tickets,
    recent: RwLock<Recent>,
}

impl Memory {
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
            recent: RwLock::default(),
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
    pub fn remember_access_token(&self, digest: Digest, verified: CachedToken) {
        match verified {
            CachedToken::Genuine(signed) => self.signed.insert(digest, signed),
            CachedToken::Forged => self.forged.insert(digest, ()),
        }
    }

    /// Returns the cached state of an API client's session.
    #[must_use]
    pub fn session(&self, id: Uuid) -> Option<Arc<Standing>> {
        self.live(&self.sessions, &id)
    }

    /// Returns the cached state of a browser's session, if it was found by this cookie.
    #[must_use]
    pub fn browser(&self, cookie: &CookieDigest) -> Option<Arc<BrowserStanding>> {
        let standing = self.held(&self.browsers, &self.cookies.get(cookie)?)?;
        (standing.cookie_digest == *cookie).then_some(standing)
    }

    /// Returns the cached state of a personal token.
    #[must_use]
    pub fn personal_token(&self, digest: &Digest) -> Option<Arc<TokenStanding>> {
        self.held(&self.personal_tokens, &self.personal_digests.get(digest)?)
    }

    /// Returns the cached time and reason of the first increase of a user's version past this one.
    #[must_use]
    pub fn raised(&self, user_id: Uuid, version: i64) -> Option<Raised> {
        self.live(&self.raised, &(user_id, version))
    }

    fn live<K: Hash + Eq, T: Clone>(&self, cache: &Cache<K, T>, key: &K) -> Option<T> {
        if self.feed.is_live() { cache.get(key) } else { None }
    }

    fn held<K: Hash + Eq, T>(&self, cache: &Cache<K, Held<T>>, key: &K) -> Option<Arc<T>> {
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
    pub fn remember_session(&self, ticket: Ticket, id: Uuid, standing: &Arc<Standing>) {
        let user_id = standing.user.as_ref().map(|user| user.id);
        self.tickets.fill(ticket, [Some(id), user_id], || self.sessions.insert(id, Arc::clone(standing)));
    }

    /// Caches the state of a browser's session. `good_for` is the time until it expires if it is not used, or
    /// until a replaced cookie is refused.
    pub fn remember_browser(&self, ticket: Ticket, standing: &Arc<BrowserStanding>, good_for: Duration) {
        let (id, user_id) = (standing.id, standing.standing.user.as_ref().map(|user| user.id));
        let key = (id, standing.former.is_some());
        let held = (Arc::clone(standing), Instant::now() + good_for.min(BROWSER_FOR));
        self.tickets.fill(ticket, [Some(id), user_id], || {
            self.browsers.insert(key, held);
            self.cookies.insert(standing.cookie_digest, key);
        });
    }

    /// Caches the state of a personal token until it expires.
    pub fn remember_personal_token(
        &self,
        ticket: Ticket,
        digest: Digest,
        standing: &Arc<TokenStanding>,
        good_for: Duration,
    ) {
        let (id, user_id) = (standing.id, standing.user.as_ref().map(|user| user.id));
        let until = Instant::now().checked_add(good_for).unwrap_or_else(|| Instant::now() + NAMED_FOR);
        self.tickets.fill(ticket, [Some(id), user_id], || {
            self.personal_tokens.insert(id, (Arc::clone(standing), until));
            self.personal_digests.insert(digest, id);
        });
    }

    /// Caches when and why a user's version was increased.
    pub fn remember_raised(&self, ticket: Ticket, user_id: Uuid, version: i64, raised: &Raised) {
        self.tickets.fill(ticket, [None, Some(user_id)], || {
            self.raised.insert((user_id, version), raised.clone());
        });
    }

    /// Returns when and why a session or personal token ended, if that was recent. The database may have lost
    /// it.
    #[must_use]
    pub fn ended(&self, id: Uuid) -> Option<Ended<String>> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner).ended(id)
    }

    /// Evicts the entries that the feed's events concern.
    pub fn apply(&self, news: &[News]) {
        self.recent.write().unwrap_or_else(PoisonError::into_inner).note(news);
        self.tickets.evict(|named| self.evict(news, named));
    }

    fn evict(&self, news: &[News], named: &mut Named) {
        let mut users = HashSet::new();
        for News { revoked, .. } in news {
            match revoked {
                Revoked::Session(id) | Revoked::SessionChanged(id) => {
                    named.name(*id);
                    self.sessions.remove(id);
                    self.browsers.remove(&(*id, false));
                    self.browsers.remove(&(*id, true));
                }
                Revoked::PersonalToken(id) => {
                    named.name(*id);
                    self.personal_tokens.remove(id);
                }
                Revoked::UserBelow(id, _) | Revoked::UserChanged(id) => {
                    named.name(*id);
                    users.insert(*id);
                }
                // The key ring is reloaded instead.
                Revoked::Key(_) => {}
                Revoked::Everything => self.forget_all(named),
            }
        }
        if !users.is_empty() {
            self.forget_users(&users);
        }
    }

    /// Evicts all entries of these users. This is rare enough to scan the caches.
    fn forget_users(&self, users: &HashSet<Uuid>) {
        let is_other = |id: Option<Uuid>| id.is_none_or(|id| !users.contains(&id));
        self.sessions.retain(|_, standing| is_other(standing.user.as_ref().map(|user| user.id)));
        self.browsers.retain(|_, (held, _)| is_other(held.standing.user.as_ref().map(|user| user.id)));
        self.personal_tokens.retain(|_, (held, _)| is_other(held.user.as_ref().map(|user| user.id)));
        self.raised.retain(|(id, _), _| is_other(Some(*id)));
    }

    /// Evicts the state of all sessions, personal tokens and users.
    pub fn forget(&self) {
        self.tickets.evict(|named| self.forget_all(named));
    }

    fn forget_all(&self, named: &mut Named) {
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
pub struct Reader {
    memory: Arc<Memory>,
    keys: Keys,
    secret_keys: SecretKeys,
    database_clock: DatabaseClock,
    bookmark: Option<Bookmark>,
}

impl Reader {
    #[must_use]
    pub fn new(
        memory: Arc<Memory>,
        keys: Keys,
        secret_keys: SecretKeys,
        database_clock: DatabaseClock,
    ) -> Self {
        Self { memory, keys, secret_keys, database_clock, bookmark: None }
    }

    fn reload_keys(&self, connection: &mut Connection) -> Result<(), QueryError> {
        let reloaded = self.keys.reload_on(connection, &self.secret_keys);
        reloaded.map_err(|error| QueryError::QueryBuilderError(error.to_string().into()))
    }
}

impl Follower for Reader {
    fn read(&mut self, connection: &mut Connection) -> Result<(), QueryError> {
        let started_at = self.database_clock.elapsed();
        let reading = revocation::read(connection, self.bookmark.as_ref())?;
        self.database_clock.set(reading.time, started_at);
        match &reading.news {
            None => {
                self.memory.forget();
                let recent = self.memory.recent.read().unwrap_or_else(PoisonError::into_inner);
                repeat_what_is_lost(connection, &recent, &self.secret_keys)?;
                drop(recent);
                self.reload_keys(connection)?;
                metrics::counter!("doorward_feed_begun_total").increment(1);
            }
            Some(news) if news.is_empty() => {}
            Some(news) => {
                let concerns_keys =
                    |news: &News| matches!(news.revoked, Revoked::Key(_) | Revoked::Everything);
                if news.iter().any(concerns_keys) {
                    self.reload_keys(connection)?;
                }
                self.memory.apply(news);
                for News { age, .. } in news {
                    metrics::histogram!("doorward_feed_lag_seconds").record(age.as_secs_f64());
                }
            }
        }
        self.bookmark = Some(reading.bookmark);
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.bookmark = None;
        self.memory.forget();
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::tokens::signing_key::KeyRing;

    fn memory() -> Memory {
        Memory::new(Feed::default(), 100)
    }

    fn standing() -> Arc<Standing> {
        Arc::new(Standing {
            ended: None,
            expires_at: DateTime::UNIX_EPOCH,
            scope: None,
            user: None,
            replaced: Box::default(),
        })
    }

    #[test]
    fn an_answer_that_was_asked_for_before_everything_was_forgotten_is_not_remembered() {
        let (memory, id) = (memory(), crate::random::id());
        let told: fn(&Memory) = |memory| {
            let (revoked_at, matters_until) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
            let (age, reason) = (Duration::ZERO, "database_restored".to_owned());
            memory.apply(&[News { revoked: Revoked::Everything, age, reason, revoked_at, matters_until }]);
        };
        for forget in [Memory::forget, told] {
            let before = memory.tickets.draw();
            forget(&memory);
            memory.remember_session(before, id, &standing());
            assert!(memory.sessions.get(&id).is_none());
            memory.remember_session(memory.tickets.draw(), id, &standing());
            assert!(memory.sessions.get(&id).is_some());
        }
    }

    #[test]
    fn whoever_begins_to_follow_anew_remembers_nothing_from_before() {
        let (memory, id) = (Arc::new(memory()), crate::random::id());
        memory.remember_session(memory.tickets.draw(), id, &standing());
        let secret_keys = SecretKeys::derive(["a key of at least thirty-two characters"]).expect("one");
        let clock = DatabaseClock::new(&crate::clock::Clock::default());
        let mut reader = Reader::new(Arc::clone(&memory), Keys::new(KeyRing::default()), secret_keys, clock);
        reader.begin_anew();
        assert!(memory.sessions.get(&id).is_none());
    }

    #[test]
    fn a_personal_token_that_outlives_what_a_clock_can_tell_is_remembered_for_a_while() {
        let (memory, id) = (memory(), crate::random::id());
        let standing = Arc::new(TokenStanding {
            id,
            scope: Names::from(Vec::new()),
            expires_at: DateTime::<Utc>::MAX_UTC,
            expired_at: None,
            left: Duration::MAX,
            revoked: None,
            user: None,
        });
        let digest = Digest::from([7; 32]);
        memory.remember_personal_token(memory.tickets.draw(), digest, &standing, standing.left);
        let (_, until) = memory.personal_tokens.get(&id).expect("it is remembered");
        assert!(until > Instant::now() && until <= Instant::now() + NAMED_FOR);
        assert_eq!(memory.personal_digests.get(&digest), Some(id));
    }
}
