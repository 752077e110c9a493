//! The locks and threads of what is modelled. `tests/models/` compiles the same files with shuttle's, which try the
//! orders in which threads can run.

pub use std::sync::{Condvar, Mutex, MutexGuard, RwLock};
pub use std::thread;

/// A fault that a model must find. There is none in what ships: the block is dropped.
macro_rules! planted {
    ($fault:ident => $block:block) => {};
}
pub(crate) use planted;
