//! Blocking threads in bounded pools with a queue limit and a deadline. No other module may block a thread.
//! Overload is refused at once, to those who cause it, instead of piling up.

pub(crate) mod batch;
pub mod caller;
pub(crate) mod fair_queue;
mod pool;
pub(crate) mod sync;
#[cfg(test)]
mod tests;

pub use self::caller::WorkOwner;
pub use self::fair_queue::{Claim, Lane, LaneLimits, QueueLimits};
pub use self::pool::{Answer, BlockingError, BlockingPool};
