//! The faults that can be planted, one at a time.

use std::cell::Cell;

/// A fault in a file that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A pool does not wake a thread for new work.
    LostWakeup,
    /// A batch's last call looks for more and ends in two steps.
    EndsBetween,
    /// A cache is filled after the lock under which its ticket was checked.
    FillsUnlocked,
}

thread_local! {
    // shuttle runs all threads of a model on the one that checks it.
    static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Returns whether this fault is planted.
pub fn is(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Runs `check` with a fault.
pub fn with<T>(fault: Fault, check: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(fault));
    let checked = check();
    PLANTED.set(None);
    checked
}
