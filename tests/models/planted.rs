//! The faults that can be planted, one at a time.

use std::cell::Cell;

/// A fault that can be planted in a released file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A pool does not wake a thread for new work.
    LostWakeup,
    /// A batch's last call checks for waiting requests and ends in two separate steps.
    EndsBetween,
    /// A cache entry is filled after the lock under which its ticket was checked was released.
    FillsUnlocked,
}

thread_local! {
    // shuttle runs all threads of a model on the thread that checks it.
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Returns whether this fault is planted.
pub fn is(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Runs `check` with a fault planted.
pub fn with<T>(fault: Fault, check: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(fault));
    let checked = check();
    PLANTED.set(None);
    checked
}
