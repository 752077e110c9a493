//! shuttle's locks and threads, which replace those of `src/blocking/sync.rs`.

pub use shuttle::sync::{Condvar, Mutex, MutexGuard, RwLock};
pub use shuttle::thread;

/// Runs the block if its fault is planted.
macro_rules! planted {
    ($fault:ident => $block:block) => {
        if crate::planted::is(crate::planted::Fault::$fault) {
            $block
        }
    };
}
pub(crate) use planted;
