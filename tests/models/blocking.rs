//! The modelled files of `src/blocking/`, compiled with shuttle's locks and threads.

#[path = "../../src/blocking/batch.rs"]
pub mod batch;
#[path = "../../src/blocking/fair_queue.rs"]
pub mod fair_queue;
#[path = "../../src/blocking/pool.rs"]
pub mod pool;
#[path = "sync.rs"]
pub mod sync;
