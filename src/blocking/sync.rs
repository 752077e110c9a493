//! The locks and threads that the modelled files use. `tests/models/` compiles those files with shuttle's
//! versions, which try many orders in which the threads can run.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::thread;

/// Marks a fault that a model must find. In the released code the block is dropped.
macro_rules! planted {
    ($fault:ident => $block:block) => {};
}
pub(crate) use planted;
