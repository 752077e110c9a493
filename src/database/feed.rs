//! The revocation feed. A thread with its own connection hears by LISTEN that something was ended, and reads
//! the changes. It also reads ten times a second without a notification. This proves that the feed is live,
//! and is the only source behind a pooler that loses notifications.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::{PgConnection, QueryResult, RunQueryDsl};
use tokio::sync::watch;

use super::failure::DatabaseError;
use super::{health, pool};

/// The channel on which PostgreSQL publishes revocations.
const CHANNEL: &str = "doorward_revocations";
/// The feed counts as silent if its last answered read started longer ago than this.
pub const SILENT_AFTER: Duration = Duration::from_millis(500);
/// The interval between reads without a notification.
const READ_EVERY: Duration = Duration::from_millis(100);
/// The interval between checks for notifications. diesel offers no way to wait for them.
const LISTEN_EVERY: Duration = Duration::from_millis(5);
/// The delay before the feed reconnects.
const RECONNECT_AFTER: Duration = Duration::from_millis(200);

/// A reader of the feed. It lives on the feed's thread and remembers how far it has read.
pub trait Follower: Send + 'static {
    /// Reads and applies what is new since the last call.
    ///
    /// # Errors
    /// Any error of a query. The feed then reconnects.
    fn read(&mut self, connection: &mut PgConnection) -> QueryResult<()>;

    /// Discards the read position. The connection was lost, and the next one may lead to a database that was
    /// restored to an earlier state.
    fn restart(&mut self);
}

/// The state of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// Notifications arrive, and reads are answered.
    Live,
    /// Notifications do not arrive, but reads are answered.
    Polled,
    /// No read was answered recently. Requests must ask the database.
    Silent,
}

impl FeedState {
    /// Returns the name in responses and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Polled => "polled",
            Self::Silent => "silent",
        }
    }
}

/// The feed's state, as requests see it. Clones share it.
#[derive(Clone, Debug)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    /// Microseconds from `epoch` to the start of the last answered read. 0 means that there was none.
    read_at: AtomicU64,
    hears: AtomicBool,
    orders: Mutex<Orders>,
    ordered: Condvar,
    /// The number of the last order that a read has completed.
    carried_out: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Orders {
    /// Counts the orders, which are requests for a read.
    last: u64,
    stop: bool,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                epoch: Instant::now(),
                read_at: AtomicU64::new(0),
                hears: AtomicBool::new(false),
                orders: Mutex::default(),
                ordered: Condvar::new(),
                carried_out: watch::Sender::new(0),
            }),
        }
    }
}

impl Feed {
    #[must_use]
    pub fn state(&self) -> FeedState {
        match (self.is_live(), self.shared.hears.load(Ordering::Relaxed)) {
            (false, _) => FeedState::Silent,
            (true, false) => FeedState::Polled,
            (true, true) => FeedState::Live,
        }
    }

    /// Returns whether the cache may be trusted. If true, everything that was ended longer ago than
    /// [`SILENT_AFTER`] has been read.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let read_at = self.shared.read_at.load(Ordering::Acquire);
        read_at != 0 && self.shared.micros().saturating_sub(read_at) <= SILENT_AFTER.as_micros() as u64
    }

    /// Waits until the feed has read everything committed so far, so that it applies to the next request on
    /// this node. Returns at once if the feed is silent, since each request then asks the database.
    pub async fn catch_up(&self) {
        if !self.is_live() {
            return;
        }
        let order = {
            let mut orders = self.shared.lock();
            orders.last += 1;
            orders.last
        };
        self.shared.ordered.notify_one();
        let mut carried_out = self.shared.carried_out.subscribe();
        let _ = tokio::time::timeout(SILENT_AFTER, carried_out.wait_for(|last| *last >= order)).await;
    }

    /// Waits for a read that starts after this call. Such a read happens within [`READ_EVERY`] anyway, so
    /// waiting costs no query. Returns at once if the feed is silent.
    pub async fn wait_for_next_read(&self) {
        let (shared, called_at) = (&self.shared, self.shared.micros());
        if !self.is_live() {
            return;
        }
        let mut carried_out = shared.carried_out.subscribe();
        let is_read = |_: &u64| shared.read_at.load(Ordering::Acquire) > called_at;
        let _ = tokio::time::timeout(SILENT_AFTER, carried_out.wait_for(is_read)).await;
    }

    /// Starts following the database at `url`, on a thread that ends when the returned value is dropped.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn follow(&self, url: &str, mut follower: impl Follower) -> std::io::Result<FollowerThread> {
        let (shared, url) = (Arc::clone(&self.shared), url.to_owned());
        let thread = std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
            let mut reported = false;
            while !shared.lock().stop {
                if let Err(error) = follow_until_stopped(&shared, &url, &mut follower, &mut reported) {
                    if !std::mem::replace(&mut reported, true) {
                        tracing::warn!(%error, "the revocation feed is down; requests query the database");
                    }
                    shared.wait_for_stop(RECONNECT_AFTER);
                }
                shared.read_at.store(0, Ordering::Release);
                follower.restart();
            }
        })?;
        Ok(FollowerThread { shared: Arc::clone(&self.shared), thread: Some(thread) })
    }
}

/// Follows the feed until asked to stop, or until the connection is lost.
fn follow_until_stopped(
    shared: &Shared,
    url: &str,
    follower: &mut impl Follower,
    reported: &mut bool,
) -> Result<(), DatabaseError> {
    let mut connection = pool::establish_feed(url)?;
    // LISTEN comes before the first read. Events published in between are read, and later ones are heard.
    diesel::sql_query(format!("LISTEN {CHANNEL}")).execute(&mut connection)?;
    let hears = health::hears_notifications(&mut connection, url)?;
    shared.hears.store(hears, Ordering::Relaxed);
    let mut is_first = true;
    loop {
        let (order, stop) = shared.orders();
        if stop {
            return Ok(());
        }
        let started = Instant::now();
        let begun_at = shared.micros();
        follower.read(&mut connection)?;
        shared.read_at.store(begun_at.max(1), Ordering::Release);
        shared.carried_out.send_replace(order);
        if std::mem::take(&mut is_first) {
            *reported = false;
            log_state(hears);
        }
        while !shared.wait(LISTEN_EVERY)
            && started.elapsed() < READ_EVERY
            && !take_notifications(&mut connection)?
        {}
    }
}

fn log_state(hears: bool) {
    if hears {
        tracing::info!("the revocation feed is live");
    } else {
        tracing::warn!(
            "notifications do not reach the revocation feed (does a pooler hand out connections by \
             transaction?); it polls {} times a second instead",
            1_000 / READ_EVERY.as_millis()
        );
    }
}

/// Takes the pending notifications off the connection. Returns whether there were any.
fn take_notifications(connection: &mut PgConnection) -> QueryResult<bool> {
    let heard = connection.notifications_iter().collect::<QueryResult<Vec<_>>>()?;
    Ok(!heard.is_empty())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> (u64, bool) {
        let orders = self.lock();
        (orders.last, orders.stop)
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn wait_for_stop(&self, pause: Duration) {
        let _ = self.ordered.wait_timeout_while(self.lock(), pause, |orders| !orders.stop);
    }

    /// Waits this long, or until there is an order. Returns whether there is one.
    fn wait(&self, pause: Duration) -> bool {
        let is_idle = |orders: &mut Orders| !orders.stop && orders.last == *self.carried_out.borrow();
        let waited = self.ordered.wait_timeout_while(self.lock(), pause, is_idle);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A running feed thread. Dropping it stops the thread.
#[derive(Debug)]
pub struct FollowerThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for FollowerThread {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.ordered.notify_one();
        // A silent thread waits for an answer that may never come, so it is not joined.
        if let Some(thread) =
            self.thread.take().filter(|_| Feed { shared: Arc::clone(&self.shared) }.is_live())
        {
            let _ = thread.join();
        }
    }
}

thread_local! {
    /// True if the work on this thread wrote something that the feed carries.
    static PUBLISHED: Cell<bool> = const { Cell::new(false) };
}

/// Records that the work on this thread writes something that the feed carries.
pub fn publish() {
    PUBLISHED.set(true);
}

/// Runs `work`. Returns its result, and whether it wrote something that the feed carries.
pub(super) fn listen<T>(work: impl FnOnce() -> T) -> (T, bool) {
    PUBLISHED.set(false);
    let done = work();
    (done, PUBLISHED.take())
}
