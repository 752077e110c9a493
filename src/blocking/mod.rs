//! The only way onto a blocking thread: bounded pools with a queue limit and a deadline, so that overload is refused
//! at once instead of piling up, and to those who cause it.

pub mod batch;
pub mod caller;
pub mod fair_queue;
mod pool;
pub mod sync;
#[cfg(test)]
mod tests;

pub use self::caller::Caller;
pub use self::fair_queue::{Claim, Lane, LaneLimits, Limits};
pub use self::pool::{Answer, BlockingError, BlockingPool};
